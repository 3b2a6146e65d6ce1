/**
 * What clients ask. Most of it is a struggle over a few keys of every type; the rest are promises: writes whose outcome does not
 * depend on anybody else, so that a count of them needs no knowledge of the merge rules.
 */
import type { Draw } from './draw.ts';

export type Command = readonly string[];

/** Keys that lapse or change their type are only compared when everything is at rest. */
export const restlessKeys = /^((e[a-z]*|m|brief|tide):|passing$)/;

/** Keys that are given deadlines: what they come to depends on clocks, where they are written again at their deadline. */
export const lapsingKeys = /^((e[a-z]*|tide):|passing$)/;

export const DEADLINE_MS_MAX = 14_000;

const long = 'x'.repeat(300);

type Maker = (draw: Draw, number: number) => Command;

const key = (draw: Draw, kind: string, count = 6): string => `${kind}:${draw.below(count)}`;
const value = (draw: Draw, number: number): string => (draw.chance(0.05) ? `${long}${number}` : `v${number}`);
const member = (draw: Draw): string => `m${draw.below(12)}`;

/** Milliseconds; sometimes so many that all nodes have heard of the key before it lapses. */
const deadline = (draw: Draw): string => `${300 + draw.below(draw.chance(0.7) ? 6000 : DEADLINE_MS_MAX - 300)}`;

const strings: Maker[] = [
  (draw, n) => ['SET', key(draw, 's', 12), value(draw, n)],
  (draw, n) => ['SET', key(draw, 's', 12), value(draw, n)],
  (draw, n) => ['APPEND', key(draw, 's', 12), `+${n}`],
  (draw) => ['DEL', key(draw, 's', 12)],
  (draw, n) => ['SETNX', key(draw, 's', 12), value(draw, n)],
  (draw, n) => ['GETSET', key(draw, 's', 12), value(draw, n)],
  (draw, n) => ['MSET', key(draw, 's', 12), `${n}`, key(draw, 's', 12), `${n}`],
  (draw) => ['SETBIT', key(draw, 'b'), `${draw.below(64)}`, `${draw.below(2)}`],
  (draw) => ['RENAME', key(draw, 's', 12), key(draw, 's', 12)],
  (draw) => ['GETDEL', key(draw, 's', 12)],
  (draw, n) => ['SETRANGE', key(draw, 's', 12), '3', `${n}`],
  (draw) => ['COPY', key(draw, 's', 12), key(draw, 's', 12), 'REPLACE'],
];

const counters: Maker[] = [
  (draw) => ['INCRBY', key(draw, 'c'), `${draw.below(100)}`],
  (draw) => ['DECRBY', key(draw, 'c'), `${draw.below(100)}`],
  (draw) => ['INCR', key(draw, 'c')],
  (draw) => ['SET', key(draw, 'c'), `${draw.below(1000)}`],
  (draw) => ['DEL', key(draw, 'c')],
  (draw) => ['INCRBYFLOAT', key(draw, 'f'), `${draw.below(100) / 4}`],
];

const hashes: Maker[] = [
  (draw, n) => ['HSET', key(draw, 'h'), member(draw), `${n}`, member(draw), `${n}`],
  (draw) => ['HDEL', key(draw, 'h'), member(draw)],
  (draw) => ['HINCRBY', key(draw, 'hc'), member(draw), `${draw.below(50)}`],
  (draw) => ['HDEL', key(draw, 'hc'), member(draw)],
  (draw) => ['DEL', key(draw, 'h')],
  (draw) => ['HINCRBYFLOAT', key(draw, 'hf'), member(draw), `${draw.below(100) / 4}`],
];

/** Fields with deadlines of their own. */
const lapsingFields: Maker[] = [
  (draw, n) => ['HSET', key(draw, 'ef'), member(draw), `${n}`],
  (draw) => ['HINCRBY', key(draw, 'ef'), member(draw), `${draw.below(50)}`],
  (draw) => ['HPEXPIRE', key(draw, 'ef'), deadline(draw), 'FIELDS', '2', member(draw), member(draw)],
  (draw) => ['HPEXPIRE', key(draw, 'ef'), deadline(draw), 'FIELDS', '1', member(draw)],
  (draw) => ['HEXPIRE', key(draw, 'ef'), '100000', 'GT', 'FIELDS', '1', member(draw)],
  (draw) => ['HPERSIST', key(draw, 'ef'), 'FIELDS', '1', member(draw)],
  (draw) => ['HDEL', key(draw, 'ef'), member(draw)],
  (draw) => ['DEL', key(draw, 'ef')],
];

const sets: Maker[] = [
  (draw) => ['SADD', key(draw, 't'), member(draw), member(draw)],
  (draw) => ['SREM', key(draw, 't'), member(draw)],
  (draw) => ['SPOP', key(draw, 't')],
  (draw) => ['SMOVE', key(draw, 't'), key(draw, 't'), member(draw)],
  (draw) => ['ZADD', key(draw, 'z'), `${draw.below(100)}`, member(draw)],
  (draw) => ['ZINCRBY', key(draw, 'z'), `${draw.below(10)}`, member(draw)],
  (draw) => ['ZREM', key(draw, 'z'), member(draw)],
  (draw) => ['ZPOPMIN', key(draw, 'z')],
  (draw) => ['DEL', key(draw, draw.pick(['t', 'z']))],
  (draw) => ['ZADD', key(draw, 'z'), 'GT', `${draw.below(100)}`, member(draw)],
  (draw) => ['ZUNIONSTORE', key(draw, 'z'), '2', key(draw, 'z'), key(draw, 'z')],
  (draw) => ['GEOADD', key(draw, 'z'), `${draw.below(90)}`, `${draw.below(80)}`, member(draw)],
];

const lists: Maker[] = [
  (draw, n) => ['RPUSH', key(draw, 'l'), `${n}`, `${n}b`],
  (draw, n) => ['LPUSH', key(draw, 'l'), `${n}`],
  (draw) => ['LPOP', key(draw, 'l')],
  (draw) => ['RPOP', key(draw, 'l'), '2'],
  (draw, n) => ['LSET', key(draw, 'l'), '0', `${n}`],
  (draw) => ['LTRIM', key(draw, 'l'), '0', '8'],
  (draw) => ['LMOVE', key(draw, 'l'), key(draw, 'l'), 'LEFT', 'RIGHT'],
  (draw, n) => [
    'LINSERT',
    key(draw, 'l'),
    draw.pick(['BEFORE', 'AFTER']),
    `${Math.max(1, n - draw.below(40))}`,
    `${n}`,
  ],
  (draw, n) => ['LREM', key(draw, 'l'), '0', `${Math.max(1, n - draw.below(40))}`],
  (draw) => ['DEL', key(draw, 'l')],
];

const streams: Maker[] = [
  (draw, n) => ['XADD', key(draw, 'x', 3), '*', 'n', `${n}`],
  (draw, n) => ['XADD', key(draw, 'x', 3), 'MAXLEN', '20', '*', 'n', `${n}`],
  (draw) => ['XTRIM', key(draw, 'x', 3), 'MAXLEN', '10'],
  (draw) => ['DEL', key(draw, 'x', 3)],
  (draw) => ['XGROUP', 'CREATE', key(draw, 'x', 3), 'group', '0', 'MKSTREAM'],
  (draw) => ['XREADGROUP', 'GROUP', 'group', 'reader', 'COUNT', '2', 'STREAMS', key(draw, 'x', 3), '>'],
  (draw) => ['XAUTOCLAIM', key(draw, 'x', 3), 'group', 'other', '0', '0', 'COUNT', '2'],
];

const hyperLogLogs: Maker[] = [
  (draw, n) => ['PFADD', key(draw, 'p', 4), `${n}`, `${n}b`],
  (draw, n) => ['PFADD', key(draw, 'p', 4), `${n}`],
  (draw) => ['PFMERGE', key(draw, 'p', 4), key(draw, 'p', 4), key(draw, 'p', 4)],
  (draw) => ['PFCOUNT', key(draw, 'p', 4), key(draw, 'p', 4)],
  (draw) => ['DEL', key(draw, 'p', 4)],
];

const expiring: Maker[] = [
  (draw, n) => ['SET', key(draw, 'e'), `${n}`, 'PX', deadline(draw)],
  (draw, n) => ['SET', key(draw, 'e'), `${n}`],
  (draw) => ['PEXPIRE', key(draw, 'e'), deadline(draw)],
  (draw) => ['EXPIRE', key(draw, 'e'), '100000'],
  (draw) => ['PERSIST', key(draw, 'e')],
  (draw) => ['DEL', key(draw, 'e')],
  (draw) => ['HSET', key(draw, 'eh'), member(draw), '1'],
  (draw) => ['PEXPIRE', key(draw, 'eh'), deadline(draw)],
  (draw) => ['PERSIST', key(draw, 'eh')],
  (draw) => ['INCRBY', key(draw, 'ec'), `${draw.below(10)}`],
  (draw) => ['PEXPIRE', key(draw, 'ec'), deadline(draw)],
  (draw) => ['SADD', key(draw, 'et'), member(draw)],
  (draw) => ['PEXPIRE', key(draw, 'et'), deadline(draw)],
];

/** Keys that take whatever type comes. */
const clashing: Maker[] = [
  (draw, n) => ['SET', key(draw, 'm', 4), `${n}`],
  (draw) => ['SADD', key(draw, 'm', 4), member(draw)],
  (draw) => ['HSET', key(draw, 'm', 4), member(draw), '1'],
  (draw) => ['ZADD', key(draw, 'm', 4), '1', member(draw)],
  (draw, n) => ['RPUSH', key(draw, 'm', 4), `${n}`],
  (draw) => ['INCR', key(draw, 'm', 4)],
  (draw) => ['DEL', key(draw, 'm', 4)],
  (draw) => ['DEL', key(draw, 'm', 4)],
];

const families: Record<string, Maker[]> = {
  strings,
  counters,
  hashes,
  lapsingFields,
  sets,
  lists,
  streams,
  hyperLogLogs,
  expiring,
  clashing,
};

/** Writes that hold whatever else happens. */
const promises: Maker[] = [
  (_draw, n) => ['SET', `mark:${n}`, `v${n}`],
  (_draw, n) => ['SET', `mark:${n}`, `v${n}`],
  (draw) => ['INCRBY', key(draw, 'count', 4), `${1 + draw.below(9)}`],
  (draw) => ['INCRBY', key(draw, 'count', 4), `${1 + draw.below(9)}`],
  (draw) => ['HINCRBY', 'counts', key(draw, 'f', 3), `${1 + draw.below(9)}`],
  (_draw, n) => ['SADD', 'members', `${n}`],
  (_draw, n) => ['HSET', 'fields', `${n}`, `v${n}`],
  (_draw, n) => ['ZADD', 'roll', `${n}`, `${n}`],
  (_draw, n) => ['RPUSH', 'log', `${n}`],
  (_draw, n) => ['LINSERT', 'log', 'AFTER', '', `${n}`],
  (_draw, n) => ['RPUSH', 'shelf', `${n}`],
  () => ['LMOVE', 'shelf', 'done', 'LEFT', 'RIGHT'],
  (draw) => ['ZINCRBY', 'scores', `${1 + draw.below(9)}`, key(draw, 'm', 3)],
  (draw, n) => ['PFADD', key(draw, 'seen', 3), `${n}`],
  (_draw, n) => ['HSET', 'passing', `${n}`, 'v'],
  () => ['XGROUP', 'CREATE', 'stream', 'group', '0', 'MKSTREAM'],
  () => ['XREADGROUP', 'GROUP', 'group', 'reader', 'COUNT', '3', 'STREAMS', 'stream', '>'],
  (_draw, n) => ['XADD', 'stream', '*', 'n', `${n}`],
  (_draw, n) => ['SET', `brief:${n}`, 'v', 'PX', '3000'],
  (_draw, n) => ['SET', `gone:${n}`, 'v'],
];

/** Names of the families that a seed may use. */
export const familyNames = Object.keys(families);

export interface WorkloadOptions {
  families: readonly string[];
  /** How much of it are promises. */
  promiseShare: number;
  flushes: boolean;
  /** Below the number of the first request; what is written once is named by these. */
  numberedFrom?: number;
}

export class Workload {
  readonly #draw: Draw;
  readonly #options: WorkloadOptions;
  #number: number;
  readonly #gone: number[] = [];
  /** What was pushed to the list that elements are inserted into. */
  readonly #logged: number[] = [0];
  /** Fields that no deadline was set on yet. */
  readonly #passing: number[] = [];

  constructor(draw: Draw, options: WorkloadOptions) {
    this.#draw = draw;
    this.#options = options;
    this.#number = options.numberedFrom ?? 0;
  }

  /** Some commands whose second word is their key. */
  keyed(count: number): Command[] {
    const commands: Command[] = [];
    while (commands.length < count) {
      const command = this.#next();
      if (!command[0].startsWith('XGROUP') && !command[0].startsWith('XREADGROUP')) commands.push(command);
    }
    return commands;
  }

  /** One request after the other, to be sent together; `count` at most. */
  burst(count: number): Command[] {
    const draw = this.#draw;
    const commands: Command[] = [];
    const isTransaction = count > 2 && draw.chance(0.15);
    const isElsewhere = !isTransaction && draw.chance(0.05);
    if (isElsewhere) commands.push(['SELECT', '1']);
    if (isTransaction) commands.push(['MULTI']);
    for (let left = count; left > 0; left--) commands.push(isElsewhere ? this.#elsewhere() : this.#next());
    if (isTransaction) commands.push(['EXEC']);
    if (isElsewhere) commands.push(['SELECT', '0']);
    return commands;
  }

  #next(): Command {
    const draw = this.#draw;
    const number = ++this.#number;
    if (draw.chance(this.#options.promiseShare)) {
      if (this.#gone.length > 0 && draw.chance(0.15)) {
        const at = draw.below(this.#gone.length);
        return ['DEL', `gone:${this.#gone.splice(at, 1)[0]}`];
      }
      if (this.#passing.length > 0 && draw.chance(0.1)) {
        const field = this.#passing.splice(draw.below(this.#passing.length), 1)[0];
        return ['HPEXPIRE', 'passing', deadline(draw), 'FIELDS', '1', `${field}`];
      }
      const made = draw.pick(promises)(draw, number);
      const isInsert = made[0] === 'LINSERT';
      const command = isInsert ? ['LINSERT', 'log', 'AFTER', `${draw.pick(this.#logged)}`, `${number}`] : made;
      if (command[0] === 'RPUSH' && command[1] === 'log') this.#logged.push(number);
      if (command[1] === 'passing') this.#passing.push(number);
      if (command[1].startsWith('gone:')) this.#gone.push(number);
      return command;
    }
    return draw.pick(families[draw.pick(this.#options.families)])(draw, number);
  }

  /** In the second database nothing is promised: it is emptied now and then. */
  #elsewhere(): Command {
    const draw = this.#draw;
    if (this.#options.flushes && draw.chance(0.1)) return ['FLUSHDB'];
    return draw.pick(families[draw.pick(this.#options.families)])(draw, ++this.#number);
  }
}
