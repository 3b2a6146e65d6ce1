/** One command being run: its arguments as ranges of a buffer, and where its reply goes. One object a node, reused. */
import { WORD_COPY_MAX } from '../../protocol/byte-view.ts';
import { parseInteger, parseSafeInteger } from '../../protocol/integer.ts';
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import { TYPE_STRING } from '../../storage/arena/block.ts';
import type { Database } from '../../storage/database.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import type { CommandOf } from '../definitions/command-definition.ts';
import { CommandError, NOT_AN_INTEGER, SYNTAX_ERROR, WRONG_TYPE } from '../definitions/command-error.ts';
import type { Node } from '../node.ts';
import type { Session } from '../clients/session.ts';

const NO_BYTES = Buffer.alloc(0);
const NO_RANGES = new Int32Array(0);

export class Call {
  readonly node: Node;
  readonly keyspace: Keyspace;
  /** The arguments; argument 0 is the command's name. */
  buffer: Buffer = NO_BYTES;
  argc = 0;
  starts: Int32Array = NO_RANGES;
  lengths: Int32Array = NO_RANGES;
  session!: Session;
  command!: CommandOf<never>;
  /** The database that the session has selected. */
  database!: Database;
  reply!: ReplyWriter;
  /** EXEC runs this command: it may not make its session wait. */
  inTransaction = false;
  /** A script runs this command. */
  inScript = false;

  constructor(node: Node) {
    this.node = node;
    this.keyspace = node.keyspace;
  }

  // ---- keys ----

  /** The block of the key at argument `index`, or 0 when there is none. */
  lookup(index: number): number {
    return this.keyspace.lookup(this.database, this.buffer, this.starts[index], this.lengths[index]);
  }

  /**
   * The block of a string, or 0 when there is none.
   * @throws CommandError WRONGTYPE when the key holds another type
   */
  lookupString(index: number): number {
    const ref = this.lookup(index);
    if (ref !== 0 && this.keyspace.typeOf(ref) !== TYPE_STRING) throw new CommandError(WRONG_TYPE);
    return ref;
  }

  // ---- arguments ----

  /** The argument as text. */
  text(index: number): string {
    return this.buffer.toString('utf8', this.starts[index], this.starts[index] + this.lengths[index]);
  }

  /** What an error message shows of the argument: its first bytes as text; a character cut in two shows as U+FFFD. */
  beginning(index: number, bytesMax: number): string {
    const start = this.starts[index];
    return this.buffer.toString('utf8', start, start + Math.min(this.lengths[index], bytesMax));
  }

  /** The argument's bytes as text of the same length, for use as a map's key. */
  latin1(index: number): string {
    return this.buffer.toString('latin1', this.starts[index], this.starts[index] + this.lengths[index]);
  }

  /** A copy of the argument. */
  bytes(index: number): Buffer {
    return Buffer.from(this.buffer.subarray(this.starts[index], this.starts[index] + this.lengths[index]));
  }

  /** Copies of all arguments. */
  allBytes(): Buffer[] {
    return Array.from({ length: this.argc }, (_, index) => this.bytes(index));
  }

  /** Whether the argument is this word, in any letter case. `word` is upper case. */
  is(index: number, word: string): boolean {
    const length = this.lengths[index];
    if (length !== word.length) return false;
    const start = this.starts[index];
    for (let at = 0; at < length; at++) {
      let byte = this.buffer[start + at];
      if (byte >= 97 && byte <= 122) byte -= 32;
      if (byte !== word.charCodeAt(at)) return false;
    }
    return true;
  }

  /** A safe integer, or NaN when the argument is none. */
  safeInteger(index: number): number {
    return parseSafeInteger(this.buffer, this.starts[index], this.lengths[index]);
  }

  /** A signed 64-bit integer. @throws CommandError */
  integer64(index: number, message = NOT_AN_INTEGER): number | bigint {
    const value = parseInteger(this.buffer, this.starts[index], this.lengths[index]);
    if (value === undefined) throw new CommandError(message);
    return value;
  }

  /** An integer, those past 2^53 rounded: for counts, offsets and times, where more than that is "all". @throws CommandError */
  integer(index: number, message = NOT_AN_INTEGER): number {
    const value = parseSafeInteger(this.buffer, this.starts[index], this.lengths[index]);
    return Number.isNaN(value) ? Number(this.integer64(index, message)) : value;
  }

  /** An integer in a range. @throws CommandError */
  integerIn(index: number, least: number, most: number, message = NOT_AN_INTEGER): number {
    const value = this.integer(index, message);
    if (value < least || value > most) throw new CommandError(message);
    return value;
  }

  /** @throws CommandError */
  fail(message: string): never {
    throw new CommandError(message);
  }

  /** @throws CommandError */
  syntaxError(): never {
    throw new CommandError(SYNTAX_ERROR);
  }

  // ---- replies ----

  /** Replies with the string value in the block. */
  replyValue(ref: number): void {
    const { keyspace } = this;
    keyspace.readValue(ref);
    const { valueView, valueStart, valueLength } = keyspace;
    if (valueView !== null && valueLength <= WORD_COPY_MAX) this.reply.bulkView(valueView, valueStart, valueLength);
    else this.reply.bulk(keyspace.valueBuffer, valueStart, valueLength);
  }
}
