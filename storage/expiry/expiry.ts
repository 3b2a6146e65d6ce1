/** Active expiry: keys, and fields of hashes, go at their deadline by themselves, on every node, without a message. */
import { HIDDEN } from '../arena/block.ts';
import { expireDueElements } from '../collections/element-expiry.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';

/**
 * Hides keys and fields whose deadline has passed, at most `limit` of each. Returns whether there may be more.
 */
export function expireDue(keyspace: Keyspace, limit: number): boolean {
  let left = limit;
  for (const database of keyspace.databases) {
    if (expireEvicted(keyspace, database, limit)) return true;
    const heap = database.deadlines;
    while (heap.length > 0 && heap.soonestMs < keyspace.clock.nowMs) {
      if (left-- === 0) return true;
      const ref = heap.soonestRef;
      const deadlineMs = heap.soonestMs;
      heap.pop();
      expireEntry(keyspace, database, ref, deadlineMs);
    }
  }
  return expireDueElements(keyspace, limit);
}

/** Peers hide an evicted key at its deadline, and its digest goes here. */
function expireEvicted({ clock, digests }: Keyspace, { evictedDigests }: Database, limit: number): boolean {
  return evictedDigests.expire(clock.nowMs, limit, (hashHi, _hashLo, hi, lo) => digests.toggleKey(hashHi, hi, lo));
}

function expireEntry(keyspace: Keyspace, database: Database, ref: number, deadlineMs: number): void {
  // The entry may be stale: the key was given an earlier deadline or none, moved, or is gone.
  if (!keyspace.isKeyBlock(ref) || (keyspace.flagsOf(ref) & HIDDEN) !== 0) return;
  const presentMs = keyspace.deadlineOf(ref);
  if (presentMs < deadlineMs) return;
  keyspace.readKey(ref);
  const hash = keyspace.hashOf(keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
  // A block of the same deadline may belong to another database's reused memory: the index has the last word.
  if (database.index.find(hash, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength) !== ref) return;
  if (presentMs < keyspace.clock.nowMs) keyspace.expire(database, hash, ref);
  // A deadline that was put off in the same block has no entry of its own yet.
  else database.deadlines.push(presentMs, ref);
}
