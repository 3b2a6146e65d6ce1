/** XINFO: how streams, groups and consumers are. */
import {
  readDelivery,
  type StreamConsumer,
  type StreamGroup,
  UNKNOWN_COUNT,
} from '../../storage/collections/stream-group.ts';
import type { Stream } from '../../storage/collections/stream.ts';
import { GREATEST_ID, LEAST_ID } from '../../storage/types/stream-id.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition, CommandFlag } from '../definitions/command.ts';
import { entriesBetween, lagOf, replyEntry, replyId, replyLatin1, useStream } from '../values/stream-use.ts';
import { container, helpSubcommand, wrongSubcommandArguments } from '../definitions/subcommand-help.ts';

const FULL_COUNT_DEFAULT = 10;
/** Redis keeps entries in listpacks of so many, below a tree that has one node more. */
const NODE_ENTRIES_DEFAULT = 100;

/** @throws CommandError when there is no stream */
function streamOf(call: Call): Stream {
  const stream = useStream(call, 2);
  if (stream === null) throw new CommandError('ERR no such key');
  return stream;
}

function idleMs(call: Call, sinceMs: number): number {
  return Math.max(0, call.keyspace.clock.nowMs - sinceMs);
}

function consumers(call: Call): void {
  const { reply } = call;
  const group = streamOf(call).group(call.latin1(3));
  if (group === null) {
    throw new CommandError(`NOGROUP No such consumer group '${call.text(3)}' for key name '${call.text(2)}'`);
  }
  const found = group.sortedConsumers;
  reply.array(found.length);
  for (const { name, pending, seenMs, activeMs } of found) {
    reply.map(4);
    reply.bulkString('name');
    replyLatin1(reply, name);
    reply.bulkString('pending');
    reply.integer(pending.count);
    reply.bulkString('idle');
    reply.integer(idleMs(call, seenMs));
    reply.bulkString('inactive');
    reply.integer(activeMs < 0 ? -1 : idleMs(call, activeMs));
  }
}

function replyRead(call: Call, stream: Stream, group: StreamGroup): void {
  const { reply } = call;
  reply.bulkString('entries-read');
  if (group.entriesRead === UNKNOWN_COUNT) reply.nil();
  else reply.integer(group.entriesRead);
  reply.bulkString('lag');
  const lag = lagOf(stream, group);
  if (lag === null) reply.nil();
  else reply.integer(lag);
}

function groups(call: Call): void {
  const { reply } = call;
  const stream = streamOf(call);
  const found = stream.sortedGroups;
  reply.array(found.length);
  for (const group of found) {
    reply.map(6);
    reply.bulkString('name');
    replyLatin1(reply, group.name);
    reply.bulkString('consumers');
    reply.integer(group.sortedConsumers.length);
    reply.bulkString('pending');
    reply.integer(group.pending.count);
    reply.bulkString('last-delivered-id');
    replyId(reply, group.lastId);
    replyRead(call, stream, group);
  }
}

function replyStreamHead(call: Call, stream: Stream): void {
  const { reply } = call;
  const nodeMost = call.node.config.values['stream-node-max-entries'] || NODE_ENTRIES_DEFAULT;
  const nodes = Math.ceil(stream.length / nodeMost);
  reply.bulkString('length');
  reply.integer(stream.length);
  reply.bulkString('radix-tree-keys');
  reply.integer(nodes);
  reply.bulkString('radix-tree-nodes');
  reply.integer(nodes + 1);
  reply.bulkString('last-generated-id');
  replyId(reply, stream.lastId);
  reply.bulkString('max-deleted-entry-id');
  replyId(reply, stream.maxDeletedId);
  reply.bulkString('entries-added');
  reply.integer(stream.entriesAdded);
  reply.bulkString('recorded-first-entry-id');
  replyId(reply, stream.firstId);
}

function stream(call: Call): void {
  const { keyspace, reply } = call;
  if (call.argc > 3) {
    streamInFull(call);
    return;
  }
  const found = streamOf(call);
  reply.map(10);
  replyStreamHead(call, found);
  reply.bulkString('groups');
  reply.integer(found.sortedGroups.length);
  const ends = [
    ['first-entry', 0],
    ['last-entry', found.length - 1],
  ] as const;
  for (const [name, rank] of ends) {
    reply.bulkString(name);
    if (found.length === 0) reply.nil();
    else replyEntry(keyspace, reply, found, found.at(rank));
  }
}

function streamInFull(call: Call): void {
  const { keyspace, reply, argc } = call;
  const found = streamOf(call);
  if (!call.is(3, 'FULL') || (argc !== 4 && argc !== 6) || (argc === 6 && !call.is(4, 'COUNT'))) {
    wrongSubcommandArguments(call, 'xinfo');
  }
  let count = argc === 6 ? call.integer(5) : FULL_COUNT_DEFAULT;
  if (count < 0) count = FULL_COUNT_DEFAULT;
  const countMax = count || Infinity;
  reply.map(9);
  replyStreamHead(call, found);
  reply.bulkString('entries');
  const refs = entriesBetween(found, LEAST_ID, GREATEST_ID, countMax, false);
  reply.array(refs.length);
  for (const ref of refs) replyEntry(keyspace, reply, found, ref);
  reply.bulkString('groups');
  const all = found.sortedGroups;
  reply.array(all.length);
  for (const group of all) replyGroupInFull(call, found, group, countMax);
}

function replyGroupInFull(call: Call, found: Stream, group: StreamGroup, countMax: number): void {
  const { reply, keyspace } = call;
  reply.map(7);
  reply.bulkString('name');
  replyLatin1(reply, group.name);
  reply.bulkString('last-delivered-id');
  replyId(reply, group.lastId);
  replyRead(call, found, group);
  reply.bulkString('pel-count');
  reply.integer(group.pending.count);
  reply.bulkString('pending');
  reply.array(Math.min(group.pending.count, countMax));
  group.pending.visit(0, countMax, (ref) => {
    const { consumer, deliveredMs, count } = readDelivery(keyspace.elements, ref);
    reply.array(4);
    replyId(reply, group.pending.idOf(ref));
    replyLatin1(reply, consumer);
    reply.integer(deliveredMs);
    reply.integer(count);
  });
  reply.bulkString('consumers');
  const all = group.sortedConsumers;
  reply.array(all.length);
  for (const consumer of all) replyConsumerInFull(call, consumer, countMax);
}

function replyConsumerInFull(call: Call, consumer: StreamConsumer, countMax: number): void {
  const { reply, keyspace } = call;
  const { pending } = consumer;
  reply.map(5);
  reply.bulkString('name');
  replyLatin1(reply, consumer.name);
  reply.bulkString('seen-time');
  reply.integer(consumer.seenMs);
  reply.bulkString('active-time');
  reply.integer(consumer.activeMs);
  reply.bulkString('pel-count');
  reply.integer(pending.count);
  reply.bulkString('pending');
  reply.array(Math.min(pending.count, countMax));
  pending.visit(0, countMax, (ref) => {
    const { deliveredMs, count } = readDelivery(keyspace.elements, ref);
    reply.array(3);
    replyId(reply, pending.idOf(ref));
    reply.integer(deliveredMs);
    reply.integer(count);
  });
}

function infoSubcommand(
  name: string,
  summary: string,
  arity: number,
  syntax: string,
  complexity: string,
  run: (call: Call) => void,
): CommandDefinition {
  const flags: readonly CommandFlag[] = ['readonly'];
  return command({
    name,
    summary,
    since: '5.0.0',
    group: 'stream',
    complexity,
    arity,
    flags,
    keys: [keyRange(2, 2, 1, 'RO', 'access')],
    syntax,
    run,
  });
}

export const streamInfoCommands: readonly CommandDefinition[] = [
  container({
    name: 'xinfo',
    summary: 'Tells how streams, groups and consumers are.',
    since: '5.0.0',
    group: 'stream',
    subcommands: [
      infoSubcommand(
        'consumers',
        'Tells of the consumers of a group.',
        4,
        'key group',
        'O(N) with N the number of consumers',
        consumers,
      ),
      infoSubcommand(
        'groups',
        'Tells of the groups of a stream that this node has.',
        3,
        'key',
        'O(N) with N the number of groups',
        groups,
      ),
      helpSubcommand('stream', '5.0.0', ['stream']),
      infoSubcommand(
        'stream',
        'Tells of a stream; FULL tells of its entries, groups and consumers too.',
        -3,
        'key [FULL [COUNT count]]',
        'O(1); O(N) with N the number of entries told for FULL',
        stream,
      ),
    ],
  }),
];
