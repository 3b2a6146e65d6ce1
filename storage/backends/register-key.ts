/**
 * The bytes that name a register in a store: all registers of a key lie next to each other in their order.
 *
 *   u16be database | u32be key length | key | u8 kind | element
 *
 * The element is the rest, so no two registers have the same bytes. LevelDB uses them as its key, MySQL their SHA-256.
 */
import { RecordReader, type RecordView } from '../../protocol/change-record.ts';
import { compareVersions } from '../../protocol/register-order.ts';

/** Bytes of a register key besides the key and the element. */
export const REGISTER_KEY_OVERHEAD_BYTES = 7;

export function registerKeyLength(record: RecordView): number {
  return REGISTER_KEY_OVERHEAD_BYTES + record.keyLength + record.elementLength;
}

/** Writes the register key of a record at `at` of a target that has the room; returns its length. */
export function writeRegisterKey(target: Buffer, at: number, record: RecordView): number {
  const { buffer, database, keyStart, keyLength, kind, elementStart, elementLength } = record;
  target[at] = database >>> 8;
  target[at + 1] = database;
  target[at + 2] = keyLength >>> 24;
  target[at + 3] = keyLength >>> 16;
  target[at + 4] = keyLength >>> 8;
  target[at + 5] = keyLength;
  buffer.copy(target, at + 6, keyStart, keyStart + keyLength);
  target[at + 6 + keyLength] = kind;
  if (elementLength > 0) buffer.copy(target, at + 7 + keyLength, elementStart, elementStart + elementLength);
  return REGISTER_KEY_OVERHEAD_BYTES + keyLength + elementLength;
}

/** The key inside a register key that begins at `at`; short when the bytes are damaged. */
export function keyOfRegisterKey(registerKey: Buffer, at: number): Buffer {
  if (registerKey.length < at + REGISTER_KEY_OVERHEAD_BYTES) return registerKey.subarray(at);
  return registerKey.subarray(at + 6, at + 6 + registerKey.readUInt32BE(at + 2));
}

/** The register key as Latin-1 text, for maps. */
export function registerId(record: RecordView): string {
  const key = Buffer.allocUnsafe(registerKeyLength(record));
  writeRegisterKey(key, 0, record);
  return key.toString('latin1');
}

/** Offsets of the newest record of each register in packed records, by register key as Latin-1 text. */
export function newestOf(records: Buffer): Map<string, number> {
  const reader = new RecordReader();
  const other = new RecordReader();
  const newest = new Map<string, number>();
  for (let at = 0; at < records.length;) {
    const offset = at;
    at = reader.read(records, offset);
    const id = registerId(reader);
    const before = newest.get(id);
    if (before !== undefined) {
      other.read(records, before);
      if (compareVersions(reader, other) <= 0) continue;
    }
    newest.set(id, offset);
  }
  return newest;
}
