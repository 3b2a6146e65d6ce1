/** DUMP and RESTORE: one key as bytes that Redis and Mantis both read. */
import { PayloadError, PayloadReader, RDB_TYPE_STRING } from '../../protocol/rdb-payload.ts';
import { setFrequency, setIdleSeconds } from '../../storage/eviction/access.ts';
import { COUNT_INITIAL } from '../../storage/eviction/access-policy.ts';
import { endChange, openCollection } from '../../storage/collections/local.ts';
import { deleteKey, setDeadline, setString } from '../../storage/types/string.ts';
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition, CommandFlag } from '../definitions/command.ts';
import { payloadOf } from '../codecs/dump-payload.ts';
import { useKey } from '../values/key-use.ts';
import { codecOfRdbType } from '../codecs/value-codecs.ts';

const FREQUENCY_MAX = 255;
const NOT_SET = -1;

function dump(call: Call): void {
  const { reply } = call;
  const ref = useKey(call, 1);
  if (ref === 0) {
    reply.nil();
    return;
  }
  const payload = payloadOf(call.keyspace, ref);
  reply.bulk(payload, 0, payload.length);
}

interface RestoreOptions {
  replace: boolean;
  absoluteTtl: boolean;
  idleSeconds: number;
  frequency: number;
}

function restoreOptions(call: Call): RestoreOptions {
  const options: RestoreOptions = { replace: false, absoluteTtl: false, idleSeconds: NOT_SET, frequency: NOT_SET };
  for (let index = 4; index < call.argc; index++) {
    const hasMore = index + 1 < call.argc;
    if (call.is(index, 'REPLACE')) options.replace = true;
    else if (call.is(index, 'ABSTTL')) options.absoluteTtl = true;
    else if (call.is(index, 'IDLETIME') && hasMore && options.frequency === NOT_SET) {
      options.idleSeconds = call.integer(++index);
      if (options.idleSeconds < 0) throw new CommandError('ERR Invalid IDLETIME value, must be >= 0');
    } else if (call.is(index, 'FREQ') && hasMore && options.idleSeconds === NOT_SET) {
      options.frequency = call.integer(++index);
      if (options.frequency < 0 || options.frequency > FREQUENCY_MAX) {
        throw new CommandError('ERR Invalid FREQ value, must be >= 0 and <= 255');
      }
    } else call.syntaxError();
  }
  return options;
}

/** Writes a value, with a deadline (milliseconds since 1970; 0 for none), to the key at argument 1, over whatever is there. */
type WriteValue = (call: Call, deadlineMs: number) => void;

/** What writes the value in the payload at argument 3. @throws CommandError */
function payloadArgument(call: Call): WriteValue {
  const start = call.starts[3];
  const length = call.lengths[3];
  if (!PayloadReader.isSound(call.buffer, start, length)) {
    throw new CommandError('ERR DUMP payload version or checksum are wrong');
  }
  try {
    return valueWriter(new PayloadReader(call.buffer, start, length));
  } catch (error) {
    if (!(error instanceof PayloadError)) throw error;
    throw new CommandError('ERR Bad data format');
  }
}

function valueWriter(reader: PayloadReader): WriteValue {
  if (reader.type === RDB_TYPE_STRING) {
    const value = reader.string();
    return ({ keyspace, database, buffer, starts, lengths }, deadlineMs) =>
      setString(keyspace, database, buffer, starts[1], lengths[1], value, 0, value.length, deadlineMs);
  }
  const codec = codecOfRdbType(reader.type);
  if (codec === undefined) throw new PayloadError('a type that this release does not know');
  const fill = codec.parse(reader);
  return ({ keyspace, database, buffer, starts, lengths }, deadlineMs) => {
    deleteKey(keyspace, database, buffer, starts[1], lengths[1]);
    const collection = openCollection(keyspace, database, 0, codec.type, buffer, starts[1], lengths[1]);
    fill(keyspace, collection);
    endChange(keyspace, collection, true);
    if (deadlineMs === 0) return;
    const ref = keyspace.find(database, buffer, starts[1], lengths[1]);
    if (ref !== 0) setDeadline(keyspace, database, keyspace.hash, ref, deadlineMs);
  };
}

function restore(call: Call): void {
  const { keyspace, database, buffer, reply } = call;
  const options = restoreOptions(call);
  if (!options.replace && call.lookup(1) !== 0) throw new CommandError('BUSYKEY Target key name already exists.');
  const ttlMs = call.integer(2);
  if (ttlMs < 0) throw new CommandError('ERR Invalid TTL value, must be >= 0');
  const write = payloadArgument(call);
  const deadlineMs = ttlMs === 0 || options.absoluteTtl ? ttlMs : ttlMs + keyspace.clock.nowMs;
  if (deadlineMs !== 0 && deadlineMs <= keyspace.clock.nowMs) {
    if (options.replace) deleteKey(keyspace, database, buffer, call.starts[1], call.lengths[1]);
    reply.ok();
    return;
  }
  write(call, Math.min(deadlineMs, Number.MAX_SAFE_INTEGER));
  restoreAccess(call, options);
  reply.ok();
}

/** What is restored is new, whatever the key held before: its use is what the options say, or that of a key just made. */
function restoreAccess(call: Call, { frequency, idleSeconds }: RestoreOptions): void {
  const { keyspace } = call;
  const ref = call.lookup(1);
  if (ref === 0) return;
  if (keyspace.accessPolicy.countsUse) setFrequency(keyspace, ref, frequency === NOT_SET ? COUNT_INITIAL : frequency);
  else setIdleSeconds(keyspace, ref, idleSeconds === NOT_SET ? 0 : idleSeconds);
}

function restoreCommand(
  name: string,
  since: string,
  summary: string,
  flags: readonly CommandFlag[],
): CommandDefinition {
  return command({
    name,
    summary,
    since,
    group: 'generic',
    complexity: 'O(N) with N the size of the value',
    arity: -4,
    flags: ['write', 'denyoom', ...flags],
    categories: ['keyspace', 'dangerous'],
    keys: [keyRange(1, 1, 1, 'OW', 'update')],
    syntax: 'key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]',
    merge: 'As SET: the value and its deadline are a new write, and of several, the last one wins.',
    run: restore,
  });
}

export const dumpCommands: readonly CommandDefinition[] = [
  command({
    name: 'dump',
    summary: 'Gives the value of a key as bytes that RESTORE takes, here and in Redis.',
    since: '2.6.0',
    group: 'generic',
    complexity: 'O(N) with N the size of the value',
    arity: 2,
    flags: ['readonly'],
    categories: ['keyspace'],
    keys: [keyRange(1, 1, 1, 'RO', 'access')],
    syntax: 'key',
    run: dump,
  }),
  restoreCommand('restore', '2.6.0', 'Makes a key from the bytes that DUMP gave, here or in Redis.', []),
  restoreCommand('restore-asking', '3.0.0', 'As RESTORE: what nodes of Redis Cluster send for MIGRATE.', ['asking']),
];
