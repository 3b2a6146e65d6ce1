/**
 * Redis's glob patterns over bytes: `*` any bytes, `?` one byte, `[abc]` `[a-z]` `[^a]` one of a class, `\x` the byte x.
 *
 * A pattern is compiled once and then matched against many keys. The parts between stars are found one after another, each at
 * its earliest place, so nothing is ever tried again: `a*a*a*…b` takes linear time. Only a part of more than 64 elements costs
 * more, a word operation per byte of the key and 32 elements.
 *
 * As in Redis: a class that is not closed ends with the pattern; a reversed range is turned round; a bracket that closes at once
 * is an empty class; an escape inside a class keeps its case; a pattern with more than 1,000 stars matches nothing. Bytes are
 * unsigned here, also in ranges.
 */
const ASTERISK = 42;
const QUESTION = 63;
const OPEN_BRACKET = 91;
const BACKSLASH = 92;
const CLOSE_BRACKET = 93;
const CARET = 94;
const DASH = 45;

/** A compiled element: 0–255 a byte, then these, then classes counted from FIRST_CLASS. */
const ANY_BYTE = 256;
const STAR = 257;
const FIRST_CLASS = 258;

const BYTE_VALUES = 256;
const WORD_BITS = 32;
const WORD_SHIFT = 5;
/** Redis matches no pattern in which more stars than this have something behind them. */
const INNER_STARS_MAX = 1000;
/** Parts up to here are searched for by trying each place. */
const SIMPLE_SEARCH_MAX = 64;

/** ASCII letters to lower case, everything else to itself. */
const LOWER = new Uint8Array(BYTE_VALUES);
const SAME = new Uint8Array(BYTE_VALUES);
for (let byte = 0; byte < BYTE_VALUES; byte++) {
  SAME[byte] = byte;
  LOWER[byte] = byte >= 65 && byte <= 90 ? byte + 32 : byte;
}

export class GlobPattern {
  private readonly elements: Int32Array;
  private readonly elementCount: number;
  /** Elements that take one byte each: no shorter text can match. */
  private readonly lengthMin: number;
  private readonly hasStar: boolean;
  private readonly matchesNothing: boolean;
  /** One row of 256 flags for each class, by the text's byte. */
  private readonly classes: Uint8Array;
  private readonly fold: Uint8Array;
  /** Masks of the parts that findLongPart has searched for, by their first element. */
  private readonly longParts = new Map<number, Int32Array>();

  /** Compiles `buffer[start, start + length)`. @param ignoreCase whether ASCII letters match in either case */
  constructor(buffer: Uint8Array, start: number, length: number, ignoreCase = false) {
    this.fold = ignoreCase ? LOWER : SAME;
    const compiler = new Compiler(buffer, start, start + length, ignoreCase);
    compiler.compile();
    this.elements = compiler.elements;
    this.elementCount = compiler.count;
    this.classes = compiler.packClasses();
    this.lengthMin = compiler.count - compiler.stars;
    this.hasStar = compiler.stars > 0;
    const innerStars = compiler.stars - (compiler.elements[compiler.count - 1] === STAR ? 1 : 0);
    this.matchesNothing = innerStars > INNER_STARS_MAX;
  }

  /** Whether the pattern is `*`, and so matches everything. */
  get matchesAll(): boolean {
    return this.elementCount === 1 && this.hasStar;
  }

  /** Whether the whole of `buffer[start, start + length)` matches. */
  matches(buffer: Uint8Array, start: number, length: number): boolean {
    if (this.matchesNothing || length < this.lengthMin || (!this.hasStar && length !== this.lengthMin)) return false;
    const { elements } = this;
    let position = start;
    let end = start + length;
    let first = 0;
    let last = this.elementCount;
    // What precedes the first star can only lie at the start, what follows the last one only at the end.
    while (first < last && elements[first] !== STAR) {
      if (!this.matchesByte(elements[first++], buffer[position++])) return false;
    }
    while (last > first && elements[last - 1] !== STAR) {
      if (!this.matchesByte(elements[--last], buffer[--end])) return false;
    }
    // Between stars, the earliest place is as good as any, as the star behind it takes the rest.
    while (first < last) {
      const partStart = first + 1;
      let partEnd = partStart;
      while (partEnd < last && elements[partEnd] !== STAR) partEnd++;
      if (partEnd > partStart) {
        position = this.findPart(partStart, partEnd, buffer, position, end);
        if (position < 0) return false;
      }
      first = partEnd;
    }
    return true;
  }

  /** Where in `buffer[position, end)` the first match of the elements [partStart, partEnd) ends, or −1. */
  private findPart(partStart: number, partEnd: number, buffer: Uint8Array, position: number, end: number): number {
    const { elements } = this;
    const length = partEnd - partStart;
    if (length > SIMPLE_SEARCH_MAX) return this.findLongPart(partStart, partEnd, buffer, position, end);
    for (let candidate = position; candidate + length <= end; candidate++) {
      let matched = 0;
      while (matched < length && this.matchesByte(elements[partStart + matched], buffer[candidate + matched]))
        matched++;
      if (matched === length) return candidate + length;
    }
    return -1;
  }

  /**
   * The same by the Shift-And method (Baeza-Yates and Gonnet 1992): bit i of the state says that the part's first i + 1 elements
   * match what was just read. Each byte costs a word operation for every 32 elements, whatever the part and the text are.
   */
  private findLongPart(partStart: number, partEnd: number, buffer: Uint8Array, position: number, end: number): number {
    const length = partEnd - partStart;
    if (length > end - position) return -1;
    const words = Math.ceil(length / WORD_BITS);
    const masks = this.masksOf(partStart, partEnd, words);
    const state = new Int32Array(words);
    const lastWord = words - 1;
    const lastBit = 1 << ((length - 1) % WORD_BITS);
    for (let at = position; at < end; at++) {
      const row = buffer[at] * words;
      let carry = 1;
      for (let word = 0; word < words; word++) {
        const before = state[word];
        state[word] = ((before << 1) | carry) & masks[row + word];
        carry = before >>> (WORD_BITS - 1);
      }
      if ((state[lastWord] & lastBit) !== 0) return at + 1;
    }
    return -1;
  }

  /** For each byte, a bit for every element of the part that matches it; kept, as a pattern is matched against many texts. */
  private masksOf(partStart: number, partEnd: number, words: number): Int32Array {
    const known = this.longParts.get(partStart);
    if (known !== undefined) return known;
    const masks = new Int32Array(BYTE_VALUES * words);
    for (let index = partStart; index < partEnd; index++) {
      const word = (index - partStart) >>> WORD_SHIFT;
      const bit = 1 << ((index - partStart) % WORD_BITS);
      for (let byte = 0; byte < BYTE_VALUES; byte++) {
        if (this.matchesByte(this.elements[index], byte)) masks[byte * words + word] |= bit;
      }
    }
    this.longParts.set(partStart, masks);
    return masks;
  }

  private matchesByte(element: number, byte: number): boolean {
    if (element < BYTE_VALUES) return element === this.fold[byte];
    if (element === ANY_BYTE) return true;
    return this.classes[(element - FIRST_CLASS) * BYTE_VALUES + byte] === 1;
  }
}

class Compiler {
  readonly elements: Int32Array;
  count = 0;
  stars = 0;

  private readonly buffer: Uint8Array;
  private readonly end: number;
  private readonly ignoreCase: boolean;
  private readonly fold: Uint8Array;
  private readonly classRows: Uint8Array[] = [];
  /** Rows by their spelling, so that a pattern that repeats a class holds it once. */
  private readonly classIndexes = new Map<string, number>();
  private position: number;

  constructor(buffer: Uint8Array, start: number, end: number, ignoreCase: boolean) {
    this.buffer = buffer;
    this.position = start;
    this.end = end;
    this.ignoreCase = ignoreCase;
    this.fold = ignoreCase ? LOWER : SAME;
    this.elements = new Int32Array(end - start);
  }

  compile(): void {
    while (this.position < this.end) {
      const byte = this.buffer[this.position++];
      if (byte === ASTERISK) this.addStar();
      else if (byte === QUESTION) this.elements[this.count++] = ANY_BYTE;
      else if (byte === OPEN_BRACKET) this.elements[this.count++] = FIRST_CLASS + this.readClass();
      else if (byte === BACKSLASH && this.position < this.end) this.addByte(this.buffer[this.position++]);
      else this.addByte(byte);
    }
  }

  packClasses(): Uint8Array {
    const packed = new Uint8Array(this.classRows.length * BYTE_VALUES);
    this.classRows.forEach((row, index) => packed.set(row, index * BYTE_VALUES));
    return packed;
  }

  private addByte(byte: number): void {
    this.elements[this.count++] = this.fold[byte];
  }

  private addStar(): void {
    if (this.count > 0 && this.elements[this.count - 1] === STAR) return;
    this.elements[this.count++] = STAR;
    this.stars++;
  }

  /** Reads a class behind its opening bracket. @returns its index */
  private readClass(): number {
    const { buffer, end } = this;
    const row = new Uint8Array(BYTE_VALUES);
    const negated = this.position < end && buffer[this.position] === CARET;
    if (negated) this.position++;
    while (this.position < end) {
      const byte = buffer[this.position];
      const left = end - this.position;
      if (byte === BACKSLASH && left >= 2) {
        row[buffer[this.position + 1]] = 1;
        this.position += 2;
      } else if (byte === CLOSE_BRACKET) {
        this.position++;
        break;
      } else if (left >= 3 && buffer[this.position + 1] === DASH) {
        this.addRange(row, byte, buffer[this.position + 2]);
        this.position += 3;
      } else {
        row[byte] = 1;
        if (this.ignoreCase) addOtherCase(row, byte);
        this.position++;
      }
    }
    if (negated) for (let byte = 0; byte < BYTE_VALUES; byte++) row[byte] = 1 - row[byte];
    return this.indexOfClass(row);
  }

  private addRange(row: Uint8Array, from: number, to: number): void {
    const low = this.fold[Math.min(from, to)];
    const high = this.fold[Math.max(from, to)];
    for (let byte = 0; byte < BYTE_VALUES; byte++) {
      const folded = this.fold[byte];
      if (folded >= low && folded <= high) row[byte] = 1;
    }
  }

  private indexOfClass(row: Uint8Array): number {
    const spelling = String.fromCharCode(...row);
    const known = this.classIndexes.get(spelling);
    if (known !== undefined) return known;
    const index = this.classRows.length;
    this.classRows.push(row);
    this.classIndexes.set(spelling, index);
    return index;
  }
}

function addOtherCase(row: Uint8Array, byte: number): void {
  const lower = LOWER[byte];
  if (lower < 97 || lower > 122) return;
  row[lower] = 1;
  row[lower - 32] = 1;
}
