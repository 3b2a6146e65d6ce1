/** Rows of MySQL that were restored from a backup older than what the nodes have deleted, and forgotten, since. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MariadbProcess } from '../support/mariadb-process.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ClusterNode, startNode, untilAgreed, untilMeshed } from './cluster.ts';
import { migrateByCli } from './command-line.ts';

/** Vacuums wait for each other's sweeps, on a busy machine for long. */
const PATIENT = { deadlineMs: 60_000 };
const running = new Set<ClusterNode>();
let mariadb: MariadbProcess;

beforeAll(async () => {
  mariadb = await MariadbProcess.create();
  await migrateByCli(mariadb.url);
}, 60_000);

afterAll(async () => {
  await Promise.all([...running].map((node) => node.close()));
  await mariadb?.stop();
});

async function start(seed: ClusterNode | null, dataDir?: string): Promise<ClusterNode> {
  const args = ['--mysql', mariadb.url, '--tombstone-horizon', '1s', '--flush-interval', '50ms'];
  const node = await startNode(seed, { args, ...(dataDir === undefined ? {} : { dataDir }) });
  running.add(node);
  return node;
}

async function kill(node: ClusterNode): Promise<void> {
  running.delete(node);
  await node.kill();
}

async function statusMs(node: ClusterNode, name: 'clock' | 'reaped'): Promise<number> {
  const found = new RegExp(`^${name}: (\\d+)-`, 'm').exec(String(await node.ask('MANTIS', 'STATUS')));
  return Number(found?.[1] ?? 0);
}

async function expectNothingIsBack(nodes: readonly ClusterNode[]): Promise<void> {
  await untilAgreed(nodes);
  for (const node of nodes) {
    expect(await node.ask('MGET', 'deleted', 'kept', 'unchanged')).toEqual([null, 'new', 'old']);
    expect(await node.ask('HGETALL', 'hash')).toEqual(['kept', 'old']);
    expect(await node.ask('EXISTS', 'set', 'counter')).toBe(0);
    expect(await node.ask('GET', 'counted anew')).toBe('1');
  }
}

describe('old rows of MySQL', () => {
  it('bring back nothing that was deleted, and hide nothing that is newer', async () => {
    const first = await start(null);
    let second = await start(first);
    await untilMeshed([first, second]);
    await first.ask('MSET', 'deleted', 'old', 'kept', 'old', 'unchanged', 'old');
    await first.ask('HSET', 'hash', 'deleted', 'old', 'kept', 'old');
    await first.ask('HINCRBY', 'hash', 'sum', '5');
    await second.ask('HINCRBY', 'hash', 'sum', '6');
    await second.ask('INCRBY', 'counted anew', '7');
    await second.ask('SADD', 'set', 'member');
    await second.ask('INCRBY', 'counter', '5');
    await untilAgreed([first, second]);
    for (const node of [first, second]) await node.ask('SAVE');
    await mariadb.query('CREATE TABLE backup AS SELECT * FROM mantis_registers');

    await first.ask('DEL', 'deleted', 'set', 'counter');
    await first.ask('HDEL', 'hash', 'deleted', 'sum');
    await first.ask('DEL', 'counted anew');
    await second.ask('SET', 'kept', 'new');
    const deletedAtMs = Math.max(await statusMs(first, 'clock'), await statusMs(second, 'clock'));
    await untilAgreed([first, second]);
    await waitFor(
      'the tombstones to go',
      async () => {
        const reaped = await Promise.all([first, second].map((node) => statusMs(node, 'reaped')));
        const dead = await mariadb.query(
          `SELECT k FROM mantis_registers WHERE k IN ('deleted','set','counter') OR dead=1`,
        );
        return reaped.every((ms) => ms >= deletedAtMs) && dead.length === 0;
      },
      PATIENT,
    );
    for (const node of [first, second]) await node.ask('SAVE');

    await first.ask('INCRBY', 'counted anew', '1');
    await untilAgreed([first, second]);
    for (const node of [first, second]) await node.ask('SAVE');

    const { dataDir } = second.process;
    await kill(second);
    await mariadb.query('REPLACE INTO mantis_registers SELECT * FROM backup');
    second = await start(first, dataDir);
    await untilMeshed([first, second]);
    await expectNothingIsBack([first, second]);

    // A node that has nothing but these rows.
    await mariadb.query('REPLACE INTO mantis_registers SELECT * FROM backup');
    const third = await start(first, 'none');
    await untilMeshed([first, second, third]);
    await expectNothingIsBack([first, second, third]);

    // All start again, with the rows and what their own disks remember.
    const folder = first.process.dataDir;
    for (const node of [first, second, third]) await kill(node);
    await mariadb.query('REPLACE INTO mantis_registers SELECT * FROM backup');
    // Again and again: its own disk takes nothing of what it leaves out.
    for (let times = 0; times < 2; times++) {
      const alone = await start(null, folder);
      await expectNothingIsBack([alone]);
      await alone.ask('SAVE');
      await kill(alone);
    }
  }, 180_000);

  it('of a member that has left the list bring back nothing either', async () => {
    await mariadb.query('TRUNCATE mantis_registers');
    const first = await start(null);
    const second = await start(first);
    await untilMeshed([first, second]);
    await second.ask('SET', 'deleted', 'of the gone');
    await second.ask('HINCRBY', 'hash', 'sum', '6');
    await second.ask('SET', 'kept', 'of the gone');
    await untilAgreed([first, second]);
    for (const node of [first, second]) await node.ask('SAVE');
    await waitFor('the rows', async () => (await mariadb.query('SELECT id FROM mantis_registers')).length >= 4);
    await mariadb.query('CREATE TABLE backup_of_all AS SELECT * FROM mantis_registers');
    await first.ask('DEL', 'deleted', 'hash');
    const deletedAtMs = await statusMs(first, 'clock');
    await untilAgreed([first, second]);
    await waitFor('the tombstones to go', async () => (await statusMs(first, 'reaped')) >= deletedAtMs);
    const id = /^node_id: (\w+)/m.exec(String(await second.ask('MANTIS', 'STATUS')))?.[1] ?? '';
    await kill(second);
    expect(await first.ask('MANTIS', 'FORGET', id)).toBe('OK');
    await waitFor('the rows to go', async () => {
      const rows = await mariadb.query(`SELECT id FROM mantis_registers WHERE k IN ('deleted','hash')`);
      return rows.length === 0 && String(await first.ask('MANTIS', 'PEERS')) === '';
    });
    await first.ask('SET', 'after', '1');
    await first.ask('SAVE');
    const { dataDir } = first.process;
    await first.close();
    running.delete(first);
    await mariadb.query('REPLACE INTO mantis_registers SELECT * FROM backup_of_all');
    const alone = await start(null, dataDir);
    expect(await alone.ask('MGET', 'deleted', 'kept')).toEqual([null, 'of the gone']);
    expect(await alone.ask('EXISTS', 'hash')).toBe(0);
  }, 180_000);
});
