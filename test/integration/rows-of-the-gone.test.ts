/** What only the database has, of a member that is gone for good, and what the others make of it when they forget the key. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MysqlStore } from '../../storage/backends/mysql.ts';
import { TYPE_SET } from '../../storage/block.ts';
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
});
