/**
 * What this node has forgotten last of the counters and fields that had lapsed: up to which version each is buried where somebody who
 * remembers it begins it anew. 8,192 of them, each in the one place that the hash of its name gives it, and only with what a
 * later one has not taken; 160 KiB a database, made with the first.
 */
const SLOTS = 8192;
const WORDS = 5;

export class LapsedSums {
  /** The version that `find` has found; the origin is an index in the node table. */
  hi = 0;
  lo = 0;
  origin = 0;
  #words = new Uint32Array(0);

  get isEmpty(): boolean {
    return this.#words.length === 0;
  }

  /** Keeps the version of a name, by the two halves of its hash. */
  note(hashHi: number, hashLo: number, hi: number, lo: number, origin: number): void {
    if (this.isEmpty) this.#words = new Uint32Array(SLOTS * WORDS);
    this.#words.set([hashHi, hashLo, hi, lo, origin], placeOf(hashHi));
  }

  /** Whether a version of the name is kept. */
  find(hashHi: number, hashLo: number): boolean {
    const at = placeOf(hashHi);
    const words = this.#words;
    if (this.isEmpty || words[at] !== hashHi >>> 0 || words[at + 1] !== hashLo >>> 0) return false;
    this.hi = words[at + 2];
    this.lo = words[at + 3];
    this.origin = words[at + 4];
    return this.hi !== 0;
  }

  /** As on a node that has never forgotten anything. */
  clear(): void {
    this.#words = new Uint32Array(0);
  }
}

function placeOf(hashHi: number): number {
  return (hashHi & (SLOTS - 1)) * WORDS;
}
