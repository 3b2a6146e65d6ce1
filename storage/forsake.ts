/**
 * What a node that resynchronises deletes: registers that the other node does not have, and that are old enough to have been
 * deleted there. Each is buried under a tombstone of its very own version, so that a later one, wherever it is, stays.
 */
import {
  FLAG_DEAD,
  FLAG_EXPIRED,
  KIND_COUNTER,
  KIND_FLOOR,
  KIND_STRING,
  RecordReader,
  RecordWriter,
} from '../protocol/change-record.ts';
import {
  COLLECTION_STREAM,
  KIND_ELEMENT_COUNTER_FIRST,
  KIND_ELEMENT_FIRST,
  KIND_KEY_FLOOR,
  isCollectionKind,
  isElementCounterKind,
  isElementKind,
  isKeyKind,
} from '../protocol/collection-kinds.ts';
import { compareStamp } from '../protocol/stamp.ts';
import { HIDDEN, OBJECT } from './block.ts';
import type { Database } from './database.ts';
import { encodeKey } from './encode.ts';
import type { Keyspace } from './keyspace.ts';
import { applyRecords } from './merge.ts';

/** Of registers with this origin, those stamped up to the bound were deleted where they are missing. */
export type OriginBound = (originHi: number, originLo: number) => { readonly hi: number; readonly lo: number };

/** Names of a stream's elements that are no entries are longer than this. */
const STREAM_ID_BYTES = 16;

const reader = new RecordReader();
const own = new RecordWriter(4096);
const output = new RecordWriter(4096);

/** Names the register of a record among those of its key. */
function registerName({ buffer, kind, elementStart, elementLength }: RecordReader): string {
  return `${kind}:${buffer.toString('latin1', elementStart, elementStart + elementLength)}`;
}

function eachRecord(records: Buffer, end: number, visit: (record: RecordReader, at: number) => void): void {
  for (let at = 0; at < end;) {
    const next = reader.read(records, at, end);
    visit(reader, at);
    at = next;
  }
}

function isLive({ flags }: RecordReader): boolean {
  return (flags & (FLAG_DEAD | FLAG_EXPIRED)) === 0;
}

function isUpTo(record: RecordReader, boundOf: OriginBound): boolean {
  const { hi, lo } = boundOf(record.originHi, record.originLo);
  return compareStamp(record.stampHi, record.stampLo, hi, lo) <= 0;
}

/** Deletes a key that the other node does not have, as far as the rule goes. */
export function forsakeKey(keyspace: Keyspace, database: Database, ref: number, boundOf: OriginBound): void {
  if ((keyspace.flagsOf(ref) & HIDDEN) !== 0) return;
  own.reset();
  encodeKey(keyspace, database, ref, own);
  output.reset();
  if (!buryCollection(boundOf)) eachRecord(own.buffer, own.length, (record) => bury(record, boundOf));
  apply(keyspace);
}

/** A collection of which nothing is to stay goes by a floor, like one that is deleted. */
function buryCollection(boundOf: OriginBound): boolean {
  let isWhole = own.length > 0;
  const top = { hi: 0, lo: 0, originHi: 0, originLo: 0 };
  eachRecord(own.buffer, own.length, (record) => {
    isWhole &&= isCollectionKind(record.kind) && isUpTo(record, boundOf);
    const order =
      compareStamp(record.stampHi, record.stampLo, top.hi, top.lo) ||
      compareStamp(record.originHi, record.originLo, top.originHi, top.originLo);
    if (order <= 0) return;
    Object.assign(top, { hi: record.stampHi, lo: record.stampLo });
    Object.assign(top, { originHi: record.originHi, originLo: record.originLo });
  });
  if (!isWhole) return false;
  const { database, buffer, keyStart, keyLength } = reader;
  output.begin(KIND_KEY_FLOOR, 0, top.hi, top.lo, top.originHi, top.originLo, database, buffer, keyStart, keyLength);
  output.end();
  return true;
}

/** Appends what buries the register, if the rule says so. What a stream's nodes know of it is not buried: it is never deleted. */
function bury(record: RecordReader, boundOf: OriginBound): void {
  const { kind, elementStart, elementLength, buffer } = record;
  if (!isLive(record) || !isUpTo(record, boundOf) || isKeyKind(kind) || kind === KIND_KEY_FLOOR) return;
  if (kind === KIND_ELEMENT_FIRST + COLLECTION_STREAM && elementLength > STREAM_ID_BYTES) return;
  if (kind === KIND_COUNTER && elementLength === 0) return;
  const isSum = isElementCounterKind(kind);
  const isElement = isElementKind(kind) || isSum;
  const { stampHi, stampLo, originHi, originLo, database, keyStart, keyLength } = record;
  const buriedKind = isSum ? kind - KIND_ELEMENT_COUNTER_FIRST + KIND_ELEMENT_FIRST : isElement ? kind : KIND_STRING;
  output.begin(buriedKind, FLAG_DEAD, stampHi, stampLo, originHi, originLo, database, buffer, keyStart, keyLength);
  if (isSum) output.element(buffer, elementStart + 4, elementLength - 12);
  else if (isElement) output.element(buffer, elementStart, elementLength);
  output.end();
}

function apply(keyspace: Keyspace): void {
  if (output.length > 0) applyRecords(keyspace, output.buffer, 0, output.length);
}

/**
 * Merges all that another node has of one key, and deletes what it lacks there by the rule.
 * @param theirs records of one key that have been found well-formed
 * @param ownBoundOf what of theirs was deleted here, or null where that cannot be
 */
export function takeKey(
  keyspace: Keyspace,
  theirs: Buffer,
  boundOf: OriginBound,
  ownBoundOf: OriginBound | null,
): void {
  reader.read(theirs, 0);
  const database = keyspace.databases[reader.database];
  const ref = keyspace.find(database, theirs, reader.keyStart, reader.keyLength);
  own.reset();
  if (ref !== 0) encodeKey(keyspace, database, ref, own);
  output.reset();
  const kept = new Set<string>();
  let hasString = false;
  eachRecord(theirs, theirs.length, (record) => {
    kept.add(registerName(record));
    if (isElementCounterKind(record.kind)) kept.add(fieldName(record));
    hasString ||= (record.kind === KIND_STRING || record.kind === KIND_COUNTER) && isLive(record);
  });
  const held = new Set<string>();
  eachRecord(own.buffer, own.length, (record) => {
    const name = registerName(record);
    held.add(name);
    // A sum that is missing beside a base, or beside other sums, went by the base: merging sees to that.
    const isCovered =
      record.kind === KIND_COUNTER ? hasString : isElementCounterKind(record.kind) && kept.has(fieldName(record));
    if (!kept.has(name) && !isCovered) bury(record, boundOf);
  });
  eachRecord(theirs, theirs.length, (record, at) => {
    const isDropped =
      ownBoundOf !== null && isLive(record) && !held.has(registerName(record)) && isUpTo(record, ownBoundOf);
    if (!isDropped || isKeyKind(record.kind)) output.raw(theirs, at, record.end - at);
  });
  apply(keyspace);
}

/**
 * The same for a key of which nothing is here. That need not be all that the other node has of it: more may follow.
 * @param theirs records[start, end) of one key that have been found well-formed
 */
export function takeNewKey(
  keyspace: Keyspace,
  theirs: Buffer,
  start: number,
  end: number,
  ownBoundOf: OriginBound | null,
): void {
  if (ownBoundOf === null) {
    applyRecords(keyspace, theirs, start, end);
    return;
  }
  output.reset();
  for (let at = start; at < end;) {
    const next = reader.read(theirs, at, end);
    const isDropped = isLive(reader) && isUpTo(reader, ownBoundOf) && !isKeyKind(reader.kind);
    if (!isDropped) output.raw(theirs, at, next - at);
    at = next;
  }
  apply(keyspace);
}

/** The register of the field that a sum belongs to. */
function fieldName({ buffer, kind, elementStart, elementLength }: RecordReader): string {
  const field = buffer.toString('latin1', elementStart + 4, elementStart + elementLength - 8);
  return `${kind - KIND_ELEMENT_COUNTER_FIRST + KIND_ELEMENT_FIRST}:${field}`;
}

/** Whether the register of a record is not here at all, dead or alive, at a key that has this type or none. */
export function missesRegister(keyspace: Keyspace, record: RecordReader): boolean {
  const { kind, buffer, keyStart, keyLength, elementStart, elementLength } = record;
  const database = keyspace.databases[record.database];
  if (kind === KIND_FLOOR || database === undefined) return false;
  const ref = keyspace.find(database, buffer, keyStart, keyLength);
  if (ref === 0) return true;
  if (!isElementKind(kind) || (keyspace.flagsOf(ref) & OBJECT) === 0) return false;
  return keyspace.collectionAt(ref).find(buffer, elementStart, elementLength) === 0;
}
