import { describe, expect, it } from '@jest/globals';
import {
  FLAG_BATCH_BEGIN,
  FLAG_BATCH_END,
  OFFSET_FLAGS,
  RecordReader,
  RecordWriter,
} from '../../../protocol/change-record.ts';
import { crc32c } from '../../../protocol/crc32c.ts';
import { EntryWriter } from '../../../storage/backends/level-entry.ts';
import { pack } from '../registers.ts';

const KEY = Buffer.from('key');
const LONG = 100_000;

/** Some records in a RecordWriter's memory, with the flags of a batch. */
function recordsOf(...valueBytes: number[]): Buffer {
  const writer = new RecordWriter(16);
  for (const bytes of valueBytes) {
    const record = pack({ key: `of ${bytes}`, value: Buffer.alloc(bytes, bytes) });
    record[OFFSET_FLAGS] |= FLAG_BATCH_BEGIN | FLAG_BATCH_END;
    writer.raw(record, 0, record.length);
  }
  return writer.take();
}

function alone(records: Buffer): Buffer {
  const own = Buffer.allocUnsafeSlow(records.length);
  records.copy(own);
  return own;
}

describe('the entry of a register', () => {
  it.each([
    ['the first of a large buffer', () => recordsOf(LONG), true],
    ['behind others', () => recordsOf(10, LONG), true],
    ['short', () => recordsOf(10), false],
    ['at the begin of its memory', () => alone(recordsOf(LONG)), false],
  ])('%s is its checksum and itself without batch flags, and the record stays as it was', (_what, make, isInPlace) => {
    const records = make();
    const memory = Buffer.from(records.buffer);
    const before = Buffer.from(memory);
    const reader = new RecordReader();
    for (let at = 0; at < records.length;) at = reader.read(records, at);
    let entry = Buffer.alloc(0);
    const put = (key: Buffer, value: Buffer): void => {
      expect(key).toBe(KEY);
      expect(value.buffer === records.buffer).toBe(isInPlace);
      entry = Buffer.from(value);
    };
    new EntryWriter().put({ put, write: () => Promise.resolve() }, KEY, reader);
    expect(memory.equals(before)).toBe(true);
    const stored = Buffer.from(records.subarray(reader.start, reader.end));
    stored[OFFSET_FLAGS] &= ~(FLAG_BATCH_BEGIN | FLAG_BATCH_END);
    expect(entry.subarray(4).equals(stored)).toBe(true);
    expect(entry.readUInt32LE(0)).toBe(crc32c(stored, 0, stored.length));
  });
});
