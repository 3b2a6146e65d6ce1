import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createPool } from 'mysql2';
import { createConnection as createPromiseConnection, createPool as createPromisePool } from 'mysql2/promise';
import { OFFSET_STAMP, RecordReader } from '../../../protocol/change-record.ts';
import { StoreError } from '../../../storage/backends/backend.ts';
import { keyNamesOf, packKeyNames } from '../../../storage/backends/key-names.ts';
import { migrate, SCHEMA_STEPS, SCHEMA_VERSION } from '../../../storage/backends/mysql-schema.ts';
import { outlivedText } from '../../../storage/backends/mysql-rows.ts';
import { MysqlStore } from '../../../storage/backends/mysql.ts';
import { outlivedOf } from '../../../storage/backends/outlived.ts';
import { MariadbProcess } from '../../support/mariadb-process.ts';
import { withSeed } from '../../support/seed.ts';
import { storeEnvironment } from '../../support/store-environment.ts';
import { waitFor } from '../../support/wait-for.ts';
import { contentsOf, describeBackend } from '../backend-contract.ts';
import { contentOf, expectedContent, fixtureFile } from '../fixtures.ts';
import { pack, randomRecord, RegisterModel } from '../registers.ts';

const testFile = 'test/storage/backends/mysql.test.ts';
let mariadb: MariadbProcess;

beforeAll(async () => {
  // The server's habits that once broke others: a narrow character set, small packets, no strictness.
  mariadb = await MariadbProcess.create({
    args: [
      '--character-set-server=latin1',
      '--collation-server=latin1_swedish_ci',
      '--max-allowed-packet=1M',
      '--sql-mode=',
    ],
  });
}, 60_000);

afterAll(() => mariadb?.stop());

async function openStore(url: string): Promise<MysqlStore> {
  const store = new MysqlStore({ target: url, environment: storeEnvironment });
  await store.open();
  return store;
}

async function newStore(): Promise<{ store: MysqlStore; url: string; database: string }> {
  const { url, name } = await mariadb.createMigratedDatabase();
  return { store: await openStore(url), url, database: name };
}

describeBackend(
  'mysql',
  async () => {
    const { store, url } = await newStore();
    return { store, reopen: () => openStore(url) };
  },
  testFile,
);

async function failureOf(work: Promise<unknown>): Promise<StoreError> {
  const failure: unknown = await work.then(
    () => null,
    (error: unknown) => error,
  );
  if (!(failure instanceof StoreError)) throw new Error('it did not fail with a StoreError', { cause: failure });
  return failure;
}

describe('mysql schema', () => {
  it('is made once, says its plan, and is refused when it is missing, behind or ahead', async () => {
    const { url } = await mariadb.createDatabase();
    const missing = await failureOf(openStore(url));
    expect(missing.kind).toBe('refused');
    expect(missing.message).toMatch(/run `mantis migrate`/);
    expect(await migrate(url, { plan: true })).toEqual(SCHEMA_STEPS);
    expect(await migrate(url, { plan: true })).toEqual(SCHEMA_STEPS);
    expect(await Promise.all([migrate(url), migrate(url)])).toContainEqual(SCHEMA_STEPS);
    expect(await migrate(url)).toEqual([]);
    await (await openStore(url)).close();

    const database = url.split('/').at(-1)!;
    await mariadb.query(`INSERT INTO ${database}.mantis_schema VALUES (${SCHEMA_VERSION + 1}, 'later', NOW())`);
    const ahead = await failureOf(openStore(url));
    expect(ahead.kind).toBe('refused');
    expect(ahead.message).toMatch(/newer release/);
    expect((await failureOf(migrate(url))).message).toMatch(/newer release/);
    await mariadb.query(`DELETE FROM ${database}.mantis_schema`);
    expect((await failureOf(openStore(url))).message).toMatch(/run `mantis migrate`/);
  });

  it('takes pools of both kinds and leaves them open', async () => {
    const { url } = await mariadb.createDatabase();
    for (const pool of [createPool(url), createPromisePool(url)]) {
      await migrate(pool);
      const store = new MysqlStore({ target: pool, environment: storeEnvironment });
      await store.open();
      await store.write(pack({ key: 'pool', value: 'shared' }));
      expect(await contentsOf(store)).toHaveLength(1);
      await store.close();
      await new Promise<void>((resolve, reject) => {
        const core = 'pool' in pool ? pool.pool : pool;
        core.query('SELECT 1', (error) => {
          if (error) reject(error);
          else core.end(() => resolve());
        });
      });
    }
  });
});

describe('mysql schema 2 and 3', () => {
  it('come over schema 1 while nodes that know only that go on, and again when an index is there already', async () => {
    const { url, name: database } = await mariadb.createMigratedDatabase();
    // As the release that knew only schema 1 left it.
    await mariadb.query(`DROP TABLE ${database}.mantis_schema_additions, ${database}.mantis_progress`);
    await mariadb.query(`DROP TABLE ${database}.mantis_sum_origins`);
    expect((await failureOf(openStore(url))).message).toMatch(
      /has schema 1; this release needs 3: run `mantis migrate`/,
    );
    expect((await migrate(url)).map(({ version }) => version)).toEqual([2, 3]);
    expect(await mariadb.query(`SELECT MAX(version) version FROM ${database}.mantis_schema`)).toEqual([{ version: 1 }]);
    await (await openStore(url)).close();
    await mariadb.query(`DROP TABLE ${database}.mantis_registers`);
    expect((await failureOf(openStore(url))).message).toMatch(/run `mantis migrate`/);
    expect(await migrate(url)).toHaveLength(3);
    const store = await openStore(url);
    expect(await store.isEmpty()).toBe(true);
    await store.close();
  });

  it('make again a table that was dropped', async () => {
    const { url, name: database } = await mariadb.createMigratedDatabase();
    for (const [table, version] of [
      ['mantis_progress', 2],
      ['mantis_sum_origins', 3],
    ] as const) {
      await mariadb.query(`DROP TABLE ${database}.${table}`);
      expect((await failureOf(openStore(url))).message).toMatch(/run `mantis migrate`/);
      expect((await migrate(url)).map((step) => step.version)).toEqual([version]);
      await (await openStore(url)).close();
    }
  });
});

describe('mysql rows of an earlier commit', () => {
  it('are read once what came later is made', async () => {
    const { url } = await mariadb.createDatabase();
    const connection = await createPromiseConnection(url);
    for (const statement of fixtureFile('mysql.sql').split(';\n')) {
      if (statement.trim() !== '') await connection.query(statement);
    }
    await connection.end();
    expect((await migrate(url)).map(({ version }) => version)).toEqual([3]);
    const store = await openStore(url);
    expect(await contentOf((onRecords) => store.load(onRecords))).toEqual(expectedContent());
    expect(store.quarantine.count).toBe(0);
    const run = '00000000000000c1';
    expect((await store.progressOf([run])).get(run)?.stamp).toBe('0000000000000001');
    await store.close();
  });
});

describe('mysql progress', () => {
  it('goes only forwards, and tells how long a node has been silent', async () => {
    const { url } = await mariadb.createMigratedDatabase();
    const store = await openStore(url);
    const [incarnation, other, node] = ['00000000000000a1', '00000000000000a2', '00000000000000b1'];
    await store.noteProgress({ incarnation, node, stamp: '0000000000000005' });
    await store.noteProgress({ incarnation, node, stamp: '0000000000000003' });
    const found = await store.progressOf([incarnation, other]);
    expect([...found.keys()]).toEqual([incarnation]);
    expect(found.get(incarnation)!.stamp).toBe('0000000000000005');
    await mariadb.query(`UPDATE ${url.split('/').at(-1)}.mantis_progress SET alive_at = alive_at - INTERVAL 3 DAY`);
    expect((await store.progressOf([incarnation])).get(incarnation)!.silentMs).toBeGreaterThan(86_400_000);
    await store.forgetOldProgress();
    expect((await store.progressOf([incarnation])).size).toBe(0);
    await store.close();
  });

  it('writes only what is missing or older', async () => {
    const { url } = await mariadb.createMigratedDatabase();
    const store = await openStore(url);
    const deadline = { ms: 1_900_000_000_000, step: 9 };
    await store.write(pack({ key: 'a', step: 5 }, { key: 'b', step: 5 }, { key: 'c', step: 5, deadline }));
    const given = pack(
      { key: 'a', step: 4 },
      { key: 'b', step: 5, dead: true },
      { key: 'c', step: 5 },
      { key: 'd', step: 1 },
    );
    expect(await store.writeMissing(given)).toEqual({ refused: [], missingCount: 2 });
    expect(await store.writeMissing(given)).toEqual({ refused: [], missingCount: 0 });
    expect(await contentsOf(store)).toHaveLength(4);
    await store.close();
  });
});

describe('mysql rows that others have outlived', () => {
  async function outlivedIn(store: MysqlStore, registers: Buffer): Promise<{ gone: string[]; newer: string[] }> {
    const model = new RegisterModel();
    const newer = await store.outlived(registers, (records) => {
      model.merge(records, 'store');
      return Promise.resolve();
    });
    const gone = [...model.registers.keys()].map((id) => id.slice(6)).sort();
    return { gone, newer: keyNamesOf(newer).map(({ database, key }) => `${database} ${key.toString()}`) };
  }

  it('are given without those that are known, and with the keys that something newer is stored of', async () => {
    const { store } = await newStore();
    await store.write(
      pack(
        { key: 'h', kind: 16, step: 2 },
        { key: 'h', kind: 32, element: 'old', step: 1 },
        { key: 'h', kind: 32, element: 'same', step: 2 },
        { key: 'h', kind: 32, element: 'old', step: 1, database: 1 },
        { key: 'i', kind: 16, step: 2 },
        { key: 'i', kind: 32, element: 'old', step: 1 },
        { key: 'i', kind: 32, element: 'new', step: 3 },
        { key: 's', step: 1 },
        { key: 'other', step: 1 },
      ),
    );
    const given = pack(
      { key: 'h', kind: 16, step: 2 },
      { key: 'i', kind: 16, step: 2 },
      { key: 's', step: 5, dead: true },
    );
    // A key, its kind (32, a space) and its element.
    expect(await outlivedIn(store, given)).toEqual({ gone: ['h old', 'h same', 'i old'], newer: ['0 i'] });
    await store.close();
  });

  it('are those under a FLOOR, also where they are newer than what is given of their key', async () => {
    const { store } = await newStore();
    await store.write(
      pack({ key: 'h', kind: 32, element: 'old', step: 3 }, { key: 'h', kind: 32, element: 'new', step: 9 }),
    );
    const key = { key: 'h', kind: 16, step: 2 };
    const given = pack(key, { key: '', kind: 3, step: 5 });
    expect(await outlivedIn(store, given)).toEqual({ gone: ['h old'], newer: ['0 h'] });
    expect(await outlivedIn(store, pack(key, { key: '', kind: 3, step: 10 }))).toEqual({
      gone: ['h new', 'h old'],
      newer: [],
    });
    await store.close();
  });

  it('are the sums of an element that began before its tombstone', async () => {
    const { store, url, database } = await newStore();
    const nameOf = (origin: number): Buffer => Buffer.from([1, 0, 0, 0, 102, 0, 0, 0, 0, 0, 0, 0, origin]);
    const beginOf = (step: number): Buffer => pack({ key: '', step }).subarray(OFFSET_STAMP, OFFSET_STAMP + 16);
    await store.write(
      pack(
        { key: 'h', kind: 40, element: nameOf(1), step: 9, value: Buffer.concat([beginOf(2), Buffer.alloc(16)]) },
        { key: 'h', kind: 40, element: nameOf(2), step: 9, value: Buffer.concat([beginOf(6), Buffer.alloc(16)]) },
      ),
    );
    const given = pack({ key: 'h', kind: 32, element: 'f', step: 5, dead: true });
    const { gone, newer } = await outlivedIn(store, given);
    expect(gone.map((id) => id.charCodeAt(id.length - 1))).toEqual([1]);
    expect(newer).toEqual([]);
    // Whose they are any node knows, also of rows that an older release wrote, or a dump brought back.
    for (const isForgotten of [false, true]) {
      if (isForgotten) await mariadb.query(`DELETE FROM ${database}.mantis_sum_origins`);
      const other = await openStore(url);
      if (isForgotten) expect(await outlivedIn(other, given)).toEqual({ gone: [], newer: [] });
      if (isForgotten) await contentsOf(other);
      expect((await outlivedIn(other, given)).gone).toEqual(gone);
      await other.close();
    }
    await store.close();
  });

  it('are not looked for among all elements of the collection', async () => {
    const { store, database } = await newStore();
    const element = (index: number): string => `field:${index}`;
    const name = (index: number): Buffer =>
      Buffer.concat([Buffer.from([element(index).length, 0, 0, 0]), Buffer.from(element(index)), Buffer.alloc(8, 7)]);
    const value = Buffer.concat([pack({ key: '' }).subarray(OFFSET_STAMP, OFFSET_STAMP + 16), Buffer.from('1')]);
    const sums = Array.from({ length: 5000 }, (_, index) => ({ key: 'h', kind: 40, element: name(index), value }));
    await store.write(pack(...sums));
    const readRows = async (): Promise<number> => {
      const [{ rows }] = await mariadb.query(
        `SELECT rows_read AS \`rows\` FROM information_schema.table_statistics WHERE table_schema='${database}' AND table_name='mantis_registers'`,
      );
      return Number(rows);
    };
    await mariadb.query('SET GLOBAL userstat=1');
    const given = [1, 22, 333].map((index) => ({ key: 'h', kind: 32, element: element(index), step: 5, dead: true }));
    expect((await outlivedIn(store, pack(...given))).gone).toHaveLength(3);
    await store.close();
    expect(await readRows()).toBe(3);
  });

  it('are found by the index over keys', async () => {
    const { store, database } = await newStore();
    const registers = Array.from({ length: 20_000 }, (_, index) => ({ key: `key:${index}`, kind: 16 }));
    await store.write(pack(...registers));
    await mariadb.query(`ANALYZE TABLE ${database}.mantis_registers`);
    const condition = outlivedText(outlivedOf(pack(...registers.slice(0, 1000)), new RecordReader()));
    const [plan] = await mariadb.query(`EXPLAIN SELECT id FROM ${database}.mantis_registers WHERE ${condition}`);
    expect(plan).toMatchObject({ type: 'range', key: 'mantis_registers_key' });
    await store.close();
  });
});

describe('mysql rows', () => {
  it('can be read by people', async () => {
    const { store, database } = await newStore();
    await store.write(
      pack(
        { key: 'session:1', value: 'Zoë', deadline: { ms: Date.UTC(2030, 0, 2, 3, 4, 5, 678), step: 1 }, database: 2 },
        { key: 'gone', dead: true },
      ),
    );
    const rows = await mariadb.query(
      `SELECT db, CAST(k AS CHAR) k, CAST(v AS CHAR CHARACTER SET utf8mb4) v, CAST(expires_at AS CHAR) expires_at, dead ` +
        `FROM ${database}.mantis_registers ORDER BY db`,
    );
    expect(rows).toEqual([
      { db: 0, k: 'gone', v: '', expires_at: null, dead: 1 },
      { db: 2, k: 'session:1', v: 'Zoë', expires_at: '2030-01-02 03:04:05.678', dead: 0 },
    ]);
    await store.close();
  });

  it('are set aside when they are damaged or of the future, and the rest is loaded', async () => {
    const { store, database } = await newStore();
    await store.write(
      pack({ key: 'fine' }, { key: 'moved' }, { key: 'kind' }, { key: 'deadline' }, { key: 'zero' }, { key: 'future' }),
    );
    const damage = (key: string, change: string) =>
      mariadb.query(`UPDATE ${database}.mantis_registers SET ${change} WHERE k='${key}'`);
    await damage('moved', 'db=3');
    await damage('kind', 'kind=0');
    await damage('deadline', 'expires_ms=5');
    await damage('zero', "ver=''");
    await damage('future', 'ver=0x7fffffffffffffff0000000000000001');
    expect(await contentsOf(store)).toEqual([pack({ key: 'fine' }).toString('hex')]);
    expect(store.quarantine.count).toBe(5);
    expect(store.quarantine.samples.map(({ key }) => key).sort()).toEqual([
      'deadline',
      'future',
      'kind',
      'moved',
      'zero',
    ]);
    await store.close();
  });

  it('larger than half a packet, and many megabytes of them, arrive', async () => {
    const { store } = await newStore();
    const model = new RegisterModel();
    // Hex text of 600 kB does not fit a packet of 1 MB, the bytes do.
    for (let index = 0; index < 100; index++) {
      const records = pack(
        { key: `large:${index}`, value: Buffer.alloc(600_000 + index * 4000, index) },
        ...Array.from({ length: 3 }, (_, small) => ({
          key: `small:${index}:${small}`,
          value: Buffer.alloc(90_000, small),
        })),
      );
      model.merge(records);
      await store.write(records);
    }
    expect(await contentsOf(store)).toEqual(model.contents());
    expect(store.refused.count).toBe(0);
    await store.close();
  });

  it('that are larger than a packet are refused alone, with the reason', async () => {
    const { store } = await newStore();
    const fine = Array.from({ length: 30 }, (_, index) => ({ key: `fine:${index}`, value: 'v' }));
    const refused = await store.writeRows(pack(...fine, { key: 'huge', value: Buffer.alloc(2_000_000) }));
    expect(refused).toHaveLength(1);
    expect(refused[0].reason).toMatch(/max_allowed_packet of 1048576/);
    expect(store.refused.samples).toMatchObject([{ store: 'mysql', key: 'huge' }]);
    expect(await contentsOf(store)).toHaveLength(30);
    await store.close();
  });

  it('that the server refuses are found by halving; the rest is written', async () => {
    const { store, database } = await newStore();
    await mariadb.query(
      `CREATE TRIGGER ${database}.choosy BEFORE INSERT ON ${database}.mantis_registers FOR EACH ROW ` +
        `IF NEW.k LIKE 'bad%' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no thanks'; END IF`,
    );
    const keys = Array.from({ length: 200 }, (_, index) => (index % 60 === 7 ? `bad:${index}` : `good:${index}`));
    const refused = await store.writeRows(pack(...keys.map((key) => ({ key }))));
    expect(refused.map(({ reason }) => reason)).toEqual(['no thanks', 'no thanks', 'no thanks', 'no thanks']);
    expect(store.refused.samples.map(({ key }) => key).sort()).toEqual(['bad:127', 'bad:187', 'bad:67', 'bad:7']);
    expect(await contentsOf(store)).toHaveLength(196);
    await store.close();
  });

  it('of a server without autocommit are committed', async () => {
    const { store, url } = await newStore();
    await store.close();
    const pool = createPool(url);
    pool.on('connection', (connection) => connection.query('SET autocommit=0'));
    const uncommitted = new MysqlStore({ target: pool, environment: storeEnvironment });
    await uncommitted.write(pack({ key: 'a' }));
    const reader = await openStore(url);
    expect(await contentsOf(reader)).toHaveLength(1);
    await reader.close();
    await new Promise<void>((resolve) => pool.end(() => resolve()));
  });

  it('of a server without autocommit are read as they are now, not as they were at the read before', async () => {
    const { store, url } = await newStore();
    const pool = createPool({ uri: url, connectionLimit: 1 });
    pool.on('connection', (connection) => connection.query('SET autocommit=0'));
    const other = new MysqlStore({ target: pool, environment: storeEnvironment });
    const [first, second] = [pack({ key: 'k', value: 'old' }), pack({ key: 'k', value: 'new', step: 2 })];
    const fetched = async (): Promise<Buffer> => {
      const found: Buffer[] = [];
      const names = packKeyNames([{ database: 0, key: Buffer.from('k') }]);
      await other.fetch(names, (records) => Promise.resolve(void found.push(Buffer.from(records))));
      return Buffer.concat(found);
    };
    await store.write(first);
    expect(await contentsOf(other)).toHaveLength(1);
    expect((await fetched()).equals(first)).toBe(true);
    await store.write(second);
    expect((await fetched()).equals(second)).toBe(true);
    await store.remove(second);
    expect(await other.hasAny(second)).toBe(false);
    expect(await other.isEmpty()).toBe(true);
    // Nothing is left open that would keep a DDL waiting.
    await mariadb.query(`ALTER TABLE ${url.split('/').at(-1)}.mantis_registers COMMENT 'changed'`);
    await store.close();
    await new Promise<void>((resolve) => pool.end(() => resolve()));
  });

  it('are the same whichever of two writers comes first, deadlocks included', async () => {
    await withSeed(testFile, async (random) => {
      const { store, url } = await newStore();
      const other = await openStore(url);
      const model = new RegisterModel();
      const slices = Array.from({ length: 40 }, () => {
        const records = Array.from({ length: 60 }, () => randomRecord(random));
        return Buffer.concat(records.map((fields) => pack(fields)));
      });
      for (const slice of slices) model.merge(slice);
      await Promise.all(
        [store, other].map(async (writer) => {
          for (const slice of random.shuffle(slices)) await writer.write(slice);
        }),
      );
      expect(await contentsOf(store)).toEqual(model.contents());
      await store.close();
      await other.close();
    });
  });

  it('wait out the locks of another transaction', async () => {
    const { store, url } = await newStore();
    await store.write(pack({ key: 'locked', value: 'old' }));
    const pool = createPromisePool(url);
    const holder = await pool.getConnection();
    await holder.query('SET GLOBAL innodb_lock_wait_timeout=1');
    const late = await openStore(url);
    await holder.query('BEGIN');
    await holder.query("UPDATE mantis_registers SET dead=dead WHERE k='locked'");
    const writing = late.write(pack({ key: 'locked', value: 'new', step: 5 }));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await holder.query('COMMIT');
    await writing;
    expect(await contentsOf(store)).toEqual([pack({ key: 'locked', value: 'new', step: 5 }).toString('hex')]);
    await holder.query('SET GLOBAL innodb_lock_wait_timeout=50');
    holder.release();
    await pool.end();
    await late.close();
    await store.close();
  });
});

describe('mysql that does not work', () => {
  it('is unavailable with the remedy, for an address, a password and a database that are wrong', async () => {
    const { url } = await mariadb.createDatabase();
    const attempts: [string, RegExp][] = [
      ['mysql://u:p@127.0.0.1:1/db', /ECONNREFUSED/],
      [url.replace(':secret@', ':wrong@'), /check the user/],
      [url.replace(/[^/]*$/, 'nowhere'), /create the database/],
    ];
    for (const [target, message] of attempts) {
      const failure = await failureOf(openStore(target));
      expect(failure.kind).toBe('unavailable');
      expect(failure.message).toMatch(message);
      expect(failure.message).not.toMatch(/secret|wrong/);
    }
    expect(() => new MysqlStore({ target: 'not a url', environment: storeEnvironment })).toThrow(/mysql:\/\//);
  });

  it('is unavailable without its table, and while it is read-only', async () => {
    const { store, database } = await newStore();
    await mariadb.query(`RENAME TABLE ${database}.mantis_registers TO ${database}.elsewhere`);
    expect((await failureOf(store.write(pack({ key: 'a' })))).message).toMatch(/mantis migrate/);
    await mariadb.query(`RENAME TABLE ${database}.elsewhere TO ${database}.mantis_registers`);
    await store.write(pack({ key: 'a' }));
    expect(await contentsOf(store)).toHaveLength(1);
    await store.close();
  });

  it('is read on at once when the connection is cut while rows come', async () => {
    const { url, name: database } = await mariadb.createMigratedDatabase();
    const store = new MysqlStore({ target: url, queryTimeoutMs: 3_600_000, environment: storeEnvironment });
    await store.open();
    const registers = Array.from({ length: 400 }, (_, index) => ({ key: `key:${index}`, value: Buffer.alloc(20_000) }));
    await store.write(pack(...registers));
    const isCut = { load: false, fetch: false };
    const cut = async (during: keyof typeof isCut): Promise<void> => {
      if (isCut[during]) return;
      isCut[during] = true;
      const list = `SELECT id FROM information_schema.processlist WHERE db='${database}'`;
      for (const { id } of await mariadb.query(list)) await mariadb.query(`KILL ${String(id)}`);
      await waitFor('the end of the connection', async () => (await mariadb.query(list)).length === 0);
    };
    const model = new RegisterModel();
    await store.load(async (records) => {
      model.merge(records, 'store');
      await cut('load');
    });
    expect(model.registers.size).toBe(400);
    const keys = packKeyNames(registers.map(({ key }) => ({ database: 0, key: Buffer.from(key) })));
    expect((await failureOf(store.fetch(keys, () => cut('fetch')))).kind).toBe('unavailable');
    await store.close();
  });

  it('is given up when it says nothing, and closing does not wait for it', async () => {
    const { url } = await newStore();
    const store = new MysqlStore({
      target: url,
      queryTimeoutMs: 300,
      connectTimeoutMs: 300,
      environment: storeEnvironment,
    });
    await store.open();
    mariadb.pause();
    try {
      expect((await failureOf(store.write(pack({ key: 'a' })))).kind).toBe('unavailable');
      const hanging = new MysqlStore({ target: url, environment: storeEnvironment });
      const opening = failureOf(hanging.open());
      const startedAt = performance.now();
      await hanging.close();
      await store.close();
      expect(performance.now() - startedAt).toBeLessThan(5000);
      mariadb.resume();
      await opening;
    } finally {
      mariadb.resume();
    }
  });
});
