import { describe, expect, it } from '@jest/globals';
import { sampleWeight } from '../../../server/monitoring/slow-commands.ts';
import { TimeHistogram } from '../../../server/monitoring/time-histogram.ts';
import { withSeed } from '../../support/seed.ts';

describe('a histogram of times', () => {
  it('shows the buckets with calls, by the bounds that Redis writes', () => {
    const times = new TimeHistogram();
    for (const microseconds of [0, 0.5, 1, 3, 20, 20, 30, 100_000, 60e6]) times.add(microseconds, 1);
    expect(times.calls).toBe(9);
    expect(times.cumulative()).toEqual([
      { upTo: 1, calls: 3 },
      { upTo: 4, calls: 4 },
      { upTo: 33, calls: 7 },
      { upTo: 135_266, calls: 8 },
      { upTo: 2_164_260, calls: 9 },
    ]);
  });

  it('tells percentiles to a quarter, and never too little', async () => {
    await withSeed(import.meta.filename, (random) => {
      const times = new TimeHistogram();
      const all: number[] = [];
      for (let count = 0; count < 2000; count++) {
        const microseconds = 0.13 * 2 ** (random.fraction() * 20);
        all.push(microseconds);
        times.add(microseconds, 1);
      }
      all.sort((left, right) => left - right);
      for (const percent of [0, 1, 50, 90, 99, 99.9, 100]) {
        const exact = all[Math.max(0, Math.ceil((percent / 100) * all.length) - 1)];
        expect(times.percentile(percent)).toBeGreaterThan(exact - 0.001);
        expect(times.percentile(percent)).toBeLessThan(exact * 1.26);
      }
    });
  });

  it('counts what samples stand for: all of the first calls, then one in sixteen', () => {
    for (const [calls, most] of [
      [1, 1],
      [16, 16],
      [31, 16],
      [32, 32],
      [16_000, 16_000],
    ]) {
      let counted = 0;
      for (let call = 1; call <= calls; call++) counted += sampleWeight(call);
      expect(counted).toBe(most);
    }
  });
});
