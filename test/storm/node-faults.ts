/** What can go wrong with the nodes of a storm and between them, whatever else it is about. */
import { setTimeout as delay } from 'node:timers/promises';
import type { SeededRandom } from '../support/seed.ts';
import type { Anomalies } from './clients.ts';
import { type StormCluster, type StormNode, windowMs } from './cluster.ts';

const AWAY_MS_MAX = 4000;
const PAUSE_MS_MAX = 6000;

/** Who has to know that a node was killed: what it was told last may be gone. */
interface Crashing {
  readonly node: StormNode;
  crash(atMs: number): void;
}

export class NodeFaults {
  /** How often each has happened. */
  readonly counts: Record<string, number> = {};
  readonly #cluster: StormCluster;
  readonly #random: SeededRandom;
  readonly #log: (line: string) => void;
  readonly #pausedAtMs = new Map<number, number>();
  #underWay: Promise<unknown>[] = [];

  constructor(cluster: StormCluster, random: SeededRandom, log: (line: string) => void) {
    this.#cluster = cluster;
    this.#random = random;
    this.#log = log;
  }

  count(name: string, detail: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    this.#log(`${name}: ${detail}`);
  }

  /** What ends by itself, and is waited for before all is healed. */
  begin(work: Promise<unknown>): void {
    this.#underWay.push(work);
  }

  clear(): void {
    this.#cluster.clear();
    this.count('clear', 'all ways are open');
  }

  /** Two sides that do not hear of each other; connections stay open, and are noticed to be silent. */
  partition(): void {
    const side = this.#cluster.nodes.map(() => this.#random.chance(0.5));
    this.#cluster.weather.forEach((row, from) => row.forEach((way, to) => (way.isBlocked = side[from] !== side[to])));
    this.count('partition', side.map(Number).join(''));
  }

  async kill(clients: readonly Crashing[]): Promise<void> {
    const node = this.#random.pick(this.#cluster.nodes);
    // A node that was stopped in its tracks has flushed later than its clients' time says.
    const pausedAgoMs = performance.now() - (this.#pausedAtMs.get(node.number) ?? -Infinity);
    if (!node.isRunning || node.isPaused || pausedAgoMs < 2 * windowMs) return;
    this.count('kill', String(node.number));
    const atMs = performance.now();
    await node.kill();
    for (const client of clients) if (client.node === node) client.crash(atMs);
    this.begin(delay(this.#random.below(AWAY_MS_MAX)).then(() => node.start()));
  }

  pause(): void {
    const node = this.#random.pick(this.#cluster.nodes);
    if (!node.isRunning || node.isPaused) return;
    this.count('pause', String(node.number));
    node.isPaused = true;
    const { server } = node.process!;
    server.pause();
    const resume = (): void => {
      server.resume();
      node.isPaused = false;
      this.#pausedAtMs.set(node.number, performance.now());
    };
    this.begin(delay(this.#random.below(PAUSE_MS_MAX)).then(resume));
  }

  /** A node ends only by what is done to it. */
  watch(anomalies: Anomalies): void {
    for (const { number, process } of this.#cluster.nodes) {
      const logs = process?.server.logs ?? '';
      if (/assert|uncaught|unhandled|"level":60/i.test(logs))
        anomalies.push(`node ${number} says:\n${logs.slice(-3000)}`);
    }
  }

  /** Every node runs again, and all ways are open. */
  async heal(): Promise<void> {
    this.#cluster.clear();
    await Promise.all(this.#underWay);
    this.#underWay = [];
    this.#cluster.clear();
    for (const node of this.#cluster.nodes) if (!node.isRunning) await node.start();
  }
}
