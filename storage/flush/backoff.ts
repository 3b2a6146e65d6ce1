/** Pauses between attempts: doubling, jittered so that many nodes do not come back at once, bounded, and ended by an abort. */
import type { StoreEnvironment } from '../environment.ts';

export class Backoff {
  readonly #baseMs: number;
  readonly #maxMs: number;
  readonly #environment: StoreEnvironment;
  #attempts = 0;

  constructor(baseMs: number, maxMs: number, environment: StoreEnvironment) {
    this.#baseMs = baseMs;
    this.#maxMs = maxMs;
    this.#environment = environment;
  }

  reset(): void {
    this.#attempts = 0;
  }

  /** Waits for the next pause; returns at once when the signal is or gets aborted. */
  async pause(signal: AbortSignal): Promise<void> {
    const ceilingMs = Math.min(this.#maxMs, this.#baseMs * 2 ** this.#attempts);
    this.#attempts = Math.min(this.#attempts + 1, 30);
    const pauseMs = ceilingMs * (0.5 + this.#environment.random() / 2);
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = this.#environment.setTimer(pauseMs, end);
      signal.addEventListener('abort', end, { once: true });
    });
  }
}
