/**
 * The batch that LevelDB is filled with. The memory of one that was written goes when V8 collects it, and V8 does not know of
 * it: tens of megabytes wait for that. So one is used again and again, by the methods that abstract-level has for
 * implementations: its public ones end a batch with the first write, and copy every operation twice.
 */
import type { LevelDatabase } from './level-database.ts';

export type LevelBatch = ReturnType<LevelDatabase['batch']>;

/** The part of a chained batch that is LevelDB's own. */
interface NativeBatch {
  _put(key: Buffer, value: Buffer): void;
  _clear(): void;
  _write(options: { sync: boolean }): Promise<void>;
  close(): Promise<void>;
}

/** A larger one is closed, without which its database would hold it, and left to V8. */
const KEPT_BYTES_MOST = 8 << 20;

/** What batches of changes are gathered in, and written atomically. Keys and values are copied. */
export interface ChangeBatch {
  put(key: Buffer, value: Buffer): unknown;
  write(options: { sync: boolean }): Promise<void>;
}

function isNative(batch: object): batch is NativeBatch {
  return '_put' in batch && '_clear' in batch && '_write' in batch;
}

/** The one batch of a database. Only one is under way at a time. */
export class ReusedBatch implements ChangeBatch {
  readonly database: LevelDatabase;
  #native: NativeBatch | null = null;
  #bytes = 0;

  constructor(database: LevelDatabase) {
    this.database = database;
  }

  /** An empty batch. */
  begin(): ChangeBatch {
    if (this.#native === null) {
      const batch = this.database.batch();
      // Some other database than LevelDB, of a test.
      if (!isNative(batch)) return batch;
      this.#native = batch;
    }
    this.#native._clear();
    this.#bytes = 0;
    return this;
  }

  put(key: Buffer, value: Buffer): void {
    this.#bytes += key.length + value.length;
    this.#native!._put(key, value);
  }

  async write(options: { sync: boolean }): Promise<void> {
    const native = this.#native!;
    if (this.#bytes <= KEPT_BYTES_MOST) return native._write(options);
    this.#native = null;
    try {
      await native._write(options);
    } finally {
      await native.close();
    }
  }
}
