import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { migrate } from '../../../storage/backends/mysql-schema.ts';
import { freePort } from '../../support/free-port.ts';
import { startMantis, type MantisProcess } from '../../support/mantis-process.ts';
import { MariadbProcess } from '../../support/mariadb-process.ts';
import { RespClient } from '../../support/resp-client.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait-for.ts';

let mariadb: MariadbProcess;

beforeAll(async () => {
  mariadb = await MariadbProcess.create();
  await migrate(mariadb.url);
}, 60_000);

afterAll(() => mariadb?.stop());

const withMysql = (): string[] => ['--mysql', mariadb.url];

async function ask(node: MantisProcess, ...command: string[]): Promise<unknown> {
  const client = await RespClient.connect(node.port);
  try {
    return await client.command(...command);
  } finally {
    await client.close();
  }
}

const messageOf = (reply: unknown): string => (reply instanceof Error ? reply.message : String(reply));

describe('a server process', () => {
  it('without a data directory answers -LOADING until MySQL answers, and then has what it had', async () => {
    const before = await startMantis({ dataDir: 'none', args: [...withMysql(), '--durability', 'mysql'] });
    expect(await ask(before, 'SET', 'kept', 'value')).toBe('OK');
    expect(await before.server.kill('SIGKILL')).toBe('SIGKILL');
    await mariadb.stop();
    const port = await freePort();
    const starting = startMantis({ port, dataDir: 'none', args: withMysql(), readyDeadlineMs: 40_000 });
    // Handled below; meanwhile it must not end the test.
    starting.catch(() => undefined);
    const reply = await waitFor('the first answer', async () => {
      const client = await RespClient.connect(port);
      const answer = await client.command('GET', 'kept').catch((error: unknown) => error);
      await client.close();
      return messageOf(answer);
    });
    expect(reply).toMatch(/^LOADING /);
    await mariadb.start();
    const node = await starting;
    expect(await ask(node, 'GET', 'kept')).toBe('value');
    await node.server.stop();
  }, 60_000);

  it('with a data directory serves it while MySQL is dead, ends in time, and loses nothing', async () => {
    const first = await startMantis({ args: withMysql() });
    await ask(first, 'SET', 'old', '1');
    await first.server.stop();
    await mariadb.stop();
    try {
      const second = await startMantis({ dataDir: first.dataDir, args: withMysql() });
      expect(await ask(second, 'GET', 'old')).toBe('1');
      await ask(second, 'SET', 'new', '2');
      const startedAt = performance.now();
      expect(await second.server.stop()).toBe(0);
      expect(performance.now() - startedAt).toBeLessThan(12_000);
      const third = await startMantis({ dataDir: first.dataDir, args: withMysql() });
      expect(await ask(third, 'MGET', 'old', 'new')).toEqual(['1', '2']);
      await third.server.stop();
    } finally {
      await mariadb.start();
    }
  }, 60_000);

  it('takes deleted and expired keys out of its data directory and out of MySQL', async () => {
    const node = await startMantis({ dataDir: temporaryFolder('vacuum'), args: withMysql() });
    const table = `${mariadb.database}.mantis_registers`;
    const count = async (condition: string): Promise<number> =>
      Number(
        (await mariadb.query(`SELECT COUNT(*) count FROM ${table} WHERE k LIKE 'v:%' AND ${condition}`))[0]['count'],
      );
    for (let index = 0; index < 20; index++)
      await ask(node, 'SET', `v:${index}`, 'value', 'PX', index < 10 ? '300' : '60000');
    await waitFor('the rows', async () => (await count('1')) >= 10);
    for (let index = 10; index < 15; index++) await ask(node, 'DEL', `v:${index}`);
    await waitFor('the vacuum', async () => (await count('1')) === 5);
    expect(await count("dead=0 AND v='value'")).toBe(5);
    await node.server.stop();
  }, 60_000);

  it('is waited for with MANTIS WAITDB, and only as long as it is told', async () => {
    const node = await startMantis({ args: [...withMysql(), '--flush-interval', '1h'] });
    const table = `${mariadb.database}.mantis_registers`;
    expect(await ask(node, 'SET', 'waited for', '1')).toBe('OK');
    expect(await ask(node, 'MANTIS', 'WAITDB', '60000')).toBe(1);
    const rows = await mariadb.query(`SELECT COUNT(*) count FROM ${table} WHERE k = 'waited for'`);
    expect(Number(rows[0]['count'])).toBe(1);
    await mariadb.stop();
    try {
      expect(await ask(node, 'SET', 'not there', '1')).toBe('OK');
      expect(await ask(node, 'MANTIS', 'WAITDB', '100')).toBe(0);
    } finally {
      await mariadb.start();
    }
    expect(await ask(node, 'MANTIS', 'WAITDB', '0')).toBe(1);
    await node.server.stop();
    const alone = await startMantis();
    expect(messageOf(await ask(alone, 'MANTIS', 'WAITDB', '0').catch((error: unknown) => error))).toMatch(
      /option 'mysql'/,
    );
    await alone.server.stop();
  }, 120_000);

  it('does not share its data directory', async () => {
    const first = await startMantis();
    await expect(startMantis({ dataDir: first.dataDir })).rejects.toThrow(/in use by another process/);
    expect(await ask(first, 'SET', 'still', 'here')).toBe('OK');
    await first.server.stop();
  }, 60_000);

  it.each([
    ['behind', (table: string) => `DELETE FROM ${table}`, /run `mantis migrate`/],
    ['ahead', (table: string) => `INSERT INTO ${table} VALUES (99, 'later', NOW())`, /start the newer release/],
  ])(
    'says what to do about a schema that is %s, and does not start',
    async (_how, change, remedy) => {
      const { name, url } = await mariadb.createMigratedDatabase();
      await mariadb.query(change(`${name}.mantis_schema`));
      await expect(startMantis({ args: ['--mysql', url] })).rejects.toThrow(remedy);
    },
    60_000,
  );
});
