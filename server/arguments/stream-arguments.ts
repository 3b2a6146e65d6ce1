/** Arguments of stream commands: ids, ranges of them, and how far to trim. */
import type { Stream } from '../../storage/collections/stream.ts';
import { GREATEST_ID, idAfter, idBefore, LEAST_ID, PART_MAX, type StreamId } from '../../storage/types/stream-id.ts';
import type { Call } from '../dispatch/call.ts';
import { CommandError } from '../definitions/command-error.ts';

const INVALID_ID = 'ERR Invalid stream ID specified as stream command argument';
/** Longer arguments are no ids. */
const ID_TEXT_MAX = 127;
const DIGITS = /^[ \t-\r]*\+?\d+$/;

function parsePart(text: string): bigint | null {
  if (!DIGITS.test(text)) return null;
  const value = BigInt(text.trim().replace('+', ''));
  return value <= PART_MAX ? value : null;
}

/** An id as text, or null when it is none. Without a sequence number it gets `missingSeq`. */
export function parseId(text: string, missingSeq: bigint): StreamId | null {
  if (text.length > ID_TEXT_MAX) return null;
  const dash = text.indexOf('-');
  const ms = parsePart(dash < 0 ? text : text.slice(0, dash));
  const seq = dash < 0 ? missingSeq : parsePart(text.slice(dash + 1));
  return ms === null || seq === null ? null : { ms, seq };
}

/** The id at argument `index`; `-` and `+` are none here. @throws CommandError */
export function idArgument(call: Call, index: number, missingSeq = 0n): StreamId {
  const id = parseId(call.latin1(index), missingSeq);
  if (id === null) throw new CommandError(INVALID_ID);
  return id;
}

/** One end of a range: `-`, `+`, an id, or `(` and an id for what lies beyond it. @throws CommandError */
export function rangeEnd(call: Call, index: number, isStart: boolean): StreamId {
  const missingSeq = isStart ? 0n : PART_MAX;
  const text = call.latin1(index);
  if (text === '-') return LEAST_ID;
  if (text === '+') return GREATEST_ID;
  const isExclusive = text.length > 1 && text.startsWith('(');
  const id = parseId(isExclusive ? text.slice(1) : text, missingSeq);
  if (id === null) throw new CommandError(INVALID_ID);
  if (!isExclusive) return id;
  const moved = isStart ? idAfter(id) : idBefore(id);
  if (moved === null) throw new CommandError(`ERR invalid ${isStart ? 'start' : 'end'} ID for the interval`);
  return moved;
}

// ---- MAXLEN, MINID ----

export interface Trimming {
  /** At most so many entries stay; -1 when `minId` says it. */
  lengthMax: number;
  minId: StreamId;
  isApproximate: boolean;
  /** At most so many entries go; 0 for no limit. */
  limit: number;
}

export interface AddArguments {
  /** Null for `*`. */
  id: StreamId | null;
  /** Whether the sequence number was given. */
  hasSequence: boolean;
  makesKey: boolean;
  trimming: Trimming | null;
  /** The argument after the last one read. */
  next: number;
}

const LIMIT_FACTOR = 100;
const LIMIT_DEFAULT = 10_000;
const LIMIT_MAX = 1_000_000;

/** Reads the options of XADD, up to its id, or those of XTRIM. @throws CommandError */
export function addOrTrimArguments(call: Call, isAdd: boolean): AddArguments {
  const found: AddArguments = { id: null, hasSequence: false, makesKey: true, trimming: null, next: call.argc };
  let limit = -1;
  let index = 2;
  for (; index < call.argc; index++) {
    const more = call.argc - 1 - index;
    if (isAdd && call.is(index, '*')) break;
    if (more > 0 && (call.is(index, 'MAXLEN') || call.is(index, 'MINID'))) {
      if (found.trimming !== null) {
        throw new CommandError('ERR syntax error, MAXLEN and MINID options at the same time are not compatible');
      }
      const isLength = call.is(index, 'MAXLEN');
      const isApproximate = more >= 2 && call.is(index + 1, '~');
      if (more >= 2 && (isApproximate || call.is(index + 1, '='))) index++;
      found.trimming = { lengthMax: -1, minId: LEAST_ID, isApproximate, limit: 0 };
      index++;
      if (isLength) found.trimming.lengthMax = lengthArgument(call, index);
      else found.trimming.minId = idArgument(call, index);
    } else if (more > 0 && call.is(index, 'LIMIT')) {
      limit = call.integer(++index);
      if (limit < 0) throw new CommandError('ERR The LIMIT argument must be >= 0.');
    } else if (isAdd && call.is(index, 'NOMKSTREAM')) {
      found.makesKey = false;
    } else if (isAdd) {
      readNewId(call, index, found);
      break;
    } else {
      call.syntaxError();
    }
  }
  checkLimit(call, found.trimming, limit, isAdd);
  found.next = index + 1;
  return found;
}

function lengthArgument(call: Call, index: number): number {
  const length = call.integer(index);
  if (length < 0) throw new CommandError('ERR The MAXLEN argument must be >= 0.');
  return length;
}

function readNewId(call: Call, index: number, found: AddArguments): void {
  const text = call.latin1(index);
  found.hasSequence = !text.endsWith('-*');
  found.id = parseId(found.hasSequence ? text : `${text.slice(0, -1)}0`, 0n);
  if (found.id === null) throw new CommandError(INVALID_ID);
}

function checkLimit(call: Call, trimming: Trimming | null, limit: number, isAdd: boolean): void {
  if (trimming === null) {
    if (limit > 0)
      throw new CommandError('ERR syntax error, LIMIT cannot be used without specifying a trimming strategy');
    if (!isAdd) throw new CommandError('ERR syntax error, XTRIM must be called with a trimming strategy');
    return;
  }
  if (limit >= 0) {
    if (!trimming.isApproximate) {
      throw new CommandError('ERR syntax error, LIMIT cannot be used without the special ~ option');
    }
    trimming.limit = limit;
  } else if (trimming.isApproximate) {
    const entries = call.node.config.values['stream-node-max-entries'] * LIMIT_FACTOR;
    trimming.limit = Math.min(entries > 0 ? entries : LIMIT_DEFAULT, LIMIT_MAX);
  }
}

/** Of so many entries the lengths tell how long the first ones are about. */
const SAMPLES = 4;
/** What an entry takes in a node of Redis's besides its fields and values, about. */
const ENTRY_OVERHEAD_BYTES = 8;

/**
 * How many entries a node of Redis's has, about: `stream-node-max-entries`, or as many as `stream-node-max-bytes` has room for
 * of such as the first `count` of the stream.
 */
function entriesOfNode(call: Call, stream: Stream, count: number): number {
  const { 'stream-node-max-entries': entriesMax, 'stream-node-max-bytes': bytesMax } = call.node.config.values;
  if (bytesMax === 0 || count === 0) return entriesMax;
  const { elements } = call.keyspace;
  const samples = Math.min(count, SAMPLES);
  let bytes = 0;
  for (let sample = 0; sample < samples; sample++) {
    elements.readPayload(stream.at(Math.floor((sample * count) / samples)));
    bytes += elements.valueLength + ENTRY_OVERHEAD_BYTES;
  }
  return Math.min(entriesMax, Math.max(1, Math.floor((bytesMax * samples) / bytes)));
}

/**
 * How many of the first entries have to go. `~` removes whole nodes of Redis's streams only: here as many entries as would
 * fill them, had all been added one after the other. The last node is whole as it is.
 * @param added 1 when an entry is about to be added behind those that are there
 */
export function countToTrim(call: Call, stream: Stream, trimming: Trimming, added: number): number {
  const length = stream.length + added;
  const { lengthMax, minId, isApproximate, limit } = trimming;
  const excess = lengthMax >= 0 ? Math.max(0, length - lengthMax) : stream.rank(minId);
  if (!isApproximate) return excess;
  if (call.node.config.values['stream-node-max-entries'] === 0) return 0;
  const nodeMost = entriesOfNode(call, stream, Math.min(excess, stream.length));
  const gone = Math.max(0, stream.removed) % nodeMost;
  let count = 0;
  for (let node = nodeMost - gone; count + node <= excess; node = nodeMost) {
    if (limit > 0 && count + node > limit) break;
    count += node;
  }
  // Where all entries go, the last node goes too, full or not.
  return excess === length && length - count < nodeMost && (limit <= 0 || length <= limit) ? length : count;
}
