/**
 * Elements of one collection in the order of their names: runs of references, so that both ends take and give at no cost that
 * grows, and the element at an index or of a name is found by halving.
 *
 *   chunks   | 1 … 512 references | 1 … 512 references | …
 *   chunk    | room | references | room |
 */
import type { Elements } from './element.ts';

const CHUNK_REFS_MAX = 512;
const CHUNK_REFS_FIRST = 8;
/** JS objects of a chunk, besides its references: measured. */
const CHUNK_BYTES = 160;
const REF_BYTES = 5;

class Chunk {
  refs: Uint32Array;
  start: number;
  end: number;

  constructor(capacity: number, start: number) {
    this.refs = new Uint32Array(capacity);
    this.start = start;
    this.end = start;
  }

  get size(): number {
    return this.end - this.start;
  }

  /** Makes room at an end; false when the chunk may not grow any more. */
  grow(atStart: boolean): boolean {
    const { refs, start, end } = this;
    const size = end - start;
    // Half of the room is free after a move, or the same references would be moved again and again.
    const capacity = size * 2 <= refs.length ? refs.length : refs.length * 2;
    if (capacity > CHUNK_REFS_MAX) return false;
    const moved = capacity === refs.length ? refs : new Uint32Array(capacity);
    const to = atStart ? capacity - size : 0;
    if (moved === refs) refs.copyWithin(to, start, end);
    else moved.set(refs.subarray(start, end), to);
    this.refs = moved;
    this.start = to;
    this.end = to + size;
    return true;
  }
}

export class RefOrder {
  readonly #elements: Elements;
  #chunks: Chunk[] = [];
  /** References in the chunks between the first and this one; right while `#hasOffsets`. */
  #offsets: number[] = [];
  #hasOffsets = false;
  length = 0;
  /** Where `locate` has found the name, or where it belongs. */
  #chunkAt = 0;
  #refAt = 0;

  constructor(elements: Elements) {
    this.#elements = elements;
  }

  get first(): number {
    if (this.length === 0) return 0;
    const chunk = this.#chunks[0];
    return chunk.refs[chunk.start];
  }

  get last(): number {
    if (this.length === 0) return 0;
    const chunk = this.#chunks[this.#chunks.length - 1];
    return chunk.refs[chunk.end - 1];
  }

  /** About: chunks have some room to spare. */
  get bytes(): number {
    return this.#chunks.length * CHUNK_BYTES + this.length * REF_BYTES;
  }

  push(ref: number): void {
    let chunk = this.#chunks[this.#chunks.length - 1] as Chunk | undefined;
    if (chunk === undefined || (chunk.end === chunk.refs.length && !chunk.grow(false))) {
      chunk = new Chunk(chunk === undefined ? CHUNK_REFS_FIRST : CHUNK_REFS_MAX, 0);
      this.#chunks.push(chunk);
      this.#hasOffsets = false;
    }
    chunk.refs[chunk.end++] = ref;
    this.length++;
  }

  unshift(ref: number): void {
    let chunk = this.#chunks[0] as Chunk | undefined;
    if (chunk === undefined || (chunk.start === 0 && !chunk.grow(true))) {
      const capacity = chunk === undefined ? CHUNK_REFS_FIRST : CHUNK_REFS_MAX;
      chunk = new Chunk(capacity, capacity);
      this.#chunks.unshift(chunk);
      this.#hasOffsets = false;
    }
    chunk.refs[--chunk.start] = ref;
    this.length++;
  }

  /** The reference at an index that is there. */
  at(index: number): number {
    this.seek(index);
    const chunk = this.#chunks[this.#chunkAt];
    return chunk.refs[this.#refAt];
  }

  /** Stands at an index that is there; `next` and `previous` go on from it. */
  seek(index: number): void {
    const chunks = this.#chunks;
    const last = chunks.length - 1;
    const inFirst = chunks[0].size;
    if (index < inFirst) {
      this.#chunkAt = 0;
      this.#refAt = chunks[0].start + index;
      return;
    }
    const inLast = index - (this.length - chunks[last].size);
    if (inLast >= 0) {
      this.#chunkAt = last;
      this.#refAt = chunks[last].start + inLast;
      return;
    }
    this.#seekBetween(index - inFirst);
  }

  #seekBetween(index: number): void {
    if (!this.#hasOffsets) this.#countOffsets();
    const offsets = this.#offsets;
    let low = 1;
    let high = this.#chunks.length - 2;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (offsets[middle] <= index) low = middle;
      else high = middle - 1;
    }
    this.#chunkAt = low;
    this.#refAt = this.#chunks[low].start + index - offsets[low];
  }

  #countOffsets(): void {
    const offsets = this.#offsets;
    offsets.length = this.#chunks.length;
    let total = 0;
    offsets[0] = 0;
    for (let at = 1; at < offsets.length; at++) {
      offsets[at] = total;
      total += this.#chunks[at].size;
    }
    this.#hasOffsets = true;
  }

  /** The reference here, 0 past an end; stands at the one after it then. */
  next(): number {
    const chunk = this.#chunks[this.#chunkAt] as Chunk | undefined;
    if (chunk === undefined || this.#refAt >= chunk.end) return 0;
    const ref = chunk.refs[this.#refAt++];
    if (this.#refAt === chunk.end && this.#chunkAt + 1 < this.#chunks.length) {
      this.#chunkAt++;
      this.#refAt = this.#chunks[this.#chunkAt].start;
    }
    return ref;
  }

  /** The reference here, 0 past an end; stands at the one before it then. */
  previous(): number {
    const chunk = this.#chunks[this.#chunkAt] as Chunk | undefined;
    if (chunk === undefined || this.#refAt < chunk.start || this.#refAt >= chunk.end) return 0;
    const ref = chunk.refs[this.#refAt--];
    if (this.#refAt < chunk.start && this.#chunkAt > 0) {
      this.#chunkAt--;
      this.#refAt = this.#chunks[this.#chunkAt].end - 1;
    }
    return ref;
  }

  /** The reference of this name, or 0; stands at it, or at the first one after it. */
  locate(name: Uint8Array, start: number, length: number): number {
    const elements = this.#elements;
    const chunks = this.#chunks;
    this.#chunkAt = 0;
    this.#refAt = 0;
    if (this.length === 0) return 0;
    let low = 0;
    let high = chunks.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const chunk = chunks[middle];
      if (elements.compareName(chunk.refs[chunk.end - 1], name, start, length) < 0) low = middle + 1;
      else high = middle;
    }
    const { refs, start: from, end } = chunks[low];
    let least = from;
    let most = end;
    while (least < most) {
      const middle = (least + most) >>> 1;
      if (elements.compareName(refs[middle], name, start, length) < 0) least = middle + 1;
      else most = middle;
    }
    this.#chunkAt = low;
    this.#refAt = least;
    return least < end && elements.compareName(refs[least], name, start, length) === 0 ? refs[least] : 0;
  }

  /** Stands at a reference that is there, found by its name. */
  locateRef(ref: number): void {
    if (ref === this.first) {
      this.#chunkAt = 0;
      this.#refAt = this.#chunks[0].start;
    } else if (ref === this.last) {
      this.#chunkAt = this.#chunks.length - 1;
      this.#refAt = this.#chunks[this.#chunkAt].end - 1;
    } else {
      this.#elements.readName(ref);
      const { nameBuffer, nameStart, nameLength } = this.#elements;
      this.locate(nameBuffer, nameStart, nameLength);
    }
  }

  /** Puts in a reference of an element whose name is not there, in its place. */
  insert(ref: number): void {
    const elements = this.#elements;
    elements.readName(ref);
    const { nameBuffer, nameStart, nameLength } = elements;
    if (this.length === 0 || elements.compareName(this.last, nameBuffer, nameStart, nameLength) < 0) this.push(ref);
    else if (elements.compareName(this.first, nameBuffer, nameStart, nameLength) > 0) this.unshift(ref);
    else {
      this.locate(nameBuffer, nameStart, nameLength);
      this.#insertHere(ref);
    }
  }

  #insertHere(ref: number): void {
    let chunk = this.#chunks[this.#chunkAt];
    if (chunk.end === chunk.refs.length) {
      const offset = this.#refAt - chunk.start;
      if (chunk.grow(false)) {
        this.#refAt = chunk.start + offset;
      } else if (chunk.start > 0) {
        chunk.refs.copyWithin(0, chunk.start, chunk.end);
        chunk.end -= chunk.start;
        chunk.start = 0;
        this.#refAt = offset;
      } else {
        chunk = this.#split(chunk);
      }
    }
    chunk.refs.copyWithin(this.#refAt + 1, this.#refAt, chunk.end);
    chunk.refs[this.#refAt] = ref;
    chunk.end++;
    this.length++;
    this.#hasOffsets = false;
  }

  /** Halves the chunk that `locate` has found; returns the half in which its place is. */
  #split(chunk: Chunk): Chunk {
    const middle = chunk.start + (chunk.size >>> 1);
    const right = new Chunk(CHUNK_REFS_MAX, 0);
    right.refs.set(chunk.refs.subarray(middle, chunk.end));
    right.end = chunk.end - middle;
    chunk.end = middle;
    this.#chunks.splice(this.#chunkAt + 1, 0, right);
    if (this.#refAt <= middle) return chunk;
    this.#refAt -= middle;
    this.#chunkAt++;
    return right;
  }

  /** Puts another reference in the place of one that is there and has the same name. */
  replace(oldRef: number, newRef: number): void {
    this.locateRef(oldRef);
    this.#chunks[this.#chunkAt].refs[this.#refAt] = newRef;
  }

  /** Takes out a reference that is there. */
  remove(ref: number): void {
    this.locateRef(ref);
    const at = this.#chunkAt;
    const chunk = this.#chunks[at];
    this.length--;
    if (this.#refAt === chunk.start) chunk.start++;
    else {
      chunk.refs.copyWithin(this.#refAt, this.#refAt + 1, chunk.end);
      chunk.end--;
    }
    const isAtEnd = at === 0 || at === this.#chunks.length - 1;
    if (!isAtEnd) this.#hasOffsets = false;
    if (chunk.size === 0) {
      this.#chunks.splice(at, 1);
      this.#hasOffsets = false;
    } else if (!isAtEnd && chunk.size < CHUNK_REFS_MAX / 8) {
      this.#join(at);
    }
  }

  /** Puts a small chunk together with the next one where both fit well into one. */
  #join(at: number): void {
    const chunk = this.#chunks[at];
    const next = this.#chunks[at + 1];
    if (chunk.size + next.size > CHUNK_REFS_MAX / 2) return;
    const joined = new Chunk(CHUNK_REFS_MAX, 0);
    joined.refs.set(chunk.refs.subarray(chunk.start, chunk.end));
    joined.refs.set(next.refs.subarray(next.start, next.end), chunk.size);
    joined.end = chunk.size + next.size;
    this.#chunks.splice(at, 2, joined);
  }
}
