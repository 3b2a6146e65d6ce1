import { describe, it } from '@jest/globals';
import { counterCommands } from '../../../server/commands/counters.ts';
import { expiryCommands } from '../../../server/commands/expiry.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { withSeed } from '../../support/seed.ts';

const thisFile = 'test/server/commands/counters.test.ts';

const comparison = shareComparison([...counterCommands, ...stringCommands, ...expiryCommands]);

const NUMBERS = [
  '0',
  '1',
  '-1',
  '5',
  '-17',
  '4294967296',
  '9007199254740991',
  '9007199254740992',
  '-9007199254740992',
  '9223372036854775806',
  '9223372036854775807',
  '9223372036854775808',
  '-9223372036854775807',
  '-9223372036854775808',
  '-9223372036854775809',
];
const TEXTS = [
  '',
  ' ',
  'a',
  '1a',
  ' 1',
  '1 ',
  '01',
  '+1',
  '-0',
  '1.0',
  '0x10',
  '1e2',
  '1'.repeat(30),
  'x'.repeat(5000),
];

describe('INCR, DECR, INCRBY, DECRBY', () => {
  it('answer as redis-server does for every value and every operand', async () => {
    const requests: Request[] = [];
    for (const value of [...NUMBERS, ...TEXTS]) {
      requests.push(['SET', 'k', value], ['INCR', 'k'], ['GET', 'k'], ['SET', 'k', value], ['DECR', 'k'], ['GET', 'k']);
      for (const operand of [...NUMBERS, ...TEXTS]) {
        requests.push(
          ['SET', 'k', value],
          ['INCRBY', 'k', operand],
          ['GET', 'k'],
          ['DECRBY', 'k', operand],
          ['GET', 'k'],
          ['DECRBY', 'k', operand],
          ['INCR', 'k'],
          ['GET', 'k'],
        );
      }
    }
    await comparison().check(requests);
  });

  it('make a missing key, and refuse wrong numbers of arguments', async () => {
    await comparison().check([
      ['INCR', 'a'],
      ['INCR', 'a'],
      ['DECR', 'b'],
      ['DECR', 'b'],
      ['INCRBY', 'c', 5],
      ['DECRBY', 'd', 5],
      ['INCRBY', 'e', 0],
      ['MGET', 'a', 'b', 'c', 'd', 'e'],
      ['INCR'],
      ['INCR', 'a', 1],
      ['INCRBY', 'a'],
      ['DECRBY', 'a', 1, 2],
      ['INCRBYFLOAT', 'a'],
    ]);
  });

  it('keep the deadline', async () => {
    await comparison().check([
      ['SET', 'k', 5, 'PXAT', 9_999_999_999_999],
      ['INCR', 'k'],
      ['PEXPIRETIME', 'k'],
      ['INCRBYFLOAT', 'k', '0.5'],
      ['PEXPIRETIME', 'k'],
      ['INCR', 'new'],
      ['PEXPIREAT', 'new', 9_999_999_999_999],
      ['INCR', 'new'],
      ['PEXPIRETIME', 'new'],
      ['GETEX', 'new', 'PERSIST'],
      ['DECR', 'new'],
      ['PEXPIRETIME', 'new'],
      ['GETDEL', 'new'],
      ['INCR', 'new'],
      ['PEXPIRETIME', 'new'],
    ]);
  });
});

describe('INCRBYFLOAT', () => {
  it('answers as redis-server does where its long doubles are exact', async () => {
    const values = ['0', '1', '3.0', '-1.5', '10.50', '1e2', '5.0e3', '.5', '5.', '+5', '17179869184', '-0.25'];
    const wrong = [
      '',
      ' ',
      ' 1',
      '1 ',
      'a',
      '1.2.3',
      'nan',
      'inf',
      '-inf',
      '+Infinity',
      '1e',
      '1e2x',
      'x'.repeat(6000),
    ];
    const requests: Request[] = [];
    for (const value of [...values, ...wrong]) {
      for (const operand of [...values, ...wrong]) {
        requests.push(
          ['SET', 'k', value],
          ['INCRBYFLOAT', 'k', operand],
          ['GET', 'k'],
          ['INCR', 'k'],
          ['INCRBYFLOAT', 'new', operand],
        );
        requests.push(['GETDEL', 'new']);
      }
    }
    await comparison().check(requests);
  });
});

describe('random increments', () => {
  it('answer as redis-server does', async () => {
    await withSeed(thisFile, async (random) => {
      for (let round = 0; round < 10; round++) {
        const requests = Array.from({ length: 400 }, (): Request => {
          const key = random.pick(['a', 'b', 'c']);
          const big = random.pick(NUMBERS);
          const small = random.below(200_000) - 100_000;
          return random.pick<Request>([
            ['INCR', key],
            ['DECR', key],
            ['INCRBY', key, small],
            ['DECRBY', key, small],
            ['INCRBY', key, big],
            ['DECRBY', key, big],
            ['GET', key],
            ['SET', key, small],
            ['GETDEL', key],
            ['GETSET', key, big],
            ['INCRBYFLOAT', key, small / 16],
            ['SET', key, big],
          ]);
        });
        // Beyond 19 digits Redis's long doubles round, and sums here do not.
        const safe = requests.map((request) =>
          request[0] === 'INCRBYFLOAT' ? ['INCRBYFLOAT', 'f', request[2]] : request,
        );
        await comparison().check(safe);
      }
    });
  });
});
