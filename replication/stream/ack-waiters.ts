/** Those who wait until enough peers have acknowledged a stamp (WAIT, durability replicas=N). */
import type { Time, Timer } from '../environment.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import type { Stamp } from '../replica.ts';

interface Waiter {
  readonly stamp: Stamp;
  readonly count: number;
  readonly resolve: (count: number) => void;
  timer: Timer | null;
}

export class AckWaiters {
  #time: Time;
  #countOf: (stamp: Stamp) => number;
  #waiters = new Set<Waiter>();

  /** @param countOf how many peers have acknowledged a stamp now */
  constructor(time: Time, countOf: (stamp: Stamp) => number) {
    this.#time = time;
    this.#countOf = countOf;
  }

  /** Resolves with how many peers have acknowledged, when they are `count` or the time is over; 0 ms = without limit. */
  wait(stamp: Stamp, count: number, timeoutMs: number): Promise<number> {
    const now = this.#countOf(stamp);
    if (now >= count) return Promise.resolve(now);
    return new Promise((resolve) => {
      const waiter: Waiter = { stamp, count, resolve, timer: null };
      if (timeoutMs > 0) waiter.timer = this.#time.setTimer(timeoutMs, () => this.#finish(waiter));
      this.#waiters.add(waiter);
    });
  }

  /** A peer has acknowledged everything up to `stamp`. */
  acknowledged(stamp: Stamp): void {
    for (const waiter of this.#waiters) {
      if (compareStamp(waiter.stamp.hi, waiter.stamp.lo, stamp.hi, stamp.lo) > 0) continue;
      if (this.#countOf(waiter.stamp) >= waiter.count) this.#finish(waiter);
    }
  }

  /** Lets everyone go with what there is. */
  stop(): void {
    for (const waiter of this.#waiters) this.#finish(waiter);
  }

  #finish(waiter: Waiter): void {
    waiter.timer?.cancel();
    this.#waiters.delete(waiter);
    waiter.resolve(this.#countOf(waiter.stamp));
  }
}
