/** XCLAIM and XAUTOCLAIM: entries that are pending for one consumer pass to another. */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import { TYPE_STREAM } from '../../storage/arena/block.ts';
import { endChange } from '../../storage/collections/local.ts';
import type { Stream } from '../../storage/collections/stream.ts';
import { readDelivery, type StreamGroup } from '../../storage/collections/stream-group.ts';
import { putConsumer, putGroup, putPending, removePending } from '../../storage/types/stream.ts';
import { compareIds, LEAST_ID, type StreamId } from '../../storage/types/stream-id.ts';
import type { Call } from '../dispatch/call.ts';
import { openAt } from '../values/collection-use.ts';
import { CommandError } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { idArgument, parseId, rangeEnd } from '../arguments/stream-arguments.ts';
import { replyEntry, replyId } from '../values/stream-use.ts';
import { groupAt, LOCAL_GROUP } from './stream-groups.ts';
import { streamCommand } from './streams.ts';

/** XAUTOCLAIM looks at so many pending entries for each one that it was to give back at most. */
const ATTEMPTS_FACTOR = 10;
const COUNT_DEFAULT = 100;
/** 2^63 - 1 divided among 16 bytes and 10 attempts an id, as Redis bounds COUNT. */
const COUNT_MAX = Math.floor(2 ** 63 / 16);

interface ClaimOptions {
  ids: StreamId[];
  force: boolean;
  justIds: boolean;
  deliveredMs: number;
  /** -1: one more than it was. */
  retryCount: number;
  lastId: StreamId;
}

function claimOptions(call: Call): ClaimOptions {
  const { nowMs } = call.keyspace.clock;
  const found: ClaimOptions = {
    ids: [],
    force: false,
    justIds: false,
    deliveredMs: nowMs,
    retryCount: -1,
    lastId: LEAST_ID,
  };
  let index = 5;
  for (; index < call.argc; index++) {
    const id = parseId(call.latin1(index), 0n);
    if (id === null) break;
    found.ids.push(id);
  }
  for (; index < call.argc; index++) {
    const hasMore = index + 1 < call.argc;
    if (call.is(index, 'FORCE')) found.force = true;
    else if (call.is(index, 'JUSTID')) found.justIds = true;
    else if (call.is(index, 'IDLE') && hasMore) {
      found.deliveredMs = nowMs - call.integer(++index, 'ERR Invalid IDLE option argument for XCLAIM');
    } else if (call.is(index, 'TIME') && hasMore) {
      found.deliveredMs = call.integer(++index, 'ERR Invalid TIME option argument for XCLAIM');
    } else if (call.is(index, 'RETRYCOUNT') && hasMore) {
      found.retryCount = call.integer(++index, 'ERR Invalid RETRYCOUNT option argument for XCLAIM');
    } else if (call.is(index, 'LASTID') && hasMore) {
      found.lastId = idArgument(call, ++index);
    } else throw new CommandError(`ERR Unrecognized XCLAIM option '${call.text(index)}'`);
  }
  if (found.deliveredMs < 0 || found.deliveredMs > nowMs) found.deliveredMs = nowMs;
  return found;
}

function idleArgument(call: Call): number {
  return Math.max(0, call.integer(4, `ERR Invalid min-idle-time argument for ${call.command.name.toUpperCase()}`));
}

/** A claim being carried out: the stream is open. */
interface Claim {
  call: Call;
  stream: Stream;
  group: StreamGroup;
  consumer: string;
  idleMs: number;
  deliveredMs: number;
  retryCount: number;
  justIds: boolean;
}

/** Gives the entry, which there is, to the consumer; returns false when it is not idle enough. */
function claimEntry(claim: Claim, id: StreamId): boolean {
  const { call, stream, group, consumer, deliveredMs, retryCount } = claim;
  const { keyspace } = call;
  const ref = group.pending.find(id);
  // What FORCE makes pending counts as delivered once, and now again.
  let count = 1;
  if (ref !== 0) {
    const old = readDelivery(keyspace.elements, ref);
    if (claim.idleMs > 0 && keyspace.clock.nowMs - old.deliveredMs < claim.idleMs) return false;
    ({ count } = old);
  }
  if (retryCount >= 0) count = retryCount;
  else if (!claim.justIds) count++;
  putPending(keyspace, stream, group.name, id, { deliveredMs, count, consumer });
  return true;
}

function replyClaimed(claim: Claim, reply: ReplyWriter, ids: readonly StreamId[]): void {
  const { call, stream, justIds } = claim;
  reply.array(ids.length);
  for (const id of ids) {
    if (justIds) replyId(reply, id);
    else replyEntry(call.keyspace, reply, stream, stream.entry(id));
  }
}

/** Writes that the consumer has asked, and got something when `isActive`. */
function noteConsumer({ call, stream, group, consumer }: Claim, isActive: boolean): void {
  const { nowMs } = call.keyspace.clock;
  const known = group.consumer(consumer);
  if (known === null) {
    const key = call.buffer.subarray(call.starts[1], call.starts[1] + call.lengths[1]);
    call.node.keyspaceEvents.consumerMade(call.database.number, key);
  }
  putConsumer(call.keyspace, stream, group.name, consumer, nowMs, isActive ? nowMs : (known?.activeMs ?? -1));
}

function openClaim(call: Call, options: Pick<Claim, 'deliveredMs' | 'retryCount' | 'justIds' | 'idleMs'>): Claim {
  const { stream, group } = groupAt(call, 1, 2);
  openAt(call, 1, call.lookup(1), TYPE_STREAM);
  return { call, stream, group, consumer: call.latin1(3), ...options };
}

function xclaim(call: Call): void {
  const { keyspace, reply } = call;
  groupAt(call, 1, 2);
  const idleMs = idleArgument(call);
  const options = claimOptions(call);
  const claim = openClaim(call, { ...options, idleMs });
  const { stream, group } = claim;
  if (compareIds(options.lastId, group.lastId) > 0) {
    putGroup(keyspace, stream, group.name, options.lastId, group.entriesRead);
  }
  noteConsumer(claim, false);
  const claimed: StreamId[] = [];
  for (const id of options.ids) {
    const isPending = group.pending.find(id) !== 0;
    if (stream.entry(id) === 0) {
      if (isPending) removePending(keyspace, stream, group.name, id);
    } else if ((isPending || options.force) && claimEntry(claim, id)) {
      claimed.push(id);
    }
  }
  if (claimed.length > 0) noteConsumer(claim, true);
  replyClaimed(claim, reply, claimed);
  endChange(keyspace, stream, true);
}

function xautoclaim(call: Call): void {
  const { keyspace, reply } = call;
  const idleMs = idleArgument(call);
  const first = rangeEnd(call, 5, true);
  let countMax = COUNT_DEFAULT;
  let justIds = false;
  for (let index = 6; index < call.argc; index++) {
    if (call.is(index, 'COUNT') && index + 1 < call.argc) {
      countMax = call.integerIn(++index, 1, COUNT_MAX, 'ERR COUNT must be > 0');
    } else if (call.is(index, 'JUSTID')) justIds = true;
    else call.syntaxError();
  }
  const claim = openClaim(call, { idleMs, justIds, deliveredMs: keyspace.clock.nowMs, retryCount: -1 });
  const { stream, group } = claim;
  noteConsumer(claim, false);
  const claimed: StreamId[] = [];
  const deleted: StreamId[] = [];
  let rank = group.pending.rank(first);
  let attempts = countMax * ATTEMPTS_FACTOR;
  while (attempts-- > 0 && claimed.length + deleted.length < countMax && rank < group.pending.count) {
    const id = group.pending.idOf(group.pending.at(rank));
    if (stream.entry(id) === 0) {
      // What comes after it moves up to its rank.
      removePending(keyspace, stream, group.name, id);
      deleted.push(id);
      continue;
    }
    if (claimEntry(claim, id)) claimed.push(id);
    rank++;
  }
  if (claimed.length > 0) noteConsumer(claim, true);
  reply.array(3);
  replyId(reply, rank < group.pending.count ? group.pending.idOf(group.pending.at(rank)) : LEAST_ID);
  replyClaimed(claim, reply, claimed);
  reply.array(deleted.length);
  for (const id of deleted) replyId(reply, id);
  endChange(keyspace, stream, true);
}

export const streamClaimCommands: readonly CommandDefinition[] = [
  streamCommand(
    'xclaim',
    '5.0.0',
    'Gives a consumer entries that are pending for another one.',
    -6,
    'key group consumer min-idle-time id [id ...] [IDLE milliseconds] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID last-id]',
    'O(log N) an id',
    ['write', 'fast'],
    ['RW', 'update'],
    xclaim,
    LOCAL_GROUP,
  ),
  streamCommand(
    'xautoclaim',
    '6.2.0',
    'Gives a consumer the entries that have been pending for long.',
    -6,
    'key group consumer min-idle-time start [COUNT count] [JUSTID]',
    'O(log N + M) with M the count',
    ['write', 'fast'],
    ['RW', 'delete'],
    xautoclaim,
    LOCAL_GROUP,
  ),
];
