/** Rows of mantis_registers: from records to SQL text, and from selected columns back to the same records. */
import { hash } from 'node:crypto';
import {
  FLAG_DEAD,
  FLAG_EXPIRED,
  FLAG_HAS_DEADLINE,
  FLAG_HAS_ELEMENT,
  KIND_COUNTER,
  KIND_STRING,
  OFFSET_STAMP,
  RecordReader,
  RECORD_DEADLINE_BYTES,
  type RecordWriter,
} from '../../protocol/change-record.ts';
import { COLLECTION_HASH, COLLECTION_SORTED_SET, KIND_ELEMENT_COUNTER_FIRST } from '../../protocol/collection-kinds.ts';
import { stampMs } from '../../protocol/stamp.ts';
import type { KeyName } from './key-names.ts';
import type { Outlived } from './outlived.ts';
import { registerKeyLength, REGISTER_KEY_OVERHEAD_BYTES, writeRegisterKey } from './register-key.ts';

const VERSION_BYTES = 16;
/** The last millisecond of the year 9999, where DATETIME ends. */
const DATETIME_MS_MAX = 253_402_300_799_999;
const SCRATCH_BYTES = 1 << 16;
/** SQL text of a row besides its key, element and value. */
const ROW_TEXT_BYTES = 320;

const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/** One record of a batch, and the id of its row. */
export interface RowReference {
  /** Hex. */
  id: string;
  start: number;
  end: number;
  /** No less than the length of the row's SQL text. */
  textBytes: number;
}

function idOf(record: RecordReader): string {
  const length = registerKeyLength(record);
  const bytes = length <= SCRATCH_BYTES ? scratch : Buffer.allocUnsafeSlow(length);
  writeRegisterKey(bytes, 0, record);
  return hash('sha256', bytes.subarray(0, length), 'hex');
}

/** The rows of packed records, sorted by id: two writers that lock rows in one order deadlock less. */
export function rowsOf(records: Buffer): RowReference[] {
  const reader = new RecordReader();
  const rows: RowReference[] = [];
  for (let at = 0; at < records.length;) {
    at = reader.read(records, at);
    const textBytes = ROW_TEXT_BYTES + 2 * (reader.keyLength + reader.elementLength + reader.valueLength);
    rows.push({ id: idOf(reader), start: reader.start, end: reader.end, textBytes });
  }
  return rows.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

export const COLUMNS = 'id,db,k,element,kind,v,dead,expired,expires_at,expires_ms,deadline_ver,ver';
const SUM_KINDS = [
  KIND_COUNTER,
  ...[COLLECTION_HASH, COLLECTION_SORTED_SET].map((type) => KIND_ELEMENT_COUNTER_FIRST + type),
].join(',');
/** As COLUMNS without the value: enough to name a row and its version, and of a sum when it began. */
export const HEAD_COLUMNS = COLUMNS.replace(',v,', `,IF(kind IN (${SUM_KINDS}),LEFT(v,${VERSION_BYTES}),x''),`);
/** The id, and all of the version that decides which of two rows is newer, in hex; versionTextOf() gives the same. */
export const VERSION_COLUMNS = `HEX(id),CONCAT(HEX(ver),dead,HEX(COALESCE(deadline_ver,x'${'00'.repeat(VERSION_BYTES)}')))`;
export const INSERT_HEAD = `INSERT INTO mantis_registers (${COLUMNS}) VALUES `;

/*
 * The register order in SQL. MySQL assigns from left to right and a later expression sees the earlier assignments, so each
 * column's condition uses only columns that are assigned after it, or that are then equal on both sides: v early (the value is
 * the last tie-breaker), the guard columns last, `ver` at the very end.
 */
const NO_VERSION = `x'${'00'.repeat(VERSION_BYTES)}'`;
const NEW_DEADLINE = `COALESCE(VALUES(deadline_ver),${NO_VERSION})`;
const OLD_DEADLINE = `COALESCE(deadline_ver,${NO_VERSION})`;
const DEADER = 'VALUES(ver)>ver OR (VALUES(ver)=ver AND VALUES(dead)>dead)';
const NEWER = `${DEADER} OR (VALUES(ver)=ver AND VALUES(dead)=dead AND ${NEW_DEADLINE}>${OLD_DEADLINE})`;
const NEWER_OR_GREATER =
  `${NEWER} OR (VALUES(ver)=ver AND VALUES(dead)=dead AND ` + `${NEW_DEADLINE}=${OLD_DEADLINE} AND VALUES(v)>v)`;

export const INSERT_TAIL =
  ' ON DUPLICATE KEY UPDATE ' +
  `expired=IF(${NEWER_OR_GREATER},VALUES(expired),expired),` +
  `v=IF(${NEWER_OR_GREATER},VALUES(v),v),` +
  `expires_at=IF(${NEWER},VALUES(expires_at),expires_at),` +
  `expires_ms=IF(${NEWER},VALUES(expires_ms),expires_ms),` +
  `deadline_ver=IF(${NEWER},VALUES(deadline_ver),deadline_ver),` +
  `dead=IF(${DEADER},VALUES(dead),dead),` +
  'ver=GREATEST(ver,VALUES(ver))';

export const INSERT_PREPARED = `${INSERT_HEAD}(?,?,?,?,?,?,?,?,?,?,?,?)${INSERT_TAIL}`;

function expiredOf(flags: number): number {
  return flags & FLAG_EXPIRED ? 1 : 0;
}

function dateTimeOf(ms: number): string | null {
  if (ms === 0 || ms > DATETIME_MS_MAX) return null;
  return new Date(ms).toISOString().slice(0, 23).replace('T', ' ');
}

/** The row as a parenthesised list of literals, all of them ASCII whatever the bytes and the server's modes. */
export function rowText(records: Buffer, row: RowReference, reader: RecordReader): string {
  reader.read(records, row.start);
  const { buffer, flags, keyStart, keyLength, elementStart, elementLength, valueStart, valueLength, start } = reader;
  const key = buffer.toString('hex', keyStart, keyStart + keyLength);
  const element =
    flags & FLAG_HAS_ELEMENT ? `x'${buffer.toString('hex', elementStart, elementStart + elementLength)}'` : 'NULL';
  const value = buffer.toString('hex', valueStart, valueStart + valueLength);
  const version = buffer.toString('hex', start + OFFSET_STAMP, start + OFFSET_STAMP + VERSION_BYTES);
  let deadline = 'NULL,NULL,NULL';
  if (flags & FLAG_HAS_DEADLINE) {
    const dateTime = dateTimeOf(reader.deadlineMs);
    const deadlineVersion = buffer.toString('hex', valueStart - VERSION_BYTES, valueStart);
    deadline = `${dateTime === null ? 'NULL' : `'${dateTime}'`},${reader.deadlineMs},x'${deadlineVersion}'`;
  }
  return `(x'${row.id}',${reader.database},x'${key}',${element},${reader.kind},x'${value}',${flags & FLAG_DEAD},${expiredOf(flags)},${deadline},x'${version}')`;
}

/** The row as parameters of INSERT_PREPARED. */
export function rowParameters(
  records: Buffer,
  row: RowReference,
  reader: RecordReader,
): (Buffer | number | string | null)[] {
  reader.read(records, row.start);
  const { buffer, flags, keyStart, keyLength, elementStart, elementLength, valueStart, valueLength, start } = reader;
  const hasDeadline = (flags & FLAG_HAS_DEADLINE) !== 0;
  return [
    Buffer.from(row.id, 'hex'),
    reader.database,
    buffer.subarray(keyStart, keyStart + keyLength),
    flags & FLAG_HAS_ELEMENT ? buffer.subarray(elementStart, elementStart + elementLength) : null,
    reader.kind,
    buffer.subarray(valueStart, valueStart + valueLength),
    flags & FLAG_DEAD,
    expiredOf(flags),
    hasDeadline ? dateTimeOf(reader.deadlineMs) : null,
    hasDeadline ? reader.deadlineMs : null,
    hasDeadline ? buffer.subarray(valueStart - VERSION_BYTES, valueStart) : null,
    buffer.subarray(start + OFFSET_STAMP, start + OFFSET_STAMP + VERSION_BYTES),
  ];
}

/** The condition that a row is of this register and not newer than this record. */
export function notNewerText(records: Buffer, row: RowReference, reader: RecordReader): string {
  reader.read(records, row.start);
  const { buffer, flags, start, valueStart } = reader;
  const version = `x'${buffer.toString('hex', start + OFFSET_STAMP, start + OFFSET_STAMP + VERSION_BYTES)}'`;
  const isUpToDeadline =
    flags & FLAG_HAS_DEADLINE
      ? `${OLD_DEADLINE}<=x'${buffer.toString('hex', valueStart - VERSION_BYTES, valueStart)}'`
      : 'deadline_ver IS NULL';
  // Under a tombstone of its own version a live row goes, whatever its deadline.
  const isNotNewer = flags & FLAG_DEAD ? `(dead=0 OR ${isUpToDeadline})` : `dead=0 AND ${isUpToDeadline}`;
  return `(id=x'${row.id}' AND (ver<${version} OR (ver=${version} AND ${isNotNewer})))`;
}

/** A record's version as text that compares as versions do. */
export function versionTextOf(records: Buffer, row: RowReference, reader: RecordReader): string {
  reader.read(records, row.start);
  const { buffer, flags, start, valueStart } = reader;
  const version = buffer.toString('hex', start + OFFSET_STAMP, start + OFFSET_STAMP + VERSION_BYTES);
  const hasDeadline = (flags & FLAG_HAS_DEADLINE) !== 0;
  const deadline = hasDeadline ? buffer.toString('hex', valueStart - VERSION_BYTES, valueStart) : '0'.repeat(32);
  return `${version}${flags & FLAG_DEAD}${deadline}`;
}

/** The condition that a row is of one of these keys. */
export function ofKeysText(names: readonly KeyName[]): string {
  const byDatabase = new Map<number, string[]>();
  for (const { database, key } of names) {
    const list = byDatabase.get(database) ?? [];
    list.push(`x'${key.toString('hex')}'`);
    byDatabase.set(database, list);
  }
  return [...byDatabase].map(([database, keys]) => `(db=${database} AND k IN (${keys.join(',')}))`).join(' OR ');
}

/**
 * The condition that a row may be outlived: it is of one of these keys or databases. Of a string that is to go, the most common case,
 * the row itself is known, and a newer one needs nothing of what goes.
 */
export function outlivedText(all: readonly Outlived[]): string {
  const conditions: string[] = [];
  const strings: KeyName[] = [];
  const others: KeyName[] = [];
  for (const { database, key, hasString, stampHi, stampLo } of all) {
    if (key !== null) {
      (hasString ? strings : others).push({ database, key });
      continue;
    }
    const stamp = [stampHi, stampLo].map((word) => word.toString(16).padStart(8, '0')).join('');
    // A sum goes by when it began.
    conditions.push(`(db=${database} AND (ver<=x'${stamp}${'f'.repeat(16)}' OR kind IN (${SUM_KINDS})))`);
  }
  if (strings.length > 0) conditions.push(`((${ofKeysText(strings)}) AND kind<>${KIND_STRING})`);
  if (others.length > 0) conditions.push(ofKeysText(others));
  return conditions.join(' OR ');
}

const NO_BYTES = Buffer.alloc(0);

/** Turns selected rows (in the order of COLUMNS) back into records. */
export class RowDecoder {
  readonly #writer: RecordWriter;
  readonly #check = new RecordReader();
  /** Rows stamped later than this are refused. */
  stampMsMax = Number.POSITIVE_INFINITY;

  constructor(writer: RecordWriter) {
    this.#writer = writer;
  }

  /** Appends the row's record to the writer and returns null, or says why it is not one; then nothing is appended. */
  decode(row: unknown[]): string | null {
    const [id, database, key, element, kind, value, dead, expired, , expiresMs, deadlineVersion, version] = row;
    if (!(id instanceof Buffer && key instanceof Buffer && value instanceof Buffer)) return 'id, k or v is not bytes';
    if (!isVersion(version)) return 'ver is not 16 bytes';
    if (!(element === null || element instanceof Buffer)) return 'element is not bytes';
    if (!isWithin(database, 0xffff) || !isWithin(kind, 255) || kind === 0) return 'db or kind is out of range';
    if (!isWithin(dead, 1) || !isWithin(expired, 1)) return 'dead or expired is out of range';
    const deadlineMs = expiresMs === null ? 0 : Number(expiresMs);
    if ((expiresMs === null) !== (deadlineVersion === null)) return 'expires_ms without deadline_ver, or the reverse';
    if (!isWithin(deadlineMs, Number.MAX_SAFE_INTEGER)) return 'expires_ms is out of range';
    if (deadlineVersion !== null && !isVersion(deadlineVersion)) return 'deadline_ver is not 16 bytes';
    const stampHi = version.readUInt32BE(0);
    const stampLo = version.readUInt32BE(4);
    if (stampHi === 0 && stampLo === 0) return 'its stamp is 0';
    if (stampMs(stampHi, stampLo) > this.stampMsMax) return 'its stamp is in the future';
    if (
      deadlineVersion !== null &&
      stampMs(deadlineVersion.readUInt32BE(0), deadlineVersion.readUInt32BE(4)) > this.stampMsMax
    ) {
      return "its deadline's stamp is in the future";
    }
    const writer = this.#writer;
    const before = writer.length;
    writer.begin(
      kind,
      (dead === 1 ? FLAG_DEAD : 0) | (expired === 1 ? FLAG_EXPIRED : 0),
      stampHi,
      stampLo,
      version.readUInt32BE(8),
      version.readUInt32BE(12),
      database,
      key,
      0,
      key.length,
    );
    if (element !== null) writer.element(element, 0, element.length);
    if (deadlineVersion !== null) {
      const [sHi, sLo, oHi, oLo] = [0, 4, 8, 12].map((at) => deadlineVersion.readUInt32BE(at)) as [
        number,
        number,
        number,
        number,
      ];
      writer.deadline(deadlineMs, sHi, sLo, oHi, oLo);
    }
    writer.value(value, 0, value.length);
    writer.end();
    this.#check.read(writer.buffer, before, writer.length);
    if (id.toString('hex') === idOf(this.#check)) return null;
    writer.length = before;
    return 'its id is not that of its key';
  }
}

/** The key of a selected row, for messages. */
export function keyOfRow(row: unknown[]): Buffer {
  return row[2] instanceof Buffer ? row[2] : NO_BYTES;
}

/** Bytes that a record of this row takes on the wire, about. */
export function rawBytesOf(row: RowReference): number {
  return row.end - row.start + RECORD_DEADLINE_BYTES + REGISTER_KEY_OVERHEAD_BYTES;
}

function isVersion(value: unknown): value is Buffer {
  return value instanceof Buffer && value.length === VERSION_BYTES;
}

function isWithin(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max;
}
