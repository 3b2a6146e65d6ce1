/**
 * The MySQL store: one row per register (mysql-schema.ts), merged by guarded upserts, so any node may write anything, in any
 * order, twice. Works on MySQL 5.7–9, MariaDB and the engines that speak their protocol.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Connection } from 'mysql2';
import {
  OFFSET_KEY_LENGTH,
  OFFSET_KIND,
  RecordReader,
  RecordWriter,
  RECORD_HEADER_BYTES,
} from '../../protocol/change-record.ts';
import type { StoreEnvironment } from '../environment.ts';
import { Quarantine, StoreError, type DurableStore, type OnRecords } from './backend.ts';
import { type KeyName, keyNamesOf, nameSlices, packKeyNames } from './key-names.ts';
import { searchRows, type SearchStep } from './key-search.ts';
import { MysqlConnections, type MysqlPool, type ServerLimits } from './mysql-connections.ts';
import {
  readProgress,
  removeOldProgress,
  writeProgress,
  type NodeProgress,
  type PeerProgress,
} from './mysql-progress.ts';
import { isConflict, isRowFault, isServerFault, mysqlErrorOf, RowTooLargeError } from './mysql-errors.ts';
import {
  COLUMNS,
  INSERT_HEAD,
  INSERT_PREPARED,
  INSERT_TAIL,
  keyOfRow,
  notNewerText,
  ofKeysText,
  rawBytesOf,
  RowDecoder,
  rowParameters,
  rowsOf,
  rowText,
  VERSION_COLUMNS,
  versionTextOf,
  type RowReference,
} from './mysql-rows.ts';
import { findOutlived } from './mysql-outlived.ts';
import { checkSchema } from './mysql-schema.ts';
import { SumOrigins } from './mysql-sum-origins.ts';
import { removalRank } from './outlived.ts';
import { reasonOf } from './reason.ts';

const ROWS_A_STATEMENT = 2000;
const ROWS_A_PAGE = 20_000;
const IDS_A_SELECT = 1000;
const ROWS_A_DELETE = 100; // With more MySQL takes longer to plan for each.
const KEYS_TEXT_BYTES = 256 << 10; // Of the keys that one statement looks for.
/** A statement is cut here even where max_allowed_packet allows more: larger ones are not faster. */
const STATEMENT_BYTES_MAX = 4 << 20;
const STATEMENT_BYTES_MIN = 16 << 10;
/** A row with more goes as a prepared statement. */
const TEXT_OF_ROW_BYTES_MAX = 2 << 20;
/** Room in max_allowed_packet for what surrounds the rows. */
const STATEMENT_FRAME_BYTES = 4096;
const LOAD_SLICE_BYTES = 128 << 10;
const FETCH_SLICE_BYTES = 128 << 10;
const CONFLICT_ATTEMPTS_MAX = 20;
const CONFLICT_PAUSE_MS_MAX = 100;
/** How far ahead of this machine's clock a loaded row may be stamped when nothing else was said. */
const FUTURE_MS_MAX = 3_600_000;
const LOAD_ATTEMPTS_MAX = 5;
const LOAD_PAUSE_MS = 250;
/** How often the connection may break over one row until the row itself is suspected. */
const LOSSES_A_ROW_MAX = 5;

export interface MysqlStoreOptions {
  /** A mysql:// URL, or the application's own pool of mysql2. */
  target: string | MysqlPool;
  connectTimeoutMs?: number;
  queryTimeoutMs?: number;
  environment: StoreEnvironment;
}

interface LoadState {
  /** Id of the last row that was read, in hex; empty before the first. */
  after: string;
  rowsDone: number;
  rowsTotal: number;
  stampMsMax: number;
}

/** A register that MySQL does not take. */
export interface RefusedRow {
  /** One record. */
  records: Buffer;
  reason: string;
  /** The row's own bytes are the reason. */
  isCertain: boolean;
}

export class MysqlStore implements DurableStore {
  readonly name = 'mysql';
  /** Rows that were not usable when they were loaded. */
  readonly quarantine = new Quarantine('mysql');
  /** Rows that the server refused to take. */
  readonly refused = new Quarantine('mysql');
  /** Sums that lie under the tombstone of one element are found without reading the rows of its collection. */
  readonly findsSums: boolean = true;
  readonly #connections: MysqlConnections;
  readonly #environment: StoreEnvironment;
  readonly #reader = new RecordReader();
  readonly #sumOrigins = new SumOrigins();
  /** Shrinks when connections break in mid-statement, which is how some proxies say that a packet is too large. */
  #statementBytes = STATEMENT_BYTES_MAX;
  #lossesOfRow = { id: '', times: 0 };

  constructor(options: MysqlStoreOptions) {
    const { target, connectTimeoutMs = 10_000, queryTimeoutMs = 60_000 } = options;
    this.#environment = options.environment;
    this.#connections = new MysqlConnections(target, { connectTimeoutMs, queryTimeoutMs });
  }

  /** `host:port/database`, without the password. */
  get server(): string {
    return this.#connections.server;
  }

  /** Rejects with kind `unavailable` when the server does not answer, `refused` when the schema is not ours. */
  async open(): Promise<void> {
    await this.#asStoreError(() => this.#connections.use((connection) => checkSchema(this.#connections, connection)));
    // What was away may have lost what it had.
    this.#sumOrigins.noteAgain();
  }

  async #asStoreError<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof StoreError || isServerFault(error) || isConflict(error))
        throw mysqlErrorOf(error, this.server);
      throw error;
    }
  }

  async write(records: Buffer): Promise<void> {
    await this.writeRows(records);
  }

  /** As write; tells which rows the server refused. Rejects with a StoreError when the server does not work, and may then be repeated. */
  async writeRows(records: Buffer): Promise<RefusedRow[]> {
    const refused: RefusedRow[] = [];
    const rows = rowsOf(records);
    this.#sumOrigins.see(records, rows);
    await this.#asStoreError(async () => {
      await this.#noteSumOrigins();
      for (let from = 0; from < rows.length;) {
        const to = await this.#writeStatement(records, rows, from, refused);
        from = to;
      }
    });
    this.#reader.release();
    // A server that takes none of many rows, for no reason that is theirs, is itself at fault: they must not all be put aside.
    if (refused.length > 1 && refused.length === rows.length && !refused.some(({ isCertain }) => isCertain)) {
      throw new StoreError('unavailable', `MySQL ${this.server} refuses every row: ${refused[0].reason}`);
    }
    for (const { records: record, reason } of refused) {
      const keyLength = record.readUInt32LE(OFFSET_KEY_LENGTH);
      this.refused.add(record.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + keyLength), reason);
    }
    return refused;
  }

  /** As writeRows, but for rows that MySQL has already, as new or newer. Also says how many it lacked. */
  async writeMissing(records: Buffer): Promise<{ refused: RefusedRow[]; missingCount: number }> {
    const missing: Buffer[] = [];
    await this.#eachVersion(records, (row, version) => {
      if (version === undefined || version < versionTextOf(records, row, this.#reader))
        missing.push(records.subarray(row.start, row.end));
    });
    const refused = missing.length === 0 ? [] : await this.writeRows(Buffer.concat(missing));
    return { refused, missingCount: missing.length };
  }

  /**
   * The keys (key-names.ts) of which one of these registers has a newer row. Of one that has lapsed that may be a later deadline, which
   * only its own row tells of.
   */
  async newerThan(registers: Buffer): Promise<Buffer> {
    const newer: KeyName[] = [];
    await this.#eachVersion(registers, (row, version) => {
      if (version === undefined || version <= versionTextOf(registers, row, this.#reader)) return;
      const { database, keyStart, keyLength } = this.#reader;
      newer.push({ database, key: registers.subarray(keyStart, keyStart + keyLength) });
    });
    return packKeyNames(newer);
  }

  /** Gives the versions of the rows of packed records; undefined where there is none. */
  async #eachVersion(records: Buffer, visit: (row: RowReference, version: string | undefined) => void): Promise<void> {
    const rows = rowsOf(records);
    await this.#asStoreError(async () => {
      for (let from = 0; from < rows.length; from += IDS_A_SELECT) {
        const part = rows.slice(from, from + IDS_A_SELECT);
        const ids = part.map(({ id }) => `x'${id}'`).join(',');
        const sql = `SELECT ${VERSION_COLUMNS} FROM mantis_registers WHERE id IN (${ids})`;
        const found = await this.#connections.use((connection) => this.#connections.query(connection, sql));
        const held = new Map(found.map(([id, version]) => [String(id).toLowerCase(), String(version).toLowerCase()]));
        for (const row of part) visit(row, held.get(row.id));
      }
    });
  }

  /** Whether there is no row at all. */
  async isEmpty(): Promise<boolean> {
    const sql = 'SELECT 1 FROM mantis_registers LIMIT 1';
    const ask = (): Promise<unknown[][]> =>
      this.#connections.use((connection) => this.#connections.query(connection, sql));
    return (await this.#asStoreError(ask)).length === 0;
  }

  /** Whether at least one of these registers has a row. */
  async hasAny(records: Buffer): Promise<boolean> {
    const ids = rowsOf(records).map(({ id }) => `x'${id}'`);
    const sql = `SELECT 1 FROM mantis_registers WHERE id IN (${ids.join(',')}) LIMIT 1`;
    const ask = (): Promise<unknown[][]> =>
      this.#connections.use((connection) => this.#connections.query(connection, sql));
    return (await this.#asStoreError(ask)).length > 0;
  }

  async noteProgress(progress: NodeProgress): Promise<void> {
    await this.#asStoreError(() =>
      this.#connections.use((connection) => writeProgress(this.#connections, connection, progress)),
    );
  }

  /** What other runs have noted; those unknown are absent. */
  progressOf(incarnations: readonly string[]): Promise<Map<string, PeerProgress>> {
    return this.#asStoreError(() =>
      this.#connections.use((connection) => readProgress(this.#connections, connection, incarnations)),
    );
  }

  async forgetOldProgress(): Promise<void> {
    await this.#asStoreError(() =>
      this.#connections.use((connection) => removeOldProgress(this.#connections, connection)),
    );
  }

  async #noteSumOrigins(): Promise<void> {
    if (this.#sumOrigins.isNoted) return;
    await this.#unlessConflict(() =>
      this.#connections.use((connection) => this.#sumOrigins.note(this.#connections, connection)),
    );
  }

  /** Writes the rows from `from` that fit one statement; returns where the next one begins. */
  async #writeStatement(records: Buffer, rows: RowReference[], from: number, refused: RefusedRow[]): Promise<number> {
    let to = from;
    const cut = (limits: ServerLimits): number => {
      const room = Math.min(this.#statementBytes, limits.maxAllowedPacketBytes) - STATEMENT_FRAME_BYTES;
      let bytes = 0;
      for (to = from; to < rows.length && to - from < ROWS_A_STATEMENT; to++) {
        bytes += rows[to].textBytes;
        if (bytes > room && to > from) break;
      }
      return to;
    };
    try {
      await this.#send(records, rows, from, cut);
      this.#statementBytes = Math.min(STATEMENT_BYTES_MAX, this.#statementBytes * 2);
    } catch (error) {
      if (to === from) throw error;
      const isLoss = isServerFault(error);
      if (isLoss && !this.#isSuspectAfterLoss(rows, from, to)) throw error;
      await this.#halve(records, rows.slice(from, to), refused, error);
    }
    return to;
  }

  /** After a connection broke in mid-statement: smaller statements next time, and whether a lone row has broken too many. */
  #isSuspectAfterLoss(rows: RowReference[], from: number, to: number): boolean {
    this.#statementBytes = Math.max(STATEMENT_BYTES_MIN, this.#statementBytes / 2);
    if (to - from > 1) return false;
    const id = rows[from].id;
    this.#lossesOfRow = { id, times: this.#lossesOfRow.id === id ? this.#lossesOfRow.times + 1 : 1 };
    return this.#lossesOfRow.times >= LOSSES_A_ROW_MAX;
  }

  /** Finds the rows that the server refuses by writing halves; `error` is what it said to all of these rows. */
  async #halve(records: Buffer, rows: RowReference[], refused: RefusedRow[], error: unknown): Promise<void> {
    if (rows.length === 1) {
      const { start, end } = rows[0];
      const isCertain = isRowFault(error) || error instanceof RowTooLargeError;
      refused.push({ records: Buffer.from(records.subarray(start, end)), reason: reasonOf(error), isCertain });
      return;
    }
    const middle = rows.length >> 1;
    for (const half of [rows.slice(0, middle), rows.slice(middle)]) {
      try {
        await this.#send(records, half, 0, () => half.length);
      } catch (halfError) {
        if (isServerFault(halfError)) throw halfError;
        await this.#halve(records, half, refused, halfError);
      }
    }
  }

  /** Sends rows[from, cut()) as one statement; again after a deadlock or a lock timeout. */
  async #send(
    records: Buffer,
    rows: RowReference[],
    from: number,
    cut: (limits: ServerLimits) => number,
  ): Promise<void> {
    await this.#unlessConflict(() =>
      this.#connections.use((connection, limits) =>
        this.#sendOnce(connection, limits, records, rows, from, cut(limits)),
      ),
    );
  }

  /** Repeats work after a deadlock or a lock timeout. */
  async #unlessConflict(work: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await work();
        return;
      } catch (error) {
        if (!isConflict(error) || attempt === CONFLICT_ATTEMPTS_MAX) throw error;
        await delay(this.#environment.random() * Math.min(CONFLICT_PAUSE_MS_MAX, 2 ** attempt));
      }
    }
  }

  async #sendOnce(
    connection: Connection,
    limits: ServerLimits,
    records: Buffer,
    rows: RowReference[],
    from: number,
    to: number,
  ): Promise<void> {
    const single = rows[from];
    const textBytesMax = Math.min(limits.maxAllowedPacketBytes - STATEMENT_FRAME_BYTES, TEXT_OF_ROW_BYTES_MAX);
    if (to - from === 1 && single.textBytes > textBytesMax) {
      // Hex text doubles the bytes, several times over on its way; a prepared statement's parameters do not.
      if (rawBytesOf(single) + STATEMENT_FRAME_BYTES > limits.maxAllowedPacketBytes) {
        throw new RowTooLargeError(rawBytesOf(single), limits.maxAllowedPacketBytes);
      }
      await this.#connections.execute(connection, INSERT_PREPARED, rowParameters(records, single, this.#reader));
    } else {
      let text = INSERT_HEAD;
      for (let index = from; index < to; index++) {
        text += (index === from ? '' : ',') + rowText(records, rows[index], this.#reader);
      }
      await this.#connections.query(connection, text + INSERT_TAIL);
    }
  }

  /** @param stampMsMax rows stamped later (ms since 1970) are quarantined */
  async load(onRecords: OnRecords, stampMsMax = this.#environment.nowMs() + FUTURE_MS_MAX): Promise<void> {
    this.quarantine.clear();
    const state = { after: '', rowsDone: 0, rowsTotal: 0, stampMsMax };
    let failures = 0;
    for (;;) {
      const rowsBefore = state.rowsDone;
      try {
        if (await this.#asStoreError(() => this.#loadPage(state, onRecords))) break;
        failures = 0;
      } catch (error) {
        if (state.rowsDone > rowsBefore) failures = 0;
        failures++;
        const isRetried = error instanceof StoreError && error.kind === 'unavailable' && failures < LOAD_ATTEMPTS_MAX;
        // The first answer decides whether the server is there at all.
        if (!isRetried || state.rowsDone === 0) throw error;
        await delay(LOAD_PAUSE_MS * failures);
      }
    }
    // Of rows that an older release wrote, or a dump brought back, nobody else has noted them. A server that can only be read gets
    // them before the next row that is written here.
    await this.#noteSumOrigins().catch(() => undefined);
  }

  /** Reads the next rows in the primary key's order; true when there are no more. */
  async #loadPage(state: LoadState, onRecords: OnRecords): Promise<boolean> {
    const writer = new RecordWriter(LOAD_SLICE_BYTES + (LOAD_SLICE_BYTES >> 4));
    const decoder = new RowDecoder(writer);
    decoder.stampMsMax = state.stampMsMax;
    let rowsInPage = 0;
    const onRow = (row: unknown[]): boolean => {
      const reason = decoder.decode(row);
      if (reason !== null) this.quarantine.add(keyOfRow(row), reason);
      else this.#sumOrigins.seeRow(row);
      if (row[0] instanceof Buffer) state.after = row[0].toString('hex');
      rowsInPage++;
      state.rowsDone++;
      return writer.length >= LOAD_SLICE_BYTES;
    };
    const onEnough = async (): Promise<void> => {
      await onRecords(writer.take(), state.rowsDone, Math.max(state.rowsTotal, state.rowsDone));
    };
    try {
      await this.#connections.use(async (connection) => {
        if (state.rowsTotal === 0) state.rowsTotal = await this.#estimateRows(connection);
        const condition = state.after === '' ? '' : `WHERE id>x'${state.after}' `;
        const sql = `SELECT ${COLUMNS} FROM mantis_registers ${condition}ORDER BY id LIMIT ${ROWS_A_PAGE}`;
        await this.#connections.queryRows(connection, sql, onRow, onEnough);
      });
    } finally {
      // Rows that arrived before a failure count as read, so they have to be handed over too.
      if (writer.length > 0) await onEnough();
    }
    return rowsInPage < ROWS_A_PAGE;
  }

  async #estimateRows(connection: Connection): Promise<number> {
    const sql =
      'SELECT table_rows FROM information_schema.tables ' +
      "WHERE table_schema=DATABASE() AND table_name='mantis_registers'";
    const rows = await this.#connections.query(connection, sql);
    return Number(rows[0]?.[0] ?? 0);
  }

  async remove(registers: Buffer): Promise<void> {
    const rows = rowsOf(registers);
    const rankOf = ({ start }: RowReference): number => removalRank(registers[start + OFFSET_KIND]);
    rows.sort((a, b) => rankOf(a) - rankOf(b));
    await this.#asStoreError(async () => {
      for (let from = 0; from < rows.length; from += ROWS_A_DELETE) {
        const conditions = rows
          .slice(from, from + ROWS_A_DELETE)
          .map((row) => notNewerText(registers, row, this.#reader));
        const sql = `DELETE FROM mantis_registers WHERE ${conditions.join(' OR ')}`;
        await this.#unlessConflict(async () => {
          await this.#connections.use((connection) => this.#connections.query(connection, sql));
        });
      }
    });
  }

  /**
   * Rows are found by an index over the first bytes of the key: `mantis migrate` makes it.
   * @param stampMsMax rows stamped later (ms since 1970) are quarantined; when it is given, the rows of the keys themselves, with their
   * deadlines, come before those of elements
   */
  async fetch(keys: Buffer, onRecords: (records: Buffer) => Promise<void>, stampMsMax = Infinity): Promise<void> {
    await this.#asStoreError(async () => {
      for (const names of nameSlices(keyNamesOf(keys), KEYS_TEXT_BYTES))
        await this.#fetchSome(names, onRecords, stampMsMax);
    });
  }

  async #fetchSome(
    names: readonly KeyName[],
    onRecords: (records: Buffer) => Promise<void>,
    stampMsMax: number,
  ): Promise<void> {
    const writer = new RecordWriter(FETCH_SLICE_BYTES);
    const decoder = new RowDecoder(writer);
    decoder.stampMsMax = stampMsMax;
    const onRow = (row: unknown[]): boolean => {
      const reason = decoder.decode(row);
      if (reason !== null) this.quarantine.add(keyOfRow(row), reason);
      return writer.length >= FETCH_SLICE_BYTES;
    };
    const onEnough = (): Promise<void> => onRecords(writer.take());
    await this.#connections.use(async (connection) => {
      const order = stampMsMax === Infinity ? '' : ' ORDER BY kind';
      const sql = `SELECT ${COLUMNS} FROM mantis_registers WHERE ${ofKeysText(names)}${order}`;
      await this.#connections.queryRows(connection, sql, onRow, onEnough);
    });
    if (writer.length > 0) await onEnough();
  }

  /** A step of a search: see key-search.ts. */
  search(hashes: Buffer, from: Buffer | null): Promise<SearchStep> {
    return this.#asStoreError(() => searchRows(this.#connections, hashes, from));
  }

  /** Gives rows that are outlived by these registers, and resolves to the keys with rows newer than these: see mysql-outlived.ts. */
  async outlived(registers: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<Buffer> {
    return this.#asStoreError(() => findOutlived(this.#connections, this.#sumOrigins, registers, onRecords));
  }

  /** Does not wait for a server that does not answer; what is under way fails. */
  close(): Promise<void> {
    this.#connections.close();
    return Promise.resolve();
  }
}
