/**
 * What goes with a key that is taken out of the stores. Merging keeps no more than what counts: the sums under a SET, the hash
 * under a string, the elements under a DEL leave memory, but their rows stay in the stores, dead as long as the row above them
 * is there. So they go first, and the rows that memory knows go last.
 */
import { KIND_COUNTER, KIND_FLOOR, type RecordReader, type RecordView } from '../../protocol/change-record.ts';
import {
  isElementCounterKind,
  isElementKind,
  KIND_KEY_FIRST,
  KIND_KEY_FLOOR,
} from '../../protocol/collection-kinds.ts';
import { compareStamp } from '../../protocol/stamp.ts';

/** A key whose registers up to a version go, or with a FLOOR a whole database. */
export interface Outlived {
  database: number;
  /** Null for all keys of the database. */
  key: Buffer | null;
  stampHi: number;
  stampLo: number;
  originHi: number;
  originLo: number;
}

/** Whether a register of this kind can lie, dead and forgotten, under one of another kind at the same key. */
export function canBeOutlived(kind: number): boolean {
  return kind === KIND_COUNTER || kind >= KIND_KEY_FIRST;
}

/** The keys of packed records, one after the other, each with the newest version that is given of it. */
export function outlivedOf(registers: Buffer, reader: RecordReader): Outlived[] {
  const all: Outlived[] = [];
  for (let at = 0; at < registers.length;) {
    at = reader.read(registers, at);
    if (isElementKind(reader.kind) || isElementCounterKind(reader.kind)) continue;
    const { database, kind, keyStart, keyLength, stampHi, stampLo, originHi, originLo } = reader;
    const key = kind === KIND_FLOOR ? null : registers.subarray(keyStart, keyStart + keyLength);
    const last = all.at(-1);
    if (last === undefined || last.database !== database || key === null || last.key?.equals(key) !== true) {
      all.push({ database, key, stampHi, stampLo, originHi, originLo });
    } else if (isUpTo(last, reader)) {
      Object.assign(last, { stampHi, stampLo, originHi, originLo });
    }
  }
  return all;
}

/** Whether a is not newer than b, going by stamp and origin. */
function isUpTo(a: Pick<RecordView, 'stampHi' | 'stampLo' | 'originHi' | 'originLo'>, b: typeof a): boolean {
  const order = compareStamp(a.stampHi, a.stampLo, b.stampHi, b.stampLo);
  return (order || compareStamp(a.originHi, a.originLo, b.originHi, b.originLo)) <= 0;
}

/** Whether a stored register goes. The stamp of a FLOOR covers all origins, and the FLOOR itself stays. */
export function isOutlived(record: RecordView, by: Outlived): boolean {
  if (by.key !== null) return isUpTo(record, by);
  return record.kind !== KIND_FLOOR && compareStamp(record.stampHi, record.stampLo, by.stampHi, by.stampLo) <= 0;
}

/** Rows with a lower rank are removed before those that keep them dead. */
export function removalRank(kind: number): number {
  if (kind === KIND_COUNTER || isElementCounterKind(kind)) return 0;
  if (isElementKind(kind)) return 1;
  return kind === KIND_KEY_FLOOR ? 3 : 2;
}
