/** Local writes of HyperLogLogs: what this node has added, beside what other nodes have. */
import { OBJECT, TYPE_STRING } from '../arena/block.ts';
import type { HyperLogLogCollection } from '../collections/hyperloglog-collection.ts';
import { endChange, openCollection, putElement } from '../collections/local.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';
import { keptDeadline, setDeadline } from './string.ts';

/** The HyperLogLog in a string's block; null when the string was written as a string, by SET or by an earlier release. */
export function hyperLogLogAt(keyspace: Keyspace, ref: number): HyperLogLogCollection | null {
  if ((keyspace.flagsOf(ref) & OBJECT) === 0) return null;
  return keyspace.collectionAt(ref) as HyperLogLogCollection;
}

/** Leaves this node's part of a HyperLogLog in the keyspace's value fields; false when it has none. */
export function readOwnPart(keyspace: Keyspace, collection: HyperLogLogCollection): boolean {
  const { elements } = keyspace;
  const { ownName } = collection;
  const own = collection.find(ownName, 0, ownName.length);
  if (own === 0 || !elements.isVisible(own)) return false;
  elements.readPayload(own);
  keyspace.valueBuffer = elements.valueBuffer;
  keyspace.valueStart = elements.valueStart;
  keyspace.valueLength = elements.valueLength;
  return true;
}

/**
 * Makes `value` this node's part of the HyperLogLog in `ref`, which `keyspace.lookup` has just returned. A key that is missing, or
 * holds a HyperLogLog that was written as a string, becomes one that has parts; the deadline stays.
 */
export function putOwnPart(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  key: Buffer,
  keyStart: number,
  keyLength: number,
  value: Buffer,
): void {
  const isPart = ref !== 0 && (keyspace.flagsOf(ref) & OBJECT) !== 0;
  const deadlineMs = isPart ? 0 : keptDeadline(keyspace, ref);
  const opened = openCollection(keyspace, database, isPart ? ref : 0, TYPE_STRING, key, keyStart, keyLength);
  const collection = opened as HyperLogLogCollection;
  const { ownName } = collection;
  const own = collection.find(ownName, 0, ownName.length);
  putElement(keyspace, collection, own, ownName, 0, ownName.length, value, 0, value.length);
  endChange(keyspace, collection, true);
  if (deadlineMs === 0) return;
  const made = keyspace.find(database, key, keyStart, keyLength);
  setDeadline(keyspace, database, keyspace.hash, made, deadlineMs);
}
