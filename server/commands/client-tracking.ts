/** Client-side caching. The server does not invalidate clients' caches; a client that asks is told so and works without. */
import type { Call } from '../call.ts';
import { type CommandDefinition, type CommandFlag, command } from '../command.ts';

const FLAGS: readonly CommandFlag[] = ['noscript', 'loading', 'stale'];

function checkRedirect(call: Call, index: number): void {
  const id = call.integer(index);
  if (!call.node.sessions.has(id)) call.fail('ERR The client ID you want redirect to does not exist');
}

function checkTrackingOptions(call: Call): void {
  for (let index = 3; index < call.argc; index++) {
    const hasValue = index + 1 < call.argc;
    if (hasValue && call.is(index, 'REDIRECT')) checkRedirect(call, ++index);
    else if (hasValue && call.is(index, 'PREFIX')) index++;
    else if (!['BCAST', 'OPTIN', 'OPTOUT', 'NOLOOP'].some((word) => call.is(index, word))) call.syntaxError();
  }
}

function tracking(call: Call): void {
  checkTrackingOptions(call);
  if (call.is(2, 'ON')) call.fail('ERR Client tracking is not supported: this server sends no invalidation messages');
  if (!call.is(2, 'OFF')) call.syntaxError();
  call.reply.ok();
}

function trackingInfo({ reply }: Call): void {
  reply.map(3);
  reply.bulkString('flags');
  reply.set(1);
  reply.bulkString('off');
  reply.bulkString('redirect');
  reply.integer(-1);
  reply.bulkString('prefixes');
  reply.array(0);
}

export const trackingSubcommands: readonly CommandDefinition[] = [
  command({
    name: 'tracking',
    summary: 'Turns tracking for client-side caching off; turning it on is refused.',
    since: '6.0.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: -3,
    flags: FLAGS,
    syntax: '<ON|OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]',
    run: tracking,
  }),
  command({
    name: 'caching',
    summary: 'Says whether the keys of the next command are tracked, where tracking is on.',
    since: '6.0.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 3,
    flags: FLAGS,
    syntax: '<YES|NO>',
    run: (call) =>
      call.fail(
        'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
      ),
  }),
  command({
    name: 'getredir',
    summary: 'Tells which connection invalidation messages go to; -1 for none.',
    since: '6.0.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 2,
    flags: FLAGS,
    syntax: '',
    run: ({ reply }) => reply.integer(-1),
  }),
  command({
    name: 'trackinginfo',
    summary: 'Tells how tracking is set up for this connection.',
    since: '6.2.0',
    group: 'connection',
    complexity: 'O(1)',
    arity: 2,
    flags: FLAGS,
    syntax: '',
    run: trackingInfo,
  }),
];
