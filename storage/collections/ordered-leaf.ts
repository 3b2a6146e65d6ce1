/** A leaf of the order of a sorted set: up to 64 elements, their scores and their references side by side. */

export const LEAF_LEAST = 8;
export const LEAF_MOST = 64;
/** Up to so many entries of a leaf are moved by a loop, which is faster then than calls into native code. */
const LOOP_MOST = 24;

export class Leaf {
  scores!: Float64Array;
  refs!: Uint32Array;
  count = 0;
  next: Leaf | null = null;
  previous: Leaf | null = null;

  constructor(capacity: number) {
    this.allocate(capacity);
  }

  /** Replaces the arrays by empty ones. */
  allocate(capacity: number): void {
    if (capacity === LEAF_LEAST) {
      // Arrays as short as these are cheap by themselves.
      this.scores = new Float64Array(capacity);
      this.refs = new Uint32Array(capacity);
    } else {
      const memory = new ArrayBuffer(capacity * 12);
      this.scores = new Float64Array(memory, 0, capacity);
      this.refs = new Uint32Array(memory, capacity * 8, capacity);
    }
  }
}

/** Puts an element into a leaf that is not full. */
export function insertInto(leaf: Leaf, index: number, score: number, ref: number): void {
  if (leaf.count === leaf.scores.length) {
    const { scores, refs } = leaf;
    leaf.allocate(leaf.count * 2);
    leaf.scores.set(scores);
    leaf.refs.set(refs);
  }
  const { scores, refs } = leaf;
  if (leaf.count - index > LOOP_MOST) {
    scores.copyWithin(index + 1, index, leaf.count);
    refs.copyWithin(index + 1, index, leaf.count);
  } else {
    for (let at = leaf.count; at > index; at--) {
      scores[at] = scores[at - 1];
      refs[at] = refs[at - 1];
    }
  }
  leaf.count++;
  scores[index] = score;
  refs[index] = ref;
}

/** Takes an element out of a leaf. */
export function removeFrom(leaf: Leaf, index: number): void {
  const { scores, refs } = leaf;
  const last = --leaf.count;
  if (last - index > LOOP_MOST) {
    scores.copyWithin(index, index + 1, last + 1);
    refs.copyWithin(index, index + 1, last + 1);
  } else {
    for (let at = index; at < last; at++) {
      scores[at] = scores[at + 1];
      refs[at] = refs[at + 1];
    }
  }
}
