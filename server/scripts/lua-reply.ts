/**
 * Replies between RESP and the encoding of Lua's ABI: a byte for the type, then a little-endian 32-bit count or length, then the
 * payload.
 */
import assert from 'node:assert';
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import type { LuaMachine } from './lua-machine.ts';

export const LUA = {
  null: 0,
  integer: 1,
  bulk: 2,
  array: 3,
  status: 4,
  error: 5,
  /** An error that Lua's own caller met; its payload begins with a line number. */
  scriptError: 6,
  boolean: 7,
  double: 8,
  map: 9,
  set: 10,
  bigNumber: 11,
  verbatim: 12,
  /** Of our prelude: a number that the reply cuts to an integer, and true where there are no booleans. */
  number: 13,
  yes: 14,
} as const;

export const LUA_HEADER_BYTES = 5;
const CARRIAGE_RETURN = 13;
const MINUS = 45;
const ZERO = 48;
const SAFE_DIGITS = 15;
const TWO_TO_32 = 2 ** 32;

const PLUS = 43;
const COLON = 58;
const DOLLAR = 36;
const ASTERISK = 42;
const COMMA = 44;
const HASH = 35;
const UNDERSCORE = 95;
const OPEN_PARENTHESIS = 40;
const EQUALS = 61;
const PERCENT = 37;
const TILDE = 126;
const GREATER = 62;
const BAR = 124;
const LOWER_T = 116;

/** Writes a command's reply for Lua. One object a node, reused. */
export class ReplyEncoder {
  #from: Buffer = Buffer.alloc(0);
  #at = 0;
  #machine!: LuaMachine;
  #to = 0;

  /** Answers the machine with the reply in `bytes[0, length)`. False when there is no room for it in Lua's memory. */
  answer(machine: LuaMachine, bytes: Buffer): boolean {
    this.#from = bytes;
    this.#machine = machine;
    if (bytes[0] === UNDERSCORE) machine.answerNil();
    this.#at = 0;
    const size = this.#measure();
    const pointer = machine.allocate(size);
    if (pointer === 0) return false;
    this.#at = 0;
    this.#to = pointer;
    this.#write();
    assert.equal(this.#to, pointer + size);
    machine.answer(pointer, size);
    return true;
  }

  /** The number in the line that begins at the cursor, which moves behind the line. */
  #count(): number {
    const bytes = this.#from;
    let at = this.#at + 1;
    const negative = bytes[at] === MINUS;
    if (negative) at++;
    let value = 0;
    for (; bytes[at] !== CARRIAGE_RETURN; at++) value = value * 10 + bytes[at] - ZERO;
    this.#at = at + 2;
    return negative ? -value : value;
  }

  /** The end of the line at the cursor, its CRLF left out; the cursor moves behind it. */
  #lineEnd(): number {
    const end = this.#from.indexOf(CARRIAGE_RETURN, this.#at);
    this.#at = end + 2;
    return end;
  }

  /** Bytes that the reply at the cursor takes; the cursor moves behind it. */
  #measure(): number {
    const start = this.#at;
    switch (this.#from[start]) {
      case PLUS:
      case MINUS:
      case OPEN_PARENTHESIS:
        return LUA_HEADER_BYTES + this.#lineEnd() - start - 1;
      case COLON:
      case COMMA:
        this.#lineEnd();
        return LUA_HEADER_BYTES + 8;
      case HASH:
        this.#lineEnd();
        return LUA_HEADER_BYTES + 1;
      case UNDERSCORE:
        this.#lineEnd();
        return LUA_HEADER_BYTES;
      case DOLLAR:
        return LUA_HEADER_BYTES + Math.max(0, this.#skip(this.#count()));
      case EQUALS:
        // The format's length is written in 4 bytes; the colon behind the format goes.
        return LUA_HEADER_BYTES + this.#skip(this.#count()) + 3;
      case BAR:
        this.#skipAttribute();
        return this.#measure();
      default:
        return this.#measureMany();
    }
  }

  #skip(length: number): number {
    if (length >= 0) this.#at += length + 2;
    return length;
  }

  /** Attributes are about the reply behind them, which is all that scripts are given. */
  #skipAttribute(): void {
    for (let left = this.#count() * 2; left > 0; left--) this.#measure();
  }

  #measureMany(): number {
    const isMap = this.#from[this.#at] === PERCENT;
    const count = this.#count();
    let size = LUA_HEADER_BYTES;
    for (let left = isMap ? count * 2 : count; left > 0; left--) size += this.#measure();
    return size;
  }

  #header(type: number, count: number): void {
    this.#machine.bytes[this.#to] = type;
    this.#machine.view.setInt32(this.#to + 1, count, true);
    this.#to += LUA_HEADER_BYTES;
  }

  #copy(type: number, start: number, end: number): void {
    this.#header(type, end - start);
    this.#from.copy(this.#machine.bytes, this.#to, start, end);
    this.#to += end - start;
  }

  #write(): void {
    const start = this.#at;
    switch (this.#from[start]) {
      case PLUS:
        return this.#copy(LUA.status, start + 1, this.#lineEnd());
      case MINUS:
        return this.#copy(LUA.error, start + 1, this.#lineEnd());
      case OPEN_PARENTHESIS:
        return this.#copy(LUA.bigNumber, start + 1, this.#lineEnd());
      case COLON:
        return this.#writeInteger(start + 1, this.#lineEnd());
      case COMMA:
        return this.#writeDouble(this.#from.toString('latin1', start + 1, this.#lineEnd()));
      case HASH:
        this.#lineEnd();
        this.#header(LUA.boolean, 1);
        this.#machine.bytes[this.#to++] = this.#from[start + 1] === LOWER_T ? 1 : 0;
        return;
      case UNDERSCORE:
        this.#lineEnd();
        return this.#header(LUA.null, 0);
      case DOLLAR:
        return this.#writeBulk();
      case EQUALS:
        return this.#writeVerbatim();
      case BAR:
        this.#skipAttribute();
        return this.#write();
      default:
        this.#writeMany();
    }
  }

  #writeInteger(start: number, end: number): void {
    const { view } = this.#machine;
    this.#header(LUA.integer, 8);
    const text = this.#from.toString('latin1', start, end);
    if (text.length > SAFE_DIGITS) {
      view.setBigInt64(this.#to, BigInt(text), true);
    } else {
      const value = Number(text);
      view.setInt32(this.#to, value | 0, true);
      view.setInt32(this.#to + 4, Math.floor(value / TWO_TO_32), true);
    }
    this.#to += 8;
  }

  #writeDouble(text: string): void {
    this.#header(LUA.double, 8);
    const value = text === 'inf' ? Infinity : text === '-inf' ? -Infinity : Number(text);
    this.#machine.view.setFloat64(this.#to, value, true);
    this.#to += 8;
  }

  #writeBulk(): void {
    const length = this.#count();
    if (length < 0) {
      this.#header(LUA.null, 0);
      return;
    }
    this.#copy(LUA.bulk, this.#at, this.#at + length);
    this.#at += length + 2;
  }

  #writeVerbatim(): void {
    const length = this.#count();
    this.#header(LUA.verbatim, length + 3);
    this.#machine.view.setInt32(this.#to, 3, true);
    this.#to += 4;
    const { bytes } = this.#machine;
    this.#to += this.#from.copy(bytes, this.#to, this.#at, this.#at + 3);
    this.#to += this.#from.copy(bytes, this.#to, this.#at + 4, this.#at + length);
    this.#at += length + 2;
  }

  #writeMany(): void {
    const kind = this.#from[this.#at];
    assert(kind === ASTERISK || kind === PERCENT || kind === TILDE || kind === GREATER, 'a reply of another kind');
    const count = this.#count();
    if (count < 0) {
      this.#header(LUA.null, 0);
      return;
    }
    this.#header(kind === PERCENT ? LUA.map : kind === TILDE ? LUA.set : LUA.array, count);
    for (let left = kind === PERCENT ? count * 2 : count; left > 0; left--) this.#write();
  }
}

/** An error reply's line, without anything that would end the line. */
export function errorLine(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('utf8', start, end);
}

/**
 * Writes the reply that is encoded in `bytes` from `start` on.
 * @returns the offset after it
 */
export function writeReply(reply: ReplyWriter, bytes: Buffer, start: number): number {
  const type = bytes[start];
  const count = bytes.readUInt32LE(start + 1);
  const at = start + LUA_HEADER_BYTES;
  switch (type) {
    case LUA.null:
      reply.nil();
      return at;
    case LUA.integer:
      writeInteger(reply, bytes.readInt32LE(at + 4), bytes.readUInt32LE(at));
      return at + 8;
    case LUA.number:
      writeInteger64(reply, bytes.readDoubleLE(at));
      return at + 8;
    case LUA.yes:
      reply.integer(1);
      return at + 1;
    case LUA.bulk:
      reply.bulk(bytes, at, count);
      return at + count;
    case LUA.status:
      reply.simple(bytes.toString('utf8', at, at + count));
      return at + count;
    case LUA.error:
      reply.error(errorLine(bytes, at, at + count));
      return at + count;
    case LUA.boolean:
      reply.boolean(bytes[at] !== 0);
      return at + 1;
    case LUA.double:
      reply.double(bytes.readDoubleLE(at));
      return at + 8;
    case LUA.bigNumber:
      reply.bigNumber(bytes.toString('latin1', at, at + count).replace(/[\r\n]/g, ' '));
      return at + count;
    case LUA.verbatim:
      return writeVerbatim(reply, bytes, at, count);
    default:
      return writeMany(reply, bytes, type, count, at);
  }
}

function writeInteger(reply: ReplyWriter, high: number, low: number): void {
  const value = high * TWO_TO_32 + low;
  if (Number.isSafeInteger(value)) reply.integer(value);
  // No double is the greatest of 64 bits: it was one that they do not hold, which in C becomes the least.
  else if (high === 0x7fffffff && low === 0xffffffff) reply.bigint(-(2n ** 63n));
  else reply.bigint((BigInt(high) << 32n) + BigInt(low));
}

/** A number without its fraction; one that 64 bits do not hold becomes the least that they do, as in C. */
function writeInteger64(reply: ReplyWriter, value: number): void {
  const whole = Math.trunc(value);
  if (Number.isSafeInteger(whole)) reply.integer(whole + 0);
  else reply.bigint(whole >= -(2 ** 63) && whole < 2 ** 63 ? BigInt(whole) : -(2n ** 63n));
}

function writeVerbatim(reply: ReplyWriter, bytes: Buffer, at: number, count: number): number {
  const formatEnd = at + 4 + bytes.readUInt32LE(at);
  const format = bytes.toString('latin1', at + 4, formatEnd);
  reply.verbatim(bytes.toString('utf8', formatEnd, at + count), format === 'mkd' ? 'mkd' : 'txt');
  return at + count;
}

function writeMany(reply: ReplyWriter, bytes: Buffer, type: number, count: number, start: number): number {
  if (type === LUA.map) reply.map(count);
  else if (type === LUA.set) reply.set(count);
  else {
    assert.equal(type, LUA.array);
    reply.array(count);
  }
  let at = start;
  for (let left = type === LUA.map ? count * 2 : count; left > 0; left--) at = writeReply(reply, bytes, at);
  return at;
}
