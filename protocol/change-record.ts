/**
 * The change record, version 1: what one write does to one register. The same bytes go to peers, into the embedded
 * store and to the flusher. Records are self-delimiting, so a batch is their concatenation. Little-endian unless said.
 *
 *   offset  size
 *        0  u32    length of the whole record, this word included
 *        4  u8     version = 1
 *        5  u8     kind of register (1 string, 2 counter, 3 floor, 16… collections); never 0
 *        6  u16    flags: 1 dead, 2 has a deadline, 4 has an element, 8 batch begin, 16 batch end,
 *                  32 expired
 *        8  u64be  stamp
 *       16  u64be  origin (node id)
 *       24  u16    database
 *       26  u16    reserved, 0
 *       28  u32    key length
 *       32  …      key
 *                  if it has an element:  u32 element length, element
 *                  if it has a deadline:  u64be deadline in ms since 1970 (0 = persisted),
 *                                         u64be deadline's stamp, u64be deadline's origin
 *                  value: the rest
 *
 * Worked example: database 3, string `greeting` = `hello`, stamp 1700000000000-7, origin 00000000deadbeef,
 * deadline 1700000060000 set by the same write:
 *
 *   45000000 01 01 0200  18bcfe5680000007 00000000deadbeef  0300 0000 08000000
 *   6772656574696e67
 *   0000018bcfe65260 18bcfe5680000007 00000000deadbeef
 *   68656c6c6f
 */
import { strict as assert } from 'node:assert';
import { copyByWords, viewOf } from './byte-view.ts';

const RECORD_VERSION = 1;

export const KIND_STRING = 1;
export const KIND_COUNTER = 2;
export const KIND_FLOOR = 3;

export const FLAG_DEAD = 1;
export const FLAG_HAS_DEADLINE = 2;
export const FLAG_HAS_ELEMENT = 4;
export const FLAG_BATCH_BEGIN = 8;
export const FLAG_BATCH_END = 16;
/** The deadline passed where the record was made and the value is gone: to be hidden at once, whatever the reader's clock says. */
export const FLAG_EXPIRED = 32;

const FLAGS_KNOWN = 63;
/** Flags that say which parts follow; the writer sets them itself. */
const FLAGS_OF_PARTS = FLAG_HAS_DEADLINE | FLAG_HAS_ELEMENT;

/** Bytes before the key. */
export const RECORD_HEADER_BYTES = 32;
/** Bytes of the deadline part. */
export const RECORD_DEADLINE_BYTES = 24;

export const OFFSET_VERSION = 4;
export const OFFSET_KIND = 5;
export const OFFSET_FLAGS = 6;
export const OFFSET_STAMP = 8;
const OFFSET_ORIGIN = 16;
export const OFFSET_DATABASE = 24;
export const OFFSET_RESERVED = 26;
export const OFFSET_KEY_LENGTH = 28;

/** Longest record the 32-bit length word can say. */
const RECORD_BYTES_MAX = 0xffffffff;
const WORD = 0x1_0000_0000;
/** Below this a copy by a loop beats the call into the runtime. */
const SMALL_COPY_BYTES = 48;

/** Bytes that are not a change record of this version; nothing of them may be applied. */
export class RecordError extends Error {
  override name = 'RecordError';
}

/** Where the parts of one record lie in `buffer`. Reused between records. */
export interface RecordView {
  buffer: Buffer;
  start: number;
  end: number;
  kind: number;
  flags: number;
  stampHi: number;
  stampLo: number;
  originHi: number;
  originLo: number;
  database: number;
  keyStart: number;
  keyLength: number;
  elementStart: number;
  elementLength: number;
  deadlineMs: number;
  deadlineStampHi: number;
  deadlineStampLo: number;
  deadlineOriginHi: number;
  deadlineOriginLo: number;
  valueStart: number;
  valueLength: number;
}

const NO_BYTES = Buffer.alloc(0);
const NO_VIEW = new DataView(new ArrayBuffer(0));

/** Reads records in place. The fields describe the last record read; a failed read leaves them undefined. */
export class RecordReader implements RecordView {
  buffer: Buffer = NO_BYTES;
  start = 0;
  end = 0;
  kind = 0;
  flags = 0;
  stampHi = 0;
  stampLo = 0;
  originHi = 0;
  originLo = 0;
  database = 0;
  keyStart = 0;
  keyLength = 0;
  elementStart = 0;
  elementLength = 0;
  deadlineMs = 0;
  deadlineStampHi = 0;
  deadlineStampLo = 0;
  deadlineOriginHi = 0;
  deadlineOriginLo = 0;
  valueStart = 0;
  valueLength = 0;
  /** Of `buffer`. */
  #view: DataView = NO_VIEW;

  /**
   * Reads the record at `offset` and returns the offset of the next one. Never looks past `limit`.
   * Throws RecordError when the bytes are not a whole, well-formed record of a version known here.
   */
  read(buffer: Buffer, offset: number, limit: number = buffer.length): number {
    if (limit - offset < RECORD_HEADER_BYTES) {
      throw new RecordError(
        `record at ${offset} is cut off: ${limit - offset} bytes of a header of ${RECORD_HEADER_BYTES}`,
      );
    }
    if (buffer !== this.buffer) {
      this.buffer = buffer;
      this.#view = viewOf(buffer);
    }
    const length = this.#view.getUint32(offset, true);
    if (length < RECORD_HEADER_BYTES || length > limit - offset) {
      throw new RecordError(`record at ${offset} says ${length} bytes where ${limit - offset} are left`);
    }
    const version = buffer[offset + OFFSET_VERSION];
    if (version !== RECORD_VERSION) {
      throw new RecordError(`record at ${offset} has version ${version}; this release reads ${RECORD_VERSION}`);
    }
    this.start = offset;
    this.end = offset + length;
    this.#readHeader(buffer, offset);
    const afterKey = this.#part(offset + OFFSET_KEY_LENGTH, 'key');
    this.keyStart = afterKey - this.keyLength;
    this.#readTail(afterKey);
    return this.end;
  }

  /** Lets go of the buffer that was read last, which may be half a gigabyte. */
  release(): void {
    this.buffer = NO_BYTES;
    this.#view = NO_VIEW;
  }

  #readHeader(buffer: Buffer, offset: number): void {
    this.kind = buffer[offset + OFFSET_KIND]!;
    const view = this.#view;
    this.flags = view.getUint16(offset + OFFSET_FLAGS, true);
    if (this.kind === 0) throw new RecordError(`record at ${offset} has kind 0`);
    if ((this.flags & ~FLAGS_KNOWN) !== 0) throw new RecordError(`record at ${offset} has unknown flags ${this.flags}`);
    if (view.getUint16(offset + OFFSET_RESERVED, true) !== 0) {
      throw new RecordError(`record at ${offset} has reserved bytes that are not 0`);
    }
    this.stampHi = view.getUint32(offset + OFFSET_STAMP);
    this.stampLo = view.getUint32(offset + OFFSET_STAMP + 4);
    this.originHi = view.getUint32(offset + OFFSET_ORIGIN);
    this.originLo = view.getUint32(offset + OFFSET_ORIGIN + 4);
    this.database = view.getUint16(offset + OFFSET_DATABASE, true);
  }

  /** Reads a length word at `at` into keyLength or elementLength; returns the offset after the part's bytes. */
  #part(at: number, part: 'key' | 'element'): number {
    const length = this.#view.getUint32(at, true);
    if (length > this.end - at - 4) {
      throw new RecordError(
        `record at ${this.start} says a ${part} of ${length} bytes where ${this.end - at - 4} are left`,
      );
    }
    if (part === 'key') this.keyLength = length;
    else this.elementLength = length;
    return at + 4 + length;
  }

  #readTail(afterKey: number): void {
    let at = afterKey;
    this.elementLength = 0;
    if (this.flags & FLAG_HAS_ELEMENT) {
      if (this.end - at < 4) throw new RecordError(`record at ${this.start} is cut off before its element`);
      at = this.#part(at, 'element');
    }
    this.elementStart = at - this.elementLength;
    if (this.flags & FLAG_HAS_DEADLINE) {
      if (this.end - at < RECORD_DEADLINE_BYTES)
        throw new RecordError(`record at ${this.start} is cut off before its deadline`);
      const view = this.#view;
      this.deadlineMs = view.getUint32(at) * WORD + view.getUint32(at + 4);
      if (this.deadlineMs > Number.MAX_SAFE_INTEGER)
        throw new RecordError(`record at ${this.start} has a deadline past 2^53 ms`);
      this.deadlineStampHi = view.getUint32(at + 8);
      this.deadlineStampLo = view.getUint32(at + 12);
      this.deadlineOriginHi = view.getUint32(at + 16);
      this.deadlineOriginLo = view.getUint32(at + 20);
      at += RECORD_DEADLINE_BYTES;
    } else {
      this.deadlineMs = 0;
      this.deadlineStampHi = 0;
      this.deadlineStampLo = 0;
      this.deadlineOriginHi = 0;
      this.deadlineOriginLo = 0;
    }
    this.valueStart = at;
    this.valueLength = this.end - at;
  }
}

/** Before the first record of a RecordWriter's memory there is so much that a store may write to: a large record need not be copied for it. */
const RECORDS_HEADROOM_BYTES = 8;

/** See RecordWriter.lend(). */
export const LENT_BYTES_MAX = 1 << 20;

function withHeadroom(bytes: number): Buffer {
  return Buffer.allocUnsafeSlow(RECORDS_HEADROOM_BYTES + bytes).subarray(RECORDS_HEADROOM_BYTES);
}

/**
 * Appends records to a buffer that grows by doubling. One record is: begin, then element and deadline if it has them
 * (in this order), then value (once or in pieces), then end.
 */
export class RecordWriter {
  buffer: Buffer;
  /** Bytes written so far. */
  length = 0;
  #initialBytes: number;
  #recordStart = -1;
  /** A view of `buffer`, to write words through. */
  #view: DataView;

  constructor(initialBytes = 4096) {
    this.#initialBytes = initialBytes;
    this.buffer = withHeadroom(initialBytes);
    this.#view = new DataView(this.buffer.buffer, RECORDS_HEADROOM_BYTES);
  }

  /** Makes room for `bytes` more. */
  ensure(bytes: number): void {
    const needed = this.length + bytes;
    if (needed > this.buffer.length) this.#grow(needed);
  }

  #grow(needed: number): void {
    const grown = withHeadroom(Math.max(needed, this.buffer.length * 2, this.#initialBytes));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
    this.#view = new DataView(grown.buffer, RECORDS_HEADROOM_BYTES);
  }

  /**
   * Starts a record and returns its offset. `flags` are dead and the batch flags; the flags of parts are set by
   * element() and deadline().
   */
  begin(
    kind: number,
    flags: number,
    stampHi: number,
    stampLo: number,
    originHi: number,
    originLo: number,
    database: number,
    key: Buffer,
    keyStart: number,
    keyLength: number,
  ): number {
    assert(this.#recordStart < 0, 'begin() inside a record');
    this.ensure(RECORD_HEADER_BYTES + keyLength);
    const at = this.length;
    const buffer = this.buffer;
    this.#recordStart = at;
    const headerFlags = flags & ~FLAGS_OF_PARTS;
    buffer[at + OFFSET_VERSION] = RECORD_VERSION;
    buffer[at + OFFSET_KIND] = kind;
    buffer[at + OFFSET_FLAGS] = headerFlags;
    buffer[at + OFFSET_FLAGS + 1] = headerFlags >>> 8;
    this.#putUint32be(at + OFFSET_STAMP, stampHi);
    this.#putUint32be(at + OFFSET_STAMP + 4, stampLo);
    this.#putUint32be(at + OFFSET_ORIGIN, originHi);
    this.#putUint32be(at + OFFSET_ORIGIN + 4, originLo);
    buffer[at + OFFSET_DATABASE] = database;
    buffer[at + OFFSET_DATABASE + 1] = database >>> 8;
    buffer[at + OFFSET_RESERVED] = 0;
    buffer[at + OFFSET_RESERVED + 1] = 0;
    this.#putUint32le(at + OFFSET_KEY_LENGTH, keyLength);
    this.length = at + RECORD_HEADER_BYTES;
    this.#append(key, keyStart, keyLength);
    return at;
  }

  /** Appends the record of a live string without a deadline whose value lies behind its key: at most a few KiB of both. */
  string(
    stampHi: number,
    stampLo: number,
    originHi: number,
    originLo: number,
    database: number,
    source: DataView,
    keyStart: number,
    keyLength: number,
    valueLength: number,
  ): void {
    assert(this.#recordStart < 0, 'string() inside a record');
    const length = RECORD_HEADER_BYTES + keyLength + valueLength;
    this.ensure(length);
    const at = this.length;
    const view = this.#view;
    view.setUint32(at, length, true);
    view.setUint32(at + OFFSET_VERSION, RECORD_VERSION | (KIND_STRING << 8), true);
    view.setUint32(at + OFFSET_STAMP, stampHi);
    view.setUint32(at + OFFSET_STAMP + 4, stampLo);
    view.setUint32(at + OFFSET_ORIGIN, originHi);
    view.setUint32(at + OFFSET_ORIGIN + 4, originLo);
    view.setUint32(at + OFFSET_DATABASE, database, true);
    view.setUint32(at + OFFSET_KEY_LENGTH, keyLength, true);
    copyByWords(source, keyStart, keyLength + valueLength, view, at + RECORD_HEADER_BYTES);
    this.length = at + length;
  }

  element(source: Buffer, start: number, length: number): void {
    this.ensure(4 + length);
    this.#putUint32le(this.length, length);
    this.length += 4;
    this.#append(source, start, length);
    this.buffer[this.#recordStart + OFFSET_FLAGS] |= FLAG_HAS_ELEMENT;
  }

  /** `ms` since 1970, below 2^53; 0 = persisted. */
  deadline(ms: number, stampHi: number, stampLo: number, originHi: number, originLo: number): void {
    this.ensure(RECORD_DEADLINE_BYTES);
    const at = this.length;
    this.#putUint32be(at, Math.floor(ms / WORD));
    this.#putUint32be(at + 4, ms >>> 0);
    this.#putUint32be(at + 8, stampHi);
    this.#putUint32be(at + 12, stampLo);
    this.#putUint32be(at + 16, originHi);
    this.#putUint32be(at + 20, originLo);
    this.length = at + RECORD_DEADLINE_BYTES;
    this.buffer[this.#recordStart + OFFSET_FLAGS] |= FLAG_HAS_DEADLINE;
  }

  value(source: Buffer, start: number, length: number): void {
    this.ensure(length);
    this.#append(source, start, length);
  }

  /** The same for a short value whose bytes a view reads in words. */
  valueView(source: DataView, start: number, length: number): void {
    this.ensure(length);
    copyByWords(source, start, length, this.#view, this.length);
    this.length += length;
  }

  /** Closes the record: writes its length. */
  end(): void {
    assert(this.#recordStart >= 0, 'end() without begin()');
    const length = this.length - this.#recordStart;
    assert(length <= RECORD_BYTES_MAX, 'a record longer than its length word');
    this.#putUint32le(this.#recordStart, length);
    this.#recordStart = -1;
  }

  /** Appends records that are already encoded. */
  raw(source: Buffer, start: number, length: number): void {
    assert(this.#recordStart < 0, 'raw() inside a record');
    this.ensure(length);
    this.#append(source, start, length);
  }

  /** Sets more flags (dead, batch begin, batch end) on the record that begins at `recordStart`. */
  patchFlags(recordStart: number, orMask: number): void {
    assert((orMask & FLAGS_OF_PARTS) === 0, 'flags of parts cannot be patched');
    this.buffer[recordStart + OFFSET_FLAGS] |= orMask;
    this.buffer[recordStart + OFFSET_FLAGS + 1] |= orMask >>> 8;
  }

  /** Forgets what was written; keeps the buffer. */
  reset(): void {
    this.length = 0;
    this.#recordStart = -1;
  }

  /**
   * Hands over what was written without copying it, and goes on with a fresh buffer. What is returned owns its
   * ArrayBuffer alone, so it can be transferred to another thread.
   */
  take(): Buffer {
    assert(this.#recordStart < 0, 'take() inside a record');
    const taken = this.buffer.subarray(0, this.length);
    // The fresh buffer is made when something is written: often nothing follows.
    this.buffer = NO_BYTES;
    this.#view = NO_VIEW;
    this.length = 0;
    return taken;
  }

  /**
   * What was written, until reset(). More than LENT_BYTES_MAX is handed over as by take(): whoever is given it may keep it, and a writer
   * that is used again and again does not keep half a gigabyte.
   */
  lend(): Buffer {
    return this.length > LENT_BYTES_MAX ? this.take() : this.buffer.subarray(0, this.length);
  }

  #append(source: Buffer, start: number, length: number): void {
    const at = this.length;
    if (length <= SMALL_COPY_BYTES) {
      const target = this.buffer;
      for (let index = 0; index < length; index++) target[at + index] = source[start + index]!;
    } else {
      source.copy(this.buffer, at, start, start + length);
    }
    this.length = at + length;
  }

  #putUint32be(at: number, value: number): void {
    this.#view.setUint32(at, value);
  }

  #putUint32le(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }
}
