/**
 * Inline requests: one line of words, as a person types them into a terminal. Redis's quoting:
 * - words are separated by white space; a quote may start inside a word (`a"b c"` is one word);
 * - in double quotes, `\xHH` is a byte, `\n \r \t \b \a` are control characters, a backslash before anything else is dropped;
 * - in single quotes only `\'` is an escape;
 * - a closing quote must be followed by white space or the end of the line.
 * Unlike in Redis, a NUL is a byte like any other.
 */

/** What takes the words, as ranges of the buffer that was split. */
export interface WordSink {
  addArgument(start: number, length: number): void;
}

const TAB = 9;
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const DOUBLE_QUOTE = 34;
const SINGLE_QUOTE = 39;
const BACKSLASH = 92;
const LOWER_X = 120;

/** White space between words: tab, line feed, vertical tab, form feed, carriage return, space. */
function isSpace(byte: number): boolean {
  return byte === SPACE || (byte >= TAB && byte <= CARRIAGE_RETURN);
}

/** White space that ends a word: a vertical tab or a form feed inside one stays part of it. */
function endsWord(byte: number): boolean {
  return byte === SPACE || byte === TAB || byte === LINE_FEED || byte === CARRIAGE_RETURN;
}

/** Whether a line needs unquoting, which overwrites it. */
export function hasQuotes(buffer: Uint8Array, start: number, end: number): boolean {
  for (let position = start; position < end; position++) {
    const byte = buffer[position];
    if (byte === DOUBLE_QUOTE || byte === SINGLE_QUOTE) return true;
  }
  return false;
}

/**
 * Splits the line `buffer[start, end)` (without its line feed) into words. A line with quotes is unquoted in place, so the
 * caller passes bytes that it owns; a line without quotes is not written to.
 * @returns false when quotes are unbalanced.
 */
export function splitInline(buffer: Uint8Array, start: number, end: number, sink: WordSink): boolean {
  const cursor: WordCursor = { buffer, end, read: start, write: start };
  for (;;) {
    while (cursor.read < end && isSpace(buffer[cursor.read])) cursor.read++;
    if (cursor.read >= end) return true;
    cursor.write = cursor.read;
    const wordStart = cursor.read;
    if (!readWord(cursor)) return false;
    sink.addArgument(wordStart, cursor.write - wordStart);
  }
}

/** Where the splitter reads, and where the unquoted word grows; write never passes read. */
interface WordCursor {
  readonly buffer: Uint8Array;
  readonly end: number;
  read: number;
  write: number;
}

function readWord(cursor: WordCursor): boolean {
  const { buffer, end } = cursor;
  while (cursor.read < end) {
    const byte = buffer[cursor.read];
    if (endsWord(byte)) return true;
    if (byte === DOUBLE_QUOTE || byte === SINGLE_QUOTE) {
      cursor.read++;
      const closed = byte === DOUBLE_QUOTE ? readDoubleQuoted(cursor) : readSingleQuoted(cursor);
      return closed && (cursor.read >= end || isSpace(buffer[cursor.read]));
    }
    cursor.read++;
    if (cursor.write !== cursor.read - 1) buffer[cursor.write] = byte;
    cursor.write++;
  }
  return true;
}

function readSingleQuoted(cursor: WordCursor): boolean {
  const { buffer, end } = cursor;
  while (cursor.read < end) {
    let byte = buffer[cursor.read++];
    if (byte === SINGLE_QUOTE) return true;
    if (byte === BACKSLASH && cursor.read < end && buffer[cursor.read] === SINGLE_QUOTE) byte = buffer[cursor.read++];
    buffer[cursor.write++] = byte;
  }
  return false;
}

function readDoubleQuoted(cursor: WordCursor): boolean {
  const { buffer, end } = cursor;
  while (cursor.read < end) {
    const byte = buffer[cursor.read++];
    if (byte === DOUBLE_QUOTE) return true;
    buffer[cursor.write++] = byte === BACKSLASH && cursor.read < end ? readEscape(cursor) : byte;
  }
  return false;
}

/** The byte that an escape in double quotes stands for; the backslash has been read, and something follows it. */
function readEscape(cursor: WordCursor): number {
  const { buffer, end, read } = cursor;
  const byte = buffer[read];
  if (byte === LOWER_X && read + 2 < end) {
    const high = hexDigit(buffer[read + 1]);
    const low = hexDigit(buffer[read + 2]);
    if (high >= 0 && low >= 0) {
      cursor.read = read + 3;
      return high * 16 + low;
    }
  }
  cursor.read = read + 1;
  switch (byte) {
    case 110: // n
      return LINE_FEED;
    case 114: // r
      return CARRIAGE_RETURN;
    case 116: // t
      return TAB;
    case 98: // b
      return 8;
    case 97: // a
      return 7;
    default:
      return byte;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
