/**
 * How far one origin's stream of turns has been applied. The stream is a chain: each turn names the turn before it. `applied`
 * is the end of the unbroken chain; what came after a gap is remembered as the tail, until the gap is repaired.
 */
import { compareStamp } from '../../protocol/stamp.ts';
import type { Stamp } from '../replica.ts';

const none: Stamp = { hi: 0, lo: 0 };

function atMost(a: Stamp, b: Stamp): boolean {
  return compareStamp(a.hi, a.lo, b.hi, b.lo) <= 0;
}

export class StreamProgress {
  #applied: Stamp = none;
  #tail: { from: Stamp; to: Stamp } | null = null;

  /** Everything of the origin up to here has been merged. */
  get applied(): Stamp {
    return this.#applied;
  }

  /** True while something before the newest turn is missing. */
  get hasGap(): boolean {
    return this.#tail !== null;
  }

  /** True when a turn with this stamp would change nothing. */
  has(stamp: Stamp): boolean {
    return atMost(stamp, this.#applied);
  }

  /** A turn has been merged. */
  advance(previous: Stamp, stamp: Stamp): void {
    if (this.has(stamp)) return;
    if (atMost(previous, this.#applied)) {
      this.#applied = stamp;
      this.#join();
      return;
    }
    const tail = this.#tail;
    if (tail !== null && atMost(tail.from, previous) && atMost(previous, tail.to)) {
      if (atMost(tail.to, stamp)) tail.to = stamp;
    } else if (tail === null || atMost(tail.to, previous)) {
      this.#tail = { from: previous, to: stamp };
    }
  }

  /** The origin goes on after `stamp`; what it sent before may be missing. */
  startAt(stamp: Stamp): void {
    if (!this.has(stamp)) this.advance(stamp, stamp);
  }

  /** A repair has brought everything of the origin up to `stamp`. */
  cover(stamp: Stamp): void {
    if (!this.has(stamp)) this.#applied = stamp;
    this.#join();
  }

  #join(): void {
    const tail = this.#tail;
    if (tail === null || !atMost(tail.from, this.#applied)) return;
    if (atMost(this.#applied, tail.to)) this.#applied = tail.to;
    this.#tail = null;
  }
}
