/** A copy of a key's content, which COPY, RENAME, MOVE and SWAPDB write somewhere else as new local writes. */
import { setAccess } from '../eviction/access.ts';
import { RAW, TYPE_LIST, TYPE_STRING } from '../arena/block.ts';
import { ElementCursor } from '../collections/collection.ts';
import { pendingElementDeadline } from '../collections/element-expiry.ts';
import type { ListCollection } from '../collections/list-collection.ts';
import { writeInRun } from '../collections/list-writes.ts';
import { endChange, openCollection, putElement } from '../collections/local.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';
import { deleteRef, keptDeadline, setDeadline } from '../types/string.ts';

export interface FrozenKey {
  type: number;
  /** Milliseconds since 1970; 0 for none. */
  deadlineMs: number;
  access: number;
  /** A string's value, and its RAW flag; a counter's is its number. */
  value: Buffer;
  flags: number;
  /** A collection's visible elements: name, value, name, value, … */
  elements: Buffer[];
  /** The deadlines of those that have one of their own, by the place of the name in `elements`. */
  deadlines: Map<number, number>;
}

const NO_BYTES = Buffer.alloc(0);

function copyOf(buffer: Buffer, start: number, length: number): Buffer {
  return Buffer.from(buffer.subarray(start, start + length));
}

/** Copies the content of the visible key in `ref`. */
export function freezeKey(keyspace: Keyspace, ref: number): FrozenKey {
  const frozen: FrozenKey = {
    type: keyspace.typeOf(ref),
    deadlineMs: keptDeadline(keyspace, ref),
    access: keyspace.accessOf(ref),
    value: NO_BYTES,
    flags: keyspace.flagsOf(ref) & RAW,
    elements: [],
    deadlines: new Map(),
  };
  // A HyperLogLog is copied as the string that it shows.
  if (keyspace.typeOf(ref) === TYPE_STRING) {
    keyspace.readValue(ref);
    frozen.value = copyOf(keyspace.valueBuffer, keyspace.valueStart, keyspace.valueLength);
    return frozen;
  }
  const { elements } = keyspace;
  const collection = keyspace.collectionAt(ref);
  const visit = (element: number): void => {
    if (!elements.isVisible(element)) return;
    const deadlineMs = elements.deadlineOf(element);
    if (deadlineMs > 0) frozen.deadlines.set(frozen.elements.length, deadlineMs);
    elements.readName(element);
    frozen.elements.push(copyOf(elements.nameBuffer, elements.nameStart, elements.nameLength));
    elements.readValue(element);
    frozen.elements.push(copyOf(elements.valueBuffer, elements.valueStart, elements.valueLength));
  };
  const cursor = new ElementCursor();
  while (collection.walk(cursor, 1000, visit));
  return frozen;
}

/** Writes an element of a list that does not have it into a run; false when it is to have a block. */
function thawIntoRun(keyspace: Keyspace, list: ListCollection, name: Buffer, value: Buffer): boolean {
  const { hi, lo } = keyspace.clock;
  if (list.find(name, 0, name.length) !== 0) return false;
  return writeInRun(keyspace, list, hi, lo, 0, name, 0, name.length, value, 0, value.length, true);
}

/** Writes the content to a key, in the place of whatever is there. Returns its block. */
export function thawKey(
  keyspace: Keyspace,
  database: Database,
  key: Buffer,
  start: number,
  length: number,
  frozen: FrozenKey,
): number {
  const present = keyspace.lookup(database, key, start, length);
  if (frozen.type === TYPE_STRING) {
    const ref = present === 0 ? keyspace.find(database, key, start, length) : present;
    const { hash } = keyspace;
    keyspace.beginLocal(frozen.deadlineMs);
    const { value } = frozen;
    return keyspace.put(database, hash, ref, key, start, length, value, 0, value.length, frozen.flags, true);
  }
  if (present !== 0) deleteRef(keyspace, database, keyspace.hash, present, key, start, length);
  const collection = openCollection(keyspace, database, 0, frozen.type, key, start, length);
  for (let at = 0; at < frozen.elements.length; at += 2) {
    const name = frozen.elements[at];
    const value = frozen.elements[at + 1];
    if (frozen.type === TYPE_LIST && thawIntoRun(keyspace, collection as ListCollection, name, value)) continue;
    const found = collection.find(name, 0, name.length);
    const deadlineMs = frozen.deadlines.get(at);
    if (deadlineMs !== undefined) pendingElementDeadline(keyspace, deadlineMs);
    putElement(keyspace, collection, found, name, 0, name.length, value, 0, value.length);
  }
  endChange(keyspace, collection, true);
  const ref = keyspace.find(database, key, start, length);
  if (ref !== 0 && frozen.deadlineMs > 0) setDeadline(keyspace, database, keyspace.hash, ref, frozen.deadlineMs);
  return keyspace.find(database, key, start, length);
}

/** The same with the access field that the content had. */
export function moveKey(
  keyspace: Keyspace,
  database: Database,
  key: Buffer,
  start: number,
  length: number,
  frozen: FrozenKey,
): void {
  const ref = thawKey(keyspace, database, key, start, length, frozen);
  if (ref !== 0) setAccess(keyspace, ref, frozen.access);
}
