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

export const collectionTypes: readonly { name: string; command: string; add: Adder; alone?: boolean }[] = [
  { name: 'list', command: 'RPUSH', add: (index) => [name(index)] },
  { name: 'set', command: 'SADD', add: (index) => [name(index)] },
  { name: 'hash', command: 'HSET', add: (index) => [name(index), name(index)] },
  { name: 'sorted set', command: 'ZADD', add: (index) => [String((index * 7919) % 1_000_003), name(index)] },
  // An entry a command: its id is of its own making.
  { name: 'stream', command: 'XADD', add: (index) => ['*', 'field', name(index)], alone: true },
];

/** Fills as many keys as it takes with `total` elements, `size` each; so many commands are on their way at once. */
export async function fillCollections(
  port: number,
  type: (typeof collectionTypes)[number],
  size: number,
  total: number,
  inFlight = 100,
): Promise<void> {
  const connection = await Connection.open(port);
  const perCommand = type.alone === true ? 1 : Math.min(size, ELEMENTS_A_COMMAND);
  let waiting: Promise<string>[] = [];
  const settle = async (): Promise<void> => {
    for (const reply of await Promise.all(waiting)) if (reply.startsWith('-')) throw new Error(reply);
    waiting = [];
  };
  for (let index = 0; index < total; index += perCommand) {
    const count = Math.min(perCommand, total - index);
    const args = Array.from({ length: count }, (_, at) => type.add(index + at)).flat();
    const key = `key:${String(Math.floor(index / size)).padStart(8, '0')}`;
    waiting.push(connection.command(type.command, key, ...args));
    if (waiting.length === inFlight) await settle();
  }
  await settle();
  connection.close();
}

/** Fills a fresh server; bytes an element by the server's own count. */
async function measure(
  contender: Contender,
  type: (typeof collectionTypes)[number],
  size: number,
  total: number,
): Promise<number> {
  const server = await MeasuredServer.start(contender);
  try {
    const before = await server.usedMemoryBytes();
    await fillCollections(server.port, type, size, total);
    await delay(size === SMALL ? PACKING_MS : GROWING_MS);
    return ((await server.usedMemoryBytes()) - before) / total;
  } finally {
    await server.stop();
  }
}

/**
 * @param total elements in all keys of one measurement together, and in the one key of the largest
 * @param isChosen whether a type, by its name, is measured
 */
export async function compareCollectionMemory(
  ours: Contender,
  theirs: Contender,
  total: number,
  isChosen: (name: string) => boolean,
  log: (line: string) => void,
): Promise<string> {
  const rows: string[][] = [];
  for (const type of collectionTypes.filter(({ name }) => isChosen(name))) {
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
