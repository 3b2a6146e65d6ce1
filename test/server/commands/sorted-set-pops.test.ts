import { describe, expect, it } from '@jest/globals';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison } from '../../support/comparison.ts';
import { checkSequence, type Step } from '../../support/sequences.ts';
import { commands, FIVE } from './sorted-set-steps.ts';

const comparison = shareComparison(commands);

const sequences: Record<string, Step[]> = {
  'ZPOPMIN, ZPOPMAX, ZMPOP': [
    FIVE,
    'ZPOPMIN z',
    'ZPOPMAX z',
    'ZPOPMIN z 2',
    'ZPOPMAX z 0',
    'ZPOPMAX z 10',
    'ZPOPMIN z',
    'ZPOPMIN z 1',
    'EXISTS z',
    'ZPOPMIN z -1',
    'ZPOPMIN z x',
    'ZPOPMIN z 1 2',
    FIVE,
    'ZPOPMIN z 0',
    'ZPOPMIN z 1',
    'ZMPOP 1 z MIN',
    'ZMPOP 2 missing z MAX COUNT 2',
    'ZMPOP 1 missing MIN',
    'ZMPOP 0 z MIN',
    'ZMPOP x z MIN',
    'ZMPOP 1 z',
    'ZMPOP 1 z NOPE',
    'ZMPOP 2 z MIN',
    'ZMPOP 1 z MIN COUNT 0',
    'ZMPOP 1 z MIN COUNT x',
    'ZMPOP 1 z MIN COUNT',
    'ZMPOP 1 z MIN COUNT 1 COUNT 2',
    'ZMPOP 1 z min count 10',
    'EXISTS z',
    'SET s 1',
    'ZMPOP 1 s MIN',
    'ZPOPMIN s',
    'ZMPOP 2 missing s MIN',
    'ZPOPMIN s 0',
    'ZPOPMIN missing -1',
  ],
  'blocking pops that need not wait': [
    FIVE,
    'BZPOPMIN z 0',
    'BZPOPMAX missing z 1',
    'BZPOPMIN z x',
    'BZPOPMIN z -1',
    'SET s 1',
    'BZPOPMIN s 1',
    'BZPOPMIN z s 1',
    'BZMPOP 0 1 z MIN',
    'BZMPOP 1 2 missing z MAX COUNT 5',
    FIVE,
    'BZMPOP x 1 z MIN',
    'BZMPOP 1 0 z MIN',
    'BZMPOP 1 1 z',
    'BZMPOP 1 1 s MIN',
    'BZMPOP 1 1 z MIN COUNT 0',
    'BZPOPMIN z',
    'MULTI',
    'BZPOPMIN none 0',
    'BZMPOP 0 1 none MIN',
    'BZPOPMAX z 0',
    'EXEC',
  ],
};

describe('pops of sorted sets, as redis-server has them', () => {
  it.each(Object.keys(sequences))('%s', async (name) => {
    await checkSequence(comparison(), sequences[name]);
  });
});

describe('blocking pops', () => {
  it('wait for a member, in the order in which they came', () => {
    const harness = new CommandHarness(commands);
    const [first, second] = [harness.connect(), harness.connect()];
    expect(first.run('BZPOPMIN', 'y', 'z', '0').toString()).toBe('');
    expect(second.run('BZMPOP', '0', '2', 'z', 'x', 'MAX', 'COUNT', '5').toString()).toBe('');
    harness.run('SADD', 'z', 'other type');
    harness.run('DEL', 'z');
    expect(harness.run('ZADD', 'z', '1', 'a', '2', 'b', '3', 'c').toString()).toBe(':3\r\n');
    expect(first.transport.take().toString()).toBe('*3\r\n$1\r\nz\r\n$1\r\na\r\n$1\r\n1\r\n');
    expect(second.transport.take().toString()).toBe(
      '*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\nc\r\n$1\r\n3\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n',
    );
    expect(harness.run('EXISTS', 'z').toString()).toBe(':0\r\n');
  });
});
