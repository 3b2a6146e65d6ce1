/** Whether records can be merged, asked before any of them is: they are merged all or none. */
import {
  FLAG_HAS_DEADLINE,
  KIND_COUNTER,
  KIND_FLOOR,
  KIND_STRING,
  RECORD_HEADER_BYTES,
  RecordError,
  RecordReader,
} from '../../protocol/change-record.ts';
import { isCollectionKind, isElementCounterKind } from '../../protocol/collection-kinds.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import { validateCollectionRecord } from '../collections/merge.ts';
import type { Keyspace } from '../keyspace.ts';

const reader = new RecordReader();

/** Sums are decimal texts of at most this length; longer ones were not made by us. */
const SUM_BYTES_MAX = 512;

/** @throws RecordError when any of the packed records could not be merged */
export function checkRecords(keyspace: Keyspace, records: Buffer, start: number, end: number): void {
  const { nodes } = keyspace;
  // Four origins a record at most; only where these may not fit they are counted.
  const isNarrow = nodes.room < 4 * Math.ceil((end - start) / RECORD_HEADER_BYTES);
  const missing = new Set<string>();
  for (let at = start; at < end;) {
    at = reader.read(records, at, end);
    validate(keyspace, reader);
    if (isNarrow) collectOrigins(keyspace, reader, missing);
  }
  if (missing.size <= nodes.room) return;
  throw new RecordError(
    'more than 65,535 writers have written to this data set (a node is one, and another after each crash); restart this node: ' +
      'it forgets those then of which nothing is left',
  );
}

/** Adds the origins that a record names and that are new here. */
function collectOrigins({ nodes }: Keyspace, record: RecordReader, missing: Set<string>): void {
  const { kind, buffer, elementStart, elementLength, valueStart, valueLength } = record;
  nodes.collectMissing(record.originHi, record.originLo, missing);
  if ((record.flags & FLAG_HAS_DEADLINE) !== 0)
    nodes.collectMissing(record.deadlineOriginHi, record.deadlineOriginLo, missing);
  if (kind !== KIND_COUNTER && !isElementCounterKind(kind)) return;
  const ends = [elementLength >= 8 ? elementStart + elementLength : -1, valueLength >= 16 ? valueStart + 16 : -1];
  for (const at of ends)
    if (at >= 0) nodes.collectMissing(buffer.readUInt32BE(at - 8), buffer.readUInt32BE(at - 4), missing);
}

function validate(keyspace: Keyspace, record: RecordReader): void {
  if (record.database >= keyspace.databases.length) {
    throw new RecordError(
      `a change of database ${record.database}; this node has ${keyspace.databases.length} databases`,
    );
  }
  if (record.kind === KIND_COUNTER) {
    const { elementLength, valueLength } = record;
    if (elementLength === 0 ? (record.flags & FLAG_HAS_DEADLINE) === 0 : elementLength !== 8 || valueLength < 17) {
      throw new RecordError('a counter record without a sum or a deadline');
    }
    if (valueLength > 16 + SUM_BYTES_MAX) throw new RecordError('a counter record with a sum that is too long');
    if (elementLength === 8) validateEntry(record);
  } else if (isCollectionKind(record.kind)) {
    validateCollectionRecord(record);
  } else if (record.kind !== KIND_STRING && record.kind !== KIND_FLOOR) {
    throw new RecordError(`a register of kind ${record.kind}, which this release does not know`);
  }
}

/** A sum that began after its own version would outlive every SET and DEL. */
function validateEntry(record: RecordReader): void {
  const { buffer, elementStart, valueStart } = record;
  const beginHi = buffer.readUInt32BE(valueStart);
  const beginLo = buffer.readUInt32BE(valueStart + 4);
  if (compareStamp(beginHi, beginLo, record.stampHi, record.stampLo) > 0) {
    throw new RecordError('a counter record whose sum began after its own stamp');
  }
  const origin = compareStamp(
    buffer.readUInt32BE(elementStart),
    buffer.readUInt32BE(elementStart + 4),
    record.originHi,
    record.originLo,
  );
  if (origin !== 0) throw new RecordError('a counter record of another node than its origin');
}
