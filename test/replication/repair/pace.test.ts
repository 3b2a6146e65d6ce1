/** What share of the time repairs take, in a time that the test sets. */
import { describe, expect, it } from '@jest/globals';
import { Pace, SLICE_MS } from '../../../replication/repair/pace.ts';
import { RepairTurns } from '../../../replication/repair/repair-turns.ts';
import { VirtualTime } from '../virtual-world.ts';

/** Works in slices of `sliceMs` until `untilMs`, with a client's command every `everyMs`; gives the share of the time that it worked. */
function shareOf(sliceMs: number, everyMs: number): number {
  const time = new VirtualTime();
  let commands = 0;
  const pace = new Pace(time, () => commands);
  const endMs = 1000;
  const ask = (): void => {
    commands++;
    time.setTimer(everyMs, ask);
  };
  if (everyMs !== Infinity) ask();
  let workedMs = 0;
  while (time.monotonicMs() < endMs) {
    time.run(pace.restMs());
    time.run(sliceMs);
    workedMs += sliceMs;
    pace.worked(sliceMs);
  }
  return workedMs / time.monotonicMs();
}

describe('the pace of repairs', () => {
  it('is a sixth of the time while clients send commands', () => {
    for (const sliceMs of [SLICE_MS / 5, SLICE_MS, 4 * SLICE_MS]) {
      const share = shareOf(sliceMs, 1);
      expect(share).toBeGreaterThan(0.15);
      expect(share).toBeLessThan(0.18);
    }
  });

  it('is all of the time without clients, and with one that comes now and then nearly so', () => {
    expect(shareOf(SLICE_MS, Infinity)).toBe(1);
    expect(shareOf(SLICE_MS, 500)).toBeGreaterThan(0.85);
  });

  it('is not slowed down for long by slices that other processes have held up', () => {
    expect(shareOf(20, 1)).toBeGreaterThan(0.7);
  });

  it('has a backlog rest twice as long as a repair', () => {
    const restAfter = (isBacklog: boolean): number => {
      const time = new VirtualTime();
      let commands = 0;
      const turns = new RepairTurns(
        time,
        () => commands,
        new Map(),
        () => {},
      );
      let restedMs = 0;
      const connection = { rest: (ms: number) => void (restedMs += ms) };
      for (let piece = 0; piece < 100; piece++) {
        commands++;
        const beganMs = time.monotonicMs();
        time.run(SLICE_MS);
        turns.received(connection, beganMs, isBacklog);
      }
      return restedMs;
    };
    const ratio = restAfter(true) / restAfter(false);
    expect(ratio).toBeGreaterThan(1.8);
    expect(ratio).toBeLessThan(2.5);
  });
});
