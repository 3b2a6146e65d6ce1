/** Commands on collections, each as redis-benchmark sends them: 50 clients, pipelined 16 deep. */
import { measureRun } from './benchmark.ts';
import { Connection } from './connection.ts';
import type { MeasuredServer } from './measured-server.ts';
import { median, medianRatio, table } from './statistics.ts';

const pipeline = 16;
/** Members and keys of the commands that have random ones. */
const randomKeys = 100_000;
const random = '__rand_int__';
const member = `element:${random}`;
const key = 'bench';

/** Gives the arguments of the command that writes elements `from` to `to`. */
type Filler = (from: number, to: number) => string[];

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index);
const name = (index: number): string => `element:${String(index).padStart(12, '0')}`;
/** Spread over a range, and the same in every run. */
const score = (index: number): string => String((index * 7919) % 1_000_003);

const list: Filler = (from, to) => ['RPUSH', key, ...numbers(from, to).map(() => 'xxx')];
const set: Filler = (from, to) => ['SADD', key, ...numbers(from, to).map(name)];
const hash: Filler = (from, to) => ['HSET', key, ...numbers(from, to).flatMap((index) => [name(index), 'xxx'])];
const sortedSet: Filler = (from, to) => [
  'ZADD',
  key,
  ...numbers(from, to).flatMap((index) => [score(index), name(index)]),
];

export interface CollectionCase {
  /** The command, and behind a hyphen what it meets: one member or random ones, so many elements in the key. */
  name: string;
  command: readonly string[];
  /** Requests of a run; fewer where each does more. */
  requests: number;
  /** What the key holds before a run: as many elements as a number says, or one for each request. */
  fill?: { with: Filler; count: number | 'requests' };
  /** Random members or keys out of so many. */
  random?: boolean;
}

const many = 400_000;
const some = 100_000;
const few = 20_000;

/**
 * Requests of the run that does not count. Compilers that run beside the program are at work until some hundred thousand requests of a
 * kind have come; what a server takes in the long run is what it takes then.
 */
const warmUpRequests = ({ requests }: CollectionCase): number => (requests < some ? requests : many);

export const collectionCases: CollectionCase[] = [
  { name: 'lpush', command: ['LPUSH', key, 'xxx'], requests: many },
  { name: 'rpush', command: ['RPUSH', key, 'xxx'], requests: many },
  { name: 'lpop', command: ['LPOP', key], requests: many, fill: { with: list, count: 'requests' } },
  { name: 'rpop', command: ['RPOP', key], requests: many, fill: { with: list, count: 'requests' } },
  { name: 'sadd-one', command: ['SADD', key, name(0)], requests: many },
  { name: 'sadd-random', command: ['SADD', key, member], requests: many, random: true },
  { name: 'spop', command: ['SPOP', key], requests: some, fill: { with: set, count: 'requests' } },
  { name: 'hset-one', command: ['HSET', key, name(0), 'xxx'], requests: many },
  { name: 'hset-random', command: ['HSET', key, member, 'xxx'], requests: many, random: true },
  { name: 'zadd-one', command: ['ZADD', key, '0', name(0)], requests: many },
  { name: 'zadd-random', command: ['ZADD', key, random, member], requests: many, random: true },
  { name: 'zincrby-random', command: ['ZINCRBY', key, '1', member], requests: many, random: true },
  { name: 'zpopmin', command: ['ZPOPMIN', key], requests: some, fill: { with: sortedSet, count: 'requests' } },
  { name: 'xadd', command: ['XADD', key, '*', 'myfield', 'xxx'], requests: many },
  {
    name: 'mset-10',
    command: ['MSET', ...numbers(0, 10).flatMap(() => [`key:${random}`, 'xxx'])],
    requests: some,
    random: true,
  },
  { name: 'lrange-100', command: ['LRANGE', key, '0', '99'], requests: some, fill: { with: list, count: 1000 } },
  { name: 'lrange-600', command: ['LRANGE', key, '0', '599'], requests: few, fill: { with: list, count: 1000 } },
  { name: 'zrange-1000', command: ['ZRANGE', key, '0', '-1'], requests: few, fill: { with: sortedSet, count: 1000 } },
  { name: 'hgetall-1000', command: ['HGETALL', key], requests: few, fill: { with: hash, count: 1000 } },
  { name: 'smembers-1000', command: ['SMEMBERS', key], requests: few, fill: { with: set, count: 1000 } },
  { name: 'zrank-1000', command: ['ZRANK', key, name(617)], requests: many, fill: { with: sortedSet, count: 1000 } },
  { name: 'hget-1000', command: ['HGET', key, name(617)], requests: many, fill: { with: hash, count: 1000 } },
];

async function prepare(server: MeasuredServer, one: CollectionCase, requests: number): Promise<void> {
  const connection = await Connection.open(server.port);
  try {
    await connection.command('FLUSHALL');
    if (one.fill === undefined) return;
    const count = one.fill.count === 'requests' ? requests : one.fill.count;
    for (let from = 0; from < count; from += 1000) {
      const reply = await connection.command(...one.fill.with(from, Math.min(count, from + 1000)));
      if (reply.startsWith('-')) throw new Error(`${server.name}: ${reply}`);
    }
  } finally {
    connection.close();
  }
}

async function measure(server: MeasuredServer, one: CollectionCase, requests: number): Promise<number> {
  await prepare(server, one, requests);
  const keyspace = one.random === true ? ['-r', String(randomKeys)] : [];
  const run = await measureRun(server, requests, pipeline, [...keyspace, ...one.command]);
  return run.cpuMicrosecondsPerCommand;
}

export interface CollectionOptions {
  rounds: number;
  cases: readonly CollectionCase[];
  log: (line: string) => void;
}

/** Measures each case on both servers in turn, `rounds` times behind one that does not count, and gives the table. */
export async function compareCollections(
  [ours, theirs]: readonly [MeasuredServer, MeasuredServer],
  { rounds, cases, log }: CollectionOptions,
): Promise<string> {
  const results = cases.map(() => ({ ours: [] as number[], theirs: [] as number[] }));
  for (const one of cases) {
    log(`warming up: ${one.name}`);
    for (const server of [ours, theirs]) await measure(server, one, warmUpRequests(one));
  }
  for (let round = 0; round < rounds; round++) {
    log(`round ${round + 1} of ${rounds}`);
    for (const [at, one] of cases.entries()) {
      const mine = async (): Promise<number> => results[at].ours.push(await measure(ours, one, one.requests));
      const other = async (): Promise<number> => results[at].theirs.push(await measure(theirs, one, one.requests));
      // Who goes first changes from round to round.
      for (const turn of round % 2 === 0 ? [mine, other] : [other, mine]) await turn();
    }
  }
  const rows = cases.map((one, at) => {
    const { ours: mine, theirs: other } = results[at];
    return [
      one.name.replace('-', ' ').toUpperCase(),
      median(mine).toFixed(2),
      median(other).toFixed(2),
      medianRatio(mine, other).toFixed(2),
    ];
  });
  return table(['', `${ours.name} µs`, `${theirs.name} µs`, 'ratio'], rows);
}
