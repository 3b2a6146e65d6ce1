/** Where the bytes of keys and values that are too long for a block are, by slot. */
const EMPTY = Buffer.alloc(0);

export class LargeValues {
  readonly buffers: Buffer[] = [];
  /** The bytes in use of each buffer; the rest is room to grow. */
  readonly lengths: number[] = [];
  bytes = 0;
  readonly #free: number[] = [];

  add(buffer: Buffer, length: number): number {
    const slot = this.#free.pop() ?? this.buffers.length;
    this.buffers[slot] = buffer;
    this.lengths[slot] = length;
    this.bytes += buffer.length;
    return slot;
  }

  replace(slot: number, buffer: Buffer, length: number): void {
    this.bytes += buffer.length - this.buffers[slot].length;
    this.buffers[slot] = buffer;
    this.lengths[slot] = length;
  }

  clear(): void {
    this.buffers.length = 0;
    this.lengths.length = 0;
    this.#free.length = 0;
    this.bytes = 0;
  }

  remove(slot: number): void {
    this.bytes -= this.buffers[slot].length;
    this.buffers[slot] = EMPTY;
    this.lengths[slot] = 0;
    this.#free.push(slot);
  }
}
