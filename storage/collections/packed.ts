/**
 * Small collections that nobody has used for a while, packed into one block of the arena: no JS object, no index, little more
 * than their bytes. The first use unpacks one again.
 *
 *   word 0   u8 16 (neither a key's block nor an element's) | u8 type | u16 elements
 *   word 1   u16 bytes of the whole | u8 extra (what the type remembers) | u8 1 when it has a floor
 *   word 2,3 digest        word 4,5 the greatest stamp that any element had
 *   word 6   u16 most elements so far | u16 longest name or value so far (65,535 for more)
 *   word 7   the key's block        word 8   u16 number of the database | u16 the greatest stamp's origin
 *   word 9…  floor: stamp (high, low), origin; only when it has one
 *   then     the elements: u8 flags | varint origin | stamp | varint name length | varint value length | deadline (5 words,
 *            when it has one) | name | value. A stamp is its distance below the greatest one in the low word (varint, with
 *            flag 8), or both words. Of the names of lists and streams, which are positions and ids in their order, only what
 *            differs from the one before is there: varint bytes in common | varint bytes that follow.
 */
import type { Keyspace } from '../keyspace.ts';
import { type Collection, ElementCursor } from './collection.ts';
import {
  ELEMENT_COUNTED,
  ELEMENT_DEAD,
  ELEMENT_DEADLINE,
  ELEMENT_FEED,
  ELEMENT_LARGE_NAME,
  ELEMENT_LARGE_VALUE,
  ELEMENT_STORE,
} from './element-layout.ts';
import { TYPE_LIST, TYPE_STREAM } from '../arena/block.ts';
import { elementKindOf } from './kinds.ts';
import type { ListCollection } from './list-collection.ts';
import { makeCollection } from './types.ts';

export const PACKED_MARK = 16;
/** Where the key's block is named. */
export const PACKED_KEY_WORD = 7;
const HEADER_BYTES = 36;
const FLOOR_BYTES = 12;
/** The bytes of the largest packed collection, and its elements. */
const PACKED_BYTES_MAX = 4096;
const PACKED_ELEMENTS_MAX = 128;
/** A bit of an element's flags that packed ones use otherwise. */
const NEAR_STAMP = ELEMENT_LARGE_VALUE;
const UNPACKABLE = ELEMENT_FEED | ELEMENT_STORE | ELEMENT_LARGE_NAME | ELEMENT_LARGE_VALUE;
const SHORT_MAX = 0xffff;
/** More than an element's numbers take. */
const ELEMENT_OVERHEAD_BYTES = 48;

const scratch = Buffer.alloc(PACKED_BYTES_MAX + 64);
let at = 0;
/** The name before, of lists and streams. */
const lastName = Buffer.alloc(PACKED_BYTES_MAX);
let lastNameLength = 0;

function sharesNames(type: number): boolean {
  return type === TYPE_LIST || type === TYPE_STREAM;
}

/** How many bytes a name has in common with the one before. */
function sharedBytes(buffer: Buffer, start: number, length: number): number {
  const most = Math.min(length, lastNameLength);
  let shared = 0;
  while (shared < most && buffer[start + shared] === lastName[shared]) shared++;
  return shared;
}

function putVarint(value: number): void {
  while (value > 127) {
    scratch[at++] = (value & 127) | 128;
    value = Math.floor(value / 128);
  }
  scratch[at++] = value;
}

function putWord(value: number): void {
  at = scratch.writeUInt32LE(value >>> 0, at);
}

function takeVarint(bytes: Buffer): number {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++];
    value += (byte & 127) * scale;
    if (byte < 128) return value;
  }
}

function takeWord(bytes: Buffer): number {
  const value = bytes.readUInt32LE(at);
  at += 4;
  return value;
}

/**
 * Packs the elements of a small collection of which nothing has yet to be sent or stored, and frees them. Returns the packed
 * block, or 0 when the collection stays as it is.
 */
export function pack(keyspace: Keyspace, collection: Collection): number {
  const waiting =
    collection.feed.length +
    collection.store.length +
    collection.waitingRuns +
    collection.tombstones.length +
    collection.sealed.length;
  if (!collection.isPackable || waiting > 0 || collection.changes !== 0 || collection.storeWalk !== null) return 0;
  if (keyspace.pruning.has(collection)) return 0;
  // It is being put together, and has no key yet.
  if (collection.ref === 0) return 0;
  if (collection.count === 0 || collection.count > PACKED_ELEMENTS_MAX) return 0;
  const hasFloor = collection.floorHi !== 0;
  at = HEADER_BYTES + (hasFloor ? FLOOR_BYTES : 0);
  let count = 0;
  let fits = true;
  lastNameLength = 0;
  const cursor = new ElementCursor();
  const visit = (ref: number): void => {
    fits = fits && packElement(keyspace, collection, ref);
    count++;
  };
  let more = true;
  while (more && fits) more = collection.walk(cursor, PACKED_ELEMENTS_MAX, visit);
  // Fewer are visible than there are: some are tombstones.
  if (!fits || count !== collection.count) return 0;
  const length = at;
  writeHeader(collection, length, hasFloor);
  const { arena } = keyspace;
  const packed = arena.allocate(length);
  scratch.copy(arena.bytes[packed >>> 20], (packed & 0xfffff) << 3, 0, length);
  while (!collection.freeElements(PACKED_ELEMENTS_MAX));
  return packed;
}

function writeHeader(collection: Collection, length: number, hasFloor: boolean): void {
  at = 0;
  putWord(PACKED_MARK | (collection.type << 8) | (collection.count << 16));
  putWord(length | (collection.packedExtra << 16) | ((hasFloor ? 1 : 0) << 24));
  putWord(collection.digestHi);
  putWord(collection.digestLo);
  putWord(collection.maxHi);
  putWord(collection.maxLo);
  putWord(Math.min(SHORT_MAX, collection.mostCount) | (Math.min(SHORT_MAX, collection.longestBytes) << 16));
  putWord(collection.ref);
  putWord(collection.database | (collection.maxOrigin << 16));
  if (!hasFloor) return;
  putWord(collection.floorHi);
  putWord(collection.floorLo);
  putWord(collection.floorOrigin);
}

function packElement(keyspace: Keyspace, collection: Collection, ref: number): boolean {
  const { elements } = keyspace;
  const flags = elements.flagsOf(ref);
  elements.readName(ref);
  elements.readPayload(ref);
  const { nameLength, valueLength } = elements;
  const isTombstone = (flags & (ELEMENT_DEAD | ELEMENT_COUNTED)) === ELEMENT_DEAD;
  if ((flags & UNPACKABLE) !== 0 || isTombstone) return false;
  // The heap of deadlines names the element's block.
  if (elements.deadlineOf(ref) > 0) return false;
  if (at + nameLength + valueLength + ELEMENT_OVERHEAD_BYTES > PACKED_BYTES_MAX) return false;
  const below = collection.maxLo - elements.stampLoOf(ref);
  const isNear = elements.stampHiOf(ref) === collection.maxHi && below >= 0;
  scratch[at++] = flags | (isNear ? NEAR_STAMP : 0);
  putVarint(elements.originOf(ref));
  if (isNear) {
    putVarint(below);
  } else {
    putWord(elements.stampHiOf(ref));
    putWord(elements.stampLoOf(ref));
  }
  const { nameBuffer, nameStart } = elements;
  let shared = 0;
  if (sharesNames(collection.type)) {
    shared = sharedBytes(nameBuffer, nameStart, nameLength);
    putVarint(shared);
    nameBuffer.copy(lastName, 0, nameStart, nameStart + nameLength);
    lastNameLength = nameLength;
  }
  putVarint(nameLength - shared);
  putVarint(valueLength);
  if ((flags & ELEMENT_DEADLINE) !== 0) {
    elements.readDeadline(ref);
    putWord(Math.floor(elements.deadlineMs / 0x100000000));
    putWord(elements.deadlineMs % 0x100000000);
    putWord(elements.deadlineStampHi);
    putWord(elements.deadlineStampLo);
    putWord(elements.deadlineOrigin);
    elements.deadlineMs = -1;
  }
  nameBuffer.copy(scratch, at, nameStart + shared, nameStart + nameLength);
  at += nameLength - shared;
  elements.valueBuffer.copy(scratch, at, elements.valueStart, elements.valueStart + valueLength);
  at += valueLength;
  return true;
}

/** Makes the collection that was packed into the block, with its elements, for the slot; the block is the caller's to free. */
export function unpack(keyspace: Keyspace, packed: number, slot: number): Collection {
  const bytes = keyspace.arena.bytes[packed >>> 20];
  at = (packed & 0xfffff) << 3;
  const first = takeWord(bytes);
  const collection = makeCollection((first >>> 8) & 0xff, keyspace);
  collection.slot = slot;
  const second = takeWord(bytes);
  collection.packedExtra = (second >>> 16) & 0xff;
  const digestHi = takeWord(bytes);
  const digestLo = takeWord(bytes);
  const maxHi = takeWord(bytes);
  const maxLo = takeWord(bytes);
  const sizes = takeWord(bytes);
  collection.ref = takeWord(bytes);
  const third = takeWord(bytes);
  collection.database = third & SHORT_MAX;
  if (second >>> 24 !== 0) {
    collection.floorHi = takeWord(bytes);
    collection.floorLo = takeWord(bytes);
    collection.floorOrigin = takeWord(bytes);
  }
  for (let left = first >>> 16; left > 0; left--) unpackElement(keyspace, collection, bytes, maxHi, maxLo);
  // It may be a sum's, or that of an element that is gone.
  collection.maxHi = maxHi;
  collection.maxLo = maxLo;
  collection.maxOrigin = third >>> 16;
  collection.digestHi = digestHi;
  collection.digestLo = digestLo;
  collection.mostCount = sizes & SHORT_MAX;
  collection.longestBytes = sizes >>> 16;
  collection.touchedHi = keyspace.clock.hi;
  collection.touchedLo = keyspace.clock.lo;
  return collection;
}

function unpackElement(keyspace: Keyspace, collection: Collection, bytes: Buffer, maxHi: number, maxLo: number): void {
  const { elements } = keyspace;
  const flags = bytes[at++];
  const origin = takeVarint(bytes);
  const isNear = (flags & NEAR_STAMP) !== 0;
  const stampHi = isNear ? maxHi : takeWord(bytes);
  const stampLo = isNear ? maxLo - takeVarint(bytes) : takeWord(bytes);
  const isShared = sharesNames(collection.type);
  const shared = isShared ? takeVarint(bytes) : 0;
  const ownLength = takeVarint(bytes);
  const nameLength = shared + ownLength;
  const valueLength = takeVarint(bytes);
  const deadline = { ms: -1, hi: 0, lo: 0, origin: 0 };
  if ((flags & ELEMENT_DEADLINE) !== 0) {
    deadline.ms = takeWord(bytes) * 0x100000000 + takeWord(bytes);
    deadline.hi = takeWord(bytes);
    deadline.lo = takeWord(bytes);
    deadline.origin = takeWord(bytes);
  }
  const valueStart = at + ownLength;
  const end = valueStart + valueLength;
  if (isShared) bytes.copy(lastName, shared, at, valueStart);
  const names = isShared ? lastName : bytes;
  const nameStart = isShared ? 0 : at;
  at = end;
  if (collection.type === TYPE_LIST && (flags & ~NEAR_STAMP) === 0) {
    const list = collection as ListCollection;
    if (list.absorb(stampHi, stampLo, origin, names, nameStart, nameLength, bytes, valueStart, valueLength) !== null) {
      collection.count++;
      return;
    }
  }
  collection.find(names, nameStart, nameLength);
  elements.deadlineMs = deadline.ms;
  elements.deadlineStampHi = deadline.hi;
  elements.deadlineStampLo = deadline.lo;
  elements.deadlineOrigin = deadline.origin;
  const ref = elements.allocate(
    elementKindOf(collection.type),
    flags & ~NEAR_STAMP,
    collection.slot,
    stampHi,
    stampLo,
    origin,
    names,
    nameStart,
    nameLength,
    bytes,
    valueStart,
    valueLength,
  );
  elements.deadlineMs = -1;
  collection.insert(ref);
  if (elements.isVisible(ref)) {
    collection.count++;
    collection.shown(ref);
  }
}
