import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createPool } from 'mysql2/promise';
import { StoreError } from '../../../storage/backends/backend.ts';
import { MysqlStore } from '../../../storage/backends/mysql.ts';
import { MariadbProcess } from '../../support/mariadb-process.ts';
import { SeededRandom } from '../../support/seed.ts';
import { storeEnvironment } from '../../support/store-environment.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait-for.ts';
import { fill, openNode, startNode, storedIn, tableOf } from '../flushed-node.ts';
import { pack, randomRecord, RegisterModel } from '../registers.ts';

let mariadb: MariadbProcess;

beforeAll(async () => {
  mariadb = await MariadbProcess.create({ args: ['--character-set-server=latin1', '--max-allowed-packet=1M'] });
}, 60_000);

afterAll(() => mariadb?.stop());

describe('flusher with the embedded store', () => {
  it('flushes what is dirty at its interval, and gives it back', async () => {
    const dataDir = temporaryFolder('flush');
    const { model, flusher, errors } = await startNode({ dataDir });
    fill(model, 5000);
    await waitFor(
      'the interval flush',
      () =>
        flusher.status().lastFlushAtMs !== null && model.dirtyCount === 0 && flusher.status().registersInFlight === 0,
    );
    fill(model, 5000);
    model.merge(pack({ key: 'last', step: 5000, value: 'written before close' }));
    expect(await flusher.close(5000)).toBe(true);
    expect(errors).toEqual([]);
    expect(await storedIn(dataDir)).toEqual(model.contents());
  });

  it('makes everything durable that was dirty at flushNow, also while more comes', async () => {
    const dataDir = temporaryFolder('flush');
    const { model, flusher } = await startNode({ dataDir, flushIntervalMs: 3_600_000 });
    fill(model, 10_000);
    const expected = new Set(model.contents());
    const flushing = Promise.all([flusher.flushNow(), flusher.flushNow()]);
    model.merge(pack({ key: 'late', step: 5000 }));
    await flushing;
    expect(flusher.status().registersFlushed).toBeGreaterThanOrEqual(expected.size);
    expect(await flusher.close(0)).toBe(false);
    const stored = new Set(await storedIn(dataDir));
    for (const record of expected) expect(stored.has(record)).toBe(true);
  });

  it('flushes early when much is dirty', async () => {
    const { model, flusher } = await startNode({
      dataDir: temporaryFolder('flush'),
      flushIntervalMs: 3_600_000,
      dirtyCountMax: 100,
    });
    fill(model, 1000);
    await waitFor('the early flush', () => flusher.status().flushesCompleted > 0);
    await flusher.close(1000);
  });

  it('keeps small facts over a restart', async () => {
    const dataDir = temporaryFolder('flush');
    const first = await openNode({ dataDir });
    expect(await first.flusher.meta.get('node-id')).toBeNull();
    await first.flusher.meta.set('node-id', Buffer.from('me'));
    await first.flusher.close(1000);
    const second = await openNode({ dataDir });
    expect(await second.flusher.meta.get('node-id')).toEqual(Buffer.from('me'));
    await second.flusher.close(1000);
  });

  it('is the only one on its data directory', async () => {
    const dataDir = temporaryFolder('flush');
    const first = await startNode({ dataDir });
    const failure: unknown = await openNode({ dataDir }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StoreError);
    expect((failure as StoreError).message).toMatch(/in use by another process/);
    first.model.merge(pack({ key: 'undisturbed' }));
    expect(await first.flusher.close(2000)).toBe(true);
    expect(await storedIn(dataDir)).toEqual(first.model.contents());
  });
});

describe.each(['both stores', 'MySQL alone', 'both stores, the application’s pool', 'the application’s pool alone'])(
  'flusher with %s',
  (what) => {
    const poolOf = (url: string) => (what.includes('pool') ? createPool(url) : url);
    const dataDirOf = () => (what.includes('both') ? temporaryFolder('flush') : null);

    it('fills the table, and a node without a data directory finds it all', async () => {
      const { url } = await mariadb.createMigratedDatabase();
      const random = new SeededRandom(1);
      const mysql = poolOf(url);
      const dataDir = dataDirOf();
      const { model, flusher, errors } = await startNode({ dataDir, mysql });
      fill(model, 3000, random);
      for (let index = 0; index < 300; index++) model.merge(pack(randomRecord(random)));
      await flusher.flushMysqlNow(20_000);
      expect(await tableOf(url)).toEqual(model.contents());
      fill(model, 1000, random);
      expect(await flusher.close(10_000)).toBe(true);
      expect(await tableOf(url)).toEqual(model.contents());
      if (typeof mysql !== 'string') await mysql.end();

      const again = await startNode({ dataDir: dataDirOf(), mysql: url });
      expect(again.model.contents()).toEqual(model.contents());
      expect(again.model.dirtyCount).toBe(0);
      await again.flusher.close(5000);
      expect([...errors, ...again.errors]).toEqual([]);
    });
  },
);

describe('flusher whose MySQL comes and goes', () => {
  it('serves the embedded store first, and merges the rows when MySQL answers', async () => {
    const { url } = await mariadb.createMigratedDatabase();
    const dataDir = temporaryFolder('flush');
    const before = await startNode({ dataDir, mysql: null });
    before.model.merge(pack({ key: 'shared', step: 1, value: 'old' }, { key: 'only here' }));
    await before.flusher.close(5000);
    const elsewhere = new MysqlStore({ target: url, environment: storeEnvironment });
    await elsewhere.write(pack({ key: 'shared', step: 2, value: 'new' }, { key: 'only there' }));
    await elsewhere.close();
    await mariadb.stop();
    const { model, flusher } = await startNode({ dataDir, mysql: url });
    expect(model.registers.size).toBe(2);
    expect(flusher.status().isMysqlLoadPending).toBe(true);
    model.merge(pack({ key: 'meanwhile' }));
    await flusher.flushNow();
    await waitFor(
      'the state',
      () => flusher.status().mysql?.state === 'down' && flusher.status().mysql?.queuedCount === 1,
    );
    expect(flusher.status().mysql?.lastError).toMatch(/ECONNREFUSED/);
    await mariadb.start();
    await waitFor('the merge', () => !flusher.status().isMysqlLoadPending);
    expect(model.registers.size).toBe(4);
    expect(model.contents()).toContain(pack({ key: 'shared', step: 2, value: 'new' }).toString('hex'));
    await flusher.flushMysqlNow(10_000);
    expect(await tableOf(url)).toContain(pack({ key: 'meanwhile' }).toString('hex'));
    await flusher.close(5000);
    // What only MySQL had is in the embedded store now.
    expect(await storedIn(dataDir)).toEqual(model.contents());
  });

  it.each(['stopped', 'killed'])(
    'brings all rows after MySQL was %s under load, hot keys included',
    async (how) => {
      const { url } = await mariadb.createMigratedDatabase();
      const dataDir = temporaryFolder('flush');
      const { model, flusher, errors } = await startNode({ dataDir, mysql: url });
      const random = new SeededRandom(1);
      fill(model, 6000, random);
      await waitFor('first rows', () => (flusher.status().mysql?.rowsWritten ?? 0) > 0);
      await (how === 'stopped' ? mariadb.stop() : mariadb.kill());
      for (let round = 0; round < 5; round++) {
        fill(model, 1000, random);
        model.merge(pack({ key: 'hot', step: 2000 + round, value: String(round) }));
        await flusher.flushNow();
      }
      await waitFor('the state', () => flusher.status().mysql?.state === 'down');
      await mariadb.start();
      await flusher.flushMysqlNow(20_000);
      expect(await tableOf(url)).toEqual(model.contents());
      await waitFor(
        'an empty queue',
        () => flusher.status().mysql?.queuedCount === 0 && flusher.status().mysql?.state === 'up',
      );
      expect(errors).toEqual([]);
      await flusher.close(5000);
    },
    60_000,
  );

  it('keeps the backlog over a restart of the node', async () => {
    const { url } = await mariadb.createMigratedDatabase();
    const dataDir = temporaryFolder('flush');
    await mariadb.stop();
    const first = await startNode({ dataDir, mysql: url });
    fill(first.model, 5000);
    expect(await first.flusher.close(5000)).toBe(true);
    const second = await startNode({ dataDir, mysql: url });
    expect(second.model.contents()).toEqual(first.model.contents());
    await mariadb.start();
    await second.flusher.flushMysqlNow(20_000);
    expect(await tableOf(url)).toEqual(first.model.contents());
    await second.flusher.close(5000);
  });

  it('waits for MySQL when there is nothing else, and stops pulling while it is away', async () => {
    const { url } = await mariadb.createMigratedDatabase();
    await mariadb.stop();
    const node = await openNode({ mysql: url });
    let isHydrated = false;
    const hydrating = node.flusher
      .hydrate((records) => void node.model.merge(records, 'store'))
      .then(() => (isHydrated = true));
    await waitFor('the state', () => node.flusher.status().mysql?.state === 'down');
    expect(isHydrated).toBe(false);
    await mariadb.start();
    await hydrating;
    node.flusher.start();
    await mariadb.stop();
    fill(node.model, 20_000, undefined, 400);
    await waitFor('slices in flight', () => node.flusher.status().registersInFlight > 0);
    const { registersInFlight } = node.flusher.status();
    expect(node.model.dirtyCount).toBeGreaterThan(0);
    fill(node.model, 1000);
    expect(node.flusher.status().registersInFlight).toBe(registersInFlight);
    await mariadb.start();
    await node.flusher.flushMysqlNow(20_000);
    expect(await tableOf(url)).toEqual(node.model.contents());
    await node.flusher.close(5000);
  }, 60_000);

  it.each(['dead', 'paused'])('closes in time with a MySQL that is %s', async (how) => {
    const { url } = await mariadb.createMigratedDatabase();
    const dataDir = temporaryFolder('flush');
    const both = await startNode({ dataDir, mysql: url, queryTimeoutMs: 60_000 });
    const alone = await startNode({ mysql: url, queryTimeoutMs: 60_000 });
    if (how === 'dead') await mariadb.kill();
    else mariadb.pause();
    try {
      fill(both.model, 1000);
      fill(alone.model, 1000);
      const startedAt = performance.now();
      expect(await both.flusher.close(1500)).toBe(true);
      expect(await alone.flusher.close(1500)).toBe(false);
      expect(performance.now() - startedAt).toBeLessThan(6000);
    } finally {
      if (how === 'dead') await mariadb.start();
      else mariadb.resume();
    }
    expect(await storedIn(dataDir)).toEqual(both.model.contents());
  });

  it('refuses to start with a schema that is behind', async () => {
    const { url } = await mariadb.createMigratedDatabase();
    await mariadb.query(`DROP TABLE ${url.split('/').at(-1)}.mantis_schema`);
    const dataDir = temporaryFolder('flush');
    await expect(openNode({ dataDir, mysql: url })).rejects.toThrow(/mantis migrate/);
    // The data directory is free again.
    const node = await openNode({ dataDir });
    await node.flusher.close(1000);
  });

  it('puts refused rows aside, shows them, and tries them again after a restart', async () => {
    const { url } = await mariadb.createMigratedDatabase();
    const dataDir = temporaryFolder('flush');
    const first = await startNode({ dataDir, mysql: url });
    first.model.merge(pack({ key: 'fine' }, { key: 'huge', value: Buffer.alloc(3_000_000, 1) }, { key: 'fine too' }));
    await first.flusher.flushMysqlNow(10_000);
    expect(await tableOf(url)).toHaveLength(2);
    await waitFor('the refused row', () => first.flusher.status().mysql?.refused[0]?.key === 'huge');
    await first.flusher.close(5000);
    await mariadb.query('SET GLOBAL max_allowed_packet=16777216');
    const second = await startNode({ dataDir, mysql: url });
    await second.flusher.flushMysqlNow(10_000);
    expect(await tableOf(url)).toEqual(first.model.contents());
    await second.flusher.close(5000);
    await mariadb.query('SET GLOBAL max_allowed_packet=1048576');
  });

  it('shares one database with another node, writing the same keys', async () => {
    const { url } = await mariadb.createMigratedDatabase();
    const nodes = await Promise.all([1, 2].map(() => startNode({ dataDir: temporaryFolder('flush'), mysql: url })));
    const [one, two] = nodes.map(({ model }) => model) as [RegisterModel, RegisterModel];
    const seed = 1;
    fill(one, 2000, new SeededRandom(seed));
    fill(two, 2000, new SeededRandom(seed + 1));
    await Promise.all(nodes.map(({ flusher }) => flusher.flushMysqlNow(20_000)));
    const joined = new RegisterModel();
    for (const model of [one, two]) for (const record of model.registers.values()) joined.merge(record);
    expect(await tableOf(url)).toEqual(joined.contents());
    await Promise.all(nodes.map(({ flusher }) => flusher.close(5000)));
  });
});
