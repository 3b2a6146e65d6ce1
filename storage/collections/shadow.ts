/**
 * What is above a key's birth but of another type than the one that won the key: kept as change records, hidden, so that
 * merging in any order ends alike. Only concurrent writes of several types to one key make shadows, and those that come
 * before the beginning of what they belong to; the next local beginning of the key takes in what is of its type, and ends the rest, as DEL ends all.
 */
import { RecordReader, RecordWriter } from '../../protocol/change-record.ts';
import { isElementCounterKind } from '../../protocol/collection-kinds.ts';
import { compareVersions } from '../../protocol/register-order.ts';
import type { Database, Shadow } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';
import { type Collection, ElementCursor, compareVersion } from './collection.ts';
import { encodeElement, encodeFloorRegister } from './encode.ts';

const held = new RecordReader();
const given = new RecordReader();
const writer = new RecordWriter();

function nameOf(key: Uint8Array, start: number, length: number): string {
  return (key as Buffer).toString('latin1', start, start + length);
}

export function shadowOf(database: Database, key: Uint8Array, start: number, length: number): Shadow | undefined {
  return database.shadows.size === 0 ? undefined : database.shadows.get(nameOf(key, start, length));
}

/** Keeps a record unless a later version of its register is held. */
export function addShadow(database: Database, record: RecordReader): void {
  const { buffer, keyStart, keyLength, elementStart, elementLength } = record;
  const key = nameOf(buffer, keyStart, keyLength);
  let shadow = database.shadows.get(key);
  if (shadow === undefined) database.shadows.set(key, (shadow = { records: new Map(), isDirty: true }));
  const name = `${record.kind}:${buffer.toString('latin1', elementStart, elementStart + elementLength)}`;
  const present = shadow.records.get(name);
  if (present !== undefined) {
    held.read(present, 0);
    if (compareVersions(record, held) <= 0) return;
  }
  shadow.records.set(name, Buffer.from(buffer.subarray(record.start, record.end)));
  shadow.isDirty = true;
}

/** Keeps the elements that were born after the version, and a floor above it: another type has won the key with it. */
export function shadowElements(
  keyspace: Keyspace,
  database: Database,
  collection: Collection,
  hi: number,
  lo: number,
  origin: number,
): void {
  const { nodes } = keyspace;
  writer.reset();
  if (compareVersion(nodes, collection.floorHi, collection.floorLo, collection.floorOrigin, hi, lo, origin) > 0) {
    encodeFloorRegister(keyspace, database, collection, writer);
    given.read(writer.buffer, 0, writer.length);
    addShadow(database, given);
    writer.reset();
  }
  if (compareVersion(nodes, collection.maxHi, collection.maxLo, collection.maxOrigin, hi, lo, origin) <= 0) return;
  const cursor = new ElementCursor();
  let more = true;
  while (more) {
    more = collection.walk(cursor, 1000, (ref) => encodeElement(keyspace, database, collection, ref, writer));
    for (let at = 0; at < writer.length;) {
      at = given.read(writer.buffer, at, writer.length);
      if (isBornAfter(keyspace, given, hi, lo, origin)) addShadow(database, given);
    }
    writer.reset();
  }
}

/** Whether an ELEMENT or COUNTER record was born after the version. */
function isBornAfter(keyspace: Keyspace, record: RecordReader, hi: number, lo: number, origin: number): boolean {
  const index = keyspace.nodes.indexOf(record.originHi, record.originLo);
  if (!isElementCounterKind(record.kind)) {
    return compareVersion(keyspace.nodes, record.stampHi, record.stampLo, index, hi, lo, origin) > 0;
  }
  const beginHi = record.buffer.readUInt32BE(record.valueStart);
  const beginLo = record.buffer.readUInt32BE(record.valueStart + 4);
  return compareVersion(keyspace.nodes, beginHi, beginLo, index, hi, lo, origin) > 0;
}

/** Takes out of what is hidden at a key what was born up to the version, and is dead. Returns whether anything is left. */
export function pruneShadow(
  keyspace: Keyspace,
  database: Database,
  key: Uint8Array,
  start: number,
  length: number,
  hi: number,
  lo: number,
  origin: number,
): boolean {
  const shadow = shadowOf(database, key, start, length);
  if (shadow === undefined) return false;
  for (const [name, record] of shadow.records) {
    held.read(record, 0);
    if (!isBornAfter(keyspace, held, hi, lo, origin)) shadow.records.delete(name);
  }
  if (shadow.records.size > 0) return true;
  dropShadow(database, key, start, length);
  return false;
}

/** Forgets what is hidden at a key, which is dead. */
export function dropShadow({ shadows }: Database, key: Uint8Array, start: number, length: number): void {
  if (shadows.size > 0) shadows.delete(nameOf(key, start, length));
}

/** A local DEL of the key: what is hidden there is dead from now on. */
export function raiseFloorOverShadow(
  keyspace: Keyspace,
  database: Database,
  collection: Collection,
  key: Uint8Array,
  start: number,
  length: number,
): void {
  const shadow = shadowOf(database, key, start, length);
  if (shadow === undefined) return;
  for (const record of shadow.records.values()) {
    held.read(record, 0);
    collection.raiseFloor(held.stampHi, held.stampLo, keyspace.nodes.indexOf(held.originHi, held.originLo));
  }
  database.shadows.delete(nameOf(key, start, length));
}

/** Hands out the records of the kinds wanted, whose type has won the key; they leave the shadow. */
export function takeShadow(
  database: Database,
  key: Uint8Array,
  start: number,
  length: number,
  isWanted: (kind: number) => boolean,
  apply: (record: RecordReader) => void,
): void {
  const shadow = shadowOf(database, key, start, length);
  if (shadow === undefined) return;
  const taken: Buffer[] = [];
  for (const [name, record] of shadow.records) {
    held.read(record, 0);
    if (!isWanted(held.kind)) continue;
    shadow.records.delete(name);
    taken.push(record);
  }
  if (shadow.records.size === 0) database.shadows.delete(nameOf(key, start, length));
  const reader = new RecordReader();
  for (const record of taken) {
    reader.read(record, 0);
    apply(reader);
  }
}

/** Appends what is hidden at a key. */
export function encodeShadow(shadow: Shadow, into: RecordWriter): void {
  for (const record of shadow.records.values()) into.raw(record, 0, record.length);
}
