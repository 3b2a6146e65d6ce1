/**
 * RESP replies, appended to one growing buffer.
 *
 * Each method writes one whole reply, or the header of an aggregate whose parts the caller writes next. `protocol` chooses
 * between RESP2 and RESP3 where they differ. Status, integer, bulk, nil and aggregate headers allocate nothing.
 */
import assert from 'node:assert';
import { copyByWords } from './byte-view.ts';
import { formatDouble } from './format-double.ts';
import { integerLength, writeInteger } from './integer.ts';

const CARRIAGE_RETURN = 13;
const LINE_FEED = 10;
const TAB = 9;
const SPACE = 32;
const HASH = 35;
const DOLLAR = 36;
const PERCENT = 37;
const OPEN_PARENTHESIS = 40;
const ASTERISK = 42;
const PLUS = 43;
const COMMA = 44;
const MINUS = 45;
const ZERO = 48;
const COLON = 58;
const EQUALS = 61;
const GREATER = 62;
const DELETE = 127;
const TILDE = 126;
const LOWER_F = 102;
const LOWER_T = 116;

const OK = Buffer.from('+OK\r\n');
const PONG = Buffer.from('+PONG\r\n');
const copy = Buffer.prototype.copy;
const QUEUED = Buffer.from('+QUEUED\r\n');
const NIL_BULK = Buffer.from('$-1\r\n');
const NIL_ARRAY = Buffer.from('*-1\r\n');
const NULL = Buffer.from('_\r\n');
const EMPTY_BULK = Buffer.from('$0\r\n\r\n');

/** Type byte, sign, 16 digits, CRLF. */
const HEADER_BYTES_MAX = 20;
/** Up to here a byte loop is faster than a call to copy. */
const BYTE_LOOP_MAX = 48;
/** Texts up to here are tried as ASCII, byte by byte. */
const SHORT_TEXT_MAX = 48;
/** A UTF-16 code unit takes at most three bytes in UTF-8. */
const UTF8_BYTES_PER_UNIT = 3;
const INITIAL_CAPACITY = 16384;
/** What reset keeps of a buffer that a large reply has grown. */
const RETAINED_CAPACITY = 1 << 20;

export class ReplyWriter {
  length = 0;
  /** RESP version that the client has asked for. */
  protocol: 2 | 3 = 2;

  #buffer!: Buffer;
  #view!: DataView;
  private readonly initialCapacity: number;

  /** @param capacity bytes to begin with, and to return to after a large reply */
  constructor(capacity = INITIAL_CAPACITY) {
    this.initialCapacity = capacity;
    this.buffer = Buffer.allocUnsafeSlow(capacity);
  }

  /** The replies written so far are `buffer[0, length)`. Growing replaces the buffer, and so may whoever sends it. */
  get buffer(): Buffer {
    return this.#buffer;
  }

  set buffer(buffer: Buffer) {
    this.#buffer = buffer;
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  }

  /** Forgets what was written, and gives back what a large reply has grown. */
  reset(): void {
    this.length = 0;
    if (this.buffer.length > RETAINED_CAPACITY && this.buffer.length > this.initialCapacity) {
      this.buffer = Buffer.allocUnsafeSlow(this.initialCapacity);
    }
  }

  /** Makes room for so many more bytes, doubling. */
  ensure(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }

  ok(): void {
    this.constant(OK);
  }

  pong(): void {
    this.constant(PONG);
  }

  queued(): void {
    this.constant(QUEUED);
  }

  /** A status line; line breaks and other control characters become spaces. */
  simple(text: string): void {
    this.line(PLUS, text);
  }

  /** An error line, its code included (`ERR no such key`); line breaks and other control characters become spaces. */
  error(text: string): void {
    this.line(MINUS, text);
  }

  /** A safe integer. */
  integer(value: number): void {
    this.header(COLON, value);
  }

  /** A signed 64-bit integer. */
  bigint(value: bigint): void {
    this.line(COLON, value.toString());
  }

  bulk(buffer: Uint8Array, start: number, length: number): void {
    this.ensure(length + HEADER_BYTES_MAX + 2);
    this.header(DOLLAR, length);
    this.bytes(buffer, start, length);
    this.crlf();
  }

  /** `bulk` from a view, for values of up to WORD_COPY_MAX bytes. */
  bulkView(view: DataView, start: number, length: number): void {
    this.ensure(length + HEADER_BYTES_MAX + 2);
    this.header(DOLLAR, length);
    copyByWords(view, start, length, this.#view, this.length);
    this.length += length;
    this.crlf();
  }

  /** A bulk string of the text's UTF-8. */
  bulkString(text: string): void {
    const length = asciiLength(text);
    if (length < 0) {
      const utf8 = Buffer.from(text);
      this.bulk(utf8, 0, utf8.length);
      return;
    }
    this.ensure(length + HEADER_BYTES_MAX + 2);
    this.header(DOLLAR, length);
    const { buffer } = this;
    let offset = this.length;
    for (let index = 0; index < length; index++) buffer[offset++] = text.charCodeAt(index);
    this.length = offset;
    this.crlf();
  }

  /** A bulk string of a safe integer's decimal digits. */
  bulkInteger(value: number): void {
    assert(Number.isSafeInteger(value));
    this.ensure(2 * HEADER_BYTES_MAX + 2);
    this.header(DOLLAR, integerLength(value));
    this.length = writeInteger(this.buffer, this.length, value);
    this.crlf();
  }

  /** The absent value: a null bulk string in RESP2. */
  nil(): void {
    this.constant(this.protocol === 2 ? NIL_BULK : NULL);
  }

  /** The absent array. */
  nilArray(): void {
    this.constant(this.protocol === 2 ? NIL_ARRAY : NULL);
  }

  emptyBulk(): void {
    this.constant(EMPTY_BULK);
  }

  array(count: number): void {
    this.header(ASTERISK, count);
  }

  /** So many pairs: in RESP2 a flat array of keys and values. */
  map(pairs: number): void {
    if (this.protocol === 2) this.header(ASTERISK, pairs * 2);
    else this.header(PERCENT, pairs);
  }

  set(count: number): void {
    this.header(this.protocol === 2 ? ASTERISK : TILDE, count);
  }

  /** Out-of-band data; in RESP2 an array. */
  push(count: number): void {
    this.header(this.protocol === 2 ? ASTERISK : GREATER, count);
  }

  /** A double; in RESP2 a bulk string. */
  double(value: number): void {
    if (this.protocol === 2) this.bulkString(formatDouble(value));
    else this.line(COMMA, formatDouble(value));
  }

  /** A boolean; in RESP2 the integer 1 or 0. */
  boolean(value: boolean): void {
    if (this.protocol === 2) {
      this.header(COLON, value ? 1 : 0);
      return;
    }
    this.ensure(4);
    this.buffer[this.length++] = HASH;
    this.buffer[this.length++] = value ? LOWER_T : LOWER_F;
    this.crlf();
  }

  /** Text for people, with its three-letter format; in RESP2 a bulk string. */
  verbatim(text: string, format: 'txt' | 'mkd' = 'txt'): void {
    if (this.protocol === 2) {
      this.bulkString(text);
      return;
    }
    const utf8 = Buffer.from(`${format}:${text}`);
    this.ensure(utf8.length + HEADER_BYTES_MAX + 2);
    this.header(EQUALS, utf8.length);
    this.bytes(utf8, 0, utf8.length);
    this.crlf();
  }

  /** An integer of any size, as decimal digits; in RESP2 a bulk string. */
  bigNumber(digits: string): void {
    if (this.protocol === 2) this.bulkString(digits);
    else this.line(OPEN_PARENTHESIS, digits);
  }

  /** Bytes that are already replies. */
  raw(bytes: Uint8Array): void {
    this.ensure(bytes.length);
    this.bytes(bytes, 0, bytes.length);
  }

  private header(type: number, value: number): void {
    assert(Number.isSafeInteger(value));
    this.ensure(HEADER_BYTES_MAX);
    const { buffer } = this;
    if (value >= 0 && value < 10) {
      const at = this.length;
      buffer[at] = type;
      buffer[at + 1] = ZERO + value;
      buffer[at + 2] = CARRIAGE_RETURN;
      buffer[at + 3] = LINE_FEED;
      this.length = at + 4;
      return;
    }
    buffer[this.length] = type;
    const end = writeInteger(buffer, this.length + 1, value);
    buffer[end] = CARRIAGE_RETURN;
    buffer[end + 1] = LINE_FEED;
    this.length = end + 2;
  }

  private crlf(): void {
    this.buffer[this.length++] = CARRIAGE_RETURN;
    this.buffer[this.length++] = LINE_FEED;
  }

  private constant(bytes: Buffer): void {
    this.ensure(bytes.length);
    const { buffer } = this;
    let offset = this.length;
    for (let index = 0; index < bytes.length; index++) buffer[offset++] = bytes[index];
    this.length = offset;
  }

  /** Copies into room that ensure has made. */
  private bytes(source: Uint8Array, start: number, length: number): void {
    const { buffer } = this;
    let offset = this.length;
    this.length = offset + length;
    if (length > BYTE_LOOP_MAX) {
      copy.call(source, buffer, offset, start, start + length);
      return;
    }
    for (let position = start; position < start + length; position++) buffer[offset++] = source[position];
  }

  /** A reply of one line: whatever could end the line early, or is unprintable, becomes a space, so the stream stays in step. */
  private line(type: number, text: string): void {
    this.ensure(text.length * UTF8_BYTES_PER_UNIT + 3);
    const { buffer } = this;
    buffer[this.length] = type;
    const start = this.length + 1;
    const end = start + buffer.write(text, start);
    for (let position = start; position < end; position++) {
      const byte = buffer[position];
      if ((byte < SPACE && byte !== TAB) || byte === DELETE) buffer[position] = SPACE;
    }
    this.length = end;
    this.crlf();
  }
}

/** The text's length when it is short and ASCII, else −1. */
function asciiLength(text: string): number {
  const { length } = text;
  if (length > SHORT_TEXT_MAX) return -1;
  for (let index = 0; index < length; index++) {
    if (text.charCodeAt(index) > DELETE) return -1;
  }
  return length;
}
