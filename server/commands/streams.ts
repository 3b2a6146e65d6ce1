/** Streams: adding, reading ranges, trimming. Groups are in stream-groups.ts and its neighbours. */
import { TYPE_STREAM } from '../../storage/arena/block.ts';
import { endChange } from '../../storage/collections/local.ts';
import type { Stream } from '../../storage/collections/stream.ts';
import {
  addEntry,
  addNow,
  deleteEntries,
  encodeFields,
  holdFields,
  idText,
  trimEntries,
  writeMeta,
} from '../../storage/types/stream.ts';
import {
  compareIds,
  generateId,
  generateSequence,
  GREATEST_ID,
  LEAST_ID,
  nodeMark,
  type StreamId,
} from '../../storage/types/stream-id.ts';
import type { Call } from '../dispatch/call.ts';
import { collectionToWrite, openAt, peekCollection } from '../values/collection-use.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition, CommandFlag, KeyFlag } from '../definitions/command.ts';
import { wrongArity } from '../definitions/command-errors.ts';
import {
  type AddArguments,
  addOrTrimArguments,
  countToTrim,
  idArgument,
  rangeEnd,
} from '../arguments/stream-arguments.ts';
import { entriesBetween, replyEntry, replyId, useStream } from '../values/stream-use.ts';

const TOO_SMALL = 'ERR The ID specified in XADD is equal or smaller than the target stream top item';
const EXHAUSTED = 'ERR The stream has exhausted the last possible ID, unable to add more items';

// ---- writing ----

const ASTERISK = 42;

/** `XADD key * field value …` to a stream that is there, as nearly all are; false when it is something else. */
function addedNow(call: Call): boolean {
  const { keyspace, buffer, starts, lengths, argc, reply } = call;
  if (argc % 2 === 0 || lengths[2] !== 1 || buffer[starts[2]] !== ASTERISK) return false;
  const ref = collectionToWrite(call, 1, TYPE_STREAM);
  if (ref === 0) return false;
  const stream = keyspace.collectionAt(ref) as Stream;
  if (!stream.readLast()) return false;
  const size = holdFields(buffer, starts, lengths, 3, argc);
  if (size < 0) return false;
  openAt(call, 1, ref, TYPE_STREAM);
  const length = addNow(keyspace, stream, markOf(call), size);
  endChange(keyspace, stream, true);
  reply.bulk(idText, 0, length);
  return true;
}

/** Without peers ids are numbered as in Redis; with them, sequence numbers name the node. */
function markOf({ keyspace, node }: Call): number {
  return keyspace.isShared ? nodeMark(node.nodeHi, node.nodeLo) : -1;
}

function xadd(call: Call): void {
  if (addedNow(call)) return;
  const { keyspace } = call;
  const given = addOrTrimArguments(call, true);
  const fields = call.argc - given.next;
  if (fields < 2 || fields % 2 === 1) throw new CommandError(wrongArity(call.command));
  if (given.id !== null && given.hasSequence && compareIds(given.id, LEAST_ID) === 0) {
    throw new CommandError('ERR The ID specified in XADD must be greater than 0-0');
  }
  const ref = collectionToWrite(call, 1, TYPE_STREAM);
  if (ref === 0 && !given.makesKey) {
    call.reply.nil();
    return;
  }
  const before = ref === 0 ? null : (keyspace.collectionAt(ref) as Stream);
  const id = newId(call, given, before === null ? LEAST_ID : before.lastId);
  const value = encodeFields(call.buffer, call.starts, call.lengths, given.next, call.argc);
  const stream = openAt(call, 1, ref, TYPE_STREAM) as Stream;
  addEntry(keyspace, stream, id, value);
  if (given.trimming !== null) trimEntries(keyspace, stream, countToTrim(call, stream, given.trimming, 0));
  endChange(keyspace, stream, true);
  replyId(call.reply, id);
}

/** The id of the entry to be added behind `last`. @throws CommandError */
function newId(call: Call, { id, hasSequence }: AddArguments, last: StreamId): StreamId {
  if (compareIds(last, GREATEST_ID) === 0) throw new CommandError(EXHAUSTED);
  const { keyspace } = call;
  const mark = markOf(call);
  if (id === null) {
    const generated = generateId(last, keyspace.clock.nowMs, mark);
    if (generated === null) throw new CommandError(EXHAUSTED);
    return generated;
  }
  const complete = hasSequence ? id : generateSequence(last, id.ms, mark);
  if (complete === null || compareIds(complete, last) <= 0) throw new CommandError(TOO_SMALL);
  return complete;
}

function xtrim(call: Call): void {
  const { keyspace, reply } = call;
  const { trimming } = addOrTrimArguments(call, false);
  const ref = collectionToWrite(call, 1, TYPE_STREAM);
  const count = ref === 0 ? 0 : countToTrim(call, keyspace.collectionAt(ref) as Stream, trimming!, 0);
  if (count > 0) {
    const stream = openAt(call, 1, ref, TYPE_STREAM) as Stream;
    trimEntries(keyspace, stream, count);
    endChange(keyspace, stream, true);
  }
  reply.integer(count);
}

function xdel(call: Call): void {
  const { keyspace, reply } = call;
  const ref = collectionToWrite(call, 1, TYPE_STREAM);
  if (ref === 0) {
    reply.integer(0);
    return;
  }
  const found = new Map<string, StreamId>();
  const stream = keyspace.collectionAt(ref) as Stream;
  for (let index = 2; index < call.argc; index++) {
    const id = idArgument(call, index);
    if (stream.entry(id) !== 0) found.set(`${id.ms}-${id.seq}`, id);
  }
  if (found.size > 0) {
    openAt(call, 1, ref, TYPE_STREAM);
    deleteEntries(keyspace, stream, [...found.values()]);
    endChange(keyspace, stream, true);
  }
  reply.integer(found.size);
}

interface SetIdArguments {
  id: StreamId;
  /** -1 when it is not given. */
  entriesAdded: number;
  maxDeletedId: StreamId | null;
}

function setIdArguments(call: Call): SetIdArguments {
  const found: SetIdArguments = { id: idArgument(call, 2), entriesAdded: -1, maxDeletedId: null };
  for (let index = 3; index < call.argc; index++) {
    const hasMore = index + 1 < call.argc;
    if (hasMore && call.is(index, 'ENTRIESADDED')) {
      found.entriesAdded = call.integer(++index);
      if (found.entriesAdded < 0) throw new CommandError('ERR entries_added must be positive');
    } else if (hasMore && call.is(index, 'MAXDELETEDID')) {
      found.maxDeletedId = idArgument(call, ++index);
      if (compareIds(found.id, found.maxDeletedId) < 0) {
        throw new CommandError('ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id');
      }
    } else call.syntaxError();
  }
  return found;
}

function xsetid(call: Call): void {
  const { keyspace } = call;
  const { id, entriesAdded, maxDeletedId } = setIdArguments(call);
  const ref = collectionToWrite(call, 1, TYPE_STREAM);
  if (ref === 0) throw new CommandError('ERR no such key');
  const stream = keyspace.collectionAt(ref) as Stream;
  if (compareIds(id, stream.maxDeletedId) < 0) {
    throw new CommandError('ERR The ID specified in XSETID is smaller than current max_deleted_entry_id');
  }
  if (stream.length > 0) {
    if (compareIds(id, stream.topId) < 0) {
      throw new CommandError('ERR The ID specified in XSETID is smaller than the target stream top item');
    }
    if (entriesAdded !== -1 && stream.length > entriesAdded) {
      throw new CommandError('ERR The entries_added specified in XSETID is smaller than the target stream length');
    }
  }
  openAt(call, 1, ref, TYPE_STREAM);
  const own = stream.ownMeta;
  const removedElsewhere = stream.removed - own.removed;
  writeMeta(keyspace, stream, {
    lastId: id,
    removed: entriesAdded === -1 ? own.removed : entriesAdded - stream.length - removedElsewhere,
    maxDeletedId: maxDeletedId !== null && compareIds(maxDeletedId, LEAST_ID) !== 0 ? maxDeletedId : own.maxDeletedId,
  });
  endChange(keyspace, stream, true);
  call.reply.ok();
}

// ---- reading ----

function xlen(call: Call): void {
  const stream = peekCollection(call, 1, TYPE_STREAM) as Stream | null;
  call.reply.integer(stream === null ? 0 : stream.length);
}

function range(call: Call, reverse: boolean): void {
  const { keyspace, reply } = call;
  const first = rangeEnd(call, reverse ? 3 : 2, true);
  const last = rangeEnd(call, reverse ? 2 : 3, false);
  let count = -1;
  for (let index = 4; index < call.argc; index++) {
    if (!call.is(index, 'COUNT') || index + 1 >= call.argc) call.syntaxError();
    count = Math.max(0, call.integer(++index));
  }
  const stream = useStream(call, 1);
  if (stream === null) {
    reply.array(0);
  } else if (count === 0) {
    reply.nilArray();
  } else {
    const found = entriesBetween(stream, first, last, count < 0 ? Infinity : count, reverse);
    reply.array(found.length);
    for (const ref of found) replyEntry(keyspace, reply, stream, ref);
  }
}

// ---- definitions ----

const ADD_MERGE =
  'Entries that several nodes add at once are all kept, in the order of their ids. Ids that nodes make up never collide: on a ' +
  'node with peers the low 20 bits of a sequence number name the node. Of two entries added with one explicit id, the later ' +
  'one stays. A reader that has gone past an id may miss an entry that arrives from another node with a lower one.';
const TRIM_MERGE = 'Removes the entries that this node has seen; those that other nodes add at the same time stay.';
const COUNT_MERGE = 'An entry that two nodes delete at once counts twice in entries-added.';
const SETID_MERGE =
  'What every node has set and seen is kept; the greatest id counts, so that with peers the last id never goes back.';

export function streamCommand(
  name: string,
  since: string,
  summary: string,
  arity: number,
  syntax: string,
  complexity: string,
  flags: readonly CommandFlag[],
  keyFlags: readonly KeyFlag[],
  run: (call: Call) => void,
  merge?: string,
): CommandDefinition {
  return command({
    name,
    summary,
    since,
    group: 'stream',
    complexity,
    arity,
    flags,
    keys: [keyRange(1, 1, 1, ...keyFlags)],
    syntax,
    ...(merge === undefined ? {} : { merge }),
    run,
  });
}

const TRIM_SYNTAX = '<MAXLEN|MINID> [=|~] threshold [LIMIT count]';

export const streamCommands: readonly CommandDefinition[] = [
  streamCommand(
    'xadd',
    '5.0.0',
    'Adds an entry to a stream, which is made when it is missing.',
    -5,
    `key [NOMKSTREAM] [${TRIM_SYNTAX}] <*|id> field value [field value ...]`,
    'O(log N) with N the number of entries; O(M log N) when M entries are trimmed',
    ['write', 'denyoom', 'fast'],
    ['RW', 'update'],
    xadd,
    ADD_MERGE,
  ),
  streamCommand(
    'xlen',
    '5.0.0',
    'Counts the entries of a stream.',
    2,
    'key',
    'O(1)',
    ['readonly', 'fast'],
    ['RO'],
    xlen,
  ),
  streamCommand(
    'xrange',
    '5.0.0',
    'Gives the entries between two ids.',
    -4,
    'key start end [COUNT count]',
    'O(log N + M) with M the number of entries given back',
    ['readonly'],
    ['RO', 'access'],
    (call) => range(call, false),
  ),
  streamCommand(
    'xrevrange',
    '5.0.0',
    'Gives the entries between two ids, the last ones first.',
    -4,
    'key end start [COUNT count]',
    'O(log N + M) with M the number of entries given back',
    ['readonly'],
    ['RO', 'access'],
    (call) => range(call, true),
  ),
  streamCommand(
    'xdel',
    '5.0.0',
    'Deletes entries. The stream stays when none is left.',
    -3,
    'key id [id ...]',
    'O(log N) an id',
    ['write', 'fast'],
    ['RW', 'delete'],
    xdel,
    `${TRIM_MERGE} ${COUNT_MERGE}`,
  ),
  streamCommand(
    'xtrim',
    '5.0.0',
    'Removes the oldest entries.',
    -4,
    `key ${TRIM_SYNTAX}`,
    'O(M log N) with M the number of entries removed',
    ['write'],
    ['RW', 'delete'],
    xtrim,
    `${TRIM_MERGE} ${COUNT_MERGE}`,
  ),
  streamCommand(
    'xsetid',
    '5.0.0',
    'Sets the last id of a stream, and its counts.',
    -3,
    'key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]',
    'O(1)',
    ['write', 'denyoom', 'fast'],
    ['RW', 'update'],
    xsetid,
    SETID_MERGE,
  ),
];
