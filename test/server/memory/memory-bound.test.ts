import { describe, expect, it } from '@jest/globals';
import { MemoryBound } from '../../../server/memory/memory-bound.ts';
import type { ProcessMemory } from '../../../server/memory/process-memory.ts';
import { Eviction } from '../../../storage/eviction/eviction.ts';
import { Replica } from '../../storage/replica.ts';
import { withSeed } from '../../support/seed.ts';

const FILE = 'test/server/memory/memory-bound.test.ts';
const MEBIBYTE = 1 << 20;
const SEGMENT_BYTES = 8 * MEBIBYTE;

/** A process that has grown by what the test says. */
class StatedMemory implements ProcessMemory {
  growth = 0;
  growthBytes(): number {
    return this.growth;
  }
  noteEmpty(): void {}
  collect(): void {}
  limitNewSpace(): void {}
}

function bounded(mebibytes: number) {
  const replica = new Replica({ storing: false, feeding: false });
  const memory = new StatedMemory();
  const bound = new MemoryBound(replica.keyspace, memory, () => 0);
  bound.bytesMax = mebibytes * MEBIBYTE;
  return { replica, memory, bound };
}

describe('the bound of memory', () => {
  it('leaves less to data when the process has grown by what nothing counts, but half in any case', () => {
    const { replica, memory, bound } = bounded(100);
    replica.set('key', 'value');
    memory.growth = bound.residentBytes;
    bound.look();
    const before = bound.evictAtBytes;
    expect(before / MEBIBYTE).toBeGreaterThan(85);
    memory.growth += 30 * MEBIBYTE;
    bound.look();
    expect((before - bound.evictAtBytes) / MEBIBYTE).toBeCloseTo(30, 3);
    memory.growth += 100 * MEBIBYTE;
    bound.look();
    expect(bound.evictAtBytes / MEBIBYTE).toBeGreaterThan(45);
  });

  it('leaves room for what is compiled when keys are first evicted, until it is known what that took', () => {
    const { replica, memory, bound } = bounded(100);
    const look = (): void => {
      memory.growth = bound.residentBytes;
      bound.look();
    };
    look();
    const empty = bound.evictAtBytes;
    for (let at = 0; replica.keyspace.usedBytes < empty; at++) replica.set(`key:${at}`, 'v'.repeat(4000));
    for (let looks = 0; looks < 10; looks++) look();
    const soon = bound.evictAtBytes;
    expect(soon).toBeGreaterThan(empty);
    for (let looks = 0; looks < 90; looks++) {
      for (let at = 0; replica.keyspace.usedBytes < bound.evictAtBytes; at++)
        replica.set(`${looks}:${at}`, 'v'.repeat(4000));
      look();
    }
    expect((bound.evictAtBytes - empty) / MEBIBYTE).toBeGreaterThan(7.5);
    expect(bound.evictAtBytes).toBeGreaterThan(soon);
  });

  it('gives back what was lowered after one look, but not what a flood may want again', async () => {
    await withSeed(FILE, (random) => {
      const { replica, memory, bound } = bounded(100);
      const { keyspace } = replica;
      const { arena } = keyspace;
      const eviction = new Eviction(keyspace, () => random.fraction());
      const evictTo = (mebibytes: number): void => {
        while (keyspace.usedBytes > mebibytes * MEBIBYTE) expect(eviction.evictOne('allkeys-random', 5)).toBe('yes');
      };
      const settle = (): void => {
        memory.growth = bound.residentBytes;
        bound.look();
        while (bound.compact(Infinity));
      };
      for (let at = 0; arena.residentBytes < 96 * MEBIBYTE; at++) replica.set(`key:${at}`, 'v'.repeat(4000));
      const fullBytes = arena.residentBytes;
      bound.bytesMax = 92 * MEBIBYTE;
      evictTo(80);
      settle();
      expect(arena.residentBytes).toBeGreaterThan(fullBytes - 2 * SEGMENT_BYTES);
      bound.bytesMax = 40 * MEBIBYTE;
      evictTo(30);
      settle();
      expect(arena.residentBytes).toBeLessThan(40 * MEBIBYTE + 3 * SEGMENT_BYTES);
    });
  });
});
