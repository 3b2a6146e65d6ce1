import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MariadbProcess } from '../support/mariadb-process.ts';
import { startMantis } from '../support/mantis-process.ts';
import { RespClient } from '../support/resp-client.ts';
import { runMantis } from './command-line.ts';

let mariadb: MariadbProcess;

beforeAll(async () => {
  mariadb = await MariadbProcess.create();
}, 60_000);

afterAll(() => mariadb?.stop());

describe('mantis verify', () => {
  it('says where memory and the stores differ, and gives each what it lacks', async () => {
    const { url, name } = await mariadb.createMigratedDatabase();
    const node = await startMantis({ args: ['--mysql', url, '--peer-port', 'none'] });
    const client = await RespClient.connect(node.port);
    const verify = (...args: string[]): ReturnType<typeof runMantis> =>
      runMantis('verify', '--port', String(node.port), ...args);
    const writes = [
      ...['early', 'gone', 'changed', 'deleted', 'kept'].map((key) => ['SET', key, `value of ${key}`]),
      ['DEL', 'deleted'],
      ['SET', 'expiring', 'v', 'PX', '1'],
      ['INCRBY', 'counter', '5'],
      ['HSET', 'hash', 'a', '1', 'b', '2'],
      ['HDEL', 'hash', 'a'],
      ['SADD', 'set', ...Array.from({ length: 300 }, (_, index) => `member ${index}`)],
      ['ZADD', 'sorted', '1', 'one'],
      ['RPUSH', 'list', 'x', 'y'],
      ['XADD', 'stream', '*', 'f', 'v'],
      ['SELECT', '3'],
      ['SET', 'other', 'v'],
      ['FLUSHDB'],
      ['SET', 'late', 'v'],
      ['SELECT', '0'],
      ['SET', 'hash:gone', 'v'],
      ['DEL', 'set'],
      ['SADD', 'set', 'anew'],
      ['SET', 'latest', 'v'],
    ];
    await client.pipeline(writes);
    const fine = await verify();
    expect(fine.output).toMatch(
      /level.*missing 0, other 0, newer 0, unexamined 0\n.*mysql.*missing 0, other 0, newer 0/,
    );
    expect(fine).toMatchObject({ code: 0, output: expect.stringMatching(/The stores and memory are alike/) });

    const table = `${name}.mantis_registers`;
    await mariadb.query(`DELETE FROM ${table} WHERE k='gone'`);
    await mariadb.query(`UPDATE ${table} SET v='older', ver=x'00000000000001000000000000000001' WHERE k='changed'`);
    const [{ ver }] = await mariadb.query(`SELECT HEX(ver) ver FROM ${table} WHERE k='latest'`);
    await mariadb.query(`UPDATE ${table} SET v='newer', ver=x'${String(ver)}' WHERE k='early'`);
    const found = await verify();
    expect(found.code).toBe(1);
    expect(found.output).toMatch(/name level.*missing 0, other 0, newer 0/);
    expect(found.output).toMatch(/name mysql.*missing 1, other 2, newer 1/);
    expect(found.output).toMatch(/mysql lacks it: database 0 key gone kind 1/);
    expect(found.output).toMatch(/mysql has what memory lacks: database 0 key early kind 1/);
    expect(await client.command('GET', 'early')).toBe('value of early');

    expect(await verify('--repair')).toMatchObject({
      code: 1,
      output: expect.stringMatching(/different, and repaired/),
    });
    expect(await verify()).toMatchObject({ code: 0 });
    expect(await client.command('GET', 'early')).toBe('newer');
    const rows = await mariadb.query(
      `SELECT CAST(k AS CHAR) k, CAST(v AS CHAR) v FROM ${table} WHERE k IN ('gone','changed') ORDER BY k`,
    );
    expect(rows).toEqual([
      { k: 'changed', v: 'value of changed' },
      { k: 'gone', v: 'value of gone' },
    ]);
    await client.close();
    await node.server.stop();
    expect(await verify()).toMatchObject({
      code: 1,
      output: expect.stringMatching(/no node listens .* start it first/),
    });
  }, 120_000);

  it('asks as admin-user where the default user may not', async () => {
    const node = await startMantis({ args: ['--peer-port', 'none'] });
    const client = await RespClient.connect(node.port);
    await client.pipeline([
      ['SET', 'key', 'value'],
      ['ACL', 'SETUSER', 'keeper', 'on', '>secret', '+mantis'],
      ['ACL', 'SETUSER', 'default', 'off'],
    ]);
    const verify = (...args: string[]): ReturnType<typeof runMantis> =>
      runMantis('verify', '--port', String(node.port), ...args);
    expect(await verify()).toMatchObject({
      code: 1,
      output: expect.stringMatching(/NOAUTH Authentication required\.: give admin-user and admin-password/),
    });
    expect(await verify('--admin-user', 'keeper', '--admin-password', 'secret')).toMatchObject({
      code: 0,
      output: expect.stringMatching(/The stores and memory are alike/),
    });
    await client.close();
    await node.server.stop();
  }, 60_000);
});
