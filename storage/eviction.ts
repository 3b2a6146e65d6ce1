/**
 * Making room: which key leaves this node's memory when `maxmemory` is reached. As in Redis the choice is by sampling, not
 * by a list of all keys in order of use. Eviction is local: it deletes nothing at peers or in the stores.
 */
import { frequencyOf, idleSeconds } from './access.ts';
import { HIDDEN } from './block.ts';
import type { Database } from './database.ts';
import type { Keyspace } from './keyspace.ts';

export type EvictionPolicy =
  | 'noeviction'
  | 'allkeys-lru'
  | 'allkeys-lfu'
  | 'allkeys-random'
  | 'volatile-lru'
  | 'volatile-lfu'
  | 'volatile-random'
  | 'volatile-ttl';

/** Draws for one sample: most draws of a busy database find a key that may go. */
const DRAWS_PER_SAMPLE = 4;

export class Eviction {
  readonly #keyspace: Keyspace;
  readonly #random: () => number;
  evictedKeys = 0;
  #bestRef = 0;
  #bestDatabase: Database | null = null;
  #bestScore = 0;

  constructor(keyspace: Keyspace, random: () => number) {
    this.#keyspace = keyspace;
    this.#random = random;
  }

  /** Evicts one key; false when the policy finds none that may go. */
  evictOne(policy: EvictionPolicy, samples: number): boolean {
    if (policy === 'noeviction') return false;
    this.#bestRef = 0;
    this.#bestScore = -Infinity;
    const volatileOnly = policy.startsWith('volatile');
    const enough = policy.endsWith('random') ? 1 : samples;
    for (const database of this.#keyspace.databases) {
      if ((volatileOnly ? database.deadlineCount : database.keyCount) > 0) {
        this.#sample(database, policy, volatileOnly, enough);
      }
    }
    const database = this.#bestDatabase;
    if (this.#bestRef === 0 || database === null) return false;
    this.#evict(database, this.#bestRef);
    return true;
  }

  #sample(database: Database, policy: EvictionPolicy, volatileOnly: boolean, samples: number): void {
    let found = 0;
    for (let draw = 0; draw < samples * DRAWS_PER_SAMPLE && found < samples; draw++) {
      const ref = volatileOnly ? database.deadlines.sample(this.#random()) : database.index.sample(this.#random());
      if (!this.#mayGo(ref, volatileOnly)) continue;
      found++;
      const score = this.#score(policy, ref);
      if (score <= this.#bestScore) continue;
      this.#bestScore = score;
      this.#bestRef = ref;
      this.#bestDatabase = database;
    }
  }

  #mayGo(ref: number, volatileOnly: boolean): boolean {
    const keyspace = this.#keyspace;
    if (ref === 0 || !keyspace.arena.isLive(ref) || (keyspace.flagsOf(ref) & HIDDEN) !== 0) return false;
    return !volatileOnly || keyspace.deadlineOf(ref) > 0;
  }

  /** The greater, the sooner the key goes. */
  #score(policy: EvictionPolicy, ref: number): number {
    if (policy.endsWith('lru')) return idleSeconds(this.#keyspace, ref) + this.#random() * 0.5;
    if (policy.endsWith('lfu')) return -frequencyOf(this.#keyspace, ref) + this.#random() * 0.5;
    if (policy.endsWith('ttl')) return -this.#keyspace.deadlineOf(ref);
    return this.#random();
  }

  #evict(database: Database, ref: number): void {
    const keyspace = this.#keyspace;
    keyspace.readKey(ref);
    const hash = keyspace.hashOf(keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
    if (database.index.find(hash, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength) !== ref) return;
    const key = Buffer.from(keyspace.keyBuffer.subarray(keyspace.keyStart, keyspace.keyStart + keyspace.keyLength));
    this.evictedKeys++;
    keyspace.drop(database, hash, ref);
    keyspace.observer?.changed(database.number, key, 0, key.length);
  }
}
