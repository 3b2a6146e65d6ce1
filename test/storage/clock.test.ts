import { describe, expect, it } from '@jest/globals';
import { compareStamp, stampCounter, stampHiOf, stampLoOf, stampMs } from '../../protocol/stamp.ts';
import { Clock } from '../../storage/clock.ts';
import { NodeTable } from '../../storage/arena/node-table.ts';
import { withSeed } from '../support/seed.ts';

const FILE = 'test/storage/clock.test.ts';
const NOW_MS = 1_700_000_000_000;

describe('the hybrid logical clock', () => {
  it('follows the wall clock, and counts within a millisecond', () => {
    let wallMs = NOW_MS;
    const clock = new Clock(() => wallMs);
    clock.tick();
    expect([stampMs(clock.hi, clock.lo), stampCounter(clock.lo)]).toEqual([NOW_MS, 0]);
    clock.tick();
    expect([stampMs(clock.hi, clock.lo), stampCounter(clock.lo)]).toEqual([NOW_MS, 1]);
    wallMs++;
    clock.tick();
    expect(stampMs(clock.hi, clock.lo)).toBe(NOW_MS);
    clock.refresh();
    clock.tick();
    expect([stampMs(clock.hi, clock.lo), stampCounter(clock.lo)]).toEqual([NOW_MS + 1, 0]);
  });

  it('carries the counter into the milliseconds, and from the low half into the high one', () => {
    const clock = new Clock(() => NOW_MS);
    clock.observe(stampHiOf(NOW_MS), stampLoOf(NOW_MS, (1 << 20) - 1));
    clock.tick();
    expect([stampMs(clock.hi, clock.lo), stampCounter(clock.lo)]).toEqual([NOW_MS + 1, 0]);
    const lastMs = 4096 * 500_000_000 - 1;
    clock.observe(stampHiOf(lastMs), 0xffffffff);
    clock.tick();
    expect([stampMs(clock.hi, clock.lo), clock.lo]).toEqual([lastMs + 1, 0]);
    expect(clock.aheadMs()).toBe(lastMs + 1 - NOW_MS);
  });

  it('never goes back, whatever the wall clock and other nodes do', async () => {
    await withSeed(FILE, (random) => {
      let wallMs = NOW_MS;
      const clock = new Clock(() => wallMs);
      let hi = 0;
      let lo = 0;
      for (let step = 0; step < 5000; step++) {
        const chance = random.below(10);
        if (chance === 0) wallMs += random.below(3_600_000);
        if (chance === 1) wallMs -= random.below(3_600_000);
        if (chance === 2) wallMs = random.below(10_000);
        if (chance === 3) {
          const seenMs = wallMs + random.below(60_000);
          const [seenHi, seenLo] = [stampHiOf(seenMs), stampLoOf(seenMs, random.below(1 << 20))];
          clock.observe(seenHi, seenLo);
          if (compareStamp(seenHi, seenLo, hi, lo) > 0) [hi, lo] = [seenHi, seenLo];
        }
        if (chance > 5) clock.refresh();
        clock.tick();
        expect(compareStamp(clock.hi, clock.lo, hi, lo)).toBe(1);
        [hi, lo] = [clock.hi, clock.lo];
      }
    });
  });

  it('gives no stamp whose high half is 0, also in the first seconds of 1970', () => {
    const clock = new Clock(() => 3);
    clock.tick();
    expect(clock.hi).toBeGreaterThan(0);
  });

  it('takes no notice of what is older than what it has seen', () => {
    const clock = new Clock(() => NOW_MS);
    clock.tick();
    const { hi, lo } = clock;
    clock.observe(hi - 1, 0xffffffff);
    clock.observe(hi, lo);
    expect([clock.hi, clock.lo]).toEqual([hi, lo]);
  });
});

describe('the table of nodes', () => {
  it('gives each id one index, this node 0, and orders them by id', () => {
    const nodes = new NodeTable(5, 0xffffffff);
    expect(nodes.indexOf(5, 0xffffffff)).toBe(0);
    const lesser = nodes.indexOf(5, 3);
    const greater = nodes.indexOf(0xffffffff, 0);
    expect([nodes.indexOf(5, 3), nodes.indexOf(0xffffffff, 0)]).toEqual([lesser, greater]);
    expect(nodes.compare(0, lesser)).toBeGreaterThan(0);
    expect(nodes.compare(0, greater)).toBeLessThan(0);
    expect(nodes.compare(greater, greater)).toBe(0);
  });

  it('refuses more ids than blocks can name', () => {
    const nodes = new NodeTable(0, 0);
    for (let id = 2; id <= 0xffff; id++) nodes.indexOf(1, id);
    expect(nodes.indexOf(1, 0xffff)).toBe(0xffff);
    expect(nodes.room).toBe(0);
    expect(() => nodes.indexOf(2, 0)).toThrow('65,535 node ids');
  });
});
