/** Bytes of one request put together from several reads. */
import assert from 'node:assert';
import { freeBuffer } from './free-buffer.ts';

/** Ranges into the bytes are 32-bit, so they end here, whatever the limits allow. */
export const GATHERED_BYTES_MAX = 0x7fffffff;

/** What is kept for the next request; more is given back. */
const RETAINED_BYTES = 2048;
const INITIAL_BYTES = 1024;
/** Up to here a byte loop is faster than a call to copy. */
const BYTE_LOOP_MAX = 48;

const NOTHING = Buffer.alloc(0);

export class GatheredBytes {
  buffer: Buffer = NOTHING;
  length = 0;

  /**
   * Appends `source[start, start + length)`. The buffer doubles, so that gathering stays linear, but not beyond sizeMax while
   * what there is fits it: a caller that knows the final size gets no more, and memory follows the bytes that arrive.
   */
  append(source: Buffer, start: number, length: number, sizeMax: number): void {
    let offset = this.length;
    const needed = offset + length;
    if (needed > this.buffer.length) this.grow(needed, sizeMax);
    this.length = needed;
    const { buffer } = this;
    if (length > BYTE_LOOP_MAX) {
      source.copy(buffer, offset, start, start + length);
      return;
    }
    for (let position = start; position < start + length; position++) buffer[offset++] = source[position];
  }

  /** Forgets the bytes, and gives back their memory when it is more than the next request is likely to need. */
  clear(): void {
    this.length = 0;
    if (this.buffer.length <= RETAINED_BYTES) return;
    freeBuffer(this.buffer);
    this.buffer = NOTHING;
  }

  private grow(needed: number, sizeMax: number): void {
    assert(needed <= GATHERED_BYTES_MAX);
    const doubled = Math.min(Math.max(INITIAL_BYTES, needed * 2), GATHERED_BYTES_MAX);
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(doubled, sizeMax)));
    this.buffer.copy(grown, 0, 0, this.length);
    freeBuffer(this.buffer);
    this.buffer = grown;
  }
}
