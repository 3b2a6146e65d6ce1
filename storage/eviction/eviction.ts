/**
 * Making room: which key leaves this node's memory when `maxmemory` is reached. As in Redis the choice is by sampling, not by a
 * list of all keys in order of use, and the best of what earlier samples found are remembered and compared with. Eviction is
 * local: it deletes nothing at peers or in the stores.
 */
import { frequencyOf, idleSeconds } from './access.ts';
import { FEED, HIDDEN, OBJECT, PARTIAL, STORE } from '../arena/block.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';

export type EvictionPolicy =
  | 'noeviction'
  | 'allkeys-lru'
  | 'allkeys-lfu'
  | 'allkeys-random'
  | 'volatile-lru'
  | 'volatile-lfu'
  | 'volatile-random'
  | 'volatile-ttl';

/** `waits`: all that were looked at are still to be sent to peers or to be stored, and may go then. */
export type Evicted = 'yes' | 'none' | 'waits';

/** Draws for one sample: most draws of a busy database find a key that may go. */
const DRAWS_PER_SAMPLE = 4;
/** As long as none was found that may go: most deadlines that are drawn may be those of keys that have been written anew since. */
const DRAWS_FOR_ONE = 512;
/** Slots that are drawn at once. */
const DRAWN_SLOTS = 64;
/** Candidates that are remembered from one eviction to the next. */
const POOL_MOST = 16;

interface Candidate {
  ref: number;
  database: Database;
  /** The greater, the sooner the key goes. */
  score: number;
}

export class Eviction {
  readonly #keyspace: Keyspace;
  readonly #random: () => number;
  /** Ascending by score. */
  readonly #pool: Candidate[] = [];
  #poolPolicy: EvictionPolicy = 'noeviction';
  /** What the policy goes by. */
  #order = '';
  #isAnyWaiting = false;
  /** Keys that were drawn ahead, of this database; by the time they are looked at their blocks may be something else. */
  readonly #drawn = new Uint32Array(DRAWN_SLOTS);
  #drawnLeft = 0;
  #drawnFrom: Database | null = null;
  /** The sum of what was read ahead, so that the reads are not found to be useless and left out. */
  #readAheadSum = 0;
  /** Keys that must stay for the moment, among those that memory has only a part of. */
  isPinned: (database: Database, ref: number) => boolean = () => false;

  constructor(keyspace: Keyspace, random: () => number) {
    this.#keyspace = keyspace;
    this.#random = random;
  }

  /** Evicts one key, if the policy finds one that may go. */
  evictOne(policy: EvictionPolicy, samples: number): Evicted {
    if (policy === 'noeviction') return 'none';
    if (policy !== this.#poolPolicy) {
      this.#pool.length = 0;
      this.#poolPolicy = policy;
      this.#order = policy.slice(policy.indexOf('-') + 1);
    }
    this.#isAnyWaiting = false;
    const volatileOnly = policy.startsWith('volatile');
    const enough = this.#order === 'random' ? 1 : samples;
    for (const database of this.#keyspace.databases) {
      if ((volatileOnly ? database.deadlineCount : database.keyCount) > 0) {
        this.#sample(database, volatileOnly, enough);
      }
    }
    for (let best = this.#pool.pop(); best !== undefined; best = this.#pool.pop()) {
      // It may have been used since, or its block may be another key's by now.
      if (!this.#mayGo(best.database, best.ref, volatileOnly) || this.#score(best.ref) < best.score - 1) continue;
      if (this.#evict(best.database, best.ref)) return 'yes';
    }
    return this.#isAnyWaiting ? 'waits' : 'none';
  }

  #sample(database: Database, volatileOnly: boolean, samples: number): void {
    let found = 0;
    for (let draw = 0; found < samples; draw++) {
      const isEnough = found > 0 || this.#isAnyWaiting || draw >= DRAWS_FOR_ONE;
      if (isEnough && draw >= samples * DRAWS_PER_SAMPLE) return;
      const ref = volatileOnly ? database.deadlines.sample(this.#random()) : this.#draw(database);
      if (!this.#mayGo(database, ref, volatileOnly)) continue;
      found++;
      this.#remember(database, ref, this.#score(ref));
    }
  }

  #draw(database: Database): number {
    if (this.#drawnLeft === 0 || this.#drawnFrom !== database) this.#drawAhead(database);
    return this.#drawnLeft === 0 ? database.index.sample(this.#random()) : this.#drawn[--this.#drawnLeft];
  }

  #drawAhead(database: Database): void {
    const { words } = this.#keyspace.arena;
    this.#drawnFrom = database;
    this.#drawnLeft = database.index.sampleSome(this.#random(), this.#drawn);
    let sum = 0;
    for (let at = 0; at < this.#drawnLeft; at++) {
      const ref = this.#drawn[at];
      sum ^= words[ref >>> 20][(ref & 0xfffff) << 1];
    }
    this.#readAheadSum ^= sum;
  }

  /** Puts a candidate into the pool, unless all that are there are better. */
  #remember(database: Database, ref: number, score: number): void {
    const pool = this.#pool;
    if (pool.length === POOL_MOST && score <= pool[0].score) return;
    if (pool.some((candidate) => candidate.ref === ref)) return;
    let at = pool.length;
    while (at > 0 && pool[at - 1].score > score) at--;
    pool.splice(at, 0, { ref, database, score });
    if (pool.length > POOL_MOST) pool.shift();
  }

  #isPruning(ref: number, flags: number): boolean {
    const keyspace = this.#keyspace;
    if (keyspace.pruning.size === 0 || (flags & OBJECT) === 0 || keyspace.isPacked(ref)) return false;
    return keyspace.pruning.has(keyspace.glanceAt(ref));
  }

  #mayGo(database: Database, ref: number, volatileOnly: boolean): boolean {
    const keyspace = this.#keyspace;
    if (ref === 0 || !keyspace.isKeyBlock(ref)) return false;
    const flags = keyspace.flagsOf(ref);
    if ((flags & HIDDEN) !== 0 || (volatileOnly && keyspace.deadlineOf(ref) <= 0)) return false;
    // A change that nobody else has been told of would be lost with it; what a floor has reached is still to go from the rest.
    if ((flags & (FEED | STORE)) !== 0 || this.#isPruning(ref, flags)) {
      this.#isAnyWaiting = true;
      return false;
    }
    return (flags & PARTIAL) === 0 || !this.isPinned(database, ref);
  }

  /** The greater, the sooner the key goes. */
  #score(ref: number): number {
    const order = this.#order;
    if (order === 'lru') return idleSeconds(this.#keyspace, ref) + this.#random() * 0.5;
    if (order === 'lfu') return -frequencyOf(this.#keyspace, ref) + this.#random() * 0.5;
    if (order === 'ttl') return -this.#keyspace.deadlineOf(ref);
    return this.#random();
  }

  #evict(database: Database, ref: number): boolean {
    const keyspace = this.#keyspace;
    keyspace.readKey(ref);
    const hash = keyspace.hashOf(keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
    if (database.index.find(hash, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength) !== ref) return false;
    keyspace.evict(database, hash, ref);
    return true;
  }
}
