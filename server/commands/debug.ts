/** DEBUG: what test suites need. Refused unless `enable-debug-command` allows it. */
import type { Call } from '../dispatch/call.ts';
import { isLocalClient } from '../clients/client-address.ts';
import { type CommandDefinition, command } from '../definitions/command.ts';
import { replyHelp, wrongSubcommandArguments } from '../definitions/subcommand-help.ts';
import { digest, digestValues, populate, showIndex, showObject } from './debug-keys.ts';
import { PROTOCOL_TYPES, replyProtocolType } from './debug-protocol.ts';

const NOT_ALLOWED =
  'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local connection, ' +
  'otherwise you need to set this option in the configuration file, and then restart the server.';

const RELOAD_WORDS = ['MERGE', 'NOFLUSH', 'NOSAVE'];

interface DebugSubcommand {
  readonly name: string;
  readonly syntax: string;
  readonly summary: string;
  /** Arguments, `DEBUG` and the subcommand included. */
  readonly argc: readonly [least: number, most: number];
  run(call: Call): void;
}

function ok({ reply }: Call): void {
  reply.ok();
}

/** Stops the whole process for so long, as Redis does: that is what tests use it for. */
function sleep(call: Call): void {
  const seconds = Number(call.latin1(2));
  if (seconds > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
  call.keyspace.clock.refresh();
  call.reply.ok();
}

function setActiveExpiry(call: Call): void {
  call.node.activeExpiry = Number(call.latin1(2)) !== 0;
  call.reply.ok();
}

function setScriptsMayCallAll(call: Call): void {
  call.node.scripting.mayCallAll = Number(call.latin1(2)) !== 0;
  call.reply.ok();
}

function reload(call: Call): void {
  for (let index = 2; index < call.argc; index++) {
    if (!RELOAD_WORDS.some((word) => call.is(index, word))) {
      call.fail('ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.');
    }
  }
  call.reply.ok();
}

/** The message as it is, but for line breaks: it may carry any code. */
function replyError(call: Call): void {
  call.reply.error(call.text(2));
}

function log(call: Call): void {
  call.node.log.warn({ client: call.session.transport.remoteAddress }, `DEBUG LOG: ${call.text(2)}`);
  call.reply.ok();
}

const MANY = 1_000_000;
const NO_EFFECT = 'Accepted without effect.';

const SUBCOMMANDS: readonly DebugSubcommand[] = [
  { name: 'sleep', syntax: 'seconds', summary: 'Stops the whole process for so long.', argc: [3, 3], run: sleep },
  {
    name: 'set-active-expire',
    syntax: '<0|1>',
    summary: 'Turns off, or on, that keys go at their deadline when nobody looks at them.',
    argc: [3, 3],
    run: setActiveExpiry,
  },
  { name: 'object', syntax: 'key', summary: 'Shows how a key is kept.', argc: [3, 4], run: showObject },
  { name: 'digest', syntax: '', summary: 'Shows a digest of all keys.', argc: [2, 2], run: digest },
  {
    name: 'digest-value',
    syntax: 'key [key ...]',
    summary: 'Shows a digest of the value of each key.',
    argc: [2, MANY],
    run: digestValues,
  },
  {
    name: 'populate',
    syntax: 'count [prefix [size]]',
    summary: 'Makes so many string keys where there are none.',
    argc: [3, 5],
    run: populate,
  },
  {
    name: 'htstats',
    syntax: 'db [FULL]',
    summary: "Shows figures of a database's index.",
    argc: [3, 4],
    run: showIndex,
  },
  {
    name: 'protocol',
    syntax: PROTOCOL_TYPES.join('|'),
    summary: 'Replies with a value of that type.',
    argc: [3, 3],
    run: replyProtocolType,
  },
  { name: 'error', syntax: 'message', summary: 'Replies with that error.', argc: [3, 3], run: replyError },
  { name: 'log', syntax: 'message', summary: 'Writes the message to the log.', argc: [3, 3], run: log },
  { name: 'reload', syntax: '[MERGE] [NOFLUSH] [NOSAVE]', summary: NO_EFFECT, argc: [2, 5], run: reload },
  { name: 'loadaof', syntax: '', summary: NO_EFFECT, argc: [2, 2], run: ok },
  { name: 'change-repl-id', syntax: '', summary: NO_EFFECT, argc: [2, 2], run: ok },
  { name: 'quicklist-packed-threshold', syntax: 'size', summary: NO_EFFECT, argc: [3, 3], run: ok },
  { name: 'dict-resizing', syntax: '<0|1>', summary: NO_EFFECT, argc: [3, 3], run: ok },
  { name: 'pause-cron', syntax: '<0|1>', summary: NO_EFFECT, argc: [3, 3], run: ok },
  { name: 'replybuffer', syntax: 'option value', summary: NO_EFFECT, argc: [4, 4], run: ok },
  {
    name: 'set-disable-deny-scripts',
    syntax: '<0|1>',
    summary: 'Lets scripts call what they may not otherwise, or no more.',
    argc: [3, 3],
    run: setScriptsMayCallAll,
  },
  {
    name: 'help',
    syntax: '',
    summary: 'Tells what the subcommands are and do.',
    argc: [2, 2],
    run: (call) => replyHelp(call, 'debug', SUBCOMMANDS),
  },
];

const BY_NAME: ReadonlyMap<string, DebugSubcommand> = new Map(SUBCOMMANDS.map((each) => [each.name, each]));

/** Whether `enable-debug-command` allows this client what only tests need. */
export function mayDebug(call: Call): boolean {
  const setting = call.node.config.values['enable-debug-command'];
  return setting === 'yes' || (setting === 'local' && isLocalClient(call.session));
}

function debug(call: Call): void {
  if (!mayDebug(call)) call.fail(NOT_ALLOWED);
  const subcommand = BY_NAME.get(call.latin1(1).toLowerCase());
  if (subcommand === undefined || call.argc < subcommand.argc[0] || call.argc > subcommand.argc[1]) {
    return wrongSubcommandArguments(call, 'debug');
  }
  subcommand.run(call);
}

export const debugCommands: readonly CommandDefinition[] = [
  command({
    name: 'debug',
    summary: 'Helps test suites; refused unless enable-debug-command allows it.',
    since: '1.0.0',
    group: 'server',
    complexity: 'Depends on the subcommand.',
    arity: -2,
    flags: ['admin', 'noscript', 'loading', 'stale'],
    syntax: 'subcommand [argument ...]',
    run: debug,
  }),
];
