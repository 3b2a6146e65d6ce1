import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createConnection, type Connection } from 'mysql2/promise';
import { migrate, SCHEMA_VERSION } from '../../../storage/backends/mysql-schema.ts';
import { MariadbProcess } from '../../support/mariadb-process.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait-for.ts';
import { fill, openNode, startNode, storedIn, tableOf, type FlushedNode } from '../flushed-node.ts';
import { pack } from '../registers.ts';

let mariadb: MariadbProcess;

beforeAll(async () => {
  mariadb = await MariadbProcess.create({ args: ['--character-set-server=latin1', '--max-connections=10'] });
}, 60_000);

afterAll(() => mariadb?.stop());

interface Target {
  name: string;
  user: string;
  /** As a user without the privileges that no mood of the server touches. */
  url: string;
  /** As the owner of everything. */
  ownerUrl: string;
}

async function newTarget(): Promise<Target> {
  const { name, url: ownerUrl } = await mariadb.createMigratedDatabase();
  const user = `user_${name}`;
  await mariadb.query(`CREATE USER ${user}@'%' IDENTIFIED BY 'first'`);
  await mariadb.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${name}.* TO ${user}@'%'`);
  return { name, user, url: `mysql://${user}:first@${mariadb.host}:${mariadb.port}/${name}`, ownerUrl };
}

const stateOf = ({ flusher }: FlushedNode) => flusher.status().mysql;

/** Writes, waits until MySQL counts as down for that reason, and checks that the embedded store has everything. */
async function writeWhileDown(node: FlushedNode, reason: RegExp): Promise<void> {
  for (let round = 0; round < 3; round++) {
    fill(node.model, 300);
    node.model.merge(pack({ key: 'hot', step: 2000 + round, value: String(round) }));
    await node.flusher.flushNow();
  }
  await waitFor('the reason', () => reason.test(stateOf(node)?.lastError ?? '') && stateOf(node)?.state === 'down');
  const { dirtyCount, writeError } = node.flusher.status();
  expect({ dirtyCount, writeError }).toEqual({ dirtyCount: 0, writeError: null });
  // However often a register changes, it waits twice at most.
  expect(stateOf(node)!.queuedCount).toBeLessThanOrEqual(2 * node.model.registers.size);
}

async function expectDrained(node: FlushedNode, ownerUrl: string): Promise<void> {
  await node.flusher.flushMysqlNow(20_000);
  await waitFor('the state', () => stateOf(node)?.state === 'up' && stateOf(node)?.queuedCount === 0);
  await waitFor('nothing to wait for', () => stateOf(node)?.waitingSinceMs === null);
  expect(await tableOf(ownerUrl)).toEqual(node.model.contents());
  expect(node.errors).toEqual([]);
  await node.flusher.close(5000);
}

/** What goes wrong on the server, the reason that the node shows, and how it is mended. */
const moods: [string, (target: Target) => Promise<unknown>, RegExp, (target: Target) => Promise<unknown>][] = [
  [
    'read-only',
    () => mariadb.query('SET GLOBAL read_only=1'),
    /read-only/,
    () => mariadb.query('SET GLOBAL read_only=0'),
  ],
  [
    'without its table',
    ({ name }) => mariadb.query(`DROP TABLE ${name}.mantis_registers`),
    /run `mantis migrate`/,
    async ({ ownerUrl }) => {
      await migrate(ownerUrl);
    },
  ],
  [
    'with another password',
    async ({ user }) => {
      await mariadb.query(`ALTER USER ${user}@'%' IDENTIFIED BY 'second'`);
      await killConnections(user);
    },
    /check the user, the password/,
    ({ user }) => mariadb.query(`ALTER USER ${user}@'%' IDENTIFIED BY 'first'`),
  ],
  [
    'with an account that is locked',
    async ({ user }) => {
      await mariadb.query(`ALTER USER ${user}@'%' ACCOUNT LOCK`);
      await killConnections(user);
    },
    /MySQL .*locked/i,
    ({ user }) => mariadb.query(`ALTER USER ${user}@'%' ACCOUNT UNLOCK`),
  ],
];

async function killConnections(user: string): Promise<void> {
  const rows = await mariadb.query(`SELECT id FROM information_schema.processlist WHERE user='${user}'`);
  for (const { id } of rows) await mariadb.query(`KILL ${String(id)}`);
}

describe('a node whose MySQL is', () => {
  it.each(moods)('%s keeps everything, says why, and drains when it is mended', async (_mood, spoil, reason, mend) => {
    const target = await newTarget();
    const node = await startNode({ dataDir: temporaryFolder('mood'), mysql: target.url });
    node.model.merge(pack({ key: 'before' }));
    await node.flusher.flushMysqlNow(10_000);
    await spoil(target);
    await writeWhileDown(node, reason);
    await mend(target);
    // A table that is made anew is filled anew, with what was flushed before too.
    const wanted = node.model.contents();
    await waitFor('all rows', async () => (await tableOf(target.ownerUrl)).length === wanted.length, {
      deadlineMs: 20_000,
    });
    await expectDrained(node, target.ownerUrl);
  });

  /** What takes the rows away while the connections go on. */
  const losses: [string, (name: string) => Promise<unknown>][] = [
    ['TRUNCATE', (name) => mariadb.query(`TRUNCATE ${name}.mantis_registers`)],
    ['DELETE', (name) => mariadb.query(`DELETE FROM ${name}.mantis_registers`)],
  ];

  it.each(losses)(
    'emptied by %s while it is written is filled again, also with what memory has evicted',
    async (_how, empty) => {
      const target = await newTarget();
      const node = await startNode({ dataDir: temporaryFolder('mood'), mysql: target.url });
      fill(node.model, 1500);
      await node.flusher.flushMysqlNow(20_000);
      const wanted = node.model.contents();
      expect(await tableOf(target.ownerUrl)).toEqual(wanted);
      node.model.registers.clear();
      await empty(target.name);
      // A row that comes now must not hide that all others are gone.
      node.model.merge(pack({ key: 'later' }));
      wanted.push(...node.model.contents());
      const isWhole = async (): Promise<boolean> => (await tableOf(target.ownerUrl)).length === wanted.length;
      await waitFor('all rows', isWhole, { deadlineMs: 30_000 });
      expect(await tableOf(target.ownerUrl)).toEqual(wanted.sort());
      expect(node.errors).toEqual([]);
      await node.flusher.close(5000);
    },
    60_000,
  );

  it('emptied by TRUNCATE is filled from memory where there is no embedded store', async () => {
    const target = await newTarget();
    const node = await startNode({ mysql: target.url });
    fill(node.model, 300);
    await node.flusher.flushMysqlNow(20_000);
    await mariadb.query(`TRUNCATE ${target.name}.mantis_registers`);
    const isWhole = async (): Promise<boolean> =>
      (await tableOf(target.ownerUrl)).length === node.model.contents().length;
    await waitFor('all rows', isWhole, { deadlineMs: 30_000 });
    await expectDrained(node, target.ownerUrl);
  }, 60_000);

  it('out of connections waits for one', async () => {
    const target = await newTarget();
    const node = await startNode({ dataDir: temporaryFolder('mood'), mysql: target.url });
    await node.flusher.flushMysqlNow(10_000);
    const crowd: Connection[] = [];
    try {
      await killConnections(target.user);
      // The server keeps one more for an administrator, who is not the node's user.
      await waitFor('the last connection', async () => {
        try {
          crowd.push(await createConnection(target.url));
          return false;
        } catch (error) {
          return /Too many connections/.test(String(error));
        }
      });
      await writeWhileDown(node, /max_connections/);
    } finally {
      for (const connection of crowd) connection.destroy();
    }
    await expectDrained(node, target.ownerUrl);
  });

  it('stopped in its tracks (SIGSTOP) is given up, and drained into when it goes on', async () => {
    const target = await newTarget();
    const node = await startNode({ dataDir: temporaryFolder('mood'), mysql: target.url, queryTimeoutMs: 300 });
    await node.flusher.flushMysqlNow(10_000);
    mariadb.pause();
    try {
      await writeWhileDown(node, /./);
      expect(stateOf(node)?.waitingSinceMs).toBeLessThanOrEqual(Date.now());
    } finally {
      mariadb.resume();
    }
    await expectDrained(node, target.ownerUrl);
  });

  it('absent at start, with nothing else to load from, is waited for; closing does not wait', async () => {
    const target = await newTarget();
    await mariadb.stop();
    try {
      const node = await openNode({ mysql: target.url });
      const loading = node.flusher
        .hydrate(() => undefined)
        .then(
          () => 'loaded',
          (error: unknown) => String(error),
        );
      await waitFor('the state', () => stateOf(node)?.state === 'down');
      await node.flusher.close(500);
      expect(await loading).toMatch(/closed before MySQL answered/);
    } finally {
      await mariadb.start();
    }
  }, 30_000);

  it.each([
    ['behind', 'DELETE FROM mantis_schema', /run `mantis migrate`/],
    ['ahead', `INSERT INTO mantis_schema VALUES (${SCHEMA_VERSION + 1}, 'later', NOW())`, /start the newer release/],
  ])('of a schema that is %s refuses to start, with or without an embedded store', async (_how, change, reason) => {
    const target = await newTarget();
    await mariadb.query(change.replace('mantis_schema', `${target.name}.mantis_schema`));
    await expect(openNode({ mysql: target.url })).rejects.toThrow(reason);
    const dataDir = temporaryFolder('mood');
    await expect(openNode({ dataDir, mysql: target.url })).rejects.toThrow(reason);
    expect(await storedIn(dataDir)).toEqual([]);
  });

  it('of latin1 and careless about case and blanks keeps keys apart, byte for byte', async () => {
    const target = await newTarget();
    const node = await startNode({ mysql: target.url });
    const keys = ['a', 'A', 'a ', 'ä', 'Ä', 'a\u0308', '\0', '', Buffer.from([0xff, 0xfe, 0x80]), 'k'.repeat(5000)];
    for (const key of keys) node.model.merge(pack({ key, value: key }));
    await node.flusher.flushMysqlNow(10_000);
    const rows = await mariadb.query(`SELECT k, v FROM ${target.name}.mantis_registers`);
    expect(rows).toHaveLength(keys.length);
    for (const { k, v } of rows) expect(k).toEqual(v);
    expect(await tableOf(target.ownerUrl)).toEqual(node.model.contents());
    await node.flusher.close(5000);
  });
});
