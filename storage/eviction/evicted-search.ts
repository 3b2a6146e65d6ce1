/**
 * Finds keys that peers lack and that were evicted here. Of such a key memory knows the hash alone, so the stores are gone through for the
 * names: one pass at a time for all that was asked for until then, in steps that rest. What it finds is read back into memory, from where
 * the next repair gives it. What no store has is counted by the digests no longer.
 */
import { RecordError } from '../../protocol/change-record.ts';
import { StoreError } from '../backends/backend.ts';
import { type KeyName, keyNamesOf } from '../backends/key-names.ts';
import type { SearchStep } from '../backends/key-search.ts';
import { KeyHashes } from '../digests/key-hashes.ts';
import type { Keyspace } from '../keyspace.ts';
import type { DoubtedKeys } from './doubted-keys.ts';

/** Keys of one pass, in 2 MiB; a peer that lacks more asks again. */
const SOUGHT_MOST = 131_072;
/** Pause between two passes, the least and by what the last one took without its rests. */
const PAUSE_MS_LEAST = 10_000;
const PAUSE_SHARE = 10;
/** How long is rested after a step, by what it took. */
const REST_SHARE = 3;
const KEYS_A_READ = 64;
/** Of what `maxmemory` leaves for digests of evicted keys, which is half of it: so much is read back before it is left to peers to take it. */
const GIVEN_SHARE = 1 / 4;
const GIVING_MS = 5_000;
/** Slots of the hashes looked at in one go when a pass is over. */
const SLOTS_A_LOOK = 20_000;

/** A store that can be searched: see StoreEngine. */
export interface SearchedStore {
  search(hashes: Buffer, from: Buffer | null): Promise<SearchStep>;
}

/** What reads keys back, as ReadThrough does. */
interface KeyFetcher {
  readonly bytesFetched: number;
  fetch(keys: readonly KeyName[]): Promise<unknown>;
}

/** `failed`: not all was looked through. `refused`: nothing can be. */
type Outcome = 'whole' | 'failed' | 'refused';

export class EvictedSearch {
  /** Called when keys have come back that peers lack. */
  onFound: () => void = () => {};
  passes = 0;
  /** Keys that were read back for peers. */
  keysFound = 0;
  readonly #keyspace: Keyspace;
  readonly #store: SearchedStore;
  readonly #fetcher: KeyFetcher;
  readonly #doubted: DoubtedKeys;
  /** For the next pass. */
  #asked: KeyHashes;
  #isRunning = false;
  #nowMs = 0;
  #nextAtMs = 0;
  #workedMs = 0;
  /** What had been read back when peers last had time to take it. */
  #bytesGiven = 0;
  #resume: { readonly atMs: number; readonly go: () => void } | null = null;

  constructor(keyspace: Keyspace, store: SearchedStore, fetcher: KeyFetcher, doubted: DoubtedKeys) {
    this.#keyspace = keyspace;
    this.#store = store;
    this.#fetcher = fetcher;
    this.#doubted = doubted;
    this.#asked = KeyHashes.empty(keyspace.clock.lo);
  }

  /** A key is to be sought. @returns false while too many are */
  seek(hashHi: number, hashLo: number): boolean {
    if (this.#asked.count >= SOUGHT_MOST) return false;
    this.#asked.add(hashHi, hashLo);
    return true;
  }

  /** Begins a pass, or goes on with one. Called by the node's timer with a monotonic time. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#resume !== null && nowMs >= this.#resume.atMs) {
      const { go } = this.#resume;
      this.#resume = null;
      go();
    }
    const isAnySought = this.#asked.count > 0 || this.#doubted.hasToFind;
    if (!this.#isRunning && isAnySought && nowMs >= this.#nextAtMs) void this.#pass();
  }

  #rest(ms: number): Promise<void> {
    return new Promise((go) => (this.#resume = { atMs: this.#nowMs + ms, go }));
  }

  async #pass(): Promise<void> {
    this.#isRunning = true;
    this.#workedMs = 0;
    this.#bytesGiven = this.#fetcher.bytesFetched;
    const hashes = this.#asked;
    this.#asked = KeyHashes.empty(this.#keyspace.clock.lo);
    const doubted = this.#doubted.beginFinding();
    doubted?.visit(0, doubted.slotCount, (hashHi, hashLo) => hashes.add(hashHi, hashLo));
    const outcome = await this.#tried(hashes.bytes);
    if (doubted !== null && outcome !== 'failed') this.#doubted.endFinding(doubted, outcome === 'whole');
    await this.#end(hashes, outcome !== 'failed');
    this.passes++;
    // A node that resynchronises is not done before it has found them all.
    const leastMs = outcome === 'whole' && this.#doubted.hasToFind ? 0 : PAUSE_MS_LEAST;
    this.#nextAtMs = this.#nowMs + Math.max(leastMs, PAUSE_SHARE * this.#workedMs);
    this.#isRunning = false;
  }

  async #tried(hashes: Buffer): Promise<Outcome> {
    try {
      await this.#goThrough(hashes);
      return 'whole';
    } catch (error) {
      if (error instanceof StoreError) return error.kind === 'refused' ? 'refused' : 'failed';
      if (error instanceof RecordError) return 'failed';
      throw error;
    }
  }

  async #goThrough(hashes: Buffer): Promise<void> {
    const { keysFound } = this;
    for (let from: Buffer | null = null; ;) {
      const beganMs = this.#nowMs;
      const { names, next }: SearchStep = await this.#store.search(hashes, from);
      const tookMs = this.#nowMs - beganMs;
      this.#workedMs += tookMs;
      await this.#readBack(keyNamesOf(names));
      if (next === null) break;
      from = next;
      await this.#rest(REST_SHARE * tookMs);
    }
    if (this.keysFound > keysFound) this.onFound();
  }

  /** As much of it as memory has room for; the rest when peers had time to take that. */
  async #readBack(names: readonly KeyName[]): Promise<void> {
    const bytesMost = this.#keyspace.evictedDigestBytesMax * GIVEN_SHARE;
    for (let at = 0; at < names.length; at += KEYS_A_READ) {
      const some = names.slice(at, at + KEYS_A_READ).filter((name) => this.#isSought(name));
      if (some.length === 0) continue;
      await this.#fetcher.fetch(some);
      // Memory has nothing of it, so the stores had nothing that shows.
      const lost = some.filter((name) => this.#isAsked(name));
      for (const name of lost) this.#endSeeking(name);
      this.keysFound += some.length - lost.length;
      if (this.#fetcher.bytesFetched - this.#bytesGiven < bytesMost) continue;
      this.onFound();
      await this.#rest(GIVING_MS);
      this.#bytesGiven = this.#fetcher.bytesFetched;
    }
  }

  /** Whether peers have asked for the key. Its hash is then the digests' last. */
  #isAsked({ database, key }: KeyName): boolean {
    const { digests, databases } = this.#keyspace;
    digests.hashKey(database, key, 0, key.length);
    return databases[database]?.evictedDigests.isSought(digests.keyHi, digests.keyLo) === true;
  }

  #isSought(name: KeyName): boolean {
    const { digests } = this.#keyspace;
    return this.#isAsked(name) || this.#doubted.isLacked(digests.keyHi, digests.keyLo);
  }

  #endSeeking({ database, key }: KeyName): void {
    const { digests } = this.#keyspace;
    digests.hashKey(database, key, 0, key.length);
    this.#stop(digests.keyHi, digests.keyLo, true);
  }

  /** Ends the search for what was not found; what has been asked for anew since goes on to be sought. */
  async #end(hashes: KeyHashes, isLost: boolean): Promise<void> {
    for (let slot = 0; slot < hashes.slotCount; slot += SLOTS_A_LOOK) {
      if (slot > 0) await this.#rest(0);
      hashes.visit(slot, slot + SLOTS_A_LOOK, (hashHi, hashLo) => {
        if (!this.#asked.has(hashHi, hashLo)) this.#stop(hashHi, hashLo, isLost);
      });
    }
  }

  #stop(hashHi: number, hashLo: number, isLost: boolean): void {
    const { databases, digests } = this.#keyspace;
    for (const { evictedDigests } of databases) {
      if (!evictedDigests.endSeeking(hashHi, hashLo, isLost)) continue;
      digests.toggleKey(hashHi, evictedDigests.digestHi, evictedDigests.digestLo);
    }
  }
}
