import { describe, expect, it } from '@jest/globals';
import { EvictedDigests } from '../../../storage/digests/evicted-digests.ts';
import { withSeed } from '../../support/seed.ts';

const testFile = 'test/storage/digests/evicted-digests.test.ts';
const startMs = 1_700_000_000_000;

function contentOf(digests: EvictedDigests): string[] {
  const found: string[] = [];
  for (let at = 0; at < EvictedDigests.tableCount; at++) {
    digests.visit(at, (hashHi, hashLo, hi, lo) => found.push(`${hashHi}.${hashLo}=${hi}.${lo}`));
  }
  return found.sort();
}

describe('digests of evicted keys', () => {
  it('are kept as a map would keep them, until their deadlines', async () => {
    await withSeed(testFile, (random) => {
      const digests = new EvictedDigests();
      const model = new Map<string, { hi: number; lo: number; deadlineMs: number }>();
      let nowMs = startMs;
      // Two tables, whose slots wrap around.
      const hashes = Array.from({ length: 300 }, () => [random.below(2) << 22, random.uint32()]);
      for (let step = 0; step < 5000; step++) {
        nowMs += random.below(20);
        const [hashHi, hashLo] = random.pick(hashes);
        const name = `${hashHi}.${hashLo}`;
        const known = model.get(name);
        if (known === undefined) {
          const [hi, lo] = [random.uint32(), random.uint32()];
          const deadlineMs = random.chance(0.5) ? 0 : nowMs + random.below(10_000);
          expect(digests.remove(hashHi, hashLo)).toBe(false);
          digests.add(hashHi, hashLo, hi, lo, deadlineMs, nowMs);
          model.set(name, { hi, lo, deadlineMs });
        } else {
          expect(digests.remove(hashHi, hashLo)).toBe(true);
          expect([digests.digestHi, digests.digestLo]).toEqual([known.hi, known.lo]);
          model.delete(name);
        }
        if (!random.chance(0.05)) continue;
        const gone: string[] = [];
        while (digests.expire(nowMs, 50, (takenHi, takenLo) => gone.push(`${takenHi}.${takenLo}`)));
        for (const taken of gone) {
          expect(model.get(taken)!.deadlineMs).toBeLessThan(nowMs);
          model.delete(taken);
        }
        for (const { deadlineMs } of model.values()) {
          expect(deadlineMs === 0 || deadlineMs > nowMs - 200).toBe(true);
        }
        expect(contentOf(digests)).toEqual([...model].map(([hash, { hi, lo }]) => `${hash}=${hi}.${lo}`).sort());
        expect(digests.count).toBe(model.size);
      }
      digests.clear();
      expect([digests.count, digests.bytes, contentOf(digests)]).toEqual([0, 0, []]);
    });
  });

  it('cost about 26 bytes a key', async () => {
    await withSeed(testFile, (random) => {
      const digests = new EvictedDigests();
      for (let key = 0; key < 300_000; key++) digests.add(random.uint32(), random.uint32(), 1, 2, 0, startMs);
      expect(digests.bytes / digests.count).toBeLessThan(28);
    });
  });

  it('go when they were asked for three times', () => {
    const digests = new EvictedDigests();
    for (let key = 1; key <= 20; key++) digests.add(5, key, key, key, 0, startMs);
    const taken: number[] = [];
    const ask = (): void =>
      digests.ask(
        0,
        (_hi, lo) => lo > 10,
        null,
        (_hi, lo) => taken.push(lo),
      );
    ask();
    ask();
    expect([taken, digests.count]).toEqual([[], 20]);
    ask();
    expect([taken.length, digests.count]).toEqual([10, 10]);
    ask();
    expect(digests.count).toBe(10);
  });

  it('are sought from the third time on that they were asked for, until that is over', () => {
    const digests = new EvictedDigests();
    for (let key = 1; key <= 20; key++) digests.add(5, key, key, key, 0, startMs);
    const sought: number[] = [];
    let hasRoom = false;
    const ask = (): void =>
      digests.ask(
        0,
        (_hi, lo) => lo > 18,
        (_hi, lo) => hasRoom && sought.push(lo) > 0,
        () => expect('it').toBe('kept'),
      );
    for (let times = 0; times < 4; times++) ask();
    expect(sought).toEqual([]);
    hasRoom = true;
    ask();
    ask();
    expect([sought.sort(), digests.isSought(5, 19), digests.isSought(5, 18)]).toEqual([[19, 20], true, false]);
    expect([
      digests.endSeeking(5, 19, true),
      digests.endSeeking(5, 20, false),
      digests.endSeeking(5, 18, true),
    ]).toEqual([true, false, false]);
    expect([digests.digestLo, digests.count, digests.isSought(5, 20)]).toEqual([19, 19, false]);
    ask();
    expect([sought.length, digests.isSought(5, 20)]).toEqual([3, true]);
  });
});
