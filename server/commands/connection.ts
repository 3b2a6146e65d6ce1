/** What a client says about its own connection: who it is, which protocol it speaks, that it is still there. */
import { DEFAULT_USER } from '../acl/users.ts';
import { authenticate, NO_PASSWORD_SET, refuseAuthentication, resetAuthentication } from '../acl/authentication.ts';
import type { Call } from '../dispatch/call.ts';
import { type CommandDefinition, type CommandFlag, command } from '../definitions/command.ts';
import { nameFault } from '../clients/client-attributes.ts';
import { stopMonitoring } from '../monitoring/monitors.ts';
import { REDIS_VERSION } from '../config/redis-version.ts';

/** Flags of what must work before AUTH, while loading and while a script is over its limit. */
const ALWAYS: readonly CommandFlag[] = ['noscript', 'loading', 'stale', 'fast', 'no_auth', 'allow_busy'];

const HELLO_NEEDS_AUTH =
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used ' +
  'to authenticate the client and select the RESP protocol version at the same time';

function ping(call: Call): void {
  if (call.argc > 2) call.fail("ERR wrong number of arguments for 'ping' command");
  if (call.session.subscriptions !== null && call.session.protocol === 2) replyListening(call);
  else if (call.argc === 1) call.reply.pong();
  else call.reply.bulk(call.buffer, call.starts[1], call.lengths[1]);
}

/** To a RESP2 client that listens the answer looks like a message. */
function replyListening({ reply, argc, buffer, starts, lengths }: Call): void {
  reply.array(2);
  reply.bulkString('pong');
  if (argc === 1) reply.bulkString('');
  else reply.bulk(buffer, starts[1], lengths[1]);
}

function quit(call: Call): void {
  call.reply.ok();
  call.session.closing = true;
}

/** Everything that the client has said about itself is forgotten, as if it had just connected. */
function reset(call: Call): void {
  const { node, session } = call;
  node.watches.forget(session);
  stopMonitoring(node, session);
  node.pubsub.forget(session);
  node.tracking.disable(session);
  session.queued = null;
  session.protocol = 2;
  session.database = 0;
  session.name = '';
  session.replyMode = 'on';
  session.noEvict = false;
  session.noTouch = false;
  resetAuthentication(node, session);
  call.reply.protocol = 2;
  call.reply.simple('RESET');
}

function auth(call: Call): void {
  if (call.argc > 3) call.syntaxError();
  if (call.argc === 2 && call.node.users.default.needsNoPassword) call.fail(NO_PASSWORD_SET);
  const user = call.argc === 3 ? call.latin1(1) : DEFAULT_USER;
  if (authenticate(call, user, call.bytes(call.argc - 1))) call.reply.ok();
  else refuseAuthentication(call);
}

function helloVersion(call: Call): 2 | 3 | 0 {
  if (call.argc < 2) return 0;
  const version = call.integer(1, 'ERR Protocol version is not an integer or out of range');
  if (version !== 2 && version !== 3) call.fail('NOPROTO unsupported protocol version');
  return version;
}

interface HelloOptions {
  /** Indexes of the arguments; 0 where the option was not given. The last of several counts. */
  user: number;
  name: number;
}

function helloOptions(call: Call): HelloOptions {
  const options: HelloOptions = { user: 0, name: 0 };
  for (let index = 2; index < call.argc; index++) {
    const left = call.argc - 1 - index;
    if (left >= 2 && call.is(index, 'AUTH')) {
      options.user = index + 1;
      index += 2;
    } else if (left >= 1 && call.is(index, 'SETNAME')) {
      options.name = ++index;
      const fault = nameFault(call, index);
      if (fault !== null) call.fail(fault);
    } else {
      call.fail(`ERR Syntax error in HELLO option '${call.text(index)}'`);
    }
  }
  return options;
}

function hello(call: Call): void {
  const { session, reply } = call;
  const version = helloVersion(call);
  const { user, name } = helloOptions(call);
  if (user > 0 && !authenticate(call, call.latin1(user), call.bytes(user + 1))) {
    refuseAuthentication(call);
    return;
  }
  if (!session.authenticated) call.fail(HELLO_NEEDS_AUTH);
  if (name > 0) session.name = call.latin1(name);
  if (version !== 0) {
    session.protocol = version;
    reply.protocol = version;
  }
  replyHello(call);
}

function replyHello({ reply, session }: Call): void {
  reply.map(7);
  reply.bulkString('server');
  reply.bulkString('redis');
  reply.bulkString('version');
  reply.bulkString(REDIS_VERSION);
  reply.bulkString('proto');
  reply.integer(session.protocol);
  reply.bulkString('id');
  reply.integer(session.id);
  reply.bulkString('mode');
  reply.bulkString('standalone');
  reply.bulkString('role');
  reply.bulkString('master');
  reply.bulkString('modules');
  reply.array(0);
}

export const connectionCommands: readonly CommandDefinition[] = [
  command({
    name: 'ping',
    summary: 'Answers PONG, or the message it was given.',
    since: '1.0.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: -1,
    flags: ['fast'],
    syntax: '[message]',
    run: ping,
  }),
  command({
    name: 'echo',
    summary: 'Answers the message it was given.',
    since: '1.0.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 2,
    flags: ['loading', 'stale', 'fast'],
    syntax: 'message',
    run: (call) => call.reply.bulk(call.buffer, call.starts[1], call.lengths[1]),
  }),
  command({
    name: 'quit',
    summary: 'Closes the connection once what was asked before is answered.',
    since: '1.0.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: -1,
    flags: ALWAYS,
    syntax: '',
    run: quit,
  }),
  command({
    name: 'reset',
    summary:
      'Makes the connection as it was when it was opened: database, protocol, name, transaction, authentication.',
    since: '6.2.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 1,
    flags: ALWAYS,
    syntax: '',
    run: reset,
  }),
  command({
    name: 'auth',
    summary: 'Proves who the client is.',
    since: '1.0.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: -2,
    flags: ALWAYS,
    syntax: '[username] password',
    run: auth,
  }),
  command({
    name: 'hello',
    summary: 'Chooses the protocol, may authenticate and name the connection, and tells what the server is.',
    since: '6.0.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: -1,
    flags: ALWAYS,
    syntax: '[protover [AUTH username password] [SETNAME clientname]]',
    run: hello,
  }),
];
