/** Views of a buffer's first bytes: short replies have few lengths and are sent so often that one is kept for each length. */

/** Views up to this length are kept. */
const KEPT_MAX = 1024;

export class BufferHeads {
  readonly #views = new Array<Buffer | undefined>(KEPT_MAX).fill(undefined);
  #buffer: Buffer | null = null;
  #last: Buffer | null = null;

  /** The buffer's first `length` bytes. */
  of(buffer: Buffer, length: number): Buffer {
    if (length >= KEPT_MAX) return buffer.subarray(0, length);
    if (buffer !== this.#buffer) {
      // A buffer that is sent from only once is not worth forgetting the other one's views.
      if (buffer !== this.#last) {
        this.#last = buffer;
        return buffer.subarray(0, length);
      }
      this.#buffer = buffer;
      this.#views.fill(undefined);
    }
    return (this.#views[length] ??= buffer.subarray(0, length));
  }
}
