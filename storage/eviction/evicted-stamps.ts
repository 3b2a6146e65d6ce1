/**
 * How new what was evicted may be, by the high bits of the keys' hashes: a version above that is newer than all that the stores have of
 * such a key. 32 KiB a database, made with the first key that is evicted.
 */
import { compareStamp } from '../../protocol/stamp.ts';

const BUCKETS = 4096;
const BUCKET_SHIFT = 20;

export class EvictedStamps {
  #words = new Uint32Array(0);

  /** A key is evicted now that the clock has seen all of its stamps. */
  note(hash: number, { hi, lo }: { readonly hi: number; readonly lo: number }): void {
    if (this.#words.length === 0) this.#words = new Uint32Array(BUCKETS * 2);
    const at = (hash >>> BUCKET_SHIFT) * 2;
    this.#words[at] = hi;
    this.#words[at + 1] = lo;
  }

  /** Whether the stamp is above all that an evicted key of this hash may have. */
  isBelow(hash: number, hi: number, lo: number): boolean {
    if (this.#words.length === 0) return true;
    const at = (hash >>> BUCKET_SHIFT) * 2;
    return compareStamp(this.#words[at], this.#words[at + 1], hi, lo) < 0;
  }
}
