/** What keys cost, in bytes. */
import { LARGE, LONG_KEY, OBJECT, longKeySlot } from './block.ts';
import { ElementCursor } from '../collections/collection.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';

/** A slot of the index is a hash and a reference; at most 85 of 100 are in use. */
const INDEX_BYTES_A_KEY = 8 / 0.85;
/** As in MEMORY USAGE of Redis. */
export const SAMPLES_DEFAULT = 5;
/** A place in the heap of deadlines: the deadline and a reference. */
const DEADLINE_BYTES_A_KEY = 12;

/** Bytes that one key costs: its block, what of it lives outside the arena, its slot in the index, its elements. */
export function keyBytes(keyspace: Keyspace, ref: number, samples = SAMPLES_DEFAULT): number {
  const { arena } = keyspace;
  const flags = keyspace.flagsOf(ref);
  let bytes = arena.capacity(ref) + INDEX_BYTES_A_KEY;
  if ((flags & LONG_KEY) !== 0) bytes += arena.large.buffers[longKeySlot(arena, ref)].length;
  if ((flags & LARGE) !== 0) {
    keyspace.readPayload(ref, flags);
    bytes += keyspace.valueBuffer.length;
  }
  if ((flags & OBJECT) !== 0) bytes += collectionBytes(keyspace, ref, samples);
  if (keyspace.deadlineOf(ref) > 0) bytes += DEADLINE_BYTES_A_KEY;
  return Math.ceil(bytes);
}

/** A collection's bytes: its index, and its elements by the average of `samples` of them; 0 for all. */
function collectionBytes(keyspace: Keyspace, ref: number, samples: number): number {
  const collection = keyspace.collectionAt(ref);
  const cursor = new ElementCursor();
  let seen = 0;
  let bytes = 0;
  const limit = samples === 0 ? Infinity : samples;
  let more = true;
  while (more && seen < limit) {
    more = collection.walk(cursor, Math.min(limit, 1000), (element) => {
      seen++;
      bytes += collection.bytesOf(element);
    });
  }
  return collection.bytes + collection.orderBytes + (more ? (bytes / seen) * collection.count : bytes);
}

/** Bytes of a database's index. */
export function indexBytes(database: Database): number {
  return database.index.bytes;
}

/** Bytes of a database's deadlines, about. */
export function deadlineBytes(database: Database): number {
  return database.deadlines.length * DEADLINE_BYTES_A_KEY;
}
