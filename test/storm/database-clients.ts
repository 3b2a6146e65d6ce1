/** Clients of a storm over a database: one whose keys do not fit into memory, and one that flushes a database of its own. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { SeededRandom } from '../support/seed.ts';
import type { Anomalies } from './clients.ts';
import type { StormNode } from './cluster.ts';
import { Register } from './ledger.ts';

const BALLAST_KEYS = 400;
const BALLAST_BYTES = 20_000;
const FLUSHED_KEYS = 30;
const THINK_MS = 10;

abstract class Client {
  readonly node: StormNode;
  readonly keys = new Map<string, Register>();
  acknowledged = 0;
  refused = 0;
  protected readonly random: SeededRandom;
  protected readonly redis: Redis;
  #isStopping = false;

  constructor(node: StormNode, random: SeededRandom) {
    this.node = node;
    this.random = random;
    this.redis = node.connect();
  }

  async run(): Promise<void> {
    for (let number = 1; !this.#isStopping; number++) {
      await this.step(number);
      await delay(THINK_MS * this.random.fraction() * 2);
    }
    this.redis.disconnect();
  }

  protected abstract step(number: number): Promise<void>;

  stop(): void {
    this.#isStopping = true;
  }

  crash(_atMs: number): void {
    if (this.node.windowMs > 0) for (const register of this.keys.values()) register.crash();
  }

  /** Does something that gives some keys these values, or may have done so. It is done unless `work` resolves to 0. */
  protected async write(changes: ReadonlyMap<string, string | null>, work: () => Promise<unknown>): Promise<void> {
    const { kills } = this.node;
    const reply = await work().catch(() => undefined);
    if (reply === undefined) this.refused++;
    else this.acknowledged++;
    // Nothing was there to be removed; what a crash has taken away here may still be somewhere else.
    const isDone = reply !== undefined && reply !== 0;
    for (const [name, value] of changes) {
      const register = this.keys.get(name) ?? new Register();
      this.keys.set(name, register);
      if (isDone) register.acknowledge(value, performance.now(), this.node.windowMs);
      else register.doubt(value);
      if (isDone && this.node.windowMs > 0 && this.node.kills !== kills) register.crash();
    }
  }
}

/** Writes more than its node has room for, reads it again, and deletes some. */
export class Ballast extends Client {
  readonly anomalies: Anomalies = [];

  protected override async step(number: number): Promise<void> {
    const name = `ballast:${this.random.below(BALLAST_KEYS)}`;
    const drawn = this.random.below(10);
    if (drawn < 4) {
      const value = `${number}:`.padEnd(this.random.below(BALLAST_BYTES), 'ballast ');
      await this.write(new Map([[name, value]]), () => this.redis.set(name, value));
    } else if (drawn === 4) {
      await this.write(new Map([[name, null]]), () => this.redis.del(name));
    } else {
      await this.#read(name);
    }
  }

  async #read(name: string): Promise<void> {
    const { kills } = this.node;
    const value = await this.redis.get(name).catch(() => undefined);
    const register = this.keys.get(name);
    if (value === undefined || register === undefined || this.node.kills !== kills || register.allows(value)) return;
    this.anomalies.push(`${name} was read as ${String(value).slice(0, 20)}, not ${register.states.slice(0, 200)}`);
  }
}

/** Writes keys to a database that nobody else uses, and flushes it now and then. */
export class Flusher extends Client {
  readonly database: number;
  flushes = 0;
  #isSelected = false;

  constructor(node: StormNode, database: number, random: SeededRandom) {
    super(node, random);
    this.database = database;
    this.redis.on('close', () => (this.#isSelected = false));
  }

  protected override async step(number: number): Promise<void> {
    if (!this.#isSelected) {
      this.#isSelected = await this.redis.select(this.database).then(
        () => true,
        () => false,
      );
      return;
    }
    const name = `flushed:${this.random.below(FLUSHED_KEYS)}`;
    if (!this.random.chance(0.02)) {
      await this.write(new Map([[name, String(number)]]), () => this.#inOwn(['set', name, String(number)]));
      return;
    }
    this.flushes++;
    await this.write(new Map([...this.keys.keys()].map((key) => [key, null])), () => this.#inOwn(['flushdb']));
  }

  /** A connection that was lost in between has come back to database 0. */
  async #inOwn(words: readonly string[]): Promise<string> {
    const results = await this.redis.multi([['select', this.database] as (string | number)[], [...words]]).exec();
    const error = results?.find(([failure]) => failure !== null)?.[0];
    if (results === null || error) throw error ?? new Error('not executed');
    return 'OK';
  }
}
