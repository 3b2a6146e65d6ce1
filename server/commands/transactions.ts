/** MULTI, EXEC, DISCARD, WATCH, UNWATCH. */
import type { Call } from '../dispatch/call.ts';
import { command, CommandError, keyRange } from '../definitions/command.ts';
import type { CommandDefinition } from '../definitions/command.ts';
import { showLater } from '../monitoring/monitors.ts';
import type { Session } from '../clients/session.ts';
import { QueuedCommands } from '../transactions/transaction.ts';
import { WATCHED_KEYS_MAX, watchName } from '../transactions/watch-table.ts';

function multi(call: Call): void {
  if (call.session.queued !== null) {
    call.session.queued.aborted = true;
    throw new CommandError('ERR MULTI calls can not be nested');
  }
  call.session.queued = new QueuedCommands();
  call.reply.ok();
}

function discard(call: Call): void {
  const { session } = call;
  if (session.queued === null) throw new CommandError('ERR DISCARD without MULTI');
  session.queued = null;
  call.node.watches.forget(session);
  call.reply.ok();
}

/** Takes away watched keys whose deadline has passed, which breaks the watch: nothing else may have looked at them yet. */
function expireWatched(call: Call, session: Session): void {
  if (session.watched === null || session.watchBroken) return;
  for (const name of session.watched) {
    const colon = name.indexOf(':');
    const key = Buffer.from(name.slice(colon + 1), 'latin1');
    const database = call.keyspace.databases[Number(name.slice(0, colon))];
    call.keyspace.lookup(database, key, 0, key.length);
  }
}

function exec(call: Call): void {
  const { session, node } = call;
  const { queued } = session;
  if (queued === null) throw new CommandError('ERR EXEC without MULTI');
  const show = showLater(node, session, call);
  try {
    runQueued(call, queued);
  } finally {
    show();
  }
}

function runQueued(call: Call, queued: QueuedCommands): void {
  const { session, reply, node } = call;
  expireWatched(call, session);
  const broken = session.watchBroken;
  session.queued = null;
  node.watches.forget(session);
  if (queued.aborted) throw new CommandError('EXECABORT Transaction discarded because of previous errors.');
  if (broken) reply.nilArray();
  else node.dispatcher.executeQueued(session, queued, reply);
}

function watch(call: Call): void {
  const { session, node, database, buffer, starts, lengths, argc } = call;
  if (session.queued !== null) throw new CommandError('ERR WATCH inside MULTI is not allowed');
  if ((session.watched?.size ?? 0) + argc - 1 > WATCHED_KEYS_MAX) {
    throw new CommandError(`ERR a connection watches at most ${WATCHED_KEYS_MAX} keys; UNWATCH some first`);
  }
  for (let index = 1; index < argc && !session.watchBroken; index++) {
    // A key that is past its deadline is gone before the watch begins.
    call.lookup(index);
    node.watches.watch(session, watchName(database.number, buffer, starts[index], lengths[index]));
  }
  call.reply.ok();
}

function unwatch(call: Call): void {
  call.node.watches.forget(call.session);
  call.reply.ok();
}

export const transactionCommands: readonly CommandDefinition[] = [
  command({
    name: 'multi',
    summary: 'Begins a transaction: the commands that follow are queued.',
    since: '1.2.0',
    group: 'transactions',
    complexity: 'O(1)',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    syntax: '',
    run: multi,
  }),
  command({
    name: 'exec',
    summary: 'Runs the commands of the transaction, with no other client in between.',
    since: '1.2.0',
    group: 'transactions',
    complexity: 'That of the commands queued',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'skip_slowlog'],
    syntax: '',
    merge:
      'Atomic on the node that was asked. What it writes reaches other nodes as one batch, and each key is merged there by ' +
      'the rule of the command that wrote it.',
    run: exec,
  }),
  command({
    name: 'discard',
    summary: 'Drops the transaction and what is watched.',
    since: '2.0.0',
    group: 'transactions',
    complexity: 'O(N) with N the number of commands queued',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    syntax: '',
    run: discard,
  }),
  command({
    name: 'watch',
    summary: 'Makes the next EXEC do nothing when one of these keys has changed by then.',
    since: '2.2.0',
    group: 'transactions',
    complexity: 'O(N) with N the number of keys named',
    arity: -2,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    keys: [keyRange(1, -1, 1, 'RO')],
    syntax: 'key [key ...]',
    merge:
      'Sees changes that other nodes made once they have arrived here. Two nodes can each run a transaction on the same key ' +
      'at once; where that matters, let one node decide for the key.',
    run: watch,
  }),
  command({
    name: 'unwatch',
    summary: 'Watches nothing any more.',
    since: '2.2.0',
    group: 'transactions',
    complexity: 'O(N) with N the number of keys watched',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    syntax: '',
    run: unwatch,
  }),
];
