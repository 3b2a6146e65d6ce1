/** The registers of the key itself, its creation, deadline and floor: read, and written by local changes and merges alike. */
import { HIDDEN, OBJECT } from '../arena/block.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';
import { birthOfString } from '../types/counter.ts';
import { CHANGED_FLOOR_FEED, CHANGED_FLOOR_STORE, type Collection } from './collection.ts';

/** Leaves in the pending version the stamp and origin at which the type that the block shows began. */
export function readBirth(keyspace: Keyspace, ref: number): void {
  keyspace.readVersion(ref);
  if ((keyspace.flagsOf(ref) & OBJECT) === 0) birthOfString(keyspace, ref);
}

/** Writes the pending version, a creation and a deadline, over a collection's own. Returns the block it is in now. */
export function rewriteKey(keyspace: Keyspace, database: Database, hash: number, ref: number, local: boolean): number {
  keyspace.readKey(ref);
  const key = Buffer.from(keyspace.keyBuffer.subarray(keyspace.keyStart, keyspace.keyStart + keyspace.keyLength));
  const hidden = keyspace.flagsOf(ref) & HIDDEN;
  return keyspace.putObject(database, hash, ref, key, 0, key.length, keyspace.collectionAt(ref), hidden, local);
}

export function markFloor(keyspace: Keyspace, collection: Collection, local: boolean): void {
  if (keyspace.storing) collection.changes |= CHANGED_FLOOR_STORE;
  if (local && keyspace.feeding) collection.changes |= CHANGED_FLOOR_FEED;
}
