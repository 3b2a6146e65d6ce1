/**
 * RESP requests: bytes in, argument ranges out.
 *
 *     *2\r\n $3\r\nGET\r\n $1\r\na\r\n      → 2 arguments
 *     GET a\r\n                             → the same, inline
 *
 * A request that lies whole in the fed buffer is parsed in place: its arguments are ranges of that buffer. Only when the fed
 * bytes end inside a request is anything copied: the arguments that are complete, packed together, and the part of the next one.
 * Later bytes are appended to that copy and never scanned twice, so feeding one byte at a time costs no more than linear time.
 */
import { GATHERED_BYTES_MAX, GatheredBytes } from './gathered-bytes.ts';
import { hasQuotes, splitInline } from './inline-request.ts';
import type { WordSink } from './inline-request.ts';
import { parseSafeInteger } from './integer.ts';
import type { RequestsAhead } from './requests-ahead.ts';

/** The arguments of one request: argument i is `buffer[starts[i], starts[i] + lengths[i])`. All four are reused by the decoder. */
export interface ArgumentSource {
  buffer: Buffer;
  argc: number;
  starts: Int32Array;
  lengths: Int32Array;
}

/** 0: more bytes are needed; 1: a request is in the decoder's arguments. */
export type DecodeResult = 0 | 1;

/** Bounds on a request; read anew for each one, so that they can be changed while connections live. */
export interface RequestLimits {
  /** Longest argument in bytes (`proto-max-bulk-len`). */
  readonly bulkLengthMax: number;
  /** Longest inline request or length line in bytes, its line feed included. */
  readonly inlineLengthMax: number;
  /** Most arguments of a request. */
  readonly argumentsMax: number;
}

/** The client does not speak RESP. The message is Redis's, without the `ERR` in front; the connection is to be closed. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

const CARRIAGE_RETURN = 13;
const LINE_FEED = 10;
const DOLLAR = 36;
const ASTERISK = 42;
const ZERO = 48;

const NEED_MORE = 0;
const REQUEST = 1;
/** Something that is no request, like a blank line or `*0`, was read past. */
const SKIPPED = 2;
type Outcome = DecodeResult | typeof SKIPPED;

/** What readHeader answers while a length line has not ended; lengths below zero are answered as −1. */
const INCOMPLETE = -2;
/** Digits that readHeader sums without looking for overflow. */
const FAST_DIGITS = 9;

const ARGUMENTS_BEFORE_AUTH = 10;
const BULK_LENGTH_BEFORE_AUTH = 16384;

/** Argument ranges kept ready; 16 fit V8's on-heap typed arrays, so an idle connection costs little. */
const INITIAL_ARGUMENTS = 16;
/** A decoder without a request to hold gives back what is above this. */
const RETAINED_ARGUMENTS = 1024;
/** Where the arguments of one request end, whatever the limits allow. */
const HELD_ARGUMENTS_MAX = 1 << 28;

const NOTHING = Buffer.alloc(0);

export class RequestDecoder implements ArgumentSource, WordSink {
  buffer: Buffer = NOTHING;
  argc = 0;
  starts: Int32Array = new Int32Array(INITIAL_ARGUMENTS);
  lengths: Int32Array = new Int32Array(INITIAL_ARGUMENTS);
  /** While false, more than 10 arguments or an argument over 16 KiB are protocol errors (CVE-2021-32675). */
  authenticated = false;

  private readonly limits: RequestLimits;
  private readonly ahead: RequestsAhead | null;
  /** `starts` and `lengths` when they are not those of `ahead`. */
  private ownStarts = this.starts;
  private ownLengths = this.lengths;
  private input: Buffer = NOTHING;
  private position = 0;
  private end = 0;
  /** Bytes of `input` when it is a copy of the decoder's own, made by `hold`. */
  private heldBytes = 0;
  private failed = false;
  /** Where the length line that readHeader read has ended. */
  private headerEnd = 0;

  /** Whether a request was begun in bytes fed earlier; what follows describes it. */
  private carrying = false;
  private readonly own = new GatheredBytes();
  /** Arguments announced, −1 while the first line is incomplete. */
  private expected = -1;
  /** Announced length of the argument being gathered, −1 while its length line is. */
  private bulkLength = -1;
  /** Where in `own` the incomplete line or argument begins. */
  private partialStart = 0;

  /** @param ahead lets the decoder read whole runs of plain requests at once; decoders share one */
  constructor(limits: RequestLimits, ahead: RequestsAhead | null = null) {
    this.limits = limits;
    this.ahead = ahead;
  }

  /** Bytes of memory held for a request that is not complete, and for bytes put aside by `hold`. */
  get pendingBytes(): number {
    return this.heldBytes + (this.carrying ? this.own.buffer.length + this.starts.byteLength * 2 : 0);
  }

  /** What was fed of a request that is not complete, and put aside, about: room that is kept for more is left out. */
  get gatheredBytes(): number {
    const held = this.heldBytes === 0 ? 0 : this.end - this.position;
    return held + (this.carrying ? this.own.length + this.argc * 8 : 0);
  }

  /**
   * Gives the decoder `buffer[start, end)` to parse in place. Call `next` until it returns 0; only then may the caller reuse the
   * buffer, unless it calls `hold` first.
   */
  feed(buffer: Buffer, start: number, end: number): void {
    if (this.failed) return;
    this.ahead?.forget(this);
    if (this.position < this.end) {
      // Bytes still wait behind a request that pauses its connection; these go behind them.
      this.putBehind(buffer, start, end);
      return;
    }
    this.input = buffer;
    this.position = start;
    this.end = end;
    this.heldBytes = 0;
  }

  /**
   * Copies the bytes that were fed and are not decoded yet, so that the caller may reuse the fed buffer now: for a connection
   * that must pause between two pipelined requests. The current request's arguments stay in the fed buffer.
   */
  hold(): void {
    if (this.heldBytes > 0 || this.position >= this.end) return;
    this.takeInput(Buffer.from(this.input.subarray(this.position, this.end)));
  }

  /**
   * Decodes the next request into `buffer`, `argc`, `starts` and `lengths`, valid until the next call.
   * @throws ProtocolError on bytes that are not RESP; the decoder then ignores everything else.
   */
  next(): DecodeResult {
    if (this.carrying) {
      const outcome = this.resume();
      if (outcome !== SKIPPED) return outcome;
    }
    if (this.ahead !== null) {
      if (this.authenticated && this.ahead.hasNext(this, this.input, this.position, this.end))
        return this.takeAhead(this.ahead);
      this.ahead.forget(this);
      this.starts = this.ownStarts;
      this.lengths = this.ownLengths;
    }
    while (this.position < this.end) {
      const outcome = this.input[this.position] === ASTERISK ? this.parseMultibulk() : this.parseInline();
      if (outcome !== SKIPPED) return outcome;
    }
    this.release();
    return NEED_MORE;
  }

  /** Appends an argument range; called back by the splitter of inline requests. */
  addArgument(start: number, length: number): void {
    if (this.argc === this.starts.length) this.growArguments();
    this.starts[this.argc] = start;
    this.lengths[this.argc] = length;
    this.argc++;
  }

  private takeAhead(ahead: RequestsAhead): DecodeResult {
    const index = ahead.take();
    this.starts = ahead.starts[index];
    this.lengths = ahead.lengths[index];
    this.argc = ahead.argc[index];
    this.position = ahead.position;
    this.buffer = this.input;
    return REQUEST;
  }

  private takeInput(input: Buffer, length = input.length): void {
    this.ahead?.forget(this);
    this.input = input;
    this.position = 0;
    this.end = length;
    this.heldBytes = input.length;
  }

  /** Puts bytes behind those that wait. Their copy doubles, so that a pipeline of any length is put aside in linear time. */
  private putBehind(buffer: Buffer, start: number, end: number): void {
    const length = this.end + end - start;
    if (this.heldBytes < length) {
      const needed = length - this.position;
      const grown = Buffer.allocUnsafeSlow(Math.min(needed * 2, Math.max(needed, GATHERED_BYTES_MAX)));
      this.takeInput(grown, this.input.copy(grown, 0, this.position, this.end));
    }
    buffer.copy(this.input, this.end, start, end);
    this.end += end - start;
  }

  private parseMultibulk(): Outcome {
    const { input, end } = this;
    const count = this.readHeader(input, this.position, end, false);
    if (count === INCOMPLETE) return this.carry(-1, this.position, -1);
    let position = this.headerEnd;
    if (count <= 0) {
      this.position = position;
      return SKIPPED;
    }
    this.argc = 0;
    for (let argc = 0; argc < count; argc++) {
      const length = this.readHeader(input, position, end, true);
      if (length === INCOMPLETE) return this.carry(count, position, -1);
      const start = this.headerEnd;
      const after = start + length;
      if (after + 2 > end) return this.carry(count, start, length);
      if (input[after] !== CARRIAGE_RETURN || input[after + 1] !== LINE_FEED) this.failUnterminated();
      if (argc === this.starts.length) this.growArguments();
      this.starts[argc] = start;
      this.lengths[argc] = length;
      this.argc = argc + 1;
      position = after + 2;
    }
    this.position = position;
    this.buffer = input;
    return REQUEST;
  }

  private parseInline(): Outcome {
    const start = this.position;
    const lineFeed = this.findLineFeed(this.input, start, this.end);
    if (lineFeed < 0) {
      if (this.end - start >= this.limits.inlineLengthMax) this.failLine(this.input, start);
      return this.carry(-1, start, -1);
    }
    this.position = lineFeed + 1;
    if (!hasQuotes(this.input, start, lineFeed)) return this.splitLine(this.input, start, lineFeed);
    // Unquoting overwrites the line, and the fed buffer is not ours.
    this.own.clear();
    this.own.append(this.input, start, lineFeed - start, GATHERED_BYTES_MAX);
    return this.splitLine(this.own.buffer, 0, this.own.length);
  }

  private splitLine(buffer: Buffer, start: number, end: number): Outcome {
    this.argc = 0;
    if (!splitInline(buffer, start, end, this)) this.fail('unbalanced quotes in request');
    this.buffer = buffer;
    return this.argc === 0 ? SKIPPED : REQUEST;
  }

  /**
   * Reads `*N\r\n` or `$N\r\n` at start, and sets headerEnd.
   * @returns N within the limits, −1 for a negative count, or INCOMPLETE.
   */
  private readHeader(buffer: Buffer, start: number, end: number, bulk: boolean): number {
    let position = start + 1;
    let value = 0;
    if (position + FAST_DIGITS + 2 <= end && buffer[start] === (bulk ? DOLLAR : ASTERISK)) {
      const last = position + FAST_DIGITS;
      let digit = buffer[position] - ZERO;
      const leadingZero = digit === 0;
      while (digit >= 0 && digit <= 9 && position < last) {
        value = value * 10 + digit;
        digit = buffer[++position] - ZERO;
      }
      const digits = position - start - 1;
      const plain = digits > 0 && (!leadingZero || digits === 1);
      if (plain && buffer[position] === CARRIAGE_RETURN && buffer[position + 1] === LINE_FEED) {
        this.headerEnd = position + 2;
        if (bulk) this.checkBulkLength(value);
        else this.checkCount(value);
        return value;
      }
    }
    return this.readHeaderLine(buffer, start, end, bulk);
  }

  /** readHeader for what is rare: the last bytes of the buffer, long numbers, and everything that is wrong. */
  private readHeaderLine(buffer: Buffer, start: number, end: number, bulk: boolean): number {
    const lineFeed = this.findLineFeed(buffer, start, end);
    if (lineFeed < 0) {
      if (end - start >= this.limits.inlineLengthMax) this.failLine(buffer, start, bulk);
      return INCOMPLETE;
    }
    if (bulk && buffer[start] !== DOLLAR) this.failMarker(buffer[start]);
    const digitsEnd = lineFeed - 1;
    const terminated = buffer[digitsEnd] === CARRIAGE_RETURN;
    const value = terminated ? parseSafeInteger(buffer, start + 1, digitsEnd - start - 1) : NaN;
    this.headerEnd = lineFeed + 1;
    if (bulk) {
      this.checkBulkLength(value);
      return value;
    }
    this.checkCount(value);
    return value < 0 ? -1 : value;
  }

  private checkCount(count: number): void {
    if (count <= ARGUMENTS_BEFORE_AUTH) return;
    if (!(count <= this.limits.argumentsMax)) this.fail('invalid multibulk length');
    if (!this.authenticated) this.fail('unauthenticated multibulk length');
  }

  private checkBulkLength(length: number): void {
    if (!(length >= 0 && length <= this.limits.bulkLengthMax)) this.fail('invalid bulk length');
    if (length > BULK_LENGTH_BEFORE_AUTH && !this.authenticated) this.fail('unauthenticated bulk length');
  }

  /** The first line feed that a line beginning at start may end with, or −1. */
  private findLineFeed(buffer: Buffer, start: number, end: number): number {
    const bound = Math.min(end, start + this.limits.inlineLengthMax);
    for (let position = start; position < bound; position++) {
      if (buffer[position] === LINE_FEED) return position;
    }
    return -1;
  }

  /**
   * The fed bytes end inside a request: copies its arguments so far (`argc` of them), packed, then the bytes from position on,
   * which begin an incomplete line (bulkLength −1) or an argument of bulkLength bytes.
   */
  private carry(expected: number, position: number, bulkLength: number): Outcome {
    if (expected < 0) this.argc = 0;
    this.carrying = true;
    this.expected = expected;
    this.bulkLength = -1;
    this.own.clear();
    for (let index = 0; index < this.argc; index++) {
      const start = this.starts[index];
      this.starts[index] = this.own.length;
      this.append(start, this.lengths[index]);
    }
    this.bulkLength = bulkLength;
    this.partialStart = this.own.length;
    this.append(position, this.end - position);
    this.position = this.end;
    return NEED_MORE;
  }

  /** Goes on with the carried request, line by line and argument by argument. */
  private resume(): Outcome {
    for (;;) {
      if (this.bulkLength >= 0) {
        if (!this.gatherBulk()) return NEED_MORE;
        if (this.argc === this.expected) return this.finish();
      } else if (this.expected >= 0) {
        const length = this.gatherHeader();
        if (length === INCOMPLETE) return NEED_MORE;
        this.bulkLength = length;
      } else {
        if (!this.gatherLine(false)) return NEED_MORE;
        const { buffer, length } = this.own;
        if (buffer[0] !== ASTERISK) {
          this.carrying = false;
          return this.splitLine(buffer, 0, length - 1);
        }
        this.expected = this.readHeader(buffer, 0, length, false);
        this.own.length = 0;
        if (this.expected <= 0) {
          this.carrying = false;
          return SKIPPED;
        }
      }
    }
  }

  private finish(): Outcome {
    this.carrying = false;
    this.buffer = this.own.buffer;
    return REQUEST;
  }

  /** Reads the next argument's length line: from the fed bytes when it lies whole in them, else by way of `own`. */
  private gatherHeader(): number {
    if (this.own.length === this.partialStart) {
      const length = this.readHeader(this.input, this.position, this.end, true);
      if (length !== INCOMPLETE) {
        this.position = this.headerEnd;
        return length;
      }
    }
    if (!this.gatherLine(true)) return INCOMPLETE;
    const length = this.readHeader(this.own.buffer, this.partialStart, this.own.length, true);
    this.own.length = this.partialStart;
    return length;
  }

  /** Appends fed bytes to the incomplete line up to its line feed. @returns whether the line is complete. */
  private gatherLine(bulk: boolean): boolean {
    const { input, position, end } = this;
    let stop = position;
    while (stop < end && input[stop] !== LINE_FEED) stop++;
    const complete = stop < end;
    if (complete) stop++;
    const length = this.own.length - this.partialStart + stop - position;
    const { inlineLengthMax } = this.limits;
    if (complete ? length > inlineLengthMax : length >= inlineLengthMax) {
      if (this.own.length === this.partialStart) this.failLine(input, position, bulk);
      this.failLine(this.own.buffer, this.partialStart, bulk);
    }
    this.append(position, stop - position);
    this.position = stop;
    return complete;
  }

  /** Appends fed bytes to the incomplete argument. @returns whether it is complete, and then among the arguments. */
  private gatherBulk(): boolean {
    const after = this.partialStart + this.bulkLength;
    const length = Math.min(after + 2 - this.own.length, this.end - this.position);
    this.append(this.position, length);
    this.position += length;
    if (this.own.length < after + 2) return false;
    if (this.own.buffer[after] !== CARRIAGE_RETURN || this.own.buffer[after + 1] !== LINE_FEED) this.failUnterminated();
    this.addArgument(this.partialStart, this.bulkLength);
    this.own.length = after;
    this.partialStart = after;
    this.bulkLength = -1;
    return true;
  }

  private append(start: number, length: number): void {
    const { own, bulkLength } = this;
    if (own.length + length > GATHERED_BYTES_MAX) this.fail('too big request');
    const lastArgument = bulkLength >= 0 && this.argc + 1 === this.expected;
    const sizeMax = lastArgument ? this.partialStart + bulkLength + 2 : GATHERED_BYTES_MAX;
    own.append(this.input, start, length, sizeMax);
  }

  private growArguments(): void {
    const capacity = this.starts.length * 2;
    if (capacity > HELD_ARGUMENTS_MAX) this.fail('too big request');
    const starts = new Int32Array(capacity);
    const lengths = new Int32Array(capacity);
    starts.set(this.starts);
    lengths.set(this.lengths);
    this.starts = this.ownStarts = starts;
    this.lengths = this.ownLengths = lengths;
  }

  /** Nothing is pending: gives back what only large requests need. */
  private release(): void {
    this.own.clear();
    if (this.starts.length > RETAINED_ARGUMENTS) {
      this.starts = this.ownStarts = new Int32Array(INITIAL_ARGUMENTS);
      this.lengths = this.ownLengths = new Int32Array(INITIAL_ARGUMENTS);
    }
    if (this.heldBytes > 0) {
      this.heldBytes = 0;
      this.input = NOTHING;
      this.position = 0;
      this.end = 0;
    }
    // The last request's arguments are over; its buffer must not be kept alive by them.
    this.buffer = NOTHING;
    this.argc = 0;
  }

  private fail(reason: string): never {
    this.failed = true;
    this.carrying = false;
    this.position = this.end;
    this.release();
    throw new ProtocolError(`Protocol error: ${reason}`);
  }

  private failLine(buffer: Buffer, start: number, bulk = false): never {
    if (bulk) this.fail('too big bulk count string');
    this.fail(buffer[start] === ASTERISK ? 'too big mbulk count string' : 'too big inline request');
  }

  private failMarker(byte: number): never {
    // As a printable character: the message goes into an error reply and into the log.
    const shown = byte > 32 && byte < 127 ? String.fromCharCode(byte) : ' ';
    this.fail(`expected '$', got '${shown}'`);
  }

  private failUnterminated(): never {
    this.fail('expected CRLF after bulk');
  }
}
