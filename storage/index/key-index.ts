/**
 * The index of one database: extendible hashing (Fagin, Nievergelt, Pippenger, Strong 1979) over open-addressed
 * segments in typed arrays. The hash's high bits choose the segment through a directory, its low bits the home slot.
 * It grows by splitting one segment of 1,024 slots at a time, so no insertion ever waits for a rehash of everything.
 *
 *   slot: | u32 hash | u32 ref |     ref 0 = empty
 *
 * A segment holds one contiguous range of hashes. That makes SCAN's cursor a position in hash order, which no split moves.
 */
import { keyEquals } from '../arena/block.ts';
import type { Arena } from '../arena/arena.ts';

const SLOTS = 1024;
const WORDS = SLOTS * 2;
const WORD_MASK = WORDS - 1;
const SLOT_MASK = SLOTS - 1;
/** Empty slots that a random draw passes over before it takes what comes first. */
const SAMPLE_DRAWS = 16_384;
const COUNT_MAX = Math.floor(SLOTS * 0.85);
const SEGMENT_BYTES = WORDS * 4;
/** A position in hash order past every key, and past every element. */
export const HASH_END = 0x100000000;
/** Segments share buffers of this many, so that the small-object overhead is paid once for all. */
const SEGMENTS_PER_BUFFER = 64;

/** Refs and hashes of the keys that are about to be visited; null while a visit uses it. */
let spare: Uint32Array | null = new Uint32Array(WORDS);

/**
 * Copies refs and hashes of the slots of [from, end) to `found`; returns how many words that are. The range is looked at first: few slots are
 * in it, and the processor foresees that. Which slots are empty it cannot foresee.
 */
export function gather(segment: Uint32Array, from: number, end: number, found: Uint32Array): number {
  const first = from >>> 0;
  const last = (end - from - 1) >>> 0;
  let count = 0;
  for (let at = 0; at < segment.length; at += 2) {
    const hash = segment[at];
    if ((hash - first) >>> 0 > last || segment[at + 1] === 0) continue;
    found[count] = segment[at + 1];
    found[count + 1] = hash;
    count += 2;
  }
  return count;
}

export class KeyIndex {
  /** Keys in the index, tombstones included. */
  count = 0;
  readonly #arena: Arena;
  #depth = 1;
  #shift = 31;
  #directory = new Uint32Array(2);
  readonly #segments: Uint32Array[] = [];
  readonly #counts: number[] = [];
  readonly #depths: number[] = [];
  #pool: SharedArrayBuffer | null = null;
  #poolUsed = SEGMENTS_PER_BUFFER;

  constructor(arena: Arena) {
    this.#arena = arena;
    const first = this.#addSegment(0);
    this.#directory.fill(first);
  }

  /** Bytes held by segments and directory. */
  get bytes(): number {
    return this.#segments.length * SEGMENT_BYTES + this.#directory.byteLength;
  }

  /** The block that holds the key, or 0. Of a hash its 32 bits count, not its sign, here and below. */
  find(hash: number, buffer: Uint8Array, start: number, length: number): number {
    const segment = this.#segments[this.#directory[hash >>> this.#shift]];
    const wanted = hash >>> 0;
    let at = (hash & SLOT_MASK) << 1;
    for (;;) {
      const ref = segment[at + 1];
      if (ref === 0) return 0;
      if (segment[at] === wanted && keyEquals(this.#arena, ref, buffer, start, length)) return ref;
      at = (at + 2) & WORD_MASK;
    }
  }

  /** A block whose key has this hash, or 0. */
  probe(hash: number): number {
    const segment = this.#segments[this.#directory[hash >>> this.#shift]];
    const wanted = hash >>> 0;
    let at = (hash & SLOT_MASK) << 1;
    while (segment[at] !== wanted && segment[at + 1] !== 0) at = (at + 2) & WORD_MASK;
    return segment[at + 1];
  }

  /** Adds a key that is not in the index. */
  insert(hash: number, ref: number): void {
    let id = this.#directory[hash >>> this.#shift];
    while (this.#counts[id] >= COUNT_MAX) {
      this.#split(id, hash);
      id = this.#directory[hash >>> this.#shift]!;
    }
    put(this.#segments[id], hash, ref);
    this.#counts[id]++;
    this.count++;
  }

  /** Points the key's slot at the block that it moved to. */
  replace(hash: number, oldRef: number, newRef: number): void {
    const segment = this.#segments[this.#directory[hash >>> this.#shift]];
    let at = (hash & SLOT_MASK) << 1;
    while (segment[at + 1] !== oldRef) at = (at + 2) & WORD_MASK;
    segment[at + 1] = newRef;
  }

  /** Takes a key out, moving later slots of its run back (Knuth 6.4, algorithm R) so that no marker stays. */
  remove(hash: number, ref: number): void {
    const id = this.#directory[hash >>> this.#shift];
    const segment = this.#segments[id];
    let hole = (hash & SLOT_MASK) << 1;
    while (segment[hole + 1] !== ref) hole = (hole + 2) & WORD_MASK;
    let at = hole;
    for (;;) {
      at = (at + 2) & WORD_MASK;
      if (segment[at + 1] === 0) break;
      const home = (segment[at] & SLOT_MASK) << 1;
      if (((at - home) & WORD_MASK) >= ((at - hole) & WORD_MASK)) {
        segment[hole] = segment[at]!;
        segment[hole + 1] = segment[at + 1]!;
        hole = at;
      }
    }
    segment[hole + 1] = 0;
    this.#counts[id]--;
    this.count--;
  }

  /**
   * Calls `visit` for every key whose hash is in [`from`, end) and returns `end`, chosen so that about `count` keys are
   * visited; HASH_END when all were. Keys present throughout a walk of consecutive ranges are visited exactly once.
   */
  visitRange(from: number, count: number, visit: (ref: number, hash: number) => void): number {
    let left = count;
    let at = from;
    while (at < HASH_END && left > 0) {
      const id = this.#directory[at >>> this.#shift];
      const span = 2 ** (32 - this.#depths[id]);
      const first = Math.floor(at / span) * span;
      const perKey = span / Math.max(1, this.#counts[id]);
      const end = Math.min(first + span, at + Math.max(1, Math.ceil(perKey * left)));
      if (this.#counts[id] > 0) left -= this.#visitSegment(this.#segments[id], at, end, visit);
      at = end;
    }
    return at;
  }

  #visitSegment(segment: Uint32Array, from: number, end: number, visit: (ref: number, hash: number) => void): number {
    const found = spare ?? new Uint32Array(WORDS);
    spare = null;
    const count = gather(segment, from, end, found);
    this.#arena.readAhead(found, count);
    // Collected first: what `visit` does may move slots.
    for (let at = 0; at < count; at += 2) visit(found[at], found[at + 1]);
    spare = found;
    return count / 2;
  }

  /**
   * A random key, each with the same chance, or 0 when there is none. `random` in [0, 1) chooses where to look first; slots
   * that are empty are passed over for others, also at random.
   */
  sample(random: number): number {
    if (this.count === 0) return 0;
    let state = Math.floor(random * 0x100000000) | 0;
    for (let draw = 0; draw < SAMPLE_DRAWS; draw++) {
      // Numerical Recipes' generator; its high bits are the good ones.
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      const segment = this.#segments[Math.floor(((state >>> 0) / 0x100000000) * this.#segments.length)];
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      const ref = segment[((state >>> 22) << 1) + 1];
      if (ref !== 0) return ref;
    }
    return this.#firstFrom(Math.floor(random * this.#segments.length));
  }

  /**
   * The blocks of keys drawn at random, fewer than `found` has room for: it holds what empty slots are drawn as well. Nothing in the loop
   * waits for what it has read, so that the processor reads many at once.
   */
  sampleSome(random: number, found: Uint32Array): number {
    let state = Math.floor(random * 0x100000000) | 0;
    for (let at = 0; at < found.length; at++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      const segment = this.#segments[Math.floor(((state >>> 0) / 0x100000000) * this.#segments.length)];
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      found[at] = segment[((state >>> 22) << 1) + 1];
    }
    let count = 0;
    for (let at = 0; at < found.length; at++) if (found[at] !== 0) found[count++] = found[at]!;
    return count;
  }

  /** A key of this segment or the next that has one: for an index that is all but empty. */
  #firstFrom(first: number): number {
    for (let step = 0; step < this.#segments.length; step++) {
      const id = (first + step) % this.#segments.length;
      if (this.#counts[id] === 0) continue;
      const segment = this.#segments[id];
      let at = 1;
      while (segment[at] === 0) at += 2;
      return segment[at];
    }
    return 0;
  }

  #addSegment(depth: number): number {
    if (this.#poolUsed === SEGMENTS_PER_BUFFER) {
      // The first buffer is a small one: most databases stay empty.
      const segments = this.#segments.length === 0 ? 1 : SEGMENTS_PER_BUFFER;
      this.#pool = new SharedArrayBuffer(segments * SEGMENT_BYTES);
      this.#poolUsed = SEGMENTS_PER_BUFFER - segments;
    }
    const offset = (this.#poolUsed - (SEGMENTS_PER_BUFFER - this.#pool!.byteLength / SEGMENT_BYTES)) * SEGMENT_BYTES;
    this.#poolUsed++;
    this.#segments.push(new Uint32Array(this.#pool!, offset, WORDS));
    this.#counts.push(0);
    this.#depths.push(depth);
    return this.#segments.length - 1;
  }

  #split(id: number, hash: number): void {
    const depth = this.#depths[id] + 1;
    if (depth > this.#depth) this.#doubleDirectory();
    const other = this.#addSegment(depth);
    this.#depths[id] = depth;
    const old = this.#segments[id];
    const slots = old.slice();
    old.fill(0);
    const bit = 32 - depth;
    let moved = 0;
    for (let at = 0; at < WORDS; at += 2) {
      if (slots[at + 1] === 0) continue;
      const upper = (slots[at] >>> bit) & 1;
      put(upper === 1 ? this.#segments[other] : old, slots[at], slots[at + 1]);
      moved += upper;
    }
    this.#counts[other] = moved;
    this.#counts[id] -= moved;
    // The range of directory entries that named `id`; its upper half now names `other`.
    const width = 2 ** (this.#depth - depth);
    const first = Math.floor((hash >>> this.#shift) / (width * 2)) * width * 2;
    this.#directory.fill(other, first + width, first + width * 2);
  }

  #doubleDirectory(): void {
    const old = this.#directory;
    this.#directory = new Uint32Array(old.length * 2);
    for (let at = 0; at < old.length; at++) this.#directory.fill(old[at], at * 2, at * 2 + 2);
    this.#depth++;
    this.#shift--;
  }
}

function put(segment: Uint32Array, hash: number, ref: number): void {
  let at = (hash & SLOT_MASK) << 1;
  while (segment[at + 1] !== 0) at = (at + 2) & WORD_MASK;
  segment[at] = hash;
  segment[at + 1] = ref;
}
