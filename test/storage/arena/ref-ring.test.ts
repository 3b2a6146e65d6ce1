import { describe, expect, it } from '@jest/globals';
import { ExpiryHeap } from '../../../storage/expiry/expiry-heap.ts';
import { RefRing } from '../../../storage/arena/ref-ring.ts';
import { withSeed } from '../../support/seed.ts';

const FILE = 'test/storage/arena/ref-ring.test.ts';

describe('the ring of references', () => {
  it('is a queue', async () => {
    await withSeed(FILE, (random) => {
      const ring = new RefRing();
      let model: number[] = [];
      let next = 1;
      for (let step = 0; step < 20_000; step++) {
        const growing = Math.floor(step / 2500) % 2 === 0;
        if (model.length === 0 || random.chance(growing ? 0.7 : 0.3)) {
          ring.push(next);
          model.push(next++);
        } else {
          expect(ring.shift()).toBe(model.shift());
        }
        if (step % 1999 === 0) {
          ring.compact((ref) => ref % 3 !== 0);
          model = model.filter((ref) => ref % 3 !== 0);
        }
        expect(ring.length).toBe(model.length);
        if (model.length > 0) expect(ring.at(step % model.length)).toBe(model[step % model.length]);
      }
      while (ring.length > 0) expect(ring.shift()).toBe(model.shift());
      ring.push(7);
      ring.clear();
      expect(ring.length).toBe(0);
    });
  });
});

describe('the heap of deadlines', () => {
  it('gives the soonest first, like a sorted list', async () => {
    await withSeed(FILE, (random) => {
      const heap = new ExpiryHeap();
      const model: number[] = [];
      for (let step = 0; step < 5000; step++) {
        if (model.length === 0 || random.chance(0.6)) {
          const deadlineMs = random.below(1000) + (random.chance(0.1) ? 2 ** 45 : 0);
          heap.push(deadlineMs, step + 1);
          model.push(deadlineMs);
        } else {
          model.sort((a, b) => a - b);
          expect(heap.soonestMs).toBe(model.shift());
          heap.pop();
        }
        expect(heap.length).toBe(model.length);
      }
      heap.clear();
      expect(heap.soonestMs).toBe(Infinity);
    });
  });

  it('keeps the order through a rebuild, and one entry of a block', async () => {
    await withSeed(FILE, (random) => {
      const heap = new ExpiryHeap();
      const deadlines = new Map<number, number>();
      for (let ref = 1; ref <= 500; ref++) {
        deadlines.set(ref, random.below(10_000));
        for (let copy = random.below(4); copy >= 0; copy--) heap.push(deadlines.get(ref)!, ref);
        heap.push(20_000, ref);
      }
      heap.rebuild((ref, deadlineMs) => ref % 2 === 0 && deadlines.get(ref) === deadlineMs);
      expect(heap.length).toBe(250);
      let last = 0;
      while (heap.length > 0) {
        expect(heap.soonestMs).toBeGreaterThanOrEqual(last);
        expect(heap.soonestRef % 2).toBe(0);
        last = heap.soonestMs;
        heap.pop();
      }
    });
  });
});
