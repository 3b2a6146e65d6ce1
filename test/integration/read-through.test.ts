/** A node with more data than memory, on each of its stores. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type MantisProcess, startMantis } from '../support/mantis-process.ts';
import { MariadbProcess } from '../support/mariadb-process.ts';
import { RespError } from '../support/resp3-parser.ts';
import { RespClient } from '../support/resp-client.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { migrateByCli } from './command-line.ts';

const keyCount = 6_000;
const memory = ['--maxmemory', '2mb', '--maxmemory-policy', 'allkeys-lru'];
const readThrough = [...memory, '--read-through', 'yes', '--flush-interval', '200ms'];
const valueOf = (index: number): string => `value ${index} `.padEnd(1000, '.');

async function infoOf(client: RespClient, section: string, name: string): Promise<number> {
  const text = String(await client.command('INFO', section));
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(text)?.[1]);
}

/** Writes 6 MB, a third of which fits: strings, and among the first of them a few of other types. */
async function fill(client: RespClient): Promise<void> {
  await client.pipeline([
    ['HSET', 'a hash', 'f', '1', 'g', '2'],
    ['RPUSH', 'a list', 'a', 'b', 'c'],
    ['ZADD', 'a sorted set', '1', 'a', '2', 'b'],
    ['INCRBY', 'a counter', '7'],
    ['SET', 'short-lived', '1', 'PX', '1'],
    ['SET', 'volatile', 'v', 'EX', '1000'],
    ['SET', 'deleted', '1'],
    ['SET', 'written anew', 'old'],
  ]);
  for (let at = 0; at < keyCount; at += 500) {
    const requests = Array.from({ length: 500 }, (_, index) => ['SET', `key:${at + index}`, valueOf(at + index)]);
    expect((await client.pipeline(requests)).filter((reply) => reply !== 'OK')).toEqual([]);
  }
}

async function checkEverything(node: MantisProcess, client: RespClient): Promise<void> {
  const evicted = await infoOf(client, 'stats', 'evicted_keys');
  expect(evicted).toBeGreaterThan(keyCount / 2);
  expect(Number(await client.command('DBSIZE'))).toBeLessThan(keyCount / 2);
  expect(await infoOf(client, 'memory', 'used_memory')).toBeLessThan(3.1 * 2 ** 20);
  expect(await client.command('GET', 'key:0')).toBe(valueOf(0));
  // The others went on meanwhile, and a connection's own commands are answered in order.
  const replies = await client.pipeline([
    ['GET', 'key:1'],
    ['PING'],
    ['MGET', 'key:2', 'never there', 'key:3', `key:${keyCount - 1}`],
    ['HMGET', 'a hash', 'f', 'g'],
    ['LRANGE', 'a list', '0', '-1'],
    ['LPUSH', 'a list', 'x'],
    ['TYPE', 'a sorted set'],
    ['ZINCRBY', 'a sorted set', '5', 'a'],
    ['INCR', 'a counter'],
    ['EXISTS', 'key:4', 'key:5', 'short-lived'],
    ['APPEND', 'key:6', 'END'],
    ['DEL', 'deleted', 'never there'],
    ['HSET', 'a hash', 'h', '3'],
    ['RENAME', 'key:7', 'renamed'],
    ['GETDEL', 'key:8'],
    ['SET', 'key:9', 'x', 'NX'],
    ['SET', 'written anew', 'new'],
    ['OBJECT', 'ENCODING', 'a list'],
  ]);
  expect(replies).toEqual([
    valueOf(1),
    'PONG',
    [valueOf(2), null, valueOf(3), valueOf(keyCount - 1)],
    ['1', '2'],
    ['a', 'b', 'c'],
    4,
    'zset',
    '6',
    8,
    2,
    1003,
    1,
    1,
    'OK',
    valueOf(8),
    null,
    'OK',
    'listpack',
  ]);
  expect(Number(await client.command('TTL', 'volatile'))).toBeGreaterThan(900);
  const transaction = await client.pipeline([
    ['MULTI'],
    ['GET', 'key:10'],
    ['SET', 'made', '1'],
    ['STRLEN', 'key:11'],
    ['EXEC'],
  ]);
  expect(transaction.at(-1)).toEqual([valueOf(10), 'OK', 1000]);
  await client.pipeline([['WATCH', 'key:12'], ['MULTI'], ['GET', 'key:12']]);
  expect(await client.command('EXEC')).toEqual([valueOf(12)]);
  // Many clients ask for the same few keys at once, and for many others.
  const clients = await Promise.all(Array.from({ length: 20 }, () => RespClient.connect(node.port)));
  const answers = await Promise.all(
    clients.map((each, at) =>
      each.pipeline(
        Array.from({ length: 50 }, (_, index) => ['GET', `key:${100 + (index % 2 === 0 ? index : at * 50 + index)}`]),
      ),
    ),
  );
  const wrong = answers.flatMap((list, at) =>
    list.filter((reply, index) => reply !== valueOf(100 + (index % 2 === 0 ? index : at * 50 + index))),
  );
  expect(wrong).toEqual([]);
  await Promise.all(clients.map((each) => each.close()));
}

async function checkAfterRestart(client: RespClient): Promise<void> {
  expect(
    await client.pipeline([
      ['GET', 'deleted'],
      ['GET', 'key:8'],
      ['GET', 'key:7'],
      ['GET', 'renamed'],
    ]),
  ).toEqual([null, null, null, valueOf(7)]);
  expect(await client.command('GET', 'key:6')).toBe(`${valueOf(6)}END`);
  expect(await client.command('LRANGE', 'a list', '0', '-1')).toEqual(['x', 'a', 'b', 'c']);
  expect(
    await client.pipeline([
      ['GET', 'a counter'],
      ['GET', 'written anew'],
      ['HLEN', 'a hash'],
    ]),
  ).toEqual(['8', 'new', 3]);
  const replies = await client.pipeline(Array.from({ length: 1000 }, (_, index) => ['GET', `key:${1000 + index}`]));
  expect(replies.filter((reply, index) => reply !== valueOf(1000 + index))).toEqual([]);
}

describe('read-through yes', () => {
  it('serves more than memory holds from the embedded store, also after a restart', async () => {
    const dataDir = temporaryFolder('read-through');
    const node = await startMantis({ dataDir, args: readThrough });
    const client = await RespClient.connect(node.port);
    await fill(client);
    await checkEverything(node, client);
    // What never was there costs no read.
    const readsBefore = await infoOf(client, 'persistence', 'read_through_keys');
    expect(readsBefore).toBeGreaterThan(100);
    await client.pipeline(Array.from({ length: 1000 }, (_, index) => ['GET', `absent:${index}`]));
    expect((await infoOf(client, 'persistence', 'read_through_keys')) - readsBefore).toBeLessThan(10);
    expect(await client.command('SWAPDB', '0', '1')).toBeInstanceOf(RespError);
    await client.close();
    await node.server.stop();
    const again = await startMantis({ dataDir, args: readThrough });
    const second = await RespClient.connect(again.port);
    expect(Number(await second.command('DBSIZE'))).toBeLessThan(keyCount / 2);
    await checkAfterRestart(second);
    expect(await second.pipeline([['FLUSHALL'], ['GET', 'key:0'], ['DBSIZE']])).toEqual(['OK', null, 0]);
    await second.close();
    await again.server.stop();
  }, 120_000);

  it('without a policy refuses what does not fit, and keeps answering', async () => {
    const node = await startMantis({ args: ['--maxmemory', '2mb', '--read-through', 'yes'] });
    const client = await RespClient.connect(node.port);
    const requests = Array.from({ length: keyCount }, (_, index) => ['SET', `key:${index}`, valueOf(index)]);
    const replies = await client.pipeline(requests);
    const stored = replies.filter((reply) => reply === 'OK').length;
    expect(stored).toBeGreaterThan(500);
    expect(stored).toBeLessThan(keyCount / 2);
    expect(String(replies.at(-1))).toMatch(/^RespError: OOM |^Error: OOM |OOM command not allowed/);
    expect(await client.command('GET', 'key:0')).toBe(valueOf(0));
    expect(await client.command('DEL', 'key:0')).toBe(1);
    await client.close();
    await node.server.stop();
  }, 60_000);
});

describe('read-through yes, with MySQL', () => {
  let mariadb: MariadbProcess;

  beforeAll(async () => {
    mariadb = await MariadbProcess.create();
    await migrateByCli(mariadb.url);
  }, 60_000);

  afterAll(() => mariadb?.stop());

  it('alone serves more than memory holds; while it is away a read ends with an error, and the node goes on', async () => {
    const args = [...readThrough, '--mysql', mariadb.url, '--read-through-timeout', '1s'];
    const patient = args.map((arg) => (arg === '1s' ? '60s' : arg));
    const node = await startMantis({ dataDir: 'none', args: patient });
    const client = await RespClient.connect(node.port);
    await fill(client);
    await checkEverything(node, client);
    await client.close();
    await node.server.stop();
    const again = await startMantis({ dataDir: 'none', args: patient });
    const second = await RespClient.connect(again.port);
    await checkAfterRestart(second);
    await second.command('CONFIG', 'SET', 'read-through-timeout', '500ms');
    const inMemory = await second.command('RANDOMKEY');
    await mariadb.stop();
    try {
      let refused: unknown;
      await waitFor('a key that is not in memory', async () => {
        for (let index = 3000; index < keyCount && !(refused instanceof RespError); index++) {
          refused = await second.command('GET', `key:${index}`);
        }
        return refused instanceof RespError;
      });
      expect(String(refused)).toMatch(/durable store/);
      const other = await RespClient.connect(again.port);
      expect(await other.command('EXISTS', String(inMemory))).toBe(1);
      await other.close();
    } finally {
      await mariadb.start();
    }
    await second.command('CONFIG', 'SET', 'read-through-timeout', '60s');
    await waitFor('MySQL to be read again', async () => (await second.command('GET', 'key:5000')) === valueOf(5000), {
      deadlineMs: 30_000,
    });
    await second.close();
    await again.server.stop();
  }, 180_000);
});
