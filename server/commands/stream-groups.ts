/** Consumer groups of streams: XGROUP, XACK, XPENDING. */
import { TYPE_STREAM } from '../../storage/arena/block.ts';
import { endChange } from '../../storage/collections/local.ts';
import type { Stream } from '../../storage/collections/stream.ts';
import { readDelivery, type StreamGroup, UNKNOWN_COUNT } from '../../storage/collections/stream-group.ts';
import {
  putConsumer,
  putGroup,
  removeConsumer,
  removeGroup,
  removePending,
  writeMeta,
} from '../../storage/types/stream.ts';
import { compareIds, formatId, type StreamId } from '../../storage/types/stream-id.ts';
import type { Call } from '../dispatch/call.ts';
import { collectionToWrite, openAt } from '../values/collection-use.ts';
import { command, CommandError, keyRange, WRONG_TYPE } from '../definitions/command.ts';
import type { CommandDefinition, CommandFlag, KeyFlag } from '../definitions/command.ts';
import { idArgument, rangeEnd } from '../arguments/stream-arguments.ts';
import { replyId, replyLatin1, useStream } from '../values/stream-use.ts';
import { container, helpSubcommand, wrongSubcommandArguments } from '../definitions/subcommand-help.ts';
import { streamCommand } from './streams.ts';

const NEEDS_KEY =
  'ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to ' +
  'create an empty stream automatically.';

/** The stream at a key and its group, or the error that one of them is not there. @throws CommandError */
export function groupAt(call: Call, key: number, group: number): { stream: Stream; group: StreamGroup } {
  const stream = useStream(call, key);
  const found = stream === null ? null : stream.group(call.latin1(group));
  if (stream === null || found === null) {
    throw new CommandError(`NOGROUP No such key '${call.text(key)}' or consumer group '${call.text(group)}'`);
  }
  return { stream, group: found };
}

// ---- XGROUP ----

interface GroupOptions {
  makesKey: boolean;
  entriesRead: number;
}

function groupOptions(call: Call, canMake: boolean): GroupOptions {
  const found: GroupOptions = { makesKey: false, entriesRead: UNKNOWN_COUNT };
  for (let index = 5; index < call.argc; index++) {
    if (canMake && call.is(index, 'MKSTREAM')) {
      found.makesKey = true;
    } else if (call.is(index, 'ENTRIESREAD') && index + 1 < call.argc) {
      found.entriesRead = call.integer(++index);
      if (found.entriesRead < 0 && found.entriesRead !== UNKNOWN_COUNT) {
        throw new CommandError('ERR value for ENTRIESREAD must be positive or -1');
      }
    } else wrongSubcommandArguments(call, 'xgroup');
  }
  return found;
}

/** The block of the stream at argument 2, which must be there. @throws CommandError */
function streamToChange(call: Call): number {
  const ref = call.lookup(2);
  if (ref === 0) throw new CommandError(NEEDS_KEY);
  if (call.keyspace.typeOf(ref) !== TYPE_STREAM) throw new CommandError(WRONG_TYPE);
  return ref;
}

function groupToChange(call: Call, stream: Stream): StreamGroup {
  const group = stream.group(call.latin1(3));
  if (group === null) {
    throw new CommandError(`NOGROUP No such consumer group '${call.text(3)}' for key name '${call.text(2)}'`);
  }
  return group;
}

/** Where a group begins: an id, or `$` for the stream's last one. */
function groupStart(call: Call, stream: Stream | null): StreamId {
  return call.is(4, '$') ? (stream?.lastId ?? { ms: 0n, seq: 0n }) : idArgument(call, 4);
}

function create(call: Call): void {
  const { keyspace } = call;
  const { makesKey, entriesRead } = groupOptions(call, true);
  const ref = makesKey ? collectionToWrite(call, 2, TYPE_STREAM) : streamToChange(call);
  // An option given twice is found by the number of arguments, as in Redis.
  if (call.argc > 8) wrongSubcommandArguments(call, 'xgroup');
  const before = ref === 0 ? null : (keyspace.collectionAt(ref) as Stream);
  const start = groupStart(call, before);
  const name = call.latin1(3);
  if (before !== null && before.group(name) !== null) {
    throw new CommandError('BUSYGROUP Consumer Group name already exists');
  }
  const stream = openAt(call, 2, ref, TYPE_STREAM) as Stream;
  if (ref === 0) writeMeta(keyspace, stream, stream.ownMeta);
  putGroup(keyspace, stream, name, start, entriesRead);
  endChange(keyspace, stream, true);
  call.reply.ok();
}

function setId(call: Call): void {
  const { keyspace } = call;
  const { entriesRead } = groupOptions(call, false);
  const ref = streamToChange(call);
  const stream = keyspace.collectionAt(ref) as Stream;
  const group = groupToChange(call, stream);
  if (call.argc > 7) wrongSubcommandArguments(call, 'xgroup');
  // Both ends of the stream can be named here, as in Redis, and not when the group is made.
  const start = call.is(4, '-') || call.is(4, '+') ? rangeEnd(call, 4, true) : groupStart(call, stream);
  openAt(call, 2, ref, TYPE_STREAM);
  putGroup(keyspace, stream, group.name, start, entriesRead);
  endChange(keyspace, stream, true);
  call.reply.ok();
}

function destroy(call: Call): void {
  const { keyspace } = call;
  const ref = streamToChange(call);
  const stream = keyspace.collectionAt(ref) as Stream;
  const group = stream.group(call.latin1(3));
  if (group !== null) {
    openAt(call, 2, ref, TYPE_STREAM);
    removeGroup(keyspace, stream, group);
    endChange(keyspace, stream, true);
  }
  call.reply.integer(group === null ? 0 : 1);
}

function createConsumer(call: Call): void {
  const { keyspace } = call;
  const ref = streamToChange(call);
  const stream = keyspace.collectionAt(ref) as Stream;
  const group = groupToChange(call, stream);
  const name = call.latin1(4);
  const isNew = group.consumer(name) === null;
  if (isNew) {
    openAt(call, 2, ref, TYPE_STREAM);
    putConsumer(keyspace, stream, group.name, name, keyspace.clock.nowMs, -1);
    endChange(keyspace, stream, true);
  }
  call.reply.integer(isNew ? 1 : 0);
}

function deleteConsumer(call: Call): void {
  const { keyspace } = call;
  const ref = streamToChange(call);
  const stream = keyspace.collectionAt(ref) as Stream;
  const group = groupToChange(call, stream);
  const consumer = group.consumer(call.latin1(4));
  const pending = consumer === null ? 0 : consumer.pending.count;
  if (consumer !== null) {
    openAt(call, 2, ref, TYPE_STREAM);
    removeConsumer(keyspace, stream, group, consumer);
    endChange(keyspace, stream, true);
  }
  call.reply.integer(pending);
}

// ---- XACK, XPENDING ----

function xack(call: Call): void {
  const { keyspace, reply } = call;
  const ref = collectionToWrite(call, 1, TYPE_STREAM);
  const stream = ref === 0 ? null : (keyspace.collectionAt(ref) as Stream);
  const group = stream === null ? null : stream.group(call.latin1(2));
  if (stream === null || group === null) {
    reply.integer(0);
    return;
  }
  const ids: StreamId[] = [];
  for (let index = 3; index < call.argc; index++) ids.push(idArgument(call, index));
  const found = new Map<string, StreamId>();
  for (const id of ids) if (group.pending.find(id) !== 0) found.set(formatId(id), id);
  if (found.size > 0) {
    openAt(call, 1, ref, TYPE_STREAM);
    for (const id of found.values()) removePending(keyspace, stream, group.name, id);
    endChange(keyspace, stream, true);
  }
  reply.integer(found.size);
}

function xpending(call: Call): void {
  const { argc } = call;
  if (argc === 3) {
    pendingSummary(call);
    return;
  }
  if (argc < 6 || argc > 9) call.syntaxError();
  let from = 3;
  let idleMs = 0;
  if (call.is(3, 'IDLE')) {
    idleMs = call.integer(4);
    if (argc < 8) call.syntaxError();
    from = 5;
  }
  const count = Math.max(0, call.integer(from + 2));
  const first = rangeEnd(call, from, true);
  const last = rangeEnd(call, from + 1, false);
  pendingEntries(call, first, last, count, idleMs, from + 3 < argc ? call.latin1(from + 3) : null);
}

function pendingSummary(call: Call): void {
  const { reply } = call;
  const { pending, sortedConsumers } = groupAt(call, 1, 2).group;
  reply.array(4);
  reply.integer(pending.count);
  if (pending.count === 0) {
    reply.nil();
    reply.nil();
    reply.nilArray();
    return;
  }
  replyId(reply, pending.idOf(pending.at(0)));
  replyId(reply, pending.idOf(pending.at(pending.count - 1)));
  const busy = sortedConsumers.filter((consumer) => consumer.pending.count > 0);
  reply.array(busy.length);
  for (const consumer of busy) {
    reply.array(2);
    replyLatin1(reply, consumer.name);
    reply.bulkInteger(consumer.pending.count);
  }
}

function pendingEntries(
  call: Call,
  first: StreamId,
  last: StreamId,
  countMax: number,
  idleMs: number,
  consumer: string | null,
): void {
  const { keyspace, reply } = call;
  const { group } = groupAt(call, 1, 2);
  const pending = consumer === null ? group.pending : group.consumer(consumer)?.pending;
  const { nowMs } = keyspace.clock;
  const found: number[] = [];
  if (pending !== undefined) {
    for (let rank = pending.rank(first); rank < pending.count && found.length < countMax; rank++) {
      const ref = pending.at(rank);
      if (compareIds(pending.idOf(ref), last) > 0) break;
      if (idleMs === 0 || nowMs - readDelivery(keyspace.elements, ref).deliveredMs >= idleMs) found.push(ref);
    }
  }
  reply.array(found.length);
  for (const ref of found) {
    const delivery = readDelivery(keyspace.elements, ref);
    reply.array(4);
    replyId(reply, group.pending.idOf(ref));
    replyLatin1(reply, delivery.consumer);
    reply.integer(Math.max(0, nowMs - delivery.deliveredMs));
    reply.integer(delivery.count);
  }
}

// ---- definitions ----

export const LOCAL_GROUP =
  'Groups belong to the node that made them: other nodes do not see them, and what is pending is kept by their own node, also ' +
  'over a restart.';

function groupSubcommand(
  name: string,
  since: string,
  summary: string,
  arity: number,
  syntax: string,
  complexity: string,
  flags: readonly CommandFlag[],
  keyFlag: KeyFlag,
  run: (call: Call) => void,
): CommandDefinition {
  return command({
    name,
    summary,
    since,
    group: 'stream',
    complexity,
    arity,
    flags,
    keys: [keyRange(2, 2, 1, 'RW', keyFlag)],
    syntax,
    merge: LOCAL_GROUP,
    run,
  });
}

export const streamGroupCommands: readonly CommandDefinition[] = [
  container({
    name: 'xgroup',
    summary: 'Makes, changes and removes consumer groups.',
    since: '5.0.0',
    group: 'stream',
    subcommands: [
      groupSubcommand(
        'create',
        '5.0.0',
        'Makes a group that begins after an id, or at the end.',
        -5,
        'key group <id|$> [MKSTREAM] [ENTRIESREAD entries-read]',
        'O(1)',
        ['write', 'denyoom'],
        'insert',
        create,
      ),
      groupSubcommand(
        'createconsumer',
        '6.2.0',
        'Makes a consumer.',
        5,
        'key group consumer',
        'O(1)',
        ['write', 'denyoom'],
        'insert',
        createConsumer,
      ),
      groupSubcommand(
        'delconsumer',
        '5.0.0',
        'Removes a consumer and what is pending for it.',
        5,
        'key group consumer',
        'O(N) with N the number of pending entries',
        ['write'],
        'delete',
        deleteConsumer,
      ),
      groupSubcommand(
        'destroy',
        '5.0.0',
        'Removes a group.',
        4,
        'key group',
        'O(N) with N the number of pending entries',
        ['write'],
        'delete',
        destroy,
      ),
      helpSubcommand('stream', '5.0.0', ['stream']),
      groupSubcommand(
        'setid',
        '5.0.0',
        'Makes a group go on after an id, or at the end.',
        -5,
        'key group <id|$> [ENTRIESREAD entries-read]',
        'O(1)',
        ['write'],
        'update',
        setId,
      ),
    ],
  }),
  streamCommand(
    'xack',
    '5.0.0',
    'Acknowledges entries: they are pending no more.',
    -4,
    'key group id [id ...]',
    'O(log N) an id',
    ['write', 'fast'],
    ['RW', 'update'],
    xack,
    LOCAL_GROUP,
  ),
  streamCommand(
    'xpending',
    '5.0.0',
    'Tells what is pending in a group.',
    -3,
    'key group [[IDLE min-idle-time] start end count [consumer]]',
    'O(log N + M) with M the number of entries told',
    ['readonly'],
    ['RO', 'access'],
    xpending,
  ),
];
