/**
 * Stamps never go back over a restart: a bound above them is kept on disk, ahead of the clock, and the clock of the next start
 * begins there.
 */
import { stampHiOf, stampLoOf } from '../../protocol/stamp.ts';
import type { Clock } from '../../storage/clock.ts';
import type { StoredFacts } from './identity.ts';

/** How far ahead of the clock the bound is kept: after a crash, stamps start above it. */
const AHEAD_OF_CLOCK_MS = 10_000;
const RENEW_MS = 3_000;
/** Beyond stamps that are ahead of the clock already: as much again at every start would carry a node that is restarted often away. */
const AHEAD_OF_STAMPS_MS = 200;
const FACT = 'clock-bound';

export class ClockBound {
  readonly #clock: Clock;
  #boundMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** At the start, with what the stores keep. */
  async restore(facts: StoredFacts): Promise<void> {
    const stored = await facts.get(FACT);
    if (stored?.length === 8) this.#clock.observe(stored.readUInt32BE(0), stored.readUInt32BE(4));
    await this.renew(facts);
  }

  /** Moves the bound ahead when the clock has come near it. */
  async renew(facts: StoredFacts): Promise<void> {
    const wallMs = this.#clock.refresh();
    const stampedMs = wallMs + this.#clock.aheadMs();
    const neededMs = Math.max(wallMs + RENEW_MS, stampedMs + AHEAD_OF_STAMPS_MS / 2);
    if (neededMs <= this.#boundMs) return;
    await this.#keep(facts, Math.max(wallMs + AHEAD_OF_CLOCK_MS, stampedMs + AHEAD_OF_STAMPS_MS));
  }

  /** At the end: the same writer may go on, with a clock that was set back meanwhile. */
  close(facts: StoredFacts): Promise<void> {
    return this.#keep(facts, this.#clock.nowMs + Math.max(0, this.#clock.aheadMs()) + 1);
  }

  async #keep(facts: StoredFacts, boundMs: number): Promise<void> {
    this.#boundMs = boundMs;
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32BE(stampHiOf(boundMs), 0);
    bytes.writeUInt32BE(stampLoOf(boundMs, 0), 4);
    await facts.set(FACT, bytes);
  }
}
