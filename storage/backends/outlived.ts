/**
 * What goes with a key that is taken out of the stores. Merging keeps no more than what counts: the sums under a SET, the hash
 * under a string, the elements under a DEL leave memory, but their rows stay in the stores, dead as long as the row above them
 * is there. So they go first, and the rows that memory knows go last.
 */
import {
  FLAG_HAS_DEADLINE,
  KIND_COUNTER,
  KIND_FLOOR,
  KIND_STRING,
  RecordReader,
  type RecordView,
} from '../../protocol/change-record.ts';
import {
  COLLECTION_HASH,
  COLLECTION_SORTED_SET,
  counterKindOfElement,
  isElementCounterKind,
  isElementKind,
  isKeyKind,
  KIND_ELEMENT_FIRST,
  KIND_KEY_FIRST,
  KIND_KEY_FLOOR,
} from '../../protocol/collection-kinds.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import { beginOf, compareVersions, isSum, SUM_ORIGIN_BYTES, type Version } from '../../protocol/sum-record.ts';
import { keyId, keyIdsOf, packKeyNames } from './key-names.ts';

/** With many more keys a database would not use its index. */
const KEYS_A_SELECT = 1000;
const KEY_BYTES_A_SELECT = 128 << 10;

/** A key whose registers up to a version go, or with a FLOOR a whole database. */
export interface Outlived {
  database: number;
  /** Null for all keys of the database. */
  key: Buffer | null;
  /** The key's string is among what was given. */
  hasString: boolean;
  /** Only the sums of this element of the key, in registers of `counterKind`; null for all of the key. */
  element: Buffer | null;
  counterKind: number;
  stampHi: number;
  stampLo: number;
  originHi: number;
  originLo: number;
}

/** Whether a register of this kind can lie, dead and forgotten, under one of another kind at the same key. */
export function canBeOutlived(kind: number): boolean {
  return kind === KIND_COUNTER || kind >= KIND_KEY_FIRST;
}

/** The keys of packed records that leave the stores, one after the other, each with the newest version that is given of it. */
export function outlivedOf(registers: Buffer, reader: RecordReader): Outlived[] {
  const all: Outlived[] = [];
  for (let at = 0; at < registers.length;) {
    at = reader.read(registers, at);
    const { database, kind, keyStart, keyLength, stampHi, stampLo, originHi, originLo } = reader;
    const key = kind === KIND_FLOOR ? null : registers.subarray(keyStart, keyStart + keyLength);
    const version = { stampHi, stampLo, originHi, originLo };
    if (isElementKind(kind) || isElementCounterKind(kind)) {
      if (!canHaveSums(kind)) continue;
      const element = registers.subarray(reader.elementStart, reader.elementStart + reader.elementLength);
      all.push({ database, key, hasString: false, element, counterKind: counterKindOfElement(kind), ...version });
      continue;
    }
    const last = all.findLast((one) => one.element === null);
    if (last === undefined || last.database !== database || key === null || last.key?.equals(key) !== true) {
      all.push({ database, key, hasString: kind === KIND_STRING, element: null, counterKind: 0, ...version });
    } else {
      last.hasString ||= kind === KIND_STRING;
      if (isUpTo(last, reader)) Object.assign(last, version);
    }
  }
  return all;
}

/** Whether a is not newer than b. */
export function isUpTo(a: Version, b: Version): boolean {
  return compareVersions(a, b) <= 0;
}

/** As many as one statement asks for. */
export function* outlivedSlices(all: readonly Outlived[]): Generator<Outlived[]> {
  let slice: Outlived[] = [];
  let bytes = 0;
  for (const one of all) {
    slice.push(one);
    bytes += one.key?.length ?? 0;
    if (slice.length < KEYS_A_SELECT && bytes < KEY_BYTES_A_SELECT) continue;
    yield slice;
    slice = [];
    bytes = 0;
  }
  if (slice.length > 0) yield slice;
}

/** Whether a stored register would show once the key that was given is gone: it is newer than all that was given of it. */
export function outlives(record: RecordView, by: Outlived): boolean {
  return by.key !== null && by.element === null && !isUpTo(bornAt(record), by);
}

/** Those of packed records whose deadline ends more than themselves: of collections and of counters. */
export function sharedDeadlines(registers: Buffer): Buffer {
  const reader = new RecordReader();
  const counters = new Set<string>();
  for (let at = 0; at < registers.length;) {
    at = reader.read(registers, at);
    if (reader.kind === KIND_COUNTER) counters.add(keyId(reader.database, keyBytesOf(reader)));
  }
  return filterRecords(registers, (record) => {
    if ((record.flags & FLAG_HAS_DEADLINE) === 0) return false;
    return isKeyKind(record.kind) || (counters.size > 0 && counters.has(keyId(record.database, keyBytesOf(record))));
  });
}

/** Packed records without those of some keys (key-names.ts). */
export function withoutKeys(registers: Buffer, keys: Buffer): Buffer {
  const names = keyIdsOf(keys);
  return filterRecords(registers, (record) => !names.has(keyId(record.database, keyBytesOf(record))));
}

/** Packed records without those of some keys (key-names.ts), and without the FLOORs, which stay for good: one for each database. */
export function recordsToRemove(registers: Buffer, staying: Buffer): Buffer {
  const names = keyIdsOf(staying);
  return filterRecords(
    registers,
    (reader) =>
      reader.kind !== KIND_FLOOR && !(names.size > 0 && names.has(keyId(reader.database, keyBytesOf(reader)))),
  );
}

/** Packed records without FLOORs, and without those by which only an element goes unless `withElements`. */
export function recordsOfKeys(registers: Buffer, withElements: boolean): Buffer {
  return filterRecords(
    registers,
    ({ kind }) => kind !== KIND_FLOOR && (withElements || (!isElementKind(kind) && !isElementCounterKind(kind))),
  );
}

function filterRecords(records: Buffer, isKept: (reader: RecordReader) => boolean): Buffer {
  const reader = new RecordReader();
  const kept: Buffer[] = [];
  for (let at = 0; at < records.length;) {
    at = reader.read(records, at);
    if (isKept(reader)) kept.push(records.subarray(reader.start, reader.end));
  }
  return Buffer.concat(kept);
}

function keyBytesOf({ buffer, keyStart, keyLength }: RecordView): Buffer {
  return buffer.subarray(keyStart, keyStart + keyLength);
}

/** Whether a stored register goes. The stamp of a FLOOR covers all origins, and the FLOOR itself stays. */
export function isOutlived(record: RecordView, by: Outlived): boolean {
  if (by.element !== null) return isSumOf(record, by, by.element) && isUpTo(bornAt(record), by);
  const born = bornAt(record);
  if (by.key !== null) return isUpTo(born, by);
  return record.kind !== KIND_FLOOR && compareStamp(born.stampHi, born.stampLo, by.stampHi, by.stampLo) <= 0;
}

function canHaveSums(kind: number): boolean {
  return kind === KIND_ELEMENT_FIRST + COLLECTION_HASH || kind === KIND_ELEMENT_FIRST + COLLECTION_SORTED_SET;
}

/** What the names of an element's sums begin with: see collection-kinds.ts. */
export function sumsPrefix(element: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(element.length, 0);
  return Buffer.concat([length, element]);
}

/** What the register keys (register-key.ts) of an element's sums begin with; behind it comes the id of their node. */
export function sumsName({ database, element, counterKind }: Outlived, key: Buffer): Buffer {
  const name = packKeyNames([{ database, key }]);
  return Buffer.concat([name, Buffer.from([counterKind]), sumsPrefix(element ?? Buffer.alloc(0))]);
}

function isSumOf({ buffer, kind, elementStart, elementLength }: RecordView, by: Outlived, element: Buffer): boolean {
  const prefix = sumsPrefix(element);
  if (kind !== by.counterKind || elementLength !== prefix.length + SUM_ORIGIN_BYTES) return false;
  return buffer.compare(prefix, 0, prefix.length, elementStart, elementStart + prefix.length) === 0;
}

/**
 * The version that decides whether a register is dead under another one, be that removed or past its deadline. A sum goes by when it
 * began, whatever its node, which had not heard of the removal, has added since.
 */
function bornAt(record: RecordView): Version {
  return isSum(record) ? beginOf(record) : record;
}

/** Rows with a lower rank are removed before those that keep them dead. */
export function removalRank(kind: number): number {
  if (kind === KIND_COUNTER || isElementCounterKind(kind)) return 0;
  if (isElementKind(kind)) return 1;
  return kind === KIND_KEY_FLOOR ? 3 : 2;
}
