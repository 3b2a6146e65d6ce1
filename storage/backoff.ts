/** Pauses between attempts: doubling, jittered so that many nodes do not come back at once, bounded, and ended by an abort. */
import { setTimeout as delay } from 'node:timers/promises';

export class Backoff {
  readonly #baseMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #attempts = 0;

  /** `random`: 0 ≤ x < 1. */
  constructor(baseMs: number, maxMs: number, random: () => number) {
    this.#baseMs = baseMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  reset(): void {
    this.#attempts = 0;
  }

  /** Waits for the next pause; returns at once when the signal is or gets aborted. */
  async pause(signal: AbortSignal): Promise<void> {
    const ceilingMs = Math.min(this.#maxMs, this.#baseMs * 2 ** this.#attempts);
    this.#attempts = Math.min(this.#attempts + 1, 30);
    await delay(ceilingMs * (0.5 + this.#random() / 2), undefined, { signal }).catch(() => undefined);
  }
}
