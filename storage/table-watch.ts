/**
 * Notices that the table has lost its rows while the connection to it lives on: by TRUNCATE, by DELETE, by a dump of earlier days
 * that was played in. A few registers that had rows are looked for now and then, but for those that the vacuum has taken out: all of
 * the others are missing only when nearly everything is.
 */
import { FLAG_DEAD, FLAG_HAS_DEADLINE, RecordReader } from '../protocol/change-record.ts';
import { StoreError } from './backends/backend.ts';
import { registerId } from './backends/register-key.ts';
import type { MysqlStore } from './backends/mysql.ts';
import type { StoreEnvironment } from './environment.ts';

/** A store without `hasAny` is not watched. */
export type WatchedTable = Partial<Pick<MysqlStore, 'hasAny'>>;

const CHECK_MS = 2000;
const KNOWN_MAX = 8;
const KNOWN_BYTES_MAX = 1024;

export interface TableWatchOptions {
  environment: StoreEnvironment;
  /** MySQL answers at the moment. */
  isUp(): boolean;
  /** Rows were there, and are not any more. */
  onLoss(): void;
}

export class TableWatch {
  readonly #table: WatchedTable;
  readonly #options: TableWatchOptions;
  readonly #reader = new RecordReader();
  /** Single records of registers that had rows at the last check, by register, the oldest first. */
  readonly #known = new Map<string, Buffer>();
  /** One that was written since: it says nothing of what was there before. */
  #fresh: { id: string; record: Buffer } | null = null;
  #timer: { cancel(): void } | null = null;
  #isClosed = false;

  constructor(table: WatchedTable, options: TableWatchOptions) {
    this.#table = table;
    this.#options = options;
  }

  start(): void {
    if (this.#isClosed || this.#table.hasAny === undefined) return;
    this.#timer = this.#options.environment.setTimer(CHECK_MS, () => void this.#check().finally(() => this.start()));
  }

  /** These packed records have rows now: one of them is kept to look for. */
  note(records: Buffer): void {
    if (this.#fresh !== null) return;
    const reader = this.#reader;
    for (let at = 0; at < records.length;) {
      at = reader.read(records, at);
      const isLasting = (reader.flags & (FLAG_DEAD | FLAG_HAS_DEADLINE)) === 0;
      if (!isLasting || reader.end - reader.start > KNOWN_BYTES_MAX) continue;
      this.#fresh = { id: registerId(reader), record: Buffer.from(records.subarray(reader.start, reader.end)) };
      return;
    }
  }

  /** The rows of these packed records are taken out of the table: that they are missing says nothing. */
  forget(records: Buffer): void {
    if (this.#fresh === null && this.#known.size === 0) return;
    const reader = this.#reader;
    for (let at = 0; at < records.length;) {
      at = reader.read(records, at);
      const id = registerId(reader);
      this.#known.delete(id);
      if (this.#fresh?.id === id) this.#fresh = null;
    }
  }

  async #check(): Promise<void> {
    if (!this.#options.isUp()) return;
    const asked = new Map(this.#known);
    const fresh = this.#fresh;
    try {
      if (asked.size > 0 && !(await this.#table.hasAny!(Buffer.concat([...asked.values()])))) this.#miss(asked);
    } catch (error) {
      // Away, which others notice and tell of.
      if (error instanceof StoreError) return;
      throw error;
    }
    // What came or was forgotten meanwhile waits for the next check.
    if (fresh === null || this.#fresh !== fresh) return;
    this.#fresh = null;
    this.#known.set(fresh.id, fresh.record);
    if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.keys().next().value!);
  }

  /** None of these has a row. It is a loss as far as the vacuum did not take them out while they were asked for. */
  #miss(asked: ReadonlyMap<string, Buffer>): void {
    const isLost = [...asked.keys()].some((id) => this.#known.has(id));
    for (const id of asked.keys()) this.#known.delete(id);
    if (isLost && !this.#isClosed) this.#options.onLoss();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }
}
