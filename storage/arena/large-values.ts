/** Where the bytes of keys and values that are too long for a block are, by slot. */
import { freeBuffer } from '../../protocol/free-buffer.ts';

const EMPTY = Buffer.alloc(0);
/** With more removed than this, which nobody has asked for to be freed, the rest is left to V8. */
const REMOVED_MOST = 4096;
/** The JS objects of one buffer. */
const OVERHEAD_BYTES = 200;
/** From this length on memory comes in whole pages. */
const PAGED_FROM_BYTES = 64 << 10;
const PAGE_BYTES = 4096;

/** What a buffer of this length costs beyond its bytes; nothing for a slot that is not in use. */
function overheadOf(length: number): number {
  if (length === 0) return 0;
  return OVERHEAD_BYTES + (length < PAGED_FROM_BYTES ? 0 : -length & (PAGE_BYTES - 1));
}

export class LargeValues {
  readonly buffers: Buffer[] = [];
  /** The bytes in use of each buffer; the rest is room to grow. */
  readonly lengths: number[] = [];
  bytes = 0;
  /** What they cost beyond their bytes. */
  overheadBytes = 0;
  readonly #free: number[] = [];
  /** Taken out, but maybe still read by the command that did so. */
  #removed: Buffer[] = [];

  add(buffer: Buffer, length: number): number {
    const slot = this.#free.pop() ?? this.buffers.length;
    this.buffers[slot] = buffer;
    this.lengths[slot] = length;
    this.bytes += buffer.length;
    this.overheadBytes += overheadOf(buffer.length);
    return slot;
  }

  replace(slot: number, buffer: Buffer, length: number): void {
    const old = this.buffers[slot];
    this.bytes += buffer.length - old.length;
    this.overheadBytes += overheadOf(buffer.length) - overheadOf(old.length);
    // It may be that of the version before, edited in place.
    const at = this.#removed.lastIndexOf(buffer);
    if (at >= 0) this.#removed.splice(at, 1);
    if (old !== buffer) this.#remove(old);
    this.buffers[slot] = buffer;
    this.lengths[slot] = length;
  }

  /** Frees what was taken out. No command may be running. */
  freeRemoved(): void {
    for (const buffer of this.#removed) freeBuffer(buffer);
    this.#removed.length = 0;
  }

  get hasRemoved(): boolean {
    return this.#removed.length > 0;
  }

  #remove(buffer: Buffer): void {
    if (this.#removed.length === REMOVED_MOST) this.#removed = [];
    this.#removed.push(buffer);
  }

  clear(): void {
    for (const buffer of this.buffers) if (buffer.length > 0) this.#remove(buffer);
    this.buffers.length = 0;
    this.lengths.length = 0;
    this.#free.length = 0;
    this.bytes = 0;
    this.overheadBytes = 0;
  }

  remove(slot: number): void {
    this.bytes -= this.buffers[slot].length;
    this.overheadBytes -= overheadOf(this.buffers[slot].length);
    this.#remove(this.buffers[slot]);
    this.buffers[slot] = EMPTY;
    this.lengths[slot] = 0;
    this.#free.push(slot);
  }
}
