/**
 * The nodes of a sorted set's order. Each is a block of the arena: what a step down reads lies side by side in it, and garbage
 * collection does not see it.
 *
 *   word 0   u8 18 (neither a key's block nor an element's) | u8 capacity | u8 first slot in use | u8 slots in use
 *   leaf     word 1 next leaf | word 2 previous leaf | word 3 unused | scores, f64 each | refs, u32 each
 *   inner    words 1 to 3 unused | scores of the first elements below each child, f64 each | keys of their names, f64 each |
 *            children, u32 each | elements below each child, u32 each | references of the first elements, u32 each
 *
 * Slots in use are in a row. A leaf has free ones on both sides, so that taking elements off an end moves nothing, and putting one
 * in moves the shorter part. Those of an inner node begin at slot 0; which element is the first below that is not kept up to date.
 */
import type { Arena } from '../arena/arena.ts';

const NODE_MARK = 18;
export const CAPACITY_LEAST = 8;
export const CAPACITY_MOST = 64;
/** Where the scores begin. */
export const SCORES_BYTE = 16;
const SCORES_WORD = SCORES_BYTE >>> 2;
const NEXT_WORD = 1;
const PREVIOUS_WORD = 2;
const LEAF_SLOT_BYTES = 12;
const INNER_SLOT_BYTES = 28;
/** Scores that share a line of the processor's cache. */
const STRIDE_BYTES = 64;

/** Taken apart, word 0. */
export function capacityIn(word0: number): number {
  return (word0 >>> 8) & 0xff;
}

export function firstIn(word0: number): number {
  return (word0 >>> 16) & 0xff;
}

export function countIn(word0: number): number {
  return word0 >>> 24;
}

export function wordOf(node: number): number {
  return (node & 0xfffff) << 1;
}

/** The word of a leaf's first reference, whatever slot is in use. */
export function refsWord(word: number, capacity: number): number {
  return word + SCORES_WORD + capacity * 2;
}

export function keysByte(word: number, capacity: number): number {
  return (word << 2) + SCORES_BYTE + capacity * 8;
}

export function childrenWord(word: number, capacity: number): number {
  return word + SCORES_WORD + capacity * 4;
}

export function countsWord(word: number, capacity: number): number {
  return word + SCORES_WORD + capacity * 5;
}

export function firstRefsWord(word: number, capacity: number): number {
  return word + SCORES_WORD + capacity * 6;
}

/** The byte in [`at`, `end`) at which the first score, or key, is that is not less than this. */
export function notBelow(view: DataView, at: number, end: number, score: number): number {
  while (at + STRIDE_BYTES <= end && view.getFloat64(at + STRIDE_BYTES - 8, true) < score) at += STRIDE_BYTES;
  while (at < end && view.getFloat64(at, true) < score) at += 8;
  return at;
}

/** The byte in [`at`, `end`) at which the first score, or key, is that is greater than this. */
export function above(view: DataView, at: number, end: number, score: number): number {
  while (at + STRIDE_BYTES <= end && view.getFloat64(at + STRIDE_BYTES - 8, true) <= score) at += STRIDE_BYTES;
  while (at < end && view.getFloat64(at, true) <= score) at += 8;
  return at;
}

/** The nodes of one order: makes and frees them, and puts in and takes out what is in them. */
export class OrderedNodes {
  protected readonly arena: Arena;
  /** Bytes of the nodes' blocks. */
  nodeBytes = 0;

  constructor(arena: Arena) {
    this.arena = arena;
  }

  #make(capacity: number, slotBytes: number): number {
    const node = this.arena.allocate(SCORES_BYTE + capacity * slotBytes);
    this.nodeBytes += this.arena.capacity(node);
    const words = this.arena.words[node >>> 20];
    const word = wordOf(node);
    words[word] = NODE_MARK | (capacity << 8);
    words[word + NEXT_WORD] = 0;
    words[word + PREVIOUS_WORD] = 0;
    return node;
  }

  protected makeLeaf(capacity: number): number {
    return this.#make(capacity, LEAF_SLOT_BYTES);
  }

  protected makeInner(capacity: number): number {
    return this.#make(capacity, INNER_SLOT_BYTES);
  }

  protected freeNode(node: number): void {
    this.nodeBytes -= this.arena.capacity(node);
    this.arena.free(node);
  }

  // ---- what is in a node ----

  protected word0(node: number): number {
    return this.arena.words[node >>> 20][wordOf(node)];
  }

  protected slotsOf(node: number): number {
    return countIn(this.word0(node));
  }

  protected nextOf(leaf: number): number {
    return this.arena.words[leaf >>> 20][wordOf(leaf) + NEXT_WORD];
  }

  protected previousOf(leaf: number): number {
    return this.arena.words[leaf >>> 20][wordOf(leaf) + PREVIOUS_WORD];
  }

  protected scoreAt(node: number, slot: number): number {
    return this.arena.views[node >>> 20].getFloat64(((node & 0xfffff) << 3) + SCORES_BYTE + slot * 8, true);
  }

  protected refAt(leaf: number, slot: number): number {
    const words = this.arena.words[leaf >>> 20];
    const word = wordOf(leaf);
    return words[refsWord(word, capacityIn(words[word])) + slot];
  }

  protected childAt(inner: number, place: number): number {
    const words = this.arena.words[inner >>> 20];
    const word = wordOf(inner);
    return words[childrenWord(word, capacityIn(words[word])) + place];
  }

  protected countAt(inner: number, place: number): number {
    const words = this.arena.words[inner >>> 20];
    const word = wordOf(inner);
    return words[countsWord(word, capacityIn(words[word])) + place];
  }

  /** The number of elements below a child changes by so many. */
  protected addCount(inner: number, place: number, change: number): void {
    const words = this.arena.words[inner >>> 20];
    const word = wordOf(inner);
    words[countsWord(word, capacityIn(words[word])) + place] += change;
  }

  protected setChild(inner: number, place: number, child: number): void {
    const words = this.arena.words[inner >>> 20];
    const word = wordOf(inner);
    words[childrenWord(word, capacityIn(words[word])) + place] = child;
  }

  protected keyAt(inner: number, place: number): number {
    const words = this.arena.words[inner >>> 20];
    const word = wordOf(inner);
    return this.arena.views[inner >>> 20].getFloat64(keysByte(word, capacityIn(words[word])) + place * 8, true);
  }

  protected setKey(inner: number, place: number, key: number): void {
    const words = this.arena.words[inner >>> 20];
    const word = wordOf(inner);
    this.arena.views[inner >>> 20].setFloat64(keysByte(word, capacityIn(words[word])) + place * 8, key, true);
  }

  /** Another element is the first one below a child. */
  protected setFirst(inner: number, place: number, score: number, ref: number, key: number): void {
    const words = this.arena.words[inner >>> 20];
    const word = wordOf(inner);
    words[firstRefsWord(word, capacityIn(words[word])) + place] = ref;
    this.setScore(inner, place, score);
    this.setKey(inner, place, key);
  }

  protected setScore(node: number, slot: number, score: number): void {
    this.arena.views[node >>> 20].setFloat64(((node & 0xfffff) << 3) + SCORES_BYTE + slot * 8, score, true);
  }

  #setNext(leaf: number, next: number): void {
    this.arena.words[leaf >>> 20][wordOf(leaf) + NEXT_WORD] = next;
  }

  #setPrevious(leaf: number, previous: number): void {
    this.arena.words[leaf >>> 20][wordOf(leaf) + PREVIOUS_WORD] = previous;
  }

  #setWord0(node: number, capacity: number, first: number, count: number): void {
    this.arena.words[node >>> 20][wordOf(node)] = (NODE_MARK | (capacity << 8) | (first << 16) | (count << 24)) >>> 0;
  }

  // ---- leaves ----

  /** Puts an element into a leaf that is not full, before the one in `slot`; returns the slot that it is in. */
  protected insertSlot(leaf: number, slot: number, score: number, ref: number): number {
    const words = this.arena.words[leaf >>> 20];
    const view = this.arena.views[leaf >>> 20];
    const word = wordOf(leaf);
    const word0 = words[word];
    const capacity = capacityIn(word0);
    const first = firstIn(word0);
    const end = first + countIn(word0);
    const refs = refsWord(word, capacity);
    const scores = (word << 2) + SCORES_BYTE;
    const isLeft = first > 0 && (end === capacity || slot - first < end - slot);
    if (isLeft) {
      slot--;
      for (let at = first - 1; at < slot; at++) {
        view.setFloat64(scores + at * 8, view.getFloat64(scores + at * 8 + 8, true), true);
        words[refs + at] = words[refs + at + 1];
      }
    } else {
      for (let at = end; at > slot; at--) {
        view.setFloat64(scores + at * 8, view.getFloat64(scores + at * 8 - 8, true), true);
        words[refs + at] = words[refs + at - 1];
      }
    }
    view.setFloat64(scores + slot * 8, score, true);
    words[refs + slot] = ref;
    words[word] = word0 + (1 << 24) - (isLeft ? 1 << 16 : 0);
    return slot;
  }

  /** Takes the element in a slot out of a leaf. */
  protected removeSlot(leaf: number, slot: number): void {
    const words = this.arena.words[leaf >>> 20];
    const view = this.arena.views[leaf >>> 20];
    const word = wordOf(leaf);
    const word0 = words[word];
    const first = firstIn(word0);
    const last = first + countIn(word0) - 1;
    const refs = refsWord(word, capacityIn(word0));
    const scores = (word << 2) + SCORES_BYTE;
    const isLeft = slot - first < last - slot;
    if (isLeft) {
      for (let at = slot; at > first; at--) {
        view.setFloat64(scores + at * 8, view.getFloat64(scores + at * 8 - 8, true), true);
        words[refs + at] = words[refs + at - 1];
      }
    } else {
      for (let at = slot; at < last; at++) {
        view.setFloat64(scores + at * 8, view.getFloat64(scores + at * 8 + 8, true), true);
        words[refs + at] = words[refs + at + 1];
      }
    }
    words[word] = word0 - (1 << 24) + (isLeft ? 1 << 16 : 0);
  }

  /** Copies so many slots of a leaf behind those that another one has in use, which has room there. */
  #append(from: number, slot: number, count: number, to: number): void {
    const word0 = this.word0(to);
    const end = firstIn(word0) + countIn(word0);
    const sourceWords = this.arena.words[from >>> 20];
    const sourceView = this.arena.views[from >>> 20];
    const sourceRefs = refsWord(wordOf(from), capacityIn(this.word0(from))) + slot;
    const sourceScores = ((from & 0xfffff) << 3) + SCORES_BYTE + slot * 8;
    const words = this.arena.words[to >>> 20];
    const view = this.arena.views[to >>> 20];
    const refs = refsWord(wordOf(to), capacityIn(word0)) + end;
    const scores = ((to & 0xfffff) << 3) + SCORES_BYTE + end * 8;
    for (let at = 0; at < count; at++) {
      view.setFloat64(scores + at * 8, sourceView.getFloat64(sourceScores + at * 8, true), true);
      words[refs + at] = sourceWords[sourceRefs + at];
    }
    this.#setWord0(to, capacityIn(word0), firstIn(word0), countIn(word0) + count);
  }

  /** Moves the elements of a leaf into one of another capacity, from a slot on; the leaf is freed. Returns the other one. */
  protected moveLeaf(leaf: number, capacity: number, first: number): number {
    const moved = this.makeLeaf(capacity);
    this.#setWord0(moved, capacity, first, 0);
    const word0 = this.word0(leaf);
    this.#append(leaf, firstIn(word0), countIn(word0), moved);
    this.#link(this.previousOf(leaf), moved);
    this.#link(moved, this.nextOf(leaf));
    this.freeNode(leaf);
    return moved;
  }

  #link(left: number, right: number): void {
    if (left !== 0) this.#setNext(left, right);
    if (right !== 0) this.#setPrevious(right, left);
  }

  /** Makes a leaf behind another one and moves into it what the other has behind its first `kept` elements. */
  protected splitLeaf(leaf: number, kept: number, capacity: number): number {
    const right = this.makeLeaf(capacity);
    this.#link(right, this.nextOf(leaf));
    this.#link(leaf, right);
    const word0 = this.word0(leaf);
    const moved = countIn(word0) - kept;
    if (moved === 0) return right;
    this.#setWord0(right, capacity, (capacity - moved) >>> 1, 0);
    this.#append(leaf, firstIn(word0) + kept, moved, right);
    this.#setWord0(leaf, capacityIn(word0), firstIn(word0), kept);
    return right;
  }

  /** Moves the elements of a leaf behind those of the one before it, and frees it; returns the one that holds them all now. */
  protected joinLeaves(left: number, right: number): number {
    const joined = this.moveLeaf(left, CAPACITY_MOST, 0);
    const word0 = this.word0(right);
    this.#append(right, firstIn(word0), countIn(word0), joined);
    this.dropLeaf(right);
    return joined;
  }

  protected dropLeaf(leaf: number): void {
    const previous = this.previousOf(leaf);
    const next = this.nextOf(leaf);
    if (previous !== 0) this.#setNext(previous, next);
    if (next !== 0) this.#setPrevious(next, previous);
    this.freeNode(leaf);
  }

  // ---- inner nodes ----

  /** Puts a child into an inner node that is not full. */
  protected insertChild(
    inner: number,
    place: number,
    child: number,
    count: number,
    score: number,
    ref: number,
    key: number,
  ): void {
    const words = this.arena.words[inner >>> 20];
    const view = this.arena.views[inner >>> 20];
    const word = wordOf(inner);
    const word0 = words[word];
    const capacity = capacityIn(word0);
    const used = countIn(word0);
    const scores = (word << 2) + SCORES_BYTE;
    const keys = keysByte(word, capacity);
    for (let at = used; at > place; at--) {
      view.setFloat64(scores + at * 8, view.getFloat64(scores + at * 8 - 8, true), true);
      view.setFloat64(keys + at * 8, view.getFloat64(keys + at * 8 - 8, true), true);
    }
    view.setFloat64(scores + place * 8, score, true);
    view.setFloat64(keys + place * 8, key, true);
    putIn(words, childrenWord(word, capacity), used, place, child);
    putIn(words, countsWord(word, capacity), used, place, count);
    putIn(words, firstRefsWord(word, capacity), used, place, ref);
    words[word] = word0 + (1 << 24);
  }

  protected removeChild(inner: number, place: number): void {
    const words = this.arena.words[inner >>> 20];
    const view = this.arena.views[inner >>> 20];
    const word = wordOf(inner);
    const word0 = words[word];
    const capacity = capacityIn(word0);
    const left = countIn(word0) - 1;
    const scores = (word << 2) + SCORES_BYTE;
    const keys = keysByte(word, capacity);
    for (let at = place; at < left; at++) {
      view.setFloat64(scores + at * 8, view.getFloat64(scores + at * 8 + 8, true), true);
      view.setFloat64(keys + at * 8, view.getFloat64(keys + at * 8 + 8, true), true);
    }
    for (const from of [childrenWord(word, capacity), countsWord(word, capacity), firstRefsWord(word, capacity)]) {
      words.copyWithin(from + place, from + place + 1, from + left + 1);
    }
    words[word] = word0 - (1 << 24);
  }

  /** Makes an inner node of what another one has from a place on, which the other loses; returns it. */
  protected splitInner(inner: number, kept: number, capacity: number): number {
    const right = this.makeInner(capacity);
    const used = this.slotsOf(inner);
    for (let place = kept; place < used; place++) {
      const ref = this.firstRefAt(inner, place);
      const key = this.keyAt(inner, place);
      const count = this.countAt(inner, place);
      this.insertChild(right, place - kept, this.childAt(inner, place), count, this.scoreAt(inner, place), ref, key);
    }
    this.#setWord0(inner, capacityIn(this.word0(inner)), 0, kept);
    return right;
  }

  protected firstRefAt(inner: number, place: number): number {
    const words = this.arena.words[inner >>> 20];
    const word = wordOf(inner);
    return words[firstRefsWord(word, capacityIn(words[word])) + place];
  }
}

function putIn(words: Uint32Array, from: number, used: number, place: number, value: number): void {
  for (let at = from + used; at > from + place; at--) words[at] = words[at - 1];
  words[from + place] = value;
}
