/**
 * Looking for keys of which only the hash is known: all of a store is gone through, in steps, in whatever order it has. What is to be
 * found was written before the first step.
 */
import { Digests } from '../digests/digests.ts';
import { KeyHashes } from '../digests/key-hashes.ts';
import { type KeyName, packKeyNames } from './key-names.ts';
import type { LevelDatabase } from './level-database.ts';
import { rangeOf, REGISTERS_FROM, REGISTERS_TO } from './level-ranges.ts';
import type { MysqlConnections } from './mysql-connections.ts';

/** What one step has found. */
export interface SearchStep {
  /** Keys (key-names.ts) with one of the hashes; of a store whose registers of a key are not in a row, in several steps maybe. */
  names: Buffer;
  /** Where the next step begins; null behind the last. */
  next: Buffer | null;
}

/** Entries of LevelDB that a step looks at: a tenth of a second. */
const ENTRIES_A_STEP = 100_000;
const ENTRIES_A_READ = 4096;
const NAMES_A_STEP = 1000;
const ROWS_A_STEP = 20_000;
/** Bytes before the key in a key of LevelDB's: see register-key.ts. */
const HEAD_BYTES = 7;

/** What a step finds, each key once. */
class Found {
  readonly #hashes: KeyHashes;
  readonly #digests = new Digests();
  readonly #names = new Map<string, KeyName>();

  constructor(hashes: Buffer) {
    this.#hashes = KeyHashes.of(hashes);
  }

  get isFull(): boolean {
    return this.#names.size >= NAMES_A_STEP;
  }

  look(database: number, bytes: Buffer, start: number, length: number): void {
    const digests = this.#digests;
    digests.hashKey(database, bytes, start, length);
    if (!this.#hashes.has(digests.keyHi, digests.keyLo)) return;
    this.#names.set(`${digests.keyHi}.${digests.keyLo}:${bytes.toString('latin1', start, start + length)}`, {
      database,
      key: Buffer.from(bytes.subarray(start, start + length)),
    });
  }

  stepBefore(next: Buffer | null): SearchStep {
    return { names: packKeyNames([...this.#names.values()]), next };
  }
}

/** The name that a key of LevelDB's begins with; null where it is damaged. */
function nameIn(key: Buffer): KeyName | null {
  if (key.length <= HEAD_BYTES) return null;
  const end = HEAD_BYTES + key.readUInt32BE(3);
  return end < key.length ? { database: key.readUInt16BE(1), key: key.subarray(HEAD_BYTES, end) } : null;
}

/**
 * Goes on from where the step before has ended, null for the beginning. Rejects with LevelDB's errors.
 * @param hashes KeyHashes.bytes
 */
export async function searchLevel(database: LevelDatabase, hashes: Buffer, from: Buffer | null): Promise<SearchStep> {
  const found = new Found(hashes);
  let at = from ?? REGISTERS_FROM;
  let left = ENTRIES_A_STEP;
  while (left > 0 && !found.isFull) {
    const iterator = database.keys({ gte: at, lt: REGISTERS_TO, fillCache: false });
    try {
      while (left > 0 && !found.isFull) {
        const keys = await iterator.nextv(ENTRIES_A_READ);
        if (keys.length === 0) return found.stepBefore(null);
        for (const key of keys) {
          const name = nameIn(key);
          if (name !== null) found.look(name.database, key, HEAD_BYTES, name.key.length);
        }
        left -= keys.length;
        const last = keys[keys.length - 1];
        const behind = behindLarge(keys[0], last);
        at = behind ?? Buffer.concat([last, Buffer.alloc(1)]);
        if (behind !== null) break;
      }
    } finally {
      await iterator.close();
    }
  }
  return found.stepBefore(at);
}

/** Where the registers of a key end that has all from the one to the other; null when they are of several keys. */
function behindLarge(first: Buffer, last: Buffer): Buffer | null {
  const name = nameIn(first);
  const other = nameIn(last);
  if (name === null || other === null || name.database !== other.database || !name.key.equals(other.key)) return null;
  return rangeOf(name).to;
}

/** The same of MySQL's rows, in the order of their ids: no index has the hashes of keys. Rejects with errors of the server. */
export async function searchRows(
  connections: MysqlConnections,
  hashes: Buffer,
  from: Buffer | null,
): Promise<SearchStep> {
  const found = new Found(hashes);
  const condition = from === null ? '' : `WHERE id>x'${from.toString('hex')}' `;
  const sql = `SELECT id,db,k FROM mantis_registers ${condition}ORDER BY id LIMIT ${ROWS_A_STEP}`;
  let rows = 0;
  let last = from;
  const onRow = ([id, database, key]: unknown[]): boolean => {
    rows++;
    if (id instanceof Buffer) last = id;
    if (key instanceof Buffer) found.look(Number(database), key, 0, key.length);
    return false;
  };
  await connections.use((connection) => connections.queryRows(connection, sql, onRow, () => Promise.resolve()));
  return found.stepBefore(rows < ROWS_A_STEP ? null : last);
}
