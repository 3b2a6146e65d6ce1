/** Keyspace events: what a subscriber of all of them is told of each command, as redis-server tells it. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { MantisProcess } from '../../support/mantis-process.ts';
import { type RedisProcess, startRedis } from '../../support/redis-process.ts';
import { RespClient } from '../../support/resp-client.ts';
import type { Reply } from '../../support/resp3-parser.ts';
import { startLinkedPair } from '../../support/settled.ts';
import { waitFor } from '../../support/wait-for.ts';

/** Commands, one a line; each line's events are compared with Redis's. */
const SCRIPT = `
SET s 1
SET s 2 EX 1000
GETSET s 3
SETEX s 1000 4
PSETEX s 100000 4
SETNX new 1
SETNX new 1
APPEND s x
SETRANGE s 1 y
INCR n
DECRBY n 2
INCRBYFLOAT n 1.5
SETBIT b 7 1
BITFIELD b SET u8 0 255
BITOP NOT b2 b
BITOP AND b2 none
MSET a 1 c 2
MSETNX a 1 d 2
MSETNX e 1 f 2
GETEX a EX 100
GETEX a PERSIST
GETDEL a
EXPIRE c 100
PERSIST c
PEXPIREAT c 1
EXPIRE none 10
DEL e f none
UNLINK n
RENAME s t
RENAMENX t u
COPY u v
MOVE v 3
SADD set a b c
SADD set a
SREM set a none
SMOVE set set2 b
SPOP set
SUNIONSTORE set3 set2
SINTERSTORE set3 set2 none
SREM set2 b
HSET h f 1 g 2
HSETNX h f 1
HSETNX h i 1
HMSET h f 1
HINCRBY h f 1
HINCRBYFLOAT h f 1.5
HDEL h f none
HDEL h g i
RPUSH l a b c d e f g h
LPUSH l z
LPUSHX l y
RPUSHX none y
LINSERT l BEFORE a x
LSET l 0 w
LREM l 1 x
LTRIM l 1 -2
LPOP l
RPOP l 2
LMOVE l l2 LEFT RIGHT
RPOPLPUSH l l2
BLPOP l 1
LMPOP 1 l2 LEFT
BLMPOP 1 1 l2 RIGHT
DEL l
SORT set4 STORE sorted
RPUSH numbers 3 1 2
SORT numbers STORE sorted
LTRIM sorted 5 6
ZADD z 1 a 2 b 3 c 4 d 5 e 6 f
ZADD z 1 a
ZADD z INCR 1 a
ZINCRBY z 1 a
ZREM z a none
ZREMRANGEBYSCORE z 2 2
ZREMRANGEBYRANK z 0 0
ZREMRANGEBYLEX z [d [d
ZUNIONSTORE z2 1 z
ZRANGESTORE z3 z 0 0
ZPOPMIN z
ZPOPMAX z
ZMPOP 1 z2 MIN
BZPOPMAX z2 1
ZINTERSTORE z3 2 z none
GEOADD geo 13.3 38.1 p 15.0 37.5 c
GEOSEARCHSTORE near geo FROMLONLAT 15 37 BYRADIUS 200 km
XADD x 1-1 f v
XADD x 1-2 f v
XDEL x 1-1
XTRIM x MAXLEN 0
XGROUP CREATE x g 0
XGROUP SETID x g 1
XGROUP CREATECONSUMER x g me
XGROUP DELCONSUMER x g me
XGROUP DESTROY x g
XSETID x 9-9
PFADD hll a
PFADD hll a
PFMERGE hll2 hll
GET missing
HGET missing f
FLUSHDB
`;
const SCRIPT_LINES = SCRIPT.trim().split('\n');

/** Everything but what is told of no key: `m` and `n` too. */
const ALL = 'AKEmn';

/** Runs the lines and gives what a subscriber hears after each: channel and message. */
async function eventsOf(port: number, lines = SCRIPT_LINES): Promise<string[]> {
  const client = await RespClient.connect(port);
  const listener = await RespClient.connect(port);
  await client.command('CONFIG', 'SET', 'notify-keyspace-events', ALL);
  await listener.command('PSUBSCRIBE', '*');
  const heard: string[] = [];
  for (const line of lines) {
    await client.command(...line.split(' '));
    await client.command('PUBLISH', 'end', 'of line');
    const events: string[] = [];
    for (;;) {
      const [, , channel, message] = (await listener.read()) as Reply[];
      if (channel === 'end') break;
      events.push(`${String(channel)} ${String(message)}`);
    }
    heard.push(`${line} → ${events.join(', ')}`);
  }
  await Promise.all([client.close(), listener.close()]);
  return heard;
}

let redis: RedisProcess;
let nodes: MantisProcess[];

beforeAll(async () => {
  redis = await startRedis();
  nodes = await startLinkedPair();
});

afterAll(async () => {
  await redis.server.stop();
  await Promise.all(nodes.map(({ server }) => server.stop()));
});

describe('keyspace events', () => {
  it('are those that redis-server raises', async () => {
    expect(await eventsOf(nodes[0].port)).toEqual(await eventsOf(redis.port));
  });

  it('tell of a consumer that is made by reading or claiming, as since 7.2', async () => {
    const made = '__keyspace@0__:made xgroup-createconsumer, __keyevent@0__:xgroup-createconsumer made';
    const heard = await eventsOf(nodes[0].port, [
      'XGROUP CREATE made g 0 MKSTREAM',
      'XREADGROUP GROUP g reader STREAMS made >',
      'XREADGROUP GROUP g reader STREAMS made >',
      'XCLAIM made g claimer 0 1-1',
      'XAUTOCLAIM made g another 0 0',
      'XAUTOCLAIM made g reader 0 0',
      'DEL made',
    ]);
    const events = heard.slice(1, -1).map((line) => line.slice(line.indexOf('→ ') + 2));
    expect(events).toEqual([made, '', made, made, '']);
  });

  it('tell of commands that had to wait, of expiry and eviction', async () => {
    const { port } = nodes[0];
    const [client, waiter, listener] = await Promise.all([1, 2, 3].map(() => RespClient.connect(port)));
    await client.command('CONFIG', 'SET', 'notify-keyspace-events', 'EA');
    await listener.command('PSUBSCRIBE', '__keyevent@0__:*');
    const next = async (): Promise<string> => ((await listener.read()) as Reply[]).slice(2).join(' ');
    const waiting = waiter.command('BLMOVE', 'from', 'to', 'LEFT', 'RIGHT', 0);
    await waitFor('the wait', async () =>
      String(await client.command('INFO', 'clients')).includes('blocked_clients:1'),
    );
    await client.command('RPUSH', 'from', 'a');
    await waiting;
    const heard = [await next(), await next(), await next(), await next()];
    expect(heard).toEqual([
      '__keyevent@0__:rpush from',
      '__keyevent@0__:rpush to',
      '__keyevent@0__:lpop from',
      '__keyevent@0__:del from',
    ]);
    await client.command('SET', 'short', '1', 'PX', 1);
    expect([await next(), await next(), await next()]).toEqual([
      '__keyevent@0__:set short',
      '__keyevent@0__:expire short',
      '__keyevent@0__:expired short',
    ]);
    await client.command('HSETEX', 'hash', 'PX', 1, 'FIELDS', 1, 'f', 'v');
    expect([await next(), await next(), await next(), await next()]).toEqual([
      '__keyevent@0__:hset hash',
      '__keyevent@0__:hexpire hash',
      '__keyevent@0__:hexpired hash',
      '__keyevent@0__:del hash',
    ]);
    // Fields that go at one time are one event.
    await client.command('HSET', 'hash', 'f', 'v', 'g', 'w');
    await client.command('HPEXPIRE', 'hash', 1, 'FIELDS', 2, 'f', 'g');
    expect([await next(), await next(), await next(), await next()]).toEqual([
      '__keyevent@0__:hset hash',
      '__keyevent@0__:hexpire hash',
      '__keyevent@0__:hexpired hash',
      '__keyevent@0__:del hash',
    ]);
    // A deadline that has passed removes fields.
    await client.command('HSET', 'hash', 'f', 'v', 'g', 'w', 'h', 'x');
    await client.command('HPEXPIRE', 'hash', 0, 'FIELDS', 1, 'f');
    await client.command('HEXPIREAT', 'hash', 1, 'FIELDS', 1, 'g');
    await client.command('HEXPIRE', 'hash', 100, 'FIELDS', 1, 'h');
    await client.command('HEXPIRE', 'hash', 0, 'FIELDS', 1, 'h');
    const ofFields: string[] = [];
    for (let left = 6; left > 0; left--) ofFields.push(String(await next()).replace('__keyevent@0__:', ''));
    expect(ofFields).toEqual(['hset hash', 'hdel hash', 'hdel hash', 'hexpire hash', 'hdel hash', 'del hash']);
    await client.command('SET', 'victim', '1');
    expect(await next()).toBe('__keyevent@0__:set victim');
    await client.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-random');
    await client.command('CONFIG', 'SET', 'maxmemory', 1);
    await client.command('SET', 'too much', '1');
    expect(await next()).toMatch(/^__keyevent@0__:evicted (victim|to)$/);
    await client.command('CONFIG', 'SET', 'maxmemory', 0);
    await client.command('CONFIG', 'SET', 'notify-keyspace-events', '');
    await client.command('SET', 'silent', '1');
    await client.command('PUBLISH', '__keyevent@0__:end', '');
    let last = await next();
    while (!last.endsWith(':end ')) {
      expect(last).not.toContain('silent');
      last = await next();
    }
    await Promise.all([client.close(), waiter.close(), listener.close()]);
  });

  it('tell of what a peer has changed, by what the key then holds', async () => {
    const [client, other, listener] = await Promise.all([
      RespClient.connect(nodes[0].port),
      RespClient.connect(nodes[1].port),
      RespClient.connect(nodes[1].port),
    ]);
    await waitFor('the link', async () =>
      String(await client.command('INFO', 'mantis')).includes('peers_linked:1\r\n'),
    );
    await client.command('FLUSHALL');
    expect(await client.command('WAIT', 1, 10_000)).toBe(1);
    await other.command('CONFIG', 'SET', 'notify-keyspace-events', 'KA');
    await listener.command('PSUBSCRIBE', '*');
    const next = async (): Promise<string> => ((await listener.read()) as Reply[]).slice(2).join(' ');
    const told: [command: (string | number)[], event: string][] = [
      [['SET', 's', '1'], '__keyspace@0__:s set'],
      [['APPEND', 's', '1'], '__keyspace@0__:s set'],
      [['HSET', 'h', 'f', '1', 'g', '2'], '__keyspace@0__:h hset'],
      [['RPUSH', 'l', 'a', 'b'], '__keyspace@0__:l rpush'],
      [['SADD', 'm', 'a'], '__keyspace@0__:m sadd'],
      [['ZADD', 'z', 1, 'a'], '__keyspace@0__:z zadd'],
      [['XADD', 'x', '*', 'f', 'v'], '__keyspace@0__:x xadd'],
      [['HDEL', 'h', 'f', 'g'], '__keyspace@0__:h del'],
      [['DEL', 's'], '__keyspace@0__:s del'],
      [['PEXPIRE', 'z', 1000], '__keyspace@0__:z zadd'],
    ];
    for (const [command, event] of told) {
      await client.command(...command);
      expect(await next()).toBe(event);
    }
    // Its deadline is this node's own business.
    expect(await next()).toBe('__keyspace@0__:z expired');
    await Promise.all([client.close(), other.close(), listener.close()]);
  });
});
