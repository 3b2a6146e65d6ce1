/**
 * Elements of a list that were put at one end one after the other, in one block instead of one each: they have a place and an author in common
 * (position.ts), are all live, and each is told from the one before it by how far its stamp and its number are from that one's.
 *
 *   word 0     u8 17 (neither a key's block nor an element's)       word 1   the slot of the collection
 *   word 2,3   stamp of the first element, in the order in which they came      word 4,5   stamp of the last one
 *   byte 24    place and author, 16 bytes
 *   byte 40    the elements, in the order in which they came
 *   end        where each begins, u16, the first one's the last
 *
 *   element    | step (list-run-step.ts; the first one's says nothing) | value |
 *
 * What the list changes of it is its ends. Elements leave without their bytes being moved; where one in the middle is to be changed, all get
 * blocks of their own.
 */
import { copyByWords, isViewed, viewOf, WORD_COPY_MAX } from '../../protocol/byte-view.ts';
import type { Arena } from '../arena/arena.ts';
import { copyBytes } from '../arena/block.ts';
import { FAR, RunStep, STEP_BYTES_MAX, stepLength, writeLongStep } from './list-run-step.ts';
import { NUMBER_BYTES_MAX, writeNumber } from './position.ts';
import { CHUNK_REFS_MAX } from './ref-chunk.ts';

const RUN_MARK = 17;
const FIRST_STAMP = 2;
const LAST_STAMP = 4;
const PREFIX_AT = 24;
const ELEMENTS_AT = 40;
const OFFSET_BYTES = 2;

const RUN_BYTES_LEAST = 64;
const RUN_BYTES_MAX = 4096;
/** As many references as a chunk may have: its elements become one when the run is broken up. */
const RUN_ELEMENTS_MAX = CHUNK_REFS_MAX;
/** Longer values have a block of their own. */
export const RUN_VALUE_MAX = 512;
/** Values up to here are copied byte by byte. */
const SHORT_COPY_MAX = 12;
/** Numbers are kept well inside of what positions can have. */
const NUMBER_MAX = 2 ** 46;

const taken = new RunStep();

export class ListRun {
  readonly #arena: Arena;
  readonly slot: number;
  /** The block, and the segment that it is in. */
  ref = 0;
  view: DataView;
  bytes: Buffer;
  words: Uint32Array;
  /** Where the block begins in its segment, in bytes. */
  base = 0;
  #capacity = 0;

  /** Elements that came later are behind those before them (1), or before them (−1). */
  step: 1 | -1;
  readonly origin: number;
  readonly prefixBytes: number;
  firstNumber: number;
  lastNumber: number;
  /** Its elements are those from `start` to `end`, in the order in which they came; both move down when the block is tidied up. */
  start = 0;
  end = 0;
  /** Where the next element goes, from the block's beginning. */
  #dataEnd = ELEMENTS_AT;

  /** In the list's runs that peers, and stores, have not been given whole; and from which element on they have not. */
  isUnsent = false;
  isUnstored = false;
  unsentFrom = 0;
  unstoredFrom = 0;

  /** A run of one element, whose position is the number behind the prefix. */
  constructor(
    arena: Arena,
    slot: number,
    step: 1 | -1,
    origin: number,
    prefix: Uint8Array,
    prefixStart: number,
    prefixBytes: number,
    number: number,
    hi: number,
    lo: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
  ) {
    this.#arena = arena;
    this.slot = slot;
    this.step = step;
    this.origin = origin;
    this.prefixBytes = prefixBytes;
    this.firstNumber = number;
    this.lastNumber = number;
    this.view = arena.views[0];
    this.bytes = arena.bytes[0];
    this.words = arena.words[0];
    this.#use(arena.allocate(Math.max(RUN_BYTES_LEAST, ELEMENTS_AT + 1 + valueLength + OFFSET_BYTES)));
    const { base, bytes, words } = this;
    const word = base >>> 2;
    words[word] = RUN_MARK;
    words[word + 1] = slot;
    words[word + FIRST_STAMP] = hi;
    words[word + FIRST_STAMP + 1] = lo;
    words[word + LAST_STAMP] = hi;
    words[word + LAST_STAMP + 1] = lo;
    copyBytes(prefix, prefixStart, prefixBytes, bytes, base + PREFIX_AT);
    this.#put(ELEMENTS_AT, 0, value, valueStart, valueLength);
  }

  #use(ref: number): void {
    const segment = ref >>> 20;
    this.ref = ref;
    this.base = (ref & 0xfffff) << 3;
    this.bytes = this.#arena.bytes[segment];
    this.words = this.#arena.words[segment];
    this.view = this.#arena.views[segment];
    this.#capacity = this.#arena.capacity(ref);
  }

  get size(): number {
    return this.end - this.start;
  }

  /** What each of its elements takes, on average. */
  get bytesEach(): number {
    return this.#capacity / this.size;
  }

  /** Where the author ends, in the segment. */
  get prefixEnd(): number {
    return this.base + PREFIX_AT + this.prefixBytes;
  }

  get firstHi(): number {
    return this.words[(this.base >>> 2) + FIRST_STAMP];
  }

  get firstLo(): number {
    return this.words[(this.base >>> 2) + FIRST_STAMP + 1];
  }

  get lastHi(): number {
    return this.words[(this.base >>> 2) + LAST_STAMP];
  }

  get lastLo(): number {
    return this.words[(this.base >>> 2) + LAST_STAMP + 1];
  }

  free(): void {
    this.#arena.free(this.ref);
    this.ref = 0;
    this.start = this.end;
  }

  // ---- putting in ----

  /** Whether the bytes are its place and author. */
  hasPrefix(bytes: Uint8Array, start: number, length: number): boolean {
    if (length !== this.prefixBytes) return false;
    const at = this.base + PREFIX_AT;
    for (let index = 0; index < length; index++) if (this.bytes[at + index] !== bytes[start + index]) return false;
    return true;
  }

  /** Takes in one more element, whose number lies beyond the last one's; false when it cannot. */
  append(hi: number, lo: number, number: number, value: Uint8Array, valueStart: number, valueLength: number): boolean {
    const most = STEP_BYTES_MAX + valueLength + OFFSET_BYTES * (this.end + 1);
    const isFull = this.#dataEnd + most > this.#capacity || this.end >= RUN_ELEMENTS_MAX;
    if (isFull && !this.#makeRoom(valueLength)) return false;
    const { base, words } = this;
    const word = (base >>> 2) + LAST_STAMP;
    const distance = lo - words[word + 1];
    const step = number - this.lastNumber;
    let at = this.#dataEnd;
    if (step === this.step && distance >= 0 && distance < FAR && hi === words[word]) {
      this.bytes[base + at] = distance;
      at++;
    } else {
      if (Math.abs(number) > NUMBER_MAX) return false;
      const gap = step * this.step - 1;
      const to = writeLongStep(this.bytes, base + at, hi, lo, words[word], words[word + 1], gap);
      if (to === 0) return false;
      at = to - base;
    }
    words[word] = hi;
    words[word + 1] = lo;
    this.lastNumber = number;
    this.#put(this.#dataEnd, at, value, valueStart, valueLength);
    return true;
  }

  /** Writes an element's value, and where the element begins; `valueAt` 0 for the very first one, which needs no step. */
  #put(at: number, valueAt: number, value: Uint8Array, valueStart: number, length: number): void {
    const { base, bytes, view } = this;
    if (valueAt === 0) {
      bytes[base + at] = 0;
      valueAt = at + 1;
    }
    view.setUint16(base + this.#capacity - OFFSET_BYTES * ++this.end, at, true);
    this.#dataEnd = valueAt + length;
    let to = base + valueAt;
    if (length <= SHORT_COPY_MAX) {
      for (const end = valueStart + length; valueStart < end; valueStart++, to++) bytes[to] = value[valueStart];
    } else if (length <= WORD_COPY_MAX && isViewed(value)) {
      copyByWords(viewOf(value), valueStart, length, view, to);
    } else {
      copyBytes(value, valueStart, length, bytes, to);
    }
  }

  /** Makes sure of room for one more element, in this block or a larger one; false when there are enough in it. */
  #makeRoom(valueLength: number): boolean {
    const size = this.end - this.start;
    const from = this.offsetOf(this.start);
    const dataBytes = this.#dataEnd - from;
    const needed = ELEMENTS_AT + dataBytes + STEP_BYTES_MAX + valueLength + OFFSET_BYTES * (size + 1);
    const ref = this.ref;
    const { base, bytes } = this;
    const capacity = this.#capacity;
    // Half of it is free after a move, or the same elements would be moved again and again.
    if (size * 2 > RUN_ELEMENTS_MAX && this.end >= RUN_ELEMENTS_MAX) return false;
    const wanted = needed * 2 <= capacity ? capacity : Math.max(needed, Math.min(RUN_BYTES_MAX, capacity * 2));
    if (wanted > RUN_BYTES_MAX || (wanted === capacity && needed * 2 > capacity)) return false;
    this.#use(this.#arena.allocate(wanted));
    const to = this.base;
    bytes.copy(this.bytes, to, base, base + ELEMENTS_AT);
    bytes.copy(this.bytes, to + ELEMENTS_AT, base + from, base + this.#dataEnd);
    const view = this.#arena.views[ref >>> 20];
    for (let index = 0; index < size; index++) {
      const offset = view.getUint16(base + capacity - OFFSET_BYTES * (this.start + index + 1), true);
      this.view.setUint16(to + this.#capacity - OFFSET_BYTES * (index + 1), offset - from + ELEMENTS_AT, true);
    }
    this.#dataEnd = ELEMENTS_AT + dataBytes;
    this.unsentFrom = Math.max(0, this.unsentFrom - this.start);
    this.unstoredFrom = Math.max(0, this.unstoredFrom - this.start);
    this.start = 0;
    this.end = size;
    this.#arena.free(ref);
    return true;
  }

  // ---- reading ----

  /** Where the element begins, from the block's beginning; the end of all of them for `end`. */
  offsetOf(index: number): number {
    if (index === this.end) return this.#dataEnd;
    return this.view.getUint16(this.base + this.#capacity - OFFSET_BYTES * (index + 1), true);
  }

  /** The place, in the order in which they came, of the element that is so many behind the list's first one here. */
  indexAt(place: number): number {
    return this.step === 1 ? this.start + place : this.end - 1 - place;
  }

  /** Where the element's value begins, in the segment; it ends where the next element begins. */
  valueAt(index: number): number {
    const at = this.base + this.offsetOf(index);
    return at + stepLength(this.bytes, at);
  }

  /** Where the element's value ends, in the segment. */
  valueEndAt(index: number): number {
    return this.base + this.offsetOf(index + 1);
  }

  /** Writes the position with a number to `bytes`; returns its length. */
  writeName(number: number, bytes: Uint8Array): number {
    const { prefixBytes } = this;
    const at = this.base + PREFIX_AT;
    for (let index = 0; index < prefixBytes; index++) bytes[index] = this.bytes[at + index];
    return writeNumber(number, bytes, prefixBytes);
  }

  /** More than the bytes of any of its names. */
  get nameBytesMax(): number {
    return this.prefixBytes + NUMBER_BYTES_MAX;
  }

  // ---- taking off ----

  /** Takes off the element that the list has first (`atStart`) or last here; there has to be another one. */
  drop(atStart: boolean): void {
    if (atStart === (this.step === 1)) this.#dropFirst();
    else this.#dropLast();
  }

  #dropFirst(): void {
    const word = (this.base >>> 2) + FIRST_STAMP;
    const at = this.base + this.offsetOf(++this.start);
    const step = this.bytes[at];
    if (step < FAR && this.words[word + 1] + step < 0x100000000) {
      this.words[word + 1] += step;
      this.firstNumber += this.step;
      return;
    }
    taken.read(this.bytes, at);
    taken.apply(this.words[word], this.words[word + 1], false);
    this.words[word] = taken.hi;
    this.words[word + 1] = taken.lo;
    this.firstNumber += this.step * (1 + taken.gap);
  }

  #dropLast(): void {
    const word = (this.base >>> 2) + LAST_STAMP;
    this.#dataEnd = this.offsetOf(this.end - 1);
    this.end--;
    const at = this.base + this.#dataEnd;
    const step = this.bytes[at];
    if (step < FAR && this.words[word + 1] >= step) {
      this.words[word + 1] -= step;
      this.lastNumber -= this.step;
    } else {
      taken.read(this.bytes, at);
      taken.apply(this.words[word], this.words[word + 1], true);
      this.words[word] = taken.hi;
      this.words[word + 1] = taken.lo;
      this.lastNumber -= this.step * (1 + taken.gap);
    }
    if (this.unsentFrom > this.end) this.unsentFrom = this.end;
    if (this.unstoredFrom > this.end) this.unstoredFrom = this.end;
  }
}
