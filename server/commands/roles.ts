/** What Redis's own replication and cluster commands answer on a server that is alone: every Mantis node takes writes. */
import type { Call } from '../dispatch/call.ts';
import { type CommandDefinition, type CommandFlag, command } from '../definitions/command.ts';
import { container } from '../definitions/subcommand-help.ts';

const NO_CLUSTER = 'ERR This instance has cluster support disabled';
const PORT_MAX = 65535;

function role({ reply }: Call): void {
  reply.array(3);
  reply.bulkString('master');
  reply.integer(0);
  reply.array(0);
}

function replicaOf(call: Call): void {
  if (call.is(1, 'NO') && call.is(2, 'ONE')) {
    call.reply.ok();
    return;
  }
  call.integerIn(2, 0, PORT_MAX, 'ERR Invalid master port');
  call.fail("ERR this node is no replica: every node takes writes, and the option 'peers' names the others");
}

function failover(call: Call): void {
  if (call.argc === 2 && call.is(1, 'ABORT')) call.fail('ERR No failover in progress.');
  const seen = new Set<string>();
  const isFirst = (word: string): boolean => !seen.has(word) && seen.add(word).size > 0;
  for (let index = 1; index < call.argc; index++) {
    if (call.is(index, 'TIMEOUT') && index + 1 < call.argc && isFirst('TIMEOUT')) {
      if (call.integer(++index) <= 0) call.fail('ERR FAILOVER timeout must be greater than 0');
    } else if (call.is(index, 'TO') && index + 2 < call.argc && isFirst('TO')) call.integer((index += 2));
    else if (!call.is(index, 'FORCE') || !isFirst('FORCE')) call.syntaxError();
  }
  call.fail('ERR FAILOVER requires connected replicas.');
}

function refuseCluster(call: Call): void {
  call.fail(NO_CLUSTER);
}

function replicationCommand(name: string, since: string, summary: string): CommandDefinition {
  return command({
    name,
    summary,
    since,
    group: 'server',
    complexity: 'O(1)',
    arity: 3,
    flags: ['admin', 'noscript', 'stale', 'no_async_loading'],
    syntax: '<host port|NO ONE>',
    run: replicaOf,
  });
}

function connectionState(name: string, flags: readonly CommandFlag[], summary: string): CommandDefinition {
  return command({
    name,
    summary,
    since: '3.0.0',
    group: 'server',
    complexity: 'O(1)',
    arity: 1,
    flags,
    categories: ['connection'],
    syntax: '',
    run: refuseCluster,
  });
}

const READ: readonly CommandFlag[] = ['stale'];
const ADMIN_READ: readonly CommandFlag[] = ['admin', 'stale'];
const ADMIN: readonly CommandFlag[] = ['admin', 'stale', 'no_async_loading'];

/** Name, arity, flags, since when, and syntax of Redis Cluster's subcommands. */
const CLUSTER: readonly (readonly [string, number, readonly CommandFlag[], string, string])[] = [
  ['info', 2, READ, '3.0.0', ''],
  ['nodes', 2, READ, '3.0.0', ''],
  ['slots', 2, READ, '3.0.0', ''],
  ['shards', 2, READ, '7.0.0', ''],
  ['links', 2, READ, '7.0.0', ''],
  ['myid', 2, READ, '3.0.0', ''],
  ['keyslot', 3, READ, '3.0.0', 'key'],
  ['countkeysinslot', 3, READ, '3.0.0', 'slot'],
  ['getkeysinslot', 4, READ, '3.0.0', 'slot count'],
  ['replicas', 3, ADMIN_READ, '5.0.0', 'node-id'],
  ['slaves', 3, ADMIN_READ, '3.0.0', 'node-id'],
  ['count-failure-reports', 3, ADMIN_READ, '3.0.0', 'node-id'],
  ['reset', -2, ['admin', 'noscript', 'stale'], '3.0.0', '[HARD|SOFT]'],
  ['addslots', -3, ADMIN, '3.0.0', 'slot [slot ...]'],
  ['addslotsrange', -4, ADMIN, '7.0.0', 'start-slot end-slot [start-slot end-slot ...]'],
  ['delslots', -3, ADMIN, '3.0.0', 'slot [slot ...]'],
  ['delslotsrange', -4, ADMIN, '7.0.0', 'start-slot end-slot [start-slot end-slot ...]'],
  ['flushslots', 2, ADMIN, '3.0.0', ''],
  ['setslot', -4, ADMIN, '3.0.0', 'slot <IMPORTING node-id|MIGRATING node-id|NODE node-id|STABLE>'],
  ['meet', -4, ADMIN, '3.0.0', 'ip port [cluster-bus-port]'],
  ['forget', 3, ADMIN, '3.0.0', 'node-id'],
  ['replicate', 3, ADMIN, '3.0.0', 'node-id'],
  ['failover', -2, ADMIN, '3.0.0', '[FORCE|TAKEOVER]'],
  ['bumpepoch', 2, ADMIN, '3.0.0', ''],
  ['set-config-epoch', 3, ADMIN, '3.0.0', 'config-epoch'],
  ['saveconfig', 2, ADMIN, '3.0.0', ''],
  ['help', 2, ['loading', 'stale'], '5.0.0', ''],
];

const REFUSED = 'Refused: there are no hash slots here, every node holds everything.';

export const roleCommands: readonly CommandDefinition[] = [
  command({
    name: 'role',
    summary: 'Tells that this node takes writes.',
    since: '2.8.12',
    group: 'server',
    complexity: 'O(1)',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast'],
    categories: ['admin', 'dangerous'],
    syntax: '',
    run: role,
  }),
  replicationCommand('replicaof', '5.0.0', 'Refused but for NO ONE: no node is the replica of another.'),
  replicationCommand('slaveof', '1.0.0', 'The old name of REPLICAOF.'),
  command({
    name: 'failover',
    summary: 'Refused: every node takes writes, so there is nothing to hand over.',
    since: '6.2.0',
    group: 'server',
    complexity: 'O(1)',
    arity: -1,
    flags: ['admin', 'noscript', 'stale'],
    syntax: '[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]',
    run: failover,
  }),
  container({
    name: 'cluster',
    summary: 'Commands of Redis Cluster, which this is not.',
    since: '3.0.0',
    group: 'server',
    subcommands: CLUSTER.map(([name, arity, flags, since, syntax]) =>
      command({
        name,
        summary: REFUSED,
        since,
        group: 'server',
        complexity: 'O(1)',
        arity,
        flags,
        syntax,
        run: refuseCluster,
      }),
    ),
  }),
  connectionState('readonly', ['loading', 'stale', 'fast'], REFUSED),
  connectionState('readwrite', ['loading', 'stale', 'fast'], REFUSED),
  connectionState('asking', ['fast'], REFUSED),
];
