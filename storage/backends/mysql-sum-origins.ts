/**
 * Who has sums of elements in the table (mantis_sum_origins, schema 3). A sum's row is named by its element and by who wrote it, so
 * that with this short list all rows that may lie under the tombstone of one element are found by their ids. An index over elements
 * would cost each row that is written; this costs one row for each node, and one for each time that it has crashed.
 */
import { hash } from 'node:crypto';
import type { Connection } from 'mysql2';
import { OFFSET_KIND, RecordReader } from '../../protocol/change-record.ts';
import { isElementCounterKind } from '../../protocol/collection-kinds.ts';
import { SUM_ORIGIN_BYTES } from '../../protocol/sum-record.ts';
import type { MysqlConnections } from './mysql-connections.ts';
import { type Outlived, sumsName } from './outlived.ts';

export class SumOrigins {
  readonly #reader = new RecordReader();
  /** In hex, as in the table. */
  readonly #noted = new Set<string>();
  /** Seen here, and not in the table yet. */
  readonly #pending = new Set<string>();

  /** Whether the table has all that were seen. */
  get isNoted(): boolean {
    return this.#pending.size === 0;
  }

  /** Sees whose sums are among records. They are noted before their rows are written. */
  see(records: Buffer, rows: readonly { start: number }[]): void {
    for (const { start } of rows) {
      if (!isElementCounterKind(records[start + OFFSET_KIND])) continue;
      this.#reader.read(records, start);
      const { elementStart, elementLength } = this.#reader;
      this.#add(records.subarray(elementStart, elementStart + elementLength));
    }
  }

  /** The same of a selected row with COLUMNS. */
  seeRow(row: readonly unknown[]): void {
    const [element, kind] = [row[3], row[4]];
    if (isElementCounterKind(kind as number) && element instanceof Buffer) this.#add(element);
  }

  #add(element: Buffer): void {
    if (element.length < SUM_ORIGIN_BYTES) return;
    const origin = element.toString('hex', element.length - SUM_ORIGIN_BYTES);
    if (!this.#noted.has(origin)) this.#pending.add(origin);
  }

  /** The table may be another one. */
  noteAgain(): void {
    for (const origin of this.#noted) this.#pending.add(origin);
    this.#noted.clear();
  }

  async note(connections: MysqlConnections, connection: Connection): Promise<void> {
    const origins = [...this.#pending];
    const values = origins.map((origin) => `(x'${origin}')`);
    await connections.query(connection, `INSERT IGNORE INTO mantis_sum_origins VALUES ${values.join(',')}`);
    for (const origin of origins) {
      this.#pending.delete(origin);
      this.#noted.add(origin);
    }
  }

  /** All that anybody noted, and those seen here. */
  async all(connections: MysqlConnections, connection: Connection): Promise<Buffer[]> {
    const rows = await connections.query(connection, 'SELECT HEX(origin) FROM mantis_sum_origins');
    const noted = rows.map(([origin]) => String(origin).toLowerCase());
    return [...new Set([...noted, ...this.#pending])].map((origin) => Buffer.from(origin, 'hex'));
  }
}

/** The ids, in hex, of the rows that an element's sums may have. */
export function sumIds(outlived: Outlived, origins: readonly Buffer[]): string[] {
  const { key, element } = outlived;
  if (key === null || element === null) return [];
  const name = Buffer.concat([sumsName(outlived, key), Buffer.alloc(SUM_ORIGIN_BYTES)]);
  return origins.map((origin) => {
    origin.copy(name, name.length - SUM_ORIGIN_BYTES);
    return hash('sha256', name, 'hex');
  });
}
