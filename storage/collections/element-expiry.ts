/**
 * Deadlines that elements have of their own: HEXPIRE. A deadline is bound to the value that it was set on, its stamp and origin,
 * as a key's is; of several the one set last counts. Every node hides the element at its deadline by itself.
 *
 * A field that was only ever counted up has no value that a deadline could be bound to: it is given a removed one, older than
 * any sum that there can be at the key.
 */
import { HIDDEN, TYPE_HASH } from '../arena/block.ts';
import { ABOVE_EVERY_ORIGIN, type NodeTable } from '../arena/node-table.ts';
import type { Keyspace } from '../keyspace.ts';
import { type Collection, compareVersion, ElementCursor } from './collection.ts';
import { ELEMENT_COUNTED, ELEMENT_DEAD, ELEMENT_DEADLINE, ELEMENT_EXPIRED } from './element-layout.ts';
import { beginChange, decodeElementCounter, endChange, expireElement, writeElement } from './element-writes.ts';
import { elementKindOf } from './kinds.ts';

const LAYOUT_AND_STATE = ELEMENT_DEAD | ELEMENT_COUNTED;
const DUE_ELEMENTS_A_TURN = 1000;
const WORD_MAX = 0xffffffff;

interface Version {
  readonly hi: number;
  readonly lo: number;
  /** An index in the node table. */
  readonly origin: number;
}

/** Makes a deadline, set now, that of the element that is written next; 0 for one that is taken away. */
export function pendingElementDeadline({ elements, clock }: Keyspace, deadlineMs: number): void {
  elements.deadlineMs = deadlineMs;
  elements.deadlineStampHi = clock.hi;
  elements.deadlineStampLo = clock.lo;
  elements.deadlineOrigin = 0;
}

/** Gives a visible element of a collection that is open for changes a deadline in milliseconds since 1970, or 0 for none. */
export function setElementDeadline(keyspace: Keyspace, collection: Collection, ref: number, deadlineMs: number): void {
  const { elements } = keyspace;
  elements.readName(ref);
  const { nameBuffer, nameStart, nameLength } = elements;
  elements.readPayload(ref);
  // The value is written into the block that it is read from.
  const value = Buffer.from(
    elements.valueBuffer.subarray(elements.valueStart, elements.valueStart + elements.valueLength),
  );
  let flags = elements.flagsOf(ref) & LAYOUT_AND_STATE;
  let hi = elements.stampHiOf(ref);
  let lo = elements.stampLoOf(ref);
  let origin = elements.originOf(ref);
  if (hi === 0 || ((flags & ELEMENT_DEAD) !== 0 && elements.deadlineOf(ref) < 0)) {
    const least = leastVersion(keyspace, collection, ref);
    ({ hi, lo, origin } = later(keyspace.nodes, least, { hi, lo, origin }));
    flags |= ELEMENT_DEAD;
  }
  pendingElementDeadline(keyspace, deadlineMs);
  writeElement(
    keyspace,
    collection,
    ref,
    flags,
    hi,
    lo,
    origin,
    nameBuffer,
    nameStart,
    nameLength,
    value,
    0,
    value.length,
    true,
  );
}

/**
 * The least version above the floors of the key and its database, and above whatever this node has forgotten there and others may
 * remember. It is below all sums: of those that are seen here, and of any that are not, which began after what is forgotten.
 */
function leastVersion(keyspace: Keyspace, collection: Collection, ref: number): Version {
  const { nodes, digests } = keyspace;
  const { floorHi, floorLo, forgotten } = keyspace.databases[collection.database];
  const { floorHi: hi, floorLo: lo, floorOrigin: origin } = collection;
  let least = above(nodes, floorHi, floorLo, ABOVE_EVERY_ORIGIN);
  least = later(nodes, least, above(nodes, hi, lo, origin));
  keyspace.readKey(collection.ref);
  digests.hashKey(collection.database, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
  forgotten.read(nodes, digests.keyHi);
  const last = { hi: forgotten.hi, lo: forgotten.lo, origin: forgotten.origin };
  // Of a tombstone's own version the later deadline counts, also beside those that others set who remember it.
  least = later(nodes, least, forgotten.isFloor ? above(nodes, last.hi, last.lo, last.origin) : last);
  for (const entry of decodeElementCounter(keyspace, ref).entries) {
    const begin = { hi: entry.beginHi, lo: entry.beginLo, origin: entry.origin };
    // What was forgotten last was another key's.
    if (later(nodes, least, begin) === least) least = { ...begin, origin: nodes.indexOf(0, 0) };
  }
  return least;
}

function later(nodes: NodeTable, a: Version, b: Version): Version {
  return compareVersion(nodes, a.hi, a.lo, a.origin, b.hi, b.lo, b.origin) >= 0 ? a : b;
}

/** The version that follows; where there is none, the first that there can be. */
function above(nodes: NodeTable, hi: number, lo: number, origin: number): Version {
  if (hi === 0) return { hi: 1, lo: 0, origin: nodes.indexOf(0, 0) };
  // What goes by stamps alone.
  if (origin === ABOVE_EVERY_ORIGIN) return { ...nextWords(hi, lo), origin: nodes.indexOf(0, 0) };
  const id = nextWords(nodes.hi[origin], nodes.lo[origin]);
  return { hi, lo, origin: nodes.indexOf(id.hi, id.lo) };
}

/** The 64-bit number that follows, as two words. */
function nextWords(hi: number, lo: number): { hi: number; lo: number } {
  return lo === WORD_MAX ? { hi: hi + 1, lo: 0 } : { hi, lo: lo + 1 };
}

/** Whether elements are past their deadline that were not hidden yet: more came due at once than one turn hides. */
export function hasDueElements(keyspace: Keyspace): boolean {
  return keyspace.elementDeadlines.soonestMs < keyspace.clock.nowMs;
}

/** Called before the commands of a turn: what is past its deadline is hidden. What is more than a turn hides, commands look at. */
export function hideDueElements(keyspace: Keyspace): void {
  if (hasDueElements(keyspace)) expireDueElements(keyspace, DUE_ELEMENTS_A_TURN);
}

/** Hides elements whose own deadline has passed, at most `limit` of them. Returns whether there may be more. */
export function expireDueElements(keyspace: Keyspace, limit: number): boolean {
  const heap = keyspace.elementDeadlines;
  for (let left = limit; hasDueElements(keyspace); left--) {
    if (left === 0) return true;
    const ref = heap.soonestRef;
    const deadlineMs = heap.soonestMs;
    heap.pop();
    expireEntry(keyspace, ref, deadlineMs);
  }
  return false;
}

function expireEntry(keyspace: Keyspace, ref: number, deadlineMs: number): void {
  const { elements } = keyspace;
  // The entry may be stale: the element was given an earlier deadline or none, moved, or is gone.
  if (!elements.isElement(ref) || (elements.flagsOf(ref) & (ELEMENT_DEADLINE | ELEMENT_EXPIRED)) !== ELEMENT_DEADLINE)
    return;
  const presentMs = elements.deadlineOf(ref);
  if (presentMs < deadlineMs) return;
  const collection = ownerOf(keyspace, ref);
  if (collection === null) return;
  if (presentMs >= keyspace.clock.nowMs) {
    // A deadline that was put off in the same block has no entry of its own yet.
    keyspace.elementDeadlines.push(presentMs, ref);
    return;
  }
  if (elements.isVisible(ref)) expireAll(keyspace, collection, [ref]);
}

/** The collection that a block is an element of; null when it waits to be freed. */
function ownerOf(keyspace: Keyspace, ref: number): Collection | null {
  const { elements, objects } = keyspace;
  const collection = objects.unpackedAt(elements.ownerOf(ref));
  if (collection === null || elementKindOf(collection.type) !== elements.kindOf(ref)) return null;
  elements.readName(ref);
  return collection.find(elements.nameBuffer, elements.nameStart, elements.nameLength) === ref ? collection : null;
}

/** Hides what is due of a hash, all of it: for commands that look at every field. Returns whether the key is still there. */
export function settleElements(keyspace: Keyspace, keyRef: number): boolean {
  if (keyspace.typeOf(keyRef) !== TYPE_HASH || keyspace.isPacked(keyRef)) return true;
  const collection = keyspace.collectionAt(keyRef);
  const { elements, clock } = keyspace;
  const due: number[] = [];
  const visit = (ref: number): void => {
    if (elements.isDue(ref, clock.nowMs) && elements.isVisible(ref)) due.push(ref);
  };
  const cursor = new ElementCursor();
  while (collection.walk(cursor, 1000, visit));
  return due.length === 0 || expireAll(keyspace, collection, due);
}

/** Hides elements of a collection. Returns whether its key is still there. */
function expireAll(keyspace: Keyspace, collection: Collection, refs: readonly number[]): boolean {
  keyspace.cause = 'expireElement';
  beginChange(keyspace, collection);
  for (const ref of refs) expireElement(keyspace, collection, ref);
  endChange(keyspace, collection, false);
  keyspace.cause = 'write';
  const keyRef = collection.ref;
  const isThere = (keyspace.flagsOf(keyRef) & HIDDEN) === 0;
  if (!isThere && !keyspace.keepsTombstones) {
    keyspace.readKey(keyRef);
    const { keyBuffer, keyStart, keyLength } = keyspace;
    const database = keyspace.databases[collection.database];
    keyspace.drop(database, keyspace.hashOf(keyBuffer, keyStart, keyLength), keyRef);
  }
  return isThere;
}
