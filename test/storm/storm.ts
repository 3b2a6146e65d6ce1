/** Five nodes, clients on all of them, and everything that can go wrong between and with them; then: is all as it must be? */
import { setTimeout as delay } from 'node:timers/promises';
import { SeededRandom } from '../support/seed.ts';
import { RespClient } from '../support/resp-client.ts';
import { ask, Checked, untilAgreed, untilMeshed } from './checks.ts';
import { type Anomalies, Resident, Roamer } from './clients.ts';
import { StormCluster, type StormNode } from './cluster.ts';
import { NodeFaults } from './node-faults.ts';

const NODES = 5;
const RESIDENTS_A_NODE = 2;
const ROAMERS = 2;
/** The node whose clock is wrong at times. */
const FAST_OR_SLOW = 4;
const CLOCK_OFFSET_MS_MAX = 20_000;
const HEALING_MS = 90_000;

/** What a storm came to. */
export interface StormReport {
  readonly seconds: number;
  readonly acknowledged: number;
  readonly unanswered: number;
  readonly moves: number;
  readonly stays: number;
  readonly faults: Record<string, number>;
  readonly agreedAfterMs: number;
  readonly uncertain: number;
  readonly anomalies: Anomalies;
}

export class Storm {
  readonly #cluster: StormCluster;
  readonly #random: SeededRandom;
  readonly #anomalies: Anomalies = [];
  readonly #residents: Resident[] = [];
  readonly #roamers: Roamer[] = [];
  readonly #faults: NodeFaults;

  private constructor(cluster: StormCluster, random: SeededRandom, log: (line: string) => void) {
    this.#cluster = cluster;
    this.#random = random;
    this.#faults = new NodeFaults(cluster, random, log);
  }

  static async run(seconds: number, seed: number, log: (line: string) => void = () => undefined): Promise<StormReport> {
    const cluster = await StormCluster.start(NODES);
    try {
      return await new Storm(cluster, new SeededRandom(seed), log).#run(seconds);
    } finally {
      await cluster.stop();
    }
  }

  async #run(seconds: number): Promise<StormReport> {
    const { nodes } = this.#cluster;
    await untilMeshed(nodes, HEALING_MS);
    for (const node of nodes) {
      for (let index = 0; index < RESIDENTS_A_NODE; index++) {
        const random = new SeededRandom(this.#random.uint32());
        this.#residents.push(new Resident(node, `${node.number}.${index}`, random));
      }
    }
    const lasting = nodes.filter((node) => node.durability === 'always');
    for (let index = 0; index < ROAMERS; index++) {
      this.#roamers.push(new Roamer(String(index), lasting, new SeededRandom(this.#random.uint32()), this.#anomalies));
    }
    const clients = [...this.#residents, ...this.#roamers].map((client) => client.run());
    const endAtMs = performance.now() + seconds * 1000;
    while (performance.now() < endAtMs && this.#anomalies.length === 0) {
      await delay(200 + this.#random.below(1500));
      await this.#fault();
      this.#faults.watch(this.#anomalies);
    }
    await this.#heal();
    for (const client of [...this.#residents, ...this.#roamers]) client.stop();
    await Promise.all(clients);
    const agreedAfterMs = await untilAgreed(nodes, HEALING_MS);
    await this.#check();
    return this.#report(seconds, agreedAfterMs);
  }

  #report(seconds: number, agreedAfterMs: number): StormReport {
    const sum = (of: (resident: Resident) => number): number => this.#residents.reduce((all, one) => all + of(one), 0);
    return {
      seconds,
      acknowledged: sum((one) => one.acknowledged) + this.#roamers.reduce((all, one) => all + one.last, 0),
      unanswered: sum((one) => one.refused),
      moves: this.#roamers.reduce((all, one) => all + one.moves, 0),
      stays: this.#roamers.reduce((all, one) => all + one.stays, 0),
      faults: this.#faults.counts,
      agreedAfterMs: Math.round(agreedAfterMs),
      uncertain: sum((one) => [...one.keys.values()].filter((register) => !register.isCertain).length),
      anomalies: this.#anomalies,
    };
  }

  // What goes wrong.

  #someNode(): StormNode {
    return this.#random.pick(this.#cluster.nodes);
  }

  async #fault(): Promise<void> {
    switch (this.#random.below(10)) {
      case 0:
      case 1:
        return this.#faults.partition();
      case 2:
        return this.#blockOneWay();
      case 3:
        return this.#slowDown();
      case 4:
        return this.#reset();
      case 5:
        return this.#faults.kill(this.#residents);
      case 6:
        return this.#faults.pause();
      case 7:
        return this.#shiftClock();
      default:
        return this.#faults.clear();
    }
  }

  #blockOneWay(): void {
    const [from, to] = [this.#someNode().number, this.#someNode().number];
    this.#cluster.weather[from][to].isBlocked = true;
    this.#faults.count('one way', `${from} to ${to}`);
  }

  #slowDown(): void {
    const [from, to] = [this.#someNode().number, this.#someNode().number];
    this.#cluster.weather[from][to].delayMs = this.#random.below(500);
    this.#faults.count('delay', `${from} to ${to}`);
  }

  #reset(): void {
    const [from, to] = [this.#someNode().number, this.#someNode().number];
    this.#cluster.proxies[to].reset(from);
    this.#faults.count('reset', `${from} and ${to}`);
  }

  async #shiftClock(): Promise<void> {
    const node = this.#cluster.nodes[FAST_OR_SLOW];
    if (!node.isRunning || node.isPaused) return;
    const offsetMs = this.#random.below(2 * CLOCK_OFFSET_MS_MAX) - CLOCK_OFFSET_MS_MAX;
    await this.#setClock(node, offsetMs);
    this.#faults.count('clock', `${offsetMs} ms`);
  }

  async #setClock(node: StormNode, offsetMs: number): Promise<void> {
    await ask(node.port, 'MANTIS', 'CLOCK', 'OFFSET', String(offsetMs));
  }

  // What must be, in the end.

  async #heal(): Promise<void> {
    await this.#faults.heal();
    await this.#setClock(this.#cluster.nodes[FAST_OR_SLOW], 0);
    await untilMeshed(this.#cluster.nodes, HEALING_MS);
  }

  async #check(): Promise<void> {
    for (const node of this.#cluster.nodes) {
      const client = await RespClient.connect(node.port);
      try {
        await new Checked(`node ${node.number}`, client, this.#anomalies).residents(this.#residents);
      } finally {
        await client.close();
      }
    }
  }
}
