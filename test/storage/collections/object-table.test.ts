import { describe, expect, it } from '@jest/globals';
import type { Collection } from '../../../storage/collections/collection.ts';
import { ObjectTable } from '../../../storage/collections/object-table.ts';
import { withSeed } from '../../support/seed.ts';

const FILE = 'test/storage/collections/object-table.test.ts';

/** As much of a collection as the table asks for. */
function collectionLike(): Collection {
  const like = { type: 1, count: 0, bytes: 10, countedBytes: 0, createEmpty: collectionLike, freeElements: () => true };
  return like as unknown as Collection;
}

describe('the table of collections', () => {
  it('finds each collection in its slot, gives a freed slot again, and nothing for one that is free', async () => {
    await withSeed(FILE, (random) => {
      const table = new ObjectTable();
      const freed: number[] = [];
      table.freePacked = (packed) => void freed.push(packed);
      const held = new Map<number, Collection | number>();
      const released = new Set<number>();
      let most = 0;
      for (let step = 0; step < 20_000; step++) {
        if (random.fraction() < (step % 4000 < 2000 ? 0.7 : 0.3)) {
          const collection = collectionLike();
          const slot = table.add(collection);
          expect(slot).toBeGreaterThan(0);
          expect(held.has(slot)).toBe(false);
          expect(collection.slot).toBe(slot);
          held.set(slot, collection);
          released.delete(slot);
          if (random.fraction() < 0.5) {
            table.movePacked(slot, 1_000_000 + step);
            held.set(slot, 1_000_000 + step);
          }
        } else if (held.size > 0) {
          const slot = [...held.keys()][Math.floor(random.fraction() * held.size)];
          const was = held.get(slot)!;
          table.release(slot);
          if (typeof was === 'number') expect(freed.pop()).toBe(was);
          held.delete(slot);
          released.add(slot);
        }
        most = Math.max(most, held.size);
      }
      for (const [slot, was] of held) {
        expect(table.packedAt(slot)).toBe(typeof was === 'number' ? was : 0);
        expect(table.unpackedAt(slot)).toBe(typeof was === 'number' ? null : was);
      }
      for (const slot of released) expect([table.packedAt(slot), table.unpackedAt(slot)]).toEqual([0, null]);
      expect(held.size + released.size).toBe(most);
      expect(() => table.release([...released][0])).toThrow('a slot is released once');
    });
  });
});
