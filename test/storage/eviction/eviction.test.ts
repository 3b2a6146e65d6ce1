import { describe, expect, it } from '@jest/globals';
import { Eviction } from '../../../storage/eviction/eviction.ts';
import { withSeed } from '../../support/seed.ts';
import { Replica } from '../replica.ts';

const FILE = 'test/storage/eviction/eviction.test.ts';
const KEYS = 4000;

describe('eviction', () => {
  it('finds every key, the last ones too', async () => {
    await withSeed(FILE, (random) => {
      const replica = new Replica({ storing: false, feeding: false });
      const eviction = new Eviction(replica.keyspace, () => random.fraction());
      for (const database of [0, 1]) for (let at = 0; at < KEYS; at++) replica.set(`key:${at}`, 'value', 0, database);
      for (let left = 2 * KEYS; left > 0; left--) expect(eviction.evictOne('allkeys-lru', 5)).toBe('yes');
      expect(eviction.evictOne('allkeys-lru', 5)).toBe('none');
      expect(replica.keyspace.databases.map(({ index }) => index.count)).toEqual([0, 0]);
    });
  });

  it('takes those first that were not used for long, though it draws ahead', async () => {
    await withSeed(FILE, (random) => {
      const replica = new Replica({ storing: false, feeding: false });
      const { keyspace } = replica;
      const eviction = new Eviction(keyspace, () => random.fraction());
      keyspace.updateAccessClock(false);
      for (let at = 0; at < KEYS; at++) replica.set(`old:${at}`, 'value');
      replica.pass(60_000);
      keyspace.updateAccessClock(false);
      for (let at = 0; at < KEYS; at++) replica.set(`new:${at}`, 'value');
      for (let count = 0; count < KEYS; count++) eviction.evictOne('allkeys-lru', 5);
      let newOnes = 0;
      for (let at = 0; at < KEYS; at++) if (replica.find(`new:${at}`) !== 0) newOnes++;
      expect(newOnes / KEYS).toBeGreaterThan(0.9);
    });
  });

  it('finds the keys with a deadline among many deadlines that are none any more', async () => {
    await withSeed(FILE, (random) => {
      const replica = new Replica({ storing: false, feeding: false });
      const { keyspace } = replica;
      const eviction = new Eviction(keyspace, () => random.fraction());
      const keys = 50;
      // Each round's deadlines are sooner than those of the round before, and have entries of their own.
      for (let round = 0; round < 10; round++) {
        for (let at = 0; at < keys; at++) replica.set(`key:${at}`, 'value', keyspace.clock.nowMs + 1e6 - round);
      }
      expect(keyspace.databases[0].deadlines.length).toBeGreaterThan(4 * keys);
      for (let left = keys; left > 0; left--) expect(eviction.evictOne('volatile-random', 5)).toBe('yes');
      expect(eviction.evictOne('volatile-random', 5)).toBe('none');
    });
  });
});
