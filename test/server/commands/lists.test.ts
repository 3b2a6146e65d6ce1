import { describe, expect, it } from '@jest/globals';
import { commandCommands } from '../../../server/commands/command-command.ts';
import { keyCommands } from '../../../server/commands/keys.ts';
import { listMoveCommands } from '../../../server/commands/list-moves.ts';
import { blockingListCommands } from '../../../server/commands/lists-blocking.ts';
import { listCommands } from '../../../server/commands/lists.ts';
import { objectCommands } from '../../../server/commands/object.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { transactionCommands } from '../../../server/commands/transactions.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';

const thisFile = 'test/server/commands/lists.test.ts';
const described = [...listCommands, ...listMoveCommands, ...blockingListCommands];
const commands = [...described, ...objectCommands, ...stringCommands, ...keyCommands, ...transactionCommands];

const comparison = shareComparison(commands);

const KEYS = ['a', 'b', 'c', 'text'];
const VALUES = ['', 'x', 'y', 'z', '1', '-17', 'a longer value of some thirty bytes', 'é\r\n'];
const INDEXES = [
  '0',
  '1',
  '-1',
  '2',
  '-2',
  '5',
  '-6',
  '100',
  '-100',
  '9223372036854775807',
  '-9223372036854775807',
  'a',
  '1.5',
];
const COUNTS = ['0', '1', '2', '3', '-1', '100', 'a', '-9223372036854775808'];
const SIDES = ['LEFT', 'right', 'UP'];

function someOf(random: SeededRandom, words: readonly string[], most: number): string[] {
  return Array.from({ length: 1 + random.below(most) }, () => random.pick(words));
}

function randomRequest(random: SeededRandom): Request {
  const key = random.pick(KEYS);
  const value = () => random.pick(VALUES);
  const index = () => random.pick(INDEXES);
  const side = () => (random.below(8) === 0 ? 'UP' : random.pick(SIDES.slice(0, 2)));
  switch (random.below(26)) {
    case 0:
    case 1:
    case 2:
      return ['LPUSH', key, ...someOf(random, VALUES, 4)];
    case 3:
    case 4:
    case 5:
      return ['RPUSH', key, ...someOf(random, VALUES, 4)];
    case 6:
      return [random.pick(['LPUSHX', 'RPUSHX']), key, ...someOf(random, VALUES, 3)];
    case 7:
      return [random.pick(['LPOP', 'RPOP']), key];
    case 8:
      return [random.pick(['LPOP', 'RPOP']), key, random.pick(COUNTS)];
    case 9:
    case 10:
    case 11:
      return ['LRANGE', key, index(), index()];
    case 12:
      return ['LINDEX', key, index()];
    case 13:
      return ['LLEN', key];
    case 14:
      return ['LSET', key, index(), value()];
    case 15:
    case 16:
      return ['LINSERT', key, random.pick(['BEFORE', 'after', 'x']), value(), value()];
    case 17:
      return ['LREM', key, random.pick(COUNTS), value()];
    case 18:
      return random.below(4) === 0 ? ['LTRIM', key, index(), index()] : ['LTRIM', key, '0', '-2'];
    case 19:
      return ['LMOVE', key, random.pick(KEYS), side(), side()];
    case 20:
      return ['RPOPLPUSH', key, random.pick(KEYS)];
    case 21: {
      const keys = someOf(random, KEYS, 3);
      const count = random.below(2) === 0 ? [] : ['COUNT', random.pick(COUNTS)];
      return ['LMPOP', String(keys.length), ...keys, side(), ...count];
    }
    case 22: {
      const options = [
        ['RANK', index()],
        ['COUNT', random.pick(COUNTS)],
        ['MAXLEN', random.pick(COUNTS)],
        ['RANK', '0'],
        ['x'],
      ];
      return ['LPOS', key, value(), ...Array.from({ length: random.below(3) }, () => random.pick(options)).flat()];
    }
    case 23:
      return random.below(3) === 0 ? ['DEL', key] : ['TYPE', key];
    case 24:
      return ['SET', 'text', 'a string'];
    default:
      return ['RENAME', key === 'text' ? 'text' : 'nothing', 'text'];
  }
}

describe('the commands on lists', () => {
  it('answer as redis-server does, whatever they are sent', () =>
    withSeed(thisFile, async (random) => {
      for (let round = 0; round < 20; round++) {
        await comparison().check([['SET', 'text', 's'], ...Array.from({ length: 150 }, () => randomRequest(random))]);
      }
    }));

  it('refuse what redis-server refuses, in its words', async () => {
    await comparison().check([
      ['SET', 'text', 's'],
      ['RPUSH', 'a', 'x', 'y', 'x', 'z', 'x'],
      ...described.map(({ name }) => [name]),
      ...described.map(({ name }) => [name, 'text', 'text', 'text', 'text', 'text', 'text']),
      ['LPOP', 'a', '1', '2'],
      ['LPOP', 'none', '0'],
      ['LPOP', 'none', '1'],
      ['LPOP', 'text', '-1'],
      ['LSET', 'none', 'a', 'x'],
      ['LSET', 'a', 'a', 'x'],
      ['LSET', 'a', '5', 'x'],
      ['LINDEX', 'none', 'a'],
      ['LINDEX', 'a', 'a'],
      ['LPOS', 'a', 'x', 'RANK', '0'],
      ['LPOS', 'a', 'x', 'RANK', '-9223372036854775807'],
      ['LPOS', 'a', 'x', 'RANK', 'a'],
      ['LPOS', 'a', 'x', 'COUNT', '-1'],
      ['LPOS', 'a', 'x', 'COUNT', 'a'],
      ['LPOS', 'a', 'x', 'MAXLEN', '-1'],
      ['LPOS', 'a', 'x', 'MAXLEN'],
      ['LPOS', 'a', 'x', 'COUNT', '0', 'RANK', '-2', 'MAXLEN', '3'],
      ['LPOS', 'none', 'x', 'COUNT', '0'],
      ['LPOS', 'none', 'x'],
      ['LMPOP', '0', 'a', 'LEFT'],
      ['LMPOP', 'a', 'a', 'LEFT'],
      ['LMPOP', '2', 'a', 'LEFT'],
      ['LMPOP', '1', 'a', 'LEFT', 'COUNT', '0'],
      ['LMPOP', '1', 'a', 'LEFT', 'COUNT', '1', 'COUNT', '1'],
      ['LMPOP', '1', 'none', 'LEFT'],
      ['LMPOP', '9223372036854775807', 'a', 'LEFT'],
      ['LMOVE', 'a', 'text', 'LEFT', 'RIGHT'],
      ['LMOVE', 'none', 'text', 'LEFT', 'RIGHT'],
      ['BLPOP', 'a', '-1'],
      ['BLPOP', 'a', 'x'],
      ['BLPOP', 'a', '-inf'],
      ['BLPOP', 'a', '0x1'],
      ['BLPOP', 'a', '0x1.8p-1'],
      ['BLPOP', 'a', '-0x1'],
      ['BLPOP', 'a', '0x'],
      ['BLPOP', 'text', '0'],
      ['BLPOP', 'none', 'text', '0'],
      ['BLMOVE', 'a', 'b', 'LEFT', 'LEFT', '-1'],
      ['BLMOVE', 'a', 'text', 'LEFT', 'LEFT', '1'],
      ['BLMPOP', '0', '0', 'a', 'LEFT'],
      ['BLMPOP', '-1', '1', 'a', 'LEFT'],
      ['BLMPOP', '1', '1', 'a', 'RIGHT', 'COUNT', '2'],
    ]);
  });

  it('do not wait inside a transaction', async () => {
    await comparison().check([
      ['MULTI'],
      ['BLPOP', 'none', '0'],
      ['BRPOP', 'none', '0'],
      ['BLMOVE', 'none', 'b', 'LEFT', 'LEFT', '0'],
      ['BRPOPLPUSH', 'none', 'b', '0'],
      ['BLMPOP', '0', '1', 'none', 'LEFT'],
      ['EXEC'],
    ]);
  });

  it('wait as long as redis-server does, and answer the same when it was for nothing', async () => {
    const requests: Request[] = [
      ['BLPOP', 'none', '0.01'],
      ['BLMOVE', 'none', 'b', 'LEFT', 'LEFT', '0.01'],
      ['BRPOPLPUSH', 'none', 'b', '0.01'],
      ['BLMPOP', '0.01', '1', 'none', 'LEFT'],
    ];
    const expected = await comparison().redisReplies(requests);
    let nowMs = 0;
    const harness = new CommandHarness(commands, { monotonicMs: () => nowMs });
    const got = requests.map((request) => {
      harness.run(...request);
      nowMs += 9;
      harness.node.blocking.tick();
      expect(harness.client.transport.take()).toHaveLength(0);
      nowMs += 1;
      harness.node.blocking.tick();
      return harness.client.transport.take().toString('latin1');
    });
    expect(got).toEqual(expected);
  });

  it('show the form in which Redis 7.2 would keep them', () => {
    const encodingWith = (sizeLimit: string, ...values: string[]): string => {
      const harness = new CommandHarness(commands, { settings: { 'list-max-listpack-size': sizeLimit } });
      harness.run('RPUSH', 'list', ...values);
      return harness.run('OBJECT', 'ENCODING', 'list').toString().split('\r\n')[1];
    };
    // Six bytes of header, two and a byte for the string's length, two for the entry's, one at the end.
    const filler = 'x'.repeat(8192 - 6 - 2 - 2 - 1);
    expect(encodingWith('-2', filler.slice(3))).toBe('listpack');
    expect(encodingWith('-2', `${filler}x`)).toBe('quicklist');
    expect(encodingWith('-1', filler)).toBe('quicklist');
    expect(encodingWith('-3', `${filler}x`)).toBe('listpack');
    expect(encodingWith('3', '1', '2', '3')).toBe('listpack');
    expect(encodingWith('3', '1', '2', '3', '4')).toBe('quicklist');
  });

  it('are described to clients as redis-server describes them', async () => {
    const requests = described.map(({ name }) => ['COMMAND', 'INFO', name]);
    const expected = await comparison().redisReplies(requests);
    const harness = new CommandHarness([...described, ...commandCommands]);
    expect(requests.map((request) => harness.run(...request).toString('latin1'))).toEqual(expected);
  });

  it('say what happens when several nodes write at once', () => {
    for (const { name, flags, merge } of described) {
      expect({ name, says: merge !== undefined }).toEqual({ name, says: flags.includes('write') });
    }
  });
});
