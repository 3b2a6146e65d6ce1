/** COMMAND: what commands there are, what they take and where their keys are, all from their definitions. */
import { GlobPattern } from '../../protocol/glob.ts';
import type { ArgumentSource } from '../../protocol/resp-request.ts';
import { categoriesOf } from '../acl/acl-categories.ts';
import type { Call } from '../dispatch/call.ts';
import { replyCommandDocs, replyCommandInfo, replyKeyFlags } from '../definitions/command-reply.ts';
import { type Command, type CommandDefinition, type CommandFlag, command } from '../definitions/command.ts';
import { KeyCountError, keysOf, type KeyArgument } from '../definitions/key-extraction.ts';
import { helpSubcommand } from '../definitions/subcommand-help.ts';

const FLAGS: readonly CommandFlag[] = ['loading', 'stale'];

/** `get`, or `config|get`, in any letter case. */
function commandNamed(call: Call, index: number): Command | undefined {
  const [name = '', subcommand, ...more] = call.latin1(index).toLowerCase().split('|');
  const found = call.node.commands.byName.get(name);
  if (subcommand === undefined || found === undefined) return found;
  return more.length > 0 ? undefined : found.subcommandTable.get(subcommand);
}

function info(call: Call, first: number): void {
  const { reply } = call;
  if (call.argc <= first) {
    const commands = [...call.node.commands.byName.values()];
    reply.array(commands.length);
    for (const each of commands) replyCommandInfo(reply, each);
    return;
  }
  reply.array(call.argc - first);
  for (let index = first; index < call.argc; index++) {
    const found = commandNamed(call, index);
    if (found === undefined) reply.nil();
    else replyCommandInfo(reply, found);
  }
}

function docs(call: Call): void {
  const { reply } = call;
  const chosen: Command[] = [];
  if (call.argc === 2) chosen.push(...call.node.commands.byName.values());
  for (let index = 2; index < call.argc; index++) {
    const found = commandNamed(call, index);
    if (found !== undefined) chosen.push(found);
  }
  reply.map(chosen.length);
  for (const each of chosen) {
    reply.bulkString(each.fullName);
    replyCommandDocs(reply, each);
  }
}

/** COMMAND LIST's filter: a module (there are none), an access category, or a pattern. */
function listFilter(call: Call): (each: Command) => boolean {
  if (call.argc !== 5 || !call.is(2, 'FILTERBY')) return call.syntaxError();
  if (call.is(3, 'MODULE')) return () => false;
  if (call.is(3, 'ACLCAT')) {
    const category = call.latin1(4).toLowerCase();
    return (each) => categoriesOf(each).includes(category);
  }
  if (!call.is(3, 'PATTERN')) return call.syntaxError();
  const pattern = new GlobPattern(call.buffer, call.starts[4], call.lengths[4], true);
  return (each) => pattern.matches(Buffer.from(each.fullName), 0, each.fullName.length);
}

function list(call: Call): void {
  const { reply } = call;
  const commands = [...call.node.commands.byName.values()];
  const all = commands.flatMap((each) => [each, ...each.subcommandTable.values()]);
  const filter = call.argc === 2 ? () => true : listFilter(call);
  const names = all.filter(filter).map(({ fullName }) => fullName);
  reply.array(names.length);
  for (const name of names) reply.bulkString(name);
}

/** The request that COMMAND GETKEYS was given, and the keys in it. */
function keysOfRequest(call: Call): { request: ArgumentSource; keys: KeyArgument[] } {
  const request: ArgumentSource = {
    buffer: call.buffer,
    argc: call.argc - 2,
    starts: call.starts.subarray(2, call.argc),
    lengths: call.lengths.subarray(2, call.argc),
  };
  let found = call.node.commands.byName.get(call.latin1(2).toLowerCase());
  if (found === undefined) return call.fail('ERR Invalid command specified');
  if (found.subcommandTable.size > 0 && call.argc > 3) {
    found = found.subcommandTable.get(call.latin1(3).toLowerCase());
    if (found === undefined) return call.fail('ERR Invalid command specified');
  }
  if ((found.keys ?? []).every(({ flags }) => flags.includes('not_key')))
    return call.fail('ERR The command has no key arguments');
  const { arity } = found;
  if (arity > 0 ? request.argc !== arity : request.argc < -arity) {
    return call.fail('ERR Invalid number of arguments specified for command');
  }
  try {
    const keys = keysOf(found, request);
    if (keys.length === 0 && !found.flags.includes('no_mandatory_keys')) {
      return call.fail('ERR Invalid arguments specified for command');
    }
    return { request, keys };
  } catch (error) {
    if (!(error instanceof KeyCountError)) throw error;
    if (found.flags.includes('no_mandatory_keys')) return { request, keys: [] };
    return call.fail('ERR Invalid arguments specified for command');
  }
}

function getKeys(call: Call, withFlags: boolean): void {
  const { request, keys } = keysOfRequest(call);
  call.reply.array(keys.length);
  for (const { index, flags } of keys) {
    if (withFlags) call.reply.array(2);
    call.reply.bulk(request.buffer, request.starts[index], request.lengths[index]);
    if (withFlags) replyKeyFlags(call.reply, flags);
  }
}

const subcommands: readonly CommandDefinition[] = [
  command({
    name: 'count',
    summary: 'Counts the commands.',
    since: '2.8.13',
    group: 'server',
    complexity: 'O(1)',
    arity: 2,
    flags: FLAGS,
    categories: ['connection'],
    syntax: '',
    run: (call) => call.reply.integer(call.node.commands.byName.size),
  }),
  command({
    name: 'list',
    summary: 'Lists the names of commands, all or those that a filter lets through.',
    since: '7.0.0',
    group: 'server',
    complexity: 'O(N) for N commands',
    arity: -2,
    flags: FLAGS,
    categories: ['connection'],
    syntax: '[FILTERBY <MODULE module-name|ACLCAT category|PATTERN pattern>]',
    run: list,
  }),
  command({
    name: 'info',
    summary: 'Tells arity, flags, categories and keys of commands.',
    since: '2.8.13',
    group: 'server',
    complexity: 'O(N) for N commands',
    arity: -2,
    flags: FLAGS,
    categories: ['connection'],
    syntax: '[command-name [command-name ...]]',
    run: (call) => info(call, 2),
  }),
  command({
    name: 'docs',
    summary: 'Tells what commands do and which arguments they take.',
    since: '7.0.0',
    group: 'server',
    complexity: 'O(N) for N commands',
    arity: -2,
    flags: FLAGS,
    categories: ['connection'],
    syntax: '[command-name [command-name ...]]',
    run: docs,
  }),
  command({
    name: 'getkeys',
    summary: 'Picks the keys out of a request.',
    since: '2.8.13',
    group: 'server',
    complexity: 'O(N) for N arguments',
    arity: -4,
    flags: FLAGS,
    categories: ['connection'],
    syntax: 'command [arg [arg ...]]',
    run: (call) => getKeys(call, false),
  }),
  command({
    name: 'getkeysandflags',
    summary: 'Picks the keys out of a request, with what the command does to each.',
    since: '7.0.0',
    group: 'server',
    complexity: 'O(N) for N arguments',
    arity: -4,
    flags: FLAGS,
    categories: ['connection'],
    syntax: 'command [arg [arg ...]]',
    run: (call) => getKeys(call, true),
  }),
  helpSubcommand('server', '5.0.0', ['connection']),
];

export const commandCommands: readonly CommandDefinition[] = [
  command({
    name: 'command',
    summary: 'Tells everything about all commands.',
    since: '2.8.13',
    group: 'server',
    complexity: 'O(N) for N commands',
    arity: -1,
    flags: FLAGS,
    categories: ['connection'],
    syntax: '',
    subcommands,
    run: (call) => info(call, 1),
  }),
];
