/**
 * The MySQL that all nodes share: rows that only newer versions replace, one atomic statement at a time, and what goes wrong with
 * a database: it is down, slow, in a deadlock, or gone while a COMMIT was under way, which then holds or does not.
 */
import { RecordReader, RecordWriter } from '../../protocol/change-record.ts';
import { compareIgnoringValues, compareVersions } from '../../protocol/register-order.ts';
import { stampMs } from '../../protocol/stamp.ts';
import { Quarantine, StoreError, type OnRecords } from '../../storage/backends/backend.ts';
import type { NodeProgress, PeerProgress } from '../../storage/backends/mysql-progress.ts';
import type { RefusedRow } from '../../storage/backends/mysql.ts';
import { keyId, keyIdsOf, type KeyName, packKeyNames } from '../../storage/backends/key-names.ts';
import { isOutlived, outlivedOf, outlives } from '../../storage/backends/outlived.ts';
import { splitRecords } from '../../storage/backends/record-tools.ts';
import { registerKeyLength, writeRegisterKey } from '../../storage/backends/register-key.ts';
import type { MysqlTable } from '../../storage/flush/flush-engine.ts';
import type { SeededRandom } from '../replication/virtual-world.ts';
import type { DiskUser } from './simulated-disk.ts';

const ROWS_A_STATEMENT = 40;
const ROWS_A_PAGE = 50;

function copyFlags(record: Buffer): Buffer {
  const copy = Buffer.from(record);
  // The batch's flags say nothing of the register.
  copy[6] &= ~24;
  return copy;
}

export class SimulatedDatabase {
  readonly rows = new Map<string, Buffer>();
  /** What each run of a node has noted, and when, by the server's clock. */
  readonly progress = new Map<string, { stamp: string; atMs: number }>();
  /** Rows that were taken out, the last of each, and when. */
  readonly removed = new Map<string, { row: Buffer; atMs: number }>();
  readonly random: SeededRandom;
  isDown = false;
  /** In this share of statements the connection is lost at the COMMIT. */
  lostCommitShare = 0;
  deadlockShare = 0;
  statementMsMax = 3;
  readonly done = { refused: 0, lostCommits: 0, deadlocks: 0, statements: 0 };
  onEvent: (text: string) => void = () => undefined;
  /** Told of what a node says here that it has brought. */
  onProgress: (node: string, stamp: string) => void = () => undefined;
  readonly #given = new RecordReader();
  readonly #held = new RecordReader();

  constructor(random: SeededRandom) {
    this.random = random;
  }

  /** The table as one node reaches it. */
  connect(user: DiskUser): MysqlTable {
    return new SimulatedTable(this, user);
  }

  upsert(records: Buffer, start: number, end: number): void {
    for (let at = start; at < end;) {
      at = this.#given.read(records, at);
      const id = registerIdOf(this.#given);
      const held = this.rows.get(id);
      if (held !== undefined) {
        this.#held.read(held, 0);
        if (compareVersions(this.#given, this.#held) <= 0) continue;
      }
      this.rows.set(id, copyFlags(records.subarray(this.#given.start, this.#given.end)));
    }
  }

  /** The records that are newer than their rows. */
  missingOf(records: Buffer): Buffer[] {
    const missing: Buffer[] = [];
    for (let at = 0; at < records.length;) {
      const start = at;
      at = this.#given.read(records, at);
      const held = this.rows.get(registerIdOf(this.#given));
      if (held !== undefined) this.#held.read(held, 0);
      if (held === undefined || compareVersions(this.#given, this.#held) > 0) missing.push(records.subarray(start, at));
    }
    return missing;
  }

  /** The keys of records whose rows have a newer version or deadline. */
  newerThan(records: Buffer): KeyName[] {
    const newer: KeyName[] = [];
    for (let at = 0; at < records.length;) {
      at = this.#given.read(records, at);
      const held = this.rows.get(registerIdOf(this.#given));
      if (held === undefined) continue;
      this.#held.read(held, 0);
      const { database, keyStart, keyLength } = this.#given;
      if (compareIgnoringValues(this.#held, this.#given) > 0)
        newer.push({ database, key: records.subarray(keyStart, keyStart + keyLength) });
    }
    return newer;
  }

  remove(records: Buffer, atMs: number): void {
    for (let at = 0; at < records.length;) {
      at = this.#given.read(records, at);
      const id = registerIdOf(this.#given);
      const held = this.rows.get(id);
      if (held === undefined) continue;
      this.#held.read(held, 0);
      if (compareIgnoringValues(this.#held, this.#given) > 0) continue;
      this.rows.delete(id);
      this.removed.set(id, { row: held, atMs });
    }
  }

  /** Whether a register was taken out, in this version or a newer one, at a moment or later. */
  wasRemoved(record: Buffer, sinceMs: number): boolean {
    this.#given.read(record, 0);
    const removed = this.removed.get(registerIdOf(this.#given));
    if (removed === undefined || removed.atMs < sinceMs) return false;
    this.#held.read(removed.row, 0);
    return compareVersions(this.#given, this.#held) <= 0;
  }
}

/** What a register's row, and its entry in the embedded store, are found by. */
export function registerIdOf(record: RecordReader): string {
  const key = Buffer.allocUnsafe(registerKeyLength(record));
  writeRegisterKey(key, 0, record);
  return key.toString('latin1');
}

class SimulatedTable implements MysqlTable {
  readonly server = 'simulated';
  readonly findsSums = true;
  readonly refused = new Quarantine('mysql');
  readonly quarantine = new Quarantine('mysql');
  readonly #database: SimulatedDatabase;
  readonly #user: DiskUser;

  constructor(database: SimulatedDatabase, user: DiskUser) {
    this.#database = database;
    this.#user = user;
  }

  /** One exchange with the server: `work` happens there at some moment, and its end is told a little later. */
  #exchange<T>(work: () => T): Promise<T> {
    const database = this.#database;
    const { random } = database;
    const delayMs = (): number => 0.1 + random.fraction() * database.statementMsMax;
    return new Promise((resolve, reject) => {
      const fail = (text: string): void => reject(new StoreError('unavailable', text));
      this.#user.setTimer(delayMs(), () => {
        if (database.isDown) {
          database.done.refused++;
          fail('connect ECONNREFUSED');
          return;
        }
        if (random.fraction() < database.deadlockShare) {
          database.done.deadlocks++;
          fail('Deadlock found when trying to get lock');
          return;
        }
        const isLost = random.fraction() < database.lostCommitShare;
        const holds = !isLost || random.below(2) === 0;
        const result = holds ? work() : null;
        database.done.statements++;
        if (isLost) {
          database.done.lostCommits++;
          database.onEvent(`lost at COMMIT, which ${holds ? 'holds' : 'does not hold'}`);
          this.#user.setTimer(delayMs(), () => fail('Connection lost: the server closed the connection'));
          return;
        }
        this.#user.setTimer(delayMs(), () => resolve(result as T));
      });
    });
  }

  async open(): Promise<void> {
    await this.#exchange(() => undefined);
  }

  async writeRows(records: Buffer): Promise<RefusedRow[]> {
    for (let start = 0; start < records.length;) {
      let end = start;
      for (let rows = 0; rows < ROWS_A_STATEMENT && end < records.length; rows++) end += records.readUInt32LE(end);
      const from = start;
      await this.#exchange(() => this.#database.upsert(records, from, end));
      start = end;
    }
    return [];
  }

  async writeMissing(records: Buffer): Promise<{ refused: RefusedRow[]; missingCount: number }> {
    const missing = await this.#exchange(() => this.#database.missingOf(records));
    await this.writeRows(Buffer.concat(missing));
    return { refused: [], missingCount: missing.length };
  }

  async noteProgress({ incarnation, node, stamp }: NodeProgress): Promise<void> {
    await this.#exchange(() => {
      this.#database.progress.set(incarnation, { stamp, atMs: this.#user.monotonicMs() });
      this.#database.onProgress(node, stamp);
    });
  }

  progressOf(incarnations: readonly string[]): Promise<Map<string, PeerProgress>> {
    return this.#exchange(() => {
      const found = new Map<string, PeerProgress>();
      for (const incarnation of incarnations) {
        const noted = this.#database.progress.get(incarnation);
        if (noted === undefined) continue;
        const silentMs = Math.floor(this.#user.monotonicMs() - noted.atMs);
        found.set(incarnation, { stamp: noted.stamp, silentMs });
      }
      return found;
    });
  }

  /** A simulation is over long before any is old. */
  async forgetOldProgress(): Promise<void> {
    await this.#exchange(() => undefined);
  }

  isEmpty(): Promise<boolean> {
    return this.#exchange(() => this.#database.rows.size === 0);
  }

  async fetch(keys: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    const names = keyIdsOf(keys);
    const reader = new RecordReader();
    const writer = new RecordWriter();
    await this.#exchange(() => {
      for (const row of this.#database.rows.values()) {
        reader.read(row, 0);
        const key = row.subarray(reader.keyStart, reader.keyStart + reader.keyLength);
        if (names.has(keyId(reader.database, key))) writer.raw(row, 0, row.length);
      }
    });
    if (writer.length > 0) await onRecords(writer.take());
  }

  async load(onRecords: OnRecords, stampMsMax = Infinity): Promise<void> {
    const reader = new RecordReader();
    // A table's order says nothing of when its rows were written.
    const ids = await this.#exchange(() => [...this.#database.rows.keys()].sort((a, b) => orderOf(a) - orderOf(b)));
    for (let from = 0; from < ids.length; from += ROWS_A_PAGE) {
      const writer = new RecordWriter();
      await this.#exchange(() => {
        for (const id of ids.slice(from, from + ROWS_A_PAGE)) {
          const row = this.#database.rows.get(id);
          if (row === undefined) continue;
          reader.read(row, 0);
          if (stampMs(reader.stampHi, reader.stampLo) > stampMsMax)
            this.quarantine.add(Buffer.from(id, 'latin1'), 'future');
          else writer.raw(row, 0, row.length);
        }
      });
      if (writer.length > 0) await onRecords(writer.take(), from, ids.length);
    }
  }

  async newerThan(registers: Buffer): Promise<Buffer> {
    return packKeyNames(await this.#exchange(() => this.#database.newerThan(registers)));
  }

  async outlived(registers: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<Buffer> {
    const all = outlivedOf(registers, new RecordReader());
    const given = new Set(splitRecords(registers).map(({ id }) => id));
    const newer = new Map<string, KeyName>();
    const reader = new RecordReader();
    const writer = new RecordWriter();
    await this.#exchange(() => {
      for (const [id, row] of this.#database.rows) {
        reader.read(row, 0);
        const { database } = reader;
        const key = row.subarray(reader.keyStart, reader.keyStart + reader.keyLength);
        const by = all.filter((one) => one.database === database && (one.key === null || one.key.equals(key)));
        if (by.some((one) => outlives(reader, one))) newer.set(keyId(database, key), { database, key });
        if (!given.has(id) && by.some((one) => isOutlived(reader, one))) writer.raw(row, 0, row.length);
      }
    });
    if (writer.length > 0) await onRecords(writer.take());
    return packKeyNames([...newer.values()]);
  }

  async remove(registers: Buffer): Promise<void> {
    await this.#exchange(() => this.#database.remove(registers, this.#user.monotonicMs()));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function orderOf(id: string): number {
  let hash = 7;
  for (let at = 0; at < id.length; at++) hash = (Math.imul(hash, 31) + id.charCodeAt(at)) | 0;
  return hash;
}
