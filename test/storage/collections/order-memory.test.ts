import { describe, expect, it } from '@jest/globals';
import { allCommands } from '../../../server/commands/all.ts';
import { CommandHarness } from '../../support/command-harness.ts';

/** Runs what a key is made with and what takes it away; gives the arena's bytes before, between and after. */
function bytesAround(make: (harness: CommandHarness) => void, end: (harness: CommandHarness) => void): number[] {
  const harness = new CommandHarness(allCommands);
  const { arena, objects } = harness.keyspace;
  // The database's own block sizes do not matter: nothing is in it.
  const before = arena.usedBytes;
  make(harness);
  const between = arena.usedBytes;
  end(harness);
  while (!objects.freeSome(1000));
  return [before, between, arena.usedBytes];
}

const members = (count: number): string[] =>
  Array.from({ length: count }, (_, at) => [String((at * 7919) % 1009), `member:${at}`]).flat();

function makeSet(harness: CommandHarness): void {
  for (let from = 0; from < 3000; from += 500) {
    harness.client.run('ZADD', 'key', ...members(500).map((word, at) => (at % 2 === 0 ? word : `${word}:${from}`)));
  }
}

function makeStream({ client }: CommandHarness): void {
  for (let id = 1; id <= 500; id++) client.run('XADD', 'key', `${id}-1`, 'field', 'value');
  client.run('XGROUP', 'CREATE', 'key', 'group', '0');
  client.run('XREADGROUP', 'GROUP', 'group', 'one', 'COUNT', '200', 'STREAMS', 'key', '>');
  client.run('XREADGROUP', 'GROUP', 'group', 'two', 'COUNT', '200', 'STREAMS', 'key', '>');
}

describe('the memory of orders', () => {
  it.each([
    ['DEL of a sorted set', makeSet, ['DEL', 'key']],
    ['the last ZPOPMIN', makeSet, ['ZPOPMIN', 'key', '3000']],
    ['ZREMRANGEBYRANK of all', makeSet, ['ZREMRANGEBYRANK', 'key', '0', '-1']],
    ['SET over a sorted set', makeSet, ['SET', 'key', 'x']],
    ['FLUSHALL', makeSet, ['FLUSHALL']],
    ['DEL of a stream with groups', makeStream, ['DEL', 'key']],
  ] as const)('comes back with %s', (_, make, command) => {
    const [before, between, after] = bytesAround(make, ({ client }) => {
      client.run(...command);
      client.run('DEL', 'key');
    });
    expect(between).toBeGreaterThan(before + 20_000);
    expect(after).toBe(before);
  });

  it('is counted by MEMORY USAGE', () => {
    const harness = new CommandHarness(allCommands);
    const before = harness.keyspace.arena.usedBytes;
    makeSet(harness);
    const usage = Number(/^:(\d+)/.exec(harness.client.run('MEMORY', 'USAGE', 'key', 'SAMPLES', '0').toString())![1]);
    expect(usage).toBeGreaterThan(harness.keyspace.arena.usedBytes - before);
  });
});
