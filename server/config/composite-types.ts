/** Value types that only one or two options have. Error texts are redis-server 7.0.15's where Redis has the option. */
import type { OptionType } from './option-type.ts';
import { parseSize, single, splitWords, ValueError, wordList } from './option-type.ts';

/** A snapshot rule of `save`: after `seconds` when at least `changes` were made. */
export interface SaveRule {
  readonly seconds: number;
  readonly changes: number;
}

/** `save 900 1 300 10`; lines add up, an empty one clears. */
export function saveRules(): OptionType<readonly SaveRule[]> {
  const render = (rules: readonly SaveRule[]): string =>
    rules.map((rule) => `${rule.seconds} ${rule.changes}`).join(' ');
  return {
    syntax: 'pairs of seconds and changes',
    many: true,
    accumulates: 'in-sources',
    parse: (args, current) => {
      const numbers = splitWords(args);
      if (numbers.length === 0) return [];
      if (numbers.length % 2 !== 0 || !numbers.every((number) => /^[0-9]{1,15}$/.test(number))) {
        throw new ValueError('Invalid save parameters', 'it takes pairs of seconds and changes: 900 1 300 10');
      }
      const rules: SaveRule[] = [];
      for (let at = 0; at < numbers.length; at += 2) {
        const seconds = Number(numbers[at]);
        if (seconds < 1) throw new ValueError('Invalid save parameters', 'seconds are 1 or more');
        rules.push({ seconds, changes: Number(numbers[at + 1]) });
      }
      return [...(current ?? []), ...rules];
    },
    render,
    lines: (rules) => (rules.length === 0 ? [['']] : rules.map((rule) => [String(rule.seconds), String(rule.changes)])),
  };
}

/** Users, each by its name and rules; lines add up, an empty one clears. */
export function userLines(): OptionType<readonly (readonly string[])[]> {
  return {
    syntax: 'name and rules',
    many: true,
    accumulates: 'in-sources',
    parse: (args, current) => {
      // A flag or a variable may have it all in one word.
      const given = args.length === 1 ? args[0].split(' ').filter((word) => word !== '') : args;
      const [name] = given;
      if (name === undefined) return [];
      if (current?.some(([known]) => known === name) === true) {
        throw new ValueError(`Duplicate user '${name}' found`, 'a user is defined once');
      }
      return [...(current ?? []), given];
    },
    render: (users) => users.map((words) => words.join(' ')).join('\n'),
    lines: (users) => (users.length === 0 ? [['']] : users.map((words) => [...words])),
  };
}

/** Bytes of unsent replies at which a client is closed: at once (hard), or after `softSeconds` above soft. 0 = no limit. */
export interface OutputLimit {
  readonly hardBytes: number;
  readonly softBytes: number;
  readonly softSeconds: number;
}

export interface OutputLimits {
  readonly normal: OutputLimit;
  readonly replica: OutputLimit;
  readonly pubsub: OutputLimit;
}

const OUTPUT_DEFAULTS: OutputLimits = {
  normal: { hardBytes: 0, softBytes: 0, softSeconds: 0 },
  replica: { hardBytes: 268435456, softBytes: 67108864, softSeconds: 60 },
  pubsub: { hardBytes: 33554432, softBytes: 8388608, softSeconds: 60 },
};

const OUTPUT_CLASSES: ReadonlyMap<string, keyof OutputLimits> = new Map([
  ['normal', 'normal'],
  ['replica', 'replica'],
  ['slave', 'replica'],
  ['pubsub', 'pubsub'],
]);

function parseOutputLimit(hard: string, soft: string, seconds: string): OutputLimit {
  const hardBytes = parseSize(hard);
  const softBytes = parseSize(soft);
  if (hardBytes === undefined || softBytes === undefined || !/^[0-9]{1,9}$/.test(seconds)) {
    throw new ValueError('Error in hard, soft or soft_seconds setting in buffer limit configuration.');
  }
  return { hardBytes: Number(hardBytes), softBytes: Number(softBytes), softSeconds: Number(seconds) };
}

/** `normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60`; classes that are not named keep what they had. */
export function outputLimits(): OptionType<OutputLimits> {
  const lines = (limits: OutputLimits, replicaName: string): string[][] =>
    (['normal', 'replica', 'pubsub'] as const).map((name) => {
      const { hardBytes, softBytes, softSeconds } = limits[name];
      return [name === 'replica' ? replicaName : name, String(hardBytes), String(softBytes), String(softSeconds)];
    });
  return {
    syntax: 'groups of class (`normal`, `replica`, `pubsub`), hard size, soft size, soft seconds',
    many: true,
    accumulates: 'always',
    parse: (args, current) => {
      const given = splitWords(args);
      if (given.length % 4 !== 0) throw new ValueError('Wrong number of arguments in buffer limit configuration.');
      const limits = { ...(current ?? OUTPUT_DEFAULTS) };
      for (let at = 0; at < given.length; at += 4) {
        const name = OUTPUT_CLASSES.get((given[at] ?? '').toLowerCase());
        if (name === undefined) throw new ValueError('Invalid client class specified in buffer limit configuration.');
        limits[name] = parseOutputLimit(given[at + 1] ?? '', given[at + 2] ?? '', given[at + 3] ?? '');
      }
      return limits;
    },
    render: (limits) => lines(limits, 'slave').flat().join(' '),
    lines: (limits) => lines(limits, 'replica'),
  };
}

/** Bits of `notify-keyspace-events`, in the order in which Redis shows their letters. */
export const KEYSPACE_EVENT = {
  generic: 1,
  string: 2,
  list: 4,
  set: 8,
  hash: 16,
  sortedSet: 32,
  expired: 64,
  evicted: 128,
  stream: 256,
  module: 512,
  newKey: 1024,
  keyspaceChannel: 2048,
  keyeventChannel: 4096,
  missed: 8192,
} as const;

const EVENT_LETTERS = 'g$lshzxetdnKEm';
/** `A` stands for every class but the new-key and missed-key events. */
const EVENT_ALL = 0x3ff;

/** Event classes as letters; the value is a set of KEYSPACE_EVENT bits. */
export function keyspaceEvents(): OptionType<number> {
  return single({
    syntax: 'letters of `Ag$lshzxeKEtmdn`',
    parse: (letters) => {
      let bits = 0;
      for (const letter of letters) {
        const at = EVENT_LETTERS.indexOf(letter);
        if (at < 0 && letter !== 'A') throw new ValueError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        bits |= letter === 'A' ? EVENT_ALL : 1 << at;
      }
      return bits;
    },
    render: (bits) => {
      const all = (bits & EVENT_ALL) === EVENT_ALL;
      const rest = all ? bits & ~EVENT_ALL & ~KEYSPACE_EVENT.newKey : bits;
      const letters = [...EVENT_LETTERS].filter((_, at) => (rest & (1 << at)) !== 0).join('');
      // Redis forgets `n` beside `A`; a rewritten file must not.
      return (all ? 'A' : '') + letters + (all && (bits & KEYSPACE_EVENT.newKey) !== 0 ? 'n' : '');
    },
  });
}

export interface SizeOrPercent {
  /** 0 when a percentage was given. */
  readonly bytes: number;
  /** Of maxmemory; 0 when bytes were given. */
  readonly percent: number;
}

export function sizeOrPercent(): OptionType<SizeOrPercent> {
  return single({
    syntax: 'size, or percentage of `maxmemory`',
    parse: (given) => {
      const percent = /^([0-9]{1,9})%$/.exec(given)?.[1];
      if (percent !== undefined) {
        if (Number(percent) > 100) throw new ValueError('percentage argument must be less or equal to 100');
        return { bytes: 0, percent: Number(percent) };
      }
      const bytes = given === '' ? 0n : parseSize(given);
      if (bytes === undefined) throw new ValueError('argument must be a memory or percent value');
      return { bytes: Number(bytes), percent: 0 };
    },
    render: (value) => (value.percent > 0 ? `${value.percent}%` : String(value.bytes)),
  });
}

const SHUTDOWN_WORDS = ['default', 'save', 'nosave', 'now', 'force'] as const;
export type ShutdownWord = (typeof SHUTDOWN_WORDS)[number];

/** What a signal makes of SHUTDOWN's arguments. */
export function shutdownWords(): OptionType<readonly ShutdownWord[]> {
  const refused = `argument(s) must be one of the following: ${SHUTDOWN_WORDS.join(', ')}`;
  return {
    syntax: '`default`, or any of `save`, `nosave`, `now`, `force`',
    many: true,
    accumulates: 'never',
    parse: (args) => {
      const given = splitWords(args).map((word) => word.toLowerCase());
      const known = SHUTDOWN_WORDS.filter((word) => given.includes(word));
      if (known.length === 0 || known.length !== new Set(given).size) throw new ValueError(refused);
      return known;
    },
    render: (value) => value.join(' '),
    lines: (value) => [[...value]],
  };
}

/** Percentiles between 0 and 100. */
export function percentiles(): OptionType<readonly number[]> {
  return wordList(
    'numbers from 0 to 100',
    (word) => {
      if (!/^-?[0-9]+(\.[0-9]+)?$/.test(word)) {
        throw new ValueError('Invalid latency-tracking-info-percentiles parameters');
      }
      const value = Number(word);
      if (value < 0 || value > 100) {
        throw new ValueError('latency-tracking-info-percentiles parameters should sit between [0.0,100.0]');
      }
      return value;
    },
    String,
  );
}

/** Three scores from -2000 to 2000. */
export function oomScores(): OptionType<readonly number[]> {
  const base = wordList(
    'three integers, -2000 to 2000',
    (word) => {
      const value = /^-?[0-9]{1,4}$/.test(word) ? Number(word) : Number.NaN;
      if (!(value >= -2000 && value <= 2000)) {
        throw new ValueError('Invalid oom-score-adj-values, elements must be between -2000 and 2000.');
      }
      return value;
    },
    String,
  );
  return {
    ...base,
    parse: (args, current) => {
      if (splitWords(args).length !== 3) throw new ValueError('wrong number of arguments');
      return base.parse(args, current);
    },
  };
}
