import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startMantis, type MantisProcess } from '../../support/mantis-process.ts';
import { startRedis, type RedisProcess } from '../../support/redis-process.ts';
import { encodeRequest, RawClient } from '../../support/resp-client.ts';
import { splitReplies, type Request } from '../../support/comparison.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';

const thisFile = 'test/server/commands/wire.test.ts';

let redis: RedisProcess;
let mantis: MantisProcess;

beforeAll(async () => {
  redis = await startRedis();
  mantis = await startMantis({ dataDir: 'none' });
});

afterAll(async () => {
  await Promise.all([redis.server.stop(), mantis.server.stop()]);
});

/** A request on strings, counters or bits; now and then a wrong one. */
function randomRequest(random: SeededRandom): Request {
  const key = random.pick(['a', 'b', 'c', 'd', 'e']);
  const value = random.pick<string | number | Buffer>([
    random.below(1000),
    random.bytes(random.below(64)),
    'x'.repeat(random.below(6000)),
    'y'.repeat(random.below(20_000)),
  ]);
  const index = random.below(100) - 50;
  return random.pick<Request>([
    ['SET', key, value],
    ['set', key, value, 'NX', 'GET'],
    ['SET', key, value, 'PXAT', 9_999_999_999_999],
    ['GET', key],
    ['MGET', key, 'a', 'none'],
    ['MSET', key, value, 'a', 1],
    ['GETDEL', key],
    ['APPEND', key, value],
    ['SETRANGE', key, random.below(300), value],
    ['GETRANGE', key, index, -index],
    ['STRLEN', key],
    ['INCRBY', key, index],
    ['INCR', 'counter'],
    ['SETBIT', key, random.below(100_000), random.below(3)],
    ['BITCOUNT', key, index, -index],
    ['BITPOS', key, random.below(2), index],
    ['BITOP', random.pick(['AND', 'OR', 'XOR']), key, 'a', 'b', 'c'],
    ['BITFIELD', key, 'INCRBY', 'i13', random.below(500), index, 'GET', 'u7', 3],
    ['LCS', 'counter', 'none'],
    ['EXPIRETIME', key],
    ['EXISTS', key, key],
    ['DEL', key],
    ['GET'],
    ['NOTACOMMAND', key],
  ]);
}

/** The replies to the requests, all sent at once. */
async function repliesOf(port: number, requests: readonly Request[]): Promise<string[]> {
  const marker = 'the end of the replies';
  const client = await RawClient.connect(port);
  client.write(Buffer.concat([...requests, ['ECHO', marker]].map(encodeRequest)));
  const end = Buffer.from(`${marker}\r\n`);
  const replies = splitReplies(await client.until((received) => received.subarray(-end.length).equals(end)));
  await client.close();
  return replies;
}

describe('a long pipeline', () => {
  for (const protocol of [2, 3]) {
    it(`is answered byte for byte as redis-server answers it, in RESP${protocol}`, async () => {
      await withSeed(thisFile, async (random) => {
        const requests: Request[] = [['FLUSHALL'], ...Array.from({ length: 1500 }, () => randomRequest(random))];
        // HELLO itself names the server, and is looked at elsewhere.
        const [expected, got] = await Promise.all(
          [redis.port, mantis.port].map((port) => repliesOf(port, [['HELLO', protocol], ...requests])),
        );
        for (const [index, [command, key]] of requests.entries()) {
          const where = `${index}: ${String(command)} ${String(key)}`;
          expect({ where, reply: got[index + 1] }).toEqual({ where, reply: expected[index + 1] });
        }
      });
    });
  }
});
