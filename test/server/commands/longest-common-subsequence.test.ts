import { describe, expect, it } from '@jest/globals';
import { longestCommonSubsequenceCommands } from '../../../server/commands/longest-common-subsequence.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { TYPE_LIST } from '../../../storage/arena/block.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { withSeed } from '../../support/seed.ts';

const thisFile = 'test/server/commands/longest-common-subsequence.test.ts';
const commands = [...longestCommonSubsequenceCommands, ...stringCommands];

const comparison = shareComparison(commands);

const OPTIONS: readonly Request[] = [
  [],
  ['LEN'],
  ['IDX'],
  ['idx', 'WITHMATCHLEN'],
  ['IDX', 'MINMATCHLEN', 2],
  ['IDX', 'WITHMATCHLEN', 'MINMATCHLEN', 4],
  ['IDX', 'MINMATCHLEN', -1],
  ['LEN', 'MINMATCHLEN', 3],
  ['WITHMATCHLEN'],
];

describe('LCS', () => {
  it('answers as redis-server does for random texts', async () => {
    await withSeed(thisFile, async (random) => {
      for (let round = 0; round < 60; round++) {
        const letters = random.pick(['ab', 'abcd', 'abcdefghij']);
        const text = (): string =>
          Array.from({ length: random.pick([0, 1, 5, 30, 200]) }, () => random.pick([...letters])).join('');
        const requests: Request[] = [['MSET', 'a', text(), 'b', text()]];
        for (const options of OPTIONS)
          requests.push(['LCS', 'a', 'b', ...options], ['LCS', 'a', 'none', ...options], ['LCS', 'a', 'a', ...options]);
        await comparison().check(requests);
      }
    });
  });

  it('refuses wrong calls with the same texts', async () => {
    await comparison().check([
      ['MSET', 'a', 'foo', 'b', 'boo'],
      ['LCS'],
      ['LCS', 'a'],
      ['LCS', 'a', 'b', 'FOO'],
      ['LCS', 'a', 'b', 'LEN', 'IDX'],
      ['LCS', 'a', 'b', 'MINMATCHLEN'],
      ['LCS', 'a', 'b', 'MINMATCHLEN', 'x'],
      ['LCS', 'a', 'b', 'IDX', 'MINMATCHLEN', '99999999999999999999'],
    ]);
  });

  it('refuses keys of another type, before it reads its options', async () => {
    await comparison().check(
      [
        ['LCS', 'l', 'a'],
        ['LCS', 'a', 'l'],
        ['LCS', 'a', 'l', 'FOO'],
        ['LCS', 'l', 'l', 'LEN'],
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

  it('refuses texts whose table would be over proto-max-bulk-len', () => {
    const harness = new CommandHarness(commands, { settings: { 'proto-max-bulk-len': '1mb' } });
    harness.run('MSET', 'a', 'x'.repeat(511), 'b', 'y'.repeat(511), 'c', 'z'.repeat(512));
    expect(harness.run('LCS', 'a', 'b').toString()).toBe('$0\r\n\r\n');
    expect(harness.run('LCS', 'a', 'c').toString()).toBe(
      '-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len\r\n',
    );
  });
});
