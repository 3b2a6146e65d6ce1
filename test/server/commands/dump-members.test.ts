/** Hashes, sets and sorted sets carried between redis-server and Mantis. */
import { describe, expect, it } from '@jest/globals';
import { crc64 } from '../../../protocol/crc64.ts';
import { hashCommands } from '../../../server/commands/hashes.ts';
import { setCommands } from '../../../server/commands/sets.ts';
import { sortedSetRangeCommands } from '../../../server/commands/sorted-set-ranges.ts';
import { sortedSetCommands } from '../../../server/commands/sorted-sets.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';
import { bulkOf, keyspaceCommands, requestOf, type Step } from '../../support/sequences.ts';

const commands = [
  ...keyspaceCommands,
  ...hashCommands,
  ...setCommands,
  ...sortedSetCommands,
  ...sortedSetRangeCommands,
];

const comparison = shareComparison(commands);

const many = (count: number, make: (at: number) => (string | number)[]): (string | number)[] =>
  Array.from({ length: count }, (_, at) => make(at)).flat();

/** What makes the key k, what shows it whole, and what sets Redis's form apart. */
const values: Record<string, { make: Request; show: Step; sorted?: boolean }> = {
  'a small hash': {
    make: ['HSET', 'k', 'f', 'v', 'n', '12345', '', 'empty', 'neg', '-7'],
    show: 'HGETALL k',
    sorted: true,
  },
  'a large hash': { make: ['HSET', 'k', ...many(600, (at) => [`field${at}`, at])], show: 'HGETALL k', sorted: true },
  'a hash with a long value': {
    make: ['HSET', 'k', 'f', 'x'.repeat(5000), 'g', 'y'.repeat(70)],
    show: 'HGETALL k',
    sorted: true,
  },
  'a set of integers': {
    make: ['SADD', 'k', '1', '-5', '70000', '9007199254740993'],
    show: 'SMEMBERS k',
    sorted: true,
  },
  'a set of words': { make: ['SADD', 'k', 'a', 'b', '12', ''], show: 'SMEMBERS k', sorted: true },
  'a large set': { make: ['SADD', 'k', ...many(700, (at) => [`member${at}`])], show: 'SMEMBERS k', sorted: true },
  'a small sorted set': {
    make: ['ZADD', 'k', '1', 'a', '2.5', 'b', '-3', 'c', 'inf', 'd', '100000', '12'],
    show: 'ZRANGE k 0 -1 WITHSCORES',
  },
  'a large sorted set': {
    make: ['ZADD', 'k', ...many(300, (at) => [at / 4, `member${at}`])],
    show: 'ZRANGE k 0 -1 WITHSCORES',
  },
};

/** A reply's lines, for those whose order does not matter in order. */
function shown(reply: string, sorted = false): string[] {
  const lines = reply.split('\r\n');
  return sorted ? lines.sort() : lines;
}

describe('DUMP and RESTORE of collections', () => {
  it.each(Object.keys(values))('%s', async (name) => {
    const { make, show, sorted } = values[name];
    const replies = await comparison().redisReplies([['FLUSHALL'], make, ['DUMP', 'k'], requestOf(show)]);
    const ours = new CommandHarness(commands);
    ours.run('SET', 'k', 'old');
    expect(ours.run('RESTORE', 'k', 0, bulkOf(replies[2]), 'REPLACE').toString()).toBe('+OK\r\n');
    expect(shown(ours.run(...requestOf(show)).toString('latin1'), sorted)).toEqual(shown(replies[3], sorted));

    const made = new CommandHarness(commands);
    made.run(...make);
    const back = await comparison().redisReplies([
      ['FLUSHALL'],
      ['RESTORE', 'k', 0, bulkOf(made.run('DUMP', 'k'))],
      requestOf(show),
    ]);
    expect(back[1]).toBe('+OK\r\n');
    expect(shown(back[2], sorted)).toEqual(shown(replies[3], sorted));
  });

  it('refuses what is damaged', () => {
    const harness = new CommandHarness(commands);
    const payload = (...bytes: number[]): Buffer => {
      const value = Buffer.from([...bytes, 10, 0]);
      const { hi, lo } = crc64(value, 0, value.length);
      const footer = Buffer.alloc(8);
      footer.writeUInt32LE(lo, 0);
      footer.writeUInt32LE(hi, 4);
      return Buffer.concat([value, footer]);
    };
    const damaged = {
      'an empty hash': payload(4, 0),
      'a hash that repeats a field': payload(4, 2, 1, 97, 1, 98, 1, 97, 1, 98),
      'a field without a value': payload(4, 1, 1, 97),
      'an empty set': payload(2, 0),
      'a set that repeats a member': payload(2, 2, 1, 97, 1, 97),
      'an empty sorted set': payload(5, 0),
      'a score that is no number': payload(5, 1, 1, 97, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f),
      'a member without a score': payload(5, 1, 1, 97, 0, 0),
      'a sorted set that repeats a member': payload(5, 2, 1, 97, 0, 0, 0, 0, 0, 0, 0, 0, 1, 97, 0, 0, 0, 0, 0, 0, 0, 0),
    };
    for (const [what, bytes] of Object.entries(damaged)) {
      expect([what, harness.run('RESTORE', 'k', 0, bytes).toString()]).toEqual([what, '-ERR Bad data format\r\n']);
    }
    expect(harness.run('DBSIZE').toString()).toBe(':0\r\n');
  });
});
