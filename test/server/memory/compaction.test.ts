/** Blocks are moved while keys of all types live in them: nobody sees a difference, and what becomes empty is given back. */
import { describe, expect, it } from '@jest/globals';
import { allCommands } from '../../../server/commands/all.ts';
import { contentDigest } from '../../../server/peers/content-digest.ts';
import { installPacking } from '../../../storage/collections/packing.ts';
import { Compaction } from '../../../storage/arena/compaction.ts';
import { expireDue } from '../../../storage/expiry/expiry.ts';
import { CommandHarness, type HarnessClient } from '../../support/command-harness.ts';
import { SeededRandom, withSeed } from '../../support/seed.ts';

const FILE = 'test/server/memory/compaction.test.ts';
const START_MS = 1_700_000_000_000;
const KEYS = 5000;

const name = (index: number): string => `key:${index}`;

/** Makes the key of this number, of the type that the number says. */
function make(client: HarnessClient, random: SeededRandom, index: number): void {
  const key = name(index);
  const count = 1 + random.below(30);
  const members = Array.from(
    { length: count },
    (_, at) => `member ${at} of ${index} ${'x'.repeat(random.pick([0, 40]))}`,
  );
  const types = [
    (): unknown => client.run('SET', key, random.bytes(random.pick([40, 700, 2900]))),
    (): unknown => client.run('SET', key, random.bytes(5000 + random.below(9000))),
    (): unknown => client.run('INCRBY', key, index),
    (): unknown => client.run('HSET', key, ...members.flatMap((member) => [member, member])),
    (): unknown => client.run('SADD', key, ...members),
    (): unknown => client.run('ZADD', key, ...members.flatMap((member) => [random.below(5), member])),
    (): unknown => client.run('RPUSH', key, ...members),
    (): unknown => client.run('XADD', key, '*', ...members.slice(0, 1), 'value'),
  ];
  types[index % types.length]();
  if (index % 3 === 0) client.run('PEXPIREAT', key, START_MS + 1000 + (index % 7) * 1000);
  if (index % 16 === 3) client.run('HPEXPIREAT', key, START_MS + 2500, 'FIELDS', 1, members[0]);
}

/** All that is there. */
function content(client: HarnessClient): string[] {
  const readers = [
    ['GET'],
    ['GET'],
    ['GET'],
    ['HGETALL'],
    ['SMEMBERS'],
    ['ZRANGE', '0', '-1', 'WITHSCORES'],
    ['LRANGE', '0', '-1'],
    ['XRANGE', '-', '+'],
  ];
  return Array.from({ length: KEYS }, (_, index) => {
    const [command, ...rest] = readers[index % readers.length];
    const ranks = index % readers.length === 5 ? client.run('ZRANK', name(index), `member 0 of ${index} `) : '';
    return `${client.run(command, name(index), ...rest).toString('latin1')}${client.run('PEXPIRETIME', name(index)).toString()}${ranks.toString()}`;
  });
}

describe('moving blocks together', () => {
  it('changes nothing that can be seen, and gives back most of what was emptied', async () => {
    await withSeed(FILE, (random) => {
      let nowMs = START_MS;
      const { keyspace, node, client } = new CommandHarness(allCommands, { wallClockMs: () => nowMs });
      installPacking(keyspace);
      for (let index = 0; index < KEYS; index++) make(client, random, index);
      // Every other small collection is packed; those that a command names are made whole again.
      for (let left = 2; left > 0; left--) keyspace.objects.packSome(KEYS / 4);
      for (const index of random.shuffle(Array.from({ length: KEYS }, (_, at) => at)).slice(0, (KEYS * 3) / 4)) {
        client.run('DEL', name(index));
      }
      const before = content(client);
      keyspace.objects.packSome(KEYS / 4);
      const digest = contentDigest(node);
      const { usedBytes, residentBytes, emptyBytes } = keyspace.arena;
      const compaction = new Compaction(keyspace);
      compaction.run();
      expect(compaction.moved).toBeGreaterThan(100);
      expect(keyspace.arena.usedBytes).toBe(usedBytes);
      expect(keyspace.arena.residentBytes - keyspace.arena.emptyBytes).toBeLessThan(
        (residentBytes - emptyBytes) * 0.75,
      );
      expect(contentDigest(node)).toBe(digest);
      expect(content(client)).toEqual(before);

      // Deadlines are kept: those that have passed go without being looked at.
      nowMs = START_MS + 4500;
      keyspace.clock.refresh();
      while (expireDue(keyspace, 1000));
      const keyCount = (): number => Number(client.run('DBSIZE').toString().slice(1));
      const count = keyCount();
      content(client);
      expect(keyCount()).toBe(count);
      expect(keyspace.expiredKeys).toBeGreaterThan(100);
      expect(keyspace.expiredElements).toBeGreaterThan(10);

      // What is there can be changed and deleted; blocks that are named twice, or by nobody, would show.
      for (let index = 0; index < KEYS; index += 2) {
        client.run('DEL', name(index));
        make(client, random, index);
      }
      for (let index = 0; index < KEYS; index++) client.run('DEL', name(index));
      keyspace.objects.freeSome(Infinity);
      expect(keyspace.arena.usedBytes).toBe(0);
    });
  }, 60_000);

  it('goes on between writes, in steps', async () => {
    await withSeed(FILE, (random) => {
      const { keyspace, node, client } = new CommandHarness(allCommands, { wallClockMs: () => START_MS });
      const other = new CommandHarness(allCommands, { wallClockMs: () => START_MS });
      const clients = [client, other.client];
      const twin = random.uint32();
      // The same writes in both, blocks moved in one of them.
      const write = (index: number, seed: number): void => {
        for (const one of clients) make(one, new SeededRandom(seed), index);
      };
      for (let index = 0; index < KEYS; index++) write(index, twin + index);
      const compaction = new Compaction(keyspace);
      for (let step = 0; step < 700; step++) {
        const index = random.below(KEYS);
        if (random.chance(0.6)) for (const one of clients) one.run('DEL', name(index));
        else write(index, random.uint32());
        if (!compaction.isUnderWay && !(step % 500 === 0 && compaction.beginSegment())) compaction.beginPages();
        compaction.step(() => random.chance(0.3));
      }
      expect(compaction.moved).toBeGreaterThan(500);
      expect(content(client).filter((_, at) => at % 8 !== 7)).toEqual(
        content(other.client).filter((_, at) => at % 8 !== 7),
      );
      expect(keyspace.arena.usedBytes).toBe(other.keyspace.arena.usedBytes);
      expect(contentDigest(node)).toHaveLength(16);
    });
  }, 60_000);
});
