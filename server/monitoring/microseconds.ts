/** Microseconds for lines of a log, where the wall clock is read in milliseconds, and once a turn. */
export class Microseconds {
  #atMs = 0;
  #sinceMs = 0;

  /**
   * Microseconds of the second, 0 to 999999. Within a millisecond they are those since it was first asked for: never fewer
   * than before, and never of the next one.
   * @param nowMs wall clock; `monotonicMs` with a fraction
   */
  of(nowMs: number, monotonicMs: number): number {
    if (nowMs !== this.#atMs) {
      this.#atMs = nowMs;
      this.#sinceMs = monotonicMs;
    }
    return (nowMs % 1000) * 1000 + Math.min(999, Math.floor((monotonicMs - this.#sinceMs) * 1000));
  }
}
