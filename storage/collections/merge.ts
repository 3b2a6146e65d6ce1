/**
 * Registers of collections from elsewhere. Of several types at one key the one that began last wins; its beginning, like the
 * key's floor, is what elements of other types, or from before, have to be above. docs/crdt.md has the rules by command.
 */
import {
  FLAG_EXPIRED,
  FLAG_HAS_DEADLINE,
  KIND_COUNTER,
  RecordError,
  RecordReader,
  RecordWriter,
} from '../../protocol/change-record.ts';
import {
  KIND_KEY_FIRST,
  KIND_KEY_FLOOR,
  isElementCounterKind,
  isElementKind,
  isKeyKind,
} from '../../protocol/collection-kinds.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import { COUNTER, EXPIRED, HIDDEN, OBJECT, TYPE_STRING } from '../arena/block.ts';
import type { Database } from '../database.ts';
import { encodeKey } from '../changes/encode.ts';
import type { Keyspace } from '../keyspace.ts';
import { type Collection, compareVersion } from './collection.ts';
import { mergeElement, mergeSum } from './element-merge.ts';
import { beginChange, endChange } from './element-writes.ts';
import { markFloor, readBirth, rewriteKey } from './key-registers.ts';
import { pruneUnderFloor } from './prune.ts';
import { addShadow, pruneShadow, shadowElements, takeShadow } from './shadow.ts';
import { hasCollectionType, makeCollection } from './types.ts';
import { keyKindOf, typeOfKind } from './kinds.ts';

const SUM_BYTES_MAX = 512;

/** @throws RecordError when a record of a collection cannot be what it says */
export function validateCollectionRecord(record: RecordReader): void {
  const { kind, buffer, elementStart, elementLength, valueLength } = record;
  if ((isKeyKind(kind) || isElementKind(kind)) && !hasCollectionType(typeOfKind(kind))) {
    throw new RecordError(`a register of kind ${kind}, which this release does not know`);
  }
  if (!isElementCounterKind(kind)) return;
  if (typeOfKind(kind) === TYPE_STRING) throw new RecordError('a sum in a HyperLogLog');
  if (elementLength < 12 || buffer.readUInt32LE(elementStart) !== elementLength - 12) {
    throw new RecordError('a sum in a collection whose element is not a field and an origin');
  }
  if (valueLength < 17 || valueLength > 16 + SUM_BYTES_MAX)
    throw new RecordError('a sum in a collection without a sum');
}

/** Merges a record of a collection's register that is above the database's floor. */
export function applyCollectionRecord(keyspace: Keyspace, database: Database, record: RecordReader): void {
  if (isKeyKind(record.kind)) applyKey(keyspace, database, record);
  else if (isElementKind(record.kind) || isElementCounterKind(record.kind)) applyElement(keyspace, database, record);
  else applyKeyFloor(keyspace, database, record);
}

function originOf(keyspace: Keyspace, record: RecordReader): number {
  return keyspace.nodes.indexOf(record.originHi, record.originLo);
}

/** Takes the record's version, with its deadline, for the pending one. */
function readRecordVersion(keyspace: Keyspace, record: RecordReader): void {
  keyspace.stampHi = record.stampHi;
  keyspace.stampLo = record.stampLo;
  keyspace.origin = originOf(keyspace, record);
  keyspace.deadlineMs = -1;
  if ((record.flags & FLAG_HAS_DEADLINE) === 0) return;
  keyspace.deadlineMs = record.deadlineMs;
  keyspace.deadlineStampHi = record.deadlineStampHi;
  keyspace.deadlineStampLo = record.deadlineStampLo;
  keyspace.deadlineOrigin = keyspace.nodes.indexOf(record.deadlineOriginHi, record.deadlineOriginLo);
}

/** A collection that has just been heard of: nothing of it may be forgotten on account of what was everywhere before. */
function newCollection(keyspace: Keyspace, type: number): Collection {
  const collection = makeCollection(type, keyspace);
  collection.touchedHi = keyspace.clock.hi;
  collection.touchedLo = keyspace.clock.lo;
  keyspace.objects.add(collection);
  return collection;
}

/** A hidden collection of unknown creation at the record's key. */
function makeHidden(
  keyspace: Keyspace,
  database: Database,
  hash: number,
  record: RecordReader,
  type: number,
): Collection {
  const collection = newCollection(keyspace, type);
  keyspace.stampHi = 0;
  keyspace.stampLo = 0;
  keyspace.origin = 0;
  keyspace.deadlineMs = -1;
  keyspace.putObject(database, hash, 0, record.buffer, record.keyStart, record.keyLength, collection, HIDDEN, false);
  return collection;
}

// ---- the key ----

function applyKey(keyspace: Keyspace, database: Database, record: RecordReader): void {
  const { buffer, keyStart, keyLength } = record;
  const type = typeOfKind(record.kind);
  const ref = keyspace.find(database, buffer, keyStart, keyLength);
  const { hash } = keyspace;
  if (ref === 0) {
    makeHidden(keyspace, database, hash, record, type);
    writeCreation(keyspace, database, hash, keyspace.find(database, buffer, keyStart, keyLength), record);
    return;
  }
  readBirth(keyspace, ref);
  const order = compareVersion(
    keyspace.nodes,
    record.stampHi,
    record.stampLo,
    originOf(keyspace, record),
    keyspace.stampHi,
    keyspace.stampLo,
    keyspace.origin,
  );
  const isObject = (keyspace.flagsOf(ref) & OBJECT) !== 0;
  if (isObject && keyspace.typeOf(ref) === type) {
    if (order > 0 || (order === 0 && hasLaterDeadline(keyspace, record, ref))) {
      const { storing, relaying } = keyspace;
      const wasLapsed = (keyspace.flagsOf(ref) & EXPIRED) !== 0;
      if (order > 0 && isLapsed(keyspace, ref)) {
        // Where reading several stores finds that out, none has the floor: one that is read alone would bring back what the key had.
        if (keyspace.hydrating) keyspace.storing = true;
        // Nor does whoever made it anew bring that floor to MySQL: it may have none.
        keyspace.relaying = false;
        buryLapsed(keyspace, ref, record);
      }
      writeCreation(keyspace, database, hash, ref, record);
      keyspace.storing = storing;
      keyspace.relaying = relaying;
      if (wasLapsed) noteRevival(keyspace, database, record, order === 0);
    } else {
      keyspace.merges.refused(order);
    }
    return;
  }
  contestType(keyspace, record, order);
  if (order > 0) {
    readRecordVersion(keyspace, record);
    becomeType(keyspace, database, hash, ref, record, type);
    expireNow(keyspace, database, hash, record);
  } else if (isObject) {
    keyspace.merges.lost++;
    killUpTo(keyspace, keyspace.collectionAt(ref), record.stampHi, record.stampLo, originOf(keyspace, record));
  }
}

/** A key had lapsed, and may have a later deadline now: what it had is out of memory, and in the stores. */
function noteRevival(keyspace: Keyspace, database: Database, record: RecordReader, isSameBeginning: boolean): void {
  const { buffer, keyStart, keyLength } = record;
  const ref = keyspace.find(database, buffer, keyStart, keyLength);
  if ((keyspace.flagsOf(ref) & EXPIRED) !== 0) return;
  const collection = keyspace.collectionAt(ref);
  if (isSameBeginning && collection.isBare) {
    const { maxHi: hi, maxLo: lo, maxOrigin: origin } = collection;
    collection.missing = { hi, lo, origin };
  }
  const key = Buffer.from(buffer.subarray(keyStart, keyStart + keyLength));
  keyspace.revived?.push({ database: database.number, key });
}

/**
 * A key past its deadline is made anew by a node that did not have it any more, or never had: what it had is dead now. It is out of
 * memory, but stores may still have it, and nodes whose clocks are behind.
 */
function buryLapsed(keyspace: Keyspace, ref: number, record: RecordReader): void {
  const collection = keyspace.collectionAt(ref);
  const { maxHi, maxLo, maxOrigin } = collection;
  const { nodes } = keyspace;
  const { stampHi, stampLo } = record;
  if (compareVersion(nodes, maxHi, maxLo, maxOrigin, stampHi, stampLo, originOf(keyspace, record)) < 0)
    killUpTo(keyspace, collection, maxHi, maxLo, maxOrigin);
  // What is new here came before its beginning did.
  else if (stampLo > 0) killUpTo(keyspace, collection, stampHi, stampLo - 1, nodes.indexOf(0, 0));
  else killUpTo(keyspace, collection, stampHi - 1, 0xffffffff, nodes.indexOf(0, 0));
}

function isLapsed(keyspace: Keyspace, ref: number): boolean {
  if ((keyspace.flagsOf(ref) & EXPIRED) !== 0 || keyspace.isPastDeadline(ref)) return true;
  const { missing, isBare } = keyspace.collectionAt(ref);
  return missing !== null && isBare;
}

/** The beginning of a collection has met a key of another type, whose birth is the pending version. */
function contestType(keyspace: Keyspace, record: RecordReader, order: number): void {
  const { stampHi, stampLo, origin, nodes, merges } = keyspace;
  if (merges.source === null || origin !== 0) return;
  const own = { stampHi, stampLo, writerHi: nodes.hi[0], writerLo: nodes.lo[0], isRemoval: false };
  merges.contest('type', order, record, false, own);
}

function hasLaterDeadline(keyspace: Keyspace, record: RecordReader, ref: number): boolean {
  if ((record.flags & FLAG_HAS_DEADLINE) === 0) return false;
  keyspace.readVersion(ref);
  if (keyspace.deadlineMs < 0) return true;
  const order = compareStamp(
    record.deadlineStampHi,
    record.deadlineStampLo,
    keyspace.deadlineStampHi,
    keyspace.deadlineStampLo,
  );
  const origin = keyspace.nodes.indexOf(record.deadlineOriginHi, record.deadlineOriginLo);
  return (order || keyspace.nodes.compare(origin, keyspace.deadlineOrigin)) > 0;
}

/** Gives the collection in `ref` the record's creation and deadline. */
function writeCreation(keyspace: Keyspace, database: Database, hash: number, ref: number, record: RecordReader): void {
  const { buffer, keyStart, keyLength } = record;
  readRecordVersion(keyspace, record);
  const hidden = keyspace.flagsOf(ref) & HIDDEN;
  const collection = keyspace.collectionAt(ref);
  keyspace.putObject(database, hash, ref, buffer, keyStart, keyLength, collection, hidden, false);
  expireNow(keyspace, database, hash, record);
}

/** Hides a collection whose deadline has passed, here or where the record was made. */
function expireNow(keyspace: Keyspace, database: Database, hash: number, record: RecordReader): void {
  const ref = keyspace.find(database, record.buffer, record.keyStart, record.keyLength);
  if ((record.flags & FLAG_EXPIRED) === 0 && !keyspace.isPastDeadline(ref)) return;
  if ((keyspace.flagsOf(ref) & HIDDEN) === 0) keyspace.expire(database, hash, ref);
  else keyspace.arena.words[ref >>> 20][(ref & 0xfffff) << 1] |= EXPIRED << 16;
}

/**
 * Gives a key that shows another type this one, with the pending version. What it showed goes, but for elements that were born
 * after this type; its own birth stays as the floor.
 */
function becomeType(
  keyspace: Keyspace,
  database: Database,
  hash: number,
  ref: number,
  record: RecordReader,
  type: number,
): void {
  const { stampHi, stampLo, origin, deadlineMs, deadlineStampHi, deadlineStampLo, deadlineOrigin } = keyspace;
  const collection = newCollection(keyspace, type);
  readBirth(keyspace, ref);
  if (keyspace.stampHi !== 0) collection.raiseFloor(keyspace.stampHi, keyspace.stampLo, keyspace.origin);
  if ((keyspace.flagsOf(ref) & OBJECT) !== 0) {
    const old = keyspace.collectionAt(ref);
    collection.raiseFloor(old.floorHi, old.floorLo, old.floorOrigin);
    shadowElements(keyspace, database, old, stampHi, stampLo, origin);
  } else if ((keyspace.flagsOf(ref) & COUNTER) !== 0) {
    shadowCounterDeadline(keyspace, database, ref, stampHi, stampLo);
  }
  Object.assign(keyspace, { stampHi, stampLo, origin, deadlineMs, deadlineStampHi, deadlineStampLo, deadlineOrigin });
  const { buffer, keyStart, keyLength } = record;
  keyspace.putObject(database, hash, ref, buffer, keyStart, keyLength, collection, HIDDEN, false);
  if (collection.floorHi !== 0) markFloor(keyspace, collection, false);
  takeShadow(
    database,
    buffer,
    keyStart,
    keyLength,
    (kind) => kind === KIND_KEY_FLOOR || (kind >= KIND_KEY_FIRST && typeOfKind(kind) === type),
    (taken) => applyCollectionRecord(keyspace, database, taken),
  );
}

/** Keeps a deadline of sums without a base that is later than what has won against them: later sums may win the key back. */
function shadowCounterDeadline(keyspace: Keyspace, database: Database, ref: number, hi: number, lo: number): void {
  const writer = new RecordWriter();
  encodeKey(keyspace, database, ref, writer);
  const reader = new RecordReader();
  for (let at = 0; at < writer.length;) {
    at = reader.read(writer.buffer, at, writer.length);
    if (reader.kind !== KIND_COUNTER || reader.elementLength > 0) continue;
    if (compareStamp(reader.deadlineStampHi, reader.deadlineStampLo, hi, lo) > 0) addShadow(database, reader);
  }
}

/**
 * A string's register, or a sum that began then, comes to a key that shows a collection. Returns whether it wins the key: then
 * what the collection has above it is hidden, and its block is the caller's to replace.
 */
export function contestAsString(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  hi: number,
  lo: number,
  origin: number,
): boolean {
  keyspace.readVersion(ref);
  const order = compareVersion(keyspace.nodes, hi, lo, origin, keyspace.stampHi, keyspace.stampLo, keyspace.origin);
  const collection = keyspace.collectionAt(ref);
  if (order > 0) shadowElements(keyspace, database, collection, hi, lo, origin);
  else killUpTo(keyspace, collection, hi, lo, origin);
  return order > 0;
}

/** A FLUSHDB has covered the key's creation: it is as if only its elements had ever arrived. Returns the key's block. */
export function forgetCreation(keyspace: Keyspace, database: Database, hash: number, ref: number): number {
  keyspace.stampHi = 0;
  keyspace.stampLo = 0;
  keyspace.origin = 0;
  keyspace.deadlineMs = -1;
  return rewriteKey(keyspace, database, hash, ref, false);
}

// ---- floors ----

function applyKeyFloor(keyspace: Keyspace, database: Database, record: RecordReader): void {
  const { buffer, keyStart, keyLength, stampHi, stampLo } = record;
  const origin = originOf(keyspace, record);
  const ref = keyspace.find(database, buffer, keyStart, keyLength);
  if (ref === 0) {
    // No type is known yet; any that comes takes the place of this one.
    const collection = makeHidden(keyspace, database, keyspace.hash, record, typeOfKind(0));
    collection.raiseFloor(stampHi, stampLo, origin);
    markFloor(keyspace, collection, false);
  } else if ((keyspace.flagsOf(ref) & OBJECT) !== 0) {
    killUpTo(keyspace, keyspace.collectionAt(ref), stampHi, stampLo, origin);
  } else {
    readBirth(keyspace, ref);
    const order = compareVersion(
      keyspace.nodes,
      stampHi,
      stampLo,
      origin,
      keyspace.stampHi,
      keyspace.stampLo,
      keyspace.origin,
    );
    if (order > 0) keepShadow(keyspace, database, ref, record);
  }
}

/** Hides a record that is above the key's birth but not of the type that it shows. */
export function keepShadow(keyspace: Keyspace, database: Database, ref: number, record: RecordReader): void {
  addShadow(database, record);
  keyspace.mark(database, ref, keyspace.flagsOf(ref), false);
}

/** Raises the key's floor: elements up to it are dead. */
export function killUpTo(keyspace: Keyspace, given: Collection, hi: number, lo: number, origin: number): void {
  if (!given.raiseFloor(hi, lo, origin)) return;
  const database = keyspace.databases[given.database];
  if (database.shadows.size > 0) {
    keyspace.readKey(given.ref);
    pruneShadow(keyspace, database, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength, hi, lo, origin);
  }
  beginChange(keyspace, given);
  const collection = given.isUnderFloor(given.maxHi, given.maxLo, given.maxOrigin)
    ? keyspace.objects.empty(given.slot)
    : given;
  markFloor(keyspace, collection, false);
  if (collection === given) pruneUnderFloor(keyspace, collection);
  endChange(keyspace, collection, false);
}

// ---- elements ----

/** The version at which the record's register began to count: an element's own, or the begin of a sum. */
const birth = { hi: 0, lo: 0, origin: 0 };

function readRecordBirth(keyspace: Keyspace, record: RecordReader): void {
  const isSum = isElementCounterKind(record.kind);
  birth.hi = isSum ? record.buffer.readUInt32BE(record.valueStart) : record.stampHi;
  birth.lo = isSum ? record.buffer.readUInt32BE(record.valueStart + 4) : record.stampLo;
  birth.origin = originOf(keyspace, record);
}

function applyElement(keyspace: Keyspace, database: Database, record: RecordReader): void {
  const type = typeOfKind(record.kind);
  const { merges } = keyspace;
  readRecordBirth(keyspace, record);
  merges.lost++;
  if (compareStamp(birth.hi, birth.lo, database.floorHi, database.floorLo) <= 0) return;
  const ref = keyspace.find(database, record.buffer, record.keyStart, record.keyLength);
  let collection: Collection | null;
  if (ref === 0) {
    collection = makeHidden(keyspace, database, keyspace.hash, record, type);
  } else if ((keyspace.flagsOf(ref) & OBJECT) !== 0 && keyspace.typeOf(ref) === type) {
    // What an expired key held is gone; what is new there comes with a new creation.
    collection = keyspace.collectionAt(ref);
    if ((keyspace.flagsOf(ref) & EXPIRED) !== 0) {
      // Stores have it all the same, here or elsewhere: the floor that buries the key one day has to cover it.
      collection.noteStamp(birth.hi, birth.lo, birth.origin);
      return;
    }
  } else {
    collection = contest(keyspace, database, ref, record, type);
  }
  if (collection === null || collection.isUnderFloor(birth.hi, birth.lo, birth.origin)) return;
  merges.lost--;
  beginChange(keyspace, collection);
  if (isElementCounterKind(record.kind)) mergeSum(keyspace, collection, record, birth.hi, birth.lo, birth.origin);
  else mergeElement(keyspace, collection, record, birth.origin);
  endChange(keyspace, collection, false);
}

/** An element of a type that the key does not show: the collection to put it in, or null when it is dead or was hidden away. */
function contest(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  record: RecordReader,
  type: number,
): Collection | null {
  const { hash } = keyspace;
  readBirth(keyspace, ref);
  const { stampHi, stampLo, origin, nodes } = keyspace;
  if (compareVersion(nodes, birth.hi, birth.lo, birth.origin, stampHi, stampLo, origin) <= 0) return null;
  if ((keyspace.flagsOf(ref) & OBJECT) !== 0) {
    const shown = keyspace.collectionAt(ref);
    if (shown.isUnderFloor(birth.hi, birth.lo, birth.origin)) return null;
    // Of two types whose creations are both unknown (a FLUSHDB has covered them), the lower kind wins.
    if (stampHi === 0 && (isBlank(shown) || keyKindOf(type) < keyKindOf(shown.type))) {
      return become(keyspace, database, hash, ref, record, type);
    }
  } else if (stampHi === 0) {
    // Nothing is left of a counter but the deadline of sums to come: that shows no type.
    return become(keyspace, database, hash, ref, record, type);
  }
  keepShadow(keyspace, database, ref, record);
  return null;
}

/** Gives the key this type, its creation unknown. */
function become(
  keyspace: Keyspace,
  database: Database,
  hash: number,
  ref: number,
  record: RecordReader,
  type: number,
): Collection {
  keyspace.deadlineMs = -1;
  becomeType(keyspace, database, hash, ref, record, type);
  return keyspace.collectionAt(keyspace.find(database, record.buffer, record.keyStart, record.keyLength));
}

/** Whether no element of the collection, removed ones included, is above its floor. */
function isBlank(collection: Collection): boolean {
  const { maxHi, maxLo, maxOrigin } = collection;
  return maxHi === 0 || collection.isUnderFloor(maxHi, maxLo, maxOrigin);
}

/** The birth that hid records at this key is gone: they are merged as if they came now. */
export function revealShadow(keyspace: Keyspace, database: Database, key: Buffer): void {
  takeShadow(
    database,
    key,
    0,
    key.length,
    (kind) => kind >= KIND_KEY_FIRST,
    (record) => {
      const { stampHi, stampLo } = record;
      if (compareStamp(stampHi, stampLo, database.floorHi, database.floorLo) > 0) {
        applyCollectionRecord(keyspace, database, record);
      }
    },
  );
}
