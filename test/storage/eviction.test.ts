import { describe, expect, it } from '@jest/globals';
import { Eviction } from '../../storage/eviction.ts';
import { withSeed } from '../support/seed.ts';
import { Replica } from './replica.ts';

const FILE = 'test/storage/eviction.test.ts';
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
});
