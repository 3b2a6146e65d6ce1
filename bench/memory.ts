import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from './connection.ts';
import { MeasuredServer, type Contender } from './measured-server.ts';
import { table } from './statistics.ts';

const valueBytes = 64;

interface MemoryPerKey {
  name: string;
  usedBytes: number;
  residentBytes: number;
}

/** Bytes a key by the server's own count and by the kernel's, as the growth of a fresh server that is filled. */
async function measure(contender: Contender, keys: number): Promise<MemoryPerKey> {
  const server = await MeasuredServer.start(contender);
  try {
    const usedBefore = await server.usedMemoryBytes();
    const residentBefore = server.residentBytes();
    const connection = await Connection.open(server.port);
    await connection.fill(keys, valueBytes);
    const size = await connection.command('DBSIZE');
    if (Number(size) !== keys) throw new Error(`${server.name} holds ${size} keys instead of ${keys}`);
    connection.close();
    // A moment for a table that is still being grown, and for pages that the allocator gives back.
    await delay(1000);
    const usedBytes = ((await server.usedMemoryBytes()) - usedBefore) / keys;
    return { name: server.name, usedBytes, residentBytes: (server.residentBytes() - residentBefore) / keys };
  } finally {
    await server.stop();
  }
}

export async function compareMemory(ours: Contender, theirs: Contender, keys: number): Promise<string> {
  const mine = await measure(ours, keys);
  const other = await measure(theirs, keys);
  const row = (title: string, pick: (memory: MemoryPerKey) => number): string[] => [
    title,
    pick(mine).toFixed(1),
    pick(other).toFixed(1),
    (pick(mine) / pick(other)).toFixed(2),
  ];
  return table(
    [`bytes a key at ${keys.toLocaleString('en')} keys`, mine.name, other.name, 'ratio'],
    [row('used_memory', (memory) => memory.usedBytes), row('resident', (memory) => memory.residentBytes)],
  );
}
