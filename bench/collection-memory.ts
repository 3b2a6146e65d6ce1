/** What elements of each type cost in collections of 10, of 1,000 and of many elements, beside redis-server. */
import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from './connection.ts';
import { MeasuredServer, type Contender } from './measured-server.ts';
import { table } from './statistics.ts';

/** Small collections are packed when nobody has used them for 10 seconds; 50,000 of them a second. */
const PACKING_MS = 16_000;
const GROWING_MS = 1000;
const SMALL = 10;
const MIDDLE = 1000;
const ELEMENTS_A_COMMAND = 500;

/** Arguments of the command that adds element `index` to a key. */
type Adder = (index: number) => string[];

const name = (index: number): string => `e${String(index).padStart(9, '0')}`;

const types: { name: string; command: string; add: Adder; alone?: boolean }[] = [
  { name: 'list', command: 'RPUSH', add: (index) => [name(index)] },
  { name: 'set', command: 'SADD', add: (index) => [name(index)] },
  { name: 'hash', command: 'HSET', add: (index) => [name(index), name(index)] },
  { name: 'sorted set', command: 'ZADD', add: (index) => [String((index * 7919) % 1_000_003), name(index)] },
  // An entry a command: its id is of its own making.
  { name: 'stream', command: 'XADD', add: (index) => ['*', 'field', name(index)], alone: true },
];

/** Fills a fresh server with as many keys as it takes; bytes an element by the server's own count. */
async function measure(
  contender: Contender,
  type: (typeof types)[number],
  size: number,
  total: number,
): Promise<number> {
  const server = await MeasuredServer.start(contender);
  try {
    const before = await server.usedMemoryBytes();
    const connection = await Connection.open(server.port);
    const perCommand = type.alone === true ? 1 : Math.min(size, ELEMENTS_A_COMMAND);
    let waiting: Promise<string>[] = [];
    for (let index = 0; index < total; index += perCommand) {
      const count = Math.min(perCommand, total - index);
      const args = Array.from({ length: count }, (_, at) => type.add(index + at)).flat();
      waiting.push(
        connection.command(type.command, `key:${String(Math.floor(index / size)).padStart(8, '0')}`, ...args),
      );
      if (waiting.length < 100) continue;
      await Promise.all(waiting);
      waiting = [];
    }
    for (const reply of await Promise.all(waiting)) if (reply.startsWith('-')) throw new Error(reply);
    connection.close();
    await delay(size === SMALL ? PACKING_MS : GROWING_MS);
    return ((await server.usedMemoryBytes()) - before) / total;
  } finally {
    await server.stop();
  }
}

/** @param total elements in all keys of one measurement together, and in the one key of the largest */
export async function compareCollectionMemory(
  ours: Contender,
  theirs: Contender,
  total: number,
  log: (line: string) => void,
): Promise<string> {
  const rows: string[][] = [];
  for (const type of types) {
    for (const size of [SMALL, MIDDLE, total]) {
      log(`${type.name}, ${size} elements`);
      const mine = await measure(ours, type, size, total);
      const other = await measure(theirs, type, size, total);
      const title = `${type.name} of ${size.toLocaleString('en')}`;
      rows.push([title, mine.toFixed(1), other.toFixed(1), (mine / other).toFixed(2)]);
    }
  }
  return table(['bytes an element', ours.name, theirs.name, 'ratio'], rows);
}
