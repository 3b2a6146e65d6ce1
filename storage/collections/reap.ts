/** Tombstones of elements leave memory when nobody can bring back what they bury: see reaper.ts. */
import { compareStamp } from '../../protocol/stamp.ts';
import type { Keyspace } from '../keyspace.ts';
import type { Collection, ExpiredElements } from './collection.ts';
import { forgetElement } from '../tombstones/forget.ts';
import { keepExpired } from './element-writes.ts';

export interface StampBound {
  readonly hi: number;
  readonly lo: number;
}

/**
 * Gives up to `limit` tombstones of elements that were removed up to the stamp `deleted`, and elements that were hidden at their
 * own deadline up to `expired`, all of which every member and every store has; the caller drops them with `dropElements`, now or
 * soon. A tombstone carries the stamp of what it removes, not of the removal: so those of one visit wait, sealed with the clock,
 * for a later one.
 */
export function spentElements(
  keyspace: Keyspace,
  collection: Collection,
  deleted: StampBound,
  expired: StampBound,
  limit: number,
): number[] {
  const { clock } = keyspace;
  const spent: number[] = [];
  if (collection.sealed.length > 0 && compareStamp(collection.sealHi, collection.sealLo, deleted.hi, deleted.lo) <= 0) {
    takeSpent(keyspace, collection, collection.sealed, limit, spent);
  }
  if (collection.sealed.length === 0 && collection.tombstones.length > 0) {
    collection.sealed = collection.tombstones;
    collection.tombstones = [];
    collection.sealHi = clock.hi;
    collection.sealLo = clock.lo;
  }
  if (collection.expired !== null) spentExpired(keyspace, collection, collection.expired, expired, limit, spent);
  return spent;
}

function spentExpired(
  keyspace: Keyspace,
  collection: Collection,
  held: ExpiredElements,
  bound: StampBound,
  limit: number,
  spent: number[],
): void {
  if (held.sealed.length > 0 && compareStamp(held.sealHi, held.sealLo, bound.hi, bound.lo) <= 0) {
    takeSpent(keyspace, collection, held.sealed, limit - spent.length, spent);
  }
  if (held.sealed.length > 0) return;
  held.sealed = held.waiting;
  held.waiting = [];
  held.sealHi = keyspace.clock.hi;
  held.sealLo = keyspace.clock.lo;
  if (held.sealed.length === 0) collection.expired = null;
}

function takeSpent(keyspace: Keyspace, collection: Collection, from: number[], limit: number, spent: number[]): void {
  for (const ref of from.splice(0, limit)) {
    if (keyspace.elements.isSpent(ref, collection.slot)) spent.push(ref);
    // Written again since, or not stored yet: then it is looked at once more.
    else keepElement(keyspace, collection, ref);
  }
}

/** Drops elements that are still spent; returns how many. */
export function dropElements(keyspace: Keyspace, collection: Collection, refs: readonly number[]): number {
  let dropped = 0;
  for (const ref of refs) {
    if (!keyspace.elements.isSpent(ref, collection.slot)) {
      keepElement(keyspace, collection, ref);
      continue;
    }
    forgetElement(keyspace, collection, ref);
    dropped++;
  }
  if (dropped > 0) keyspace.objects.recount(collection);
  return dropped;
}

/** Puts an element among those that are looked at later. */
export function keepElement(keyspace: Keyspace, collection: Collection, ref: number): void {
  if (keyspace.elements.isTombstone(ref, collection.slot)) collection.tombstones.push(ref);
  else if (keyspace.elements.isExpired(ref, collection.slot)) keepExpired(collection, ref);
}
