/**
 * Mantis beside redis-server, on this machine: server CPU per command and throughput of SET and GET, memory per key; or what
 * commands on collections take. Both are started fresh on free ports of 127.0.0.1, without persistence, and measured in turn.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { collectionTypes, compareCollectionMemory } from './collection-memory.ts';
import { collectionCases, compareCollections } from './collections.ts';
import { compareDurability } from './durability.ts';
import { compareEviction } from './eviction.ts';
import { compareMemory } from './memory.ts';
import { compareBounds, memoryLoads } from './memory-loads.ts';
import { MeasuredServer, type Contender, freePort } from './measured-server.ts';
import { measureRepairs } from './repair.ts';
import { type ReplicatedContender, compareReplication } from './replication.ts';
import { measurePauses, type ProbedNode } from './pauses.ts';
import { measureStores } from './stores.ts';
import { cases, compareThroughput } from './throughput.ts';

const rootDirectory = resolve(import.meta.dirname, '..');
const mantisProgram = join(rootDirectory, 'dist', 'server', 'main.js');

const help = `npm run bench -- [strings | collections | memory | pauses | eviction | durability | stores | replication | repair] [options]

  strings         SET and GET, and memory a key (default)
  collections     commands on lists, hashes, sets, sorted sets and streams
  memory          bytes an element of collections of 10, 1,000 and --keys elements
  pauses          longest turn of Mantis's event loop while a collection of --keys elements is stored, sent, deleted, …
  eviction        hit ratio of each policy on Zipfian traces, and how the process keeps to a maxmemory of 100 MiB under each load
  durability      writes in the modes always and interval beside appendfsync, and reads beside a flush
  stores          how fast --keys registers go into the embedded store and into MariaDB, and come back at a start
  replication     SET with no, one and two peers, or replicas of redis-server's, and the delay until a peer shows a write
  repair          two nodes that differ in nothing, in 1,000 keys, in all --keys, in one field of a hash of as many, in what was missed in a short cut: bytes, time, longest turns, p99 of clients

  --rounds N      interleaved rounds (default 5)
  --requests N    strings: requests of a run without pipelining (default 200000; five times as many at P=16, ten times at P=64)
  --keys N        strings, memory, repair: keys, or elements, of the memory measurement (default 1000000)
  --rate N        replication: writes a second while the delay is measured (default 100000)
  --only A,B      only these; parts of a name will do (set, p64)
                  strings: ${namesOf(cases)}, memory
                  collections: ${namesOf(collectionCases)}
                  memory, pauses: ${namesOf(collectionTypes)}
                  eviction: hits, ${namesOf(memoryLoads)}
  --without-mantis  redis-server against redis-server, to see what a ratio of 1 looks like here
  --help
`;

function namesOf(list: readonly { name: string }[]): string {
  return list.map((one) => one.name).join(', ');
}

function mantisWith(args: string[]): Contender {
  return {
    name: 'Mantis',
    program: process.execPath,
    args: (port, peerPort) => {
      const ports = ['--port', String(port), '--peer-port', String(peerPort)];
      return [mantisProgram, ...ports, '--bind', '127.0.0.1', ...args];
    },
  };
}

const mantis = mantisWith(['--data-dir', 'none']);
/** `maxmemory` of the loads of the suite `eviction`. */
const EVICTION_BYTES_MAX = 100 << 20;

const suites = [
  'strings',
  'collections',
  'memory',
  'pauses',
  'eviction',
  'durability',
  'stores',
  'replication',
  'repair',
];

const probe = join(import.meta.dirname, 'turn-probe.mjs');
const probedMantis: ProbedNode = (directory, peerPort, upstreamPeerPort) => ({
  name: 'Mantis',
  program: process.execPath,
  hasProbe: true,
  args: (port) => {
    const ports = ['--port', port, '--peer-port', peerPort, '--bind', '127.0.0.1', '--data-dir', directory];
    const peers = upstreamPeerPort === null ? [] : ['--peers', `127.0.0.1:${upstreamPeerPort}`];
    return ['--import', probe, mantisProgram, ...ports, ...peers].map(String);
  },
});

const redis: Contender = {
  name: 'Redis',
  program: 'redis-server',
  args: (port) => ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
};

const replicatedMantis: ReplicatedContender = {
  name: 'Mantis',
  contender: (peerPort, upstream) => ({
    name: 'Mantis',
    program: process.execPath,
    args: (port) => {
      const own = ['--port', port, '--peer-port', peerPort, '--bind', '127.0.0.1', '--data-dir', 'none'];
      const peers = upstream === null ? [] : ['--peers', `127.0.0.1:${upstream.peerPort}`];
      return [mantisProgram, ...own, ...peers].map(String);
    },
  }),
  info: 'mantis',
  attached: /^peers_linked:(\d+)/m,
  catchingUp: /state=(repairing|resynchronising)/,
};

const replicatedRedis: ReplicatedContender = {
  name: 'Redis',
  contender: (_peerPort, upstream) => ({
    ...redis,
    args: (port, free) => {
      const replica = upstream === null ? [] : ['--replicaof', '127.0.0.1', String(upstream.port)];
      const ready = ['--repl-diskless-sync-delay', '0', '--repl-diskless-load', 'on-empty-db'];
      return [...redis.args(port, free), ...replica, ...ready];
    },
  }),
  info: 'replication',
  attached: /^connected_slaves:(\d+)/m,
  catchingUp: /^master_sync_in_progress:1/m,
};

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes a whole number from 1 on, not ${text}`);
  return value;
}

function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '5' },
      requests: { type: 'string', default: '200000' },
      keys: { type: 'string', default: '1000000' },
      rate: { type: 'string', default: '100000' },
      only: { type: 'string', default: '' },
      'without-mantis': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const suite = positionals[0] ?? 'strings';
  if (positionals.length > 1 || !suites.includes(suite)) {
    throw new Error(`there is no measurement of ${positionals.join(' ')}`);
  }
  const parts = values.only.split(',').filter((part) => part !== '');
  const isChosen = (name: string): boolean =>
    parts.length === 0 || parts.some((part) => name === part || name.split(/[- ]/).includes(part));
  const isStrings = suite === 'strings';
  const chosen = {
    cases: cases.filter((one) => isStrings && isChosen(one.name)),
    collectionCases: collectionCases.filter((one) => suite === 'collections' && isChosen(one.name)),
    memory: isStrings && isChosen('memory'),
    isChosen,
  };
  const isCases = isStrings || suite === 'collections';
  if (isCases && chosen.cases.length + chosen.collectionCases.length === 0 && !chosen.memory) {
    throw new Error(`--only ${values.only} names no measurement`);
  }
  return {
    rounds: wholeNumber('rounds', values.rounds),
    requests: wholeNumber('requests', values.requests),
    keys: wholeNumber('keys', values.keys),
    rate: wholeNumber('rate', values.rate),
    suite,
    ...chosen,
    withoutMantis: values['without-mantis'],
    help: values.help,
  };
}

function machineFacts(): string {
  const processors = cpus();
  const redisVersion = /v=([\d.]+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1];
  const load = loadavg()[0].toFixed(1);
  return (
    `${processors.length} × ${processors[0]?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ` +
    `Linux ${release()}, load ${load} at the start; Node.js ${process.versions.node}, redis-server ${redisVersion}`
  );
}

type Options = ReturnType<typeof readOptions>;

const log = (line: string): void => void process.stderr.write(`${line}\n`);

type Pair = readonly [MeasuredServer, MeasuredServer];

/** Starts both, and stops them when the measurement is over. */
async function withPair(ours: Contender, measure: (pair: Pair) => Promise<string>): Promise<string> {
  const pair = [await MeasuredServer.start(ours), await MeasuredServer.start(redis)] as const;
  const result = await measure(pair);
  await Promise.all(pair.map((server) => server.stop()));
  return result;
}

async function measureStrings(ours: Contender, { rounds, requests, cases: chosen }: Options): Promise<void> {
  const result = await withPair(ours, (pair) => compareThroughput(pair, { rounds, requests, cases: chosen, log }));
  console.log('Server CPU in µs a command (user + system), and commands a second: medians, and medians of the ratios');
  console.log(
    `${`of ${rounds} interleaved rounds; 50 clients, 100,000 keys of 16 bytes, values of 64 bytes.`}\n\n${result}\n`,
  );
}

async function measureCollections(ours: Contender, { rounds, collectionCases: chosen }: Options): Promise<void> {
  const result = await withPair(ours, (pair) => compareCollections(pair, { rounds, cases: chosen, log }));
  console.log('Server CPU in µs a command (user + system): medians, and medians of the ratios, of so many interleaved');
  console.log(`${`rounds: ${rounds}; 50 clients, pipelined 16 deep, values of 3 bytes.`}\n\n${result}\n`);
}

const freePorts = (count: number): Promise<number[]> => Promise.all(Array.from({ length: count }, freePort));

async function measureReplication(ours: ReplicatedContender, { rounds, requests, rate }: Options): Promise<void> {
  const kinds = [ours, replicatedRedis];
  const result = await compareReplication(kinds, freePorts, { rounds, requests: requests * 5, rate, log });
  console.log(
    'Server CPU in µs a command or change (user + system), SET pipelined 16 deep: medians of so many interleaved',
  );
  console.log(`${`rounds: ${rounds}; 50 clients, 100,000 keys of 16 bytes, values of 64 bytes.`}\n\n${result}\n`);
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options.help) {
    process.stdout.write(help);
    return;
  }
  if (!options.withoutMantis && !existsSync(mantisProgram))
    throw new Error('there is no build; npm run build makes one');
  const ours: Contender = options.withoutMantis ? { ...redis, name: 'Redis again' } : mantis;

  console.log(`${machineFacts()}\n`);
  const { suite, rounds, requests } = options;
  if (suite === 'replication') {
    const replicated = options.withoutMantis ? { ...replicatedRedis, name: 'Redis again' } : replicatedMantis;
    await measureReplication(replicated, options);
  }
  const { keys: elements, isChosen } = options;
  if (suite === 'memory') console.log(await compareCollectionMemory(ours, redis, elements, isChosen, log));
  if (suite === 'repair') console.log(await measureRepairs(probedMantis, elements, log));
  if (suite === 'pauses') console.log(await measurePauses(probedMantis, isChosen, { elements, freePorts, log }));
  if (suite === 'eviction') {
    if (isChosen('hits')) console.log(`${await compareEviction(ours, redis, { rounds, log })}\n`);
    console.log(await compareBounds(ours, redis, EVICTION_BYTES_MAX, isChosen, log));
  }
  if (suite === 'stores') {
    console.log(await measureStores(mantisWith, mantisProgram, { rounds, keys: options.keys, log }));
  }
  if (suite === 'durability') console.log(await compareDurability(mantisWith, { rounds, requests, log }));
  if (options.cases.length > 0) await measureStrings(ours, options);
  if (options.collectionCases.length > 0) await measureCollections(ours, options);
  if (options.memory) console.log(await compareMemory(ours, redis, options.keys));
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
