/** Reading blocks: what a key's block holds, left in fields that are valid until the next call. */
import { Arena } from './arena.ts';
import {
  COUNTER,
  DEADLINE,
  DEADLINE_BYTES,
  HEADER_BYTES,
  LARGE,
  LONG_KEY,
  OBJECT,
  TYPE_STREAM,
  longKeySlot,
  valueOffset,
} from './block.ts';
import type { Clock } from '../clock.ts';
import { writeCounterTotal } from '../types/counter-payload.ts';

const WORD = 0x100000000;

export class BlockView {
  readonly arena = new Arena();
  readonly clock: Clock;
  /** The value last read. */
  valueBuffer: Buffer = Buffer.alloc(0);
  valueStart = 0;
  valueLength = 0;
  /** The same bytes as `valueBuffer` when they are in a block. */
  valueView: DataView | null = null;
  /** The key last read. */
  keyBuffer: Buffer = Buffer.alloc(0);
  keyStart = 0;
  keyLength = 0;

  /** The version that the next `put` writes. */
  stampHi = 0;
  stampLo = 0;
  origin = 0;
  /** Deadline in milliseconds; -1 for a register that never had one, 0 for one whose deadline was taken away. */
  deadlineMs = -1;
  deadlineStampHi = 0;
  deadlineStampLo = 0;
  deadlineOrigin = 0;
  /** Room for a counter's text: decimals are bounded in decimal.ts. */
  readonly #digits = Buffer.alloc(2048);

  constructor(clock: Clock) {
    this.clock = clock;
  }

  flagsOf(ref: number): number {
    return this.arena.words[ref >>> 20][(ref & 0xfffff) << 1] >>> 16;
  }

  typeOf(ref: number): number {
    return this.arena.bytes[ref >>> 20][(ref & 0xfffff) << 3];
  }

  /** Whether a key's block is in use at `ref`, which may be stale: what was there may be an element's block by now. */
  isKeyBlock(ref: number): boolean {
    return this.arena.isLive(ref) && this.typeOf(ref) <= TYPE_STREAM;
  }

  /** Whether the block has a deadline and it has passed: Redis lets a key live through its last millisecond. */
  isPastDeadline(ref: number): boolean {
    const deadlineMs = this.deadlineOf(ref);
    return deadlineMs > 0 && this.clock.nowMs > deadlineMs;
  }

  /** The deadline in milliseconds since 1970; 0 when taken away, -1 when there never was one. */
  deadlineOf(ref: number): number {
    if ((this.flagsOf(ref) & DEADLINE) === 0) return -1;
    const words = this.arena.words[ref >>> 20];
    const word = (ref & 0xfffff) << 1;
    return words[word + 6] * WORD + words[word + 7];
  }

  /** Leaves the key in `keyBuffer`, `keyStart`, `keyLength`. */
  readKey(ref: number): void {
    const flags = this.flagsOf(ref);
    const words = this.arena.words[ref >>> 20];
    this.keyLength = words[((ref & 0xfffff) << 1) + 4]!;
    if ((flags & LONG_KEY) !== 0) {
      this.keyBuffer = this.arena.large.buffers[longKeySlot(this.arena, ref)]!;
      this.keyStart = 0;
    } else {
      this.keyBuffer = this.arena.bytes[ref >>> 20]!;
      this.keyStart = ((ref & 0xfffff) << 3) + HEADER_BYTES + ((flags & DEADLINE) !== 0 ? DEADLINE_BYTES : 0);
    }
  }

  /** `readValue` of a HyperLogLog, which is kept as a collection of what each node has added. */
  protected readParts(_ref: number): void {}

  /** Leaves a string's value in `valueBuffer`, `valueStart`, `valueLength`; a counter's as its decimal digits. */
  readValue(ref: number): void {
    const flags = this.flagsOf(ref);
    if ((flags & OBJECT) !== 0) {
      this.valueView = null;
      this.readParts(ref);
    } else if ((flags & COUNTER) !== 0) {
      this.valueBuffer = this.#digits;
      this.valueView = null;
      this.valueStart = 0;
      this.valueLength = writeCounterTotal(this.arena, ref, this.#digits);
    } else {
      this.readPayload(ref, flags);
    }
  }

  /** Leaves the value area of the block, as it is, in `valueBuffer`, `valueStart`, `valueLength`. */
  readPayload(ref: number, flags: number): void {
    const segment = ref >>> 20;
    const word = (ref & 0xfffff) << 1;
    const words = this.arena.words[segment];
    const length = words[word + 5];
    if ((flags & LARGE) !== 0) {
      this.valueBuffer = this.arena.large.buffers[length]!;
      this.valueView = null;
      this.valueStart = 0;
      this.valueLength = this.arena.large.lengths[length]!;
    } else {
      this.valueBuffer = this.arena.bytes[segment]!;
      this.valueView = this.arena.views[segment]!;
      this.valueStart = (word << 2) + valueOffset(flags, words[word + 4]);
      this.valueLength = length;
    }
  }

  /** Copies the version of a block into the pending one. */
  readVersion(ref: number): void {
    const words = this.arena.words[ref >>> 20];
    const word = (ref & 0xfffff) << 1;
    this.origin = words[word + 1] & 0xffff;
    this.stampHi = words[word + 2]!;
    this.stampLo = words[word + 3]!;
    this.deadlineMs = this.deadlineOf(ref);
    if (this.deadlineMs >= 0) {
      this.deadlineStampHi = words[word + 8]!;
      this.deadlineStampLo = words[word + 9]!;
      this.deadlineOrigin = words[word + 10] & 0xffff;
    }
  }
}
