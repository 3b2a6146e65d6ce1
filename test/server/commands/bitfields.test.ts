import { describe, expect, it } from '@jest/globals';
import { bitfieldCommands } from '../../../server/commands/bitfields.ts';
import { expiryCommands } from '../../../server/commands/expiry.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { TYPE_LIST } from '../../../storage/arena/block.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { withSeed, type SeededRandom } from '../../support/seed.ts';

const thisFile = 'test/server/commands/bitfields.test.ts';
const commands = [...bitfieldCommands, ...stringCommands, ...expiryCommands];

const comparison = shareComparison(commands);

const TYPES = ['i1', 'u1', 'i2', 'u2', 'i8', 'u8', 'i13', 'u13', 'i32', 'u32', 'i53', 'u53', 'i63', 'u63', 'i64'];
// Nothing near -2^63: there redis-server's own check overflows, and it takes a number that is too small for one too large.
const OPERANDS = [
  '0',
  '1',
  '-1',
  '2',
  '127',
  '128',
  '-128',
  '-129',
  '255',
  '256',
  '4294967295',
  '9007199254740993',
  '9223372036854775807',
  '-4000000000000000000',
];
const MODES = ['WRAP', 'sat', 'FAIL'];

function operation(random: SeededRandom): Request {
  const type = random.chance(0.7) ? random.pick(TYPES) : `${random.pick(['i', 'u'])}${1 + random.below(63)}`;
  const offset = random.chance(0.5) ? `#${random.below(6)}` : random.below(200);
  const operand = random.chance(0.5) ? random.pick(OPERANDS) : random.below(600) - 300;
  switch (random.below(4)) {
    case 0:
      return ['GET', type, offset];
    case 1:
      return ['SET', type, offset, operand];
    case 2:
      return ['INCRBY', type, offset, operand];
    default:
      return ['OVERFLOW', random.pick(MODES)];
  }
}

describe('BITFIELD', () => {
  it('sets and adds at every limit of every type, in every mode, as redis-server does', async () => {
    for (const type of TYPES) {
      const requests: Request[] = [];
      for (const mode of MODES) {
        for (const first of OPERANDS) {
          for (const second of OPERANDS) {
            requests.push([
              'BITFIELD',
              'k',
              'SET',
              type,
              3,
              first,
              'OVERFLOW',
              mode,
              'INCRBY',
              type,
              3,
              second,
              'GET',
              type,
              3,
            ]);
            requests.push(
              ['BITFIELD', 'k', 'OVERFLOW', mode, 'SET', type, '#1', second, 'GET', type, '#1'],
              ['GET', 'k'],
            );
          }
        }
      }
      await comparison().check(requests);
    }
  });

  it('answers random operations as redis-server does', async () => {
    await withSeed(thisFile, async (random) => {
      for (let round = 0; round < 20; round++) {
        const requests: Request[] = [];
        for (let count = 0; count < 100; count++) {
          const key = random.pick(['a', 'b', 'c']);
          const operations = Array.from({ length: 1 + random.below(5) }, () => operation(random)).flat();
          requests.push(['BITFIELD', key, ...operations], ['BITFIELD_RO', key, ...operations], ['GET', key]);
          if (random.chance(0.1)) requests.push(['SET', key, random.below(100_000)]);
          if (random.chance(0.05)) requests.push(['GETDEL', key]);
        }
        await comparison().check(requests);
      }
    });
  });

  it('knows the limits of 64 bits', async () => {
    const requests: Request[] = [];
    for (const mode of MODES) {
      for (const first of ['9223372036854775807', '-9223372036854775808', '0']) {
        for (const second of ['9223372036854775807', '-9223372036854775808', '1', '-1']) {
          requests.push([
            'BITFIELD',
            'k',
            'SET',
            'i64',
            5,
            first,
            'OVERFLOW',
            mode,
            'INCRBY',
            'i64',
            5,
            second,
            'GET',
            'i64',
            5,
          ]);
        }
      }
    }
    await comparison().check(requests);
    const harness = new CommandHarness(commands);
    const saturated = harness.run(
      'BITFIELD',
      'k',
      'OVERFLOW',
      'SAT',
      'SET',
      'i8',
      0,
      '-9223372036854775808',
      'GET',
      'i8',
      0,
    );
    expect(saturated.toString()).toBe('*2\r\n:0\r\n:-128\r\n');
  });

  it('refuses wrong calls with the same texts', async () => {
    const tails: Request[] = [
      [],
      ['GET'],
      ['GET', 'u8'],
      ['SET', 'u8', 0],
      ['INCRBY', 'u8', 0],
      ['FOO', 'u8', 0],
      ['OVERFLOW'],
      ['OVERFLOW', 'foo'],
      ['OVERFLOW', 'wrap'],
      ['SET', 'u8', 0, 'x'],
      ['SET', 'u8', 0, ''],
      ['INCRBY', 'u8', 0, '9223372036854775808'],
      ['GET', 'u8', 0, 'GET'],
      ['GET', 'u8', 0, 'SET', 'u8', 0, 1, 'GET', 'x', 0],
    ];
    for (const type of [
      '',
      'i',
      'u',
      'i0',
      'u0',
      'i65',
      'u64',
      'i64',
      'u63',
      'I8',
      'U8',
      'x8',
      'i-1',
      'i08',
      'u8 ',
      '8',
    ])
      tails.push(['GET', type, 0]);
    for (const offset of [
      '-1',
      '',
      '#',
      '#-1',
      '#0',
      '##1',
      'x',
      '4294967295',
      '4294967296',
      '#536870911',
      '#536870912',
      '#9223372036854775807',
    ]) {
      tails.push(['GET', 'u8', offset], ['GET', 'i64', offset]);
    }
    const requests: Request[] = [['BITFIELD'], ['BITFIELD_RO']];
    for (const key of ['none', 'k']) {
      for (const tail of tails)
        requests.push(['SET', 'k', 'some text'], ['BITFIELD', key, ...tail], ['BITFIELD_RO', key, ...tail]);
    }
    await comparison().check(requests);
  });

  it('keeps the deadline, and makes the key also when every operation fails', async () => {
    await comparison().check([
      ['SET', 'k', 'v', 'PXAT', 9_999_999_999_999],
      ['BITFIELD', 'k', 'SET', 'u8', 100, 1],
      ['PEXPIRETIME', 'k'],
      ['BITFIELD', 'new', 'OVERFLOW', 'FAIL', 'SET', 'u4', 9, 16],
      ['GET', 'new'],
      ['BITFIELD', 'none', 'GET', 'u8', 0],
      ['GET', 'none'],
    ]);
  });

  it('refuses keys of another type', async () => {
    await comparison().check(
      [
        ['BITFIELD', 'l', 'GET', 'u8', 0],
        ['BITFIELD', 'l', 'SET', 'u8', 0, 1],
        ['BITFIELD_RO', 'l', 'GET', 'u8', 0],
        ['BITFIELD', 'l'],
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

  it('writes nothing when nothing changes', () => {
    const harness = new CommandHarness(commands);
    harness.run('BITFIELD', 'k', 'SET', 'u8', 0, 7);
    const { changes } = harness.keyspace;
    harness.run('BITFIELD', 'k', 'GET', 'u8', 0, 'SET', 'u8', 0, 7, 'INCRBY', 'u8', 0, 0);
    harness.run('BITFIELD', 'k', 'OVERFLOW', 'FAIL', 'INCRBY', 'u4', 0, 100);
    expect(harness.keyspace.changes).toBe(changes);
  });
});
