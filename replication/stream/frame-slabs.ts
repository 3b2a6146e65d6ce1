/**
 * Memory for frames that are released in the order in which they were taken, used again and again. What is allocated anew for each frame, V8
 * has to be told of: at forty megabytes a second it collected garbage all the time, with nothing to collect.
 */

const SLAB_BYTES = 1024 * 1024;
/** Longer frames have memory of their own, lest the end of a slab be left unused. */
const FRAME_BYTES_MAX = SLAB_BYTES / 4;
/** Eight megabytes: what a peer that is a moment behind makes wait comes and goes. */
const SPARE_MAX = 8;

export interface Slab {
  readonly memory: Buffer;
  used: number;
  /** Frames that have not been released. */
  frames: number;
}

export class FrameSlabs {
  /** Where the frame that was taken last lies; null when that is a place of its own. */
  slab: Slab | null = null;
  #open: Slab | null = null;
  readonly #spare: Slab[] = [];

  /** Memory for a frame. Its `slab` is to be released with it. */
  readonly take = (bytes: number): Buffer => {
    this.slab = null;
    if (bytes > FRAME_BYTES_MAX) return Buffer.allocUnsafeSlow(bytes);
    let slab = this.#open;
    if (slab === null || slab.used + bytes > SLAB_BYTES) slab = this.#next();
    const start = slab.used;
    slab.used += bytes;
    slab.frames++;
    this.slab = slab;
    return slab.memory.subarray(start, start + bytes);
  };

  #next(): Slab {
    this.#open = this.#spare.pop() ?? { memory: Buffer.allocUnsafeSlow(SLAB_BYTES), used: 0, frames: 0 };
    return this.#open;
  }

  /** Nobody looks at the frame any more. */
  release(slab: Slab | null): void {
    if (slab === null || --slab.frames > 0) return;
    slab.used = 0;
    if (slab !== this.#open && this.#spare.length < SPARE_MAX) this.#spare.push(slab);
  }
}
