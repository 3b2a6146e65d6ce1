/** Tombstones of elements leave memory when nobody can bring back what they bury: see reaper.ts. */
import { compareStamp } from '../../protocol/stamp.ts';
import type { Keyspace } from '../keyspace.ts';
import type { Collection } from './collection.ts';
import { dropElement } from './element-writes.ts';

/**
 * Gives up to `limit` tombstones of elements that were removed up to the stable stamp, all of which every member and every
 * store has; the caller drops them with `dropElements`, now or soon. A tombstone carries the stamp of what it removes, not of
 * the removal: so those of one visit wait, sealed with the clock, for a later one.
 */
export function spentElements(
  keyspace: Keyspace,
  collection: Collection,
  stable: { readonly hi: number; readonly lo: number },
  limit: number,
): number[] {
  const { elements, clock } = keyspace;
  const spent: number[] = [];
  if (collection.sealed.length > 0 && compareStamp(collection.sealHi, collection.sealLo, stable.hi, stable.lo) <= 0) {
    for (const ref of collection.sealed.splice(0, limit)) {
      if (elements.isSpentTombstone(ref, collection.slot)) spent.push(ref);
      // Written again since, or not stored yet: then it is looked at once more.
      else keepElement(keyspace, collection, ref);
    }
  }
  if (collection.sealed.length === 0 && collection.tombstones.length > 0) {
    collection.sealed = collection.tombstones;
    collection.tombstones = [];
    collection.sealHi = clock.hi;
    collection.sealLo = clock.lo;
  }
  return spent;
}

/** Drops tombstones that are still spent; returns how many. */
export function dropElements(keyspace: Keyspace, collection: Collection, refs: readonly number[]): number {
  let dropped = 0;
  for (const ref of refs) {
    if (!keyspace.elements.isSpentTombstone(ref, collection.slot)) {
      keepElement(keyspace, collection, ref);
      continue;
    }
    dropElement(keyspace, collection, ref);
    dropped++;
  }
  if (dropped > 0) keyspace.objects.recount(collection);
  return dropped;
}

/** Puts a tombstone back among those that are looked at later. */
export function keepElement(keyspace: Keyspace, collection: Collection, ref: number): void {
  if (keyspace.elements.isTombstone(ref, collection.slot)) collection.tombstones.push(ref);
}
