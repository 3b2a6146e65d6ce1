import { describe, expect, it } from '@jest/globals';
import { bitfieldCommands } from '../../../server/commands/bitfields.ts';
import { bitmapCommands } from '../../../server/commands/bitmaps.ts';
import { commandCommands } from '../../../server/commands/command-command.ts';
import { counterCommands } from '../../../server/commands/counters.ts';
import { longestCommonSubsequenceCommands } from '../../../server/commands/longest-common-subsequence.ts';
import { stringRangeCommands } from '../../../server/commands/string-ranges.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison } from '../../support/comparison.ts';

const described = [
  ...stringCommands,
  ...stringRangeCommands,
  ...counterCommands,
  ...bitmapCommands,
  ...bitfieldCommands,
  ...longestCommonSubsequenceCommands,
];

/** Redis's remarks on key specifications, in its own words, are left out here. */
function withoutNotes(reply: string): string {
  return reply.replace(/\*8\r\n\$5\r\nnotes\r\n\$\d+\r\n.*\r\n/, '*6\r\n');
}

const comparison = shareComparison([...described, ...commandCommands]);

describe('the commands on strings', () => {
  it('are described to clients as redis-server describes them', async () => {
    // MGET, MSET and MSETNX carry hints for proxies, which are not told here.
    const names = described.map(({ name }) => name).filter((name) => !['mget', 'mset', 'msetnx'].includes(name));
    const requests = names.map((name) => ['COMMAND', 'INFO', name]);
    const expected = await comparison().redisReplies(requests);
    const harness = new CommandHarness([...described, ...commandCommands]);
    const got = requests.map((request) => harness.run(...request).toString('latin1'));
    expect(got).toEqual(expected.map(withoutNotes));
  });

  it('say what happens when several nodes write at once', () => {
    for (const { name, flags, merge } of described) {
      expect({ name, says: merge !== undefined }).toEqual({ name, says: flags.includes('write') });
    }
  });
});
