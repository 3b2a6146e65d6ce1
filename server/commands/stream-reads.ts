/** XREAD and XREADGROUP, which may wait. */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import { TYPE_STREAM } from '../../storage/arena/block.ts';
import { idBefore, LEAST_ID, type StreamId } from '../../storage/types/stream-id.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, type KeySpec, WRONG_TYPE } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { idArgument } from '../arguments/stream-arguments.ts';
import { timeoutMsArgument } from '../arguments/timeout-argument.ts';
import { replyWithEntries, type StreamRequest } from '../values/stream-reading.ts';
import { streamAt } from '../values/stream-use.ts';

interface ReadOptions {
  /** -1 for not waiting. */
  timeoutMs: number;
  countMax: number;
  group: string | null;
  consumer: string;
  withoutPending: boolean;
  /** The argument of the first key; as many ids follow as keys. */
  firstKey: number;
  streams: number;
}

function readOptions(call: Call, isGroupRead: boolean): ReadOptions {
  const found: ReadOptions = {
    timeoutMs: -1,
    countMax: Infinity,
    group: null,
    consumer: '',
    withoutPending: false,
    firstKey: 0,
    streams: 0,
  };
  for (let index = 1; index < call.argc && found.firstKey === 0; index++) {
    const more = call.argc - index - 1;
    if (call.is(index, 'BLOCK') && more > 0) {
      found.timeoutMs = timeoutMsArgument(call, ++index);
    } else if (call.is(index, 'COUNT') && more > 0) {
      found.countMax = Math.max(0, call.integer(++index)) || Infinity;
    } else if (call.is(index, 'STREAMS') && more > 0) {
      found.firstKey = index + 1;
      found.streams = more / 2;
    } else if (call.is(index, 'GROUP') && more >= 2) {
      if (!isGroupRead) onlyForGroups('GROUP');
      found.group = call.latin1(++index);
      found.consumer = call.latin1(++index);
    } else if (call.is(index, 'NOACK')) {
      if (!isGroupRead) onlyForGroups('NOACK');
      found.withoutPending = true;
    } else call.syntaxError();
  }
  if (found.streams % 1 !== 0) {
    const example = isGroupRead ? '>' : '$';
    throw new CommandError(
      `ERR Unbalanced '${call.command.name}' list of streams: for each stream key an ID or '${example}' must be specified.`,
    );
  }
  if (found.firstKey === 0) call.syntaxError();
  if (isGroupRead && found.group === null) throw new CommandError('ERR Missing GROUP option for XREADGROUP');
  return found;
}

function onlyForGroups(option: string): never {
  throw new CommandError(`ERR The ${option} option is only supported by XREADGROUP. You called XREAD instead.`);
}

function noGroup(key: Buffer, group: string): string {
  return `NOGROUP No such key '${key.toString()}' or consumer group '${Buffer.from(group, 'latin1').toString()}' in XREADGROUP with GROUP option`;
}

/** Where reading the stream at argument `index` begins: after the id, or null for what the group has not delivered. */
function startArgument(call: Call, key: number, index: number, group: string | null): StreamId | null {
  const bytes = call.bytes(key);
  const stream = streamAt(call.keyspace, call.database, bytes);
  if (group !== null && (stream === null || stream.group(group) === null))
    throw new CommandError(noGroup(bytes, group));
  if (call.is(index, '$')) {
    if (group !== null) {
      throw new CommandError(
        'ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by ' +
          'specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.',
      );
    }
    return stream === null ? LEAST_ID : stream.lastId;
  }
  if (call.is(index, '+') && group === null) {
    if (stream === null) return LEAST_ID;
    return stream.length === 0 ? stream.lastId : (idBefore(stream.topId) ?? LEAST_ID);
  }
  if (call.is(index, '>')) {
    if (group !== null) return null;
    throw new CommandError(
      'ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.',
    );
  }
  return idArgument(call, index);
}

function read(call: Call, isGroupRead: boolean): void {
  const { keyspace, reply } = call;
  const options = readOptions(call, isGroupRead);
  const { firstKey, streams, group } = options;
  const keys: Buffer[] = [];
  const after: (StreamId | null)[] = [];
  for (let key = firstKey; key < firstKey + streams; key++) {
    keys.push(call.bytes(key));
    after.push(startArgument(call, key, key + streams, group));
  }
  const { countMax, consumer, withoutPending } = options;
  const database = call.database.number;
  const { keyspaceEvents } = call.node;
  const consumerMade = (key: Buffer): void => keyspaceEvents.consumerMade(database, key);
  const wanted = { countMax, group, consumer, withoutPending, consumerMade };
  const request: StreamRequest = { keyspace, database, keys, after, ...wanted };
  if (replyWithEntries(request, reply, null)) return;
  if (options.timeoutMs < 0 || call.inTransaction) {
    reply.nilArray();
    return;
  }
  const running = call.command;
  const { keyWaiters, statistics } = call.node;
  const countFailure = (message: string): void => {
    running.failed++;
    statistics.countError(message);
  };
  keyWaiters.wait(call.session, {
    kind: 'stream',
    commandName: call.command.name,
    words: call.allBytes(),
    timeoutMs: options.timeoutMs,
    database,
    keys,
    endsWithoutKey: group !== null,
    attempt: (key, late) => readLater(request, key, late, countFailure),
    onTimeout: (late) => late.nilArray(),
  });
}

/** A stream that somebody waits for has changed. */
function readLater(
  request: StreamRequest,
  key: Buffer,
  reply: ReplyWriter,
  countFailure: (message: string) => void,
): boolean {
  const { keyspace, group } = request;
  const database = keyspace.databases[request.database];
  const ref = keyspace.lookup(database, key, 0, key.length);
  const isStream = ref !== 0 && keyspace.typeOf(ref) === TYPE_STREAM;
  if (group === null) return isStream && replyWithEntries(request, reply, key);
  if (isStream && streamAt(keyspace, database, key)!.group(group) !== null)
    return replyWithEntries(request, reply, key);
  const message = ref !== 0 && !isStream ? WRONG_TYPE : noGroup(key, group);
  countFailure(message);
  reply.error(message);
  return true;
}

const STREAM_KEYS = (from: number): KeySpec => ({
  kind: 'keyword',
  keyword: 'STREAMS',
  from,
  options: { COUNT: 1, BLOCK: 1, GROUP: 2, NOACK: 0 },
  last: -1,
  step: 1,
  limit: 2,
  flags: ['RO', 'access'],
});

const LOCAL_GROUP =
  'Groups belong to the node that made them: each node delivers every entry to its own. What is pending is kept by that node, ' +
  'also over a restart.';

export const streamReadCommands: readonly CommandDefinition[] = [
  command({
    name: 'xread',
    summary: 'Gives the entries of streams after given ids; waits for them when it is told to.',
    since: '5.0.0',
    group: 'stream',
    complexity: 'O(log N + M) a stream, with M the number of entries given back',
    arity: -4,
    flags: ['readonly', 'blocking', 'movablekeys'],
    keys: [STREAM_KEYS(1)],
    syntax: '[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]',
    run: (call) => read(call, false),
  }),
  command({
    name: 'xreadgroup',
    summary: 'Gives a consumer of a group entries that no other has got, or those that it has not acknowledged.',
    since: '5.0.0',
    group: 'stream',
    complexity: 'O(log N + M log P) a stream, with M the number of entries given back and P that of pending ones',
    arity: -7,
    flags: ['write', 'blocking', 'movablekeys'],
    keys: [STREAM_KEYS(4)],
    syntax: 'GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]',
    merge: LOCAL_GROUP,
    run: (call) => read(call, true),
  }),
];
