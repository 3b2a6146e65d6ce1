/** MIGRATE: moves keys to another server, Redis or Mantis. */
import type { Call } from '../dispatch/call.ts';
import { command, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { useKey } from '../values/key-use.ts';
import { Migration, type MigrationRequest } from '../migration/migration.ts';
import { countError } from '../clients/reply-mode.ts';

const TIMEOUT_DEFAULT_MS = 1000;
/** What a timer can be set to: 24 days. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1;

interface MigrateOptions {
  isCopy: boolean;
  replaces: boolean;
  credentials: Buffer[];
  /** Index of the first key, and of the first argument behind the last one. */
  firstKey: number;
  endOfKeys: number;
}

function migrateOptions(call: Call): MigrateOptions {
  const options: MigrateOptions = { isCopy: false, replaces: false, credentials: [], firstKey: 3, endOfKeys: 4 };
  for (let index = 6; index < call.argc; index++) {
    if (call.is(index, 'COPY')) options.isCopy = true;
    else if (call.is(index, 'REPLACE')) options.replaces = true;
    else if (call.is(index, 'AUTH') && index + 1 < call.argc) options.credentials = [call.bytes(++index)];
    else if (call.is(index, 'AUTH2') && index + 2 < call.argc) {
      options.credentials = [call.bytes(++index), call.bytes(++index)];
    } else if (call.is(index, 'KEYS')) {
      if (call.lengths[3] !== 0)
        call.fail('ERR When using MIGRATE KEYS option, the key argument must be set to the empty string');
      options.firstKey = index + 1;
      options.endOfKeys = call.argc;
      break;
    } else call.syntaxError();
  }
  return options;
}

/** The port, read as far as it is a number, as Redis reads it. */
function portArgument(call: Call): number {
  return Number(/^\s*([+-]?\d{1,9})/.exec(call.latin1(2))?.[1] ?? 0);
}

function startMigration(call: Call, request: MigrationRequest, isAnyThere: boolean): void {
  const { node, session, command: migrating } = call;
  const migration = new Migration(node, session, request);
  node.blocking.block(session, 0, {
    commandName: migrating.name,
    onTimeout: (reply) => reply.error('IOERR error or timeout reading to target instance'),
    onCancel: () => migration.cancel(),
  });
  const waiting = session.blocked;
  void migration.run(isAnyThere).then((outcome) => {
    // The client is gone, or was told something else.
    if (session.blocked !== waiting) return;
    const hasFailed = outcome !== 'OK' && outcome !== 'NOKEY';
    if (hasFailed) migrating.failed++;
    node.blocking.wake(
      session,
      (reply) => {
        const mark = reply.length;
        if (hasFailed) reply.error(outcome);
        else reply.simple(outcome);
        if (hasFailed) countError(node.statistics, reply, mark);
      },
      migration.hasWritten,
    );
  });
}

function migrate(call: Call): void {
  const { keyspace, database, reply } = call;
  const options = migrateOptions(call);
  const timeoutMs = call.integer(5);
  const targetDatabase = String(call.integer64(4));
  const keys = new Map<string, Buffer>();
  let isAnyThere = false;
  for (let index = options.firstKey; index < options.endOfKeys; index++) {
    const isEvicted = keyspace.isPartial(database, call.buffer, call.starts[index], call.lengths[index]);
    if (!isEvicted && useKey(call, index) === 0) continue;
    isAnyThere ||= !isEvicted;
    // Sent once more it would only replace itself; without REPLACE the other server says what is wrong with that.
    keys.set(options.replaces ? call.latin1(index) : String(index), call.bytes(index));
  }
  if (keys.size === 0) {
    reply.simple('NOKEY');
    return;
  }
  const request: MigrationRequest = {
    host: call.latin1(1),
    port: portArgument(call),
    database: database.number,
    targetDatabase,
    timeoutMs: timeoutMs <= 0 ? TIMEOUT_DEFAULT_MS : Math.min(timeoutMs, TIMEOUT_MAX_MS),
    keys: [...keys.values()],
    ...options,
  };
  startMigration(call, request, isAnyThere);
}

export const migrateCommands: readonly CommandDefinition[] = [
  command({
    name: 'migrate',
    summary: 'Moves keys to another server, Redis or Mantis; other clients go on meanwhile.',
    since: '2.6.0',
    group: 'generic',
    complexity: 'O(N) with N the size of the values',
    arity: -6,
    flags: ['write', 'noscript', 'no_multi'],
    categories: ['keyspace', 'dangerous'],
    keys: [
      keyRange(3, 3, 1, 'RW', 'access', 'delete'),
      {
        kind: 'keyword',
        keyword: 'KEYS',
        from: -2,
        last: -1,
        step: 1,
        flags: ['RW', 'access', 'delete', 'incomplete'],
      },
    ],
    syntax:
      'host port <key|""> destination-db timeout [COPY] [REPLACE] [AUTH password|AUTH2 username password] [KEYS key [key ...]]',
    merge:
      'A deletion of what was sent, once the other server has it. A key that anybody changes meanwhile, a peer that this node hears of ' +
      'included, stays, and the reply is an error.',
    run: migrate,
  }),
];
