import { afterEach, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type MantisProcess, startMantis } from '../../support/mantis-process.ts';
import { RespClient } from '../../support/resp-client.ts';
import { type Reply, RespError } from '../../support/resp3-parser.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait-for.ts';

let server: MantisProcess | undefined;
let client: RespClient;

async function start(...args: string[]): Promise<void> {
  server = await startMantis({ args });
  client = await RespClient.connect(server.port);
}

afterEach(async () => {
  await client.close();
  await server?.server.stop();
});

/** The fields of INFO, whatever their section. */
async function info(...sections: string[]): Promise<Record<string, string>> {
  const text = String(await client.command('INFO', ...sections));
  const pairs = text.split('\r\n').filter((line) => line.includes(':'));
  return Object.fromEntries(pairs.map((line) => line.split(/:(.*)/).slice(0, 2))) as Record<string, string>;
}

describe('saving and stopping', () => {
  it('SAVE and BGSAVE make everything durable, and SHUTDOWN stops the process', async () => {
    await start();
    await client.command('SET', 'a', 1);
    expect(Number((await info('persistence'))['rdb_changes_since_last_save'])).toBeGreaterThan(0);
    const before = Math.floor(Date.now() / 1000);
    expect(await client.command('SAVE')).toBe('OK');
    expect(await info('persistence')).toMatchObject({
      rdb_changes_since_last_save: '0',
      rdb_last_bgsave_status: 'ok',
      rdb_saves: '1',
      loading: '0',
    });
    expect(Number(await client.command('LASTSAVE'))).toBeGreaterThanOrEqual(before);
    expect(await client.command('BGREWRITEAOF')).toBe('Background append only file rewriting started');
    expect(await client.command('BGSAVE')).toBe('Background saving started');
    await waitFor('the end of BGSAVE', async () => (await info('persistence'))['rdb_bgsave_in_progress'] === '0');
    client.write('SHUTDOWN\r\n');
    await client.closed;
    expect(await server!.server.exited).toBe(0);
    expect(client.unread).toBe(0);
  });

  it('TIME tells the time', async () => {
    await start();
    const [seconds, microseconds] = (await client.command('TIME')) as string[];
    expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(5);
    expect(Number(microseconds)).toBeLessThan(1_000_000);
  });

  it('WAITAOF waits for the local stores, and only as long as it is told', async () => {
    await start();
    await client.command('SET', 'a', 1);
    expect(await client.command('WAITAOF', 1, 0, 10_000)).toEqual([1, 0]);
    expect(await client.command('WAITAOF', 1, 1, 50)).toEqual([1, 0]);
    expect(await client.command('WAITAOF', 0, 0, 0)).toEqual([0, 0]);
    expect(await client.command('WAITAOF', 2, 0, 0)).toEqual(
      new RespError('ERR value is out of range, value must between 0 and 1'),
    );
  });
});

describe('what only this server has', () => {
  it('MANTIS VERIFY finds nothing to say of a healthy node, and MANTIS BACKUP copies what is stored', async () => {
    await start();
    await client.command('SET', 'a', 1);
    const verified = (await client.command('MANTIS', 'VERIFY')) as Reply[];
    expect(verified.slice(0, 4)).toEqual(['registers', 1, 'repaired', 0]);
    expect(verified.slice(-2)).toEqual(['differences', []]);
    expect(await client.command('MANTIS', 'VERIFY', 'FOO')).toEqual(new RespError('ERR syntax error'));
    const directory = join(temporaryFolder('backup'), 'copy');
    expect(await client.command('MANTIS', 'BACKUP', directory)).toBeGreaterThan(0);
    expect(existsSync(join(directory, 'registers'))).toBe(true);
    expect(await client.command('MANTIS', 'BACKUP', 'copy')).toEqual(
      new RespError('ERR name the folder for the backup by its absolute path'),
    );
  });

  it('LOLWUT tells the version, and MODULE that there are no modules', async () => {
    await start();
    expect(await client.command('LOLWUT')).toMatch(/Mantis ver\. \d+\.\d+\.\d+, Redis ver\. [\d.]+\n$/);
    const refusal = new RespError('ERR Error loading the extension: modules are not supported');
    expect(await client.command('MODULE', 'LOAD', '/module.so')).toEqual(refusal);
    expect(await client.command('MODULE', 'LOADEX', '/module.so', 'ARGS', 'a')).toEqual(refusal);
    const noSuch = new RespError('ERR Error unloading module: no such module with that name');
    expect(await client.command('MODULE', 'UNLOAD', 'module')).toEqual(noSuch);
  });
});

describe('INFO', () => {
  it('has the fields that clients and tools read', async () => {
    await start('--maxmemory', '100mb');
    await client.pipeline([
      ['SET', 'a', 1],
      ['SET', 'b', 1, 'EX', 100],
      ['GET', 'a'],
      ['GET', 'missing'],
      ['SELECT', 3],
      ['SET', 'c', 1],
      ['FOO'],
    ]);
    const fields = await info('everything');
    expect(fields).toMatchObject({
      redis_version: '7.2.4',
      redis_mode: 'standalone',
      tcp_port: String(server!.port),
      role: 'master',
      connected_slaves: '0',
      loading: '0',
      aof_enabled: '0',
      maxmemory: '104857600',
      maxmemory_human: '100.00M',
      maxmemory_policy: 'noeviction',
      connected_clients: '1',
      blocked_clients: '0',
      cluster_enabled: '0',
      keyspace_hits: '1',
      keyspace_misses: '1',
      db3: 'keys=1,expires=0,avg_ttl=0',
      errorstat_ERR: 'count=1',
      uptime_in_days: '0',
      state: 'serving',
    });
    const [, ttlMs] = /^keys=2,expires=1,avg_ttl=(\d+)$/.exec(fields['db0']) ?? [];
    expect(Number(ttlMs)).toBeGreaterThan(50_000);
    expect(Number(ttlMs)).toBeLessThanOrEqual(100_000);
    expect(Number(fields['total_reads_processed'])).toBeGreaterThan(0);
    expect(Number(fields['total_writes_processed'])).toBeGreaterThan(0);
    expect(fields['run_id']).toMatch(/^[0-9a-f]{40}$/);
    expect(fields['node_id']).toMatch(/^[0-9a-f]{16}$/);
    expect(Number(fields['used_memory'])).toBeGreaterThan(0);
    expect(fields['used_memory_human']).toMatch(/^\d+(\.\d\d)?[BKMG]$/);
    expect(fields['used_memory_peak_human']).toMatch(/^\d+(\.\d\d)?[BKMG]$/);
    expect(fields['cmdstat_set']).toMatch(/^calls=3,usec=\d+,usec_per_call=[\d.]+,rejected_calls=0,failed_calls=0$/);
    expect(fields['cmdstat_select']).toMatch(/^calls=1,/);
  });

  it('shows the sections asked for, in their order, each once', async () => {
    await start();
    const titles = async (...sections: string[]): Promise<string[]> =>
      String(await client.command('INFO', ...sections)).match(/^# \w+/gm) ?? [];
    expect(await titles('keyspace', 'CPU', 'cpu', 'foo')).toEqual(['# CPU', '# Keyspace']);
    const usual = await titles();
    expect(usual).toEqual(
      expect.arrayContaining([
        '# Server',
        '# Clients',
        '# Memory',
        '# Persistence',
        '# Stats',
        '# Replication',
        '# Keyspace',
        '# Mantis',
      ]),
    );
    expect(usual).not.toContain('# Commandstats');
    expect(await titles('default')).toEqual(usual);
    expect(await titles('all')).toEqual(expect.arrayContaining(['# Commandstats', '# Latencystats']));
    expect(await titles('all')).not.toContain('# Modules');
    expect(await titles('everything')).toContain('# Modules');
    expect(String(await client.command('INFO', 'foo'))).toBe('');
    expect(String(await client.command('INFO', 'cpu'))).toMatch(/^# CPU\r\nused_cpu_sys:\d+\.\d{6}\r\n/);
  });

  it('counts errors by their code, and those that scripts make up past 128 together', async () => {
    await start();
    const fail = (message: string): string[] => ['EVAL', 'return {err = ARGV[1]}', '0', message];
    const made = Array.from({ length: 200 }, (_, index) => fail(`E${index} made up`));
    const odd = [fail('A:B#C odd'), fail(`${'L'.repeat(30)} as long as may be`), fail(`${'L'.repeat(31)} too long`)];
    // While it was starting there may have been others.
    await client.command('CONFIG', 'RESETSTAT');
    await client.pipeline([...odd, ...made, ['SET', 'a', 1], ['LPUSH', 'a', 1], ['LPUSH', 'a', 1], fail('plain')]);
    const fields = await info('errorstats');
    expect(fields).toMatchObject({
      errorstat_A_B_C: 'count=1',
      [`errorstat_${'L'.repeat(30)}`]: 'count=1',
      errorstat_ERR: 'count=2',
      errorstat_E124: 'count=1',
      errorstat_WRONGTYPE: 'count=2',
      errorstat_ERRORSTATS_OVERFLOW: 'count=75',
    });
    expect(Object.keys(fields)).toHaveLength(130);
    expect(await info('stats')).toMatchObject({ total_error_replies: '206' });
  });

  it('begins again at CONFIG RESETSTAT', async () => {
    await start();
    await client.pipeline([['GET', 'missing'], ['FOO'], ['SET', 'a', 1]]);
    expect(await client.command('CONFIG', 'RESETSTAT')).toBe('OK');
    const fields = await info('everything');
    expect(fields).toMatchObject({ keyspace_misses: '0', expired_keys: '0', total_connections_received: '0' });
    expect(fields['cmdstat_set']).toBeUndefined();
    expect(fields['errorstat_ERR']).toBeUndefined();
  });
});

describe('DEBUG', () => {
  it('is refused unless it is allowed', async () => {
    await start();
    const reply = (await client.command('DEBUG', 'SLEEP', 0)) as RespError;
    expect(reply.message).toMatch(
      /^ERR DEBUG command not allowed\. If the enable-debug-command option is set to "local", /,
    );
  });

  it('SET-ACTIVE-EXPIRE keeps keys past their deadline where nobody looks', async () => {
    await start('--enable-debug-command', 'local');
    await client.pipeline([
      ['DEBUG', 'SET-ACTIVE-EXPIRE', 0],
      ['SET', 'a', 1, 'PX', 1],
      ['DEBUG', 'SLEEP', 0.5],
    ]);
    expect((await info('keyspace'))['db0']).toBe('keys=1,expires=1,avg_ttl=0');
    await client.command('DEBUG', 'SET-ACTIVE-EXPIRE', 1);
    await waitFor('the key to go', async () => (await info('keyspace'))['db0'] === undefined);
    expect((await info('stats'))['expired_keys']).toBe('1');
  });

  it('OBJECT, DIGEST, DIGEST-VALUE, POPULATE, HTSTATS and RELOAD answer', async () => {
    await start('--enable-debug-command', 'yes');
    const empty = await client.command('DEBUG', 'DIGEST');
    expect(empty).toBe('0'.repeat(40));
    expect(await client.command('DEBUG', 'POPULATE', 100, 'name', 5)).toBe('OK');
    expect(await client.command('DBSIZE')).toBe(100);
    expect(await client.command('GET', 'name:99')).toBe('value');
    expect(String(await client.command('DEBUG', 'OBJECT', 'name:99'))).toMatch(
      /^Value at:0x[0-9a-f]+ refcount:1 encoding:embstr serializedlength:6 lru:\d+ lru_seconds_idle:0$/,
    );
    const digest = await client.command('DEBUG', 'DIGEST');
    expect(digest).toMatch(/^0{24}[0-9a-f]{16}$/);
    expect(digest).not.toBe(empty);
    expect(await client.command('DEBUG', 'RELOAD')).toBe('OK');
    expect(await client.command('DEBUG', 'DIGEST')).toBe(digest);
    const [value, missing] = (await client.command('DEBUG', 'DIGEST-VALUE', 'name:99', 'missing')) as string[];
    expect(value).toMatch(/^[0-9a-f]{40}$/);
    expect(missing).toBe('0'.repeat(40));
    expect(String(await client.command('DEBUG', 'HTSTATS', 0))).toContain('number of elements: 100\n');
  });
});

describe('MANTIS', () => {
  it('STATUS, PEERS, DIGEST and FORGET tell of a node that is alone', async () => {
    await start();
    expect(String(await client.command('MANTIS', 'STATUS'))).toMatch(
      /^mantis_version: \d+\.\d+\.\d+\nnode_id: [0-9a-f]{16}\ncluster_id: mantis\nstate: serving\n/,
    );
    expect(await client.command('MANTIS', 'PEERS')).toEqual([]);
    const empty = await client.command('MANTIS', 'DIGEST');
    expect(empty).toBe('0'.repeat(16));
    await client.command('SET', 'a', 1);
    expect(await client.command('MANTIS', 'DIGEST')).toMatch(/^[0-9a-f]{16}$/);
    expect(await client.command('MANTIS', 'DIGEST')).not.toBe(empty);
    await client.command('DEL', 'a');
    expect(await client.command('MANTIS', 'DIGEST')).toBe(empty);
    expect(await client.command('MANTIS', 'FORGET', 'x')).toBeInstanceOf(RespError);
    expect(await client.command('MANTIS', 'FORGET', '0123456789abcdef')).toBeInstanceOf(RespError);
  });
});
