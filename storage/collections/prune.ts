/**
 * Takes away what of a collection a floor has reached while the rest stays: a DEL or FLUSHDB of another node that had not seen all of
 * it. A large collection is gone through in steps between other work: what is not reached yet stays visible for that long, as
 * if the floor had come a little later. What is written meanwhile is above the floor, and what the floor has reached is taken
 * from nobody any more.
 */
import type { Keyspace } from '../keyspace.ts';
import { type Collection, ElementCursor } from './collection.ts';
import { pruneElement } from './element-merge.ts';
import { beginChange, endChange } from './element-writes.ts';

/** Collections up to this size are done at once. */
const PRUNED_AT_ONCE = 2000;
const ELEMENTS_A_VISIT = 1000;

/** To be called in a change of the collection, whose floor was raised. */
export function pruneUnderFloor(keyspace: Keyspace, collection: Collection): void {
  const { pruning } = keyspace;
  const size = collection.count + collection.tombstones.length + collection.sealed.length;
  if (!keyspace.prunesInSteps || size <= PRUNED_AT_ONCE) {
    const cursor = new ElementCursor();
    while (collection.walk(cursor, ELEMENTS_A_VISIT, (ref) => pruneElement(keyspace, collection, ref), true));
    return;
  }
  // What was gone through under a lower floor is gone through again.
  pruning.set(collection, new ElementCursor());
  keyspace.objects.onGarbage();
}

/** Goes on with what is left of large collections, about `limit` elements; true when nothing is. No collection may be open. */
export function pruneSome(keyspace: Keyspace, limit: number): boolean {
  const { pruning, objects } = keyspace;
  for (const [collection, cursor] of pruning) {
    if (!objects.holds(collection)) {
      pruning.delete(collection);
      continue;
    }
    beginChange(keyspace, collection);
    const more = collection.walk(cursor, limit, (ref) => pruneElement(keyspace, collection, ref), true);
    endChange(keyspace, collection, false);
    if (!more) pruning.delete(collection);
    break;
  }
  return pruning.size === 0;
}
