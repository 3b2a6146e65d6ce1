/** Histories of all kinds of registers, played to all stores at once: after each step they have the same, and say the same of it. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { hash } from 'node:crypto';
import { join } from 'node:path';
import { FileStore } from '../../../examples/own-store/file-store.ts';
import { OFFSET_STAMP, RecordReader } from '../../../protocol/change-record.ts';
import { registerId } from '../../../storage/backends/register-key.ts';
import type { DurableStore } from '../../../storage/backends/backend.ts';
import { keyNamesOf, packKeyNames } from '../../../storage/backends/key-names.ts';
import { LevelStore } from '../../../storage/backends/level.ts';
import { MysqlStore } from '../../../storage/backends/mysql.ts';
import { OwnTable } from '../../../storage/backends/own-table.ts';
import { MariadbProcess } from '../../support/mariadb-process.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';
import { storeEnvironment } from '../../support/store-environment.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { contentsOf } from '../backend-contract.ts';
import { MemoryStore } from '../memory-store.ts';
import { pack, type RecordFields, RegisterModel, split } from '../registers.ts';

const testFile = 'test/storage/backends/store-histories.test.ts';
const HISTORIES = 4;
const STEPS = 40;

const STRING = 1;
const COUNTER = 2;
const FLOOR = 3;
const HASH = 16;
const LIST = 19;
const KEY_FLOOR = 24;
const FIELD = 32;
const MEMBER_OF_SET = 33;
const MEMBER = 34;
const FIELD_SUM = 40;
const MEMBER_SUM = 42;
const KINDS = [STRING, COUNTER, FLOOR, HASH, LIST, KEY_FLOOR, FIELD, MEMBER_OF_SET, MEMBER, FIELD_SUM, MEMBER_SUM];
const SUMS = [COUNTER, FIELD_SUM, MEMBER_SUM];
const KEYS = ['a', 'A', 'a ', 'ab', 'long'.repeat(1000)];
const FIELDS = ['f', 'f\0', '', 'long'.repeat(500)];

let mariadb: MariadbProcess;

beforeAll(async () => {
  mariadb = await MariadbProcess.create();
}, 60_000);

afterAll(() => mariadb?.stop());

function elementOf(kind: number, random: SeededRandom): Buffer | null {
  const origin = Buffer.alloc(8);
  origin[7] = random.below(3) + 1;
  if (kind === COUNTER) return random.chance(0.2) ? Buffer.alloc(0) : origin;
  const field = Buffer.from(random.pick(FIELDS));
  if (kind !== FIELD_SUM && kind !== MEMBER_SUM) return kind >= FIELD ? field : null;
  const length = Buffer.alloc(4);
  length.writeUInt32LE(field.length);
  return Buffer.concat([length, field, origin]);
}

/** Records that meet each other. As in a node, what is not in the register order follows from what is: a version is written once. */
function randomRecord(random: SeededRandom): RecordFields {
  const kind = random.pick(KINDS);
  const step = random.below(6) + 1;
  const deadlineStep = random.chance(0.3) && kind !== FLOOR && kind !== KEY_FLOOR ? random.below(4) + 1 : 0;
  const fields: RecordFields = {
    kind,
    step,
    dead: random.chance(0.3) && !SUMS.includes(kind),
    counter: random.below(2),
    origin: random.below(2) + 1,
    database: random.below(2),
    key: kind === FLOOR ? '' : random.pick(KEYS),
    element: elementOf(kind, random),
    deadline: deadlineStep === 0 ? null : { ms: 1_700_000_000_000 * (deadlineStep % 3), step: deadlineStep },
  };
  const bytes = hash('sha256', pack(fields), 'buffer');
  const begin = pack({ key: '', step: 1 + (bytes[0] % step) }).subarray(OFFSET_STAMP, OFFSET_STAMP + 16);
  const isSum = SUMS.includes(kind) && (fields.element?.length ?? 0) > 0;
  return { ...fields, value: fields.dead === true ? '' : isSum ? Buffer.concat([begin, bytes]) : bytes };
}

/** The stores with one content, and what they ought to have. */
class Stores {
  readonly expected = new RegisterModel();
  readonly memory = new MemoryStore();
  level!: LevelStore;
  mysql!: MysqlStore;
  file!: FileStore;
  readonly #folder = temporaryFolder('histories');
  #filePath = join(this.#folder, 'file');
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async open(): Promise<void> {
    this.level = new LevelStore({ directory: join(this.#folder, 'level') });
    this.mysql = new MysqlStore({ target: this.#url, environment: storeEnvironment });
    this.file = new FileStore(this.#filePath);
    await this.each((store) => store.open());
  }

  get all(): DurableStore[] {
    return [this.memory, this.level, this.mysql, this.file];
  }

  /** What each says, which is to be the same. */
  async each<T>(work: (store: DurableStore) => Promise<T>, all = this.all): Promise<T> {
    const said: { name: string; said: T }[] = [];
    for (const store of all) said.push({ name: store.name, said: await work(store) });
    for (const { name } of said) expect(said.find((one) => one.name === name)).toEqual({ name, said: said[0].said });
    return said[0].said;
  }

  async close(): Promise<void> {
    await this.each((store) => store.close());
  }

  /** All that is newer than what is stored, as the flusher writes it to LevelDB and the queue to MySQL. */
  async writeAsFlusher(records: Buffer): Promise<void> {
    const newer = split(records).filter((record) => this.expected.merge(record) === 1);
    const packed = Buffer.concat(newer);
    if (packed.length === 0) return;
    await this.level.putNewest([packed], null);
    await this.each((store) => store.write(packed), [this.memory, this.mysql, this.file]);
  }

  async write(records: Buffer): Promise<void> {
    this.expected.merge(records);
    await this.each((store) => store.write(records));
  }

  async writeGuarded(records: Buffer): Promise<void> {
    const newest = new RegisterModel();
    newest.merge(records);
    const packed = Buffer.concat([...newest.registers.values()]);
    this.expected.merge(packed);
    await this.level.putNewest([packed], null, null, true);
    await this.each((store) => store.write(packed), [this.memory, this.mysql, this.file]);
  }

  /** FileStore removes nothing: what it lacks here is given it anew, in another file. */
  async remove(records: Buffer): Promise<void> {
    const kept = new MemoryStore();
    await kept.write(Buffer.concat([...this.expected.registers.values()]));
    await kept.remove(records);
    const left: Buffer[] = [];
    await kept.load((slice) => void left.push(slice));
    this.expected.registers.clear();
    this.expected.merge(Buffer.concat(left), 'store');
    await this.each((store) => store.remove!(records), [this.memory, this.level, this.mysql]);
    await this.file.close();
    this.#filePath += '+';
    this.file = new FileStore(this.#filePath);
    await this.file.open();
    await this.file.write(Buffer.concat(left));
  }

  async compare(): Promise<void> {
    expect(await this.each(contentsOf)).toEqual(this.expected.contents());
  }

  /** All that is stored of some keys. */
  async fetch(keys: Buffer): Promise<void> {
    const fetched = await this.each(async (store) => {
      const model = new RegisterModel();
      await store.fetch!(keys, (records) => Promise.resolve(void model.merge(records, 'store')));
      return model.contents();
    });
    const names = keyNamesOf(keys).map((name) => packKeyNames([name]).toString('latin1'));
    const wanted = [...this.expected.registers].filter(([id]) => names.some((name) => id.startsWith(name)));
    const model = new RegisterModel();
    for (const [, record] of wanted) model.merge(record);
    expect(fetched).toEqual(model.contents());
  }

  /** What goes with registers that leave the stores. An application's own is not asked for what a FLOOR covers. */
  async outlived(registers: Buffer, hasFloor: boolean): Promise<number> {
    type Ask = (onRecords: (records: Buffer) => Promise<void>) => Promise<unknown>;
    const own = new OwnTable(this.memory);
    const asks: Ask[] = [
      (onRecords) => this.level.outlived(registers, onRecords),
      (onRecords) => this.mysql.outlived(registers, onRecords),
      ...(hasFloor ? [] : [((onRecords) => own.outlived(registers, onRecords)) satisfies Ask]),
    ];
    const given = await Promise.all(
      asks.map(async (ask) => {
        const reader = new RecordReader();
        const ids: string[] = [];
        await ask((records) => {
          for (let at = 0; at < records.length;) {
            at = reader.read(records, at);
            ids.push(registerId(reader));
          }
          return Promise.resolve();
        });
        return [...new Set(ids)].sort();
      }),
    );
    for (const ids of given) expect(ids).toEqual(given[0]);
    return given[0].length;
  }

  /** Some registers that are stored. */
  some(random: SeededRandom): Buffer[] {
    const all = random.shuffle([...this.expected.registers.values()]);
    return all.slice(0, random.below(5) + 1);
  }
}

/** One step; returns what was found to be outlived. */
async function play(stores: Stores, random: SeededRandom): Promise<number> {
  const records = pack(...Array.from({ length: random.below(40) + 1 }, () => randomRecord(random)));
  const kind = random.below(10);
  if (kind < 3) await stores.write(records);
  else if (kind < 5) await stores.writeAsFlusher(records);
  else if (kind === 5) await stores.writeGuarded(records);
  else if (kind === 6) await stores.remove(random.chance(0.5) ? records : Buffer.concat(stores.some(random)));
  else if (kind === 7) {
    await stores.close();
    await stores.open();
  } else if (kind === 8) {
    const keys = KEYS.filter(() => random.chance(0.4)).map((key) => ({
      database: random.below(2),
      key: Buffer.from(key),
    }));
    await stores.fetch(packKeyNames(keys));
  } else {
    const given = stores.some(random);
    return stores.outlived(
      Buffer.concat(given),
      given.some((record) => record[5] === FLOOR),
    );
  }
  return 0;
}

describe('histories', () => {
  it('leave the same in all stores', async () => {
    await withSeed(testFile, async (random) => {
      let outlived = 0;
      for (let history = 0; history < HISTORIES; history++) {
        const { url } = await mariadb.createMigratedDatabase();
        const stores = new Stores(url);
        await stores.open();
        for (let step = 0; step < STEPS; step++) {
          outlived += await play(stores, random);
          await stores.compare();
        }
        await stores.close();
      }
      expect(outlived).toBeGreaterThan(5);
    });
  }, 60_000);
});
