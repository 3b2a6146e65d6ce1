/**
 * Keeps the data within `maxmemory`: evicts what the policy allows, and refuses what then still does not fit. Also refuses in time
 * what the process itself would die of.
 */
import { getHeapStatistics } from 'node:v8';
import { Eviction } from '../../storage/eviction/eviction.ts';
import { MemoryBound } from './memory-bound.ts';
import type { Node } from '../node.ts';
import type { ProcessMemory } from './process-memory.ts';

/** Evictions between two looks at the clock. */
const EVICTIONS_A_LOOK = 8;
/** Time of one step of what is evicted between commands; and far beyond the bound. */
const STEP_MS = 1;
const STEP_MS_MOST = 5;
/** Time that the commands of one turn take for making room; from then on they make it only for what the turn goes on to write. */
const TURN_MS = 5;
/** So far beyond its bound of `maxmemory` what blocks could be moved may be evicted as well: that comes first. */
const EVICTED_FIRST_SHARE = 0.2;
/** Elements of large evicted collections that are freed at once. */
const FREE_ELEMENTS = 1000;
/** Memory may be so far over its bound while what could leave it is being stored; beyond, commands wait for the stores. */
const UNSTORED_SHARE = 0.02;
const UNSTORED_BYTES_LEAST = 64 << 10;
/** Node.js ends the process when its heap is full. */
const HEAP_SHARE_MAX = 0.9;
/** The process is looked at this often. */
const LOOK_MS = 100;
/** Time that one command may move blocks for. */
const COMMAND_COMPACTS_MS = 0.3;
/** The same when there is no page left for blocks of another size. */
const COMMAND_COMPACTS_MS_MOST = 1;
/** Unpacked collections are most of the heap: so much of `maxmemory` may be taken by them, at this much for each. */
const UNPACKED_SHARE = 0.1;
const UNPACKED_BYTES = 1500;

/** Collections looked at for packing by each command that may need memory, while more are unpacked than that. */
const PACKED_A_COMMAND = 4;

/** What of `maxmemory` each database may spend on knowing the digests of evicted keys. */
const EVICTED_SHARE = 0.5;

/** What came of making room. `waits`: what could go is still to be sent or stored. */
type Relief = 'fits' | 'unfinished' | 'waits' | 'nothing';

export class MemoryGuard {
  readonly eviction: Eviction;
  readonly bound: MemoryBound;
  /** Nothing is evicted for the moment: a transaction counts on the keys that it has. */
  isHolding = false;
  readonly #node: Node;
  readonly #defer: (work: () => void) => void;
  #isRelieving = false;
  #relief: Relief = 'fits';
  #flush: Promise<void> | null = null;
  /** What `maxmemory` is: looked at before every command that may need memory. */
  #bytesMax: number;
  #lookedAtMs = -Infinity;
  #isHeapFull = false;
  #isCompacting = false;
  /** Time that commands of this turn have taken, and what was counted and resident when that was enough. */
  #spentMs = 0;
  #spentAtBytes = 0;
  #spentAtResidentBytes = 0;

  /**
   * @param defer runs work after what the event loop has to do now
   * @param processMemory null where the process is not this node's alone: then only what is counted is bounded
   */
  constructor(node: Node, defer: (work: () => void) => void, processMemory: ProcessMemory | null = null) {
    this.#node = node;
    this.#defer = defer;
    this.bound = new MemoryBound(node.keyspace, processMemory, () => node.monotonicMs());
    this.eviction = new Eviction(node.keyspace, () => node.random());
    this.#bytesMax = Number(node.config.values.maxmemory);
    let bytesMost = this.#bytesMax;
    const follow = (): void => {
      this.#bytesMax = Number(node.config.values.maxmemory);
      const { keyspace } = node;
      this.bound.bytesMax = this.#bytesMax;
      keyspace.evictedDigestBytesMax = this.#bytesMax * EVICTED_SHARE || Infinity;
      // There is room again: what peers have of the evicted keys comes by repair. The stores are read on demand.
      const hasGrown = this.#bytesMax === 0 || (bytesMost !== 0 && this.#bytesMax > bytesMost);
      if (hasGrown && !keyspace.readsThrough)
        keyspace.databases.forEach((database) => keyspace.forgetEvicted(database));
      bytesMost = this.#bytesMax;
      const share = this.#bytesMax * UNPACKED_SHARE;
      node.keyspace.objects.unpackedMost = share === 0 ? Infinity : Math.max(1000, share / UNPACKED_BYTES);
    };
    node.config.onChange('maxmemory', () => {
      follow();
      this.relieveSoon();
    });
    follow();
  }

  /**
   * Whether a command that may need memory can run.
   * @param isHolding nothing may be evicted before it has run
   */
  hasRoom(isHolding = this.isHolding): boolean {
    const { bound } = this;
    const { keyspace } = this.#node;
    const { objects, arena } = keyspace;
    if (arena.large.hasRemoved) arena.large.freeRemoved();
    if (!this.#processHasRoom()) return false;
    // A flood of new collections leaves no time between commands, and would evict what packed fits many times over.
    if (!isHolding && objects.unpackedCount > objects.unpackedMost) objects.packSome(PACKED_A_COMMAND);
    if (this.#bytesMax === 0) {
      this.#relief = 'fits';
      return true;
    }
    const { usedBytes } = keyspace;
    if (usedBytes <= bound.evictAtBytes) {
      this.#relief = 'fits';
      if (!isHolding && bound.isSparse(usedBytes)) this.#compact();
      return true;
    }
    if (isHolding) {
      this.relieveSoon();
      return this.#node.config.values['maxmemory-policy'] !== 'noeviction';
    }
    const sliceMs = this.#sliceMs();
    const isLeft = this.#isSpent && this.#relief === 'unfinished';
    this.#relief = this.#relieve(sliceMs, isLeft ? Math.max(bound.evictAtBytes, this.#spentAtBytes) : undefined);
    if (this.#relief === 'unfinished') this.#spend(sliceMs);
    if (bound.isSparse(keyspace.usedBytes)) this.#compact();
    if (this.#relief === 'unfinished') this.relieveSoon();
    if (this.#relief === 'waits') this.#flushSoon();
    return this.#relief !== 'nothing';
  }

  /** Evicts before commands that need no memory, reads among them: as in Redis, what goes is told of before their replies. */
  makeRoom(): void {
    if (this.#bytesMax === 0 || this.#node.keyspace.usedBytes <= this.bound.evictAtBytes) return;
    this.hasRoom();
    this.#node.tracking.tellNow();
  }

  /** What a command has to wait for where room is short; null when it can run. Asked after `hasRoom` or `makeRoom`. */
  get roomSoon(): Promise<void> | null {
    if (this.#relief !== 'waits' || this.isHolding) return null;
    const slack = Math.max(UNSTORED_BYTES_LEAST, this.#bytesMax * UNSTORED_SHARE);
    return this.#node.keyspace.usedBytes > this.bound.evictAtBytes + slack ? this.#flush : null;
  }

  /** Evicts between commands until the data is within its bound. */
  relieveSoon(): void {
    const { keyspace } = this.#node;
    if (keyspace.arena.large.hasRemoved) keyspace.arena.large.freeRemoved();
    if (this.#bytesMax === 0) return;
    this.#look();
    if (this.bound.isSparse(keyspace.usedBytes)) this.#compactSoon();
    if (this.#isRelieving || keyspace.usedBytes <= this.bound.evictAtBytes) return;
    this.#isRelieving = true;
    this.#defer(() => {
      this.#isRelieving = false;
      this.#relief = this.#relieve(this.#evictsFirst ? STEP_MS_MOST : STEP_MS);
      if (this.#relief === 'unfinished') this.relieveSoon();
      else if (this.bound.isSparse(keyspace.usedBytes)) this.#compactSoon();
      if (this.#relief === 'waits') this.#flushSoon();
    });
  }

  get #isSpent(): boolean {
    return this.#spentMs >= TURN_MS;
  }

  #spend(ms: number): void {
    if (ms === 0) return;
    if (this.#spentMs === 0) this.#defer(() => (this.#spentMs = 0));
    const wasSpent = this.#isSpent;
    this.#spentMs += ms;
    if (wasSpent || !this.#isSpent) return;
    this.#spentAtBytes = this.#node.keyspace.usedBytes;
    this.#spentAtResidentBytes = this.#node.keyspace.arena.residentBytes;
  }

  get #evictsFirst(): boolean {
    const bytes = this.bound.evictAtBytes + this.#bytesMax * EVICTED_FIRST_SHARE;
    return this.#relief === 'unfinished' && this.#node.keyspace.usedBytes > bytes;
  }

  /** Moves blocks for as long as a command may evict, and goes on between commands. */
  #compact(): void {
    const { emptyBytes, residentBytes } = this.#node.keyspace.arena;
    if (this.#evictsFirst) return;
    if (this.#isSpent) {
      if (residentBytes <= this.#spentAtResidentBytes) return;
      this.#spentAtResidentBytes = residentBytes;
    }
    const sliceMs = emptyBytes === 0 ? COMMAND_COMPACTS_MS_MOST : COMMAND_COMPACTS_MS;
    if (!this.bound.compact(sliceMs)) return;
    this.#spend(sliceMs);
    this.#compactSoon();
  }

  #compactSoon(): void {
    if (this.#isCompacting || this.isHolding || this.#evictsFirst) return;
    this.#isCompacting = true;
    this.#defer(() => {
      this.#isCompacting = false;
      if (this.bound.compact(STEP_MS)) this.#compactSoon();
    });
  }

  /** As Redis has it: up to 0.5 ms at a tenacity of 10, 15 % more for each point above, no end at 100. */
  #sliceMs(): number {
    const tenacity = this.#node.config.values['maxmemory-eviction-tenacity'];
    if (tenacity <= 10) return 0.05 * tenacity;
    return tenacity === 100 ? Infinity : 0.5 * 1.15 ** (tenacity - 10);
  }

  #relieve(sliceMs: number, downToBytes = this.bound.evictAtBytes): Relief {
    const { evictAtBytes } = this.bound;
    const { keyspace, config, statistics } = this.#node;
    const policy = config.values['maxmemory-policy'];
    const samplesMost = config.values['maxmemory-samples'];
    let samples = this.#samplesFor(samplesMost);
    const evictedBefore = keyspace.evictedKeys;
    const endMs = this.#node.monotonicMs() + sliceMs;
    let relief: Relief = downToBytes > evictAtBytes ? 'unfinished' : 'fits';
    for (let count = 1; keyspace.usedBytes > downToBytes; count++) {
      // What has been evicted already counts until it is freed.
      if (keyspace.objects.hasGarbage) {
        keyspace.objects.freeSome(FREE_ELEMENTS);
      } else {
        const evicted = this.eviction.evictOne(policy, samples);
        if (evicted !== 'yes') {
          relief = evicted === 'waits' ? 'waits' : 'nothing';
          break;
        }
      }
      if (count % EVICTIONS_A_LOOK > 0) continue;
      if (this.#node.monotonicMs() >= endMs) {
        relief = 'unfinished';
        break;
      }
      samples = this.#samplesFor(samplesMost);
    }
    statistics.evictedKeys += keyspace.evictedKeys - evictedBefore;
    keyspace.arena.large.freeRemoved();
    return relief;
  }

  /** Where one key of three has to go, it need not be the best of five: as many are looked at for each as there are for each that goes. */
  #samplesFor(samplesMost: number): number {
    const { usedBytes } = this.#node.keyspace;
    return Math.min(samplesMost, Math.ceil(usedBytes / Math.max(1, usedBytes - this.bound.evictAtBytes)));
  }

  /** Has the stores given what memory could let go of. */
  #flushSoon(): void {
    const { flusher } = this.#node;
    if (this.#flush !== null || flusher === null) return;
    const done = (): void => {
      this.#flush = null;
      this.relieveSoon();
    };
    this.#flush = flusher.flushNow().then(done, done);
  }

  #processHasRoom(): boolean {
    this.#look();
    return !this.#isHeapFull && this.#node.keyspace.arena.reserve();
  }

  #look(): void {
    const { nowMs } = this.#node.keyspace.clock;
    if (nowMs - this.#lookedAtMs < LOOK_MS && nowMs >= this.#lookedAtMs) return;
    this.#lookedAtMs = nowMs;
    const heap = getHeapStatistics();
    this.#isHeapFull = heap.used_heap_size > heap.heap_size_limit * HEAP_SHARE_MAX;
    this.bound.look();
  }
}
