/** Definitions of commands as COMMAND INFO and COMMAND DOCS reply them. */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import { categoriesOf } from '../acl/acl-categories.ts';
import type { CommandOf, KeyFlag, KeySpec } from './command-definition.ts';
import { tipsOf } from './command-tips.ts';
import { legacyRangeOf, shownFlags } from './key-extraction.ts';
import { parseSyntax, type SyntaxArgument } from './syntax-grammar.ts';

type Command = CommandOf<never>;

const KEY_FLAG_ORDER: readonly KeyFlag[] = [
  'RO',
  'RW',
  'OW',
  'RM',
  'access',
  'update',
  'insert',
  'delete',
  'not_key',
  'incomplete',
  'variable_flags',
];

function replyWords(reply: ReplyWriter, words: readonly string[]): void {
  reply.set(words.length);
  for (const word of words) reply.simple(word);
}

export function replyKeyFlags(reply: ReplyWriter, flags: readonly KeyFlag[]): void {
  replyWords(
    reply,
    KEY_FLAG_ORDER.filter((flag) => flags.includes(flag)),
  );
}

/** A map whose values are numbers, or text. */
function replyPairs(reply: ReplyWriter, pairs: readonly (readonly [string, number | string])[]): void {
  reply.map(pairs.length);
  for (const [name, value] of pairs) {
    reply.bulkString(name);
    if (typeof value === 'number') reply.integer(value);
    else reply.bulkString(value);
  }
}

function replyStep(reply: ReplyWriter, type: string, pairs: readonly (readonly [string, number | string])[]): void {
  reply.map(2);
  reply.bulkString('type');
  reply.bulkString(type);
  reply.bulkString('spec');
  replyPairs(reply, pairs);
}

function replyFindKeys(reply: ReplyWriter, spec: Exclude<KeySpec, { kind: 'unknown' }>): void {
  if (spec.kind === 'numkeys') {
    replyStep(reply, 'keynum', [
      ['keynumidx', 0],
      ['firstkey', spec.first - spec.count],
      ['keystep', 1],
    ]);
    return;
  }
  // The last key is told relative to the first one.
  const last = spec.kind === 'range' && spec.last >= 0 ? spec.last - spec.first : spec.last;
  replyStep(reply, 'range', [
    ['lastkey', last],
    ['keystep', spec.step],
    ['limit', spec.kind === 'keyword' ? (spec.limit ?? 0) : 0],
  ]);
}

function replyKeySpec(reply: ReplyWriter, spec: KeySpec): void {
  reply.map(3);
  reply.bulkString('flags');
  replyKeyFlags(reply, spec.flags);
  reply.bulkString('begin_search');
  if (spec.kind === 'unknown') {
    replyStep(reply, 'unknown', []);
    reply.bulkString('find_keys');
    replyStep(reply, 'unknown', []);
    return;
  }
  if (spec.kind === 'keyword') {
    replyStep(reply, 'keyword', [
      ['keyword', spec.keyword],
      ['startfrom', spec.from],
    ]);
  } else {
    replyStep(reply, 'index', [['index', spec.kind === 'numkeys' ? spec.count : spec.first]]);
  }
  reply.bulkString('find_keys');
  replyFindKeys(reply, spec);
}

/** The ten elements of COMMAND INFO. */
export function replyCommandInfo(reply: ReplyWriter, command: Command): void {
  const range = legacyRangeOf(command);
  const keys = command.keys ?? [];
  reply.array(10);
  reply.bulkString(command.fullName);
  reply.integer(command.arity);
  replyWords(reply, shownFlags(command));
  reply.integer(range.first);
  reply.integer(range.last);
  reply.integer(range.step);
  replyWords(
    reply,
    categoriesOf(command).map((category) => `@${category}`),
  );
  const tips = tipsOf(command.fullName);
  reply.set(tips.length);
  for (const tip of tips) reply.bulkString(tip);
  reply.set(keys.length);
  for (const spec of keys) replyKeySpec(reply, spec);
  reply.set(command.subcommandTable.size);
  for (const subcommand of command.subcommandTable.values()) replyCommandInfo(reply, subcommand);
}

function flagsOfArgument(argument: SyntaxArgument): string[] {
  const flags: string[] = [];
  if (argument.optional === true) flags.push('optional');
  if (argument.multiple === true) flags.push('multiple');
  if (argument.multipleToken === true) flags.push('multiple_token');
  return flags;
}

/** Which key specification a key argument belongs to: the keys of a syntax are those specifications, in order. */
interface KeyCounter {
  next: number;
  readonly count: number;
}

function replyArgument(reply: ReplyWriter, argument: SyntaxArgument, keys: KeyCounter): void {
  const flags = flagsOfArgument(argument);
  const isKey = argument.type === 'key' && keys.count > 0;
  const parts = argument.arguments;
  const optional = [isKey, argument.token !== undefined, flags.length > 0, parts !== undefined];
  reply.map(2 + optional.filter(Boolean).length);
  reply.bulkString('name');
  reply.bulkString(argument.name);
  reply.bulkString('type');
  reply.bulkString(argument.type);
  if (isKey) {
    reply.bulkString('key_spec_index');
    reply.integer(Math.min(keys.next++, keys.count - 1));
  }
  if (argument.token !== undefined) {
    reply.bulkString('token');
    reply.bulkString(argument.token);
  }
  if (flags.length > 0) {
    reply.bulkString('flags');
    replyWords(reply, flags);
  }
  if (parts !== undefined) {
    reply.bulkString('arguments');
    reply.array(parts.length);
    for (const part of parts) replyArgument(reply, part, keys);
  }
}

/** The map of COMMAND DOCS: what it does, since when, what it takes, and how concurrent calls on several nodes merge. */
export function replyCommandDocs(reply: ReplyWriter, command: Command): void {
  const parameters = parseSyntax(command.syntax);
  const texts: [string, string | undefined][] = [
    ['summary', command.summary],
    ['since', command.since],
    ['group', command.group],
    ['complexity', command.complexity],
    ['merge', command.merge],
  ];
  const given = texts.filter((entry): entry is [string, string] => entry[1] !== undefined);
  const subcommands = [...command.subcommandTable.values()];
  reply.map(given.length + (parameters.length > 0 ? 1 : 0) + (subcommands.length > 0 ? 1 : 0));
  for (const [name, text] of given) {
    reply.bulkString(name);
    reply.bulkString(text);
  }
  if (parameters.length > 0) {
    const keys: KeyCounter = { next: 0, count: command.keys?.length ?? 0 };
    reply.bulkString('arguments');
    reply.array(parameters.length);
    for (const parameter of parameters) replyArgument(reply, parameter, keys);
  }
  if (subcommands.length > 0) {
    reply.bulkString('subcommands');
    reply.map(subcommands.length);
    for (const subcommand of subcommands) {
      reply.bulkString(subcommand.fullName);
      replyCommandDocs(reply, subcommand);
    }
  }
}
