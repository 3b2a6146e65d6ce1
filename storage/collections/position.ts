/**
 * Where an element of a list is: the name that it has for good. Positions are ordered as memcmp orders them, and no two elements
 * ever get the same one:
 *
 *   position   | place | author, 6 bytes | number |
 *   number     | 40…bf: −64…63 | · | c0+n: n+1 bytes, big-endian, 64 or more | · | 3f−n: n+1 bytes of 256^(n+1) + value, −65 or less |
 *
 * At the ends `place` is a number too: one more (RPUSH) or one less (LPUSH) than the last one there, when somebody else has made
 * that, and the same when this author has: then the number at the end counts on, so that what several nodes push at once stays
 * together by node. Between two elements it is any bytes between theirs. An author is one run of one node.
 *
 * Worked example, the first three elements that author 010203040506 pushes at the right:
 *   80 010203040506 80 · 80 010203040506 81 · 80 010203040506 82
 */
const AUTHOR_BYTES = 6;
const NUMBER_ZERO = 0x80;
const NUMBER_SMALL_LEAST = -64;
const NUMBER_SMALL_MOST = 63;
const NUMBER_POSITIVE = 0xc0;
const NUMBER_NEGATIVE = 0x3f;
export const NUMBER_BYTES_MAX = 7;

/** An author's id: its bytes follow from the node's id and a stamp that the node has never made before. */
export function makeAuthor(nodeHi: number, nodeLo: number, stampHi: number, stampLo: number): Uint8Array {
  const author = new Uint8Array(AUTHOR_BYTES);
  const words = [nodeHi, nodeLo, stampHi, stampLo];
  const high = mix(words, 0x9e3779b9);
  const low = mix(words, 0x85ebca6b);
  for (let at = 0; at < 4; at++) author[at] = high >>> (24 - at * 8);
  author[4] = low >>> 24;
  author[5] = low >>> 16;
  return author;
}

function mix(words: readonly number[], seed: number): number {
  let hash = seed;
  for (const word of words) {
    hash = Math.imul(hash ^ word, 0x85ebca6b);
    hash ^= hash >>> 15;
    hash = Math.imul(hash, 0xc2b2ae35);
    hash ^= hash >>> 13;
  }
  return hash >>> 0;
}

/** Bytes of the number that begins with this byte; 0 when none does. */
function numberBytes(first: number): number {
  if (first > NUMBER_NEGATIVE && first < NUMBER_POSITIVE) return 1;
  const more = first >= NUMBER_POSITIVE ? first - NUMBER_POSITIVE + 1 : NUMBER_NEGATIVE - first + 1;
  return more < NUMBER_BYTES_MAX ? more + 1 : 0;
}

/** The number in the bytes at `at`, as long as its first byte says. */
export function readNumber(bytes: Uint8Array, at: number, length: number): number {
  const first = bytes[at];
  if (length === 1) return first - NUMBER_ZERO;
  let value = 0;
  let unit = 1;
  for (let index = 1; index < length; index++) {
    value = value * 256 + bytes[at + index];
    unit *= 256;
  }
  return first >= NUMBER_POSITIVE ? value : value - unit;
}

/** The most bytes of a place and an author. */
export const PREFIX_BYTES_MAX = NUMBER_BYTES_MAX + AUTHOR_BYTES;

/** The bytes that a number takes. */
function numberLength(value: number): number {
  if (value >= NUMBER_SMALL_LEAST && value <= NUMBER_SMALL_MOST) return 1;
  let length = 2;
  for (let unit = 256; value >= 0 ? value >= unit : value < -unit; unit *= 256) length++;
  return length;
}

/** Writes a number at `at`; returns where it ends. */
export function writeNumber(value: number, bytes: Uint8Array, at: number): number {
  const length = numberLength(value);
  if (length === 1) {
    bytes[at] = NUMBER_ZERO + value;
    return at + 1;
  }
  bytes[at] = value >= 0 ? NUMBER_POSITIVE + length - 2 : NUMBER_NEGATIVE - length + 2;
  let rest = value >= 0 ? value : value + 256 ** (length - 1);
  let to = at + length;
  for (; rest > 0xffff; rest = Math.floor(rest / 256)) bytes[--to] = rest % 256;
  for (; to > at + 1; rest >>>= 8) bytes[--to] = rest & 255;
  return at + length;
}

/** How many bytes of a position are the place and the author, when a number is all that follows them; else 0. */
export function prefixBytesOf(position: Uint8Array, start: number, length: number): number {
  const placeBytes = length === 0 ? 0 : numberBytes(position[start]);
  const prefix = placeBytes + AUTHOR_BYTES;
  if (placeBytes === 0 || prefix >= length) return 0;
  const countBytes = numberBytes(position[start + prefix]);
  if (countBytes !== length - prefix) return 0;
  // A number is made in one way only; what a peer sends may be made otherwise.
  return numberLength(readNumber(position, start + prefix, countBytes)) === countBytes ? prefix : 0;
}

/** A position that is being made; `bytes[0, length)` is valid until the next call. */
export class PositionMaker {
  bytes = Buffer.alloc(64);
  length = 0;
  readonly #author: Uint8Array;
  /** The author's bytes as two numbers, big-endian. */
  readonly #authorHigh: number;
  readonly #authorLow: number;
  /** Lists begun: the place of the next one's first element. */
  #begun = 0;

  constructor(author: Uint8Array) {
    this.#author = author;
    const view = new DataView(author.buffer, author.byteOffset, AUTHOR_BYTES);
    this.#authorHigh = view.getInt32(0);
    this.#authorLow = view.getUint16(4);
  }

  /** The first one in a list: no other first one, of a list that was deleted perhaps, has the same place. */
  first(): void {
    this.#begin(0);
    this.#number(this.#begun++);
    this.#sign(0);
  }

  /** One after the last one. */
  after(last: Uint8Array, start: number, length: number): void {
    this.#beyond(last, start, length, 1);
  }

  /** One before the first one. */
  before(first: Uint8Array, start: number, length: number): void {
    this.#beyond(first, start, length, -1);
  }

  /** Whether this author has made the positions whose place and author end at `end`. */
  isAuthorBefore(view: DataView, end: number): boolean {
    const at = end - AUTHOR_BYTES;
    return view.getInt32(at) === this.#authorHigh && view.getUint16(at + 4) === this.#authorLow;
  }

  #beyond(end: Uint8Array, start: number, length: number, step: 1 | -1): void {
    const placeBytes = length === 0 ? 0 : numberBytes(end[start]);
    if (placeBytes === 0 || placeBytes > length) {
      // No position of ours ends up here; what comes from elsewhere still gets a neighbour.
      this.#foreign(end, start, length, step);
      return;
    }
    const place = readNumber(end, start, placeBytes);
    const countAt = start + placeBytes + AUTHOR_BYTES;
    const countBytes = countAt < start + length ? numberBytes(end[countAt]) : 0;
    const isOwn = countBytes > 0 && countAt + countBytes <= start + length && this.#isAuthor(end, start + placeBytes);
    this.#begin(0);
    if (isOwn && countAt + countBytes === start + length) {
      // The next one, as pushes mostly make: another number behind the same bytes.
      this.#copy(end, start, countAt - start);
      this.#number(readNumber(end, countAt, countBytes) + step);
      return;
    }
    this.#number(isOwn ? place : place + step);
    this.#sign(isOwn ? readNumber(end, countAt, countBytes) + step : 0);
    if (this.#compare(end, start, length) * step <= 0) this.#foreign(end, start, length, step);
  }

  #foreign(end: Uint8Array, start: number, length: number, step: 1 | -1): void {
    this.#begin(length);
    if (step === 1) {
      this.#copy(end, start, length);
    } else {
      let at = start;
      while (at < start + length && end[at] === 0) this.#byte(end[at++]);
      if (at < start + length) this.#byte(end[at] - 1);
    }
    this.#sign(0);
  }

  /** One between two that are next to each other. */
  between(
    left: Uint8Array,
    leftStart: number,
    leftLength: number,
    right: Uint8Array,
    rightStart: number,
    rightLength: number,
  ): void {
    if (this.#count(left, leftStart, leftLength, 1) && this.#compare(right, rightStart, rightLength) < 0) return;
    if (this.#count(right, rightStart, rightLength, -1) && this.#compare(left, leftStart, leftLength) > 0) return;
    this.#begin(leftLength + rightLength);
    let at = 0;
    while (at < leftLength && at < rightLength && left[leftStart + at] === right[rightStart + at])
      this.#byte(left[leftStart + at++]);
    const high = at < rightLength ? right[rightStart + at] : 0;
    const low = at < leftLength ? left[leftStart + at] : -1;
    if (high - low >= 2) {
      this.#byte((low + high + 1) >> 1);
    } else if (low >= 0) {
      this.#byte(low);
      at++;
      while (at < leftLength && left[leftStart + at] === 0xff) this.#byte(left[leftStart + at++]);
      this.#byte(((at < leftLength ? left[leftStart + at] : -1) + 257) >> 1);
    } else {
      while (at < rightLength && right[rightStart + at] === 0) this.#byte(right[rightStart + at++]);
      if (at < rightLength) this.#byte(right[rightStart + at] >> 1);
    }
    this.#sign(0);
  }

  /** Counts on from a position that this author has made; false when another one has. */
  #count(from: Uint8Array, start: number, length: number, step: number): boolean {
    for (let bytes = 1; bytes <= NUMBER_BYTES_MAX; bytes++) {
      const numberAt = start + length - bytes;
      const authorAt = numberAt - AUTHOR_BYTES;
      if (authorAt < start) return false;
      if (numberBytes(from[numberAt]) !== bytes || !this.#isAuthor(from, authorAt)) continue;
      this.#begin(length);
      this.#copy(from, start, length - bytes);
      this.#number(readNumber(from, numberAt, bytes) + step);
      return true;
    }
    return false;
  }

  #compare(other: Uint8Array, start: number, length: number): number {
    const shorter = Math.min(this.length, length);
    for (let at = 0; at < shorter; at++) {
      const difference = this.bytes[at] - other[start + at];
      if (difference !== 0) return difference;
    }
    return this.length - length;
  }

  #isAuthor(bytes: Uint8Array, start: number): boolean {
    const author = this.#author;
    for (let at = 0; at < AUTHOR_BYTES; at++) if (bytes[start + at] !== author[at]) return false;
    return true;
  }

  #begin(placeBytes: number): void {
    const needed = placeBytes + 64;
    if (this.bytes.length < needed) this.bytes = Buffer.alloc(needed * 2);
    this.length = 0;
  }

  #byte(value: number): void {
    this.bytes[this.length++] = value;
  }

  #copy(from: Uint8Array, start: number, length: number): void {
    for (let at = 0; at < length; at++) this.bytes[this.length++] = from[start + at];
  }

  #sign(count: number): void {
    this.#copy(this.#author, 0, AUTHOR_BYTES);
    this.#number(count);
  }

  #number(value: number): void {
    this.length = writeNumber(value, this.bytes, this.length);
  }
}
