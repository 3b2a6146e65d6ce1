/**
 * Notices that the table has lost its rows while the connection to it lives on: by TRUNCATE, by DELETE, by a dump of earlier days
 * that was played in. A few registers that had rows are looked for now and then. Rows go one by one otherwise, long after they
 * were deleted, so that all of these are missing only when nearly everything is.
 */
import { FLAG_DEAD, FLAG_HAS_DEADLINE, RecordReader } from '../protocol/change-record.ts';
import { StoreError } from './backends/backend.ts';
import type { MysqlStore } from './backends/mysql.ts';
import type { StoreEnvironment } from './environment.ts';

/** A store without `hasAny` is not watched. */
export type WatchedTable = Pick<MysqlStore, 'isEmpty'> & Partial<Pick<MysqlStore, 'hasAny'>>;

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
  /** Single records of registers that had rows at the last check, the oldest first. */
  #known: Buffer[] = [];
  /** One that was written since: it says nothing of what was there before. */
  #fresh: Buffer | null = null;
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
      this.#fresh = Buffer.from(records.subarray(reader.start, reader.end));
      return;
    }
  }

  async #check(): Promise<void> {
    if (!this.#options.isUp()) return;
    const fresh = this.#fresh;
    try {
      const isLost = this.#known.length > 0 && !(await this.#table.hasAny!(Buffer.concat(this.#known)));
      if (isLost) this.#known = [];
      if (isLost && !this.#isClosed) this.#options.onLoss();
    } catch (error) {
      // Away, which others notice and tell of.
      if (error instanceof StoreError) return;
      throw error;
    }
    if (fresh === null) return;
    this.#fresh = null;
    this.#known.push(fresh);
    if (this.#known.length > KNOWN_MAX) this.#known.shift();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }
}
