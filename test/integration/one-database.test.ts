/** One database under many nodes: who writes what there, and what becomes of the rest when nodes go. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MysqlStore } from '../../storage/backends/mysql.ts';
import { Clock } from '../../storage/clock.ts';
import { installPacking } from '../../storage/collections/packing.ts';
import { Keyspace } from '../../storage/keyspace.ts';
import { applyRecords } from '../../storage/merging/merge.ts';
import { recomputeDigests } from '../../storage/digests/register-scan.ts';
import { MariadbProcess } from '../support/mariadb-process.ts';
import { type SeededRandom, withSeed } from '../support/seed.ts';
import { storeEnvironment } from '../support/store-environment.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ClusterNode, startNode, untilAgreed, untilMeshed } from './cluster.ts';

const testFile = 'test/integration/one-database.test.ts';
const nodeCount = 5;
const deadline = { deadlineMs: 60_000, intervalMs: 100 };
let mariadb: MariadbProcess;

beforeAll(async () => {
  mariadb = await MariadbProcess.create();
}, 60_000);

afterAll(() => mariadb?.stop());

/** Every other node has no disk. */
async function startAll(url: string): Promise<ClusterNode[]> {
  const nodes: ClusterNode[] = [];
  for (let index = 0; index < nodeCount; index++) {
    const options = index % 2 === 0 ? {} : { dataDir: 'none' };
    const args = ['--mysql', url, '--takeover-after', '1s', '--repair-interval', '1h'];
    nodes.push(await startNode(nodes[0] ?? null, { ...options, args }));
  }
  await untilMeshed(nodes);
  return nodes;
}

async function figure(node: ClusterNode, name: string): Promise<number> {
  const status = String(await node.ask('MANTIS', 'STATUS'));
  const found = new RegExp(`^${name}: (\\d+)`, 'm').exec(status);
  if (found === null) throw new Error(`no ${name} in\n${status}`);
  return Number(found[1]);
}

async function sum(nodes: readonly ClusterNode[], name: string): Promise<number> {
  const figures = await Promise.all(nodes.map((node) => figure(node, name)));
  return figures.reduce((total, value) => total + value, 0);
}

/** The digest of a node that has nothing but what the database holds. */
async function digestOfTable(url: string): Promise<string> {
  const keyspace = new Keyspace({
    databases: 16,
    clock: new Clock(Date.now),
    nodeHi: 0,
    nodeLo: 1,
    hashKey0: 1,
    hashKey1: 2,
  });
  installPacking(keyspace);
  keyspace.hydrating = true;
  const store = new MysqlStore({ target: url, environment: storeEnvironment });
  await store.load((records) => applyRecords(keyspace, records, 0, records.length));
  await store.close();
  recomputeDigests(keyspace);
  return keyspace.digests.total();
}

/** Writes of many kinds, of all nodes to the same keys and to their own. */
async function write(nodes: readonly ClusterNode[], random: SeededRandom, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const node = random.pick(nodes);
    const key = `${random.below(60)}`;
    const words = random.pick([
      ['SET', `string:${key}`, random.bytes(10).toString('hex')],
      ['DEL', `string:${key}`, `set:${key}`],
      ['HSET', `hash:${key}`, `field:${random.below(5)}`, 'v'],
      ['HDEL', `hash:${key}`, `field:${random.below(5)}`],
      ['SADD', `set:${key}`, `member:${random.below(5)}`],
      ['SREM', `set:${key}`, `member:${random.below(5)}`],
      ['INCRBY', `counter:${key}`, '3'],
      ['RPUSH', `list:${key}`, 'element'],
      ['LPOP', `list:${key}`],
      ['PEXPIRE', `string:${key}`, '3600000'],
      ...(random.chance(0.02) ? [['FLUSHDB']] : []),
    ]);
    await node.ask(...words);
  }
}

/** Each node writes keys of its own, once: a row can be written more often only by another node, or for nothing. */
async function writeOnce(nodes: readonly ClusterNode[], keysOfANode: number): Promise<void> {
  for (let index = 0; index < keysOfANode; index++) {
    await Promise.all(nodes.map((node, at) => node.ask('SET', `key:${at}:${index}`, `value ${index}`)));
  }
}

describe('five nodes on one database', () => {
  it('bring each change there about once, and lose nothing when two of them are killed', async () => {
    await withSeed(testFile, async (random) => {
      const { url, name } = await mariadb.createMigratedDatabase();
      const nodes = await startAll(url);
      const changes = 400 * nodeCount;
      await writeOnce(nodes, 400);
      await untilAgreed(nodes);
      const countRows = `SELECT COUNT(*) n FROM ${name}.mantis_registers`;
      await waitFor('the rows', async () => (await mariadb.query(countRows))[0].n === changes, deadline);
      await waitFor('the word of all', async () => (await sum(nodes, 'store_mysql_held_generations')) === 0, deadline);
      const written =
        (await sum(nodes, 'store_mysql_rows_written')) + (await sum(nodes, 'store_mysql_rows_taken_over'));
      expect(written).toBeGreaterThanOrEqual(changes);
      expect(written).toBeLessThan(1.3 * changes);
      expect(await digestOfTable(url)).toBe(await nodes[0].ask('MANTIS', 'DIGEST'));

      const killed = random.shuffle(nodes).slice(0, 2);
      const survivors = nodes.filter((node) => !killed.includes(node));
      // What they write from here on they never bring to the database.
      for (const node of killed) await node.ask('CONFIG', 'SET', 'flush-interval', '1h');
      await write(nodes, random, 300);
      await write(killed, random, 50);
      await untilAgreed(nodes);
      await Promise.all(killed.map((node) => node.kill()));
      await write(survivors, random, 50);
      await untilAgreed(survivors);
      const digest = await survivors[0].ask('MANTIS', 'DIGEST');
      await waitFor('all that the survivors have', async () => (await digestOfTable(url)) === digest, deadline);
      await waitFor(
        'the rows of the killed',
        async () => (await sum(survivors, 'store_mysql_rows_taken_over')) > 0,
        deadline,
      );
      await Promise.all(survivors.map((node) => node.close()));
    });
  }, 180_000);
});
