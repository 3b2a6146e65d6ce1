/** What only the database has, of a member that is gone for good, and what the others make of it when they forget the key. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MysqlStore } from '../../storage/backends/mysql.ts';
import { TYPE_SET } from '../../storage/arena/block.ts';
import { Replica } from '../storage/collections/replicas.ts';
import { MariadbProcess } from '../support/mariadb-process.ts';
import { storeEnvironment } from '../support/store-environment.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ClusterNode, startNode, untilAgreed, untilMeshed } from './cluster.ts';
import { migrateByCli } from './command-line.ts';

let mariadb: MariadbProcess;
const nodes: ClusterNode[] = [];

beforeAll(async () => {
  mariadb = await MariadbProcess.create();
  await migrateByCli(mariadb.url);
}, 60_000);

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.close()));
  await mariadb?.stop();
});

describe('rows that only a member that is gone has written', () => {
  it('show at all nodes when one of them would forget the key', async () => {
    const args = ['--mysql', mariadb.url, '--tombstone-horizon', '1s', '--flush-interval', '50ms'];
    for (const dataDir of [{}, { dataDir: 'none' }]) {
      nodes.push(await startNode(nodes[0] ?? null, { args: [...args, '--repair-interval', '1s'], ...dataDir }));
    }
    await untilMeshed(nodes);
    const [first] = nodes;
    await first.ask('SADD', 'deleted', 'before');
    await untilAgreed(nodes);
    const gone = new Replica(9, () => Date.now() + 200);
    gone.keyspace.clock.refresh();
    gone.put(TYPE_SET, 'deleted', 'of the gone', '');
    await first.ask('DEL', 'deleted');
    const store = new MysqlStore({ target: mariadb.url, environment: storeEnvironment });
    await store.open();
    await store.write(gone.takeStore(1 << 20));
    await store.close();
    for (const node of nodes) {
      const isThere = async (): Promise<boolean> => (await node.ask('SISMEMBER', 'deleted', 'of the gone')) === 1;
      await waitFor('what the gone node added', isThere, { deadlineMs: 60_000 });
    }
    await untilAgreed(nodes);
    for (const node of nodes) expect(await node.ask('SCARD', 'deleted')).toBe(1);
  }, 120_000);

  it('of keys that had lapsed on the disk of a node are all there when it starts', async () => {
    await Promise.all(nodes.splice(0).map((node) => node.close()));
    await mariadb.query('TRUNCATE mantis_registers');
    const args = ['--mysql', mariadb.url, '--flush-interval', '50ms'];
    const first = await startNode(null, { args });
    const second = await startNode(first, { args, dataDir: 'none' });
    nodes.push(second);
    await untilMeshed([first, second]);
    const fields = (value: string): string[] => Array.from({ length: 40 }, (_, index) => [`f${index}`, value]).flat();
    await first.ask('HSET', 'prolonged', ...fields('1'));
    await first.ask('HSET', 'made anew', ...fields('1'));
    const deadlineMs = Date.now() + 6000;
    for (const key of ['prolonged', 'made anew']) await first.ask('PEXPIREAT', key, String(deadlineMs));
    await untilAgreed([first, second]);
    const { dataDir } = first.process;
    await first.close();
    await second.ask('PERSIST', 'prolonged');
    await waitFor('the deadline', () => Date.now() > deadlineMs + 200, { deadlineMs: 30_000 });
    expect(await second.ask('HLEN', 'prolonged')).toBe(40);
    await second.ask('HSET', 'made anew', ...fields('2'));
    expect(await second.ask('MANTIS', 'WAITDB', '60000')).toBe(1);
    nodes.pop();
    await second.kill();
    const again = await startNode(null, { args, dataDir });
    nodes.push(again);
    expect(await again.ask('HLEN', 'prolonged')).toBe(40);
    expect(await again.ask('HLEN', 'made anew')).toBe(40);
    expect(await again.ask('HGET', 'made anew', 'f7')).toBe('2');
  }, 120_000);
});
