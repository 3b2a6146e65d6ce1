/** The package as an application imports it: `mantis-kv`, from dist/. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Mantis, type Change, type MantisOptions } from 'mantis-kv';
import { createPool as createCallbackPool } from 'mysql2';
import { createPool } from 'mysql2/promise';
import { freePort } from '../support/free-port.ts';
import { MariadbProcess } from '../support/mariadb-process.ts';
import { RespClient } from '../support/resp-client.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { migrateByCli } from './command-line.ts';

const running = new Set<Mantis>();

async function start(options: MantisOptions = {}): Promise<Mantis> {
  const node = await Mantis.start({ dataDir: null, ...options });
  running.add(node);
  return node;
}

async function stop(node: Mantis): Promise<void> {
  running.delete(node);
  await node.stop();
}

afterEach(async () => {
  await Promise.all([...running].map(stop));
});

describe('an embedded node without a listener', () => {
  it('sets, gets, deletes and counts, text and bytes, in any database', async () => {
    const node = await start();
    await node.set('text', 'grüße');
    expect(node.get('text')).toBe('grüße');
    const bytes = Uint8Array.from([0, 255, 13, 10]);
    await node.set(bytes, bytes);
    expect(node.getBuffer(bytes)).toEqual(Buffer.from(bytes));
    expect(node.get('missing')).toBeNull();
    expect(await node.delete('text')).toBe(true);
    expect(await node.delete('text')).toBe(false);
    expect(node.has('text')).toBe(false);
    expect(await node.increment('visits')).toBe(1);
    expect(await node.increment('visits', 41)).toBe(42);
    expect(node.get('visits')).toBe('42');
    await node.set('elsewhere', 'here', { database: 3 });
    expect(node.has('elsewhere')).toBe(false);
    expect(node.get('elsewhere', { database: 3 })).toBe('here');
    expect(node.nodeId).toMatch(/^[0-9a-f]{16}$/);
  });

  it('refuses what cannot be, and says why', async () => {
    const node = await start();
    await expect(node.set('key', 'value', { ttlMs: 0 })).rejects.toThrow(/ttlMs must be above 0/);
    await expect(node.increment('key', 0.5)).rejects.toThrow(/safe integer/);
    await node.set('text', 'not a number');
    await expect(node.increment('text')).rejects.toThrow(/cannot increment/);
    expect(() => node.get('key', { database: 16 })).toThrow(/there are 16/);
    await expect(Mantis.start({ options: { 'flush-intervall': '1s' } })).rejects.toThrow(/flush-interval/);
  });

  it('lets a key go at its time, and tells of every change', async () => {
    const node = await start();
    const changes: string[] = [];
    const stopListening = node.onChange(({ key, database, exists }: Change) => {
      changes.push(`${database} ${key.toString()} ${exists ? 'changed' : 'gone'}`);
    });
    await node.set('brief', 'yes', { ttlMs: 100 });
    await waitFor('the first change', () => changes.length === 1);
    expect(node.get('brief')).toBe('yes');
    await waitFor('the key to expire', () => changes.length === 2);
    await node.set('other', 'value', { database: 2 });
    await node.delete('other', { database: 2 });
    await waitFor('the deletion', () => changes.length >= 3 && changes.at(-1)?.endsWith('gone'));
    stopListening();
    await node.set('unheard', 'yes');
    expect(changes.slice(0, 2)).toEqual(['0 brief changed', '0 brief gone']);
    expect(new Set(changes.slice(2))).toEqual(new Set(['2 other gone']));
    expect(node.has('brief')).toBe(false);
  });
});

describe('embedded nodes', () => {
  it('find everything again in their data folder', async () => {
    const dataDir = temporaryFolder('library');
    const first = await start({ dataDir });
    await first.set('kept', 'yes');
    await first.increment('visits', 5);
    const { nodeId } = first;
    const digest = first.digest();
    await stop(first);
    const second = await start({ dataDir });
    expect(second.nodeId).toBe(nodeId);
    expect(second.get('kept')).toBe('yes');
    expect(await second.increment('visits')).toBe(6);
    expect(second.digest()).not.toBe(digest);
  });

  it('replicate to each other', async () => {
    const ports = [await freePort(), await freePort()];
    const clusterSecret = 'of-the-application';
    const first = await start({ peerPort: ports[0], clusterSecret });
    await first.increment('visits', 2);
    const second = await start({ peerPort: ports[1], peers: [`127.0.0.1:${ports[0]}`], clusterSecret });
    await waitFor('what there was before', () => second.get('visits') === '2');
    const seen: string[] = [];
    first.onChange(({ key }) => seen.push(key.toString()));
    await Promise.all([first.increment('visits', 3), second.increment('visits', 5), second.set('from', 'second')]);
    await waitFor('each other’s writes', () => first.get('visits') === '10' && second.get('visits') === '10');
    await waitFor('equal digests', () => first.digest() === second.digest());
    expect(first.get('from')).toBe('second');
    await waitFor('the changes to be told', () => seen.includes('from'));
  });

  it('serve Redis clients where a port is given', async () => {
    const port = await freePort();
    const node = await start({ port, requirepass: 'open sesame', peerPort: await freePort() });
    await node.set('shared', 'with clients');
    const client = await RespClient.connect(port);
    expect(String(await client.command('GET', 'shared'))).toMatch(/NOAUTH/);
    expect(await client.command('AUTH', 'open sesame')).toBe('OK');
    expect(await client.command('GET', 'shared')).toBe('with clients');
    await client.command('SET', 'answer', 'from a client');
    expect(node.get('answer')).toBe('from a client');
    await client.command('RPUSH', 'list', 'element');
    expect(() => node.get('list')).toThrow(/another type/);
    await stop(node);
    await client.closed;
  });
});

describe('with a mysql2 pool', () => {
  let mariadb: MariadbProcess;

  beforeAll(async () => {
    mariadb = await MariadbProcess.create();
    await migrateByCli(mariadb.url);
  }, 60_000);

  afterAll(() => mariadb?.stop());

  it('starts though MySQL denies access, says so, and brings what was written when it does not any more', async () => {
    await mariadb.createMigratedDatabase('denied');
    await mariadb.query("CREATE USER denied@'%' IDENTIFIED BY 'right'");
    await mariadb.query("GRANT ALL ON denied.* TO denied@'%'");
    const { hostname, port } = new URL(mariadb.url);
    const pool = createPool({
      host: hostname,
      port: Number(port),
      user: 'denied',
      password: 'wrong',
      database: 'denied',
    });
    const node = await start({ dataDir: temporaryFolder('denied'), mysql: pool });
    await node.set('kept', 'here');
    expect(node.get('kept')).toBe('here');
    await waitFor('the reason', () => /check the user, the password/.test(node.stores?.mysql?.lastError ?? ''));
    expect(node.stores?.mysql?.state).toBe('down');
    await mariadb.query("ALTER USER denied@'%' IDENTIFIED BY 'wrong'");
    const rows = (): Promise<Record<string, unknown>[]> =>
      mariadb.query('SELECT CAST(v AS CHAR) v FROM denied.mantis_registers');
    await waitFor('the row', async () => (await rows()).length === 1, { deadlineMs: 30_000 });
    expect(await rows()).toEqual([{ v: 'here' }]);
    await stop(node);
    await pool.end();
  }, 60_000);

  it('without a data folder waits for a MySQL that denies access, answers -LOADING meanwhile, and then has its rows', async () => {
    const { url: ownerUrl } = await mariadb.createMigratedDatabase('refused');
    const filling = await start({ mysql: ownerUrl });
    await filling.set('kept', 'in MySQL');
    await stop(filling);
    await mariadb.query("CREATE USER refused@'%' IDENTIFIED BY 'right'");
    await mariadb.query("GRANT ALL ON refused.* TO refused@'%'");
    const { hostname, port: mysqlPort } = new URL(mariadb.url);
    const port = await freePort();
    let isStarted = false;
    const starting = start({ port, mysql: `mysql://refused:wrong@${hostname}:${mysqlPort}/refused` });
    void starting.then(() => (isStarted = true));
    const client = await waitFor('the port', () => RespClient.connect(port).catch(() => null));
    expect(String(await client.command('GET', 'kept'))).toMatch(/^.*LOADING/);
    const deniedTimes = async (): Promise<number> =>
      Number((await mariadb.query("SHOW GLOBAL STATUS LIKE 'Access_denied_errors'"))[0]['Value']);
    const before = await deniedTimes();
    await waitFor('more attempts', async () => (await deniedTimes()) >= before + 2, { deadlineMs: 30_000 });
    expect(isStarted).toBe(false);
    await mariadb.query("ALTER USER refused@'%' IDENTIFIED BY 'wrong'");
    const node = await starting;
    expect(node.get('kept')).toBe('in MySQL');
    expect(await client.command('GET', 'kept')).toBe('in MySQL');
    await client.close();
    await stop(node);
  }, 60_000);

  it('of promises or callbacks, keeps everything in the application’s database', async () => {
    const pool = createPool(mariadb.url);
    const first = await start({ mysql: pool });
    await first.set('kept', 'in MySQL', { ttlMs: 3_600_000 });
    await first.increment('visits', 7);
    await first.flush();
    await stop(first);
    const [rows] = await pool.query("SELECT CONVERT(v USING utf8mb4) AS value FROM mantis_registers WHERE k = 'kept'");
    expect(rows).toEqual([{ value: 'in MySQL' }]);
    await pool.end();

    const callbackPool = createCallbackPool(mariadb.url);
    const second = await start({ mysql: callbackPool, dataDir: temporaryFolder('library') });
    expect(second.get('kept')).toBe('in MySQL');
    expect(await second.increment('visits')).toBe(8);
    await stop(second);
    // The pool is the application's: it is still open.
    await callbackPool.promise().query('SELECT 1');
    await callbackPool.promise().end();

    const third = await start({ mysql: mariadb.url });
    expect(third.get('visits')).toBe('8');
  });
});
