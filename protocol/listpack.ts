/**
 * The packed forms that small collections have in Redis's RDB payloads: listpacks, and the ziplists and intsets of older ones.
 *
 *   listpack   | u32le bytes | u16le entries, ffff unknown | entry | … | ff |
 *   entry      | 0nnnnnnn                      | · | 110nnnnn n     | · | f1 i16le | f2 i24le | f3 i32le | f4 i64le |   integers
 *              | 10llllll bytes | · | 1110llll l bytes | · | f0 u32le bytes |                                            strings
 *              then the entry's length so far, seven bits a byte, backwards
 *   ziplist    | u32le bytes | u32le last | u16le entries | entry | … | ff |
 *   intset     | u32le bytes each | u32le integers | integer, little-endian | … |
 *
 * Worked example, the listpack of `1`, `a`: 0c 00 00 00 02 00 01 01 81 61 02 ff
 */
import { parseInteger } from './integer.ts';
import { PayloadError } from './rdb-payload.ts';

const HEADER_BYTES = 6;
const END = 0xff;
const ENTRIES_UNKNOWN = 0xffff;
/** Longer strings are no 64-bit integers. */
const INTEGER_BYTES_MAX = 20;
const ZIPLIST_HEADER_BYTES = 10;

/** Bytes that the length of an entry takes behind it. */
function backBytes(length: number): number {
  if (length <= 127) return 1;
  if (length < 16383) return 2;
  if (length < 2097151) return 3;
  return length < 268435455 ? 4 : 5;
}

/** Packs strings; those that are integers are packed as such. */
export class ListpackWriter {
  #buffer = Buffer.allocUnsafe(128);
  #length = HEADER_BYTES;
  count = 0;

  /** Bytes of the listpack so far, its end included. */
  get bytes(): number {
    return this.#length + 1;
  }

  append(bytes: Buffer, start: number, length: number): void {
    this.#ensure(length + 16);
    const from = this.#length;
    const value = length <= INTEGER_BYTES_MAX ? parseInteger(bytes, start, length) : undefined;
    if (value === undefined) this.#string(bytes, start, length);
    else this.#integer(value);
    this.#back(this.#length - from);
    this.count++;
  }

  /** Appends text or a number as the text that it is. */
  appendText(text: string): void {
    const bytes = Buffer.from(text, 'latin1');
    this.append(bytes, 0, bytes.length);
  }

  #string(bytes: Buffer, start: number, length: number): void {
    const buffer = this.#buffer;
    if (length < 64) {
      buffer[this.#length++] = 0x80 | length;
    } else if (length < 4096) {
      buffer[this.#length++] = 0xe0 | (length >> 8);
      buffer[this.#length++] = length;
    } else {
      buffer[this.#length++] = 0xf0;
      this.#length = buffer.writeUInt32LE(length, this.#length);
    }
    bytes.copy(buffer, this.#length, start, start + length);
    this.#length += length;
  }

  #integer(value: number | bigint): void {
    const buffer = this.#buffer;
    if (typeof value === 'bigint' || value < -0x80000000 || value > 0x7fffffff) {
      buffer[this.#length++] = 0xf4;
      this.#length = buffer.writeBigInt64LE(BigInt(value), this.#length);
    } else if (value >= 0 && value <= 127) {
      buffer[this.#length++] = value;
    } else if (value >= -4096 && value <= 4095) {
      this.#length = buffer.writeUInt16BE(0xc000 | (value & 0x1fff), this.#length);
    } else if (value >= -0x8000 && value <= 0x7fff) {
      buffer[this.#length++] = 0xf1;
      this.#length = buffer.writeInt16LE(value, this.#length);
    } else if (value >= -0x800000 && value <= 0x7fffff) {
      buffer[this.#length++] = 0xf2;
      this.#length = buffer.writeIntLE(value, this.#length, 3);
    } else {
      buffer[this.#length++] = 0xf3;
      this.#length = buffer.writeInt32LE(value, this.#length);
    }
  }

  #back(length: number): void {
    const bytes = backBytes(length);
    let rest = length;
    for (let at = bytes - 1; at >= 0; at--) {
      this.#buffer[this.#length + at] = (rest & 127) | (at === 0 ? 0 : 128);
      rest = Math.floor(rest / 128);
    }
    this.#length += bytes;
  }

  /** The listpack; the writer is empty again. */
  finish(): Buffer {
    const buffer = this.#buffer;
    buffer[this.#length++] = END;
    buffer.writeUInt32LE(this.#length, 0);
    buffer.writeUInt16LE(Math.min(this.count, ENTRIES_UNKNOWN), 4);
    const finished = buffer.subarray(0, this.#length);
    this.#buffer = Buffer.allocUnsafe(128);
    this.#length = HEADER_BYTES;
    this.count = 0;
    return finished;
  }

  #ensure(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#length + bytes, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}

/** Moves over the bytes of a packed form, never outside of them. */
class Cursor {
  readonly bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  /** Moves on and returns where it was. */
  take(count: number): number {
    const { at } = this;
    if (at + count > this.bytes.length) throw new PayloadError('a packed value ends early');
    this.at = at + count;
    return at;
  }

  byte(): number {
    return this.bytes[this.take(1)];
  }

  string(length: number): Buffer {
    const at = this.take(length);
    return this.bytes.subarray(at, at + length);
  }

  /** A little-endian signed integer's digits. */
  digits(bytes: number): Buffer {
    const at = this.take(bytes);
    const value = bytes === 8 ? this.bytes.readBigInt64LE(at) : this.bytes.readIntLE(at, bytes);
    return Buffer.from(String(value), 'latin1');
  }
}

/**
 * The strings in a listpack, integers as their digits; they share its memory.
 * @throws PayloadError when it is damaged
 */
export function readListpack(bytes: Buffer): Buffer[] {
  if (bytes.length <= HEADER_BYTES || bytes.readUInt32LE(0) !== bytes.length || bytes[bytes.length - 1] !== END) {
    throw new PayloadError('a damaged listpack');
  }
  const cursor = new Cursor(bytes, HEADER_BYTES);
  const entries: Buffer[] = [];
  while (bytes[cursor.at] !== END) {
    const from = cursor.at;
    entries.push(listpackEntry(cursor));
    const length = cursor.at - from;
    let read = 0;
    const back = backBytes(length);
    for (let left = back; left > 0; left--) read = read * 128 + (cursor.byte() & 127);
    if (read !== length) throw new PayloadError('a listpack whose entries do not fit together');
  }
  const count = bytes.readUInt16LE(4);
  if (cursor.at !== bytes.length - 1 || (count !== ENTRIES_UNKNOWN && count !== entries.length)) {
    throw new PayloadError('a listpack with another number of entries than it says');
  }
  return entries;
}

function listpackEntry(cursor: Cursor): Buffer {
  const first = cursor.byte();
  if (first < 0x80) return Buffer.from(String(first), 'latin1');
  if (first < 0xc0) return cursor.string(first & 0x3f);
  if (first < 0xe0) {
    const value = ((first & 0x1f) << 8) | cursor.byte();
    return Buffer.from(String(value >= 0x1000 ? value - 0x2000 : value), 'latin1');
  }
  if (first < 0xf0) return cursor.string(((first & 0x0f) << 8) | cursor.byte());
  if (first === 0xf0) return cursor.string(cursor.bytes.readUInt32LE(cursor.take(4)));
  if (first <= 0xf3) return cursor.digits(first - 0xef);
  if (first === 0xf4) return cursor.digits(8);
  throw new PayloadError('a listpack with an unknown entry');
}

/** The strings in a ziplist, which Redis wrote before version 7. @throws PayloadError when it is damaged */
export function readZiplist(bytes: Buffer): Buffer[] {
  if (
    bytes.length <= ZIPLIST_HEADER_BYTES ||
    bytes.readUInt32LE(0) !== bytes.length ||
    bytes[bytes.length - 1] !== END
  ) {
    throw new PayloadError('a damaged ziplist');
  }
  const cursor = new Cursor(bytes, ZIPLIST_HEADER_BYTES);
  const entries: Buffer[] = [];
  while (bytes[cursor.at] !== END) {
    if (cursor.byte() === 0xfe) cursor.take(4);
    entries.push(ziplistEntry(cursor));
  }
  const count = bytes.readUInt16LE(8);
  if (cursor.at !== bytes.length - 1 || (count !== ENTRIES_UNKNOWN && count !== entries.length)) {
    throw new PayloadError('a ziplist with another number of entries than it says');
  }
  return entries;
}

function ziplistEntry(cursor: Cursor): Buffer {
  const first = cursor.byte();
  if (first < 0x40) return cursor.string(first);
  if (first < 0x80) return cursor.string(((first & 0x3f) << 8) | cursor.byte());
  if (first === 0x80) return cursor.string(cursor.bytes.readUInt32BE(cursor.take(4)));
  if (first === 0xc0) return cursor.digits(2);
  if (first === 0xd0) return cursor.digits(4);
  if (first === 0xe0) return cursor.digits(8);
  if (first === 0xf0) return cursor.digits(3);
  if (first === 0xfe) return cursor.digits(1);
  if (first > 0xf0 && first < 0xfe) return Buffer.from(String((first & 0x0f) - 1), 'latin1');
  throw new PayloadError('a ziplist with an unknown entry');
}

/** The integers in an intset, as their digits. @throws PayloadError when it is damaged */
export function readIntset(bytes: Buffer): Buffer[] {
  if (bytes.length < 8) throw new PayloadError('a damaged intset');
  const each = bytes.readUInt32LE(0);
  const count = bytes.readUInt32LE(4);
  if ((each !== 2 && each !== 4 && each !== 8) || count === 0 || bytes.length !== 8 + each * count) {
    throw new PayloadError('a damaged intset');
  }
  const cursor = new Cursor(bytes, 8);
  return Array.from({ length: count }, () => cursor.digits(each));
}
