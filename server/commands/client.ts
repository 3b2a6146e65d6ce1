/** CLIENT: connections looked at, named, paused, unblocked and killed. */
import { timeoutMsArgument } from '../arguments/timeout-argument.ts';
import { clientLine, clientTypeNamed, clientTypeOf } from '../clients/client-line.ts';
import { isVisibleAscii, nameFault } from '../clients/client-attributes.ts';
import type { Call } from '../dispatch/call.ts';
import { type CommandDefinition, type CommandFlag, command } from '../definitions/command.ts';
import type { Session } from '../clients/session.ts';
import { container, helpSubcommand, wrongSubcommandArguments } from '../definitions/subcommand-help.ts';
import { killSubcommand } from './client-kill.ts';
import { trackingSubcommands } from './client-tracking.ts';

const OWN: readonly CommandFlag[] = ['noscript', 'loading', 'stale'];
const ADMIN: readonly CommandFlag[] = ['admin', 'noscript', 'loading', 'stale'];

function setName(call: Call): void {
  const fault = nameFault(call, 2);
  if (fault !== null) call.fail(fault);
  call.session.name = call.latin1(2);
  call.reply.ok();
}

function getName({ reply, session }: Call): void {
  if (session.name === '') reply.nil();
  else reply.bulkString(session.name);
}

function setInfo(call: Call): void {
  const isName = call.is(2, 'LIB-NAME');
  if (!isName && !call.is(2, 'LIB-VER')) call.fail(`ERR Unrecognized option '${call.text(2)}'`);
  if (!isVisibleAscii(call, 3)) {
    call.fail(`ERR ${call.text(2)} cannot contain spaces, newlines or special characters.`);
  }
  if (isName) call.session.libraryName = call.latin1(3);
  else call.session.libraryVersion = call.latin1(3);
  call.reply.ok();
}

function list(call: Call): void {
  const { node } = call;
  let chosen: Iterable<Session> = node.sessions.values();
  if (call.argc === 4 && call.is(2, 'TYPE')) {
    const type = clientTypeNamed(call.latin1(3));
    if (type === undefined) call.fail(`ERR Unknown client type '${call.text(3)}'`);
    chosen = [...chosen].filter((session) => clientTypeOf(session) === type);
  } else if (call.argc > 3 && call.is(2, 'ID')) {
    const found: Session[] = [];
    for (let index = 3; index < call.argc; index++) {
      const session = node.sessions.get(call.integer(index, 'ERR Invalid client ID'));
      if (session !== undefined) found.push(session);
    }
    chosen = found;
  } else if (call.argc !== 2) {
    call.syntaxError();
  }
  call.reply.verbatim([...chosen].map((session) => `${clientLine(node, session)}\n`).join(''));
}

function setReply(call: Call): void {
  const { session } = call;
  if (call.is(2, 'ON')) session.replyMode = 'on';
  else if (call.is(2, 'OFF')) session.replyMode = 'off';
  else if (call.is(2, 'SKIP')) session.replyMode = session.replyMode === 'off' ? 'off' : 'skip-next';
  else call.syntaxError();
  if (session.replyMode === 'on') call.reply.ok();
}

function onOrOff(call: Call): boolean {
  if (call.is(2, 'ON')) return true;
  if (call.is(2, 'OFF')) return false;
  return call.syntaxError();
}

function pause(call: Call): void {
  if (call.argc > 4) wrongSubcommandArguments(call, 'client');
  const isWrite = call.argc === 4 && call.is(3, 'WRITE');
  if (call.argc === 4 && !isWrite && !call.is(3, 'ALL')) call.fail('ERR CLIENT PAUSE mode must be WRITE or ALL');
  const timeoutMs = timeoutMsArgument(call, 2);
  call.node.dispatcher.pauseClients(call.keyspace.clock.nowMs + timeoutMs, isWrite ? 'write' : 'all');
  call.reply.ok();
}

function unpause(call: Call): void {
  call.node.dispatcher.unpauseClients();
  call.reply.ok();
}

function unblock(call: Call): void {
  if (call.argc > 4) wrongSubcommandArguments(call, 'client');
  const { blocking, sessions } = call.node;
  const withError = call.argc === 4 && call.is(3, 'ERROR');
  if (call.argc === 4 && !withError && !call.is(3, 'TIMEOUT')) {
    call.fail('ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR');
  }
  const session = sessions.get(call.integer(2));
  if (session === undefined || session.blocked === null) {
    call.reply.integer(0);
    return;
  }
  if (withError) {
    const message = 'UNBLOCKED client unblocked via CLIENT UNBLOCK';
    call.node.statistics.countError(message);
    const waiting = call.node.commands.byName.get(session.blocked.commandName);
    if (waiting !== undefined) waiting.failed++;
    session.blocked.onCancel();
    blocking.wake(session, (reply) => reply.error(message));
  } else {
    blocking.timeOut(session);
  }
  call.reply.integer(1);
}

const subcommands: readonly CommandDefinition[] = [
  command({
    name: 'id',
    summary: 'Tells the number of this connection.',
    since: '5.0.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 2,
    flags: OWN,
    syntax: '',
    run: ({ reply, session }) => reply.integer(session.id),
  }),
  command({
    name: 'getname',
    summary: 'Tells the name of this connection.',
    since: '2.6.9',
    group: 'connection',
    complexity: 'O(1)',
    arity: 2,
    flags: OWN,
    syntax: '',
    run: getName,
  }),
  command({
    name: 'setname',
    summary: 'Names this connection.',
    since: '2.6.9',
    group: 'connection',
    complexity: 'O(1)',
    arity: 3,
    flags: OWN,
    syntax: 'connection-name',
    run: setName,
  }),
  command({
    name: 'setinfo',
    summary: 'Says which client library this connection is made with.',
    since: '7.2.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 4,
    flags: OWN,
    syntax: '<LIB-NAME libname|LIB-VER libver>',
    run: setInfo,
  }),
  command({
    name: 'list',
    summary: 'Lists connections, a line each.',
    since: '2.4.0',
    group: 'connection',
    complexity: 'O(N) for N connections',
    arity: -2,
    flags: ADMIN,
    syntax: '[TYPE <NORMAL|MASTER|REPLICA|PUBSUB>] [ID client-id [client-id ...]]',
    run: list,
  }),
  command({
    name: 'info',
    summary: 'Shows the line of this connection.',
    since: '6.2.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 2,
    flags: OWN,
    syntax: '',
    run: ({ node, reply, session }) => reply.verbatim(`${clientLine(node, session)}\n`),
  }),
  killSubcommand,
  command({
    name: 'no-evict',
    summary: 'Spares this connection when client buffers have to make room.',
    since: '7.0.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 3,
    flags: ADMIN,
    syntax: '<ON|OFF>',
    run: (call) => {
      call.session.noEvict = onOrOff(call);
      call.reply.ok();
    },
  }),
  command({
    name: 'no-touch',
    summary: "Lets this connection's reads leave the age and the frequency of keys alone.",
    since: '7.2.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 3,
    flags: OWN,
    syntax: '<ON|OFF>',
    run: (call) => {
      call.session.noTouch = onOrOff(call);
      call.reply.ok();
    },
  }),
  command({
    name: 'reply',
    summary: 'Turns replies to this connection on or off, or leaves out the next one.',
    since: '3.2.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 3,
    flags: OWN,
    syntax: '<ON|OFF|SKIP>',
    run: setReply,
  }),
  command({
    name: 'pause',
    summary: 'Puts off the commands of all clients, or those that write, for so many milliseconds.',
    since: '2.9.50',
    group: 'connection',
    complexity: 'O(1)',
    arity: -3,
    flags: ADMIN,
    syntax: 'timeout [WRITE|ALL]',
    run: pause,
  }),
  command({
    name: 'unpause',
    summary: 'Lets clients go on that CLIENT PAUSE holds.',
    since: '6.2.0',
    group: 'connection',
    complexity: 'O(N) for N held clients',
    arity: 2,
    flags: ADMIN,
    syntax: '',
    run: unpause,
  }),
  command({
    name: 'unblock',
    summary: 'Ends the wait of a client in a blocking command, as if its time were over or with an error.',
    since: '5.0.0',
    group: 'connection',
    complexity: 'O(log N) for N connections',
    arity: -3,
    flags: ADMIN,
    syntax: 'client-id [TIMEOUT|ERROR]',
    run: unblock,
  }),
  ...trackingSubcommands,
  helpSubcommand('connection', '5.0.0'),
];

export const clientCommands: readonly CommandDefinition[] = [
  container({
    name: 'client',
    summary: 'Commands about connections.',
    since: '2.4.0',
    group: 'connection',
    subcommands,
  }),
];
