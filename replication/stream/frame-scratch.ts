/**
 * Memory for the frames of one pass over a link's work, used again for the next: a connection copies what it is given. A Buffer for every
 * frame of a repair was thirty megabytes a second of memory outside of V8's heap, which V8 took for a reason to collect all garbage
 * several times a second, for 5 to 8 ms each time.
 */
const SCRATCH_BYTES = 64 * 1024;

export class FrameScratch {
  readonly #memory = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #used = 0;

  /** Memory for a frame, valid until `reset`. What does not fit has memory of its own. */
  readonly take = (bytes: number): Buffer => {
    const start = this.#used;
    if (start + bytes > SCRATCH_BYTES) return Buffer.allocUnsafe(bytes);
    this.#used = start + bytes;
    return this.#memory.subarray(start, this.#used);
  };

  /** All frames that were taken have been copied. */
  reset(): void {
    this.#used = 0;
  }
}
