/** EVAL and its kin, and SCRIPT. */
import type { Call } from '../dispatch/call.ts';
import {
  type CommandDefinition,
  type CommandFlag,
  command,
  CommandError,
  type KeyFlag,
  NOT_AN_INTEGER,
} from '../definitions/command.ts';
import { refusalOfWrites } from '../dispatch/refusals.ts';
import { killSubcommand } from '../scripts/kill-subcommand.ts';
import { type Script, scriptOf, sha1 } from '../scripts/script-cache.ts';
import { OUT_OF_MEMORY } from '../scripts/script-commands.ts';
import type { RunRules } from '../scripts/script-order.ts';
import { type ScriptFlags, scriptFlags } from '../scripts/shebang.ts';
import { container, helpSubcommand } from '../definitions/subcommand-help.ts';

const NO_SCRIPT = 'NOSCRIPT No matching script. Please use EVAL.';
const SHA_DIGITS = 40;

/** How many of the arguments from `first` on are keys. @throws CommandError */
export function keyCountAt(call: Call, index: number, message = NOT_AN_INTEGER): number {
  const count = call.integer(index, message);
  if (count > call.argc - index - 1) throw new CommandError("ERR Number of keys can't be greater than number of args");
  if (count < 0) throw new CommandError("ERR Number of keys can't be negative");
  return count;
}

/** What a script or a function that says what it does may do, called by a command that may write or may not. @throws CommandError */
export function rulesFor(call: Call, flags: ScriptFlags | null, readOnly: boolean): RunRules {
  if (flags === null) return { readOnly, flags };
  if (!flags.noWrites) {
    if (readOnly) throw new CommandError('ERR Can not execute a script with write flag using *_ro command.');
    const refusal = refusalOfWrites(call.node);
    if (refusal !== null) throw new CommandError(refusal);
  }
  if (!flags.allowOom && call.node.dispatcher.memory?.hasRoom(true) === false) throw new CommandError(OUT_OF_MEMORY);
  return { readOnly: readOnly || flags.noWrites, flags };
}

/** Compiles it, unless it is compiled. @throws CommandError */
function orderFor(call: Call, script: Script): string {
  const { compiled } = call.node.scripting;
  const known = compiled.orderOf(script);
  if (known !== null) return known;
  const failure = compiled.compile(script);
  if (failure !== null) throw new CommandError(`ERR Error compiling script (new function): ${failure}`);
  return compiled.orderOf(script)!;
}

function runScript(call: Call, script: Script, keyCount: number, readOnly: boolean): void {
  const rules = rulesFor(call, script.flags, readOnly);
  const order = { text: orderFor(call, script), name: script.sha, rules };
  call.node.scripting.run(order, call, 3, keyCount);
}

/** A part of the request, which is not kept. */
function sourceAt({ buffer, starts, lengths }: Call, index: number): Buffer {
  return buffer.subarray(starts[index], starts[index] + lengths[index]);
}

/** The script that the argument is, from now on known by its SHA-1. @throws CommandError when it does not compile */
function load(call: Call, index: number): Script {
  const { cache } = call.node.scripting;
  const source = sourceAt(call, index);
  const sha = sha1(source);
  const known = cache.get(sha);
  if (known !== undefined) return known;
  const script = scriptOf(source, sha);
  orderFor(call, script);
  cache.add(script);
  return script;
}

function evaluate(readOnly: boolean): (call: Call) => void {
  return (call) => {
    const keyCount = keyCountAt(call, 2);
    runScript(call, load(call, 1), keyCount, readOnly);
  };
}

function evaluateKnown(readOnly: boolean): (call: Call) => void {
  return (call) => {
    if (call.lengths[1] !== SHA_DIGITS) throw new CommandError(NO_SCRIPT);
    const keyCount = keyCountAt(call, 2);
    const script = call.node.scripting.cache.get(call.latin1(1).toLowerCase());
    if (script === undefined) throw new CommandError(NO_SCRIPT);
    runScript(call, script, keyCount, readOnly);
  };
}

/** Whether the script that EVAL is given says so in its first line. */
function saysNoWrites(call: Call): boolean {
  try {
    return scriptFlags(sourceAt(call, 1))?.flags.noWrites === true;
  } catch (error) {
    // EVAL will answer with it.
    if (error instanceof CommandError) return false;
    throw error;
  }
}

function isKnownNotToWrite(call: Call): boolean {
  return call.node.scripting.cache.get(call.latin1(1).toLowerCase())?.flags?.noWrites === true;
}

function exists(call: Call): void {
  const { cache } = call.node.scripting;
  call.reply.array(call.argc - 2);
  for (let index = 2; index < call.argc; index++) {
    call.reply.integer(cache.has(call.latin1(index).toLowerCase()) ? 1 : 0);
  }
}

function show(call: Call): void {
  const script = call.node.scripting.cache.get(call.latin1(2).toLowerCase());
  if (script === undefined) throw new CommandError(NO_SCRIPT);
  const source = Buffer.concat([script.shebang, script.code]);
  call.reply.bulk(source, 0, source.length);
}

function flush(call: Call): void {
  if (call.argc > 3 || (call.argc === 3 && !call.is(2, 'ASYNC') && !call.is(2, 'SYNC'))) {
    throw new CommandError('ERR SCRIPT FLUSH only support SYNC|ASYNC option');
  }
  const { scripting } = call.node;
  scripting.cache.clear();
  scripting.compiled.clear();
  call.reply.ok();
}

function debug(call: Call): void {
  if (call.is(2, 'YES') || call.is(2, 'SYNC')) throw new CommandError('ERR this server has no debugger for scripts');
  if (!call.is(2, 'NO')) throw new CommandError('ERR Use SCRIPT DEBUG YES/SYNC/NO');
  call.reply.ok();
}

/** The flags of a command that runs a script or a function. */
export function runFlags(readOnly: boolean): readonly CommandFlag[] {
  return [readOnly ? 'readonly' : 'may_replicate', 'noscript', 'stale', 'skip_monitor', 'no_mandatory_keys'];
}

const MERGE =
  'Decided by the node that was asked, from what it knows. What the script writes reaches other nodes as one batch, and each ' +
  'key is merged there by the rule of the command that wrote it; a lock or a limit holds only where one node decides for the key.';

function evaluation(
  definition: Pick<CommandDefinition, 'name' | 'summary' | 'since' | 'syntax' | 'run' | 'writesNothing'>,
  readOnly: boolean,
): CommandDefinition {
  const flags: readonly KeyFlag[] = readOnly ? ['RO', 'access'] : ['RW', 'access', 'update'];
  return command({
    ...definition,
    group: 'scripting',
    complexity: 'Depends on the script that is executed.',
    arity: -3,
    flags: runFlags(readOnly),
    keys: [{ kind: 'numkeys', count: 2, first: 3, flags }],
    ...(readOnly ? {} : { merge: MERGE }),
  });
}

const subcommands: readonly CommandDefinition[] = [
  command({
    name: 'load',
    summary: 'Makes a script known without running it, and tells its SHA-1.',
    since: '2.6.0',
    group: 'scripting',
    complexity: 'O(N) with N the bytes of the script',
    arity: 3,
    flags: ['noscript', 'stale'],
    syntax: 'script',
    run: (call) => call.reply.bulkString(load(call, 2).sha),
  }),
  command({
    name: 'exists',
    summary: 'Tells of each SHA-1 whether EVALSHA would find it on this node.',
    since: '2.6.0',
    group: 'scripting',
    complexity: 'O(N) with N the number of scripts asked for',
    arity: -3,
    flags: ['noscript'],
    syntax: 'sha1 [sha1 ...]',
    run: exists,
  }),
  command({
    name: 'show',
    summary: 'Shows the text of the script that EVALSHA would run.',
    since: '8.0.0',
    group: 'scripting',
    complexity: 'O(N) with N the bytes of the script',
    arity: 3,
    flags: ['noscript'],
    syntax: 'sha1',
    run: show,
  }),
  command({
    name: 'flush',
    summary: 'Forgets all scripts.',
    since: '2.6.0',
    group: 'scripting',
    complexity: 'O(N) with N the number of scripts known',
    arity: -2,
    flags: ['noscript'],
    syntax: '[ASYNC|SYNC]',
    run: flush,
  }),
  killSubcommand('script', '2.6.0'),
  command({
    name: 'debug',
    summary: 'Turns off the debugger for scripts, which this server does not have.',
    since: '3.2.0',
    group: 'scripting',
    complexity: 'O(1)',
    arity: 3,
    flags: ['noscript'],
    syntax: '<YES|SYNC|NO>',
    run: debug,
  }),
  helpSubcommand('scripting', '5.0.0'),
];

export const scriptCommands: readonly CommandDefinition[] = [
  evaluation(
    {
      name: 'eval',
      summary: 'Runs a script in Lua.',
      since: '2.6.0',
      syntax: 'script numkeys [key [key ...]] [arg [arg ...]]',
      run: evaluate(false),
      writesNothing: saysNoWrites,
    },
    false,
  ),
  evaluation(
    {
      name: 'eval_ro',
      summary: 'Runs a script in Lua that may not write.',
      since: '7.0.0',
      syntax: 'script numkeys [key [key ...]] [arg [arg ...]]',
      run: evaluate(true),
    },
    true,
  ),
  evaluation(
    {
      name: 'evalsha',
      summary: 'Runs a script that this node knows, by the SHA-1 of its text.',
      since: '2.6.0',
      syntax: 'sha1 numkeys [key [key ...]] [arg [arg ...]]',
      run: evaluateKnown(false),
      writesNothing: isKnownNotToWrite,
    },
    false,
  ),
  evaluation(
    {
      name: 'evalsha_ro',
      summary: 'Runs a script that this node knows, by the SHA-1 of its text, and that may not write.',
      since: '7.0.0',
      syntax: 'sha1 numkeys [key [key ...]] [arg [arg ...]]',
      run: evaluateKnown(true),
    },
    true,
  ),
  container({
    name: 'script',
    summary: 'Container for commands on scripts.',
    since: '2.6.0',
    group: 'scripting',
    subcommands,
  }),
];
