/** SWAPDB, as writes that replicate: both databases are flushed, and written anew with what the other one held. */
import type { Database } from '../database.ts';
import { flushDatabase } from '../tombstones/floor.ts';
import { forEachKey } from '../index/key-scan.ts';
import type { Keyspace } from '../keyspace.ts';
import { type FrozenKey, freezeKey, moveKey } from './frozen-key.ts';

/** A key that is on its way to another database. */
interface Moving {
  key: Buffer;
  content: FrozenKey;
}

/** Exchanges what commands see in two databases. Everything is a new local write afterwards, counters plain numbers. */
export function swapDatabases(keyspace: Keyspace, first: Database, second: Database): void {
  const toSecond = collect(keyspace, first);
  const toFirst = collect(keyspace, second);
  flushDatabase(keyspace, first);
  flushDatabase(keyspace, second);
  write(keyspace, second, toSecond);
  write(keyspace, first, toFirst);
}

function collect(keyspace: Keyspace, database: Database): Moving[] {
  const found: Moving[] = [];
  forEachKey(keyspace, database, (ref) => {
    keyspace.readKey(ref);
    const { keyBuffer, keyStart, keyLength } = keyspace;
    const key = Buffer.from(keyBuffer.subarray(keyStart, keyStart + keyLength));
    found.push({ key, content: freezeKey(keyspace, ref) });
  });
  return found;
}

function write(keyspace: Keyspace, database: Database, keys: readonly Moving[]): void {
  for (const { key, content } of keys) moveKey(keyspace, database, key, 0, key.length, content);
}
