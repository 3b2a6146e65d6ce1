/**
 * The elements of one collection by name. Up to 8 are a list that is searched. More are hashed: extendible hashing as in
 * key-index.ts, but beginning with 16 slots. One segment
 * doubles up to 4,096 slots; from then on full segments split, so that no insertion waits for a rehash of everything.
 *
 *   slot: | u32 hash | u32 ref |     ref 0 = empty
 *
 * A segment holds one contiguous range of hashes, so a position in hash order is a cursor that no growth moves.
 */
import { freeBuffer } from '../../protocol/free-buffer.ts';
import { gather, HASH_END } from '../index/key-index.ts';
import type { Elements } from './element.ts';

/** Up to this many elements are only listed. */
const LISTED_MOST = 8;
const SLOTS_LEAST = 16;
const SLOTS_MOST = 4096;
const LOAD_MOST = 0.8;
/** Two halves of a range with so many elements to a segment's slots become one. */
const MERGE_MOST = 0.4;
/** Bytes of a typed array besides its content. */
const ARRAY_OVERHEAD_BYTES = 176;
/** Random slots that are tried before a walk looks for an element. */
const SAMPLES_MAX = 200;
/** So many are drawn at once from an index that is drawn from again and again, and has more slots than caches hold. */
const DRAWN_AHEAD = 16;
const DRAWN_AHEAD_FROM = 8192;

/** Up to this many elements their order of insertion is kept, as a listpack does. */
const ORDERED_MOST = 512;

/** Refs and hashes of the elements that are about to be visited; null while a visit uses it. */
let spare: Uint32Array | null = null;

/** Knows the 32-bit unsigned hash of an element's name. */
export interface NameHasher {
  hashOf(ref: number): number;
}

/** Shared by all that have none; never written to. */
const NONE: number[] = [];
const NO_SEGMENTS: Uint32Array[] = [];

/**
 * Random slots of the index that was drawn from last. A slot and its element lie anywhere in memory; those of several draws are fetched
 * at the same time. What a slot holds is only looked at when it is taken, so each draw is as random as if it were made then.
 */
const drawn = {
  /** The index's id, and its slots then. */
  owner: 0,
  spread: 0,
  slots: new Uint32Array(DRAWN_AHEAD),
  refs: new Uint32Array(DRAWN_AHEAD),
  taken: DRAWN_AHEAD,
  /** What was looked at, so that looking is not found to be useless and left out. */
  seen: 0,
};
let lastId = 0;

export class MemberIndex {
  count = 0;
  /** The hash last computed by `find`. */
  hash = 0;
  readonly #elements: Elements;
  readonly #owner: NameHasher;
  /** The elements are few, and not hashed. */
  #isListed = true;
  /** The elements in the order of insertion, while they are few. */
  #order: number[] | null = [];
  #slots = 0;
  #mask = 0;
  #directory: number[] = NONE;
  /** The directory has 2^depth entries. */
  #depth = 0;
  #segments: Uint32Array[] = NO_SEGMENTS;
  #counts: number[] = NONE;
  #depths: number[] = NONE;
  readonly #id = ++lastId;
  /** The slot that the last sample was in. */
  #sampled = 0;

  constructor(elements: Elements, owner: NameHasher) {
    this.#elements = elements;
    this.#owner = owner;
  }

  get bytes(): number {
    const order = this.#order === null ? 0 : this.#order.length * 8;
    return this.#segments.length * (this.#slots * 8 + ARRAY_OVERHEAD_BYTES + 24) + this.#directory.length * 8 + order;
  }

  #segmentOf(hash: number): number {
    // A shift by 32 would be one by 0.
    return this.#depth === 0 ? 0 : this.#directory[hash >>> (32 - this.#depth)];
  }

  /** The element of the name, whose hash the caller has computed, or 0. */
  find(hash: number, name: Uint8Array, start: number, length: number): number {
    if (this.#isListed) return this.findListed(name, start, length);
    const segment = this.#segments[this.#segmentOf(hash)];
    const mask = this.#mask;
    let at = (hash << 1) & mask;
    for (;;) {
      const ref = segment[at + 1];
      if (ref === 0) return 0;
      if (segment[at] === hash && this.#elements.nameEquals(ref, name, start, length)) return ref;
      at = (at + 2) & mask;
    }
  }

  /** Whether the hashes that are asked for are not looked at. */
  get isListed(): boolean {
    return this.#isListed;
  }

  /** Whether one more element is listed, its hash not looked at. */
  get hasListRoom(): boolean {
    return this.#isListed && this.count < LISTED_MOST;
  }

  findListed(name: Uint8Array, start: number, length: number): number {
    const order = this.#order!;
    for (let at = 0; at < order.length; at++) {
      const ref = order[at];
      if (this.#elements.nameEquals(ref, name, start, length)) return ref;
    }
    return 0;
  }

  #beginHashing(): void {
    this.#isListed = false;
    this.#slots = SLOTS_LEAST;
    this.#mask = SLOTS_LEAST * 2 - 1;
    this.#directory = [0];
    this.#depth = 0;
    this.#segments = [new Uint32Array(SLOTS_LEAST * 2)];
    this.#counts = [this.count];
    this.#depths = [0];
    for (const ref of this.#order!) this.#put(this.#segments[0], this.#owner.hashOf(ref), ref);
  }

  /** Adds an element that is not there. */
  insert(hash: number, ref: number): void {
    if (this.#isListed) {
      if (this.count < LISTED_MOST) {
        this.#order!.push(ref);
        this.count++;
        return;
      }
      this.#beginHashing();
    }
    let id = this.#segmentOf(hash);
    while (this.#counts[id] >= this.#slots * LOAD_MOST) {
      if (this.#slots < SLOTS_MOST) this.#resize(this.#slots * 2);
      else this.#split(id, hash);
      id = this.#segmentOf(hash);
    }
    this.#put(this.#segments[id], hash, ref);
    this.#counts[id]++;
    this.count++;
    if (this.#order === null) return;
    if (this.count > ORDERED_MOST) this.#order = null;
    else this.#order.push(ref);
  }

  replace(hash: number, oldRef: number, newRef: number): void {
    if (this.#isListed) {
      this.#order![this.#order!.indexOf(oldRef)] = newRef;
      return;
    }
    const segment = this.#segments[this.#segmentOf(hash)];
    let at = (hash << 1) & this.#mask;
    while (segment[at + 1] !== oldRef) at = (at + 2) & this.#mask;
    segment[at + 1] = newRef;
    if (this.#order !== null) this.#order[this.#order.lastIndexOf(oldRef)] = newRef;
  }

  /** Takes an element out, moving later slots of its run back (Knuth 6.4, algorithm R). */
  remove(hash: number, ref: number): void {
    if (this.#isListed) {
      this.#order!.splice(this.#order!.indexOf(ref), 1);
      this.count--;
      return;
    }
    const id = this.#segmentOf(hash);
    const segment = this.#segments[id];
    const mask = this.#mask;
    let hole = (hash << 1) & mask;
    while (segment[hole + 1] !== ref) hole = (hole + 2) & mask;
    for (let at = (hole + 2) & mask; segment[at + 1] !== 0; at = (at + 2) & mask) {
      const home = (segment[at] << 1) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      segment[hole] = segment[at];
      segment[hole + 1] = segment[at + 1];
      hole = at;
    }
    segment[hole + 1] = 0;
    this.#counts[id]--;
    this.count--;
    if (this.#order !== null) this.#order.splice(this.#order.indexOf(ref), 1);
    if (this.#depths[id] > 0) this.#mergeAround(id, hash);
    if (this.#depth === 0 && this.#slots > SLOTS_LEAST && this.count < this.#slots / 8) this.#resize(this.#slots / 2);
    else if (this.count === 0) this.#reset();
  }

  /** Forgets the elements, whose blocks were freed. */
  discard(): void {
    this.#segments.forEach(freeBuffer);
    this.count = 0;
    this.#reset();
  }

  #reset(): void {
    this.#order = [];
    this.#isListed = true;
    this.#slots = 0;
    this.#mask = 0;
    this.#directory = NONE;
    this.#depth = 0;
    this.#segments = NO_SEGMENTS;
    this.#counts = NONE;
    this.#depths = NONE;
  }

  /**
   * Calls `visit` for every element whose hash is in [`from`, end) and returns `end`, chosen so that about `count` are visited;
   * HASH_END when all were. Elements present throughout a walk of consecutive ranges are visited exactly once. `visit` may
   * change the index.
   */
  visitRange(from: number, count: number, visit: (ref: number, hash: number) => void): number {
    if (this.#isListed) {
      for (const ref of [...this.#order!]) {
        const hash = this.#owner.hashOf(ref);
        if (hash >= from) visit(ref, hash);
      }
      return HASH_END;
    }
    let left = count;
    let at = from;
    while (at < HASH_END && left > 0) {
      const id = this.#segmentOf(at);
      const span = 2 ** (32 - this.#depths[id]);
      const first = Math.floor(at / span) * span;
      const perElement = span / Math.max(1, this.#counts[id]);
      const end = Math.min(first + span, at + Math.max(1, Math.ceil(perElement * left)));
      left -= this.#visitSegment(this.#segments[id], at, end, visit);
      at = end;
    }
    return at;
  }

  #visitSegment(segment: Uint32Array, from: number, end: number, visit: (ref: number, hash: number) => void): number {
    let found = spare;
    if (found === null || found.length < segment.length) found = new Uint32Array(segment.length);
    spare = null;
    const count = gather(segment, from, end, found);
    this.#elements.arena.readAhead(found, count);
    for (let at = 0; at < count; at += 2) visit(found[at], found[at + 1]);
    spare = found;
    return count / 2;
  }

  /** The elements in the order of insertion, tombstones too; null when they are too many for it to be known. */
  inOrder(): number[] | null {
    return this.#order === null ? null : [...this.#order];
  }

  /** Calls `visit` for every element, tombstones too, in the order of insertion while they are few; `visit` may not write. */
  forEach(visit: (ref: number) => void): void {
    if (this.#order !== null) {
      for (const ref of this.#order) visit(ref);
      return;
    }
    for (const segment of this.#segments) {
      for (let at = 1; at < segment.length; at += 2) if (segment[at] !== 0) visit(segment[at]);
    }
  }

  /** A visible element, every one as likely as another, or 0 when there is none. `random` is uniform in [0, 1). */
  sample(random: () => number): number {
    if (this.#isListed) {
      const visible = this.#order!.filter((ref) => this.#elements.isVisible(ref));
      return visible.length === 0 ? 0 : visible[Math.floor(random() * visible.length)];
    }
    const { length } = this.#segments;
    for (let tries = 0; tries < SAMPLES_MAX; tries++) {
      const slot = this.#draw(random);
      const ref = this.#refAt(slot);
      if (ref === 0 || !this.#elements.isVisible(ref)) continue;
      this.#sampled = slot;
      return ref;
    }
    // Nearly empty or full of tombstones: one of those in the first segment that has any.
    const first = Math.floor(random() * length);
    for (let step = 0; step < length; step++) {
      const segment = this.#segments[(first + step) % length];
      const found = segment.filter((ref, at) => at % 2 === 1 && ref !== 0 && this.#elements.isVisible(ref));
      if (found.length > 0) return found[Math.floor(random() * found.length)];
    }
    return 0;
  }

  #refAt(slot: number): number {
    const segment = this.#segments[Math.trunc(slot / this.#slots)];
    return segment[(slot & (this.#slots - 1)) * 2 + 1];
  }

  /** The hash of the element that was sampled last, while it is where it was; -1 for another one. */
  hashOfSampled(ref: number): number {
    const slot = this.#sampled;
    const segment = this.#segments[Math.trunc(slot / this.#slots)] as Uint32Array | undefined;
    const at = (slot & (this.#slots - 1)) * 2;
    return segment !== undefined && segment[at + 1] === ref ? segment[at] : -1;
  }

  /** A slot, each as likely as another. */
  #draw(random: () => number): number {
    const spread = this.#segments.length * this.#slots;
    if (drawn.owner !== this.#id || drawn.spread !== spread) {
      drawn.owner = spread < DRAWN_AHEAD_FROM ? 0 : this.#id;
      drawn.spread = spread;
      drawn.taken = DRAWN_AHEAD;
      return Math.floor(random() * spread);
    }
    if (drawn.taken === DRAWN_AHEAD) this.#drawAhead(random, spread);
    return drawn.slots[drawn.taken++];
  }

  #drawAhead(random: () => number, spread: number): void {
    const { slots, refs } = drawn;
    for (let at = 0; at < DRAWN_AHEAD; at++) slots[at] = Math.floor(random() * spread);
    for (let at = 0; at < DRAWN_AHEAD; at++) refs[at] = this.#refAt(slots[at]);
    let seen = 0;
    for (let at = 0; at < DRAWN_AHEAD; at++) if (refs[at] !== 0 && this.#elements.isVisible(refs[at])) seen++;
    drawn.seen = seen;
    drawn.taken = 0;
  }

  /** Puts a segment together with its other half, once split off, when both have become sparse: a sample looks for a full slot. */
  #mergeAround(id: number, hash: number): void {
    const depth = this.#depths[id];
    if (this.#counts[id] > this.#slots * MERGE_MOST) return;
    const width = 2 ** (this.#depth - depth);
    const first = Math.floor((hash >>> (32 - this.#depth)) / (width * 2)) * width * 2;
    const lower = this.#directory[first];
    const upper = this.#directory[first + width];
    if (lower === upper || this.#depths[lower] !== depth || this.#depths[upper] !== depth) return;
    if (this.#counts[lower] + this.#counts[upper] > this.#slots * MERGE_MOST) return;
    const from = this.#segments[upper];
    for (let at = 0; at < from.length; at += 2) {
      if (from[at + 1] !== 0) this.#put(this.#segments[lower], from[at], from[at + 1]);
    }
    this.#counts[lower] += this.#counts[upper];
    this.#depths[lower] = depth - 1;
    this.#directory.fill(lower, first + width, first + width * 2);
    this.#forget(upper);
    if (this.#segments.length === 1) {
      this.#directory = [0];
      this.#depth = 0;
    }
  }

  /** Takes away a segment that no entry of the directory names any more: the last one gets its number. */
  #forget(id: number): void {
    const last = this.#segments.length - 1;
    if (id !== last) {
      this.#segments[id] = this.#segments[last];
      this.#counts[id] = this.#counts[last];
      this.#depths[id] = this.#depths[last];
      const first = this.#directory.indexOf(last);
      this.#directory.fill(id, first, first + 2 ** (this.#depth - this.#depths[id]));
    }
    this.#segments.pop();
    this.#counts.pop();
    this.#depths.pop();
  }

  #put(segment: Uint32Array, hash: number, ref: number): void {
    let at = (hash << 1) & this.#mask;
    while (segment[at + 1] !== 0) at = (at + 2) & this.#mask;
    segment[at] = hash;
    segment[at + 1] = ref;
  }

  /** Gives the one segment there is another size. */
  #resize(slots: number): void {
    const old = this.#segments[0];
    this.#slots = slots;
    this.#mask = slots * 2 - 1;
    const segment = new Uint32Array(slots * 2);
    this.#segments[0] = segment;
    for (let at = 0; at < old.length; at += 2) if (old[at + 1] !== 0) this.#put(segment, old[at], old[at + 1]);
    freeBuffer(old);
  }

  #split(id: number, hash: number): void {
    const depth = this.#depths[id] + 1;
    if (depth > this.#depth) {
      this.#directory = this.#directory.flatMap((entry) => [entry, entry]);
      this.#depth = depth;
    }
    const other = this.#segments.length;
    const old = this.#segments[id].slice();
    const upper = new Uint32Array(this.#slots * 2);
    this.#segments.push(upper);
    this.#segments[id].fill(0);
    let moved = 0;
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1] === 0) continue;
      const isUpper = ((old[at] >>> (32 - depth)) & 1) === 1;
      this.#put(isUpper ? upper : this.#segments[id], old[at], old[at + 1]);
      if (isUpper) moved++;
    }
    freeBuffer(old);
    this.#counts.push(moved);
    this.#counts[id] -= moved;
    this.#depths[id] = depth;
    this.#depths.push(depth);
    const width = 2 ** (this.#depth - depth);
    const first = Math.floor((hash >>> (32 - this.#depth)) / (width * 2)) * width * 2;
    this.#directory.fill(other, first + width, first + width * 2);
  }
}
