/** Whole databases: DBSIZE, SELECT, SWAPDB, FLUSHDB, FLUSHALL. */
import { flushDatabase } from '../../storage/tombstones/floor.ts';
import { swapDatabases } from '../../storage/changes/swap-databases.ts';
import type { Call } from '../dispatch/call.ts';
import { command } from '../definitions/command.ts';
import { CommandError } from '../definitions/command-error.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { databaseArgument, databaseNumber, databaseOf } from '../arguments/database-argument.ts';

const FLUSH_MERGE =
  'Deletes what this node has seen, on every node. What other nodes write meanwhile, before they have heard of it, survives.';

function dbsize(call: Call): void {
  call.reply.integer(call.database.keyCount);
}

function select(call: Call): void {
  const database = databaseArgument(call, 1);
  call.session.database = database.number;
  call.database = database;
  call.reply.ok();
}

function swapdb(call: Call): void {
  const firstNumber = databaseNumber(call, 1, 'ERR invalid first DB index');
  const secondNumber = databaseNumber(call, 2, 'ERR invalid second DB index');
  const first = databaseOf(call, firstNumber);
  const second = databaseOf(call, secondNumber);
  if (first.evicted.count + second.evicted.count > 0) {
    throw new CommandError('ERR SWAPDB writes both databases anew, and some of their keys are evicted');
  }
  if (first !== second) swapDatabases(call.keyspace, first, second);
  call.reply.ok();
}

/** ASYNC and SYNC are the same here: a flush hands back memory in pages, whatever the number of keys. */
function checkFlushMode(call: Call): void {
  if (call.argc > 2 || (call.argc === 2 && !call.is(1, 'ASYNC') && !call.is(1, 'SYNC'))) call.syntaxError();
}

function flushdb(call: Call): void {
  checkFlushMode(call);
  flushDatabase(call.keyspace, call.database);
  call.reply.ok();
}

function flushall(call: Call): void {
  checkFlushMode(call);
  for (const database of call.keyspace.databases) flushDatabase(call.keyspace, database);
  call.reply.ok();
}

export const databaseCommands: readonly CommandDefinition[] = [
  command({
    name: 'dbsize',
    summary: 'Tells how many keys the selected database has.',
    since: '1.0.0',
    group: 'server',
    complexity: 'O(1)',
    arity: 1,
    flags: ['readonly', 'fast'],
    categories: ['keyspace'],
    syntax: '',
    run: dbsize,
  }),
  command({
    name: 'select',
    summary: 'Selects the database that the connection works on from now on.',
    since: '1.0.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 2,
    flags: ['loading', 'stale', 'fast'],
    syntax: 'index',
    run: select,
  }),
  command({
    name: 'swapdb',
    summary: 'Exchanges the content of two databases.',
    since: '4.0.0',
    group: 'server',
    complexity: 'O(N) with N the number of keys in both databases, as the exchange is sent to the other nodes',
    arity: 3,
    flags: ['write', 'fast'],
    categories: ['keyspace', 'dangerous'],
    syntax: 'index1 index2',
    merge:
      'Both databases are flushed and written anew with what this node sees in the other one, as one batch. What other ' +
      'nodes write meanwhile stays in the database that they wrote it to. Counters arrive as plain numbers.',
    run: swapdb,
  }),
  command({
    name: 'flushdb',
    summary: 'Deletes all keys of the selected database.',
    since: '1.0.0',
    group: 'server',
    complexity: 'O(1) when the database is the only one with keys, else O(N) with N the number of its keys',
    arity: -1,
    flags: ['write'],
    categories: ['keyspace', 'dangerous'],
    syntax: '[ASYNC|SYNC]',
    merge: FLUSH_MERGE,
    run: flushdb,
  }),
  command({
    name: 'flushall',
    summary: 'Deletes all keys of all databases.',
    since: '1.0.0',
    group: 'server',
    complexity: 'O(N) with N the number of keys in all databases',
    arity: -1,
    flags: ['write'],
    categories: ['keyspace', 'dangerous'],
    syntax: '[ASYNC|SYNC]',
    merge: FLUSH_MERGE,
    run: flushall,
  }),
];
