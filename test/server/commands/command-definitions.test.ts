import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CommandDefinition } from '../../../server/definitions/command.ts';
import { allCommands } from '../../../server/commands/all.ts';
import { render } from '../../../server/docs/commands-page.ts';
import { parseSyntax, type SyntaxArgument } from '../../../server/definitions/syntax-grammar.ts';
import { RespClient } from '../../support/resp-client.ts';
import type { Reply } from '../../support/resp3-parser.ts';
import { ServerPair } from '../../support/server-pair.ts';

let pair: ServerPair;
let redis: RespClient;
let mantis: RespClient;

beforeAll(async () => {
  pair = await ServerPair.start();
  redis = await RespClient.connect(pair.redis.port);
  mantis = await RespClient.connect(pair.mantis.port);
});

afterAll(async () => {
  await Promise.all([redis.close(), mantis.close()]);
  await pair.stop();
});

const PARTS = ['name', 'arity', 'flags', 'first key', 'last key', 'step', 'categories', 'tips', 'keys'] as const;
/** A key specification without Redis's words on it, and without the mark that its flags depend on the arguments. */
function plainKeys(specs: Reply): unknown {
  return (specs as Reply[][]).map((spec) => {
    const pairs = spec[0] === 'notes' ? spec.slice(2) : spec;
    return pairs.map((part) => (Array.isArray(part) ? part.filter((flag) => flag !== 'variable_flags') : part));
  });
}

/** What is compared, of a command and of each of its subcommands that Redis 7.0 has. */
function flatten(info: Reply, into: Map<string, Record<string, unknown>>): void {
  const parts = info as Reply[];
  const shown: Record<string, unknown> = {};
  PARTS.forEach((part, index) => {
    if (part === 'keys') shown[part] = plainKeys(parts[index]);
    else if (part === 'tips') shown[part] = (parts[index] as string[]).sort();
    else shown[part] = parts[index];
  });
  into.set(String(parts[0]), shown);
  for (const subcommand of parts[9] as Reply[]) flatten(subcommand, into);
}

function testFiles(): string[] {
  const names = readdirSync('test', { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.test.ts')).map((name) => join('test', name));
}

function everyDefinition(definitions: readonly CommandDefinition[], container = ''): [string, CommandDefinition][] {
  return definitions.flatMap((definition): [string, CommandDefinition][] => {
    const name = `${container}${definition.name}`;
    return [[name, definition], ...everyDefinition(definition.subcommands ?? [], `${name}|`)];
  });
}

describe('COMMAND INFO', () => {
  it('tells of every command what redis-server tells', async () => {
    const ours = new Map<string, Record<string, unknown>>();
    for (const info of (await mantis.command('COMMAND')) as Reply[]) flatten(info, ours);
    const names = allCommands.map(({ name }) => name);
    const theirs = new Map<string, Record<string, unknown>>();
    for (const info of (await redis.command('COMMAND', 'INFO', ...names)) as Reply[]) {
      if (info !== null) flatten(info, theirs);
    }
    // WITHSCORE came with Redis 7.2.
    for (const name of ['zrank', 'zrevrank']) theirs.set(name, { ...theirs.get(name), arity: -3 });
    // It waits, which transactions and scripts cannot.
    theirs.set('migrate', { ...theirs.get('migrate'), flags: ['write', 'noscript', 'no_multi', 'movablekeys'] });
    const common = [...ours.keys()].filter((name) => theirs.has(name));
    expect(common.length).toBeGreaterThan(100);
    expect(Object.fromEntries(common.map((name) => [name, ours.get(name)]))).toEqual(
      Object.fromEntries(common.map((name) => [name, theirs.get(name)])),
    );
  });

  it('counts and lists the commands that there are', async () => {
    expect(await mantis.command('COMMAND', 'COUNT')).toBe(allCommands.length);
    expect(await mantis.command('COMMAND', 'LIST')).toEqual(
      allCommands.flatMap(({ name, subcommands = [] }) => [name, ...subcommands.map((each) => `${name}|${each.name}`)]),
    );
    expect(await mantis.command('COMMAND', 'LIST', 'FILTERBY', 'PATTERN', 'CONFIG|*')).toContain('config|resetstat');
    const transactions = (await mantis.command('COMMAND', 'LIST', 'FILTERBY', 'ACLCAT', 'transaction')) as string[];
    expect(transactions.sort()).toEqual(['discard', 'exec', 'multi', 'unwatch', 'watch']);
  });
});

describe('COMMAND DOCS', () => {
  it('tells of every command what it does', async () => {
    const docs = (await mantis.command('COMMAND', 'DOCS')) as Reply[];
    expect(docs).toHaveLength(allCommands.length * 2);
    const set = (await mantis.command('COMMAND', 'DOCS', 'set')) as Reply[][];
    expect(set[0]).toBe('set');
    expect(set[1].filter((_, index) => index % 2 === 0)).toEqual(
      expect.arrayContaining(['summary', 'since', 'group', 'complexity', 'merge', 'arguments']),
    );
  });

  it('names the arguments of SET with the types and tokens that redis-server names', async () => {
    const ours = argumentsOf(await mantis.command('COMMAND', 'DOCS', 'set'));
    const theirs = argumentsOf(await redis.command('COMMAND', 'DOCS', 'set'));
    const essence = (argument: Reply): unknown => {
      const map = toMap(argument);
      const inner = map.get('arguments') as Reply[] | undefined;
      return [map.get('type'), map.get('token'), map.get('flags'), inner?.map(essence)];
    };
    expect(ours.map(essence)).toEqual(theirs.map(essence));
  });
});

function toMap(flat: Reply): Map<Reply, Reply> {
  const pairs = flat as Reply[];
  return new Map(pairs.flatMap((name, index) => (index % 2 === 0 ? [[name, pairs[index + 1]!] as const] : [])));
}

function argumentsOf(docs: Reply): Reply[] {
  return toMap((docs as Reply[])[1]).get('arguments') as Reply[];
}

describe('definitions', () => {
  const all = everyDefinition(allCommands);

  it.each(all)('%s is complete', (_name, definition) => {
    expect(definition.summary).toMatch(/^\S.*\S$/);
    expect(definition.since).toMatch(/^\d+\.\d+\.\d+$/);
    expect(definition.subcommands !== undefined || definition.run !== undefined).toBe(true);
    // Scripts and functions are not keys.
    const changesKeys = definition.flags.includes('write') && definition.group !== 'scripting';
    if (changesKeys) expect(definition.merge).toMatch(/\S/);
  });

  it.each(all)('the syntax of %s is read to its end', (_name, definition) => {
    const balance = [...definition.syntax].reduce(
      (sum, character) => sum + Number('[<'.includes(character)) - Number(']>'.includes(character)),
      0,
    );
    expect(balance).toBe(0);
    const visit = (argument: SyntaxArgument): void => {
      expect(argument.name).not.toBe('');
      expect(argument.name).not.toMatch(/[[\]<>|\s]/);
      argument.arguments?.forEach(visit);
    };
    parseSyntax(definition.syntax).forEach(visit);
  });

  it('are each asked for by a test', () => {
    const texts = testFiles().map((path) => readFileSync(path, 'utf8'));
    /** At the beginning of a request: in quotes, or of a line of a table of requests. */
    const isAskedFor = (words: string[]): boolean => {
      const request = new RegExp(`(^ *|['"\`])${words.join("( |', ')")}(?=['"\` ]|$)`, 'm');
      return texts.some((text) => request.test(text));
    };
    // HELP is made in one place for all.
    const names = all.map(([name]) => name.toUpperCase().split('|')).filter(([, subcommand]) => subcommand !== 'HELP');
    expect(names.filter((words) => !isAskedFor(words)).map((words) => words.join(' '))).toEqual([]);
  });

  it('are a page of the documentation', () => {
    const page = render();
    for (const [name, { subcommands }] of all) {
      if (subcommands === undefined) expect(page).toContain(`\`${name.toUpperCase().replace('|', ' ')}`);
    }
    expect(page.endsWith('|\n')).toBe(true);
  });
});
