/**
 * The visible elements of a sorted set in the order of (score, member bytes): a B+ tree whose inner nodes count what is below
 * them, so that a rank, and the element at a rank, cost O(log n). Leaves are linked both ways for ranges.
 *
 *   inner   | scores, and references, of the first element below each child but the first | counts | children |
 *   leaf    | scores, f64 each | refs, u32 each |    up to 64 of either
 *
 * The first elements are in the inner nodes so that a step down among equal scores reads one element, and neither nodes nor leaves
 * on the way to it: all of that is somewhere else in memory. An element comes first in a leaf that is not the first of all only
 * when the leaf is split off, or by the removal of the one before it.
 */
import assert from 'node:assert';
import { isViewed, viewOf } from '../../protocol/byte-view.ts';
import type { Elements } from './element.ts';
import { insertInto, Leaf, LEAF_LEAST, LEAF_MOST, removeFrom } from './ordered-leaf.ts';

const INNER_MOST = 64;
/** A leaf with fewer elements is put together with its neighbour when the two leave room for more. */
const LEAF_SPARSE = LEAF_MOST / 4;
const LEAF_MERGED_MOST = (LEAF_MOST * 3) / 4;
/** Bytes of a leaf besides its 12 an element, and of an inner node's entry. */
const LEAF_OVERHEAD_BYTES = 260;
const INNER_OVERHEAD_BYTES = 160;
const INNER_ENTRY_BYTES = 32;

/** What an element is compared with. */
const BY_KEY = 0;
const BY_SCORE = 1;
const BY_SCORE_INCLUSIVE = 2;
const BY_NAME = 3;
const BY_NAME_INCLUSIVE = 4;

const NO_BYTES = Buffer.alloc(0);

class Inner {
  children: (Leaf | Inner)[] = [];
  /** Of the first element below each child; what is at 0 is not looked at. */
  firstScores: number[] = [];
  firstRefs: number[] = [];
  counts: number[] = [];
}

/** The inner nodes that the last descent, of any set, came through, and which child it took in each. */
const path: Inner[] = [];
const places: number[] = [];
/** The set that the path is in, while no change has made it stale. */
let pathOwner: OrderedMembers | null = null;

export class OrderedMembers {
  count = 0;
  readonly #elements: Elements;
  #root: Leaf | Inner = new Leaf(LEAF_LEAST);
  #leaves = 1;
  #inners = 0;
  /** What is looked for, set by the public methods. */
  #mode = BY_KEY;
  #score = 0;
  #name: Uint8Array = NO_BYTES;
  /** The same bytes, when there is a view of them. */
  #nameView: DataView | null = null;
  #nameStart = 0;
  #nameLength = 0;
  /** Where the last descent arrived. */
  #leaf!: Leaf;
  #index = 0;

  constructor(elements: Elements) {
    this.#elements = elements;
  }

  get bytes(): number {
    const nodes = this.#leaves * LEAF_OVERHEAD_BYTES + this.#inners * INNER_OVERHEAD_BYTES;
    return (
      nodes +
      Math.min(this.#leaves * LEAF_MOST, Math.max(LEAF_LEAST, this.count * 1.5)) * 12 +
      this.#leaves * INNER_ENTRY_BYTES
    );
  }

  // ---- ranks ----

  /** How many elements come before this score and name. */
  rank(score: number, name: Uint8Array, start: number, length: number): number {
    this.#seekKey(score, name, start, length);
    const rank = this.#descend();
    this.#name = NO_BYTES;
    return rank;
  }

  /** How many elements come before one that is there, and has this score. */
  rankOf(score: number, ref: number): number {
    this.#seekElement(score, ref);
    return this.#descendTo(ref);
  }

  /** How many elements have a score less than this, or not greater. */
  countBelow(score: number, inclusive: boolean): number {
    this.#mode = inclusive ? BY_SCORE_INCLUSIVE : BY_SCORE;
    this.#score = score;
    return this.#descend();
  }

  /** How many elements come before this name, or not after it: meant for elements that all have the same score. */
  countBelowName(name: Uint8Array, inclusive: boolean): number {
    this.#seekKey(0, name, 0, name.length);
    this.#mode = inclusive ? BY_NAME_INCLUSIVE : BY_NAME;
    const rank = this.#descend();
    this.#name = NO_BYTES;
    return rank;
  }

  /** The element at a rank that there is. */
  at(rank: number): number {
    this.#seekRank(rank);
    return this.#leaf.refs[this.#index];
  }

  /** Visits `count` elements that there are, from a rank on, upwards or downwards. `visit` may not write. */
  visit(rank: number, count: number, reverse: boolean, visit: (ref: number, score: number) => void): void {
    if (count <= 0) return;
    this.#seekRank(rank);
    let leaf = this.#leaf;
    let index = this.#index;
    for (;;) {
      visit(leaf.refs[index], leaf.scores[index]);
      if (--count === 0) return;
      if (reverse) {
        if (index-- > 0) continue;
        leaf = leaf.previous!;
        index = leaf.count - 1;
      } else if (++index === leaf.count) {
        leaf = leaf.next!;
        index = 0;
      }
    }
  }

  // ---- changes ----

  /** Takes in an element that is not there. */
  insert(score: number, ref: number): void {
    if (!this.#isBehindAll(score, ref)) {
      this.#seekElement(score, ref);
      this.#descend();
    }
    let leaf = this.#leaf;
    let index = this.#index;
    this.#count(1);
    if (leaf.count < LEAF_MOST) {
      insertInto(leaf, index, score, ref);
      return;
    }
    const right = this.#splitLeaf(leaf, index);
    if (index >= leaf.count) {
      index -= leaf.count;
      leaf = right;
    }
    insertInto(leaf, index, score, ref);
    this.#addChild(path.length - 1, right, right.scores[0], right.refs[0], right.count);
  }

  /** Whether the element belongs behind all others; stands at the end then. */
  #isBehindAll(score: number, ref: number): boolean {
    let node = this.#root;
    let depth = 0;
    while (node instanceof Inner) {
      const last: number = node.children.length - 1;
      path[depth] = node;
      places[depth++] = last;
      node = node.children[last]!;
    }
    pathOwner = null;
    const last = node.count - 1;
    if (last < 0 || node.scores[last] > score) return false;
    if (node.scores[last] === score) {
      this.#seekElement(score, ref);
      if (this.#compareName(node.refs[last]) >= 0) return false;
    }
    if (path.length !== depth) path.length = depth;
    this.#leaf = node;
    this.#index = node.count;
    return true;
  }

  /** Takes out an element that has this score. */
  remove(score: number, ref: number): void {
    // A pop has just been there.
    if (pathOwner !== this || this.#index >= this.#leaf.count || this.#leaf.refs[this.#index] !== ref) {
      this.#seekElement(score, ref);
      this.#descendTo(ref);
    }
    const leaf = this.#leaf;
    const index = this.#index;
    assert(leaf.refs[index] === ref && index < leaf.count, 'an element is in the order that its score gives it');
    removeFrom(leaf, index);
    this.#count(-1);
    if (index === 0 && leaf.count > 0) setFirst(path.length - 1, leaf.scores[0], leaf.refs[0]);
    if (leaf.count < LEAF_SPARSE && path.length > 0) this.#tidy(leaf);
  }

  /** The elements' change of number, along the path of the last descent. */
  #count(change: number): void {
    this.count += change;
    pathOwner = null;
    for (let depth = 0; depth < path.length; depth++) path[depth].counts[places[depth]] += change;
  }

  // ---- the way down ----

  #seekKey(score: number, name: Uint8Array, start: number, length: number): void {
    this.#mode = BY_KEY;
    this.#score = score;
    this.#name = name;
    this.#nameStart = start;
    this.#nameLength = length;
    const elements = this.#elements;
    this.#nameView = name === elements.nameBuffer ? elements.nameView : isViewed(name) ? viewOf(name) : null;
  }

  #seekElement(score: number, ref: number): void {
    const elements = this.#elements;
    elements.readName(ref);
    this.#seekKey(score, elements.nameBuffer, elements.nameStart, elements.nameLength);
  }

  /** Goes to the first element that is not before what is looked for; returns how many are. */
  #descend(): number {
    const rank = this.#descendToLeaf();
    const leaf = this.#leaf;
    let low = 0;
    let high = leaf.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#isBefore(leaf, middle)) low = middle + 1;
      else high = middle;
    }
    this.#index = low;
    return rank + low;
  }

  /** `#descend` for an element that is there: numbers that lie side by side are compared sooner than a few names that lie anywhere. */
  #descendTo(ref: number): number {
    const rank = this.#descendToLeaf();
    const { refs, count } = this.#leaf;
    let index = 0;
    while (index < count && refs[index] !== ref) index++;
    this.#index = index;
    return rank + index;
  }

  /** Goes to the leaf in which that element is; returns how many come before the leaf. */
  #descendToLeaf(): number {
    let rank = 0;
    let node = this.#root;
    let depth = 0;
    while (node instanceof Inner) {
      let low = 0;
      let high = node.children.length - 1;
      // The last child that may hold something before what is looked for.
      while (low < high) {
        const middle = (low + high + 1) >>> 1;
        if (this.#isReached(node, middle)) low = middle;
        else high = middle - 1;
      }
      for (let child = 0; child < low; child++) rank += node.counts[child];
      path[depth] = node;
      places[depth++] = low;
      node = node.children[low]!;
    }
    if (path.length !== depth) path.length = depth;
    pathOwner = this;
    this.#leaf = node;
    return rank;
  }

  /** Whether everything before the child is also before what is looked for. */
  #isReached(node: Inner, child: number): boolean {
    const mode = this.#mode;
    if (mode <= BY_SCORE_INCLUSIVE) {
      const score = node.firstScores[child];
      if (score !== this.#score) return score < this.#score;
      if (mode !== BY_KEY) return mode === BY_SCORE_INCLUSIVE;
    }
    return this.#compareName(node.firstRefs[child]) <= 0;
  }

  #isBefore(leaf: Leaf, index: number): boolean {
    const score = leaf.scores[index];
    switch (this.#mode) {
      case BY_KEY:
        return score < this.#score || (score === this.#score && this.#compareName(leaf.refs[index]) < 0);
      case BY_SCORE:
        return score < this.#score;
      case BY_SCORE_INCLUSIVE:
        return score <= this.#score;
      case BY_NAME:
        return this.#compareName(leaf.refs[index]) < 0;
      default:
        return this.#compareName(leaf.refs[index]) <= 0;
    }
  }

  #compareName(ref: number): number {
    const view = this.#nameView;
    if (view === null) return this.#elements.compareName(ref, this.#name, this.#nameStart, this.#nameLength);
    return this.#elements.compareNameView(ref, view, this.#nameStart, this.#nameLength);
  }

  #seekRank(rank: number): void {
    assert(rank >= 0 && rank < this.count, 'the rank is one that there is');
    let node = this.#root;
    let depth = 0;
    while (node instanceof Inner) {
      let child = 0;
      while (rank >= node.counts[child]) rank -= node.counts[child++];
      path[depth] = node;
      places[depth++] = child;
      node = node.children[child]!;
    }
    if (path.length !== depth) path.length = depth;
    pathOwner = this;
    this.#leaf = node;
    this.#index = rank;
  }

  // ---- growing and shrinking ----

  /** Moves the upper half of a full leaf into a new one behind it; nothing when what comes next is the last of all. */
  #splitLeaf(leaf: Leaf, index: number): Leaf {
    const kept = index === LEAF_MOST && leaf.next === null ? LEAF_MOST : LEAF_MOST / 2;
    // One at the end is mostly filled too, and where there are two it is little beside the others.
    const right = new Leaf(kept === LEAF_MOST && leaf.previous === null ? LEAF_LEAST : LEAF_MOST);
    this.#leaves++;
    right.next = leaf.next;
    right.previous = leaf;
    if (leaf.next !== null) leaf.next.previous = right;
    leaf.next = right;
    if (kept === LEAF_MOST) return right;
    right.scores.set(leaf.scores.subarray(kept));
    right.refs.set(leaf.refs.subarray(kept));
    right.count = LEAF_MOST - kept;
    leaf.count = kept;
    return right;
  }

  /** Puts a node that was split off behind the one on the path at `depth`; depth -1 is above the root. */
  #addChild(depth: number, child: Leaf | Inner, firstScore: number, firstRef: number, count: number): void {
    if (depth < 0) {
      const root = new Inner();
      this.#inners++;
      root.children = [this.#root, child];
      root.firstScores = [0, firstScore];
      root.firstRefs = [0, firstRef];
      root.counts = [this.count - count, count];
      this.#root = root;
      return;
    }
    const node = path[depth];
    const place = places[depth] + 1;
    node.counts[place - 1] -= count;
    node.children.splice(place, 0, child);
    node.firstScores.splice(place, 0, firstScore);
    node.firstRefs.splice(place, 0, firstRef);
    node.counts.splice(place, 0, count);
    if (node.children.length <= INNER_MOST) return;
    const right = new Inner();
    this.#inners++;
    // What is added at the end goes on at the end.
    const kept = place === INNER_MOST ? INNER_MOST : INNER_MOST / 2;
    right.children = node.children.splice(kept);
    right.firstScores = node.firstScores.splice(kept);
    right.firstRefs = node.firstRefs.splice(kept);
    right.counts = node.counts.splice(kept);
    let moved = 0;
    for (const below of right.counts) moved += below;
    this.#addChild(depth - 1, right, right.firstScores[0], right.firstRefs[0], moved);
  }

  /** Takes away a leaf that is empty, or puts it together with a neighbour below the same node. */
  #tidy(leaf: Leaf): void {
    const depth = path.length - 1;
    const node = path[depth];
    const place = places[depth];
    if (leaf.count === 0) {
      this.#unlink(leaf);
      this.#removeChild(depth, place);
      return;
    }
    if (place + 1 < node.children.length && leaf.count + node.counts[place + 1] <= LEAF_MERGED_MOST) {
      this.#merge(node, place);
    } else if (place > 0 && leaf.count + node.counts[place - 1] <= LEAF_MERGED_MOST) {
      this.#merge(node, place - 1);
    } else {
      return;
    }
    if (depth === 0 && node.children.length === 1) this.#lowerRoot();
  }

  /** Moves the elements of the leaf after `place` into the one there. */
  #merge(node: Inner, place: number): void {
    const left = node.children[place] as Leaf;
    const right = node.children[place + 1] as Leaf;
    for (let index = 0; index < right.count; index++) {
      insertInto(left, left.count, right.scores[index], right.refs[index]);
    }
    this.#unlink(right);
    node.counts[place] += right.count;
    node.children.splice(place + 1, 1);
    node.firstScores.splice(place + 1, 1);
    node.firstRefs.splice(place + 1, 1);
    node.counts.splice(place + 1, 1);
  }

  #unlink(leaf: Leaf): void {
    if (leaf.previous !== null) leaf.previous.next = leaf.next;
    if (leaf.next !== null) leaf.next.previous = leaf.previous;
    this.#leaves--;
  }

  #removeChild(depth: number, place: number): void {
    const node = path[depth];
    node.children.splice(place, 1);
    node.firstScores.splice(place, 1);
    node.firstRefs.splice(place, 1);
    node.counts.splice(place, 1);
    if (node.children.length === 0) {
      // The root has at least two children, so it never comes to this.
      this.#inners--;
      this.#removeChild(depth - 1, places[depth - 1]);
      return;
    }
    if (place === 0) setFirst(depth - 1, node.firstScores[0], node.firstRefs[0]);
    if (node.children.length === 1) this.#lowerRoot();
  }

  #lowerRoot(): void {
    while (this.#root instanceof Inner && this.#root.children.length === 1) {
      this.#root = this.#root.children[0]!;
      this.#inners--;
    }
  }
}

/** Another element is the first one below the node that the path reaches below `depth`. */
function setFirst(depth: number, score: number, ref: number): void {
  while (depth >= 0 && places[depth] === 0) depth--;
  if (depth < 0) return;
  path[depth].firstScores[places[depth]] = score;
  path[depth].firstRefs[places[depth]] = ref;
}
