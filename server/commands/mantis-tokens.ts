/** MANTIS TOKEN and MANTIS AWAIT: a client that moves to another node reads there what it wrote here. */
import { decodeToken, encodeToken, type Written } from '../../protocol/written.ts';
import { mergeWritten } from '../../replication/stream/applied.ts';
import type { Call } from '../dispatch/call.ts';
import { type CommandDefinition, command } from '../definitions/command.ts';
import type { Session } from '../clients/session.ts';
import { timeoutMsArgument } from '../arguments/timeout-argument.ts';

function token(call: Call): void {
  const { node } = call;
  const isAll = call.argc === 3 && call.is(2, 'ALL');
  if (!isAll && call.argc > 2) call.syntaxError();
  call.reply.bulkString(encodeToken(node.config.values['cluster-id'], isAll ? all(call) : covered(call)));
}

/** The own clock runs ahead of what was written: others would not come up to it before this node writes again. */
function all({ node, keyspace }: Call): Written[] {
  const [now, ...others] = node.applied.all();
  const last = node.replicator?.lastPublished ?? { hi: 0, lo: 0 };
  const isAtClock = keyspace.isFeedPending || (last.hi === 0 && last.lo === 0);
  return [isAtClock ? now : node.applied.own(last), ...others];
}

/** What this connection has written, and waited for. */
function covered({ node, session }: Call): Written[] {
  const { lastWriteHi: hi, lastWriteLo: lo } = session;
  const own = hi === 0 && lo === 0 ? [] : [node.applied.own({ hi, lo })];
  return mergeWritten(own, session.awaited);
}

function askedIn(call: Call): Written[] {
  const asked = decodeToken(call.node.config.values['cluster-id'], call.text(2));
  if (asked === 'malformed') return call.fail('ERR this is not a token; MANTIS TOKEN gives one');
  if (asked === 'foreign') return call.fail('ERR the token is from a node of another cluster-id');
  return asked;
}

function remember(session: Session, asked: readonly Written[]): void {
  session.awaited = mergeWritten(session.awaited, asked);
}

function awaitToken(call: Call): void {
  const { node, session, reply } = call;
  const asked = askedIn(call);
  const timeoutMs = timeoutMsArgument(call, 3);
  if (node.applied.covers(asked)) {
    remember(session, asked);
    reply.integer(1);
    return;
  }
  if (call.inTransaction) {
    reply.integer(0);
    return;
  }
  const { done, cancel } = node.applied.wait(asked);
  node.blocking.block(session, timeoutMs, {
    commandName: call.command.name,
    onTimeout: (late) => late.integer(0),
    onCancel: cancel,
  });
  const waiting = session.blocked;
  void done.then(() => {
    if (session.blocked !== waiting) return;
    remember(session, asked);
    node.blocking.wake(session, (late) => late.integer(1));
  });
}

export const tokenSubcommands: readonly CommandDefinition[] = [
  command({
    name: 'token',
    summary:
      'Gives a token of what this connection has written and waited for; with ALL, of everything that this node has.',
    since: '0.1.0',
    group: 'mantis',
    complexity: 'O(N) for N writers that are known',
    arity: -2,
    flags: ['noscript'],
    categories: ['connection'],
    syntax: '[ALL]',
    run: token,
  }),
  command({
    name: 'await',
    summary:
      'Waits until this node has everything that a token of any node covers: 1, or 0 when the time is over first.',
    since: '0.1.0',
    group: 'mantis',
    complexity: 'O(N) for N writers in the token',
    arity: 4,
    flags: ['blocking', 'noscript'],
    categories: ['connection'],
    syntax: 'token timeout',
    run: awaitToken,
  }),
];
