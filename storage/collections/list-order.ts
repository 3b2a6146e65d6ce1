/**
 * Elements of one list in the order of their names: chunks, each of references to blocks or a run (list-run.ts), so that both ends
 * take and give at no cost that grows, and the element at an index or of a name is found by halving.
 *
 *   chunks   | 1 … 512 references | run of 1 … 512 elements | …
 *   chunk    | room | references | room |
 */
import type { Elements } from './element.ts';
import { ListRun } from './list-run.ts';
import { compareRunName, eachRunValue, placeBehind, readRunValue, type ValueVisitor } from './list-run-reader.ts';
import { CHUNK_REFS_MAX, RefChunk } from './ref-chunk.ts';

const CHUNK_REFS_FIRST = 8;
/** JS objects of a chunk, besides its references: measured. */
const CHUNK_BYTES = 160;
const REF_BYTES = 5;

type Chunk = RefChunk | ListRun;

export class ListOrder {
  readonly #elements: Elements;
  /** Gives each element of a run a block, and frees the run; the references in the order of the list. */
  readonly #breakUp: (run: ListRun) => Uint32Array;
  readonly #chunks: Chunk[] = [];
  /** Elements in the chunks between the first and this one; right while `#hasOffsets`. */
  readonly #offsets: number[] = [];
  #hasOffsets = false;
  length = 0;
  /** How many of these are in runs. */
  inRuns = 0;
  /** Where `locate` and `seek` have found the element, or where it belongs. */
  #chunkAt = 0;
  #place = 0;
  /** The element that `forward` or `back` has passed last. */
  #passedChunkAt = 0;
  #passedPlace = 0;

  constructor(elements: Elements, breakUp: (run: ListRun) => Uint32Array) {
    this.#elements = elements;
    this.#breakUp = breakUp;
  }

  /** The first element, in a block of its own, or 0. */
  get first(): number {
    if (this.length === 0) return 0;
    const { refs, start } = this.#own(0);
    return refs[start];
  }

  get last(): number {
    if (this.length === 0) return 0;
    const { refs, end } = this.#own(this.#chunks.length - 1);
    return refs[end - 1];
  }

  /** About: chunks have some room to spare. */
  get bytes(): number {
    return this.#chunks.length * CHUNK_BYTES + (this.length - this.inRuns) * REF_BYTES;
  }

  // ---- runs ----

  /** The chunk before all others (−1) or after them (1) when it is a run, else null. */
  runAt(end: -1 | 1): ListRun | null {
    const chunks = this.#chunks;
    if (chunks.length === 0) return null;
    const chunk = chunks[end === 1 ? chunks.length - 1 : 0];
    return chunk instanceof ListRun ? chunk : null;
  }

  /** Whether a run may begin at an end: not where the one before it has broken off at once, or there would be a block for each element. */
  mayBeginRun(end: -1 | 1, sizeLeast: number): boolean {
    if (this.length === 0) return true;
    const run = this.runAt(end);
    if (run === null) return false;
    if (run.size >= sizeLeast) return true;
    this.#own(end === 1 ? this.#chunks.length - 1 : 0);
    return false;
  }

  /** Takes in a run before all others, or after them. */
  addRun(run: ListRun, end: -1 | 1): void {
    if (end === 1) this.#chunks.push(run);
    else this.#chunks.unshift(run);
    this.#hasOffsets = false;
    this.length += run.size;
    this.inRuns += run.size;
  }

  /** The run at an end has one more element. */
  noteAppended(): void {
    this.length++;
    this.inRuns++;
  }

  /** Takes off the element at an end, which is in a run. */
  dropFromRun(end: -1 | 1): void {
    const at = end === 1 ? this.#chunks.length - 1 : 0;
    const run = this.#chunks[at] as ListRun;
    this.length--;
    this.inRuns--;
    if (run.size > 1) {
      run.drop(end === -1);
      return;
    }
    run.free();
    if (end === 1) this.#chunks.pop();
    else this.#chunks.shift();
    this.#hasOffsets = false;
  }

  /** The run that it stands in, or null. */
  get runHere(): ListRun | null {
    const chunk = this.#chunks[this.#chunkAt];
    return chunk instanceof ListRun ? chunk : null;
  }

  /** The references of the chunk that it stands in; a run in it is broken up. */
  ownHere(): Uint32Array {
    const { refs, start, end } = this.#own(this.#chunkAt);
    return refs.subarray(start, end);
  }

  /** How many elements of the chunk come before the one here. */
  get placeHere(): number {
    return this.#place;
  }

  get isInLastChunk(): boolean {
    return this.#chunkAt === this.#chunks.length - 1;
  }

  /** The chunk at an index, of references: a run's elements get blocks of their own. */
  #own(at: number): RefChunk {
    const chunk = this.#chunks[at];
    if (chunk instanceof RefChunk) return chunk;
    const refs = this.#breakUp(chunk);
    const owned = new RefChunk(refs, 0, refs.length);
    this.#chunks[at] = owned;
    this.inRuns -= refs.length;
    return owned;
  }

  // ---- both ends ----

  push(ref: number): void {
    const chunks = this.#chunks;
    let chunk = chunks[chunks.length - 1] as Chunk | undefined;
    if (!(chunk instanceof RefChunk) || (chunk.end === chunk.refs.length && !chunk.grow(false))) {
      chunk = RefChunk.empty(chunk instanceof RefChunk ? CHUNK_REFS_MAX : CHUNK_REFS_FIRST, 0);
      chunks.push(chunk);
      this.#hasOffsets = false;
    }
    chunk.refs[chunk.end++] = ref;
    this.length++;
  }

  unshift(ref: number): void {
    const chunks = this.#chunks;
    let chunk = chunks[0] as Chunk | undefined;
    if (!(chunk instanceof RefChunk) || (chunk.start === 0 && !chunk.grow(true))) {
      const capacity = chunk instanceof RefChunk ? CHUNK_REFS_MAX : CHUNK_REFS_FIRST;
      chunk = RefChunk.empty(capacity, capacity);
      chunks.unshift(chunk);
      this.#hasOffsets = false;
    }
    chunk.refs[--chunk.start] = ref;
    this.length++;
  }

  /** Takes off a chunk at an end, which is the caller's to free, with its references or its run; null when none is left. */
  takeChunk(): Uint32Array | ListRun | null {
    const chunk = this.#chunks.pop();
    if (chunk === undefined) return null;
    this.#hasOffsets = false;
    this.length -= chunk.size;
    if (chunk instanceof RefChunk) return chunk.refs.subarray(chunk.start, chunk.end);
    this.inRuns -= chunk.size;
    return chunk;
  }

  // ---- by index ----

  /** The reference at an index that is there, in a block of its own. */
  at(index: number): number {
    this.seek(index);
    const { refs, start } = this.#own(this.#chunkAt);
    return refs[start + this.#place];
  }

  /** Stands at an index that is there; `forward` and `back` go on from it. */
  seek(index: number): void {
    const chunks = this.#chunks;
    const last = chunks.length - 1;
    const inFirst = chunks[0].size;
    if (index < inFirst) {
      this.#chunkAt = 0;
      this.#place = index;
      return;
    }
    const inLast = index - (this.length - chunks[last].size);
    if (inLast >= 0) {
      this.#chunkAt = last;
      this.#place = inLast;
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
    this.#place = index - offsets[low];
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

  /** Visits the values of `count` elements from an index on, which are there. */
  eachValue(index: number, count: number, visit: ValueVisitor): void {
    const elements = this.#elements;
    this.seek(index);
    let from = this.#place;
    for (let left = count, at = this.#chunkAt; left > 0; at++) {
      const chunk = this.#chunks[at];
      const to = Math.min(chunk.size, from + left);
      left -= to - from;
      if (chunk instanceof ListRun) {
        eachRunValue(chunk, from, to, visit);
      } else {
        for (; from < to; from++) {
          elements.readValue(chunk.refs[chunk.start + from]);
          visit(elements.valueBuffer, elements.valueView, elements.valueStart, elements.valueLength);
        }
      }
      from = 0;
    }
  }

  /** Passes the element here; false past an end. */
  forward(): boolean {
    const chunk = this.#chunks[this.#chunkAt] as Chunk | undefined;
    if (chunk === undefined || this.#place >= chunk.size) return false;
    this.#passedChunkAt = this.#chunkAt;
    this.#passedPlace = this.#place++;
    if (this.#place === chunk.size && this.#chunkAt + 1 < this.#chunks.length) {
      this.#chunkAt++;
      this.#place = 0;
    }
    return true;
  }

  /** The same towards the first one. */
  back(): boolean {
    const chunk = this.#chunks[this.#chunkAt] as Chunk | undefined;
    if (chunk === undefined || this.#place < 0 || this.#place >= chunk.size) return false;
    this.#passedChunkAt = this.#chunkAt;
    this.#passedPlace = this.#place--;
    if (this.#place < 0 && this.#chunkAt > 0) {
      this.#chunkAt--;
      this.#place = this.#chunks[this.#chunkAt].size - 1;
    }
    return true;
  }

  /** Leaves the passed element's value in the elements' fields. */
  readPassed(): void {
    const chunk = this.#chunks[this.#passedChunkAt];
    if (chunk instanceof RefChunk) this.#elements.readValue(chunk.refs[chunk.start + this.#passedPlace]);
    else readRunValue(this.#elements, chunk, chunk.indexAt(this.#passedPlace));
  }

  /** The passed element, in a block of its own. */
  ownPassed(): number {
    const { refs, start } = this.#own(this.#passedChunkAt);
    return refs[start + this.#passedPlace];
  }

  /** `forward` through what are references all over: 0 past the end. */
  next(): number {
    return this.forward() ? this.ownPassed() : 0;
  }

  // ---- by name ----

  #compareLast(chunk: Chunk, name: Uint8Array, start: number, length: number): number {
    if (chunk instanceof RefChunk) return this.#elements.compareName(chunk.refs[chunk.end - 1], name, start, length);
    return compareRunName(chunk, chunk.step === 1 ? chunk.lastNumber : chunk.firstNumber, name, start, length);
  }

  #compareFirst(chunk: Chunk, name: Uint8Array, start: number, length: number): number {
    if (chunk instanceof RefChunk) return this.#elements.compareName(chunk.refs[chunk.start], name, start, length);
    return compareRunName(chunk, chunk.step === 1 ? chunk.firstNumber : chunk.lastNumber, name, start, length);
  }

  /** Stands at the first element behind the name, past the end if there is none; breaks up no run. */
  standAfter(name: Uint8Array): void {
    let at = this.#chunkOf(name, 0, name.length);
    let chunk = this.#chunks[at];
    if (chunk instanceof ListRun) {
      this.#place = placeBehind(chunk, name);
    } else if (this.#locateIn(chunk, name, 0, name.length) !== 0) {
      this.#place++;
    }
    if (this.#place === chunk.size && at + 1 < this.#chunks.length) {
      chunk = this.#chunks[++at];
      this.#place = 0;
    }
    this.#chunkAt = at;
  }

  /** The first chunk that does not end before the name, or the last one. */
  #chunkOf(name: Uint8Array, start: number, length: number): number {
    const chunks = this.#chunks;
    let low = 0;
    let high = chunks.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compareLast(chunks[middle], name, start, length) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Whether the name lies before all elements (−1), behind them (1), or neither; there is one at least. */
  sideOf(name: Uint8Array, start: number, length: number): -1 | 0 | 1 {
    const chunks = this.#chunks;
    if (this.#compareLast(chunks[chunks.length - 1], name, start, length) < 0) return 1;
    return this.#compareFirst(chunks[0], name, start, length) > 0 ? -1 : 0;
  }

  /** The reference of this name, or 0; stands at it, or at the first one after it. Only a run in which it lies is broken up. */
  locate(name: Uint8Array, start: number, length: number): number {
    this.#chunkAt = 0;
    this.#place = 0;
    if (this.length === 0) return 0;
    const at = this.#chunkOf(name, start, length);
    this.#chunkAt = at;
    const chunk = this.#chunks[at];
    if (chunk instanceof ListRun) {
      if (this.#compareFirst(chunk, name, start, length) > 0) return 0;
      if (this.#compareLast(chunk, name, start, length) < 0) {
        this.#place = chunk.size;
        return 0;
      }
    }
    return this.#locateIn(this.#own(at), name, start, length);
  }

  #locateIn({ refs, start: from, end }: RefChunk, name: Uint8Array, start: number, length: number): number {
    const elements = this.#elements;
    let least = from;
    let most = end;
    while (least < most) {
      const middle = (least + most) >>> 1;
      if (elements.compareName(refs[middle], name, start, length) < 0) least = middle + 1;
      else most = middle;
    }
    this.#place = least - from;
    return least < end && elements.compareName(refs[least], name, start, length) === 0 ? refs[least] : 0;
  }

  /** Stands at a reference that is there, found by its name. */
  locateRef(ref: number): void {
    const first = this.#chunks[0];
    const last = this.#chunks[this.#chunks.length - 1];
    if (first instanceof RefChunk && ref === first.refs[first.start]) {
      this.#chunkAt = 0;
      this.#place = 0;
    } else if (last instanceof RefChunk && ref === last.refs[last.end - 1]) {
      this.#chunkAt = this.#chunks.length - 1;
      this.#place = last.size - 1;
    } else {
      this.#elements.readName(ref);
      const { nameBuffer, nameStart, nameLength } = this.#elements;
      this.locate(nameBuffer, nameStart, nameLength);
    }
  }

  // ---- in the middle ----

  /** Puts in a reference of an element whose name is not there, in its place. */
  insert(ref: number): void {
    const elements = this.#elements;
    elements.readName(ref);
    const { nameBuffer, nameStart, nameLength } = elements;
    const side = this.length === 0 ? 1 : this.sideOf(nameBuffer, nameStart, nameLength);
    if (side === 1) this.push(ref);
    else if (side === -1) this.unshift(ref);
    else {
      this.locate(nameBuffer, nameStart, nameLength);
      this.#insertHere(ref);
    }
  }

  #insertHere(ref: number): void {
    let chunk = this.#chunks[this.#chunkAt];
    // The place is before a run: it does not lie in one.
    if (chunk instanceof ListRun) chunk = this.#chunkBefore();
    if (chunk.end === chunk.refs.length && !chunk.grow(false)) {
      if (chunk.start > 0) chunk.moveToStart();
      else chunk = this.#split(chunk);
    }
    chunk.insert(this.#place, ref);
    this.length++;
    this.#hasOffsets = false;
  }

  /** The chunk of references before this one, made if there is none; stands at its end. */
  #chunkBefore(): RefChunk {
    let chunk = this.#chunks[this.#chunkAt - 1] as Chunk | undefined;
    if (chunk instanceof RefChunk) {
      this.#chunkAt--;
    } else {
      chunk = RefChunk.empty(CHUNK_REFS_FIRST, 0);
      this.#chunks.splice(this.#chunkAt, 0, chunk);
    }
    this.#place = chunk.size;
    return chunk;
  }

  /** Halves the chunk that `locate` has found; returns the half in which its place is. */
  #split(chunk: RefChunk): RefChunk {
    const middle = chunk.size >>> 1;
    const left = chunk.copy(0, middle);
    const right = chunk.copy(middle, chunk.size);
    this.#chunks.splice(this.#chunkAt, 1, left, right);
    if (this.#place <= middle) return left;
    this.#place -= middle;
    this.#chunkAt++;
    return right;
  }

  /** Puts another reference in the place of one that is there and has the same name. */
  replace(oldRef: number, newRef: number): void {
    this.locateRef(oldRef);
    const { refs, start } = this.#own(this.#chunkAt);
    refs[start + this.#place] = newRef;
  }

  /** Takes out a reference that is there. */
  remove(ref: number): void {
    this.locateRef(ref);
    const at = this.#chunkAt;
    const chunk = this.#own(at);
    this.length--;
    chunk.remove(this.#place);
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
    if (chunk instanceof ListRun || next instanceof ListRun || chunk.size + next.size > CHUNK_REFS_MAX / 2) return;
    this.#chunks.splice(at, 2, chunk.copy(0, chunk.size, next));
  }
}
