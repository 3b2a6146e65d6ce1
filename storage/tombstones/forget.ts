/**
 * What nobody needs leaves memory, and how new it was is noted: a node that still remembers it would take what is written here under a
 * lesser version for older.
 */
import { stampHiOf, stampLoOf } from '../../protocol/stamp.ts';
import { EXPIRED, OBJECT, TYPE_HASH } from '../arena/block.ts';
import { type Collection, compareVersion } from '../collections/collection.ts';
import { ELEMENT_COUNTED, ELEMENT_EXPIRED } from '../collections/element-layout.ts';
import { decodeElementCounter, dropElement } from '../collections/element-writes.ts';
import { readBirth } from '../collections/key-registers.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';
import { buryExpired, readCounter } from '../types/counter.ts';

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
    const collection = keyspace.glanceAt(ref);
    const { maxHi, maxLo, maxOrigin, floorHi, floorLo, floorOrigin } = collection;
    note(maxHi, maxLo, maxOrigin);
    note(floorHi, floorLo, floorOrigin);
    noteLapsedFields(keyspace, collection);
  }
  // Who remembers a key that has lapsed buries it up to its deadline where it is made anew.
  const deadlineMs = (flags & EXPIRED) !== 0 ? keyspace.deadlineOf(ref) : 0;
  if (deadlineMs > 0 && deadlineMs <= keyspace.clock.nowMs)
    note(stampHiOf(deadlineMs), stampLoOf(deadlineMs, 0), nodes.indexOf(0, 0));
  if ((flags & (EXPIRED | OBJECT)) === EXPIRED) noteLapsed(keyspace, database, ref);
  keyspace.drop(database, hash, ref);
}

/** A hash of which all fields have lapsed has not lapsed itself: what each had is buried by itself. */
function noteLapsedFields(keyspace: Keyspace, collection: Collection): void {
  if (collection.expired === null) return;
  const { waiting, sealed } = collection.expired;
  for (const refs of [waiting, sealed]) {
    for (const ref of refs) if (keyspace.elements.isExpired(ref, collection.slot)) noteField(keyspace, collection, ref);
  }
}

/** The key's hash is the digests' last. */
function noteLapsed(keyspace: Keyspace, database: Database, ref: number): void {
  const { keyHi, keyLo } = keyspace.digests;
  const state = readCounter(keyspace, ref);
  keyspace.readVersion(ref);
  buryExpired(keyspace, state);
  database.lapsedSums.note(keyHi, keyLo, keyspace.stampHi, keyspace.stampLo, keyspace.origin);
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
  const { forgotten, lapsedSums } = keyspace.databases[collection.database];
  let [hi, lo, origin] = [elements.stampHiOf(ref), elements.stampLoOf(ref), elements.originOf(ref)];
  // The sums of one that has lapsed: nothing may be lower than what keeps them dead.
  const isCounted = (elements.flagsOf(ref) & ELEMENT_COUNTED) !== 0;
  for (const entry of isCounted ? decodeElementCounter(keyspace, ref).entries : []) {
    if (compareVersion(nodes, entry.beginHi, entry.beginLo, entry.origin, hi, lo, origin) > 0)
      [hi, lo, origin] = [entry.beginHi, entry.beginLo, entry.origin];
  }
  forgotten.note(nodes, digests.keyHi, hi, lo, origin, false);
  if ((elements.flagsOf(ref) & ELEMENT_EXPIRED) === 0) return;
  elements.readName(ref);
  const hash = digests.hashElement(TYPE_HASH, elements.nameBuffer, elements.nameStart, elements.nameLength);
  lapsedSums.note(digests.mix(digests.keyHi, hash) >>> 0, digests.mix(digests.keyLo, hash) >>> 0, hi, lo, origin);
}
