/** Registers of collections to change records: what changed, for peers and stores, or everything, in slices. */
import { FLAG_DEAD, FLAG_EXPIRED, type RecordWriter } from '../../protocol/change-record.ts';
import { KIND_KEY_FLOOR } from '../../protocol/collection-kinds.ts';
import { DEADLINE, EXPIRED } from '../arena/block.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';
import { type CounterEntry, encodeSumValue } from '../types/counter-payload.ts';
import {
  CHANGED_FLOOR_FEED,
  CHANGED_FLOOR_STORE,
  CHANGED_KEY_FEED,
  CHANGED_KEY_STORE,
  type Collection,
  type ElementCursor,
} from './collection.ts';
import { ELEMENT_COUNTED, ELEMENT_DEAD, ELEMENT_DEADLINE, ELEMENT_FEED, ELEMENT_STORE } from './element-layout.ts';
import { decodeElementCounter } from './element-writes.ts';
import { elementCounterKindOf, elementKindOf, keyKindOf } from './kinds.ts';

/** Around the name in the element of a sum: its length before it, and the node's id behind it. */
const SUM_NAME_BYTES = 12;
/** For names that are no longer than most. */
const sumElement = Buffer.alloc(256);

/** Elements, and about as many bytes, between two looks at the clock and at how much there is. */
const ELEMENTS_A_STEP = 64;
const BYTES_A_STEP = 16 << 10;
/** The same where few of them are wanted. */
const LOOKED_AT_A_STEP = 256;
const ELEMENT_BYTES_LEAST = 64;

/** Appends the KEY register: the creation and the deadline. Nothing when the creation is not known. */
function encodeKeyRegister(keyspace: Keyspace, database: Database, collection: Collection, writer: RecordWriter): void {
  const { ref } = collection;
  const { nodes } = keyspace;
  const words = keyspace.arena.words[ref >>> 20];
  const word = (ref & 0xfffff) << 1;
  if (words[word + 2] === 0) return;
  const origin = words[word + 1] & 0xffff;
  const flags = keyspace.flagsOf(ref);
  keyspace.readKey(ref);
  writer.begin(
    keyKindOf(collection.type),
    (flags & EXPIRED) !== 0 ? FLAG_EXPIRED : 0,
    words[word + 2],
    words[word + 3],
    nodes.hi[origin],
    nodes.lo[origin],
    database.number,
    keyspace.keyBuffer,
    keyspace.keyStart,
    keyspace.keyLength,
  );
  if ((flags & DEADLINE) !== 0) {
    keyspace.readVersion(ref);
    const { deadlineMs, deadlineStampHi, deadlineStampLo, deadlineOrigin } = keyspace;
    writer.deadline(deadlineMs, deadlineStampHi, deadlineStampLo, nodes.hi[deadlineOrigin], nodes.lo[deadlineOrigin]);
  }
  writer.end();
}

/** Appends the key's floor, when it has one. */
export function encodeFloorRegister(
  keyspace: Keyspace,
  database: Database,
  collection: Collection,
  writer: RecordWriter,
): void {
  const { floorHi, floorLo, floorOrigin } = collection;
  if (floorHi === 0) return;
  const { nodes } = keyspace;
  keyspace.readKey(collection.ref);
  writer.begin(
    KIND_KEY_FLOOR,
    0,
    floorHi,
    floorLo,
    nodes.hi[floorOrigin],
    nodes.lo[floorOrigin],
    database.number,
    keyspace.keyBuffer,
    keyspace.keyStart,
    keyspace.keyLength,
  );
  writer.end();
}

/** Appends the registers of the key itself: its creation and deadline, and its floor. */
export function encodeKeyRegisters(
  keyspace: Keyspace,
  database: Database,
  collection: Collection,
  writer: RecordWriter,
): void {
  encodeKeyRegister(keyspace, database, collection, writer);
  encodeFloorRegister(keyspace, database, collection, writer);
}

/** Appends the registers of one element: its last writer, and the sums that each node has added. */
export function encodeElement(
  keyspace: Keyspace,
  database: Database,
  collection: Collection,
  ref: number,
  writer: RecordWriter,
): void {
  const { elements, nodes } = keyspace;
  const flags = elements.flagsOf(ref);
  const counter = (flags & ELEMENT_COUNTED) !== 0 ? decodeElementCounter(keyspace, ref) : null;
  const stampHi = elements.stampHiOf(ref);
  if (stampHi !== 0) {
    const origin = elements.originOf(ref);
    keyspace.readKey(collection.ref);
    writer.begin(
      elementKindOf(collection.type),
      (flags & ELEMENT_DEAD) !== 0 ? FLAG_DEAD : 0,
      stampHi,
      elements.stampLoOf(ref),
      nodes.hi[origin],
      nodes.lo[origin],
      database.number,
      keyspace.keyBuffer,
      keyspace.keyStart,
      keyspace.keyLength,
    );
    elements.readName(ref);
    writer.element(elements.nameBuffer, elements.nameStart, elements.nameLength);
    if ((flags & ELEMENT_DEADLINE) !== 0) {
      elements.readDeadline(ref);
      const { deadlineMs, deadlineStampHi, deadlineStampLo, deadlineOrigin } = elements;
      writer.deadline(deadlineMs, deadlineStampHi, deadlineStampLo, nodes.hi[deadlineOrigin], nodes.lo[deadlineOrigin]);
      elements.deadlineMs = -1;
    }
    if (counter === null) {
      elements.readPayload(ref);
      writer.value(elements.valueBuffer, elements.valueStart, elements.valueLength);
    } else if ((flags & ELEMENT_DEAD) === 0) {
      const base = Buffer.from(counter.base, 'latin1');
      writer.value(base, 0, base.length);
    }
    writer.end();
  }
  if (counter !== null)
    for (const entry of counter.entries) encodeSum(keyspace, database, collection, ref, entry, writer);
}

function encodeSum(
  keyspace: Keyspace,
  database: Database,
  collection: Collection,
  ref: number,
  entry: CounterEntry,
  writer: RecordWriter,
): void {
  const { elements, nodes } = keyspace;
  const hi = nodes.hi[entry.origin];
  const lo = nodes.lo[entry.origin];
  keyspace.readKey(collection.ref);
  writer.begin(
    elementCounterKindOf(collection.type),
    0,
    entry.versionHi,
    entry.versionLo,
    hi,
    lo,
    database.number,
    keyspace.keyBuffer,
    keyspace.keyStart,
    keyspace.keyLength,
  );
  elements.readName(ref);
  const { nameLength } = elements;
  const length = SUM_NAME_BYTES + nameLength;
  const element = length <= sumElement.length ? sumElement : Buffer.allocUnsafeSlow(length);
  element.writeUInt32LE(nameLength, 0);
  elements.nameBuffer.copy(element, 4, elements.nameStart, elements.nameStart + nameLength);
  element.writeUInt32BE(hi, 4 + nameLength);
  element.writeUInt32BE(lo, 8 + nameLength);
  writer.element(element, 0, length);
  encodeSumValue(entry, hi, lo, writer);
  writer.end();
}

/** Appends what has changed since the last feed. */
export function encodeCollectionFeed(keyspace: Keyspace, database: Database, ref: number, writer: RecordWriter): void {
  const collection = keyspace.collectionAt(ref);
  const { changes, feed, slot } = collection;
  collection.changes &= ~(CHANGED_KEY_FEED | CHANGED_FLOOR_FEED);
  if ((changes & CHANGED_KEY_FEED) !== 0) encodeKeyRegister(keyspace, database, collection, writer);
  if ((changes & CHANGED_FLOOR_FEED) !== 0) encodeFloorRegister(keyspace, database, collection, writer);
  for (const element of feed) {
    if (keyspace.elements.takeMark(element, slot, ELEMENT_FEED))
      encodeElement(keyspace, database, collection, element, writer);
  }
  if (feed.length > 0) collection.feed = [];
  collection.takeUnsent((element) => encodeElement(keyspace, database, collection, element, writer));
}

/** Appends what the stores lack until the writer holds `bytesMax`; false when something is left. */
export function encodeCollectionStore(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  writer: RecordWriter,
  bytesMax: number,
): boolean {
  const collection = keyspace.collectionAt(ref);
  const { changes, slot } = collection;
  collection.changes &= ~(CHANGED_KEY_STORE | CHANGED_FLOOR_STORE);
  // A deadline goes along with what it ends: others may have taken the key out of a database that they share with this node.
  const hasDeadline = (keyspace.flagsOf(ref) & DEADLINE) !== 0;
  if ((changes & CHANGED_KEY_STORE) !== 0 || hasDeadline) encodeKeyRegister(keyspace, database, collection, writer);
  if ((changes & CHANGED_FLOOR_STORE) !== 0) encodeFloorRegister(keyspace, database, collection, writer);
  if (collection.storeWalk !== null) {
    if (!encodeCollection(keyspace, database, ref, collection.storeWalk, writer, bytesMax)) return false;
    collection.storeWalk = null;
  }
  const { store, storeFrom } = collection;
  let at = storeFrom;
  // One at least, however long the records before it are.
  while (at < store.length && (at === storeFrom || writer.length < bytesMax)) {
    const element = store[at++];
    if (keyspace.elements.takeMark(element, slot, ELEMENT_STORE))
      encodeElement(keyspace, database, collection, element, writer);
  }
  // What stays is moved when it is less than what has gone: not each time, and the list does not grow for ever.
  const isMoved = at * 2 >= store.length;
  if (isMoved) collection.store = store.slice(at);
  collection.storeFrom = isMoved ? 0 : at;
  if (at < store.length) return false;
  const encode = (element: number): void => encodeElement(keyspace, database, collection, element, writer);
  return collection.takeUnstored(encode, () => writer.length >= bytesMax);
}

/**
 * Appends everything from `cursor` on until the writer holds `bytesMax` or `isTimeUp`; false when something is left. A fresh
 * cursor begins with the KEY register and the floor.
 * @param isWanted says of an element whether it is to be appended; null = all are
 */
export function encodeCollection(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  cursor: ElementCursor,
  writer: RecordWriter,
  bytesMax: number,
  isTimeUp: () => boolean = () => false,
  isWanted: ((element: number) => boolean) | null = null,
): boolean {
  const collection = keyspace.collectionAt(ref);
  if (cursor.isFresh) {
    encodeKeyRegisters(keyspace, database, collection, writer);
    cursor.isFresh = false;
  }
  const longStep = Math.ceil(BYTES_A_STEP / Math.max(ELEMENT_BYTES_LEAST, collection.longestBytes));
  const step = isWanted === null ? Math.min(ELEMENTS_A_STEP, longStep) : LOOKED_AT_A_STEP;
  let more = true;
  while (more && writer.length < bytesMax && !isTimeUp()) {
    more = collection.walk(cursor, step, (element) => {
      if (isWanted === null || isWanted(element)) encodeElement(keyspace, database, collection, element, writer);
    });
  }
  return !more;
}
