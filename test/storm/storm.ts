/** Five nodes, clients on all of them, and everything that can go wrong between and with them; then: is all as it must be? */
import { setTimeout as delay } from 'node:timers/promises';
import { SeededRandom } from '../support/seed.ts';
import { RespClient } from '../support/resp-client.ts';
import type { Reply } from '../support/resp3-parser.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Anomalies, Resident, Roamer } from './clients.ts';
import { StormCluster, type StormNode, windowMs } from './cluster.ts';
import type { Register } from './ledger.ts';

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
  readonly #faults: Record<string, number> = {};
  readonly #pausedAtMs = new Map<number, number>();
  readonly #log: (line: string) => void;
  #underWay: Promise<unknown>[] = [];

  private constructor(cluster: StormCluster, random: SeededRandom, log: (line: string) => void) {
    this.#cluster = cluster;
    this.#random = random;
    this.#log = log;
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
    await this.#untilMeshed();
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
      this.#watch();
    }
    await this.#heal();
    for (const client of [...this.#residents, ...this.#roamers]) client.stop();
    await Promise.all(clients);
    const agreedAfterMs = await this.#untilAgreed();
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
      faults: this.#faults,
      agreedAfterMs: Math.round(agreedAfterMs),
      uncertain: sum((one) => [...one.keys.values()].filter((register) => !register.isCertain).length),
      anomalies: this.#anomalies,
    };
  }

  // What goes wrong.

  #count(name: string, detail: string): void {
    this.#faults[name] = (this.#faults[name] ?? 0) + 1;
    this.#log(`${name}: ${detail}`);
  }

  #someNode(): StormNode {
    return this.#random.pick(this.#cluster.nodes);
  }

  async #fault(): Promise<void> {
    const random = this.#random;
    switch (random.below(10)) {
      case 0:
      case 1:
        return this.#partition();
      case 2:
        return this.#blockOneWay();
      case 3:
        return this.#slowDown();
      case 4:
        return this.#reset();
      case 5:
        return this.#kill();
      case 6:
        return this.#pause();
      case 7:
        return this.#shiftClock();
      default:
        this.#cluster.clear();
        this.#count('clear', 'all ways are open');
    }
  }

  /** Two sides that do not hear of each other; connections stay open, and are noticed to be silent. */
  #partition(): void {
    const side = this.#cluster.nodes.map(() => this.#random.chance(0.5));
    this.#cluster.weather.forEach((row, from) => row.forEach((way, to) => (way.isBlocked = side[from] !== side[to])));
    this.#count('partition', side.map(Number).join(''));
  }

  #blockOneWay(): void {
    const [from, to] = [this.#someNode().number, this.#someNode().number];
    this.#cluster.weather[from][to].isBlocked = true;
    this.#count('one way', `${from} to ${to}`);
  }

  #slowDown(): void {
    const [from, to] = [this.#someNode().number, this.#someNode().number];
    this.#cluster.weather[from][to].delayMs = this.#random.below(500);
    this.#count('delay', `${from} to ${to}`);
  }

  #reset(): void {
    const [from, to] = [this.#someNode().number, this.#someNode().number];
    this.#cluster.proxies[to].reset(from);
    this.#count('reset', `${from} and ${to}`);
  }

  async #kill(): Promise<void> {
    const node = this.#someNode();
    // A node that was stopped in its tracks has flushed later than its clients' time says.
    const pausedAgoMs = performance.now() - (this.#pausedAtMs.get(node.number) ?? -Infinity);
    if (!node.isRunning || node.isPaused || pausedAgoMs < 2 * windowMs) return;
    this.#count('kill', String(node.number));
    const atMs = performance.now();
    await node.kill();
    for (const resident of this.#residents) if (resident.node === node) resident.crash(atMs);
    const awayMs = this.#random.below(4000);
    this.#underWay.push(delay(awayMs).then(() => node.start()));
  }

  #pause(): void {
    const node = this.#someNode();
    if (!node.isRunning || node.isPaused) return;
    this.#count('pause', String(node.number));
    node.isPaused = true;
    const { server } = node.process!;
    server.pause();
    const resume = (): void => {
      server.resume();
      node.isPaused = false;
      this.#pausedAtMs.set(node.number, performance.now());
    };
    this.#underWay.push(delay(this.#random.below(6000)).then(resume));
  }

  async #shiftClock(): Promise<void> {
    const node = this.#cluster.nodes[FAST_OR_SLOW];
    if (!node.isRunning || node.isPaused) return;
    const offsetMs = this.#random.below(2 * CLOCK_OFFSET_MS_MAX) - CLOCK_OFFSET_MS_MAX;
    await this.#setClock(node, offsetMs);
    this.#count('clock', `${offsetMs} ms`);
  }

  async #setClock(node: StormNode, offsetMs: number): Promise<void> {
    await ask(node, 'MANTIS', 'CLOCK', 'OFFSET', String(offsetMs));
  }

  /** A node ends only by what is done to it. */
  #watch(): void {
    for (const node of this.#cluster.nodes) {
      const status = node.process?.server;
      if (status === undefined || !/assert|uncaught|fatal/i.test(status.logs)) continue;
      this.#anomalies.push(`node ${node.number} says:\n${status.logs.slice(-3000)}`);
    }
  }

  // What must be, in the end.

  async #heal(): Promise<void> {
    await Promise.all(this.#underWay);
    this.#underWay = [];
    this.#cluster.clear();
    for (const node of this.#cluster.nodes) if (!node.isRunning) await node.start();
    await this.#setClock(this.#cluster.nodes[FAST_OR_SLOW], 0);
    await this.#untilMeshed();
  }

  #untilMeshed(): Promise<unknown> {
    return waitFor(
      'every node to be linked with every other one',
      async () => {
        const texts = await Promise.all(this.#cluster.nodes.map((node) => ask(node, 'INFO', 'mantis')));
        return texts.every((text) => String(text).includes(`peers_linked:${NODES - 1}\r\n`));
      },
      { deadlineMs: HEALING_MS, intervalMs: 100 },
    );
  }

  async #untilAgreed(): Promise<number> {
    const startedAtMs = performance.now();
    await waitFor(
      'equal digests',
      async () => {
        const digests = await Promise.all(this.#cluster.nodes.map((node) => ask(node, 'MANTIS', 'DIGEST')));
        return digests.every((digest) => typeof digest === 'string' && digest === digests[0]);
      },
      { deadlineMs: HEALING_MS, intervalMs: 50 },
    );
    return performance.now() - startedAtMs;
  }

  async #check(): Promise<void> {
    for (const node of this.#cluster.nodes) {
      const client = await RespClient.connect(node.port);
      try {
        await this.#checkNode(node, client);
      } finally {
        await client.close();
      }
    }
  }

  /** Lent keys that are shown although their time is over; the fast node lent some for longer than the others think. */
  async #pastDeadline(client: RespClient): Promise<string[]> {
    const [seconds] = (await client.command('TIME')) as string[];
    const past: string[] = [];
    for (const name of (await client.command('KEYS', 'lent:*')) as string[]) {
      const deadlineMs = Number(await client.command('PEXPIRETIME', name));
      if (deadlineMs !== -2 && deadlineMs < Number(seconds) * 1000) past.push(name);
    }
    return past;
  }

  async #checkNode(node: StormNode, client: RespClient): Promise<void> {
    const fields = pairs(await client.command('HGETALL', 'fields'));
    const members = new Set((await client.command('SMEMBERS', 'members')) as string[]);
    const pushed = (await client.command('LRANGE', 'pushed', '0', '-1')) as string[];
    const once = new Set(pushed);
    if (once.size !== pushed.length) this.#anomalies.push(`node ${node.number}: an element was pushed twice`);
    for (const resident of this.#residents) {
      const names = [...resident.keys.keys()];
      const values = names.length === 0 ? [] : ((await client.command('MGET', ...names)) as (string | null)[]);
      this.#compare(node, resident.keys, (name) => values[names.indexOf(name)] ?? null);
      this.#compare(node, resident.fields, (name) => fields.get(name) ?? null);
      this.#compare(node, resident.members, (name) => (members.has(name) ? 'member' : null));
      this.#compare(node, resident.pushed, (name) => (once.has(name) ? '1' : null));
    }
    await this.#checkCounters(node, client);
    const past = await this.#pastDeadline(client);
    if (past.length > 0) this.#anomalies.push(`node ${node.number} shows past their deadline: ${past.join(' ')}`);
  }

  #compare(node: StormNode, registers: ReadonlyMap<string, Register>, found: (name: string) => string | null): void {
    for (const [name, register] of registers) {
      const value = found(name);
      if (register.allows(value)) continue;
      this.#anomalies.push(`node ${node.number}: ${name} is ${value ?? 'nothing'}, not ${register.states}`);
    }
  }

  async #checkCounters(node: StormNode, client: RespClient): Promise<void> {
    for (let counter = 0; counter < this.#residents[0].sums.length; counter++) {
      const value = Number(await client.command('GET', `counter:${counter}`));
      const least = this.#residents.reduce((sum, { sums }) => sum + sums[counter].least, 0);
      const most = this.#residents.reduce((sum, { sums }) => sum + sums[counter].most, 0);
      if (value >= least && value <= most) continue;
      this.#anomalies.push(`node ${node.number}: counter ${counter} is ${value}, not ${least} to ${most}`);
    }
  }
}

async function ask(node: StormNode, ...words: string[]): Promise<Reply> {
  const client = await RespClient.connect(node.port);
  try {
    return await client.command(...words);
  } finally {
    await client.close();
  }
}

function pairs(flat: Reply): Map<string, string> {
  const words = flat as string[];
  const found = new Map<string, string>();
  for (let index = 0; index < words.length; index += 2) found.set(words[index], words[index + 1]);
  return found;
}
