/** LATENCY: what took longer than `latency-monitor-threshold`, by the kind of event. */

/** Samples kept for an event, and kinds of events: both bounded. */
const SAMPLES_MAX = 160;
const EVENTS_MAX = 64;

export interface LatencySample {
  /** Seconds since 1970; the worst of a second is kept. */
  readonly atSeconds: number;
  readonly milliseconds: number;
}

export class LatencyMonitor {
  /** Oldest sample first. */
  readonly #samples = new Map<string, LatencySample[]>();
  readonly #worst = new Map<string, number>();

  add(event: string, milliseconds: number, nowMs: number): void {
    let samples = this.#samples.get(event);
    if (samples === undefined) {
      if (this.#samples.size >= EVENTS_MAX) return;
      this.#samples.set(event, (samples = []));
    }
    const sample = { atSeconds: Math.floor(nowMs / 1000), milliseconds: Math.round(milliseconds) };
    this.#worst.set(event, Math.max(this.#worst.get(event) ?? 0, sample.milliseconds));
    const last = samples.at(-1);
    if (last?.atSeconds !== sample.atSeconds) samples.push(sample);
    else if (last.milliseconds < sample.milliseconds) samples[samples.length - 1] = sample;
    if (samples.length > SAMPLES_MAX) samples.shift();
  }

  get events(): string[] {
    return [...this.#samples.keys()];
  }

  history(event: string): readonly LatencySample[] {
    return this.#samples.get(event) ?? [];
  }

  worst(event: string): number {
    return this.#worst.get(event) ?? 0;
  }

  /** Forgets an event; whether there was one. */
  reset(event: string): boolean {
    this.#worst.delete(event);
    return this.#samples.delete(event);
  }
}
