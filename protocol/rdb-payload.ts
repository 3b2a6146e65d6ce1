/**
 * What DUMP gives and RESTORE takes: one value in the format of Redis's RDB files, so that it can be carried to and from Redis.
 *
 *   payload   | u8 type | value | u16le RDB version | u64le CRC-64 of all before it |
 *   double    | f64le |
 *   time      | i64le |
 *   length    | 00nnnnnn | · | 01nnnnnn nnnnnnnn | · | 80 u32be | · | 81 u64be |
 *   string    | length | bytes |
 *             | c0 i8 | · | c1 i16le | · | c2 i32le |           the integer's decimal digits
 *             | c3 | length compressed | length | LZF |
 *
 * Worked example, the string `abc`: 00 03 61 62 63 | 0a 00 | d9 ac 30 3d 41 72 a2 e2
 */
import { crc64 } from './crc64.ts';
import { parseSafeInteger } from './integer.ts';
import { lzfDecompress } from './lzf.ts';

export const RDB_TYPE_STRING = 0;

/** Written by Redis 7.0, and read by it and everything later. */
const VERSION_WRITTEN = 10;
/** Written by Redis 7.4, and read by it and everything later: values with parts that 7.2 does not know. */
export const VERSION_OF_FIELD_DEADLINES = 12;
const VERSION_READ_MAX = 12;
const FOOTER_BYTES = 10;

const LENGTH_6_BITS_MAX = 63;
const LENGTH_14_BITS_MAX = 16383;
const MARK_14_BITS = 0x40;
const MARK_32_BITS = 0x80;
const MARK_64_BITS = 0x81;
const MARK_ENCODED = 0xc0;
const ENCODED_INT8 = 0xc0;
const ENCODED_INT16 = 0xc1;
const ENCODED_INT32 = 0xc2;
const ENCODED_LZF = 0xc3;
/** Longer strings are no 32-bit integers. */
const INTEGER_BYTES_MAX = 11;

/** The value in a payload is damaged, or of a type that is not known here. */
export class PayloadError extends Error {
  override readonly name = 'PayloadError';
}

/** Writes one value; `finish` adds the footer. */
export class PayloadWriter {
  #buffer: Buffer;
  #length = 0;

  /** @param type as RDB_TYPE_STRING; null for a payload that does not begin with one */
  constructor(type: number | null) {
    this.#buffer = Buffer.allocUnsafe(64);
    if (type !== null) this.#buffer[this.#length++] = type;
  }

  string(buffer: Buffer, start: number, length: number): void {
    if (length <= INTEGER_BYTES_MAX && this.#integer(parseSafeInteger(buffer, start, length))) return;
    this.length(length);
    this.#ensure(length);
    buffer.copy(this.#buffer, this.#length, start, start + length);
    this.#length += length;
  }

  #integer(value: number): boolean {
    this.#ensure(5);
    const buffer = this.#buffer;
    if (value >= -0x80 && value <= 0x7f) {
      buffer[this.#length] = ENCODED_INT8;
      this.#length = buffer.writeInt8(value, this.#length + 1);
    } else if (value >= -0x8000 && value <= 0x7fff) {
      buffer[this.#length] = ENCODED_INT16;
      this.#length = buffer.writeInt16LE(value, this.#length + 1);
    } else if (value >= -0x80000000 && value <= 0x7fffffff) {
      buffer[this.#length] = ENCODED_INT32;
      this.#length = buffer.writeInt32LE(value, this.#length + 1);
    } else {
      return false;
    }
    return true;
  }

  length(value: number): void {
    this.#ensure(9);
    const buffer = this.#buffer;
    if (value <= LENGTH_6_BITS_MAX) {
      buffer[this.#length++] = value;
    } else if (value <= LENGTH_14_BITS_MAX) {
      this.#length = buffer.writeUInt16BE((MARK_14_BITS << 8) | value, this.#length);
    } else if (value <= 0xffffffff) {
      buffer[this.#length] = MARK_32_BITS;
      this.#length = buffer.writeUInt32BE(value, this.#length + 1);
    } else {
      buffer[this.#length] = MARK_64_BITS;
      this.#length = buffer.writeBigUInt64BE(BigInt(value), this.#length + 1);
    }
  }

  /** A double, as its 8 bytes. */
  double(value: number): void {
    this.#ensure(8);
    this.#length = this.#buffer.writeDoubleLE(value, this.#length);
  }

  /** A length of up to 64 bits: parts of stream ids. */
  bigLength(value: bigint): void {
    if (value <= 0xffffffffn) {
      this.length(Number(value));
      return;
    }
    this.#ensure(9);
    this.#buffer[this.#length] = MARK_64_BITS;
    this.#length = this.#buffer.writeBigUInt64BE(value, this.#length + 1);
  }

  /** A time in milliseconds since 1970, as 8 bytes. */
  time(ms: number): void {
    this.#ensure(8);
    this.#length = this.#buffer.writeBigInt64LE(BigInt(ms), this.#length);
  }

  /** Bytes without their length. */
  raw(bytes: Buffer): void {
    this.#ensure(bytes.length);
    this.#length += bytes.copy(this.#buffer, this.#length);
  }

  /** The payload. `version` says which Redis can read it. */
  finish(version = VERSION_WRITTEN): Buffer {
    this.#ensure(FOOTER_BYTES);
    const buffer = this.#buffer;
    this.#length = buffer.writeUInt16LE(version, this.#length);
    const { hi, lo } = crc64(buffer, 0, this.#length);
    this.#length = buffer.writeUInt32LE(lo, this.#length);
    this.#length = buffer.writeUInt32LE(hi, this.#length);
    return buffer.subarray(0, this.#length);
  }

  #ensure(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed + FOOTER_BYTES, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}

/** Reads the value of a payload, never outside of it. */
export class PayloadReader {
  /** As RDB_TYPE_STRING. */
  readonly type: number;
  readonly #buffer: Buffer;
  readonly #end: number;
  #at: number;

  /**
   * The payload is `buffer[start, start + length)`; `isSound` has said so.
   * @throws PayloadError when there is nothing but a footer
   */
  constructor(buffer: Buffer, start: number, length: number) {
    this.#buffer = buffer;
    this.#at = start;
    this.#end = start + length - FOOTER_BYTES;
    this.type = buffer[this.#take(1)]!;
  }

  /** Whether the payload's version is known and its checksum is right. */
  static isSound(buffer: Buffer, start: number, length: number): boolean {
    if (length < FOOTER_BYTES) return false;
    const footer = start + length - FOOTER_BYTES;
    if (buffer.readUInt16LE(footer) > VERSION_READ_MAX) return false;
    const { hi, lo } = crc64(buffer, start, footer + 2);
    return buffer.readUInt32LE(footer + 2) === lo && buffer.readUInt32LE(footer + 6) === hi;
  }

  /** @throws PayloadError */
  string(): Buffer {
    const buffer = this.#buffer;
    const first = buffer[this.#peek()];
    if (first < MARK_ENCODED) {
      const length = this.length();
      const start = this.#take(length);
      return buffer.subarray(start, start + length);
    }
    this.#take(1);
    if (first === ENCODED_INT8) return Buffer.from(String(buffer.readInt8(this.#take(1))));
    if (first === ENCODED_INT16) return Buffer.from(String(buffer.readInt16LE(this.#take(2))));
    if (first === ENCODED_INT32) return Buffer.from(String(buffer.readInt32LE(this.#take(4))));
    if (first === ENCODED_LZF) return this.#compressed();
    throw new PayloadError('an unknown encoding of a string');
  }

  #compressed(): Buffer {
    const compressedLength = this.length();
    const length = this.length();
    const start = this.#take(compressedLength);
    const bytes = lzfDecompress(this.#buffer, start, start + compressedLength, length);
    if (bytes === null) throw new PayloadError('a damaged compressed string');
    return bytes;
  }

  /** @throws PayloadError */
  length(): number {
    const buffer = this.#buffer;
    const at = this.#take(1);
    const first = buffer[at];
    if (first <= LENGTH_6_BITS_MAX) return first;
    if (first < MARK_32_BITS) return ((first & LENGTH_6_BITS_MAX) << 8) | buffer[this.#take(1)];
    if (first === MARK_32_BITS) return buffer.readUInt32BE(this.#take(4));
    if (first === MARK_64_BITS) return Number(buffer.readBigUInt64BE(this.#take(8)));
    throw new PayloadError('an unknown length');
  }

  /** What `PayloadWriter.bigLength` wrote. @throws PayloadError */
  bigLength(): bigint {
    if (this.#buffer[this.#peek()] !== MARK_64_BITS) return BigInt(this.length());
    return this.#buffer.readBigUInt64BE(this.#take(9) + 1);
  }

  /** What `PayloadWriter.time` wrote. @throws PayloadError */
  time(): number {
    return Number(this.#buffer.readBigInt64LE(this.#take(8)));
  }

  /** @throws PayloadError */
  raw(bytes: number): Buffer {
    const start = this.#take(bytes);
    return this.#buffer.subarray(start, start + bytes);
  }

  /** Whether all of it is read. */
  get isAtEnd(): boolean {
    return this.#at === this.#end;
  }

  /** @throws PayloadError */
  double(): number {
    return this.#buffer.readDoubleLE(this.#take(8));
  }

  #peek(): number {
    if (this.#at >= this.#end) throw new PayloadError('the value ends early');
    return this.#at;
  }

  /** Moves on and returns where it was. */
  #take(bytes: number): number {
    const at = this.#at;
    if (bytes > this.#end - at) throw new PayloadError('the value ends early');
    this.#at = at + bytes;
    return at;
  }
}
