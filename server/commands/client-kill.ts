/** CLIENT KILL, in its old form (an address) and its new one (filters). */
import type { Call } from '../dispatch/call.ts';
import { clientTypeNamed, clientTypeOf } from '../clients/client-line.ts';
import { command } from '../definitions/command.ts';
import type { Session } from '../clients/session.ts';

type Filter = (session: Session) => boolean;

/** The filter that the option at `index` and its value stand for. */
function readFilter(call: Call, index: number): Filter {
  const value = index + 1;
  if (value >= call.argc) call.syntaxError();
  if (call.is(index, 'ID')) {
    const message = 'ERR client-id should be greater than 0';
    const id = call.integerIn(value, 1, Number.MAX_VALUE, message);
    return (session) => session.id === id;
  }
  if (call.is(index, 'TYPE')) {
    const type = clientTypeNamed(call.latin1(value));
    if (type === undefined) call.fail(`ERR Unknown client type '${call.text(value)}'`);
    return (session) => clientTypeOf(session) === type;
  }
  if (call.is(index, 'ADDR')) {
    const address = call.latin1(value);
    return (session) => session.transport.remoteAddress === address;
  }
  if (call.is(index, 'LADDR')) {
    const address = call.latin1(value);
    return (session) => session.transport.localAddress === address;
  }
  if (call.is(index, 'USER')) {
    const user = call.node.users.named(call.latin1(value));
    if (user === undefined) call.fail(`ERR No such user '${call.text(value)}'`);
    return (session) => session.authenticated && session.user === user;
  }
  if (call.is(index, 'MAXAGE')) return readAgeFilter(call, value);
  return call.syntaxError();
}

function readAgeFilter(call: Call, value: number): Filter {
  const seconds = call.integer(value, 'ERR maxage is not an integer or out of range');
  if (seconds <= 0) call.fail('ERR maxage should be greater than 0');
  const youngestMs = call.keyspace.clock.nowMs - seconds * 1000;
  return (session) => session.connectedAtMs <= youngestMs;
}

function killAll(call: Call, filters: readonly Filter[], skipMe: boolean): number {
  let killed = 0;
  for (const session of [...call.node.sessions.values()]) {
    if (!filters.every((filter) => filter(session))) continue;
    if (session === call.session) {
      if (skipMe) continue;
      // Its own reply still has to go out.
      session.closing = true;
    } else {
      session.transport.destroy();
    }
    killed++;
  }
  return killed;
}

function kill(call: Call): void {
  if (call.argc === 3) {
    const address = call.latin1(2);
    const killed = killAll(call, [(session) => session.transport.remoteAddress === address], false);
    if (killed === 0) call.fail('ERR No such client');
    call.reply.ok();
    return;
  }
  const filters: Filter[] = [];
  let skipMe = true;
  for (let index = 2; index < call.argc; index += 2) {
    if (!call.is(index, 'SKIPME')) {
      filters.push(readFilter(call, index));
    } else if (index + 1 < call.argc && (call.is(index + 1, 'YES') || call.is(index + 1, 'NO'))) {
      skipMe = call.is(index + 1, 'YES');
    } else {
      call.syntaxError();
    }
  }
  call.reply.integer(killAll(call, filters, skipMe));
}

export const killSubcommand = command({
  name: 'kill',
  summary: 'Closes connections: that of an address, or all that match every filter.',
  since: '2.4.0',
  group: 'connection',
  complexity: 'O(N) for N connections',
  arity: -3,
  flags: ['admin', 'noscript', 'loading', 'stale'],
  syntax:
    '<ip:port|[ID client-id] [TYPE <NORMAL|MASTER|REPLICA|PUBSUB>] [USER username] [ADDR ip:port] [LADDR ip:port] ' +
    '[SKIPME <YES|NO>] [MAXAGE maxage]>',
  run: kill,
});
