/** When changes are published, in a time that the test sets. */
import { describe, expect, it } from '@jest/globals';
import { gatherTurns } from '../../../server/peers/gather-turns.ts';
import { VirtualTime } from '../../replication/virtual-world.ts';

/** A node whose writes are published together: the times at which that happened, and how many writes each time. */
class Gathering {
  readonly time = new VirtualTime();
  readonly published: { atMs: number; writes: number }[] = [];
  readonly #changed: () => void;
  #waiting = 0;

  constructor() {
    this.#changed = gatherTurns(this.time, () => this.publish());
  }

  publish(): void {
    if (this.#waiting > 0) this.published.push({ atMs: this.time.monotonicMs(), writes: this.#waiting });
    this.#waiting = 0;
  }

  write(): void {
    if (this.#waiting++ === 0) this.#changed();
  }
}

describe('changes for the peers', () => {
  it('are published in the turn in which they were made, when none were a moment ago', () => {
    const gathering = new Gathering();
    for (let write = 0; write < 5; write++) {
      gathering.write();
      gathering.write();
      gathering.time.run(10);
    }
    expect(gathering.published.map(({ writes }) => writes)).toEqual([2, 2, 2, 2, 2]);
    for (const [index, { atMs }] of gathering.published.entries()) expect(atMs - index * 10).toBeLessThan(0.1);
  });

  it('are published once a millisecond under load, none later than that', () => {
    const gathering = new Gathering();
    for (let write = 0; write < 1000; write++) {
      gathering.write();
      gathering.time.run(0.1);
    }
    gathering.time.run(2);
    const { published } = gathering;
    expect(published.reduce((sum, { writes }) => sum + writes, 0)).toBe(1000);
    expect(published.length).toBeGreaterThan(90);
    expect(published.length).toBeLessThan(110);
    for (let index = 1; index < published.length; index++)
      expect(published[index].atMs - published[index - 1].atMs).toBeLessThan(1.2);
  });

  it('are not published twice when somebody could not wait for it', () => {
    const gathering = new Gathering();
    gathering.write();
    gathering.time.run(0.1);
    gathering.write();
    gathering.publish();
    gathering.write();
    gathering.time.run(5);
    expect(gathering.published.map(({ writes }) => writes)).toEqual([1, 1, 1]);
  });
});
