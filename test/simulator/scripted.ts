/** Scripts that clients call, and what each does: the judge of a script goes by its words, and never runs it. */
import { createHash } from 'node:crypto';
import type { Reply } from './simulated-client.ts';
import type { Command } from './workload.ts';

/** How a script is called. */
export type Way = 'eval' | 'evalsha' | 'fcall';

/**
 * Runs one command for each key, `name count words…` behind one another, and gives their replies. The last word says whether it
 * fails after them: what it has written stays.
 */
const manyBody = `
  local replies, at = {}, 1
  for index, key in ipairs(keys) do
    local last = at + 1 + args[at + 1]
    replies[index] = redis.pcall(args[at], key, unpack(args, at + 2, last))
    at = last + 1
  end
  if args[at] == 'fail' then return redis.error_reply('ERR on purpose') end
  return replies`;

/** Counts under one key, and writes what it has counted to another. */
const carryBody = `
  local sum = redis.call('INCRBY', keys[1], args[1])
  local text = string.format('%s:%s', args[2], sum)
  redis.call('SET', keys[2], text)
  return {sum, text}`;

const bodies = new Map([
  ['many', manyBody],
  ['carry', carryBody],
]);

function textOf(name: string): string {
  return `local keys, args = KEYS, ARGV${bodies.get(name)}`;
}

function shaOf(name: string): string {
  return createHash('sha1').update(textOf(name)).digest('hex');
}

/** By what calls them. */
const names = new Map([...bodies.keys()].flatMap((name) => [textOf(name), shaOf(name), name].map((by) => [by, name])));

const functions = [...bodies].map(
  ([name, body]) => `redis.register_function('${name}', function(keys, args)${body}\nend)`,
);

/** What makes scripts known to a node that are called this way. */
export const loadingOf: Readonly<Record<Way, readonly Command[]>> = {
  eval: [],
  evalsha: [...bodies.keys()].map((name) => ['SCRIPT', 'LOAD', textOf(name)]),
  fcall: [['FUNCTION', 'LOAD', 'REPLACE', `#!lua name=simulated\n${functions.join('\n')}`]],
};

/** The first two words of a call. */
function called(name: string, way: Way): string[] {
  if (way === 'eval') return ['EVAL', textOf(name)];
  return way === 'evalsha' ? ['EVALSHA', shaOf(name)] : ['FCALL', name];
}

/** A script that runs these commands, whose second word is a key each, one after the other. */
export function manyInOne(commands: readonly Command[], way: Way, fails: boolean): Command {
  const keys = commands.map((command) => command[1]);
  const words = commands.flatMap(([name, , ...rest]) => [name, `${rest.length}`, ...rest]);
  return [...called('many', way), `${keys.length}`, ...keys, ...words, fails ? 'fail' : 'end'];
}

/** A script that adds to a sum, and writes down what it has come to. */
export function carrying(counter: string, amount: number, to: string, way: Way): Command {
  return [...called('carry', way), '2', counter, to, `${amount}`, 'sum'];
}

/** The commands that a script runs; null when the command calls none. What `carry` writes is not known before its reply. */
export function effectsOf(command: Command): Command[] | null {
  const [verb, script, count, ...rest] = command;
  const name = verb === 'EVAL' || verb === 'EVALSHA' || verb === 'FCALL' ? names.get(script) : undefined;
  if (name === undefined) return null;
  const keys = rest.slice(0, Number(count));
  const args = rest.slice(keys.length);
  if (name === 'carry')
    return [
      ['INCRBY', keys[0], args[0]],
      ['SET', keys[1]],
    ];
  let at = 0;
  return keys.map((key) => {
    const words = args.slice(at + 2, at + 2 + Number(args[at + 1]));
    const effect = [args[at], key, ...words];
    at += 2 + words.length;
    return effect;
  });
}

/** What a script's reply says of one of its commands: `silent` where it has failed on purpose, after all of them. */
export function replyOfEffect(reply: Reply, place: number, silent: Reply): Reply {
  if (Array.isArray(reply)) return reply[place];
  return reply === '-ERR on purpose' ? silent : reply;
}
