/** Clients of the storm: what each does, one request after the other, and what it may count on. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { SeededRandom } from '../support/seed.ts';
import { type StormNode, windowMs } from './cluster.ts';
import { Register, Sum } from './ledger.ts';

const SLOTS = 40;
const COUNTERS = 3;
const THINK_MS = 4;

/** What happened that must not happen, with what it was. */
export type Anomalies = string[];

/** Writes to one node: keys, fields, members and list elements of its own, and counters that are everybody's. */
export class Resident {
  readonly node: StormNode;
  readonly keys = new Map<string, Register>();
  readonly fields = new Map<string, Register>();
  readonly members = new Map<string, Register>();
  readonly pushed = new Map<string, Register>();
  readonly sums = Array.from({ length: COUNTERS }, () => new Sum());
  acknowledged = 0;
  refused = 0;
  readonly #random: SeededRandom;
  readonly #client: Redis;
  #sequence = 0;
  #isStopping = false;
  readonly name: string;

  constructor(node: StormNode, name: string, random: SeededRandom) {
    this.node = node;
    this.name = name;
    this.#random = random;
    this.#client = node.connect();
  }

  async run(): Promise<void> {
    while (!this.#isStopping) {
      await this.#step();
      await delay(THINK_MS * this.#random.fraction() * 2);
    }
    this.#client.disconnect();
  }

  stop(): void {
    this.#isStopping = true;
  }

  /** The node was killed: what it acknowledged within its window may be gone. */
  crash(atMs: number): void {
    if (this.node.windowMs === 0) return;
    for (const registers of [this.keys, this.fields, this.members, this.pushed]) {
      for (const register of registers.values()) register.crash();
    }
    for (const sum of this.sums) sum.crash(atMs, windowMs);
  }

  async #step(): Promise<void> {
    const number = ++this.#sequence;
    const slot = this.#random.below(SLOTS);
    const value = `${this.name}:${number}`;
    switch (this.#random.below(8)) {
      case 0:
      case 1:
        return this.#write(this.keys, `own:${this.name}:${slot}`, value, (key) => this.#client.set(key, value));
      case 2:
        return this.#write(this.keys, `own:${this.name}:${slot}`, null, (key) => this.#client.del(key));
      case 3:
        return this.#write(this.fields, `${this.name}:${slot}`, value, (name) =>
          this.#client.hset('fields', name, value),
        );
      case 4:
        return this.#write(this.fields, `${this.name}:${slot}`, null, (name) => this.#client.hdel('fields', name));
      case 5: {
        const isThere = this.#random.chance(0.6);
        const write = (name: string): Promise<unknown> =>
          isThere ? this.#client.sadd('members', name) : this.#client.srem('members', name);
        return this.#write(this.members, `${this.name}:${slot}`, isThere ? 'member' : null, write);
      }
      case 6:
        return number % 4 === 0
          ? this.#write(this.pushed, value, '1', (name) => this.#client.rpush('pushed', name))
          : this.#lend(value);
      default:
        return this.#add(this.#random.below(COUNTERS), 1 + this.#random.below(9));
    }
  }

  /** A key that nobody may see for long. */
  async #lend(value: string): Promise<void> {
    await this.#client.set(`lent:${value}`, value, 'PX', 50 + this.#random.below(400)).then(
      () => this.acknowledged++,
      () => this.refused++,
    );
  }

  async #write(
    registers: Map<string, Register>,
    name: string,
    value: string | null,
    write: (name: string) => Promise<unknown>,
  ): Promise<void> {
    let register = registers.get(name);
    if (register === undefined) registers.set(name, (register = new Register()));
    const { kills } = this.node;
    let reply: unknown;
    try {
      reply = await write(name);
    } catch {
      register.doubt(value);
      this.refused++;
      return;
    }
    this.acknowledged++;
    if (value === null && reply === 0) {
      // Nothing was there to be removed; what a crash has taken away here may still be somewhere else.
      register.doubt(null);
      return;
    }
    register.acknowledge(value, performance.now(), this.node.windowMs);
    if (this.node.kills !== kills) register.crash();
  }

  async #add(counter: number, by: number): Promise<void> {
    const { kills } = this.node;
    try {
      await this.#client.incrby(`counter:${counter}`, by);
    } catch {
      this.sums[counter].doubt(by);
      this.refused++;
      return;
    }
    this.acknowledged++;
    if (this.node.windowMs > 0 && this.node.kills !== kills) this.sums[counter].doubt(by);
    else this.sums[counter].acknowledge(by, performance.now(), this.node.windowMs);
  }
}

/**
 * Goes from node to node with a token, and must read on each what it wrote on the one before. It only visits nodes that forget
 * nothing that they have answered. One that was killed comes back without what its peers had sent it last, until they send it again:
 * where a node was away, the token is awaited there anew.
 */
export class Roamer {
  readonly key: string;
  moves = 0;
  stays = 0;
  last = 0;
  most = 0;
  readonly #clients: Redis[];
  readonly #random: SeededRandom;
  readonly #anomalies: Anomalies;
  #at = 0;
  /** Of the last write, and whether the node has been away since. */
  #token: string | null = null;
  #wasAway = false;
  #isStopping = false;

  constructor(name: string, nodes: readonly StormNode[], random: SeededRandom, anomalies: Anomalies) {
    this.key = `roaming:${name}`;
    this.#clients = nodes.map((node) => node.connect());
    this.#random = random;
    this.#anomalies = anomalies;
  }

  stop(): void {
    this.#isStopping = true;
  }

  async run(): Promise<void> {
    while (!this.#isStopping) {
      try {
        await this.#visit();
      } catch {
        // The node is away, or does not answer: what it was sent may have happened, which the next value read tells.
        this.#wasAway = true;
      }
      await delay(THINK_MS * 5);
    }
    for (const client of this.#clients) client.disconnect();
  }

  async #visit(): Promise<void> {
    const here = this.#clients[this.#at];
    if (this.#wasAway && !(await this.#awaits(here))) return;
    this.#wasAway = false;
    this.#check(Number((await here.get(this.key)) ?? 0), 'where it wrote');
    this.most = this.last + 1;
    await here.set(this.key, String(this.most));
    this.last = this.most;
    this.#token = (await here.call('MANTIS', 'TOKEN')) as string;
    const next = this.#random.below(this.#clients.length);
    const there = this.#clients[next];
    if (!(await this.#awaits(there))) return;
    this.#check(Number((await there.get(this.key)) ?? 0), `on node ${next} after node ${this.#at}`);
    this.#at = next;
    this.moves++;
  }

  async #awaits(client: Redis): Promise<boolean> {
    if (this.#token === null) return true;
    const hasCome = (await client.call('MANTIS', 'AWAIT', this.#token, '1500').catch(() => 0)) === 1;
    if (!hasCome) this.stays++;
    return hasCome;
  }

  /** What is read is what was written last: acknowledged, or sent without an answer. */
  #check(value: number, where: string): void {
    if (value < this.last || value > this.most) {
      this.#anomalies.push(`${this.key} was ${value} ${where}, not ${this.last} to ${this.most}`);
    }
    this.last = Math.max(this.last, value);
  }
}
