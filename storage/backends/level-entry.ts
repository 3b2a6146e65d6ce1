/** What a register is stored as in LevelDB: u32le CRC-32C of the record | the record, without batch flags. */
import { FLAG_BATCH_BEGIN, FLAG_BATCH_END, OFFSET_FLAGS, type RecordView } from '../../protocol/change-record.ts';
import { crc32c } from '../../protocol/crc32c.ts';
import type { ChangeBatch } from './level-batch.ts';

export const CHECKSUM_BYTES = 4;
/** Entries up to this length share one buffer. */
const SCRATCH_BYTES = 1 << 16;

export class EntryWriter {
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

  /** Puts a record's entry into a batch, which copies it. */
  put(batch: ChangeBatch, key: Buffer, { buffer, start, end }: RecordView): void {
    const length = CHECKSUM_BYTES + end - start;
    const at = buffer.byteOffset + start - CHECKSUM_BYTES;
    if (length > SCRATCH_BYTES && at >= 0) {
      // Not another copy of what may be half a gigabyte: what lies before the record is put back.
      const entry = Buffer.from(buffer.buffer, at, length);
      const before = entry.readUInt32LE(0);
      const flags = entry[CHECKSUM_BYTES + OFFSET_FLAGS];
      batch.put(key, completed(entry));
      entry[CHECKSUM_BYTES + OFFSET_FLAGS] = flags;
      entry.writeUInt32LE(before, 0);
      return;
    }
    const entry = length <= SCRATCH_BYTES ? this.#scratch.subarray(0, length) : Buffer.allocUnsafeSlow(length);
    buffer.copy(entry, CHECKSUM_BYTES, start, end);
    batch.put(key, completed(entry));
  }
}

/** An entry that has its record, without batch flags and with the checksum. */
function completed(entry: Buffer): Buffer {
  entry[CHECKSUM_BYTES + OFFSET_FLAGS] &= ~(FLAG_BATCH_BEGIN | FLAG_BATCH_END);
  entry.writeUInt32LE(crc32c(entry, CHECKSUM_BYTES, entry.length), 0);
  return entry;
}
