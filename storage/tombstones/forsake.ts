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
} from '../../protocol/change-record.ts';
import {
  COLLECTION_STREAM,
  KIND_ELEMENT_FIRST,
  KIND_KEY_FLOOR,
  elementKindOfCounter,
  isCollectionKind,
  isElementCounterKind,
  isElementKind,
  isKeyKind,
} from '../../protocol/collection-kinds.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import { beginOf, compareVersions, isSum, SUM_ORIGIN_BYTES, type Version } from '../../protocol/sum-record.ts';
import { COUNTER, HIDDEN, OBJECT } from '../arena/block.ts';
import { ELEMENT_COUNTED } from '../collections/element-layout.ts';
import { decodeElementCounter } from '../collections/element-writes.ts';
import type { Database } from '../database.ts';
import { encodeKey } from '../changes/encode.ts';
import type { Keyspace } from '../keyspace.ts';
import { applyRecords } from '../merging/merge.ts';
import { type CounterState, decodeCounter } from '../types/counter-payload.ts';

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

/** Appends what buries the register, if the rule says so; of a sum with `end` only what began up to there. What a stream's nodes know of it is not buried: it is never deleted. */
function bury(record: RecordReader, boundOf: OriginBound, end: Version | null = null): void {
  const { kind, elementStart, elementLength, buffer } = record;
  if (!isLive(record) || !isUpTo(record, boundOf) || isKeyKind(kind) || kind === KIND_KEY_FLOOR) return;
  if (kind === KIND_ELEMENT_FIRST + COLLECTION_STREAM && elementLength > STREAM_ID_BYTES) return;
  if (kind === KIND_COUNTER && elementLength === 0) return;
  const { database, keyStart, keyLength } = record;
  const { stampHi, stampLo, originHi, originLo } = end ?? record;
  const begin = (buriedKind: number): void => {
    output.begin(buriedKind, FLAG_DEAD, stampHi, stampLo, originHi, originLo, database, buffer, keyStart, keyLength);
  };
  if (isElementCounterKind(kind)) {
    begin(elementKindOfCounter(kind));
    output.element(buffer, elementStart + 4, elementLength - 4 - SUM_ORIGIN_BYTES);
  } else if (isElementKind(kind)) {
    begin(kind);
    output.element(buffer, elementStart, elementLength);
  } else {
    begin(KIND_STRING);
  }
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
  const held = buryLacking(keyspace, database, ref, theirs, boundOf);
  eachRecord(theirs, theirs.length, (record, at) => {
    const isDropped =
      ownBoundOf !== null && isLive(record) && !held.has(registerName(record)) && isUpTo(record, ownBoundOf);
    if (!isDropped || isKeyKind(record.kind)) output.raw(theirs, at, record.end - at);
  });
  apply(keyspace);
}

/**
 * Deletes by the rule what another node lacked of one key when it sent all that it had. That has been merged, and may have been deleted
 * since.
 */
export function forsakeLacking(keyspace: Keyspace, theirs: Buffer, boundOf: OriginBound): void {
  reader.read(theirs, 0);
  const database = keyspace.databases[reader.database];
  const ref = keyspace.find(database, theirs, reader.keyStart, reader.keyLength);
  if (ref === 0) return;
  buryLacking(keyspace, database, ref, theirs, boundOf);
  apply(keyspace);
}

/** Begins the output with what buries registers that are here and not there. @returns the names of those that are here */
function buryLacking(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  theirs: Buffer,
  boundOf: OriginBound,
): ReadonlySet<string> {
  own.reset();
  if (ref !== 0) encodeKey(keyspace, database, ref, own);
  output.reset();
  const kept = new Set<string>();
  const bases = new Set<string>();
  // Of what is counted there: when its first sum began.
  const firstBegins = new Map<string, Version>();
  eachRecord(theirs, theirs.length, (record) => {
    kept.add(registerName(record));
    if (record.kind !== KIND_STRING || isLive(record)) bases.add(registerName(record));
    if (!isSum(record)) return;
    const [name, begin] = [baseName(record), beginOf(record)];
    const first = firstBegins.get(name);
    if (first === undefined || compareVersions(begin, first) < 0) firstBegins.set(name, begin);
  });
  const held = new Set<string>();
  eachRecord(own.buffer, own.length, (record) => {
    held.add(registerName(record));
    if (kept.has(registerName(record))) return;
    if (!isSum(record)) bury(record, boundOf);
    else burySum(record, boundOf, bases, firstBegins);
  });
  return held;
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

/** A sum that is missing beside a base went by the base, and merging sees to that. Beside sums alone, it was removed before they began. */
function burySum(
  record: RecordReader,
  boundOf: OriginBound,
  bases: ReadonlySet<string>,
  firstBegins: ReadonlyMap<string, Version>,
): void {
  const name = baseName(record);
  if (bases.has(name)) return;
  const first = firstBegins.get(name);
  if (first === undefined) {
    bury(record, boundOf);
    return;
  }
  const begin = beginOf(record);
  if (compareVersions(begin, first) < 0) bury(record, boundOf, begin);
}

/** The register that a sum adds to. */
function baseName({ buffer, kind, elementStart, elementLength }: RecordReader): string {
  if (kind === KIND_COUNTER) return `${KIND_STRING}:`;
  const field = buffer.toString('latin1', elementStart + 4, elementStart + elementLength - SUM_ORIGIN_BYTES);
  return `${elementKindOfCounter(kind)}:${field}`;
}

/**
 * Whether the register of a record is not here at all, dead or alive, neither in memory nor evicted, at a key that has this type or
 * none.
 */
export function missesRegister(keyspace: Keyspace, record: RecordReader): boolean {
  const { kind, buffer, keyStart, keyLength, elementStart, elementLength } = record;
  const database = keyspace.databases[record.database];
  if (kind === KIND_FLOOR || database === undefined) return false;
  const ref = keyspace.find(database, buffer, keyStart, keyLength);
  if (database.evicted.has(keyspace.hash)) return false;
  if (ref === 0) return true;
  const flags = keyspace.flagsOf(ref);
  if (kind === KIND_COUNTER) {
    // A sum that is missing beside a base went by the base: merging sees to that.
    if ((flags & COUNTER) === 0 || elementLength !== SUM_ORIGIN_BYTES) return false;
    return !hasSumOf(keyspace, decodeCounter(keyspace.arena, ref), buffer, elementStart);
  }
  if ((flags & OBJECT) === 0) return false;
  const collection = keyspace.collectionAt(ref);
  if (isElementKind(kind)) return collection.find(buffer, elementStart, elementLength) === 0;
  if (!isElementCounterKind(kind)) return false;
  const element = collection.find(buffer, elementStart + 4, elementLength - 4 - SUM_ORIGIN_BYTES);
  if (element === 0) return true;
  if ((keyspace.elements.flagsOf(element) & ELEMENT_COUNTED) === 0) return false;
  const state = decodeElementCounter(keyspace, element);
  return !hasSumOf(keyspace, state, buffer, elementStart + elementLength - SUM_ORIGIN_BYTES);
}

/** Whether the node whose id is in the bytes has a sum in a counter. */
function hasSumOf({ nodes }: Keyspace, { entries }: CounterState, bytes: Buffer, at: number): boolean {
  const origin = nodes.indexOf(bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4));
  return entries.some((entry) => entry.origin === origin);
}
