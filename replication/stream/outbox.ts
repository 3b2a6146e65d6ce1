/**
 * The one backlog of encoded RECORDS frames that all links share. Each link has a cursor (a sequence number) into it; what has
 * been pushed out of the bound is gone for every link whose cursor had not passed it, and such a link needs repair.
 */
import { strict as assert } from 'node:assert';
import { compareStamp } from '../../protocol/stamp.ts';
import { FRAME_PART_BYTES } from '../../protocol/peer-frame.ts';
import { encodeRecords } from '../../protocol/peer-message.ts';
import { FrameSlabs, type Slab } from './frame-slabs.ts';
import type { Stamp } from '../replica.ts';

/** What an entry costs beside its frame's bytes: the Buffer, the entry and its place in the ring. */
const ENTRY_OVERHEAD_BYTES = 256;

/** One frame of the backlog. A turn that was split has several, all with the turn's stamp. */
interface OutboxEntry {
  readonly frame: Buffer;
  readonly slab: Slab | null;
  readonly stamp: Stamp;
  /** Bytes of all frames before this one since the start, for telling a link's lag. */
  readonly offset: number;
}

export class Outbox {
  /** What is beyond it goes when more is appended. */
  bytesMax: number;
  /** Bytes held, with their overhead. */
  bytes = 0;
  /** Sequence of the oldest entry that is held. */
  firstSequence = 0;
  /** Sequence that the next entry will have. */
  nextSequence = 0;
  /** Frames that the bound has pushed out, since the start. */
  droppedFrames = 0;
  /** Bytes of all frames ever appended. */
  appendedBytes = 0;
  #last: Stamp = { hi: 0, lo: 0 };
  /** Everything after this stamp is held. */
  #start: Stamp = { hi: 0, lo: 0 };
  readonly #slabs = new FrameSlabs();
  #ring: (OutboxEntry | undefined)[] = new Array<OutboxEntry | undefined>(64);

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Stamp of the last turn published; 0 before the first. */
  get last(): Stamp {
    return this.#last;
  }

  /** Encodes one turn's records and keeps the frames. Returns the turn's stamp: `asked`, or the next one above the last turn's. */
  append(records: Buffer, asked: Stamp): Stamp {
    const stamp = this.#above(asked);
    let at = 0;
    do {
      const end = Math.min(at + FRAME_PART_BYTES, records.length);
      const frame = encodeRecords(stamp, this.#last, end < records.length, records, at, end, this.#slabs.take);
      this.#push(frame, stamp);
      at = end;
    } while (at < records.length);
    this.#last = stamp;
    while (this.bytes > this.bytesMax) {
      this.#shift();
      this.droppedFrames++;
    }
    return stamp;
  }

  /** Goes past a turn that nobody is to be sent. */
  skip(asked: Stamp): Stamp {
    const stamp = this.#above(asked);
    this.#last = stamp;
    while (this.firstSequence < this.nextSequence) this.#shift();
    this.#start = stamp;
    return stamp;
  }

  /** Drops what every member has acknowledged. */
  trim(acknowledged: Stamp): void {
    while (this.firstSequence < this.nextSequence) {
      const stamp = this.#entry(this.firstSequence).stamp;
      if (compareStamp(stamp.hi, stamp.lo, acknowledged.hi, acknowledged.lo) > 0) return;
      this.#shift();
    }
  }

  /** The frame at a sequence that is held. To be copied: its memory is used again when it is held no more. */
  frameAt(sequence: number): Buffer {
    return this.#entry(sequence).frame;
  }

  stampAt(sequence: number): Stamp {
    return this.#entry(sequence).stamp;
  }

  /** Sequence of the first frame after `stamp`, or -1 when some of what followed it is gone. */
  sequenceAfter(stamp: Stamp): number {
    if (compareStamp(stamp.hi, stamp.lo, this.#start.hi, this.#start.lo) < 0) return -1;
    let low = this.firstSequence;
    let high = this.nextSequence;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      const at = this.#entry(middle).stamp;
      if (compareStamp(at.hi, at.lo, stamp.hi, stamp.lo) > 0) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Stamps of turns rise, also when a turn (a FLUSHDB alone, say) has drawn no new one. */
  #above(asked: Stamp): Stamp {
    const { hi, lo } = this.#last;
    if (compareStamp(asked.hi, asked.lo, hi, lo) > 0) return { hi: asked.hi, lo: asked.lo };
    return lo === 0xffffffff ? { hi: hi + 1, lo: 0 } : { hi, lo: lo + 1 };
  }

  #entry(sequence: number): OutboxEntry {
    assert(sequence >= this.firstSequence && sequence < this.nextSequence, 'sequence is not in the outbox');
    return this.#ring[sequence % this.#ring.length]!;
  }

  /** Bytes of the frames from `sequence` on. */
  bytesFrom(sequence: number): number {
    return sequence < this.nextSequence ? this.appendedBytes - this.#entry(sequence).offset : 0;
  }

  /** Bytes of what is held of that which followed `stamp`. */
  bytesAfter(stamp: Stamp): number {
    return this.bytesFrom(Math.max(this.sequenceAfter(stamp), this.firstSequence));
  }

  /** Of `bytesFrom`, with what each frame costs beside its bytes, as `bytesMax` counts them. */
  heldBytesFrom(sequence: number): number {
    return this.bytesFrom(sequence) + (this.nextSequence - sequence) * ENTRY_OVERHEAD_BYTES;
  }

  #push(frame: Buffer, stamp: Stamp): void {
    if (this.nextSequence - this.firstSequence === this.#ring.length) this.#grow();
    this.#ring[this.nextSequence % this.#ring.length] = {
      frame,
      slab: this.#slabs.slab,
      stamp,
      offset: this.appendedBytes,
    };
    this.nextSequence++;
    this.appendedBytes += frame.length;
    this.bytes += frame.length + ENTRY_OVERHEAD_BYTES;
  }

  #shift(): void {
    const index = this.firstSequence % this.#ring.length;
    const entry = this.#ring[index]!;
    this.#ring[index] = undefined;
    this.#slabs.release(entry.slab);
    this.firstSequence++;
    this.bytes -= entry.frame.length + ENTRY_OVERHEAD_BYTES;
    this.#start = entry.stamp;
  }

  #grow(): void {
    const grown = new Array<OutboxEntry | undefined>(this.#ring.length * 2);
    for (let sequence = this.firstSequence; sequence < this.nextSequence; sequence++) {
      grown[sequence % grown.length] = this.#ring[sequence % this.#ring.length];
    }
    this.#ring = grown;
  }
}
