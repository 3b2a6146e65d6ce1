/** A node with MariaDB. MANTIS_TEST_KEYS sets how many keys are written, for a longer run by hand. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startMantis } from '../support/mantis-process.ts';
import { MariadbProcess } from '../support/mariadb-process.ts';
import { type Argument, RespClient } from '../support/resp-client.ts';
import type { Reply } from '../support/resp3-parser.ts';
import { waitFor } from '../support/wait-for.ts';
import { migrateByCli } from './command-line.ts';
import { Load, valuesOf } from './load.ts';

const keyCount = Number(process.env['MANTIS_TEST_KEYS'] ?? 20_000);
const flushIntervalMs = 500;
/** As README.md has it. */
const readableRows =
  'SELECT CONVERT(k USING utf8mb4) AS name, CONVERT(v USING utf8mb4) AS value, expires_at FROM mantis_registers WHERE dead = 0';

let mariadb: MariadbProcess;

beforeAll(async () => {
  mariadb = await MariadbProcess.create();
}, 60_000);

afterAll(() => mariadb?.stop());

/** Sends many requests, some thousands at a time. */
async function sendAll(client: RespClient, requests: readonly Argument[][]): Promise<Reply[]> {
  const replies: Reply[] = [];
  for (let at = 0; at < requests.length; at += 2000) {
    replies.push(...(await client.pipeline(requests.slice(at, at + 2000))));
  }
  return replies;
}

function keyOf(index: number): string {
  return `key:${index} \u00e9`;
}

/** Every third key has a deadline, all of them different. */
function requestOf(index: number, deadlineBaseMs: number): Argument[] {
  const set = ['SET', keyOf(index), `value ${index}`];
  return index % 3 === 0 ? [...set, 'PXAT', deadlineBaseMs + index] : set;
}

describe('mantis migrate', () => {
  it('makes the schema once, and says beforehand what it would do', async () => {
    const { url } = await mariadb.createDatabase('fresh');
    const plan = await migrateByCli(url, '--plan');
    expect(plan).toMatch(/^missing: schema 1, one row per register\n  CREATE TABLE/);
    expect(await mariadb.query('SHOW TABLES FROM fresh')).toEqual([]);
    expect(await migrateByCli(url)).toMatch(/^made: schema 1, one row per register\nmade: schema 2, progress/);
    expect(await mariadb.query('SHOW TABLES FROM fresh')).toHaveLength(5);
    expect(await migrateByCli(url)).toBe('The schema is up to date.\n');
    expect(await migrateByCli(url, '--plan')).toBe('The schema is up to date.\n');
  });

  it('is named by a node that finds no schema, which then ends with 1', async () => {
    const { url } = await mariadb.createDatabase();
    const starting = startMantis({ args: ['--mysql', url] });
    await expect(starting).rejects.toThrow(/ended with 1 before it served:[\s\S]*mantis migrate/);
  });
});

describe('with MySQL', () => {
  it('rows are readable after SIGTERM, and an empty data-dir takes everything back, deadlines to the millisecond', async () => {
    const { url, name } = await mariadb.createMigratedDatabase();
    const deadlineBaseMs = Date.now() + 3_600_000;
    const indexes = Array.from({ length: keyCount }, (_, index) => index);
    const first = await startMantis({ args: ['--mysql', url, '--shutdown-timeout', '60'] });
    const writer = await RespClient.connect(first.port);
    await sendAll(
      writer,
      indexes.map((index) => requestOf(index, deadlineBaseMs)),
    );
    await writer.command('INCRBY', 'counter', 41);
    await writer.command('INCR', 'counter');
    await writer.close();
    expect(await first.server.stop(60_000)).toBe(0);

    const rows = await mariadb.query(
      readableRows.replace('mantis_registers', `${name}.mantis_registers`) + ' AND kind = 1',
    );
    expect(rows).toHaveLength(keyCount);
    const byName = new Map(rows.map((row) => [row['name'], row]));
    for (const index of indexes) {
      const row = byName.get(keyOf(index));
      expect(row?.['value']).toBe(`value ${index}`);
      expect(row?.['expires_at'] !== null).toBe(index % 3 === 0);
    }
    const [{ ms }] = await mariadb.query(
      `SELECT expires_at, CAST(UNIX_TIMESTAMP(CONVERT_TZ(expires_at, '+00:00', @@session.time_zone)) * 1000 AS SIGNED) AS ms ` +
        `FROM ${name}.mantis_registers WHERE CONVERT(k USING utf8mb4) = ?`,
      [keyOf(3)],
    );
    expect(ms).toBe(deadlineBaseMs + 3);

    const second = await startMantis({ args: ['--mysql', url], readyDeadlineMs: 60_000 });
    const reader = await RespClient.connect(second.port);
    expect(await reader.command('DBSIZE')).toBe(keyCount + 1);
    expect(await reader.command('GET', 'counter')).toBe('42');
    const values = await sendAll(
      reader,
      indexes.map((index) => ['GET', keyOf(index)]),
    );
    expect(values).toEqual(indexes.map((index) => `value ${index}`));
    const deadlines = await sendAll(
      reader,
      indexes.map((index) => ['PEXPIRETIME', keyOf(index)]),
    );
    expect(deadlines).toEqual(indexes.map((index) => (index % 3 === 0 ? deadlineBaseMs + index : -1)));
    await reader.close();
    await second.server.stop();
  }, 120_000);

  it('what a stop had no time to bring there comes after the next start', async () => {
    const { url, name } = await mariadb.createMigratedDatabase();
    const args = ['--mysql', url, '--shutdown-timeout', '2'];
    const node = await startMantis({ args });
    const writer = await RespClient.connect(node.port);
    const indexes = Array.from({ length: keyCount }, (_, index) => index);
    mariadb.pause();
    try {
      await sendAll(
        writer,
        indexes.map((index) => ['SET', keyOf(index), `value ${index}`]),
      );
      await writer.close();
      await node.server.stop(30_000);
    } finally {
      mariadb.resume();
    }
    const again = await startMantis({ args, dataDir: node.dataDir });
    await waitFor(
      'the rest',
      async () => Number((await mariadb.query(`SELECT COUNT(*) n FROM ${name}.mantis_registers`))[0].n) === keyCount,
      { deadlineMs: 60_000, intervalMs: 100 },
    );
    await again.server.stop();
  }, 120_000);

  it('what a stop loses for want of a database and a disk, the log says', async () => {
    const { url } = await mariadb.createMigratedDatabase();
    const node = await startMantis({ dataDir: 'none', args: ['--mysql', url, '--shutdown-timeout', '2s'] });
    const client = await RespClient.connect(node.port);
    mariadb.pause();
    try {
      expect(await client.command('SET', 'k', 'v')).toBe('OK');
      await client.close();
      await node.server.stop();
    } finally {
      mariadb.resume();
    }
    expect(node.server.logs).toMatch(/did not take everything within shutdown-timeout: what no peer has is lost/);
  });

  it('SIGKILL under load loses nothing acknowledged longer ago than flush-interval', async () => {
    const { url } = await mariadb.createMigratedDatabase();
    const args = ['--mysql', url, '--flush-interval', `${flushIntervalMs}ms`];
    for (let round = 0; round < 3; round++) {
      const node = await startMantis({ dataDir: 'none', args });
      const load = await Load.start({ port: node.port, prefix: `round ${round}`, connections: 4, batch: 16 });
      const endAtMs = performance.now() + flushIntervalMs * (2.3 + round / 3);
      await waitFor('some seconds of load', () => performance.now() > endAtMs);
      const killedAtMs = performance.now();
      await node.server.kill('SIGKILL');
      await load.ended();
      const next = await startMantis({ dataDir: 'none', args });
      expect(load.check(await valuesOf(next.port, load.keys), killedAtMs - flushIntervalMs)).toBeGreaterThan(0);
      await next.server.stop();
    }
  }, 60_000);

  it.each(['stopped', 'hanging'])(
    'clients notice nothing of a MariaDB that is %s for a while, and all rows arrive',
    async (how) => {
      const { url, name } = await mariadb.createMigratedDatabase();
      const args = ['--mysql', url, '--flush-interval', '100ms'];
      const node = await startMantis({ args });
      const load = await Load.start({ port: node.port, prefix: 'steady', connections: 4, batch: 16 });
      const rowCount = async (): Promise<number> =>
        Number((await mariadb.query(`SELECT COUNT(*) AS n FROM ${name}.mantis_registers`))[0]['n']);
      await waitFor('the first rows', rowCount);
      if (how === 'stopped') await mariadb.stop();
      else mariadb.pause();
      const before = load.acknowledged;
      const untilMs = performance.now() + 2000;
      await waitFor(
        'writes without the database',
        () => performance.now() > untilMs && load.acknowledged > before + 1000,
      );
      const client = await RespClient.connect(node.port);
      await client.command('SET', 'written meanwhile', 'yes');
      if (how === 'stopped') await mariadb.start();
      else mariadb.resume();
      await load.stop();
      expect(load.troubles).toEqual([]);
      const inMemory = await valuesOf(node.port, load.keys);
      load.check(inMemory, Infinity);
      await waitFor(
        'the rows to be what memory is',
        async () => {
          const rows = await mariadb.query(
            `SELECT CONVERT(k USING utf8mb4) AS name, CONVERT(v USING utf8mb4) AS value FROM ${name}.mantis_registers WHERE kind = 1 AND dead = 0`,
          );
          const stored = new Map(rows.map((row) => [row['name'], row['value']]));
          const plain = load.keys.filter((key) => !key.endsWith(':sum') && inMemory.get(key) !== null);
          return (
            stored.get('written meanwhile') === 'yes' && plain.every((key) => stored.get(key) === inMemory.get(key))
          );
        },
        { deadlineMs: 15_000, intervalMs: 100 },
      );
      await client.close();
      await node.server.kill('SIGKILL');
      const second = await startMantis({ dataDir: 'none', args });
      load.check(await valuesOf(second.port, load.keys), Infinity);
      await second.server.stop();
    },
    60_000,
  );
});
