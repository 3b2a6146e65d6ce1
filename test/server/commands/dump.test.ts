import { describe, expect, it } from '@jest/globals';
import { crc64 } from '../../../protocol/crc64.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';
import { bulkOf, checkSequence, keyspaceCommands, type Step } from '../../support/sequences.ts';

const thisFile = 'test/server/commands/dump.test.ts';

const comparison = shareComparison(keyspaceCommands);

async function redis(...request: Request): Promise<string> {
  const [reply] = await comparison().redisReplies([request]);
  return reply;
}

/** Values of every encoding, and on both sides of each limit. */
function valuesOf(random: SeededRandom): (string | Buffer)[] {
  const integers = ['0', '-1', '127', '128', '-128', '-129', '32767', '32768', '-32768', '-32769'];
  const wide = [
    '2147483647',
    '2147483648',
    '-2147483648',
    '-2147483649',
    '9223372036854775807',
    '-9223372036854775808',
  ];
  const texts = [
    '',
    'a',
    '007',
    '-0',
    '+1',
    '1.5',
    ' 1',
    'x'.repeat(20),
    'x'.repeat(21),
    'x'.repeat(63),
    'x'.repeat(64),
  ];
  const long = [16383, 16384, 70_000].flatMap((length) => ['x'.repeat(length), random.bytes(length)]);
  const mixed = Array.from({ length: 40 }, () => {
    const pieces = Array.from({ length: 1 + random.below(30) }, () => random.bytes(1 + random.below(12)));
    return Buffer.concat(Array.from({ length: 1 + random.below(60) }, () => random.pick(pieces)));
  });
  return [...integers, ...wide, ...texts, ...long, ...mixed];
}

describe('DUMP and RESTORE against redis-server', () => {
  it('carry every string from Redis, compressed or not', async () => {
    await withSeed(thisFile, async (random) => {
      const harness = new CommandHarness(keyspaceCommands);
      for (const value of valuesOf(random)) {
        await redis('SET', 'a', value);
        const payload = bulkOf(await redis('DUMP', 'a'));
        expect(harness.run('RESTORE', 'a', 0, payload, 'REPLACE').toString()).toBe('+OK\r\n');
        expect(bulkOf(harness.run('GET', 'a'))).toEqual(Buffer.from(value as string));
        const encoding = harness.run('OBJECT', 'ENCODING', 'a').toString();
        await redis('RESTORE', 'b', 0, payload, 'REPLACE');
        expect({ value, encoding }).toEqual({ value, encoding: await redis('OBJECT', 'ENCODING', 'b') });
      }
    });
  });

  it('carry every string to Redis', async () => {
    await withSeed(thisFile, async (random) => {
      const harness = new CommandHarness(keyspaceCommands);
      for (const value of valuesOf(random)) {
        harness.run('SET', 'a', value);
        const payload = bulkOf(harness.run('DUMP', 'a'));
        expect(await redis('RESTORE', 'a', 0, payload, 'REPLACE')).toBe('+OK\r\n');
        expect(bulkOf(await redis('GET', 'a'))).toEqual(Buffer.from(value as string));
      }
      harness.run('INCRBY', 'n', 70_000);
      const payload = bulkOf(harness.run('DUMP', 'n'));
      expect(await redis('RESTORE', 'a', 0, payload, 'REPLACE')).toBe('+OK\r\n');
      expect(await redis('INCR', 'a')).toBe(':70001\r\n');
    });
  });

  it('read what Redis 7.2 writes, version 11', () => {
    const harness = new CommandHarness(keyspaceCommands);
    const footer = withFooter(Buffer.from([0, 3, 97, 98, 99]), 11);
    expect(harness.run('RESTORE', 'a', 0, footer).toString()).toBe('+OK\r\n');
    expect(harness.run('GET', 'a').toString()).toBe('$3\r\nabc\r\n');
  });

  it('answer damaged payloads alike, and change nothing', async () => {
    await withSeed(thisFile, async (random) => {
      await redis('SET', 'source', 'compressible '.repeat(20));
      const sound = bulkOf(await redis('DUMP', 'source'));
      const damaged: Buffer[] = [Buffer.alloc(0), Buffer.alloc(9), withFooter(Buffer.alloc(0), 10)];
      for (let length = 0; length < sound.length; length++) damaged.push(sound.subarray(0, length));
      // Redis reads on into the footer where the value ends early, so that a value cut by less is not always refused there.
      for (let length = 0; length < sound.length - 20; length++)
        damaged.push(withFooter(sound.subarray(0, length), 10));
      for (let round = 0; round < 200; round++) {
        const value = Buffer.from(sound.subarray(0, sound.length - 10));
        value[5 + random.below(value.length - 5)] = random.uint32();
        damaged.push(withFooter(value, 10));
        const flipped = Buffer.from(sound);
        flipped[random.below(flipped.length)] ^= 1 << random.below(8);
        damaged.push(flipped);
      }
      damaged.push(withFooter(Buffer.from([0, 3, 97, 98, 99]), 13), withFooter(Buffer.from([200, 3, 97, 98, 99]), 10));
      await checkSequence(comparison(), [
        'SET a old',
        ...damaged.flatMap((payload): Step[] => [
          ['RESTORE', 'b', 0, payload],
          ['GET', 'b'],
          ['RESTORE', 'a', 0, payload, 'REPLACE'],
          ['GET', 'a'],
          ['DEL', 'b'],
        ]),
      ]);
    });
  });

  it('take the same options', async () => {
    await redis('SET', 'source', 'v');
    const payload = bulkOf(await redis('DUMP', 'source'));
    const tails: Request[] = [
      [],
      ['REPLACE'],
      ['replace', 'absttl'],
      ['ABSTTL'],
      ['IDLETIME', 10],
      ['IDLETIME', 0],
      ['IDLETIME', -1],
      ['IDLETIME', 'x'],
      ['IDLETIME'],
      ['FREQ', 10],
      ['FREQ', 255],
      ['FREQ', 256],
      ['FREQ', -1],
      ['FREQ', 'x'],
      ['FREQ', 10, 'IDLETIME', 10],
      ['IDLETIME', 10, 'FREQ', 10],
      ['NOPE'],
      ['REPLACE', 'NOPE'],
    ];
    const ttls = ['0', '100000', '-1', 'x', '1.5', '33177117420000', '1', '9223372036854775808'];
    const steps: Step[] = tails.flatMap((tail) =>
      ttls.flatMap((ttl): Step[] => {
        // Without ABSTTL the deadline hangs on the moment: only TTL of it is alike.
        const isAbsolute = tail.some((word) => /absttl/i.test(String(word)));
        const look: Step = isAbsolute ? ['PEXPIRETIME', 'a'] : ['TTL', 'a'];
        const restore: Step = ['RESTORE', 'a', ttl, payload, ...tail];
        if (ttl === '1' && !isAbsolute) return [];
        return [['DEL', 'a'], restore, look, ['GET', 'a'], restore, ['SET', 'a', 'old'], restore, ['GET', 'a']];
      }),
    );
    await checkSequence(comparison(), [
      ...steps,
      'DUMP missing',
      'DUMP',
      'DUMP a b',
      'RESTORE a 0',
      ['RESTORE', 'a', 'x', 'bad', 'NOPE'],
      ['RESTORE', 'a', 'x', 'bad'],
      ['RESTORE', 'fresh', 'x', 'bad'],
      ['RESTORE', 'fresh', '-1', 'bad'],
    ]);
  });

  it.each([true, false])('forget how the key was used before, counted (%s) or by time', async (countsUse) => {
    await redis('SET', 'source', 'v');
    const payload = bulkOf(await redis('DUMP', 'source'));
    const policy = countsUse ? 'allkeys-lfu' : 'allkeys-lru';
    const look: Request = ['OBJECT', countsUse ? 'FREQ' : 'IDLETIME', 'a'];
    const requests: Request[] = [
      ['RESTORE', 'a', 0, payload, countsUse ? 'FREQ' : 'IDLETIME', 100],
      look,
      ['RESTORE', 'a', 0, payload, 'REPLACE', countsUse ? 'IDLETIME' : 'FREQ', 33],
      look,
      ['RESTORE', 'a', 0, payload, 'REPLACE', countsUse ? 'FREQ' : 'IDLETIME', 77],
      ['RESTORE', 'a', 0, payload, 'REPLACE'],
      look,
    ];
    await comparison().check(requests, {
      prepare: ({ keyspace }) => (keyspace.accessPolicy.countsUse = countsUse),
      prepareRedis: [['CONFIG', 'SET', 'maxmemory-policy', policy]],
    });
    await redis('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
  });

  /** A payload of this value with a right checksum: redis-server itself says what it must be by taking it or not. */
  function withFooter(value: Buffer, version: number): Buffer {
    const bytes = Buffer.concat([value, Buffer.from([version, 0])]);
    const { hi, lo } = crc64(bytes, 0, bytes.length);
    const footer = Buffer.alloc(8);
    footer.writeUInt32LE(lo, 0);
    footer.writeUInt32LE(hi, 4);
    return Buffer.concat([bytes, footer]);
  }
});
