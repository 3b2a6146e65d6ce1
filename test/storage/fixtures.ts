/**
 * Stores as earlier commits wrote them, which every later one reads. test/fixtures/schema-2 holds one history of strings, counters,
 * hashes, sets, deadlines, deletions and a FLUSHDB on two nodes, stamped in 2024: as packed change records (records.hex), in a
 * data directory of format 1 (a compacted table, and a log with markers for MySQL and of held changes), and as the rows of
 * schema 2 (mysql.sql). content.json is what commands see of it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Replica } from './collections/replicas.ts';

export const fixtureFolder = join(import.meta.dirname, '../fixtures/schema-2');
const readAtMs = Date.UTC(2024, 0, 2);

export function fixtureFile(name: string): string {
  return readFileSync(join(fixtureFolder, name), 'utf8');
}

export function fixtureRecords(): Buffer {
  return Buffer.from(fixtureFile('records.hex').replaceAll('\n', ''), 'hex');
}

export interface Content {
  digest: string;
  view: string[];
}

export function expectedContent(): Content {
  return JSON.parse(fixtureFile('content.json')) as Content;
}

/** What commands see once these records are merged. */
export async function contentOf(give: (onRecords: (records: Buffer) => void) => Promise<void>): Promise<Content> {
  const replica = new Replica(3, () => readAtMs);
  replica.keyspace.clock.refresh();
  await give((records) => replica.apply(records));
  const view = replica.view().map((line) => (line.length > 100 ? `${line.slice(0, 100)}…` : line));
  replica.digest();
  return { digest: replica.keyspace.digests.total(), view };
}
