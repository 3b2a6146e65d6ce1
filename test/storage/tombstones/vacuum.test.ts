import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ClassicLevel } from 'classic-level';
import { join } from 'node:path';
import { RecordReader } from '../../../protocol/change-record.ts';
import { splitRecords } from '../../../storage/backends/record-tools.ts';
import { TYPE_HASH, TYPE_SET, TYPE_SORTED_SET } from '../../../storage/arena/block.ts';
import type { RemovalSink, TakeRecords } from '../../../storage/tombstones/removals.ts';
import { MariadbProcess } from '../../support/mariadb-process.ts';
import { SeededRandom, withSeed } from '../../support/seed.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Replica } from '../collections/replicas.ts';
import { StoredNode, Writer } from '../stored-node.ts';

const testFile = 'test/storage/tombstones/vacuum.test.ts';
const HOUR_MS = 3_600_000;
let mariadb: MariadbProcess;

beforeAll(async () => {
  mariadb = await MariadbProcess.create();
}, 60_000);

afterAll(() => mariadb?.stop());

async function openTables(dataDir: string): Promise<ClassicLevel<Buffer, Buffer>> {
  const level = new ClassicLevel<Buffer, Buffer>(join(dataDir, 'registers'), {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
  });
  await level.open();
  return level;
}

const REGISTERS = { gte: Buffer.from('r'), lt: Buffer.from('s') };

async function measure(dataDir: string): Promise<{ bytes: number; liveBytes: number; count: number; kinds: number[] }> {
  const level = await openTables(dataDir);
  await level.compactRange(Buffer.alloc(0), Buffer.alloc(1, 0xff));
  const entries = await level.iterator(REGISTERS).all();
  const bytes = await level.approximateSize(Buffer.alloc(0), Buffer.alloc(1, 0xff));
  await level.close();
  const liveBytes = entries.reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  const reader = new RecordReader();
  const kinds = new Set(entries.map(([, value]) => (reader.read(value, 4), reader.kind)));
  return { bytes, liveBytes, count: entries.length, kinds: [...kinds].sort((a, b) => a - b) };
}

/** One day of sessions that expire, things that are deleted, and counters and hashes that come and go. */
async function liveADay(node: StoredNode, sessions: number): Promise<void> {
  const { replica } = node;
  const random = new SeededRandom(5);
  const value = (): string => random.bytes(60).toString('hex');
  for (let index = 0; index < sessions; index++) replica.set(`user:${index}`, value());
  for (let hour = 0; hour < 24; hour++) {
    for (let index = 0; index < sessions; index++) {
      const session = `session:${hour}:${random.below(1_000_000)}`;
      replica.set(session, value());
      replica.expireAt(session, node.nowMs + random.below(HOUR_MS));
      replica.set(`job:${hour}:${index}`, value());
    }
    for (let index = 0; index < sessions / 10; index++) {
      replica.increment(`limit:${hour}:${index}`, 1);
      replica.expireAt(`limit:${hour}:${index}`, node.nowMs + 60_000);
      for (const field of ['a', 'b', 'c']) replica.put(TYPE_HASH, `cart:${hour}:${index}`, field, value());
      replica.put(TYPE_SET, 'online', `${hour}:${index}`, '');
    }
    await node.flusher.flushNow();
    for (let index = 0; index < sessions; index++) replica.delete(`job:${hour}:${index}`);
    for (let index = 0; index < sessions / 10; index++) {
      if (index % 2 === 0) replica.delete(`cart:${hour}:${index}`);
      else replica.expireAt(`cart:${hour}:${index}`, node.nowMs + 1);
      replica.remove(TYPE_SET, 'online', `${hour}:${index}`);
    }
    node.pass(HOUR_MS);
    await node.settle();
  }
}

describe('the vacuum', () => {
  it('leaves nothing but what is alive in the embedded store after a day of churn', async () => {
    const dataDir = temporaryFolder('vacuum');
    const node = new StoredNode(dataDir, null, Date.now());
    await node.start();
    await liveADay(node, 500);
    const view = node.replica.view();
    expect(view).toHaveLength(500);
    expect(await node.flusher.close(5000)).toBe(true);
    const { bytes, liveBytes, count, kinds } = await measure(dataDir);
    expect({ count, kinds }).toEqual({ count: 500, kinds: [1] });
    expect(bytes).toBeLessThan(1.5 * liveBytes);
    const again = new StoredNode(dataDir, null, node.nowMs);
    await again.start();
    expect(again.replica.view()).toEqual(view);
    await again.flusher.close(0);
  }, 60_000);

  it.each([
    ['behind the embedded store', true],
    ['alone', false],
  ])(
    'leaves no dead row in MySQL %s',
    async (_how, isEmbedded) => {
      const { url } = await mariadb.createMigratedDatabase();
      const node = new StoredNode(isEmbedded ? temporaryFolder('vacuum') : null, url, Date.now());
      await node.start();
      await liveADay(node, 50);
      const view = node.replica.view();
      await node.flusher.close(5000);
      const table = `${url.split('/').at(-1)}.mantis_registers`;
      const rows = await mariadb.query(`SELECT kind, dead, COUNT(*) count FROM ${table} GROUP BY kind, dead`);
      expect(rows).toEqual([{ kind: 1, dead: 0, count: 50 }]);
      const again = new StoredNode(null, url, node.nowMs);
      await again.start();
      expect(again.replica.view()).toEqual(view);
      await again.flusher.close(0);
    },
    60_000,
  );

  it('takes what a FLUSHDB has covered out of the stores, but for the floor', async () => {
    const { url } = await mariadb.createMigratedDatabase();
    const dataDir = temporaryFolder('vacuum');
    const node = new StoredNode(dataDir, url, Date.now());
    await node.start();
    for (let index = 0; index < 500; index++) node.replica.put(TYPE_HASH, `hash:${index % 50}`, `field:${index}`, 'v');
    node.replica.increment('count', 3);
    await node.flusher.flushMysqlNow(10_000);
    node.replica.flush();
    node.replica.set('later', 'v');
    await node.settle();
    const table = `${url.split('/').at(-1)}.mantis_registers`;
    const kindsNow = async (): Promise<unknown[]> =>
      (await mariadb.query(`SELECT kind FROM ${table} ORDER BY kind`)).map(({ kind }) => kind);
    await waitFor('the sweep', async () => {
      node.step();
      return (await kindsNow()).length === 2;
    });
    expect(await kindsNow()).toEqual([1, 3]);
    await node.flusher.close(5000);
    expect(await measure(dataDir)).toMatchObject({ count: 2, kinds: [1, 3] });
  });

  it('brings nothing back, whatever lies over what, however often removals fail, and wherever the node stops', async () => {
    await withSeed(testFile, async (random) => {
      // Removals come back when they will; what is done to the keys goes by the seed alone.
      const failures = new SeededRandom(random.uint32());
      for (const what of ['level', 'mysql', 'both']) {
        const dataDir = what === 'mysql' ? null : temporaryFolder('vacuum');
        const url = what === 'level' ? null : (await mariadb.createMigratedDatabase()).url;
        let nowMs = Date.now();
        let before: string[] = [];
        // A peer that hears of changes now and then, and is heard of.
        const peer = new Replica(2, () => nowMs);
        for (let life = 0; life < 6; life++) {
          const node = new StoredNode(dataDir, url, nowMs, (sink) => unreliable(sink, failures));
          await node.start();
          expect(node.replica.view()).toEqual(before);
          for (let round = 0; round < 4; round++) {
            for (let count = 0; count < 40; count++) change(random.chance(0.8) ? node.replica : peer, nowMs, random);
            if (random.chance(0.5)) node.replica.apply(Buffer.from(peer.takeState()));
            if (random.chance(0.5)) peer.apply(Buffer.from(node.replica.takeState()));
            node.pass(random.below(3));
            nowMs = node.nowMs;
            peer.keyspace.clock.refresh();
            await node.sweep(random.below(40));
          }
          node.pass(1);
          await node.flusher.flushNow();
          before = node.replica.view();
          nowMs = node.nowMs;
          peer.keyspace.clock.refresh();
          await node.flusher.close(random.chance(0.5) ? 5000 : 0);
        }
      }
    });
  }, 60_000);

  describe.each([
    ['beside an embedded store', true],
    ['without one', false],
  ])('of a database that others write, %s', (_what, isEmbedded) => {
    const newNode = (url: string, onNewer?: TakeRecords): StoredNode =>
      new StoredNode(isEmbedded ? temporaryFolder('vacuum') : null, url, Date.now(), undefined, onNewer);
    const rowsOf = (url: string): Promise<unknown[]> =>
      mariadb.query(`SELECT kind, k FROM ${url.split('/').at(-1)}.mantis_registers ORDER BY kind, k`);

    it('takes away with a key that has lapsed the elements that this node never held', async () => {
      const { url } = await mariadb.createMigratedDatabase();
      const node = newNode(url);
      await node.start();
      const gone = await Writer.open(url, node);
      gone.replica.put(TYPE_HASH, 'hash', 'field', 'v');
      gone.replica.add(TYPE_HASH, 'hash', 'sum', 5);
      gone.replica.put(TYPE_SET, 'set', 'member', '');
      for (const key of ['hash', 'set']) gone.replica.expireAt(key, node.nowMs + 300);
      const written = await gone.write();
      await gone.close();
      expect(await rowsOf(url)).toHaveLength(5);
      // The elements come too late to be held, let alone stored: the key counts.
      node.pass(1000);
      node.replica.apply(written);
      await node.settle();
      expect(await rowsOf(url)).toEqual([]);
      await node.flusher.close(5000);
    });

    it('takes away with the tombstone of a field or a member the sums that this node never held', async () => {
      const { url } = await mariadb.createMigratedDatabase();
      const node = newNode(url);
      await node.start();
      const gone = await Writer.open(url, node);
      const counted = [
        [TYPE_HASH, 'hash'],
        [TYPE_SORTED_SET, 'ranks'],
      ] as const;
      for (const [type, key] of counted) for (const name of ['a', 'aa']) gone.replica.add(type, key, name, 5);
      await gone.write();
      await gone.close();
      node.pass(10);
      // Counted here as well: the removal's stamp is that of the later sum, and covers the one that this node does not know.
      for (const [type, key] of counted) for (const name of ['a', 'kept']) node.replica.add(type, key, name, 2);
      await node.flusher.flushMysqlNow(10_000);
      for (const [type, key] of counted) node.replica.remove(type, key, 'a');
      await node.flusher.flushMysqlNow(10_000);
      const dead = `SELECT k FROM ${url.split('/').at(-1)}.mantis_registers WHERE dead=1`;
      expect(await mariadb.query(dead)).toHaveLength(2);
      await waitFor('the tombstones to go', async () => {
        // What is sealed waits for a later moment.
        node.pass(1);
        await node.sweep(20);
        return (await mariadb.query(dead)).length === 0;
      });
      const view = node.replica.view();
      await node.flusher.close(5000);
      const again = new StoredNode(null, url, node.nowMs);
      await again.start();
      // Of another name nothing is gone, though it begins alike.
      expect(again.replica.view()).toEqual(view.map((line) => line.replace('kept=', 'aa=5 kept=')));
      await again.flusher.close(0);
    });

    it('shows nothing of a key that has lapsed for what a member writes after its rows have gone', async () => {
      const { url } = await mariadb.createMigratedDatabase();
      const node = newNode(url);
      await node.start();
      const gone = await Writer.open(url, node);
      const types = [TYPE_HASH, TYPE_SET] as const;
      for (const type of types) gone.replica.put(type, `${type}`, 'field', '');
      for (const type of types) gone.replica.expireAt(`${type}`, node.nowMs + 300);
      node.replica.apply(await gone.write());
      // Cut off, it goes on in time, and brings that to the database late.
      gone.replica.put(TYPE_HASH, `${TYPE_HASH}`, 'late', '');
      gone.replica.add(TYPE_HASH, `${TYPE_HASH}`, 'sum', 5);
      gone.replica.put(TYPE_SET, `${TYPE_SET}`, 'late', '');
      node.pass(1000);
      await node.settle();
      expect(await rowsOf(url)).toEqual([]);
      await gone.write();
      await gone.close();
      await node.flusher.close(5000);
      const again = newNode(url);
      again.nowMs = node.nowMs;
      await again.start();
      again.pass(0);
      expect(again.replica.view()).toEqual([]);
      await again.settle();
      expect(await rowsOf(url)).toEqual([]);
      await again.flusher.close(5000);
    });

    it('hears of what the database alone has newer of a key that is gone, and then takes away what nobody shows', async () => {
      const { url } = await mariadb.createMigratedDatabase();
      const node = newNode(url);
      await node.start();
      const gone = await Writer.open(url, node);
      gone.replica.put(TYPE_HASH, 'lapsed', 'field', 'v');
      gone.replica.expireAt('lapsed', node.nowMs + 300);
      gone.replica.put(TYPE_SET, 'deleted', 'old', '');
      node.replica.apply(await gone.write());
      node.pass(10);
      node.replica.delete('deleted');
      await node.flusher.flushMysqlNow(10_000);
      gone.replica.keyspace.clock.observe(node.replica.keyspace.clock.hi, node.replica.keyspace.clock.lo);
      gone.replica.put(TYPE_HASH, 'lapsed', 'late', 'v');
      gone.replica.put(TYPE_SET, 'deleted', 'added', '');
      await gone.write();
      await gone.close();
      node.pass(1000);
      await node.settle();
      expect(node.replica.view()).toEqual(['deleted type 3: added=']);
      const lapsed = `SELECT k FROM ${url.split('/').at(-1)}.mantis_registers WHERE k='lapsed'`;
      expect(await mariadb.query(lapsed)).toEqual([]);
      const view = node.replica.view();
      await node.flusher.close(5000);
      const again = newNode(url);
      again.nowMs = node.nowMs;
      await again.start();
      expect(again.replica.view()).toEqual(view);
      await again.flusher.close(0);
    });

    it('shows a key that has lapsed again when the database alone has a later deadline of it', async () => {
      const { url } = await mariadb.createMigratedDatabase();
      const node = newNode(url);
      await node.start();
      const gone = await Writer.open(url, node);
      gone.replica.put(TYPE_HASH, 'hash', 'field', 'v');
      gone.replica.add(TYPE_HASH, 'hash', 'sum', 3);
      gone.replica.increment('counter', 5);
      for (const key of ['hash', 'counter']) gone.replica.expireAt(key, node.nowMs + 300);
      node.replica.apply(await gone.write());
      node.replica.increment('counter', 2);
      await node.flusher.flushMysqlNow(10_000);
      for (const key of ['hash', 'counter']) gone.replica.expireAt(key, node.nowMs + HOUR_MS);
      await gone.write();
      await gone.close();
      node.pass(1000);
      expect(node.replica.view()).toEqual([]);
      await node.flusher.flushNow();
      await waitFor('what has not lapsed', () => (node.step(), node.replica.view().length === 2));
      const view = node.replica.view();
      expect(view.join()).toMatch(/^counter type 1 until \d+: 7,hash type 5 until \d+: field=v sum=3$/);
      await node.flusher.close(5000);
      const again = newNode(url);
      again.nowMs = node.nowMs;
      await again.start();
      expect(again.replica.view()).toEqual(view);
      // In the end all of it goes.
      again.pass(2 * HOUR_MS);
      await again.settle();
      expect(await rowsOf(url)).toEqual([]);
      await again.flusher.close(5000);
    });

    it('leaves a key that has lapsed where it is while what the database alone has of it does not count', async () => {
      const { url } = await mariadb.createMigratedDatabase();
      const offered: number[] = [];
      const node = newNode(url, (records) => Promise.resolve(void offered.push(splitRecords(records).length)));
      await node.start();
      const gone = await Writer.open(url, node);
      gone.replica.put(TYPE_HASH, 'hash', 'field', 'v');
      gone.replica.expireAt('hash', node.nowMs + 300);
      gone.replica.put(TYPE_HASH, 'other', 'field', 'v');
      gone.replica.expireAt('other', node.nowMs + 300);
      node.replica.apply(await gone.write());
      gone.replica.put(TYPE_HASH, 'hash', 'late', 'v');
      const late = await gone.write();
      await gone.close();
      node.pass(1000);
      await node.flusher.flushNow();
      await waitFor('the other key to go', () => {
        node.step();
        return node.replica.database.index.count === 1;
      });
      await node.sweep(100);
      expect(node.replica.database.index.count).toBe(1);
      // It is asked for once an hour.
      expect(offered).toEqual([2]);
      node.pass(HOUR_MS);
      await waitFor('another look', () => (node.step(), offered.length === 2));
      const again = new StoredNode(null, url, node.nowMs);
      await again.start();
      again.pass(0);
      expect(again.replica.view()).toEqual([]);
      await again.flusher.close(0);
      // Once this node has heard of it, all goes together.
      node.replica.apply(late);
      await node.settle();
      expect(await rowsOf(url)).toEqual([]);
      await node.flusher.close(5000);
    });
  });

  it.each(['level', 'mysql', 'both'])('takes away sums that a removal elsewhere has ended, from %s', async (what) => {
    const url = what === 'level' ? null : (await mariadb.createMigratedDatabase()).url;
    const dataDir = what === 'mysql' ? null : temporaryFolder('vacuum');
    const node = new StoredNode(dataDir, url, Date.now());
    await node.start();
    const { replica } = node;
    const other = new Replica(2, () => node.nowMs);
    for (const key of ['hash', 'field']) replica.add(TYPE_HASH, key, 'sum', 1);
    replica.put(TYPE_HASH, 'field', 'kept', 'v');
    replica.increment('counter', 1);
    await node.flusher.flushNow();
    other.apply(replica.takeState());
    node.pass(10);
    other.keyspace.clock.refresh();
    other.delete('hash');
    other.delete('counter');
    other.remove(TYPE_HASH, 'field', 'sum');
    const removals = Buffer.from(other.takeState());
    // Not knowing of that, it counts on, in sums that began before.
    node.pass(10);
    for (const key of ['hash', 'field']) replica.add(TYPE_HASH, key, 'sum', 1);
    replica.increment('counter', 1);
    await node.flusher.flushMysqlNow(10_000);
    replica.apply(removals);
    const view = replica.view();
    await node.settle();
    await node.sweep(20);
    expect(replica.database.index.count).toBe(replica.database.keyCount);
    await node.flusher.close(5000);
    const again = new StoredNode(dataDir, url, node.nowMs);
    await again.start();
    expect(again.replica.view()).toEqual(view);
    await again.flusher.close(0);
  });

  it('waits while MySQL is away, and keeps the tombstones meanwhile', async () => {
    const { url } = await mariadb.createMigratedDatabase();
    const dataDir = temporaryFolder('vacuum');
    const node = new StoredNode(dataDir, url, Date.now());
    await node.start();
    node.replica.set('k', 'v');
    await node.flusher.flushMysqlNow(10_000);
    await mariadb.stop();
    node.replica.delete('k');
    await node.sweep(50);
    expect(node.replica.database.index.count).toBe(1);
    await mariadb.start();
    await node.settle();
    const again = new StoredNode(null, url, node.nowMs);
    await again.start();
    expect(again.replica.view()).toEqual([]);
    await again.flusher.close(0);
    await node.flusher.close(5000);
  }, 60_000);

  it('reaps nothing before the rows of a MySQL that was absent at start are merged', async () => {
    const { url } = await mariadb.createMigratedDatabase();
    const dataDir = temporaryFolder('vacuum');
    const first = new StoredNode(dataDir, url, Date.now());
    await first.start();
    first.replica.set('k', 'v');
    await first.flusher.flushMysqlNow(10_000);
    await first.flusher.close(5000);
    await mariadb.stop();
    const node = new StoredNode(dataDir, url, first.nowMs + 1);
    await node.start();
    expect(node.replica.view()).toHaveLength(1);
    node.replica.delete('k');
    await node.sweep(50);
    await mariadb.start();
    await waitFor('the merge', () => !node.flusher.status().isMysqlLoadPending);
    await node.settle();
    expect(node.replica.view()).toEqual([]);
    await node.flusher.close(5000);
  }, 60_000);
});

const keys = ['a', 'b', 'c', 'a ', 'A', ''];
const fields = ['f', 'g', 'h'];

/** Changes one of a few keys, of any type over any other. */
function change(replica: Replica, nowMs: number, random: SeededRandom): void {
  const key = random.pick(keys);
  const type = random.pick([TYPE_HASH, TYPE_SET]);
  random.pick([
    () => replica.set(key, String(random.below(100))),
    () => replica.increment(key, random.below(100)),
    () => replica.put(type, key, random.pick(fields), 'v'),
    () => replica.remove(type, key, random.pick(fields)),
    () => replica.add(TYPE_HASH, key, random.pick(fields), 1),
    () => replica.delete(key),
    () => replica.delete(key),
    () => replica.expireAt(key, nowMs + random.below(4)),
    () => random.chance(0.1) && replica.flush(),
  ])();
}

/** A sink that fails before its work, after it, or not at all. */
function unreliable(sink: RemovalSink, random: SeededRandom): RemovalSink {
  return {
    get canRemove() {
      return sink.canRemove;
    },
    remove: async (records, onNewer) => {
      if (random.chance(0.2)) throw new Error('before');
      const staying = await sink.remove(records, onNewer);
      if (random.chance(0.2)) throw new Error('after');
      return staying;
    },
  };
}
