/** Writes at a fixed rate, and how long acknowledged writes take to be seen on another server. */
import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from './connection.ts';
import type { MeasuredServer } from './measured-server.ts';

const TICK_MS = 1;
const CONNECTIONS = 4;
const VALUE_BYTES = 64;
const KEYS = 100_000;
const PROBE_KEY = 'probe';

/** What a paced run came to; delays in milliseconds. */
export interface Delays {
  readonly writesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly samples: number;
}

/** Keeps writing random keys, `rate` a second as far as the server takes them, until stopped. */
class PacedWriter {
  written = 0;
  readonly #connections: Connection[];
  #isStopping = false;

  constructor(connections: Connection[]) {
    this.#connections = connections;
  }

  async run(rate: number): Promise<void> {
    const startedAtMs = performance.now();
    const value = 'x'.repeat(VALUE_BYTES);
    let next = 0;
    while (!this.#isStopping) {
      const due = Math.floor(((performance.now() - startedAtMs) * rate) / 1000) - this.written;
      // What was missed is not made up for in one burst, which would measure the burst.
      const count = Math.min(due, Math.ceil((rate / 1000) * 20));
      if (count > 0) {
        this.written += due;
        const connection = this.#connections[next++ % this.#connections.length];
        const key = (): string => `key:${String(Math.floor(Math.random() * KEYS)).padStart(12, '0')}`;
        connection.send(Array.from({ length: count }, () => ['SET', key(), value]));
      }
      await delay(TICK_MS);
    }
  }

  stop(): void {
    this.#isStopping = true;
  }
}

/**
 * Measures from the acknowledgement of a write on `writing` to its being read on `reading`, which is asked again and again, while
 * other connections write at `rate`.
 */
export async function measureDelays(
  writing: MeasuredServer,
  reading: MeasuredServer,
  rate: number,
  samples: number,
): Promise<Delays> {
  const paced = await Promise.all(Array.from({ length: CONNECTIONS }, () => Connection.open(writing.port)));
  const [writer, reader] = [await Connection.open(writing.port), await Connection.open(reading.port)];
  const load = new PacedWriter(paced);
  const running = load.run(rate);
  await delay(500);
  const startedAtMs = performance.now();
  const writtenBefore = load.written;
  const delaysMs: number[] = [];
  for (let sample = 1; sample <= samples; sample++) {
    const value = String(sample);
    await writer.command('SET', PROBE_KEY, value);
    const acknowledgedAtMs = performance.now();
    while ((await reader.command('GET', PROBE_KEY)) !== `+${value}`);
    delaysMs.push(performance.now() - acknowledgedAtMs);
    await delay(2);
  }
  const seconds = (performance.now() - startedAtMs) / 1000;
  const writesPerSecond = (load.written - writtenBefore) / seconds;
  load.stop();
  await running;
  for (const connection of [...paced, writer, reader]) connection.close();
  delaysMs.sort((a, b) => a - b);
  const at = (share: number): number => delaysMs[Math.floor(share * (delaysMs.length - 1))];
  return { writesPerSecond, p50Ms: at(0.5), p99Ms: at(0.99), samples: delaysMs.length };
}
