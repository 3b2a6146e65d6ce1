/**
 * What look-ahead.ts does, for the digests: the hashes of a run of keys are computed and the buckets that they fall into read, before the
 * first of the keys is written. The buckets lie anywhere in half a megabyte.
 */
import type { Digests } from './digests.ts';

export class DigestsAhead {
  /** The sum of all that was read, so that the reads are not found to be useless and left out. */
  sum = 0;
  readonly #hi: Int32Array;
  readonly #lo: Int32Array;

  /** @param runMax the longest run of keys */
  constructor(runMax: number) {
    this.#hi = new Int32Array(runMax);
    this.#lo = new Int32Array(runMax);
  }

  /** Hashes the key of the run's entry `index`. */
  hash(digests: Digests, index: number, database: number, view: DataView, start: number, length: number): void {
    digests.hashKeyView(database, view, start, length);
    this.#hi[index] = digests.keyHi;
    this.#lo[index] = digests.keyLo;
  }

  /** Reads the buckets of the run's first `count` entries. */
  fetch({ words }: Digests, count: number): void {
    const hashes = this.#hi;
    let sum = 0;
    for (let index = 0; index < count; index++) sum ^= words[(hashes[index] >>> 16) * 2];
    this.sum = sum;
  }

  /** The key of the entry need not be hashed again. */
  know(digests: Digests, index: number, database: number, bytes: Uint8Array, start: number, length: number): void {
    digests.know(database, bytes, start, length, this.#hi[index], this.#lo[index]);
  }
}
