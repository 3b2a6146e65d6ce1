/** Loads under which the process must stay within `maxmemory`: each goes on writing when the bound was reached long ago. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from './connection.ts';
import { type Contender, MeasuredServer } from './measured-server.ts';
import { table } from './statistics.ts';

type Command = readonly string[];

interface MemoryLoad {
  name: string;
  /** The `index`-th command. */
  command: (index: number) => Command;
  /** Commands for each mebibyte of `maxmemory`: what they write is about three times what fits. */
  commandsPerMebibyte: number;
  /** Commands that are on their way at once. */
  inFlight: number;
  policy?: string;
  args?: (directory: string) => string[];
  /** `maxmemory` is set to this share of it, and then the load goes on. */
  loweredTo?: number;
}

const name = (index: number): string => `key:${String(index).padStart(12, '0')}`;
const filler = 'x'.repeat(1 << 20);

/** A whole number below `below` that follows from the index: the same in each run. */
function drawn(index: number, below: number): number {
  let mixed = Math.imul(index ^ (index >>> 16), 0x45d9f3b);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b);
  return ((mixed ^ (mixed >>> 16)) >>> 0) % below;
}

const elements = (count: number, of: (at: number) => string[]): string[] =>
  Array.from({ length: count }, (_, at) => of(at)).flat();

const small = (index: number): Command => ['SET', name(index), filler.slice(0, 64)];
const hash = (index: number): Command => ['HSET', name(index), 'a', 'value1', 'b', 'value2', 'c', 'value3'];

/** Collections of ten, of each type in turn. */
function collectionOfTen(index: number): Command {
  const member = (at: number): string => `member:${at}:${index}`;
  if (index % 3 === 0) return ['SADD', name(index), ...elements(10, (at) => [member(at)])];
  if (index % 3 === 1) return ['ZADD', name(index), ...elements(10, (at) => [String(at), member(at)])];
  return ['RPUSH', name(index), ...elements(10, (at) => [member(at)])];
}

/** Collections of a thousand, a hundred elements a command. */
function collectionOfThousand(index: number): Command {
  const key = Math.floor(index / 10);
  const member = (at: number): string => `member:${index}:${at}`;
  if (key % 3 === 0) return ['SADD', name(key), ...elements(100, (at) => [member(at)])];
  if (key % 3 === 1) return ['ZADD', name(key), ...elements(100, (at) => [String(drawn(at, 1e6)), member(at)])];
  return ['HSET', name(key), ...elements(100, (at) => [member(at), member(at)])];
}

/** Hashes of a million fields grow, a hundred fields a command, and small strings come in between. */
function collectionOfMillion(index: number): Command {
  if (index % 10 !== 0) return small(index);
  const hundredth = index / 10;
  const field = (at: number): string => `field:${hundredth}:${at}`;
  return ['HSET', name(Math.floor(hundredth / 10_000)), ...elements(100, (at) => [field(at), String(at)])];
}

export const memoryLoads: readonly MemoryLoad[] = [
  { name: 'strings-64', command: small, commandsPerMebibyte: 20_000, inFlight: 1000 },
  {
    name: 'strings-10k-1m',
    command: (index) => ['SET', name(index), filler.slice(0, Math.floor(10_000 * 100 ** (drawn(index, 1000) / 1000)))],
    commandsPerMebibyte: 15,
    inFlight: 20,
  },
  { name: 'hashes-3', command: hash, commandsPerMebibyte: 12_000, inFlight: 1000 },
  { name: 'collections-10', command: collectionOfTen, commandsPerMebibyte: 4500, inFlight: 200 },
  { name: 'collections-1000', command: collectionOfThousand, commandsPerMebibyte: 300, inFlight: 20 },
  { name: 'collections-1m', command: collectionOfMillion, commandsPerMebibyte: 10_000, inFlight: 200 },
  {
    name: 'growing-sizes',
    // Twelve times what fits at the last sizes, so that what is there was written a little while ago.
    command: (index) => ['SET', name(index), filler.slice(0, 100 + Math.min(1900, Math.floor(index / 250)))],
    commandsPerMebibyte: 6000,
    inFlight: 1000,
  },
  {
    name: 'expiring',
    command: (index) => [...small(index), 'PX', String(500 + drawn(index, 60_000))],
    commandsPerMebibyte: 20_000,
    inFlight: 1000,
    policy: 'volatile-ttl',
  },
  {
    name: 'stored',
    command: (index) => ['SET', name(index), filler.slice(0, 200)],
    commandsPerMebibyte: 8000,
    inFlight: 1000,
    args: (directory) => ['--data-dir', directory],
  },
  {
    name: 'read-through',
    command: (index) => ['SET', name(index), filler.slice(0, 200)],
    commandsPerMebibyte: 8000,
    inFlight: 1000,
    args: (directory) => ['--data-dir', directory, '--read-through', 'yes'],
  },
  {
    name: 'lowered-strings',
    command: (index) => ['SET', name(index), filler.slice(0, 40 + drawn(index, 400))],
    commandsPerMebibyte: 8000,
    inFlight: 1000,
    loweredTo: 0.5,
  },
  { name: 'lowered-hashes', command: hash, commandsPerMebibyte: 10_000, inFlight: 1000, loweredTo: 0.5 },
];

/** What a server has become under a load, in bytes. */
interface MemoryOutcome {
  bytesMax: number;
  /** `used_memory` at the end. */
  countedBytes: number;
  /** Growth of the process's own memory over what it took when it was empty: the most that was seen, and at the end. */
  ownMostBytes: number;
  ownBytes: number;
  /** The most of its resident memory, which has the pages of mapped files besides. */
  residentMostBytes: number;
  keys: number;
}

/** Time after which an empty process has given back what it does not keep. */
const SETTLING_MS = 1500;
const SAMPLES_MS = 50;

async function send(connection: Connection, load: MemoryLoad, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += load.inFlight) {
    const count = Math.min(load.inFlight, to - at);
    connection.send(Array.from({ length: count }, (_, index) => load.command(at + index)));
    await connection.command('PING');
  }
}

/** Runs a load on a fresh server that has been warmed up with a little of it. */
async function runMemoryLoad(
  contender: Contender,
  load: MemoryLoad,
  bytesMax: number,
  directory: string,
): Promise<MemoryOutcome> {
  const extra = ['--maxmemory', String(bytesMax), '--maxmemory-policy', load.policy ?? 'allkeys-lru'];
  const server = await MeasuredServer.start({
    ...contender,
    args: (...ports) => [...contender.args(...ports), ...extra, ...(load.args?.(directory) ?? [])],
  });
  const connection = await Connection.open(server.port);
  const commands = load.commandsPerMebibyte * (bytesMax / (1 << 20));
  await send(connection, load, 0, Math.ceil(commands / 60));
  await connection.command('FLUSHALL');
  await delay(SETTLING_MS);
  const empty = server.residentMemory();
  const most = { ownBytes: 0, allBytes: 0 };
  const sampling = setInterval(() => {
    const { ownBytes, allBytes } = server.residentMemory();
    most.ownBytes = Math.max(most.ownBytes, ownBytes);
    most.allBytes = Math.max(most.allBytes, allBytes);
  }, SAMPLES_MS);
  await send(connection, load, 0, commands);
  if (load.loweredTo !== undefined) {
    bytesMax = Math.floor(bytesMax * load.loweredTo);
    await connection.command('CONFIG', 'SET', 'maxmemory', String(bytesMax));
    await delay(SETTLING_MS);
    most.ownBytes = most.allBytes = 0;
    await send(connection, load, commands, Math.ceil(commands * 1.3));
  }
  clearInterval(sampling);
  const info = await connection.command('INFO', 'memory');
  const outcome: MemoryOutcome = {
    bytesMax,
    countedBytes: Number(/^used_memory:(\d+)/m.exec(info)?.[1]),
    ownMostBytes: most.ownBytes - empty.ownBytes,
    ownBytes: server.residentMemory().ownBytes - empty.ownBytes,
    residentMostBytes: most.allBytes - empty.allBytes,
    keys: Number(await connection.command('DBSIZE')),
  };
  connection.close();
  await server.stop();
  return outcome;
}

/** How far the process of each grows beyond `maxmemory` under each load, and what it keeps. */
export async function compareBounds(
  ours: Contender,
  theirs: Contender,
  bytesMax: number,
  isChosen: (name: string) => boolean,
  log: (line: string) => void,
): Promise<string> {
  const rows: string[][] = [];
  for (const load of memoryLoads.filter(({ name }) => isChosen(name))) {
    const row = [load.name];
    for (const contender of [ours, theirs]) {
      // The stores are Mantis's own.
      if (contender === theirs && load.args !== undefined) continue;
      log(`${load.name}, ${contender.name}`);
      const directory = mkdtempSync(join(tmpdir(), 'mantis-bench-'));
      try {
        const outcome = await runMemoryLoad(contender, load, bytesMax, directory);
        const share = (bytes: number): string => `${((bytes / outcome.bytesMax) * 100).toFixed(1)} %`;
        const { countedBytes, ownMostBytes, ownBytes, residentMostBytes, keys } = outcome;
        row.push(...[countedBytes, ownMostBytes, ownBytes, residentMostBytes].map(share), keys.toLocaleString('en'));
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    }
    while (row.length < 11) row.push('');
    rows.push(row);
  }
  const columns = ({ name }: Contender): string[] => [
    `${name}: used_memory`,
    'own, most',
    'own, end',
    'RSS, most',
    'keys',
  ];
  return table(['of maxmemory', ...columns(ours), ...columns(theirs)], rows);
}
