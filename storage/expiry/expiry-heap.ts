import { freeBuffer } from '../../protocol/free-buffer.ts';

/** A set of references, of which none is 0. A Set ends at 2^24 entries. */
interface RefSet {
  /** False when it was there. */
  add(ref: number): boolean;
  /** The set is not used any more. */
  discard(): void;
}

/** For a few references of a large arena: open addressing. */
class RefTable implements RefSet {
  readonly #slots: Uint32Array;

  constructor(slots: number) {
    this.#slots = new Uint32Array(slots);
  }

  discard(): void {
    freeBuffer(this.#slots);
  }

  add(ref: number): boolean {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = (Math.imul(ref, 0x9e3779b1) >>> 7) & mask;
    while (slots[at] !== 0) {
      if (slots[at] === ref) return false;
      at = (at + 1) & mask;
    }
    slots[at] = ref;
    return true;
  }
}

/** For many: a bit for each reference that there can be. */
class RefBits implements RefSet {
  readonly #words: Uint32Array;

  constructor(words: number) {
    this.#words = new Uint32Array(words);
  }

  discard(): void {
    freeBuffer(this.#words);
  }

  add(ref: number): boolean {
    const before = this.#words[ref >>> 5];
    const after = before | (1 << (ref & 31));
    this.#words[ref >>> 5] = after;
    return after !== (before | 0);
  }
}

/** The smaller of the two, for the first `count` of `refs`. */
function refSetFor(refs: Uint32Array, count: number): RefSet {
  let last = 0;
  for (let at = 0; at < count; at++) if (refs[at] > last) last = refs[at]!;
  const slots = 2 ** Math.ceil(Math.log2(count + 1) + 1);
  const words = (last >>> 5) + 1;
  return words <= slots ? new RefBits(words) : new RefTable(slots);
}

const ENTRY_BYTES = 12;

/**
 * The deadlines of one database, soonest first: a binary heap in typed arrays. Each block with a deadline has an entry that
 * comes no later than it; one that comes sooner, because the deadline was put off, is pushed anew when it comes. Of a
 * deadline that was brought forward, and of a block that moved, the old entry goes stale; the reader compares with the
 * block, and a rebuild drops stale entries when they outnumber the live ones.
 */
export class ExpiryHeap {
  #deadlines = new Float64Array(64);
  #refs = new Uint32Array(64);
  length = 0;
  /** For an owner that does not count what is live: how long the heap may get before it is rebuilt. */
  sparseLength = 1024;

  /** Bytes of the entries, those that are empty left out: no memory was ever touched for them. */
  get bytes(): number {
    return this.length * ENTRY_BYTES;
  }

  /** The soonest deadline in milliseconds; Infinity when there is none. */
  get soonestMs(): number {
    return this.length === 0 ? Infinity : this.#deadlines[0];
  }

  get soonestRef(): number {
    return this.#refs[0];
  }

  /** An entry near a random place, or 0 when there is none; it may be stale. `random` in [0, 1). */
  sample(random: number): number {
    return this.length === 0 ? 0 : this.#refs[Math.floor(random * this.length)];
  }

  /** The next entry makes the heap twice as large, unless its owner rebuilds it sooner than it would otherwise. */
  get isFull(): boolean {
    return this.length === this.#refs.length;
  }

  push(deadlineMs: number, ref: number): void {
    if (this.isFull) this.#grow();
    const deadlines = this.#deadlines;
    const refs = this.#refs;
    let at = this.length++;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (deadlines[parent] <= deadlineMs) break;
      deadlines[at] = deadlines[parent]!;
      refs[at] = refs[parent]!;
      at = parent;
    }
    deadlines[at] = deadlineMs;
    refs[at] = ref;
  }

  /** Removes the soonest entry. */
  pop(): void {
    const last = --this.length;
    if (last > 0) this.#sink(0, this.#deadlines[last], this.#refs[last]);
  }

  /** Drops the entries that `keep` refuses, and all but one of those with the same block. */
  rebuild(keep: (ref: number, deadlineMs: number) => boolean): void {
    let to = 0;
    const seen = refSetFor(this.#refs, this.length);
    for (let at = 0; at < this.length; at++) {
      if (!keep(this.#refs[at], this.#deadlines[at]) || !seen.add(this.#refs[at])) continue;
      this.#refs[to] = this.#refs[at]!;
      this.#deadlines[to++] = this.#deadlines[at]!;
    }
    seen.discard();
    this.length = to;
    for (let at = (to >>> 1) - 1; at >= 0; at--) this.#sink(at, this.#deadlines[at], this.#refs[at]);
  }

  clear(): void {
    this.#deadlines = new Float64Array(64);
    this.#refs = new Uint32Array(64);
    this.length = 0;
    this.sparseLength = 1024;
  }

  #sink(at: number, deadlineMs: number, ref: number): void {
    const deadlines = this.#deadlines;
    const refs = this.#refs;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= this.length) break;
      if (child + 1 < this.length && deadlines[child + 1] < deadlines[child]) child++;
      if (deadlines[child] >= deadlineMs) break;
      deadlines[at] = deadlines[child]!;
      refs[at] = refs[child]!;
      at = child;
    }
    deadlines[at] = deadlineMs;
    refs[at] = ref;
  }

  #grow(): void {
    const deadlines = new Float64Array(this.#deadlines.length * 2);
    deadlines.set(this.#deadlines);
    freeBuffer(this.#deadlines);
    this.#deadlines = deadlines;
    const refs = new Uint32Array(this.#refs.length * 2);
    refs.set(this.#refs);
    freeBuffer(this.#refs);
    this.#refs = refs;
  }
}
