/**
 * What nobody needs leaves memory, and how new it was is noted: a node that still remembers it would take what is written here under a
 * lesser version for older.
 */
import { stampHiOf, stampLoOf } from '../../protocol/stamp.ts';
import { EXPIRED, OBJECT, TYPE_HASH } from '../arena/block.ts';
import { type Collection, compareVersion } from '../collections/collection.ts';
import { ELEMENT_COUNTED } from '../collections/element-layout.ts';
import { decodeElementCounter, dropElement } from '../collections/element-writes.ts';
import { readBirth } from '../collections/key-registers.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';

/** Drops a hidden key. */
export function forgetKey(keyspace: Keyspace, database: Database, hash: number, ref: number): void {
  const { digests, nodes } = keyspace;
  keyspace.readKey(ref);
  digests.hashKey(database.number, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
  const { keyHi } = digests;
  const note = (hi: number, lo: number, origin: number): void =>
    database.forgotten.note(nodes, keyHi, hi, lo, origin, true);
  const flags = keyspace.flagsOf(ref);
  readBirth(keyspace, ref);
  note(keyspace.stampHi, keyspace.stampLo, keyspace.origin);
  if ((flags & OBJECT) !== 0) {
    const { maxHi, maxLo, maxOrigin, floorHi, floorLo, floorOrigin } = keyspace.glanceAt(ref);
    note(maxHi, maxLo, maxOrigin);
    note(floorHi, floorLo, floorOrigin);
  }
  // Who remembers a key that has lapsed buries it up to its deadline where it is made anew.
  const deadlineMs = (flags & EXPIRED) !== 0 ? keyspace.deadlineOf(ref) : 0;
  if (deadlineMs > 0 && deadlineMs <= keyspace.clock.nowMs)
    note(stampHiOf(deadlineMs), stampLoOf(deadlineMs, 0), nodes.indexOf(0, 0));
  keyspace.drop(database, hash, ref);
}

/** Drops a hidden element of a collection that is not open. Of all elements the fields of hashes alone have deadlines. */
export function forgetElement(keyspace: Keyspace, collection: Collection, ref: number): void {
  if (collection.type === TYPE_HASH) noteField(keyspace, collection, ref);
  dropElement(keyspace, collection, ref);
}

function noteField(keyspace: Keyspace, collection: Collection, ref: number): void {
  const { digests, nodes, elements } = keyspace;
  keyspace.readKey(collection.ref);
  digests.hashKey(collection.database, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
  const { forgotten } = keyspace.databases[collection.database];
  let [hi, lo, origin] = [elements.stampHiOf(ref), elements.stampLoOf(ref), elements.originOf(ref)];
  // The sums of one that has lapsed: nothing may be lower than what keeps them dead.
  const isCounted = (elements.flagsOf(ref) & ELEMENT_COUNTED) !== 0;
  for (const entry of isCounted ? decodeElementCounter(keyspace, ref).entries : []) {
    if (compareVersion(nodes, entry.beginHi, entry.beginLo, entry.origin, hi, lo, origin) > 0)
      [hi, lo, origin] = [entry.beginHi, entry.beginLo, entry.origin];
  }
  forgotten.note(nodes, digests.keyHi, hi, lo, origin, false);
}
