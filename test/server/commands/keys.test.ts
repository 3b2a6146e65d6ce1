import { describe, expect, it } from '@jest/globals';
import { startDigesting } from '../../../storage/digests/digest-start.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { checkSequence, keyspaceCommands, type Step } from '../../support/sequences.ts';
import { withSeed } from '../../support/seed.ts';

const thisFile = 'test/server/commands/keys.test.ts';

const comparison = shareComparison(keyspaceCommands);

const sequences: Record<string, Step[]> = {
  'DEL, UNLINK, EXISTS, TOUCH and TYPE': [
    'SET a 1',
    'SET b 2',
    ['SET', '', 'empty name'],
    'EXISTS a',
    'EXISTS a a b missing',
    'TOUCH a a b missing',
    ['EXISTS', ''],
    'TYPE a',
    'TYPE missing',
    'DEL a a missing',
    'DEL a',
    'UNLINK b missing',
    ['DEL', ''],
    'DBSIZE',
    'DEL',
    'UNLINK',
    'EXISTS',
    'TOUCH',
    'TYPE',
    'TYPE a b',
  ],
  'keys of any bytes': [
    ['SET', Buffer.from([0, 255, 13, 10]), 'v'],
    ['EXISTS', Buffer.from([0, 255, 13, 10])],
    ['KEYS', '*'],
    ['RENAME', Buffer.from([0, 255, 13, 10]), Buffer.alloc(3000, 0xfe)],
    ['KEYS', '*'],
    ['GET', Buffer.alloc(3000, 0xfe)],
    ['SCAN', '0', 'COUNT', '100'],
    'RANDOMKEY',
    ['DEL', Buffer.alloc(3000, 0xfe)],
    'RANDOMKEY',
  ],
  RENAME: [
    'SET a 1 EX 1000',
    'RENAME a b',
    'GET a',
    'GET b',
    'TTL b',
    'SET c 3',
    'RENAME c b',
    'GET b',
    'TTL b',
    'RENAME missing x',
    'RENAME missing missing',
    'RENAME b b',
    'RENAMENX b b',
    'GET b',
    'RENAMENX missing x',
    'SET d 4',
    'RENAMENX b d',
    'RENAMENX b e',
    'GET e',
    'EXISTS b',
    'RENAME a',
    'RENAMENX a',
    'RENAME a b c',
    'DBSIZE',
  ],
  COPY: [
    'SET a 1 EX 1000',
    'COPY a b',
    'GET b',
    'TTL b',
    'COPY a b',
    'SET c 3',
    'COPY c b',
    'COPY c b REPLACE',
    'GET b',
    'TTL b',
    'COPY a a',
    'COPY a a REPLACE',
    'COPY a a DB 0',
    'COPY a a DB 1',
    'COPY a a DB 1',
    'COPY c a db 1 replace',
    'COPY missing x',
    'COPY missing missing',
    'COPY a b DB',
    'COPY a b DB x',
    'COPY a b DB 99',
    'COPY a b DB -1',
    'COPY a b DB 3000000000',
    'COPY a b DB 1.5',
    'COPY a b NOPE',
    'COPY a',
    'SELECT 1',
    'KEYS *',
    'GET a',
    'SELECT 0',
  ],
  MOVE: [
    'SET a 1 EX 1000',
    'MOVE a 1',
    'EXISTS a',
    'SELECT 1',
    'GET a',
    'TTL a',
    'SELECT 0',
    'SET a 2',
    'MOVE a 1',
    'GET a',
    'MOVE missing 1',
    'MOVE a 0',
    'MOVE a x',
    'MOVE a 99',
    'MOVE a -1',
    'MOVE a 99999999999',
    'MOVE a 9223372036854775808',
    'MOVE a',
  ],
  'KEYS with one key': [
    'SET hello 1',
    'KEYS *',
    'KEYS h?llo',
    'KEYS x*',
    'KEYS [a-h]ello',
    'KEYS h[^e]llo',
    ['KEYS', ''],
    'KEYS',
  ],
  'SCAN with one key': [
    'SCAN 0',
    'SET hello 1',
    'SCAN 0 COUNT 100',
    'SCAN 0 MATCH h* COUNT 100',
    'SCAN 0 MATCH x* COUNT 100',
    'SCAN 0 TYPE string COUNT 100',
    'SCAN 0 type STRING count 100',
    'SCAN 0 TYPE list COUNT 100',
    'SCAN 0 TYPE nothing COUNT 100',
    'SCAN 0 COUNT 9223372036854775807',
    ['SCAN', '', 'COUNT', '100'],
    'SCAN +0 COUNT 100',
    'SCAN x',
    'SCAN 1x',
    'SCAN 18446744073709551616',
    ['SCAN', ' 0'],
    ['SCAN', '0\0', 'COUNT', '100'],
    ['SCAN', '0\0x', 'COUNT', '100'],
    ['SCAN', 'x\0'],
    'SCAN 0 COUNT 0',
    'SCAN 0 COUNT -1',
    'SCAN 0 COUNT x',
    'SCAN 0 COUNT 9223372036854775808',
    'SCAN 0 COUNT',
    'SCAN 0 MATCH',
    'SCAN 0 NOPE 1',
    'SCAN 0 MATCH h* NOPE',
    'SCAN x COUNT x',
    'SCAN',
  ],
  RANDOMKEY: ['RANDOMKEY', 'SET only 1', 'RANDOMKEY', 'DEL only', 'RANDOMKEY', 'RANDOMKEY x'],
};

describe('keys, as redis-server has them', () => {
  it.each(Object.keys(sequences))('%s', async (name) => {
    await checkSequence(comparison(), sequences[name]);
  });
});

/** The strings of a reply whose strings hold no line breaks. */
function stringsOf(reply: Buffer): string[] {
  return reply
    .toString('latin1')
    .split('\r\n')
    .filter((_line, index, lines) => index > 0 && lines[index - 1].startsWith('$'));
}

/** Walks with SCAN to the end; `between` is run between calls. */
function walk(harness: CommandHarness, options: () => Request, between = (): void => {}): string[] {
  const found: string[] = [];
  let cursor = '0';
  do {
    const [next, ...keys] = stringsOf(harness.run('SCAN', cursor, ...options()));
    expect(Number(next)).toBeLessThan(2 ** 53);
    found.push(...keys);
    between();
    cursor = next;
  } while (cursor !== '0');
  return found;
}

describe('SCAN', () => {
  it('gives every key that is there throughout, and none twice, while the table grows and shrinks', async () => {
    await withSeed(thisFile, (random) => {
      const harness = new CommandHarness(keyspaceCommands);
      const stable = Array.from({ length: 3000 }, (_, index) => `stable:${index}:${random.uint32()}`);
      for (const key of stable) harness.run('SET', key, '1');
      let added = 0;
      const change = (): void => {
        if (random.chance(0.7)) harness.run('SET', `added:${added++}`, '1');
        else harness.run('DEL', `added:${random.below(added + 1)}`);
      };
      const found = walk(
        harness,
        () => ['COUNT', 1 + random.below(200)],
        () => {
          for (let left = random.below(1500); left > 0; left--) change();
        },
      );
      const seen = new Map<string, number>();
      for (const key of found) seen.set(key, (seen.get(key) ?? 0) + 1);
      const missing = stable.filter((key) => !seen.has(key));
      const twice = stable.filter((key) => (seen.get(key) ?? 0) > 1);
      expect({ missing, twice }).toEqual({ missing: [], twice: [] });
    });
  });

  it('finds with MATCH and TYPE what KEYS finds', () => {
    const harness = new CommandHarness(keyspaceCommands);
    for (let index = 0; index < 5000; index++) harness.run('SET', `k:${index}`, '1');
    const expected = stringsOf(harness.run('KEYS', 'k:*7')).sort();
    expect(expected).toHaveLength(500);
    const found = walk(harness, () => ['MATCH', 'k:*7', 'TYPE', 'string', 'COUNT', 300]);
    expect(found.sort()).toEqual(expected);
    expect(walk(harness, () => ['TYPE', 'list', 'COUNT', 1000])).toEqual([]);
  });

  it('finds nothing among tombstones, and ends', () => {
    const harness = new CommandHarness(keyspaceCommands);
    startDigesting(harness.keyspace);
    for (let index = 0; index < 3000; index++) harness.run('SET', `k:${index}`, '1');
    for (let index = 0; index < 3000; index++) if (index !== 1234) harness.run('DEL', `k:${index}`);
    expect(walk(harness, () => [])).toEqual(['k:1234']);
    expect(stringsOf(harness.run('KEYS', '*'))).toEqual(['k:1234']);
    expect(stringsOf(harness.run('RANDOMKEY'))).toEqual(['k:1234']);
    harness.run('DEL', 'k:1234');
    expect(harness.run('RANDOMKEY').toString()).toBe('$-1\r\n');
  });
});

describe('RANDOMKEY', () => {
  it('gives keys that are there, and in time all of them', async () => {
    await withSeed(thisFile, (random) => {
      const harness = new CommandHarness(keyspaceCommands);
      harness.node.random = () => random.fraction();
      const keys = Array.from({ length: 20 }, (_, index) => `key:${index}`);
      for (const key of keys) harness.run('SET', key, '1');
      for (let index = 0; index < 20; index++) harness.run('SET', `gone:${index}`, '1');
      for (let index = 0; index < 20; index++) harness.run('DEL', `gone:${index}`);
      const found = new Set<string>();
      for (let count = 0; count < 2000; count++) found.add(stringsOf(harness.run('RANDOMKEY'))[0]);
      expect(found).toEqual(new Set(keys));
    });
  });
});
