/**
 * The value area of a counter: what the STRING register's value is, and each node's sum of increments since. 32-bit words,
 * 4-aligned, this node's entry first:
 *
 *   integer form   | u16 entries, u16 0 | total i64 | base i64 | entry … |
 *                  entry: origin index | begin stamp (hi, lo) | version stamp (hi, lo) | sum i64
 *   text form      | u16 entries, u16 1 | u16 total bytes, u16 base bytes | entry … | total, base and sums as text |
 *                  entry: u16 origin index, u16 sum bytes | begin stamp | version stamp
 *
 * i64 is the low word, then the high one. The total is kept so that GET adds nothing up. The text form holds what
 * INCRBYFLOAT made, and integers whose sums are past 2^53. Bit 1 of the form (value 2) says that a dormant deadline follows
 * the entries: one that was set while the STRING register was dead and that a concurrent SET has covered:
 * deadline ms (hi, lo) | its stamp (hi, lo) | its origin index.
 */
import type { Arena } from '../arena/arena.ts';
import { COUNTER, DEADLINE, DEADLINE_BYTES, HEADER_BYTES, LONG_KEY, valueOffset } from '../arena/block.ts';
import type { Digests } from '../digests/digests.ts';
import type { NodeTable } from '../arena/node-table.ts';
import type { RecordWriter } from '../../protocol/change-record.ts';
import { writeInteger } from '../../protocol/integer.ts';
import { SUM_BEGIN_BYTES } from '../../protocol/sum-record.ts';

const WORD = 0x100000000;
const HEAD_WORDS_INTEGER = 5;
const HEAD_WORDS_TEXT = 2;
const ENTRY_WORDS_INTEGER = 7;
const ENTRY_WORDS_TEXT = 5;
const DORMANT_WORDS = 5;
const FORM_TEXT = 1;
const FORM_DORMANT = 2;
/** For sums that are no longer than most. */
const sumValue = Buffer.alloc(SUM_BEGIN_BYTES + 64);

export interface CounterEntry {
  /** Index in the node table. */
  origin: number;
  beginHi: number;
  beginLo: number;
  versionHi: number;
  versionLo: number;
  /** Decimal text. */
  sum: string;
}

export interface CounterDeadline {
  ms: number;
  stampHi: number;
  stampLo: number;
  origin: number;
}

/** A counter payload taken apart, for everything but the fast path. */
export interface CounterState {
  /** The value of the STRING register; '0' when that is dead. */
  base: string;
  total: string;
  entries: CounterEntry[];
  dormant: CounterDeadline | null;
}

/** The word index of the payload in its segment. */
export function payloadWord(arena: Arena, ref: number): number {
  const word = (ref & 0xfffff) << 1;
  const words = arena.words[ref >>> 20];
  const flags = words[word] >>> 16;
  if ((flags & LONG_KEY) === 0) {
    const offset = HEADER_BYTES + ((flags & DEADLINE) !== 0 ? DEADLINE_BYTES : 0) + words[word + 4];
    return word + ((offset + 3) >>> 2);
  }
  return word + (valueOffset(flags | COUNTER, words[word + 4]) >>> 2);
}

/** An i64 as a number; NaN when it is past 2^53. */
export function readSafeInteger(words: Uint32Array, word: number): number {
  const hi = words[word + 1] | 0;
  if (hi >= 0x200000 || hi < -0x200000) return NaN;
  return hi * WORD + words[word];
}

/** Writes a safe integer as an i64. */
export function writeSafeInteger(words: Uint32Array, word: number, value: number): void {
  words[word] = value >>> 0;
  words[word + 1] = Math.floor(value / WORD) >>> 0;
}

/** Writes the counter's value as text and returns how many bytes it is. */
export function writeCounterTotal(arena: Arena, ref: number, into: Buffer): number {
  return counterTotalAt(arena.words[ref >>> 20], arena.bytes[ref >>> 20], payloadWord(arena, ref), into);
}

/** The same for a payload that begins at word `at` of a segment. */
export function counterTotalAt(words: Uint32Array, bytes: Buffer, at: number, into: Buffer): number {
  if (((words[at] >>> 16) & FORM_TEXT) === 0) {
    return writeInteger(into, 0, readSafeInteger(words, at + 1));
  }
  const length = words[at + 1] & 0xffff;
  const start = textStart(words, at);
  return bytes.copy(into, 0, start, start + length);
}

/** The total of a payload in integer form; NaN for one in text form, and past 2^53. */
export function wholeTotalAt(words: Uint32Array, at: number): number {
  return ((words[at] >>> 16) & FORM_TEXT) === 0 ? readSafeInteger(words, at + 1) : NaN;
}

/** The byte offset in the segment at which a text form's texts begin. */
function textStart(words: Uint32Array, at: number): number {
  const dormant = ((words[at] >>> 16) & FORM_DORMANT) !== 0 ? DORMANT_WORDS : 0;
  return (at + HEAD_WORDS_TEXT + (words[at] & 0xffff) * ENTRY_WORDS_TEXT + dormant) << 2;
}

/** Adds the entries to the digest of the key last hashed, or takes them out again. */
export function toggleCounterDigests(arena: Arena, nodes: NodeTable, digests: Digests, ref: number): void {
  const words = arena.words[ref >>> 20];
  const at = payloadWord(arena, ref);
  const text = ((words[at] >>> 16) & FORM_TEXT) !== 0;
  const stride = text ? ENTRY_WORDS_TEXT : ENTRY_WORDS_INTEGER;
  let entry = at + (text ? HEAD_WORDS_TEXT : HEAD_WORDS_INTEGER);
  for (let count = words[at] & 0xffff; count > 0; count--, entry += stride) {
    const origin = words[entry] & 0xffff;
    const hi = nodes.hi[origin];
    const lo = nodes.lo[origin];
    digests.hashRegister(2 + (Math.imul(hi, 31) ^ lo), words[entry + 3], words[entry + 4], hi, lo, 0, 0);
    digests.toggle();
  }
}

/** Takes a payload apart. */
export function decodeCounter(arena: Arena, ref: number): CounterState {
  return decodeCounterAt(arena.words[ref >>> 20], arena.bytes[ref >>> 20], payloadWord(arena, ref));
}

/** The same for a payload that begins at word `at` of a segment. */
export function decodeCounterAt(words: Uint32Array, bytes: Buffer, at: number): CounterState {
  const form = words[at] >>> 16;
  const text = (form & FORM_TEXT) !== 0;
  const state: CounterState = { base: '', total: '', entries: [], dormant: null };
  const stride = text ? ENTRY_WORDS_TEXT : ENTRY_WORDS_INTEGER;
  let textAt = textStart(words, at);
  const takeText = (length: number): string => bytes.toString('latin1', textAt, (textAt += length));
  if (text) {
    state.total = takeText(words[at + 1] & 0xffff);
    state.base = takeText(words[at + 1] >>> 16);
  } else {
    state.total = String(readSafeInteger(words, at + 1));
    state.base = String(readSafeInteger(words, at + 3));
  }
  let entry = at + (text ? HEAD_WORDS_TEXT : HEAD_WORDS_INTEGER);
  for (let count = words[at] & 0xffff; count > 0; count--, entry += stride) {
    state.entries.push({
      origin: words[entry] & 0xffff,
      beginHi: words[entry + 1],
      beginLo: words[entry + 2],
      versionHi: words[entry + 3],
      versionLo: words[entry + 4],
      sum: text ? takeText(words[entry] >>> 16) : String(readSafeInteger(words, entry + 5)),
    });
  }
  if ((form & FORM_DORMANT) !== 0) {
    const ms = words[entry] * WORD + words[entry + 1];
    state.dormant = { ms, stampHi: words[entry + 2], stampLo: words[entry + 3], origin: words[entry + 4] };
  }
  return state;
}

function isSafeText(text: string): boolean {
  return /^-?\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text)) && String(Number(text)) === text;
}

/** Puts a payload together; the shorter form that holds it. */
export function encodeCounter(state: CounterState): Buffer {
  const integers =
    isSafeText(state.total) && isSafeText(state.base) && state.entries.every((entry) => isSafeText(entry.sum));
  const head = integers ? HEAD_WORDS_INTEGER : HEAD_WORDS_TEXT;
  const stride = integers ? ENTRY_WORDS_INTEGER : ENTRY_WORDS_TEXT;
  const texts = integers ? '' : state.total + state.base + state.entries.map((entry) => entry.sum).join('');
  const wordCount = head + state.entries.length * stride + (state.dormant === null ? 0 : DORMANT_WORDS);
  const words = new Uint32Array(wordCount + ((texts.length + 3) >>> 2));
  words[0] = state.entries.length | (((integers ? 0 : FORM_TEXT) | (state.dormant === null ? 0 : FORM_DORMANT)) << 16);
  if (integers) {
    writeSafeInteger(words, 1, Number(state.total));
    writeSafeInteger(words, 3, Number(state.base));
  } else {
    words[1] = state.total.length | (state.base.length << 16);
  }
  let at = head;
  for (const entry of state.entries) {
    words[at] = integers ? entry.origin : entry.origin | (entry.sum.length << 16);
    words.set([entry.beginHi, entry.beginLo, entry.versionHi, entry.versionLo], at + 1);
    if (integers) writeSafeInteger(words, at + 5, Number(entry.sum));
    at += stride;
  }
  if (state.dormant !== null) {
    const { ms, stampHi, stampLo, origin } = state.dormant;
    words.set([Math.floor(ms / WORD), ms >>> 0, stampHi, stampLo, origin], at);
  }
  const payload = Buffer.from(words.buffer);
  if (!integers) payload.write(texts, wordCount * 4, 'latin1');
  return integers ? payload : payload.subarray(0, wordCount * 4 + texts.length);
}

/** Appends the value of a node's sum to a record; `hi` and `lo` are the node's id. */
export function encodeSumValue(
  { beginHi, beginLo, sum }: CounterEntry,
  hi: number,
  lo: number,
  writer: RecordWriter,
): void {
  const length = SUM_BEGIN_BYTES + sum.length;
  const value = length <= sumValue.length ? sumValue : Buffer.allocUnsafeSlow(length);
  value.writeUInt32BE(beginHi, 0);
  value.writeUInt32BE(beginLo, 4);
  value.writeUInt32BE(hi, 8);
  value.writeUInt32BE(lo, 12);
  value.write(sum, SUM_BEGIN_BYTES, 'latin1');
  writer.value(value, 0, length);
}
