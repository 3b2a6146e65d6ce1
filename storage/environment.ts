/** What the durable stores need of the machine; the composition root, or the entry of a worker thread, gives it. */
export interface StoreEnvironment {
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** Milliseconds that only go forward; their zero means nothing. */
  monotonicMs(): number;
  /** 0 ≤ x < 1. */
  random(): number;
  /** Calls back once, unless it was cancelled before. */
  setTimer(delayMs: number, callback: () => void): { cancel(): void };
}
