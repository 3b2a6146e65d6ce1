/**
 * How much of the event loop's time it takes to repair and to be repaired. The work is done in short slices, at most one a turn, so that
 * clients are read in between. While clients send commands the slices take a share of the time, and the loop rests between
 * them: that leaves clients, and what else runs on the machine, the rest. Without clients there is nobody to wait for.
 */
import type { Time } from '../environment.ts';

/** How long a slice may hold up the event loop. */
export const SLICE_MS = 0.25;
/** The share of the time that repairs take from clients. */
const SHARE = 1 / 6;
/** A node whose last command was longer ago has no clients that wait. */
const SERVED_LATELY_MS = 50;
/** A slice that took longer was held up by other processes: that is not to hold up the repair as well. */
const COUNTED_MS_MAX = 2;

export class Pace {
  readonly #time: Time;
  readonly #commandCount: () => number;
  #commandsSeen: number;
  #servedAtMs = -Infinity;
  /** Time that may be worked before the next rest; negative while there is some to be made up for. */
  #creditMs = 0;
  #creditedAtMs: number;
  #hasClients = false;

  /** @param commandCount commands of clients since the start */
  constructor(time: Time, commandCount: () => number) {
    this.#time = time;
    this.#commandCount = commandCount;
    this.#commandsSeen = commandCount();
    this.#creditedAtMs = time.monotonicMs();
  }

  /** A slice of work has been done, and took so long. */
  worked(tookMs: number): void {
    this.#creditMs -= Math.min(tookMs, COUNTED_MS_MAX);
  }

  /** Whether there were clients that wait when `restMs` was asked last. */
  get hasClients(): boolean {
    return this.#hasClients;
  }

  /** How long the next slice has to wait; 0 = only until the next turn of the event loop. */
  restMs(): number {
    const nowMs = this.#time.monotonicMs();
    const commands = this.#commandCount();
    if (commands !== this.#commandsSeen) {
      this.#commandsSeen = commands;
      this.#servedAtMs = nowMs;
    }
    const gainedMs = (nowMs - this.#creditedAtMs) * SHARE;
    this.#creditedAtMs = nowMs;
    this.#hasClients = nowMs - this.#servedAtMs < SERVED_LATELY_MS;
    this.#creditMs = this.#hasClients ? Math.min(this.#creditMs + gainedMs, SLICE_MS) : SLICE_MS;
    return this.#creditMs > 0 ? 0 : Math.max(-this.#creditMs, SLICE_MS / 2) / SHARE;
  }
}
