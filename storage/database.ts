/** One of the numbered databases: its index, its counts, its deadlines, and what of it has yet to be sent or stored. */
import type { Arena } from './arena/arena.ts';
import { EvictedDigests } from './digests/evicted-digests.ts';
import { EvictedKeys } from './eviction/evicted-keys.ts';
import { EvictedStamps } from './eviction/evicted-stamps.ts';
import { ExpiryHeap } from './expiry/expiry-heap.ts';
import { KeyIndex } from './index/key-index.ts';
import { RefRing } from './arena/ref-ring.ts';
import { ForgottenVersions } from './tombstones/forgotten-versions.ts';
import { LapsedSums } from './tombstones/lapsed-sums.ts';

/** The hidden registers of one key, as change records by kind and element: see collections/shadow.ts. */
export interface Shadow {
  records: Map<string, Buffer>;
  /** Not all of it is in the stores. */
  isDirty: boolean;
}

export class Database {
  readonly number: number;
  index: KeyIndex;
  /** Keys that commands see, those whose deadline has just passed included. */
  keyCount = 0;
  /** Of those, keys with a deadline. */
  deadlineCount = 0;
  /** FLUSHDB's floor: registers stamped up to it are dead. */
  floorHi = 0;
  floorLo = 0;
  floorOrigin = 0;
  /** Whether the floor has to be sent to peers, and to the stores. */
  floorFeed = false;
  floorStore = false;
  /** The greatest stamp that was ever written here. */
  stampHi = 0;
  stampLo = 0;
  /** Keys that are in the stores alone; empty unless evicted keys are read back. */
  readonly evicted = new EvictedKeys();
  readonly evictedStamps = new EvictedStamps();
  /** What the digests go on counting of keys that were evicted. */
  readonly evictedDigests = new EvictedDigests();
  /** How new the deletions were that this node does not remember any more, and others may. */
  readonly forgotten = new ForgottenVersions();
  /** Of counters and fields that had lapsed, each by itself. */
  readonly lapsedSums = new LapsedSums();
  readonly deadlines = new ExpiryHeap();
  readonly feedRing = new RefRing();
  readonly storeRing = new RefRing();
  /** By the key's bytes as latin1; nearly always empty. */
  readonly shadows = new Map<string, Shadow>();
  readonly #arena: Arena;

  constructor(number: number, arena: Arena) {
    this.number = number;
    this.#arena = arena;
    this.index = new KeyIndex(arena);
  }

  noteStamp(hi: number, lo: number): void {
    if (hi > this.stampHi || (hi === this.stampHi && lo > this.stampLo)) {
      this.stampHi = hi;
      this.stampLo = lo;
    }
  }

  /** A key leaves memory for the stores alone; the clock has seen all of its stamps. */
  noteEvicted(hash: number, wasPartial: boolean, clock: { readonly hi: number; readonly lo: number }): void {
    this.evicted.add(hash, wasPartial);
    this.evictedStamps.note(hash, clock);
  }

  /** Forgets every key; the caller has freed the blocks. */
  reset(): void {
    this.index = new KeyIndex(this.#arena);
    this.keyCount = 0;
    this.deadlineCount = 0;
    this.deadlines.clear();
    this.feedRing.clear();
    this.storeRing.clear();
    this.shadows.clear();
    this.evictedDigests.clear();
  }
}
