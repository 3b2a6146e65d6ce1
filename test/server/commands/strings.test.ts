import { describe, expect, it } from '@jest/globals';
import { bitmapCommands } from '../../../server/commands/bitmaps.ts';
import { counterCommands } from '../../../server/commands/counters.ts';
import { expiryCommands } from '../../../server/commands/expiry.ts';
import { keyCommands } from '../../../server/commands/keys.ts';
import { stringRangeCommands } from '../../../server/commands/string-ranges.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { TYPE_LIST } from '../../../storage/arena/block.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';

const thisFile = 'test/server/commands/strings.test.ts';
const commands = [
  ...stringCommands,
  ...stringRangeCommands,
  ...counterCommands,
  ...bitmapCommands,
  ...expiryCommands,
  ...keyCommands,
];

const comparison = shareComparison(commands);

const DEADLINES: readonly Request[] = [
  [],
  ['EX', 100],
  ['PX', 100_000],
  ['EXAT', 9_999_999_999],
  ['pxat', '9999999999999'],
  ['KEEPTTL'],
  ['PERSIST'],
];
const CONDITIONS: readonly Request[] = [[], ['NX'], ['xx'], ['NX', 'XX'], ['NX', 'NX']];
const INTEGERS = [
  '0',
  '-1',
  '1',
  '-2',
  '3',
  '5',
  '-6',
  '10',
  '-100',
  '100',
  '4096',
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775808',
  '',
  'a',
  '1.5',
  ' 1',
  '01',
  '+1',
  '-0',
];
const VALUES = ['', 'a', '0', '10', '-5', '0123456789', 'x'.repeat(100), 'y'.repeat(5000), '\u00fcber\0\r\n'];

describe('SET', () => {
  it('takes every combination of its options as redis-server does', async () => {
    for (const condition of CONDITIONS) {
      for (const deadline of DEADLINES) {
        for (const get of [[], ['GET'], ['get', 'GET']]) {
          await comparison().check(
            [
              ['SET', 'k', 'v1', ...condition, ...get, ...deadline],
              ['GET', 'k'],
              ['EXPIRETIME', 'k'],
              ['SET', 'k', 'old', 'PXAT', 8_888_888_888_888],
              ['SET', 'k', 'v2', ...deadline, ...get, ...condition],
              ['GET', 'k'],
              ['EXPIRETIME', 'k'],
            ].filter((request) => request[0] !== 'EXPIRETIME' || !/^(EX|PX)$/.test(String(deadline[0]))),
          );
        }
      }
    }
  });

  it('refuses wrong options and deadlines with the same texts', async () => {
    const tails: Request[] = [
      ['FOO'],
      ['EX'],
      ['NX', 'EX'],
      ['EX', 10, 'PX', 10],
      ['EX', 10, 'EX', 20],
      ['KEEPTTL', 'EX', 10],
      ['EX', 10, 'KEEPTTL'],
      ['XX', 'NX'],
      ['EX', 'NX'],
      ['GET', 'FOO'],
      ['PERSIST'],
      [''],
      ['KEEPTTL', 'KEEPTTL'],
    ];
    for (const word of ['EX', 'PX', 'EXAT', 'PXAT']) {
      for (const value of [...INTEGERS, '9223372036854776', '9223372036854775', '9223372036854774']) {
        tails.push([word, value], [word, value, 'GET']);
      }
    }
    const requests = tails.flatMap((tail): Request[] => [
      ['SET', 'k', 'v', ...tail],
      ['DEL', 'k'],
    ]);
    await comparison().check(requests);
  });

  it('stores any bytes under any key', async () => {
    const keys = ['', 'k', 'long'.repeat(1000), '\0\r\n', Buffer.from([255, 0, 254])];
    const values = [...VALUES, Buffer.from([0, 255, 128, 10, 13]), 'z'.repeat(100_000)];
    const requests: Request[] = [];
    for (const key of keys) {
      for (const value of values)
        requests.push(['SET', key, value], ['GET', key], ['STRLEN', key], ['GETSET', key, 'x']);
    }
    await comparison().check(requests);
  });
});

describe('the other commands for whole values', () => {
  it('answer as redis-server does', async () => {
    await comparison().check([
      ['GET', 'none'],
      ['SETNX', 'k', 1],
      ['SETNX', 'k', 2],
      ['GET', 'k'],
      ['GETSET', 'none', 'a'],
      ['GETSET', 'none', 'b'],
      ['GETDEL', 'none'],
      ['GETDEL', 'none'],
      ['GET', 'none'],
      ['MSET', 'a', 1, 'b', 2, 'a', 3],
      ['MGET', 'a', 'b', 'c', 'a'],
      ['MSETNX', 'c', 1, 'a', 2],
      ['MGET', 'c', 'a'],
      ['MSETNX', 'c', 1, 'd', 2, 'c', 4],
      ['MGET', 'c', 'd'],
      ['MSET', 'a', 1, 'b'],
      ['MSETNX', 'a', 1, 'b'],
      ['MSET', 'a'],
      ['MGET'],
      ['GET'],
      ['GET', 'a', 'b'],
      ['SET', 'a'],
      ['GETDEL'],
      ['GETEX'],
      ['STRLEN'],
      ['SETEX', 'k', 10, 'v'],
      ['GET', 'k'],
      ['TTL', 'k'],
      ['PSETEX', 'k', 100_000, 'w'],
      ['GET', 'k'],
      ['TTL', 'k'],
      ['SETEX', 'k', 0, 'v'],
      ['SETEX', 'k', -1, 'v'],
      ['SETEX', 'k', 'x', 'v'],
      ['PSETEX', 'k', 0, 'v'],
      ['PSETEX', 'k', '9223372036854775807', 'v'],
      ['SETEX', 'k', '9223372036854775807', 'v'],
      ['SETEX', 'k', '1'],
      ['GETSET', 'k', 'x'],
      ['TTL', 'k'],
      ['SETNX', 'k', 'y'],
      ['GET', 'k'],
    ]);
  });

  it('GETEX takes every combination of its options', async () => {
    const requests: Request[] = [];
    for (const first of [...DEADLINES, ['GET'], ['EX'], ['EX', 0], ['PX', -1], ['EXAT', 1], ['PXAT', 1], ['EX', 'x']]) {
      for (const second of [...DEADLINES, ['NX'], ['EX']]) {
        requests.push(
          ['GETEX', 'none', ...first, ...second],
          ['SET', 'k', 'v', 'EX', 1000],
          ['GETEX', 'k', ...first, ...second],
          ['TTL', 'k'],
          ['GET', 'k'],
        );
      }
    }
    await comparison().check(requests);
  });

  it('refuse keys of another type, MGET apart', async () => {
    const requests: Request[] = [
      ['GET', 'l'],
      ['SET', 'l', 'v', 'GET'],
      ['SET', 'l', 'v', 'EX', '0', 'GET'],
      ['SETNX', 'l', 'v'],
      ['GETSET', 'l', 'v'],
      ['GETDEL', 'l'],
      ['GETEX', 'l'],
      ['GETEX', 'l', 'EX', 'x'],
      ['GETEX', 'l', 'FOO'],
      ['MGET', 'l', 'none'],
      ['MSETNX', 'l', 1],
      ['APPEND', 'l', 'x'],
      ['STRLEN', 'l'],
      ['GETRANGE', 'l', 0, 1],
      ['GETRANGE', 'l', 'x', 1],
      ['SUBSTR', 'l', 0, 1],
      ['SETRANGE', 'l', 0, 'x'],
      ['SETRANGE', 'l', -1, 'x'],
      ['SETRANGE', 'l', 0, ''],
      ['SETRANGE', 'l', 999999999999, 'x'],
      ['INCR', 'l'],
      ['DECRBY', 'l', 'x'],
      ['INCRBYFLOAT', 'l', 'x'],
      ['INCRBYFLOAT', 'l', 1],
    ];
    await comparison().check(requests, {
      prepare: (harness) => {
        harness.run('SET', 'l', 'pretends');
        harness.disguise('l', TYPE_LIST);
      },
      prepareRedis: [['RPUSH', 'l', 'x']],
    });
  });

  it('count hits and misses as redis-server does', async () => {
    const requests: Request[] = [
      ['GET', 'none'],
      ['SET', 'k', 'v'],
      ['GET', 'k'],
      ['MGET', 'k', 'none', 'k'],
      ['GETSET', 'k', 'w'],
      ['GETSET', 'm', 'w'],
      ['GETDEL', 'm'],
      ['GETDEL', 'm'],
      ['GETEX', 'k'],
      ['GETEX', 'none', 'EX', 10],
      ['SET', 'k', 'v', 'GET'],
      ['SET', 'n', 'v', 'GET'],
      ['SET', 'k', 'v', 'NX'],
      ['SET', 'k', 'v', 'XX'],
      ['SETNX', 'k', 'v'],
      ['MSETNX', 'k', 'v'],
      ['APPEND', 'k', 'x'],
      ['STRLEN', 'k'],
      ['STRLEN', 'none'],
      ['GETRANGE', 'k', 0, 1],
      ['GETRANGE', 'none', 0, 1],
      ['SETRANGE', 'k', 0, 'x'],
      ['INCR', 'c'],
      ['INCR', 'c'],
      ['SETBIT', 'k', 1, 1],
      ['GETBIT', 'k', 1],
      ['GETBIT', 'none', 1],
      ['BITCOUNT', 'k'],
      ['BITCOUNT', 'none'],
      ['BITPOS', 'k', 1],
      ['BITOP', 'AND', 'd', 'k', 'none', 'k'],
    ];
    await comparison().redisReplies([['CONFIG', 'RESETSTAT']]);
    const harness = await comparison().check(requests);
    const [info] = await comparison().redisReplies([['INFO', 'stats']]);
    const { keyspaceHits, keyspaceMisses } = harness.node.statistics;
    expect(info).toContain(`keyspace_hits:${keyspaceHits}\r\nkeyspace_misses:${keyspaceMisses}\r\n`);
  });
});

describe('parts of values', () => {
  it('APPEND, GETRANGE and SETRANGE answer as redis-server does', async () => {
    for (const value of VALUES) {
      const requests: Request[] = [
        ['SET', 'k', value],
        ['STRLEN', 'k'],
      ];
      for (const start of INTEGERS) {
        for (const end of INTEGERS) requests.push(['GETRANGE', 'k', start, end], ['SUBSTR', 'none', start, end]);
      }
      for (const offset of INTEGERS) {
        for (const part of ['', 'Z', 'part'.repeat(10)]) {
          requests.push(
            ['SET', 'k', value],
            ['SETRANGE', 'k', offset, part],
            ['GET', 'k'],
            ['SETRANGE', 'new', offset, part],
          );
          requests.push(['GETDEL', 'new']);
        }
      }
      for (const part of VALUES)
        requests.push(['APPEND', 'k', part], ['GET', 'k'], ['APPEND', 'new', part], ['GETDEL', 'new']);
      await comparison().check(requests);
    }
  });

  it('keep the deadline', async () => {
    await comparison().check([
      ['SET', 'k', 'v', 'PXAT', 9_999_999_999_999],
      ['APPEND', 'k', 'w'],
      ['SETRANGE', 'k', 5, 'x'],
      ['GET', 'k'],
      ['PEXPIRETIME', 'k'],
      ['APPEND', 'k', 'w'.repeat(5000)],
      ['PEXPIRETIME', 'k'],
      ['STRLEN', 'k'],
    ]);
  });

  it('refuse to grow a string beyond proto-max-bulk-len', async () => {
    await comparison().redisReplies([['CONFIG', 'SET', 'proto-max-bulk-len', '1mb']]);
    const requests: Request[] = [
      ['SETRANGE', 'k', 1048576, ''],
      ['SETRANGE', 'k', 1048576, 'x'],
      ['SETRANGE', 'k', 1048575, 'x'],
      ['APPEND', 'k', 'x'],
      ['STRLEN', 'k'],
      ['SETRANGE', 'k', '9223372036854775807', 'x'],
      ['SETBIT', 'b', 8388608, 1],
      ['SETBIT', 'b', 8388607, 1],
      ['GETBIT', 'b', 8388608],
      ['GETBIT', 'b', 8388607],
    ];
    await comparison().check(requests, { settings: { 'proto-max-bulk-len': '1mb' } });
    await comparison().redisReplies([['CONFIG', 'SET', 'proto-max-bulk-len', '512mb']]);
  });
});

const OPERATIONS: readonly ((key: string, random: SeededRandom) => Request)[] = [
  (key) => ['GET', key],
  (key, random) => ['SET', key, random.pick(VALUES)],
  (key, random) => ['SET', key, random.below(1000), random.pick(['NX', 'XX', 'GET', 'KEEPTTL'])],
  (key) => ['SET', key, 7, 'PXAT', 9_999_999_999_999],
  (key, random) => ['APPEND', key, random.pick(VALUES)],
  (key, random) => ['SETRANGE', key, random.below(20), random.bytes(random.below(8))],
  (key, random) => ['GETRANGE', key, random.below(20) - 10, random.below(20) - 10],
  (key, random) => ['INCRBY', key, random.below(2000) - 1000],
  (key) => ['DECR', key],
  // A key of its own: on texts that are no sums of halves, Redis's long doubles are off in the last digits.
  (_key, random) => ['INCRBYFLOAT', 'float', (random.below(2000) - 1000) / 8],
  (key) => ['GETDEL', key],
  (key) => ['GETSET', key, 12],
  (key) => ['GETEX', key, 'PERSIST'],
  (key) => ['PEXPIRETIME', key],
  (key) => ['PEXPIREAT', key, 8_888_888_888_888],
  (key) => ['STRLEN', key],
  (key) => ['DEL', key],
  (key, random) => ['SETBIT', key, random.below(200), random.below(2)],
  (key) => ['MGET', key, 'a', 'b'],
  (key, random) => ['MSET', key, random.below(10), 'a', random.pick(VALUES)],
  (key) => ['BITOP', 'XOR', key, 'a', 'b'],
];

describe('random sequences', () => {
  it('answer as redis-server does', async () => {
    await withSeed(thisFile, async (random) => {
      for (let round = 0; round < 20; round++) {
        const requests = Array.from({ length: 500 }, () =>
          random.pick(OPERATIONS)(random.pick(['a', 'b', 'c', 'd']), random),
        );
        await comparison().check(requests);
      }
    });
  });
});

describe('deadlines', () => {
  it('hide the key on the millisecond after', () => {
    let nowMs = 1_000_000;
    const harness = new CommandHarness(commands, { wallClockMs: () => nowMs });
    harness.run('SET', 'k', 'v', 'PX', 100);
    harness.run('SET', 'l', 'v', 'PX', 100);
    harness.run('SET', 'l', 'w', 'KEEPTTL');
    nowMs += 100;
    expect(harness.run('GET', 'k').toString()).toBe('$1\r\nv\r\n');
    nowMs += 1;
    expect(harness.run('MGET', 'k', 'l').toString()).toBe('*2\r\n$-1\r\n$-1\r\n');
    expect(harness.run('SET', 'k', 'w', 'KEEPTTL', 'GET').toString()).toBe('$-1\r\n');
    expect(harness.run('PTTL', 'k').toString()).toBe(':-1\r\n');
  });
});
