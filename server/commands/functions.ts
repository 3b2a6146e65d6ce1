/** FUNCTION, and FCALL, which calls what it has loaded. */
import { GlobPattern } from '../../protocol/glob.ts';
import { PayloadError, PayloadReader, PayloadWriter } from '../../protocol/rdb-payload.ts';
import type { Call } from '../dispatch/call.ts';
import {
  type CommandDefinition,
  type CommandFlag,
  command,
  CommandError,
  type KeyFlag,
} from '../definitions/command.ts';
import type { Library } from '../scripts/function-libraries.ts';
import type { BusyScript } from '../scripts/busy-script.ts';
import { killSubcommand } from '../scripts/kill-subcommand.ts';
import { container, helpSubcommand, wrongSubcommandArguments } from '../definitions/subcommand-help.ts';
import { keyCountAt, rulesFor, runFlags } from './scripts.ts';

/** RDB_OPCODE_FUNCTION2: the code of a library follows. */
const RDB_FUNCTION = 245;
const FOOTER_BYTES = 10;

function load(call: Call): void {
  let at = 2;
  for (; at < call.argc - 1; at++) {
    if (!call.is(at, 'REPLACE')) throw new CommandError(`ERR Unknown option given: ${call.text(at)}`);
  }
  if (at >= call.argc) throw new CommandError('ERR Function code is missing');
  call.reply.bulkString(call.node.scripting.libraries.load(call.bytes(at), at > 2));
}

function remove(call: Call): void {
  if (!call.node.scripting.libraries.delete(call.text(2))) throw new CommandError('ERR Library not found');
  call.reply.ok();
}

function flush(call: Call): void {
  if (call.argc > 3) wrongSubcommandArguments(call, 'function');
  if (call.argc === 3 && !call.is(2, 'ASYNC') && !call.is(2, 'SYNC')) {
    throw new CommandError('ERR FUNCTION FLUSH only supports SYNC|ASYNC option');
  }
  call.node.scripting.libraries.clear();
  call.reply.ok();
}

function replyLibrary({ reply }: Call, library: Library, withCode: boolean): void {
  reply.map(withCode ? 4 : 3);
  reply.bulkString('library_name');
  reply.bulkString(library.name);
  reply.bulkString('engine');
  reply.bulkString('LUA');
  reply.bulkString('functions');
  reply.array(library.functions.length);
  for (const { name, description, flagNames } of library.functions) {
    reply.map(3);
    reply.bulkString('name');
    reply.bulkString(name);
    reply.bulkString('description');
    if (description === null) reply.nil();
    else reply.bulkString(description);
    reply.bulkString('flags');
    reply.set(flagNames.length);
    for (const flag of flagNames) reply.simple(flag);
  }
  if (!withCode) return;
  reply.bulkString('library_code');
  reply.bulk(library.code, 0, library.code.length);
}

function list(call: Call): void {
  let withCode = false;
  let pattern: GlobPattern | null = null;
  for (let at = 2; at < call.argc; at++) {
    if (!withCode && call.is(at, 'WITHCODE')) {
      withCode = true;
    } else if (pattern === null && call.is(at, 'LIBRARYNAME')) {
      if (++at >= call.argc) throw new CommandError('ERR library name argument was not given');
      pattern = new GlobPattern(call.bytes(at), 0, call.lengths[at]);
    } else {
      throw new CommandError(`ERR Unknown argument ${call.text(at)}`);
    }
  }
  const found = call.node.scripting.libraries.libraries.filter(({ name }) => {
    const bytes = Buffer.from(name);
    return pattern === null || pattern.matches(bytes, 0, bytes.length);
  });
  call.reply.array(found.length);
  for (const library of found) replyLibrary(call, library, withCode);
}

function replyRunning({ reply, node }: Call, { order, words, startedAtMs }: BusyScript): void {
  reply.map(3);
  reply.bulkString('name');
  reply.bulkString(order.name);
  reply.bulkString('command');
  reply.array(words.length);
  for (const word of words) reply.bulk(word, 0, word.length);
  reply.bulkString('duration_ms');
  reply.integer(Math.round(node.monotonicMs() - startedAtMs));
}

function stats(call: Call): void {
  const { reply, node } = call;
  const { libraries, busy } = node.scripting;
  if (busy?.isFunction === false) call.fail(busy.refusal);
  reply.map(2);
  reply.bulkString('running_script');
  if (busy === null) reply.nil();
  else replyRunning(call, busy);
  reply.bulkString('engines');
  reply.map(1);
  reply.bulkString('LUA');
  reply.map(2);
  reply.bulkString('libraries_count');
  reply.integer(libraries.libraries.length);
  reply.bulkString('functions_count');
  reply.integer(libraries.functionCount);
}

function dump({ reply, node }: Call): void {
  const payload = new PayloadWriter(null);
  for (const { code } of node.scripting.libraries.libraries) {
    payload.raw(Buffer.of(RDB_FUNCTION));
    payload.string(code, 0, code.length);
  }
  const bytes = payload.finish();
  reply.bulk(bytes, 0, bytes.length);
}

/** The libraries in a payload. @throws CommandError */
function codesOf(call: Call): Buffer[] {
  const { buffer } = call;
  const start = call.starts[2];
  const length = call.lengths[2];
  if (!PayloadReader.isSound(buffer, start, length)) {
    throw new CommandError('ERR DUMP payload version or checksum are wrong');
  }
  const codes: Buffer[] = [];
  if (length === FOOTER_BYTES) return codes;
  try {
    const reader = new PayloadReader(buffer, start, length);
    for (let type = reader.type; ; type = reader.raw(1)[0]) {
      if (type !== RDB_FUNCTION) throw new CommandError('ERR given type is not a function');
      codes.push(Buffer.from(reader.string()));
      if (reader.isAtEnd) return codes;
    }
  } catch (error) {
    if (error instanceof PayloadError) throw new CommandError('ERR failed loading the given functions payload');
    throw error;
  }
}

function policyOf(call: Call): 'append' | 'replace' | 'flush' {
  if (call.argc === 3 || call.is(3, 'APPEND')) return 'append';
  if (call.is(3, 'REPLACE')) return 'replace';
  if (call.is(3, 'FLUSH')) return 'flush';
  throw new CommandError('ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.');
}

function restore(call: Call): void {
  if (call.argc > 4) wrongSubcommandArguments(call, 'function');
  const policy = policyOf(call);
  call.node.scripting.libraries.restore(codesOf(call), policy);
  call.reply.ok();
}

function callFunction(readOnly: boolean): (call: Call) => void {
  return (call) => {
    const { libraries } = call.node.scripting;
    const found = libraries.find(call.text(1));
    if (found === undefined) throw new CommandError('ERR Function not found');
    const keyCount = keyCountAt(call, 2, 'ERR Bad number of keys provided');
    const rules = rulesFor(call, found.flags, readOnly);
    call.node.scripting.run(libraries.orderFor(found, rules), call, 3, keyCount);
  };
}

const WRITES: readonly CommandFlag[] = ['write', 'noscript'];

function invocation(name: string, summary: string, readOnly: boolean): CommandDefinition {
  const flags: readonly KeyFlag[] = readOnly ? ['RO', 'access'] : ['RW', 'access', 'update'];
  return command({
    name,
    summary,
    since: '7.0.0',
    group: 'scripting',
    complexity: 'Depends on the function that is executed.',
    arity: -3,
    flags: runFlags(readOnly),
    keys: [{ kind: 'numkeys', count: 2, first: 3, flags }],
    syntax: 'function numkeys [key [key ...]] [arg [arg ...]]',
    ...(readOnly
      ? {}
      : { merge: 'As EVAL: decided by the node that was asked, its writes reach others as one batch.' }),
    run: callFunction(readOnly),
    writesNothing: (call) => call.node.scripting.libraries.find(call.text(1))?.flags.noWrites === true,
  });
}

const subcommands: readonly CommandDefinition[] = [
  command({
    name: 'load',
    summary: 'Loads a library of functions on this node.',
    since: '7.0.0',
    group: 'scripting',
    complexity: 'O(1), besides compiling the library',
    arity: -3,
    flags: ['write', 'denyoom', 'noscript'],
    syntax: '[REPLACE] function-code',
    run: load,
  }),
  command({
    name: 'delete',
    summary: 'Removes a library of functions.',
    since: '7.0.0',
    group: 'scripting',
    complexity: 'O(N) with N the number of functions',
    arity: 3,
    flags: WRITES,
    syntax: 'library-name',
    run: remove,
  }),
  command({
    name: 'flush',
    summary: 'Removes all libraries of functions.',
    since: '7.0.0',
    group: 'scripting',
    complexity: 'O(N) with N the number of functions',
    arity: -2,
    flags: WRITES,
    syntax: '[ASYNC|SYNC]',
    run: flush,
  }),
  command({
    name: 'list',
    summary: 'Lists the libraries of functions on this node.',
    since: '7.0.0',
    group: 'scripting',
    complexity: 'O(N) with N the number of functions',
    arity: -2,
    flags: ['noscript'],
    syntax: '[LIBRARYNAME library-name-pattern] [WITHCODE]',
    run: list,
  }),
  command({
    name: 'stats',
    summary: 'Tells how many libraries and functions there are, and which function runs for long.',
    since: '7.0.0',
    group: 'scripting',
    complexity: 'O(1)',
    arity: 2,
    flags: ['noscript', 'allow_busy'],
    syntax: '',
    run: stats,
  }),
  command({
    name: 'dump',
    summary: 'Gives all libraries of functions in the form that FUNCTION RESTORE takes, here and in Redis.',
    since: '7.0.0',
    group: 'scripting',
    complexity: 'O(N) with N the bytes of their code',
    arity: 2,
    flags: ['noscript'],
    syntax: '',
    run: dump,
  }),
  command({
    name: 'restore',
    summary: 'Loads the libraries that FUNCTION DUMP gave: all of them, or none.',
    since: '7.0.0',
    group: 'scripting',
    complexity: 'O(N) with N the number of functions',
    arity: -3,
    flags: ['write', 'denyoom', 'noscript'],
    syntax: 'serialized-value [FLUSH|APPEND|REPLACE]',
    run: restore,
  }),
  killSubcommand('function', '7.0.0'),
  helpSubcommand('scripting', '7.0.0'),
];

export const functionCommands: readonly CommandDefinition[] = [
  container({
    name: 'function',
    summary: 'Container for commands on libraries of functions.',
    since: '7.0.0',
    group: 'scripting',
    subcommands,
  }),
  invocation('fcall', 'Calls a function of a library.', false),
  invocation('fcall_ro', 'Calls a function of a library that does not write.', true),
];
