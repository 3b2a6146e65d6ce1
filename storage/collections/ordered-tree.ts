/**
 * The B+ tree of a sorted set's order, as far as it does not matter what the elements are: steps to a rank, and what is put in and
 * taken out where the last step down has arrived. ordered-node.ts has what is in the nodes.
 */
import assert from 'node:assert';
import {
  CAPACITY_LEAST,
  CAPACITY_MOST,
  capacityIn,
  childrenWord,
  countIn,
  countsWord,
  firstIn,
  OrderedNodes,
  refsWord,
  SCORES_BYTE,
  wordOf,
} from './ordered-node.ts';

/** A leaf with fewer elements is put together with its neighbour when the two leave room for more. */
const LEAF_SPARSE = CAPACITY_MOST / 4;
const LEAF_MERGED_MOST = (CAPACITY_MOST * 3) / 4;
/** Every level has at least 32 times as many insertions behind it as the one below. */
const HEIGHT_MOST = 16;

/** The inner nodes that the last descent, of any tree, came through, and which child it took in each. */
export const path = new Uint32Array(HEIGHT_MOST);
export const places = new Uint32Array(HEIGHT_MOST);
/** The tree that the path is in, while no change has made it stale; 0 for none. */
let pathOwner = 0;
let lastId = 0;

export abstract class OrderedTree extends OrderedNodes {
  count = 0;
  readonly #id = ++lastId;
  /** 0 while there is no element. */
  protected root = 0;
  /** Levels of inner nodes. */
  protected height = 0;
  /** The last leaf. */
  protected last = 0;
  /** Elements of the last leaf that the inner nodes do not count yet: see `append`. */
  #uncounted = 0;
  /** Where the last descent arrived. */
  protected leaf = 0;
  protected slot = 0;

  /** The element at a rank that there is. */
  at(rank: number): number {
    this.#seekRank(rank);
    return this.refAt(this.leaf, this.slot);
  }

  /** The score of the element that `at` has just found. */
  get foundScore(): number {
    return this.scoreAt(this.leaf, this.slot);
  }

  /** Visits `count` elements that there are, from a rank on, upwards or downwards. `visit` may not write. */
  visit(rank: number, count: number, reverse: boolean, visit: (ref: number, score: number) => void): void {
    if (count <= 0) return;
    this.#seekRank(rank);
    const step = reverse ? -1 : 1;
    let leaf = this.leaf;
    let slot = this.slot;
    for (;;) {
      const words = this.arena.words[leaf >>> 20];
      const view = this.arena.views[leaf >>> 20];
      const word = wordOf(leaf);
      const word0 = words[word];
      const refs = refsWord(word, capacityIn(word0));
      const scores = (word << 2) + SCORES_BYTE;
      const first = firstIn(word0);
      const end = first + countIn(word0);
      for (; slot >= first && slot < end; slot += step) {
        visit(words[refs + slot], view.getFloat64(scores + slot * 8, true));
        if (--count === 0) return;
      }
      leaf = reverse ? this.previousOf(leaf) : this.nextOf(leaf);
      const next0 = this.word0(leaf);
      slot = firstIn(next0) + (reverse ? countIn(next0) - 1 : 0);
    }
  }

  #seekRank(rank: number): void {
    assert(rank >= 0 && rank < this.count, 'the rank is one that there is');
    this.settle();
    let node = this.root;
    for (let depth = 0; depth < this.height; depth++) {
      const words = this.arena.words[node >>> 20];
      const word = wordOf(node);
      const capacity = capacityIn(words[word]);
      const counts = countsWord(word, capacity);
      let place = 0;
      while (rank >= words[counts + place]) rank -= words[counts + place++];
      path[depth] = node;
      places[depth] = place;
      node = words[childrenWord(word, capacity) + place];
    }
    pathOwner = this.#id;
    this.leaf = node;
    this.slot = firstIn(this.word0(node)) + rank;
  }

  /** How many elements come before the place where the last descent arrived. */
  protected rankHere(): number {
    let rank = this.slot - firstIn(this.word0(this.leaf));
    for (let depth = 0; depth < this.height; depth++) {
      const node = path[depth];
      const words = this.arena.words[node >>> 20];
      const word = wordOf(node);
      const counts = countsWord(word, capacityIn(words[word]));
      for (let at = counts, end = counts + places[depth]; at < end; at++) rank += words[at];
    }
    return rank;
  }

  /** The path leads to this leaf now. */
  protected arriveAt(leaf: number): void {
    pathOwner = this.#id;
    this.leaf = leaf;
  }

  // ---- appending ----

  /**
   * Takes in an element that comes behind all others, when that is simple; false when it is not, and then nothing is done. The inner
   * nodes on the way to it learn of it when they are needed.
   */
  protected appendToLast(score: number, ref: number): boolean {
    const { last } = this;
    if (last === 0) return false;
    const word0 = this.word0(last);
    const end = firstIn(word0) + countIn(word0);
    if (end === capacityIn(word0)) return false;
    this.insertSlot(last, end, score, ref);
    this.count++;
    if (this.height > 0) this.#uncounted++;
    pathOwner = 0;
    return true;
  }

  /** The inner nodes count all elements from now on: before each step down. */
  protected settle(): void {
    if (this.#uncounted === 0) return;
    let node = this.root;
    for (let depth = 0; depth < this.height; depth++) {
      const place = this.slotsOf(node) - 1;
      this.addCount(node, place, this.#uncounted);
      node = this.childAt(node, place);
    }
    this.#uncounted = 0;
  }

  // ---- the keys of names ----

  /** What an inner node has of the name of a first element: a number that is in the order of names. May call `rekey`. */
  protected abstract keyOf(ref: number): number;
  /** There is no inner node yet. */
  protected abstract beginKeys(): void;

  /** Asks for all keys anew. */
  protected rekey(node = this.root, height = this.height): void {
    if (height === 0) return;
    for (let place = this.slotsOf(node) - 1; place >= 0; place--) {
      // What is said of the first element of all is not kept up to date.
      if (place > 0) this.setKey(node, place, this.keyOf(this.firstRefAt(node, place)));
      this.rekey(this.childAt(node, place), height - 1);
    }
  }

  // ---- changes ----

  /** Whether the last look was at this element, and nothing has changed since: a pop has just been there. */
  isAt(ref: number): boolean {
    return pathOwner === this.#id && this.#isHere(ref);
  }

  #isHere(ref: number): boolean {
    const word0 = this.word0(this.leaf);
    return this.slot < firstIn(word0) + countIn(word0) && this.refAt(this.leaf, this.slot) === ref;
  }

  /** Takes out the element that was found last. */
  removeFound(): void {
    const leaf = this.leaf;
    const isFirst = this.slot === firstIn(this.word0(leaf));
    this.removeSlot(leaf, this.slot);
    this.#count(-1);
    const word0 = this.word0(leaf);
    const left = countIn(word0);
    if (this.height === 0) {
      if (left === 0) this.clear();
      return;
    }
    if (isFirst && left > 0) this.#setFirstBelow(this.height - 1);
    if (left < LEAF_SPARSE) this.#tidy(leaf, left);
  }

  protected insertHere(score: number, ref: number): void {
    this.#count(1);
    const leaf = this.leaf;
    const word0 = this.word0(leaf);
    const count = countIn(word0);
    if (count < capacityIn(word0)) {
      this.insertSlot(leaf, this.slot, score, ref);
      return;
    }
    const index = this.slot - firstIn(word0);
    if (count < CAPACITY_MOST) {
      const grown = this.moveLeaf(leaf, count * 2, 0);
      this.#changed(this.height, leaf, grown);
      this.insertSlot(grown, index, score, ref);
      return;
    }
    // What comes behind all goes on in a leaf of its own.
    const kept = index === count && this.nextOf(leaf) === 0 ? CAPACITY_MOST : CAPACITY_MOST / 2;
    // One at the end is mostly filled too, and where there are two it is little beside the others.
    const capacity = kept === CAPACITY_MOST && this.previousOf(leaf) === 0 ? CAPACITY_LEAST : CAPACITY_MOST;
    const right = this.splitLeaf(leaf, kept, capacity);
    if (leaf === this.last) this.last = right;
    if (index < kept) this.insertSlot(leaf, this.slot, score, ref);
    else this.insertSlot(right, firstIn(this.word0(right)) + index - kept, score, ref);
    const right0 = this.word0(right);
    const first = firstIn(right0);
    const firstRef = this.refAt(right, first);
    if (this.height === 0) this.beginKeys();
    const key = this.keyOf(firstRef);
    this.#addChild(this.height - 1, right, countIn(right0), this.scoreAt(right, first), firstRef, key);
  }

  /** Frees all nodes, whose elements go some other way. */
  clear(): void {
    this.freeNodes(Infinity);
  }

  /** The same in steps: frees up to so many leaves; true when nothing is left. Between two of them nothing else may be done. */
  freeNodes(limit: number): boolean {
    for (let left = limit; this.last !== 0; left--) {
      if (left <= 0) return false;
      const leaf = this.last;
      this.last = this.previousOf(leaf);
      this.freeNode(leaf);
    }
    if (this.height > 0) this.#freeInners(this.root, this.height);
    this.root = 0;
    this.height = 0;
    this.count = 0;
    this.#uncounted = 0;
    pathOwner = 0;
    return true;
  }

  #freeInners(node: number, height: number): void {
    if (height > 1) {
      const count = this.slotsOf(node);
      for (let place = 0; place < count; place++) this.#freeInners(this.childAt(node, place), height - 1);
    }
    this.freeNode(node);
  }

  /** The elements' change of number, along the path of the last descent. */
  #count(change: number): void {
    this.count += change;
    pathOwner = 0;
    for (let depth = 0; depth < this.height; depth++) this.addCount(path[depth], places[depth], change);
  }

  // ---- growing and shrinking ----

  /** The node that the path reaches below `depth` - 1 is in another block now. */
  #changed(depth: number, old: number, node: number): void {
    if (old === this.last) this.last = node;
    if (depth === 0) this.root = node;
    else this.setChild(path[depth - 1], places[depth - 1], node);
  }

  /** Puts a node that was split off behind the one on the path at `depth`; depth -1 is above the root. */
  #addChild(depth: number, child: number, count: number, score: number, ref: number, key: number): void {
    if (depth < 0) {
      assert(this.height < HEIGHT_MOST, 'the order of a set is no higher than its elements make it');
      const root = this.makeInner(CAPACITY_LEAST);
      this.insertChild(root, 0, this.root, this.count - count, 0, 0, 0);
      this.insertChild(root, 1, child, count, score, ref, key);
      this.root = root;
      this.height++;
      return;
    }
    let node = path[depth];
    const place = places[depth] + 1;
    this.addCount(node, place - 1, -count);
    const used = this.slotsOf(node);
    if (used === capacityIn(this.word0(node))) {
      if (used === CAPACITY_MOST) {
        this.#splitInner(depth, child, count, score, ref, key);
        return;
      }
      const grown = this.splitInner(node, 0, used * 2);
      this.#changed(depth, node, grown);
      this.freeNode(node);
      node = grown;
    }
    this.insertChild(node, place, child, count, score, ref, key);
  }

  /** `#addChild` to a node that is full. */
  #splitInner(depth: number, child: number, count: number, score: number, ref: number, key: number): void {
    const node = path[depth];
    const place = places[depth] + 1;
    // What is added at the end goes on at the end.
    const kept = place === CAPACITY_MOST ? CAPACITY_MOST : CAPACITY_MOST / 2;
    const right = this.splitInner(node, kept, CAPACITY_MOST);
    if (place < kept) this.insertChild(node, place, child, count, score, ref, key);
    else this.insertChild(right, place - kept, child, count, score, ref, key);
    let moved = 0;
    for (let at = this.slotsOf(right) - 1; at >= 0; at--) moved += this.countAt(right, at);
    this.#addChild(depth - 1, right, moved, this.scoreAt(right, 0), this.firstRefAt(right, 0), this.keyAt(right, 0));
  }

  /** Takes away a leaf that is empty, or puts it together with a neighbour below the same node. */
  #tidy(leaf: number, count: number): void {
    const depth = this.height - 1;
    const node = path[depth];
    const place = places[depth];
    if (count === 0) {
      if (leaf === this.last) this.last = this.previousOf(leaf);
      this.dropLeaf(leaf);
      this.#removeChild(depth, place);
      return;
    }
    if (place + 1 < this.slotsOf(node) && count + this.countAt(node, place + 1) <= LEAF_MERGED_MOST) {
      this.#merge(node, place);
    } else if (place > 0 && count + this.countAt(node, place - 1) <= LEAF_MERGED_MOST) {
      this.#merge(node, place - 1);
    } else {
      return;
    }
    if (depth === 0) this.#lowerRoot();
  }

  /** Moves the elements of the leaf after `place` into the one there. */
  #merge(node: number, place: number): void {
    const right = this.childAt(node, place + 1);
    const joined = this.joinLeaves(this.childAt(node, place), right);
    if (right === this.last) this.last = joined;
    this.setChild(node, place, joined);
    this.addCount(node, place, this.countAt(node, place + 1));
    this.removeChild(node, place + 1);
  }

  #removeChild(depth: number, place: number): void {
    const node = path[depth];
    this.removeChild(node, place);
    if (this.slotsOf(node) === 0) {
      // The root has at least two children, so it never comes to this.
      this.freeNode(node);
      this.#removeChild(depth - 1, places[depth - 1]);
      return;
    }
    if (place === 0 && depth > 0) {
      this.#setFirstAbove(depth - 1, this.scoreAt(node, 0), this.firstRefAt(node, 0), this.keyAt(node, 0));
    }
    this.#lowerRoot();
  }

  #lowerRoot(): void {
    while (this.height > 0 && this.slotsOf(this.root) === 1) {
      const root = this.root;
      this.root = this.childAt(root, 0);
      this.height--;
      this.freeNode(root);
    }
  }

  /** The leaf that the path reaches below `depth` begins with another element. */
  #setFirstBelow(depth: number): void {
    if (pathBegins(depth)) return;
    const leaf = this.leaf;
    const first = firstIn(this.word0(leaf));
    const ref = this.refAt(leaf, first);
    this.#setFirstAbove(depth, this.scoreAt(leaf, first), ref, this.keyOf(ref));
  }

  /** Another element is the first one below the node that the path reaches below `depth`. */
  #setFirstAbove(depth: number, score: number, ref: number, key: number): void {
    while (depth >= 0 && places[depth] === 0) depth--;
    if (depth >= 0) this.setFirst(path[depth], places[depth], score, ref, key);
  }
}

/** Whether the path down to `depth` is the one to the very first element. */
function pathBegins(depth: number): boolean {
  while (depth >= 0 && places[depth] === 0) depth--;
  return depth < 0;
}
