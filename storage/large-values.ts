/** Where the bytes of keys and values that are too long for a block are, by slot. */
const EMPTY = Buffer.alloc(0);
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

  add(buffer: Buffer, length: number): number {
    const slot = this.#free.pop() ?? this.buffers.length;
    this.buffers[slot] = buffer;
    this.lengths[slot] = length;
    this.bytes += buffer.length;
    this.overheadBytes += overheadOf(buffer.length);
    return slot;
  }

  replace(slot: number, buffer: Buffer, length: number): void {
    this.bytes += buffer.length - this.buffers[slot].length;
    this.overheadBytes += overheadOf(buffer.length) - overheadOf(this.buffers[slot].length);
    this.buffers[slot] = buffer;
    this.lengths[slot] = length;
  }

  clear(): void {
    this.buffers.length = 0;
    this.lengths.length = 0;
    this.#free.length = 0;
    this.bytes = 0;
    this.overheadBytes = 0;
  }

  remove(slot: number): void {
    this.bytes -= this.buffers[slot].length;
    this.overheadBytes -= overheadOf(this.buffers[slot].length);
    this.buffers[slot] = EMPTY;
    this.lengths[slot] = 0;
    this.#free.push(slot);
  }
}
