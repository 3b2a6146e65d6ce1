/** What a store that an application brings needs to know of change records: which register one is of, and which of two is newer. */
import { FLAG_BATCH_BEGIN, FLAG_BATCH_END, OFFSET_FLAGS, RecordReader } from '../../protocol/change-record.ts';
import { compareVersions } from '../../protocol/register-order.ts';
import { keyNamesOf, packKeyNames } from './key-names.ts';
import { registerId } from './register-key.ts';

const SLICE_BYTES = 128 << 10;

export interface StoredRecord {
  /** Names the register, as latin1 text: database, key, kind and element. */
  id: string;
  /** A copy of the record, as it is to be stored. */
  record: Buffer;
}

/**
 * The records of packed records, one after the other.
 * @throws RecordError when they are malformed
 */
export function splitRecords(records: Buffer): StoredRecord[] {
  const reader = new RecordReader();
  const found: StoredRecord[] = [];
  for (let at = 0; at < records.length;) {
    at = reader.read(records, at);
    const record = Buffer.from(records.subarray(reader.start, reader.end));
    record[OFFSET_FLAGS] &= ~(FLAG_BATCH_BEGIN | FLAG_BATCH_END);
    found.push({ id: registerId(reader), record });
  }
  return found;
}

/** Whether a record of a register is to take the place of another one of it. */
export function isNewerRecord(record: Buffer, held: Buffer): boolean {
  return compareVersions(read(record), read(held)) > 0;
}

function read(record: Buffer): RecordReader {
  const reader = new RecordReader();
  reader.read(record, 0);
  return reader;
}

/** Puts records together into slices of about 128 KiB, as `load` and `fetch` give them. */
export function* packedSlices(records: Iterable<Buffer>): Generator<{ slice: Buffer; count: number }> {
  let slice: Buffer[] = [];
  let bytes = 0;
  for (const record of records) {
    slice.push(record);
    bytes += record.length;
    if (bytes < SLICE_BYTES) continue;
    yield { slice: Buffer.concat(slice), count: slice.length };
    slice = [];
    bytes = 0;
  }
  if (bytes > 0) yield { slice: Buffer.concat(slice), count: slice.length };
}

/** How the ids of all registers of each of these keys begin; `keys` is what `fetch` is given. */
export function idPrefixes(keys: Buffer): string[] {
  return keyNamesOf(keys).map((name) => packKeyNames([name]).toString('latin1'));
}
