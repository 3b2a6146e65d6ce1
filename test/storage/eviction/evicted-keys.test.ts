import { describe, expect, it } from '@jest/globals';
import { EvictedKeys } from '../../../storage/eviction/evicted-keys.ts';
import { withSeed } from '../../support/seed.ts';

const testFile = 'test/storage/eviction/evicted-keys.test.ts';

describe('evicted keys', () => {
  it('are known as long as they are evicted, at about 6 bytes each, and few others are taken for them', async () => {
    await withSeed(testFile, (random) => {
      const evicted = new EvictedKeys();
      const hashes = new Set(Array.from({ length: 100_000 }, () => random.below(0x100000000)));
      for (const hash of hashes) evicted.add(hash);
      expect([...hashes].filter((hash) => !evicted.has(hash))).toEqual([]);
      expect(evicted.bytes / hashes.size).toBeLessThan(10);
      const others = Array.from({ length: 100_000 }, () => random.below(0x100000000)).filter(
        (hash) => !hashes.has(hash),
      );
      expect(others.filter((hash) => evicted.has(hash)).length).toBeLessThan(100);
      const half = [...hashes].slice(0, 50_000);
      for (const hash of half) evicted.remove(hash);
      const rest = [...hashes].slice(50_000);
      expect(rest.filter((hash) => !evicted.has(hash))).toEqual([]);
      expect(half.filter((hash) => evicted.has(hash)).length).toBeLessThan(100);
      expect(evicted.count).toBeGreaterThanOrEqual(49_900);
      evicted.clear();
      expect([evicted.count, evicted.bytes, rest.some((hash) => evicted.has(hash))]).toEqual([0, 0, false]);
    });
  });

  it('that share a hash are both known until the last one is back', () => {
    const evicted = new EvictedKeys();
    for (const hash of [0, -1, 0x7fffffff, 12]) {
      evicted.add(hash);
      expect(evicted.has(hash)).toBe(true);
      evicted.remove(hash);
      expect(evicted.has(hash)).toBe(false);
      // Of two the first to come back must not take the other's entry along.
      evicted.add(hash);
      evicted.add(hash);
      evicted.remove(hash);
      expect(evicted.has(hash)).toBe(true);
      // The same where it is not known whose the entry is.
      evicted.clear();
      evicted.add(hash, true);
      evicted.remove(hash);
      expect(evicted.has(hash)).toBe(true);
      evicted.clear();
    }
  });
});
