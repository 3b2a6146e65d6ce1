/** What the table has of keys and elements that leave the stores, as LevelStore.outlived() gives it of the embedded store. */
import type { Connection } from 'mysql2';
import { RecordReader, RecordWriter } from '../../protocol/change-record.ts';
import { keyId, type KeyName, packKeyNames } from './key-names.ts';
import type { MysqlConnections } from './mysql-connections.ts';
import { HEAD_COLUMNS, keyOfRow, outlivedText, RowDecoder, rowsOf } from './mysql-rows.ts';
import { sumIds, type SumOrigins } from './mysql-sum-origins.ts';
import { isOutlived, isUpTo, type Outlived, outlivedOf, outlivedSlices, outlives } from './outlived.ts';

const SLICE_BYTES = 128 << 10;
const IDS_A_SELECT = 1000;

type OnSlice = (records: Buffer) => Promise<void>;
/** Whether a row that was read is outlived. */
type Judge = (record: RecordReader, row: unknown[]) => boolean;

/**
 * Gives the rows of these registers' keys, of their elements' sums, or under a FLOOR, that are outlived by them and not given. Rows of
 * a key are found by the index, those of a single element's sums by their ids; a FLOOR reads the table. Resolves to the keys
 * (key-names.ts) with rows newer than what is given. Rejects with errors of the server.
 */
export async function findOutlived(
  connections: MysqlConnections,
  origins: SumOrigins,
  registers: Buffer,
  onRecords: OnSlice,
): Promise<Buffer> {
  const all = outlivedOf(registers, new RecordReader());
  let ids: Set<string> | null = null; // Few batches meet rows that they have to be told from.
  const isGiven = (id: string): boolean => (ids ??= new Set(rowsOf(registers).map((row) => row.id))).has(id);
  const newer = new Map<string, KeyName>();
  const wholes = all.filter(({ element }) => element === null);
  for (const some of outlivedSlices(wholes)) {
    const judge = judgeOfKeys(some, newer);
    await readRows(
      connections,
      outlivedText(some),
      (record, row) => judge(record, row) && !isGiven(idOfRow(row)),
      onRecords,
    );
  }
  const elements = withoutThoseOf(wholes, all);
  if (elements.length > 0) await findSums(connections, origins, elements, isGiven, onRecords);
  return packKeyNames([...newer.values()]);
}

function judgeOfKeys(all: readonly Outlived[], newer: Map<string, KeyName>): Judge {
  const byKey = Map.groupBy(all, ({ database, key }) => (key === null ? `${database}` : keyId(database, key)));
  return (record, row) => {
    const { database } = record;
    const key = keyOfRow(row);
    const name = keyId(database, key);
    // What is newer than its key may be under the FLOOR all the same.
    const by = [...(byKey.get(name) ?? []), ...(byKey.get(`${database}`) ?? [])];
    const isGoing = by.some((one) => isOutlived(record, one));
    if (!isGoing && by.some((one) => outlives(record, one))) newer.set(name, { database, key });
    return isGoing;
  };
}

/** The elements whose key does not go as a whole with all that they cover. */
function withoutThoseOf(wholes: readonly Outlived[], all: readonly Outlived[]): Outlived[] {
  const byKey = new Map(wholes.map((one) => [one.key === null ? '' : keyId(one.database, one.key), one]));
  return all.filter((one) => {
    if (one.element === null || one.key === null) return false;
    const whole = byKey.get(keyId(one.database, one.key));
    return whole === undefined || !isUpTo(one, whole);
  });
}

async function findSums(
  connections: MysqlConnections,
  origins: SumOrigins,
  elements: readonly Outlived[],
  isGiven: (id: string) => boolean,
  onRecords: OnSlice,
): Promise<void> {
  const known = await connections.use((connection) => origins.all(connections, connection));
  const byId = new Map<string, Outlived>();
  const ask = async (): Promise<void> => {
    const texts = [...byId.keys()].map((id) => `x'${id}'`);
    const judge: Judge = (record, row) => isOutlived(record, byId.get(idOfRow(row))!);
    await readRows(connections, `id IN (${texts.join(',')})`, judge, onRecords);
    byId.clear();
  };
  for (const element of elements) {
    for (const id of sumIds(element, known)) if (!isGiven(id)) byId.set(id, element);
    if (byId.size >= IDS_A_SELECT) await ask();
  }
  if (byId.size > 0) await ask();
}

/** Gives the heads of the rows of a condition that are judged to be outlived. */
async function readRows(
  connections: MysqlConnections,
  condition: string,
  judge: Judge,
  onRecords: OnSlice,
): Promise<void> {
  const writer = new RecordWriter(SLICE_BYTES);
  const decoder = new RowDecoder(writer);
  const reader = new RecordReader();
  const onRow = (row: unknown[]): boolean => {
    const before = writer.length;
    if (decoder.decode(row) !== null) return false;
    reader.read(writer.buffer, before, writer.length);
    if (!judge(reader, row)) writer.length = before;
    return writer.length >= SLICE_BYTES;
  };
  const onEnough = (): Promise<void> => onRecords(writer.take());
  const sql = `SELECT ${HEAD_COLUMNS} FROM mantis_registers WHERE ${condition}`;
  await connections.use((connection: Connection) => connections.queryRows(connection, sql, onRow, onEnough));
  if (writer.length > 0) await onEnough();
}

function idOfRow(row: readonly unknown[]): string {
  return (row[0] as Buffer).toString('hex');
}
