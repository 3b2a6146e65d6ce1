/**
 * Tells when the machine itself stood still, which the kernel charges as CPU time to what was running then: a timer of this process
 * comes late although the process neither ran nor waited for a core meanwhile. Linux only: it reads /proc.
 */
import { readFileSync } from 'node:fs';

const EVERY_MS = 1;
const LATE_MS = 5;
/** What the kernel has counted is read so often: what is read is since the last time. */
const READ_EVERY_MS = 20;

/** In milliseconds since 1970, and milliseconds. */
export interface Standstill {
  readonly atMs: number;
  readonly durationMs: number;
}

/** Milliseconds that the main thread has run, and waited for a core, since it began. */
function countedMs(): number {
  const [ranNs, waitedNs] = readFileSync('/proc/self/schedstat', 'utf8').split(' ').map(Number);
  return (ranNs + waitedNs) / 1e6;
}

export class StandstillWatch {
  #found: Standstill[] = [];
  #lastMs = performance.now();
  #lastCountedMs = countedMs();
  #readAtMs = this.#lastMs;

  constructor() {
    setInterval(() => this.#tick(), EVERY_MS).unref();
  }

  #tick(): void {
    const nowMs = performance.now();
    const gapMs = nowMs - this.#lastMs;
    if (gapMs > LATE_MS || nowMs - this.#readAtMs > READ_EVERY_MS) {
      const counted = countedMs();
      const durationMs = gapMs - (counted - this.#lastCountedMs);
      if (durationMs > LATE_MS) this.#found.push({ atMs: performance.timeOrigin + this.#lastMs, durationMs });
      this.#lastCountedMs = counted;
      this.#readAtMs = nowMs;
    }
    this.#lastMs = nowMs;
  }

  /** Those since the last call. */
  take(): Standstill[] {
    const found = this.#found;
    this.#found = [];
    return found;
  }
}
