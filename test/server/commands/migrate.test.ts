/** MIGRATE between Mantis and redis-server, in both directions, and to another Mantis. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type MantisProcess, startMantis } from '../../support/mantis-process.ts';
import { type RedisProcess, startRedis } from '../../support/redis-process.ts';
import { type Argument, RawClient, RespClient } from '../../support/resp-client.ts';
import { type Reply, RespError } from '../../support/resp3-parser.ts';
import { type PairRequest, rawReply, requestWords, ServerPair } from '../../support/server-pair.ts';

const PASSWORD = 'a secret';

let pair: ServerPair;
let target: RedisProcess;
let other: MantisProcess;
let redis: RespClient;
let mantis: RespClient;
let targetClient: RespClient;
let otherClient: RespClient;

beforeAll(async () => {
  [pair, target, other] = await Promise.all([
    ServerPair.start(),
    startRedis({ args: ['--requirepass', PASSWORD] }),
    startMantis({ dataDir: 'none' }),
  ]);
  const ports = [pair.redis.port, pair.mantis.port, target.port, other.port];
  [redis, mantis, targetClient, otherClient] = await Promise.all(ports.map((port) => RespClient.connect(port)));
  await targetClient.command('AUTH', PASSWORD);
});

afterAll(async () => {
  await Promise.all([redis, mantis, targetClient, otherClient].map((client) => client?.close()));
  await Promise.all([pair?.stop(), target?.server.stop(), other?.server.stop()]);
});

beforeEach(async () => {
  for (const client of [redis, mantis, targetClient, otherClient]) await client.command('FLUSHALL');
});

const SAMPLES: readonly (readonly Argument[])[] = [
  ['SET', 'string', 'value'],
  ['SET', 'number', '12345'],
  ['SET', 'large', 'x'.repeat(3_000_000)],
  ['SET', Buffer.from('binary\r\n\0\xff', 'latin1'), Buffer.from([0, 1, 255, 13, 10])],
  ['SET', '', 'the key without a name'],
  ['INCRBY', 'counter', '77'],
  ['RPUSH', 'list', ...Array.from({ length: 600 }, (_, index) => `element ${index}`)],
  ['SADD', 'set', 'a', 'b', 'c'],
  ['HSET', 'hash', 'field', 'value', 'other', '2'],
  ['ZADD', 'sorted set', '1.5', 'a', '-inf', 'b'],
  ['XADD', 'stream', '1-1', 'field', 'value'],
];

async function dumpsOf(client: RespClient): Promise<Map<string, Reply>> {
  const found = new Map<string, Reply>();
  for (const [, key] of SAMPLES) found.set(String(key), await client.command('DEBUG', 'DIGEST-VALUE', key));
  return found;
}

async function fill(client: RespClient): Promise<void> {
  for (const request of SAMPLES) expect(await client.command(...request)).not.toBeInstanceOf(RespError);
}

async function repliesOf(port: number, requests: readonly PairRequest[]): Promise<string[]> {
  const client = await RawClient.connect(port);
  const replies: string[] = [];
  for (const request of requests) replies.push(await rawReply(client, request));
  await client.close();
  return replies;
}

describe('MIGRATE', () => {
  it('moves every type to redis-server, and redis-server moves it back', async () => {
    await fill(mantis);
    const before = await dumpsOf(mantis);
    for (const [, key] of SAMPLES) {
      expect(await mantis.command('MIGRATE', '127.0.0.1', target.port, key, 0, 5000, 'AUTH', PASSWORD)).toBe('OK');
    }
    expect(await mantis.command('DBSIZE')).toBe(0);
    expect(await targetClient.command('DBSIZE')).toBe(SAMPLES.length);
    const keys = SAMPLES.map(([, key]) => key);
    const back = ['MIGRATE', '127.0.0.1', pair.mantis.port, '', 0, 5000, 'KEYS', ...keys] as const;
    expect(await targetClient.command(...back)).toBe('OK');
    expect(await targetClient.command('DBSIZE')).toBe(0);
    expect(await dumpsOf(mantis)).toEqual(before);
  });

  it('moves many keys to another Mantis at once, and those that are there', async () => {
    await fill(mantis);
    const names = Array.from({ length: 2000 }, (_, index) => `key:${index}`);
    await mantis.command('MSET', ...names.flatMap((name) => [name, `value of ${name}`]));
    const before = await dumpsOf(mantis);
    const keys = [...SAMPLES.map(([, key]) => key), 'never there', ...names, 'never there either'];
    expect(await mantis.command('MIGRATE', 'localhost', other.port, '', 3, 5000, 'KEYS', ...keys)).toBe('OK');
    expect(await mantis.command('DBSIZE')).toBe(0);
    await otherClient.command('SELECT', 3);
    expect(await dumpsOf(otherClient)).toEqual(before);
    expect(await otherClient.command('GET', 'key:1999')).toBe('value of key:1999');
    expect(await otherClient.command('DBSIZE')).toBe(SAMPLES.length + 2000);
    await otherClient.command('SELECT', 0);
  });

  it('carries deadlines, copies with COPY, and writes over what is there with REPLACE', async () => {
    await mantis.command('SET', 'key', 'new', 'PX', 100_000);
    await mantis.command('SELECT', 5);
    await mantis.command('SET', 'key', 'elsewhere');
    await mantis.command('SELECT', 0);
    await otherClient.command('SET', 'key', 'old');
    const copy = ['MIGRATE', '127.0.0.1', other.port, 'key', 0, 0, 'COPY'] as const;
    expect(String(await mantis.command(...copy))).toContain('BUSYKEY');
    expect(await otherClient.command('GET', 'key')).toBe('old');
    expect(await mantis.command(...copy, 'REPLACE')).toBe('OK');
    expect(await mantis.command('GET', 'key')).toBe('new');
    expect(await otherClient.command('GET', 'key')).toBe('new');
    const leftMs = Number(await otherClient.command('PTTL', 'key'));
    expect(leftMs).toBeGreaterThan(50_000);
    expect(leftMs).toBeLessThanOrEqual(100_000);
    await mantis.command('SELECT', 5);
    expect(await mantis.command('MIGRATE', '127.0.0.1', other.port, 'key', 0, 0, 'REPLACE')).toBe('OK');
    await mantis.command('SELECT', 0);
    expect(await otherClient.command('GET', 'key')).toBe('elsewhere');
    expect(await otherClient.command('PTTL', 'key')).toBe(-1);
    expect(await mantis.command('EXISTS', 'key')).toBe(1);
  });

  it('answers as redis-server, mistakes included', async () => {
    const { port } = target;
    // Each of the two has a database of its own at the target.
    const requests = (database: number): PairRequest[] => [
      'SET k v',
      `MIGRATE 127.0.0.1 ${port} nokey ${database} 1000`,
      `MIGRATE 127.0.0.1 ${port} k ${database} 1000`,
      ['MIGRATE', '127.0.0.1', port, 'k', database, 1000, 'AUTH', 'wrong'],
      ['MIGRATE', '127.0.0.1', port, 'k', database, 1000, 'AUTH2', 'default', 'wrong'],
      ['MIGRATE', '127.0.0.1', port, 'k', database, 1000, 'AUTH2', 'nobody', PASSWORD],
      ['MIGRATE', '127.0.0.1', port, 'k', 99, 1000, 'AUTH2', 'default', PASSWORD],
      'EXISTS k',
      ['MIGRATE', '127.0.0.1', port, 'k', database, 1000, 'AUTH2', 'default', PASSWORD],
      'EXISTS k',
      'SET k again',
      'MSET a 1 b 2 c 3',
      ['MIGRATE', '127.0.0.1', port, 'k', database, 1000, 'AUTH', PASSWORD],
      // Only the key that is there already stays.
      ['MIGRATE', '127.0.0.1', port, '', database, 1000, 'AUTH', PASSWORD, 'KEYS', 'a', 'k', 'nokey', 'b', 'c'],
      'EXISTS a b c k',
      ['MIGRATE', '127.0.0.1', port, 'k', database, 1000, 'auth', PASSWORD, 'copy', 'replace'],
      ['MIGRATE', '127.0.0.1', port, '', database, 1000, 'auth', PASSWORD, 'replace', 'keys', 'k', 'k'],
      'DBSIZE',
      'SET k v',
      ['MIGRATE', '127.0.0.1', port, '', database, 1000, 'KEYS'],
      ['MIGRATE', '127.0.0.1', port, '', database, 1000, 'KEYS', 'x', 'y'],
      ['MIGRATE', '127.0.0.1', port, '', database, 1000],
      ...[
        `MIGRATE 127.0.0.1 ${port} k ${database}`,
        `MIGRATE 127.0.0.1 ${port} k x 1000`,
        `MIGRATE 127.0.0.1 ${port} k 0 x`,
        `MIGRATE 127.0.0.1 ${port} k x y`,
        `MIGRATE 127.0.0.1 ${port} k 0 1000 AUTH`,
        `MIGRATE 127.0.0.1 ${port} k 0 1000 AUTH2 a`,
        `MIGRATE 127.0.0.1 ${port} k x 1000 NONSENSE`,
        `MIGRATE 127.0.0.1 ${port} k 0 1000 KEYS a b`,
        `MIGRATE 127.0.0.1 ${port} k 0 1000 COPY COPY KEYS a b`,
        'MIGRATE 127.0.0.1 1 k 0 1000',
        'MIGRATE 127.0.0.1 -1 k 0 1000',
        'MIGRATE 127.0.0.1 nowhere k 0 1000',
        'MIGRATE no.such.host.invalid 1 k 0 5000',
      ],
      ['MIGRATE', '', port, 'k', 0, 1000],
    ];
    const ours = await repliesOf(pair.mantis.port, requests(2));
    const theirs = await repliesOf(pair.redis.port, requests(1));
    const shown = requests(2).map((request) => requestWords(request).join(' '));
    const beside = (replies: readonly string[]): string[] => shown.map((line, index) => `${line} → ${replies[index]}`);
    expect(beside(ours)).toEqual(beside(theirs));
  });

  it('names its keys, and asks for permissions for them, as redis-server', async () => {
    const forms = [
      'host port key 0 1',
      'host port key 0 1 COPY REPLACE AUTH KEYS',
      ['host', 'port', '', '0', '1', 'KEYS', 'a', 'b'],
      ['host', 'port', '', '0', '1', 'AUTH', 'KEYS', 'KEYS', 'rw'],
      ['host', 'port', '', '0', '1', 'AUTH2', 'KEYS', '123', 'KEYS', 'read'],
      ['host', 'port', '', '0', '1', 'AUTH2', 'user', 'KEYS', 'KEYS', 'write'],
      ['host', 'port', '', '0', '1', 'copy', 'keys', 'keys', 'keys', 'a'],
      ['keys', 'keys', '', '0', '1', 'KEYS', 'x'],
      ['host', 'port', '', '0', '1', 'KEYS'],
      ['host', 'port', '', '0', '1'],
      'host port rw 0 1',
      'host port read 0 1',
      'host port write 0 1 KEYS rw',
    ].map((form) => ['MIGRATE', ...requestWords(form)]);
    const replies = await pair.replies([
      'ACL SETUSER mover on nopass +@all %R~read* %W~write* ~rw*',
      ...forms.map((form) => ['COMMAND', 'GETKEYS', ...form]),
      ...forms.map((form) => ['COMMAND', 'GETKEYSANDFLAGS', ...form]),
      ...forms.map((form) => ['ACL', 'DRYRUN', 'mover', ...form]),
      'ACL DELUSER mover',
    ]);
    expect(replies.map(({ request, mantis: reply }) => ({ request, reply }))).toEqual(
      replies.map(({ request, redis: reply }) => ({ request, reply })),
    );
  });

  it('loses nothing that was acknowledged, whatever is written meanwhile', async () => {
    const keys = ['a', 'b', 'c'];
    let acknowledged = 0;
    let isOver = false;
    const write = async (client: RespClient): Promise<void> => {
      for (let turn = 0; !isOver; turn++) {
        for (const reply of await client.pipeline(keys.map((key) => ['INCR', key]))) {
          expect(typeof reply).toBe('number');
          acknowledged++;
        }
      }
      await client.close();
    };
    const writers = await Promise.all([1, 2].map(() => RespClient.connect(pair.mantis.port)));
    const writing = writers.map(write);
    let moved = 0;
    const move = async (key: string): Promise<void> => {
      const reply = await mantis.command('MIGRATE', '127.0.0.1', other.port, key, 0, 10_000);
      const there = await otherClient.command('GETDEL', key);
      // Of what stayed, the target has what it was before: that is not counted.
      if (reply === 'OK') moved += Number(there);
      else if (reply !== 'NOKEY') expect(String(reply)).toContain('changed while being migrated');
    };
    for (let turn = 0; turn < 200; turn++) await move(keys[turn % keys.length]);
    isOver = true;
    await Promise.all(writing);
    for (const key of keys) await move(key);
    expect(await mantis.command('DBSIZE')).toBe(0);
    expect(moved).toBe(acknowledged);
  });
});
