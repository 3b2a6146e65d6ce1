import { describe, expect, it } from '@jest/globals';
import { bitmapCommands } from '../../../server/commands/bitmaps.ts';
import { expiryCommands } from '../../../server/commands/expiry.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { TYPE_LIST } from '../../../storage/arena/block.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { withSeed, type SeededRandom } from '../../support/seed.ts';

const thisFile = 'test/server/commands/bitmaps.test.ts';
const commands = [...bitmapCommands, ...stringCommands, ...expiryCommands];

const comparison = shareComparison(commands);

const OFFSETS = [
  '0',
  '1',
  '7',
  '8',
  '63',
  '100',
  '40000',
  '4294967295',
  '4294967296',
  '-1',
  '',
  'a',
  '#1',
  '1.5',
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775808',
];
const INDEXES = [
  '0',
  '1',
  '2',
  '7',
  '8',
  '9',
  '15',
  '100',
  '1000',
  '-1',
  '-2',
  '-8',
  '-9',
  '-100',
  '9223372036854775807',
  '-9223372036854775808',
];
/** Long runs of equal bits, and noise; sizes on both sides of the word loops' thresholds. */
function bitmap(random: SeededRandom): Buffer {
  const bytes = random.bytes(random.pick([1, 2, 3, 8, 63, 64, 65, 100, 1000, 5000]));
  const fill = random.below(3);
  if (fill < 2)
    bytes.fill(fill === 0 ? 0 : 255, random.below(bytes.length), Math.max(0, bytes.length - random.below(3)));
  return bytes;
}

describe('SETBIT and GETBIT', () => {
  it('answer as redis-server does', async () => {
    const requests: Request[] = [];
    for (const key of ['missing', 'number', 'text']) {
      for (const offset of OFFSETS.filter((text) => !text.startsWith('429496729'))) {
        for (const bit of ['0', '1', '2', '-1', 'x', '', '9223372036854775808']) {
          requests.push(
            ['SET', 'number', '1234'],
            ['SET', 'text', 'text'],
            ['SETBIT', key, offset, bit],
            ['GETBIT', key, offset],
            ['GETDEL', key],
          );
        }
        requests.push(['GETBIT', key, offset]);
      }
    }
    for (const offset of OFFSETS) requests.push(['GETBIT', 'text', offset]);
    requests.push(['SETBIT', 'a'], ['SETBIT', 'a', 1], ['GETBIT', 'a'], ['SETBIT', 'a', 1, 1, 1]);
    await comparison().check(requests);
  });

  it('keep the deadline', async () => {
    await comparison().check([
      ['SET', 'k', 'v', 'PXAT', 9_999_999_999_999],
      ['SETBIT', 'k', 100, 1],
      ['PEXPIRETIME', 'k'],
      ['SETBIT', 'k', 100, 1],
      ['PEXPIRETIME', 'k'],
    ]);
  });

  it('write nothing when the bit is what it was', () => {
    const harness = new CommandHarness(commands);
    harness.run('SETBIT', 'k', 9, 1);
    const { changes } = harness.keyspace;
    expect(harness.run('SETBIT', 'k', 9, 1).toString()).toBe(':1\r\n');
    expect(harness.run('SETBIT', 'k', 10, 0).toString()).toBe(':0\r\n');
    expect(harness.keyspace.changes).toBe(changes);
  });
});

describe('BITCOUNT and BITPOS', () => {
  it('answer as redis-server does for every range', async () => {
    await withSeed(thisFile, async (random) => {
      for (const value of [
        Buffer.from(''),
        Buffer.from('1234'),
        bitmap(random),
        bitmap(random),
        bitmap(random),
        bitmap(random),
      ]) {
        const requests: Request[] = [
          ['SET', 'k', value],
          ['BITCOUNT', 'k'],
          ['BITPOS', 'k', 0],
          ['BITPOS', 'k', 1],
        ];
        for (const key of ['k', 'missing']) {
          for (const start of INDEXES) {
            requests.push(['BITPOS', key, 0, start], ['BITPOS', key, 1, start]);
            for (const end of INDEXES) {
              for (const unit of [[], ['BYTE'], ['bit']]) {
                requests.push(['BITCOUNT', key, start, end, ...unit]);
                requests.push(['BITPOS', key, 0, start, end, ...unit], ['BITPOS', key, 1, start, end, ...unit]);
              }
            }
          }
        }
        await comparison().check(requests);
      }
    });
  });

  it('answer as redis-server does for random ranges', async () => {
    await withSeed(thisFile, async (random) => {
      for (let round = 0; round < 30; round++) {
        const value = bitmap(random);
        const index = (): number => random.below(value.length * 18) - value.length * 9;
        const requests: Request[] = [['SET', 'k', value]];
        for (let count = 0; count < 100; count++) {
          const range = [index(), index(), random.pick(['BIT', 'BYTE'])];
          requests.push(['BITCOUNT', 'k', ...range], ['BITPOS', 'k', 0, ...range], ['BITPOS', 'k', 1, ...range]);
        }
        await comparison().check(requests);
      }
    });
  });

  it('refuse wrong arguments with the same texts', async () => {
    const tails: Request[] = [
      [0],
      [0, 1, 'FOO'],
      [0, 1, 'BIT', 1],
      ['a', 1],
      [1, 'a'],
      ['a', 'b', 'FOO'],
      [1, ''],
      [1.5, 2],
      [0, 1, ''],
    ];
    const requests: Request[] = [['SET', 'k', 'value'], ['BITCOUNT'], ['BITPOS', 'k']];
    for (const tail of tails) if (tail.length > 1) requests.push(['BITCOUNT', 'k', ...tail]);
    for (const bit of ['0', '1', '2', '-1', 'x', '']) {
      requests.push(['BITPOS', 'k', bit], ['BITPOS', 'k', bit, 0, 1, 'BIT', 1]);
      for (const tail of tails) requests.push(['BITPOS', 'k', bit, ...tail]);
    }
    await comparison().check(requests);
  });

  it('take a start alone, as Valkey does', () => {
    const harness = new CommandHarness(commands);
    harness.run('SET', 'k', 'foobar');
    expect(harness.run('BITCOUNT', 'k', 1).toString()).toBe(harness.run('BITCOUNT', 'k', 1, -1).toString());
    expect(harness.run('BITCOUNT', 'k', -1).toString()).toBe(':4\r\n');
    expect(harness.run('BITCOUNT', 'k', 1000).toString()).toBe(':0\r\n');
    expect(harness.run('BITCOUNT', 'k', 'x').toString()).toBe('-ERR value is not an integer or out of range\r\n');
  });

  it('refuse wrong arguments before they look for the key, as Redis does since 7.2', () => {
    const harness = new CommandHarness(commands);
    expect(harness.run('BITCOUNT', 'none', 0, 1, 'x').toString()).toBe('-ERR syntax error\r\n');
    expect(harness.run('BITCOUNT', 'none', 'a', 1).toString()).toBe('-ERR value is not an integer or out of range\r\n');
    expect(harness.run('BITPOS', 'none', 1, 'a').toString()).toBe('-ERR value is not an integer or out of range\r\n');
    expect(harness.run('BITPOS', 'none', 1, 0, 1, 'x').toString()).toBe('-ERR syntax error\r\n');
  });
});

describe('BITOP', () => {
  it('answers as redis-server does for random sources', async () => {
    await withSeed(thisFile, async (random) => {
      for (let round = 0; round < 60; round++) {
        const requests: Request[] = [];
        for (const key of ['a', 'b', 'c', 'd']) {
          const kind = random.below(6);
          if (kind > 1) requests.push(['SET', key, kind === 2 ? random.below(100000) : bitmap(random)]);
          else if (kind === 1) requests.push(['SET', key, '']);
        }
        for (const operation of ['AND', 'or', 'XOR', 'NOT']) {
          const count = operation === 'NOT' ? 1 : 1 + random.below(4);
          const sources = Array.from({ length: count }, () => random.pick(['a', 'b', 'c', 'd', 'none']));
          const target = random.pick(['target', 'a', 'd']);
          requests.push(['BITOP', operation, target, ...sources], ['GET', target]);
        }
        await comparison().check(requests);
      }
    });
  });

  it('takes the deadline away, deletes for an empty result, and refuses wrong calls', async () => {
    await comparison().check([
      ['SET', 't', 'x', 'PXAT', 9_999_999_999_999],
      ['SET', 'a', 'foo'],
      ['BITOP', 'AND', 't', 'a', 'a'],
      ['PEXPIRETIME', 't'],
      ['GET', 't'],
      ['BITOP', 'OR', 't', 'none', 'none'],
      ['GET', 't'],
      ['BITOP', 'OR', 't', 'none'],
      ['BITOP', 'NOT', 't', 'a', 'a'],
      ['BITOP', 'FOO', 't', 'a'],
      ['BITOP', 'AND', 't'],
      ['BITOP', 'NOT', 't'],
      ['BITOP'],
    ]);
  });

  it('refuses keys of another type', async () => {
    await comparison().check(
      [
        ['SETBIT', 'l', 0, 1],
        ['SETBIT', 'l', 'x', 1],
        ['GETBIT', 'l', 0],
        ['BITCOUNT', 'l'],
        ['BITCOUNT', 'l', 0, 1],
        ['BITPOS', 'l', 1],
        ['BITPOS', 'l', 2],
        ['BITOP', 'AND', 't', 'none', 'l'],
        ['BITOP', 'NOT', 't', 'l'],
      ],
      {
        prepare: (harness) => {
          harness.run('SET', 'l', 'pretends');
          harness.disguise('l', TYPE_LIST);
        },
        prepareRedis: [['RPUSH', 'l', 'x']],
      },
    );
  });
});
