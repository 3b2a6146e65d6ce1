/**
 * The visible elements of a sorted set in the order of (score, member bytes): a B+ tree whose inner nodes count what is below
 * them, so that a rank, and the element at a rank, cost O(log n). Leaves are linked both ways for ranges. ordered-node.ts has what
 * is in the nodes.
 *
 * The first elements are in the inner nodes so that a step down among equal scores reads one element, and neither nodes nor leaves
 * on the way to it: all of that is somewhere else in memory. An element comes first in a leaf that is not the first of all only
 * when the leaf is split off, or by the removal of the one before it.
 */
import assert from 'node:assert';
import { isViewed, viewOf } from '../../protocol/byte-view.ts';
import type { Elements } from './element.ts';
import {
  above,
  CAPACITY_LEAST,
  capacityIn,
  childrenWord,
  countIn,
  firstIn,
  firstRefsWord,
  keysByte,
  notBelow,
  refsWord,
  SCORES_BYTE,
  wordOf,
} from './ordered-node.ts';
import { OrderedTree, path, places } from './ordered-tree.ts';

/** What is looked for: a place among names of one score, before or behind all of one score, or among names whatever their scores. */
const BY_KEY = 0;
const BY_SCORE = 1;
const BY_SCORE_INCLUSIVE = 2;
const BY_NAME = 3;
const BY_NAME_INCLUSIVE = 4;

const NO_BYTES = Buffer.alloc(0);

/** Bytes of a name in its key: a double holds so many exactly. */
const KEY_BYTES = 6;
/** What names have in common beyond this is not told from their keys. */
const PREFIX_BYTES_MAX = 64;

export class OrderedMembers extends OrderedTree {
  readonly #elements: Elements;
  /** What is looked for, set by the public methods. */
  #mode = BY_KEY;
  #score = NaN;
  /** The element whose name is looked for, when it is one that is there and its name was not needed yet. */
  #wanted = 0;
  #name: Uint8Array = NO_BYTES;
  /** The same bytes, when there is a view of them. */
  #nameView: DataView | null = null;
  #nameStart = 0;
  #nameLength = 0;
  /** What the names of all first elements in inner nodes begin with; their keys are of the bytes behind it. */
  #prefix: Buffer = NO_BYTES;
  /** -1 before there is any. */
  #prefixLength = -1;
  /** Whether the key of the name that is looked for was computed. */
  #hasKey = false;
  #key = NaN;

  constructor(elements: Elements) {
    super(elements.arena);
    this.#elements = elements;
  }

  // ---- ranks ----

  /** How many elements come before this score and name. */
  rank(score: number, name: Uint8Array, start: number, length: number): number {
    this.#seekKey(score, name, start, length);
    const rank = this.#rankOfKey();
    this.#name = NO_BYTES;
    return rank;
  }

  /** How many elements come before one that is there, and has this score. */
  rankOf(score: number, ref: number): number {
    this.#seekElement(score, ref);
    this.#descendTo(ref);
    return this.rankHere();
  }

  /** How many elements have a score less than this, or not greater. */
  countBelow(score: number, inclusive: boolean): number {
    this.#mode = inclusive ? BY_SCORE_INCLUSIVE : BY_SCORE;
    this.#score = score;
    return this.#rankOfKey();
  }

  /** How many elements come before this name, or not after it: meant for elements that all have the same score. */
  countBelowName(name: Uint8Array, inclusive: boolean): number {
    this.#seekKey(0, name, 0, name.length);
    this.#mode = inclusive ? BY_NAME_INCLUSIVE : BY_NAME;
    const rank = this.#rankOfKey();
    this.#name = NO_BYTES;
    return rank;
  }

  // ---- changes ----

  /** Takes in an element that is known to come behind all others. */
  append(score: number, ref: number): void {
    if (!this.appendToLast(score, ref)) this.insert(score, ref);
  }

  /** Takes in an element that is not there. */
  insert(score: number, ref: number): void {
    if (this.root === 0) {
      this.root = this.makeLeaf(CAPACITY_LEAST);
      this.last = this.root;
    }
    if (!this.#isBehindAll(score, ref)) {
      this.#seekElement(score, ref);
      this.#descend();
    }
    this.insertHere(score, ref);
  }

  /** Whether the element belongs behind all others; stands at the end then. */
  #isBehindAll(score: number, ref: number): boolean {
    this.settle();
    const last = this.last;
    const word0 = this.word0(last);
    const end = firstIn(word0) + countIn(word0);
    if (countIn(word0) > 0) {
      const greatest = this.scoreAt(last, end - 1);
      if (greatest > score) return false;
      if (greatest === score) {
        this.#seekElement(score, ref);
        if (this.#compareName(this.refAt(last, end - 1)) >= 0) return false;
      }
    }
    let node = this.root;
    for (let depth = 0; depth < this.height; depth++) {
      const place = this.slotsOf(node) - 1;
      path[depth] = node;
      places[depth] = place;
      node = this.childAt(node, place);
    }
    this.leaf = last;
    this.slot = end;
    return true;
  }

  /** Takes out an element that has this score. */
  remove(score: number, ref: number): void {
    if (!this.isAt(ref)) {
      this.#seekElement(score, ref);
      this.#descendTo(ref);
    }
    this.removeFound();
  }

  /** Gives an element that is there another score. */
  move(from: number, to: number, ref: number): void {
    this.#seekElement(from, ref);
    this.#descendTo(ref);
    const leaf = this.leaf;
    const slot = this.slot;
    const word0 = this.word0(leaf);
    const first = firstIn(word0);
    const last = first + countIn(word0) - 1;
    const isBehind = slot === first ? this.previousOf(leaf) === 0 : this.scoreAt(leaf, slot - 1) < to;
    const isBefore = slot === last ? this.nextOf(leaf) === 0 : this.scoreAt(leaf, slot + 1) > to;
    if (isBehind && isBefore) {
      this.setScore(leaf, slot, to);
      return;
    }
    this.removeFound();
    this.insert(to, ref);
  }

  #seekKey(score: number, name: Uint8Array, start: number, length: number): void {
    this.#mode = BY_KEY;
    this.#score = score;
    this.#wanted = 0;
    this.#hasKey = false;
    this.#name = name;
    this.#nameStart = start;
    this.#nameLength = length;
    this.#nameView = isViewed(name) ? viewOf(name) : null;
  }

  #seekElement(score: number, ref: number): void {
    this.#mode = BY_KEY;
    this.#score = score;
    this.#wanted = ref;
    this.#hasKey = false;
  }

  /** The name of the element that is looked for is needed: among other scores it is not. */
  #readWanted(): void {
    const elements = this.#elements;
    elements.readName(this.#wanted);
    this.#wanted = 0;
    this.#name = elements.nameBuffer;
    this.#nameView = elements.nameView;
    this.#nameStart = elements.nameStart;
    this.#nameLength = elements.nameLength;
  }

  // ---- keys ----

  protected override beginKeys(): void {
    this.#prefixLength = -1;
  }

  /** The key of a first element. Its name may have less in common with the others than they had: then all keys are computed anew. */
  protected override keyOf(ref: number): number {
    const elements = this.#elements;
    elements.readName(ref);
    const { nameBuffer, nameStart, nameLength } = elements;
    if (this.#prefixLength < 0) {
      this.#prefixLength = Math.min(nameLength, PREFIX_BYTES_MAX);
      this.#prefix = Buffer.from(nameBuffer.subarray(nameStart, nameStart + this.#prefixLength));
    }
    const shared = this.#sharedBytes(nameBuffer, nameStart, nameLength);
    if (shared < this.#prefixLength) {
      this.#prefixLength = shared;
      this.rekey();
    }
    return keyIn(nameBuffer, nameStart + shared, nameStart + nameLength);
  }

  /** How many bytes a name has in common with the first elements' names. */
  #sharedBytes(name: Uint8Array, start: number, length: number): number {
    const prefix = this.#prefix;
    const most = Math.min(length, this.#prefixLength);
    let shared = 0;
    while (shared < most && name[start + shared] === prefix[shared]) shared++;
    return shared;
  }

  /** The key of the name that is looked for; infinite when the name is before all that begin with the prefix, or behind them. */
  #computeKey(): void {
    if (this.#wanted !== 0) this.#readWanted();
    this.#hasKey = true;
    const name = this.#name;
    const start = this.#nameStart;
    const length = this.#nameLength;
    const shared = this.#sharedBytes(name, start, length);
    if (shared === this.#prefixLength) this.#key = keyIn(name, start + shared, start + length);
    else this.#key = shared < length && name[start + shared] > this.#prefix[shared] ? Infinity : -Infinity;
  }

  // ---- the way down ----

  #rankOfKey(): number {
    if (this.root === 0) return 0;
    this.#descend();
    return this.rankHere();
  }

  /** Goes to the first element that is not before what is looked for. */
  #descend(): void {
    this.#descendToLeaf();
    const leaf = this.leaf;
    const words = this.arena.words[leaf >>> 20];
    const word = wordOf(leaf);
    const word0 = words[word];
    const first = firstIn(word0);
    const refs = refsWord(word, capacityIn(word0));
    this.slot = this.#search(leaf, first, first + countIn(word0), refs, 0);
  }

  /** `#descend` for an element that is there: references that lie side by side are compared sooner than names that lie anywhere. */
  #descendTo(ref: number): void {
    this.#descendToLeaf();
    const leaf = this.leaf;
    const words = this.arena.words[leaf >>> 20];
    const word = wordOf(leaf);
    const word0 = words[word];
    const first = firstIn(word0);
    const end = first + countIn(word0);
    const refs = refsWord(word, capacityIn(word0));
    let slot = first;
    while (slot < end && words[refs + slot] !== ref) slot++;
    assert(slot < end, 'an element is in the order that its score gives it');
    this.slot = slot;
  }

  #descendToLeaf(): void {
    this.settle();
    let node = this.root;
    const height = this.height;
    for (let depth = 0; depth < height; depth++) {
      const words = this.arena.words[node >>> 20];
      const word = wordOf(node);
      const word0 = words[word];
      const capacity = capacityIn(word0);
      // The last child whose first element is not behind what is looked for.
      const place = this.#search(node, 1, countIn(word0), firstRefsWord(word, capacity), keysByte(word, capacity)) - 1;
      path[depth] = node;
      places[depth] = place;
      node = words[childrenWord(word, capacity) + place];
    }
    this.arriveAt(node);
  }

  /**
   * The first of the slots from `from` to before `end` whose element is not before what is looked for, `end` when all are. Slot 0's
   * reference is at the word `refs`. In an inner node, whose keys begin at the byte `keys` (0 in a leaf), an element of the very
   * name that is looked for is before it.
   */
  #search(node: number, from: number, end: number, refs: number, keys: number): number {
    const mode = this.#mode;
    const view = this.arena.views[node >>> 20];
    let low = from;
    let high = end;
    if (mode <= BY_SCORE_INCLUSIVE) {
      const scores = ((node & 0xfffff) << 3) + SCORES_BYTE;
      const score = this.#score;
      const endByte = scores + end * 8;
      const at = notBelow(view, scores + from * 8, endByte, score);
      low = (at - scores) >>> 3;
      if (mode === BY_SCORE || at === endByte || view.getFloat64(at, true) !== score) return low;
      high = (above(view, at + 8, endByte, score) - scores) >>> 3;
      if (mode === BY_SCORE_INCLUSIVE) return high;
    }
    if (keys !== 0) {
      if (!this.#hasKey) this.#computeKey();
      const key = this.#key;
      low = (notBelow(view, keys + low * 8, keys + high * 8, key) - keys) >>> 3;
      high = (above(view, keys + low * 8, keys + high * 8, key) - keys) >>> 3;
    }
    const words = this.arena.words[node >>> 20];
    const most = keys !== 0 || mode === BY_NAME_INCLUSIVE ? 0 : -1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      // The element is before what is looked for.
      if (this.#compareName(words[refs + middle]) <= most) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #compareName(ref: number): number {
    if (this.#wanted !== 0) this.#readWanted();
    const view = this.#nameView;
    if (view === null) return this.#elements.compareName(ref, this.#name, this.#nameStart, this.#nameLength);
    return this.#elements.compareNameView(ref, view, this.#nameStart, this.#nameLength);
  }
}

/** The bytes of a name from `at` on as a number; as if zeros were behind its end. */
function keyIn(name: Uint8Array, at: number, end: number): number {
  let key = 0;
  for (const last = at + KEY_BYTES; at < last; at++) key = key * 256 + (at < end ? name[at] : 0);
  return key;
}
