/**
 * Local writes of collections. A command that changes elements is:
 *
 *   const collection = openCollection(keyspace, database, ref, type, key, keyStart, keyLength);   // ref: what lookup found
 *   putElement(…), removeElement(…), …
 *   endChange(keyspace, collection, true);
 *
 * All changes of one command carry one stamp, the clock's. Nothing may fail between the first and the last line.
 */
import { KIND_KEY_FIRST, KIND_KEY_FLOOR } from '../../protocol/collection-kinds.ts';
import { EXPIRED, HIDDEN, OBJECT } from '../arena/block.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';
import { stampHiOf, stampLoOf } from '../../protocol/stamp.ts';
import type { Collection } from './collection.ts';
import { ELEMENT_COUNTED, ELEMENT_DEAD } from './element-layout.ts';
import {
  beginChange,
  decodeElementCounter,
  dropElement,
  endChange,
  endUnseen,
  markElement,
  writeElement,
  writePlain,
} from './element-writes.ts';
import { markFloor, readBirth } from './key-registers.ts';
import { typeOfKind } from './kinds.ts';
import { applyCollectionRecord } from './merge.ts';
import { dropShadow, raiseFloorOverShadow, takeShadow } from './shadow.ts';
import { makeCollection } from './types.ts';

const NO_BYTES = Buffer.alloc(0);

/**
 * Opens the collection at a key for changes; makes it when `ref`, which `keyspace.lookup` has just returned, is 0. The caller
 * has seen to it that a key that is there has the type. `endChange` must follow.
 */
export function openCollection(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  type: number,
  key: Buffer,
  keyStart: number,
  keyLength: number,
): Collection {
  if (ref === 0) return createCollection(keyspace, database, type, key, keyStart, keyLength);
  keyspace.clock.tick();
  const collection = keyspace.collectionAt(ref);
  beginChange(keyspace, collection);
  return collection;
}

/** Makes the collection at a key that commands do not see, above everything that is left there. */
function createCollection(
  keyspace: Keyspace,
  database: Database,
  type: number,
  key: Buffer,
  keyStart: number,
  keyLength: number,
): Collection {
  const ref = keyspace.find(database, key, keyStart, keyLength);
  const { hash } = keyspace;
  const old = ref !== 0 && (keyspace.flagsOf(ref) & OBJECT) !== 0 ? keyspace.collectionAt(ref) : null;
  let collection: Collection;
  if (old !== null && old.type === type) {
    // One that a later deadline has brought back without its elements is hidden for want of them, and not as expired.
    if ((keyspace.flagsOf(ref) & EXPIRED) !== 0 || keyspace.isPastDeadline(ref)) buryExpired(keyspace, old);
    else if (old.missing !== null && old.isBare) old.raiseFloor(old.missing.hi, old.missing.lo, old.missing.origin);
    collection = old;
  } else {
    collection = makeCollection(type, keyspace);
    keyspace.objects.add(collection);
    if (old !== null) collection.raiseFloor(old.floorHi, old.floorLo, old.floorOrigin);
    if (ref !== 0) {
      readBirth(keyspace, ref);
      collection.raiseFloor(keyspace.stampHi, keyspace.stampLo, keyspace.origin);
    }
  }
  collection.began();
  if (ref !== 0 && collection.floorHi !== 0) markFloor(keyspace, collection, true);
  keyspace.beginLocal(0);
  keyspace.putObject(database, hash, ref, key, keyStart, keyLength, collection, HIDDEN, true);
  if (database.shadows.size > 0) revealOfType(keyspace, database, key, keyStart, keyLength, type);
  // What goes in is the change: `endChange` counts it.
  keyspace.changes--;
  beginChange(keyspace, collection);
  return collection;
}

/**
 * What others have written into a collection of the type, without its beginning having come yet, is part of the one that begins now; what is
 * hidden of other types is older than that, and dead.
 */
function revealOfType(
  keyspace: Keyspace,
  database: Database,
  key: Buffer,
  keyStart: number,
  keyLength: number,
  type: number,
): void {
  const isWanted = (kind: number): boolean =>
    kind === KIND_KEY_FLOOR || (kind >= KIND_KEY_FIRST && typeOfKind(kind) === type);
  takeShadow(database, key, keyStart, keyLength, isWanted, (record) =>
    applyCollectionRecord(keyspace, database, record),
  );
  dropShadow(database, key, keyStart, keyLength);
}

/**
 * What was hidden at its deadline is dead: all that is held, and everything up to the deadline, which every node derives alike. Where
 * the clock was set back, the deadline may be ahead of it again: what is written now would be dead with it.
 */
function buryExpired(keyspace: Keyspace, collection: Collection): void {
  const deadlineMs = Math.max(0, keyspace.deadlineOf(collection.ref));
  collection.raiseFloor(collection.maxHi, collection.maxLo, collection.maxOrigin);
  if (deadlineMs > keyspace.clock.nowMs) return;
  collection.raiseFloor(stampHiOf(deadlineMs), stampLoOf(deadlineMs, 0), keyspace.nodes.indexOf(0, 0));
}

/**
 * Gives an element a value, with the clock's stamp; `ref` is what `collection.find` has just found. Returns its block.
 */
export function putElement(
  keyspace: Keyspace,
  collection: Collection,
  ref: number,
  name: Uint8Array,
  nameStart: number,
  nameLength: number,
  value: Uint8Array,
  valueStart: number,
  valueLength: number,
): number {
  if (!keyspace.digesting && keyspace.elements.deadlineMs < 0) {
    const plain = writePlain(keyspace, collection, ref, name, nameStart, nameLength, value, valueStart, valueLength);
    if (plain !== 0) return plain;
  }
  const { clock } = keyspace;
  return writeElement(
    keyspace,
    collection,
    ref,
    0,
    clock.hi,
    clock.lo,
    0,
    name,
    nameStart,
    nameLength,
    value,
    valueStart,
    valueLength,
    true,
  );
}

/**
 * All that `openCollection`, `putElement` and `endUnseen` come to for a member of a visible set that is there and as it was, on a node
 * that keeps no digests: it gets a new stamp. False when it is not the case, and then nothing is done. `ref` is the member's block.
 */
export function renewMember(keyspace: Keyspace, database: Database, set: Collection, ref: number): boolean {
  const { clock, elements } = keyspace;
  if (keyspace.digesting || !elements.isRenewable(ref, 0)) return false;
  clock.tick();
  const { hi, lo } = clock;
  elements.restamp(ref, hi, lo);
  set.noteStamp(hi, lo, 0);
  database.noteStamp(hi, lo);
  set.touchedHi = hi;
  set.touchedLo = lo;
  keyspace.changes++;
  if (keyspace.storing || keyspace.feeding) {
    markElement(keyspace, set, ref, true);
    keyspace.objects.touched(set);
    keyspace.mark(database, set.ref, keyspace.flagsOf(set.ref), true);
  }
  return true;
}

/** Removes a visible element: its tombstone carries the stamp of the add that this node has seen. */
export function removeElement(keyspace: Keyspace, collection: Collection, ref: number): void {
  if (!keyspace.keepsTombstones) {
    dropElement(keyspace, collection, ref);
    return;
  }
  const { elements } = keyspace;
  let hi = elements.stampHiOf(ref);
  let lo = elements.stampLoOf(ref);
  let origin = elements.originOf(ref);
  if ((elements.flagsOf(ref) & ELEMENT_COUNTED) !== 0) {
    for (const entry of decodeElementCounter(keyspace, ref).entries) {
      if (entry.beginHi < hi || (entry.beginHi === hi && entry.beginLo < lo)) continue;
      if (entry.beginHi === hi && entry.beginLo === lo && keyspace.nodes.compare(entry.origin, origin) <= 0) continue;
      hi = entry.beginHi;
      lo = entry.beginLo;
      origin = entry.origin;
    }
  }
  elements.readName(ref);
  const { nameBuffer, nameStart, nameLength } = elements;
  elements.deadlineMs = -1;
  // A name in the arena stays where it is until the new block has it.
  writeElement(
    keyspace,
    collection,
    ref,
    ELEMENT_DEAD,
    hi,
    lo,
    origin,
    nameBuffer,
    nameStart,
    nameLength,
    NO_BYTES,
    0,
    0,
    true,
  );
}

/**
 * DEL of a collection that is there: the floor is raised to the greatest stamp of its elements, so that what other nodes
 * have added since survives. `ref` is the key's block.
 */
export function deleteCollection(keyspace: Keyspace, database: Database, hash: number, ref: number): void {
  const old = keyspace.collectionAt(ref);
  if (keyspace.digesting) keyspace.toggleDigest(database, ref);
  if (!keyspace.keepsTombstones) {
    keyspace.setHidden(database, ref, true);
    keyspace.touchedCollection(database, old, true);
    keyspace.drop(database, hash, ref);
    return;
  }
  keyspace.clock.tick();
  keyspace.readVersion(ref);
  const collection = keyspace.objects.empty(old.slot);
  collection.raiseFloor(collection.maxHi, collection.maxLo, collection.maxOrigin);
  collection.raiseFloor(keyspace.stampHi, keyspace.stampLo, keyspace.origin);
  keyspace.readKey(ref);
  raiseFloorOverShadow(keyspace, database, collection, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
  markFloor(keyspace, collection, true);
  keyspace.setHidden(database, ref, true);
  database.noteStamp(keyspace.clock.hi, keyspace.clock.lo);
  keyspace.touchedCollection(database, collection, true);
}

export { endChange, endUnseen };
