import { describe, expect, it } from '@jest/globals';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison } from '../../support/comparison.ts';
import { checkSequence, keyspaceCommands, observeWatches, type Step } from '../../support/sequences.ts';

const comparison = shareComparison(keyspaceCommands);

const sequences: Record<string, Step[]> = {
  'MULTI and EXEC': [
    'MULTI',
    'SET a 1',
    'GET a',
    'INCR a',
    'GET missing',
    'EXEC',
    'GET a',
    'MULTI',
    'EXEC',
    'EXEC',
    'DISCARD',
    'MULTI x',
  ],
  DISCARD: [
    'MULTI',
    'SET a 1',
    'DISCARD',
    'GET a',
    'DISCARD',
    'WATCH a',
    'MULTI',
    'DISCARD',
    'SET a 2',
    'MULTI',
    'EXEC',
  ],
  'errors while queueing abort': [
    'MULTI',
    'SET a 1',
    'NOSUCHCOMMAND',
    'SET b 2',
    'EXEC',
    'EXISTS a b',
    'MULTI',
    'SET a',
    'EXEC',
    'MULTI',
    'OBJECT NOPE a',
    'EXEC',
    'EXEC',
  ],
  'errors while running do not': [
    'SET text x',
    'MULTI',
    'SET a 1',
    'INCR text',
    'SET b 2',
    'SELECT 99',
    'RENAME missing x',
    'EXEC',
    'GET a',
    'GET b',
  ],
  'what does not belong into a transaction': ['MULTI', 'MULTI', 'SET a 1', 'WATCH a', 'MULTI x', 'EXEC', 'GET a'],
  'SELECT inside': ['MULTI', 'SET a zero', 'SELECT 1', 'SET a one', 'EXEC', 'GET a', 'SELECT 0', 'GET a'],
  'a watched key that changed': [
    'SET a 1',
    'WATCH a',
    'SET a 2',
    'MULTI',
    'SET b 1',
    'EXEC',
    'EXISTS b',
    'MULTI',
    'SET b 1',
    'EXEC',
  ],
  'a watched key that did not change': ['SET a 1', 'WATCH a', 'GET a', 'SET b 1', 'MULTI', 'SET a 2', 'EXEC', 'GET a'],
  'a watched key that came': ['WATCH a', 'SET a 1', 'MULTI', 'EXEC'],
  'a watched key that went': ['SET a 1', 'WATCH a', 'DEL a', 'MULTI', 'EXEC'],
  'a watched key that was flushed': [
    'SET a 1',
    'WATCH a',
    'FLUSHALL',
    'MULTI',
    'EXEC',
    'WATCH a',
    'FLUSHDB',
    'MULTI',
    'EXEC',
  ],
  'a watched key that was swapped': [
    'SET a 1',
    'WATCH a',
    'SWAPDB 0 1',
    'MULTI',
    'EXEC',
    'WATCH a',
    'SWAPDB 0 1',
    'MULTI',
    'EXEC',
  ],
  'a watched key with another deadline': [
    'SET a 1',
    'WATCH a',
    'EXPIRE a 100',
    'MULTI',
    'EXEC',
    'WATCH a',
    'PERSIST a',
    'MULTI',
    'EXEC',
    'WATCH a',
    'EXPIRE a 100 XX',
    'MULTI',
    'EXEC',
  ],
  'a watched key of another database': [
    'WATCH a',
    'SELECT 1',
    'SET a 1',
    'MULTI',
    'EXEC',
    'SELECT 0',
    'WATCH a',
    'SET a 1',
    'SELECT 1',
    'MULTI',
    'EXEC',
    'SELECT 0',
  ],
  'watches of keys that were renamed, copied and moved': [
    'SET a 1',
    'WATCH a',
    'RENAME a b',
    'MULTI',
    'EXEC',
    'WATCH c',
    'COPY b c',
    'MULTI',
    'EXEC',
    'WATCH b',
    'COPY b d',
    'MULTI',
    'EXEC',
    'WATCH b',
    'MOVE b 1',
    'MULTI',
    'EXEC',
  ],
  UNWATCH: [
    'WATCH a b',
    'SET a 1',
    'UNWATCH',
    'MULTI',
    'SET c 1',
    'EXEC',
    'UNWATCH',
    'MULTI',
    'UNWATCH',
    'EXEC',
    'UNWATCH x',
    'WATCH',
  ],
  'EXEC ends a watch': ['WATCH a', 'MULTI', 'EXEC', 'SET a 1', 'MULTI', 'EXEC'],
  'a broken watch and an error': ['WATCH a', 'SET a 1', 'MULTI', 'NOSUCHCOMMAND', 'EXEC', 'MULTI', 'EXEC'],
};

describe('MULTI inside MULTI', () => {
  it('is refused and ends the transaction, as in Valkey 8', () => {
    const harness = new CommandHarness(keyspaceCommands);
    const replies = ['MULTI', 'SET a 2', 'MULTI', 'EXEC', 'GET a'].map((word) =>
      harness.run(...word.split(' ')).toString(),
    );
    expect(replies.slice(2)).toEqual([
      '-ERR MULTI calls can not be nested\r\n',
      '-EXECABORT Transaction discarded because of previous errors.\r\n',
      '$-1\r\n',
    ]);
  });
});

describe('transactions, as redis-server has them', () => {
  it.each(Object.keys(sequences))('%s', async (name) => {
    await checkSequence(comparison(), sequences[name]);
  });
});

describe('WATCH', () => {
  it('sees what other connections change, and not what they leave alone', () => {
    const harness = new CommandHarness(keyspaceCommands);
    observeWatches(harness);
    const other = harness.connect();
    harness.run('WATCH', 'a', 'b');
    other.run('SET', 'c', '1');
    harness.run('MULTI');
    expect(harness.run('EXEC').toString()).toBe('*0\r\n');
    harness.run('WATCH', 'a', 'b');
    harness.run('MULTI');
    harness.run('SET', 'c', '2');
    other.run('SET', 'b', '1');
    expect(harness.run('EXEC').toString()).toBe('*-1\r\n');
    expect(harness.run('GET', 'c').toString()).toBe('$1\r\n1\r\n');
  });

  it('sees a deadline that has passed, though nobody looked at the key', () => {
    let nowMs = 1_000_000;
    const harness = new CommandHarness(keyspaceCommands, { wallClockMs: () => nowMs });
    observeWatches(harness);
    harness.run('SET', 'a', '1', 'PX', 100);
    harness.run('WATCH', 'a');
    harness.run('MULTI');
    nowMs += 101;
    expect(harness.run('EXEC').toString()).toBe('*-1\r\n');
    harness.run('SET', 'a', '1', 'PX', 100);
    nowMs += 101;
    harness.run('WATCH', 'a');
    harness.run('MULTI');
    expect(harness.run('EXEC').toString()).toBe('*0\r\n');
  });

  it('keeps nothing of a watch that has ended', () => {
    const harness = new CommandHarness(keyspaceCommands);
    const { watches } = harness.node;
    for (const end of [['UNWATCH'], ['MULTI', 'EXEC'], ['MULTI', 'DISCARD']]) {
      harness.run('WATCH', 'a', 'b', Buffer.from([0, 255]));
      expect(watches.size).toBe(3);
      for (const name of end) harness.run(name);
      expect(watches.size).toBe(0);
    }
  });
});
