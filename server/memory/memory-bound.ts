/**
 * Where eviction has to begin so that the process stays within `maxmemory`, and not only what is counted of the data: the pages of
 * the arena that blocks of one size leave free for no others, V8's objects and garbage, what the allocator and the store keep.
 *
 *   resident growth   = pages of the arena | counted besides blocks | not counted
 *   evict beyond      maxmemory − not counted − a reserve for pages that are not full
 *   move blocks       when pages of the arena + counted besides blocks > maxmemory − not counted
 */
import { freeBuffersAtOnce } from '../../protocol/free-buffer.ts';
import { Compaction } from '../../storage/arena/compaction.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import type { ProcessMemory } from './process-memory.ts';

/** Of `maxmemory`, what pages that are not full may take at least; and at most, where sizes change faster than blocks are moved. */
const UNFILLED_SHARE = 0.03;
const UNFILLED_SHARE_MOST = 0.1;
/** Where nothing could be moved, it is tried again when pages that are not empty have so much more of `maxmemory` free. */
const RETRIED_SHARE = 0.005;
/** The weight of a look in what pages that are not full take on the average. */
const LOOK_WEIGHT = 0.1;
/** Below this bound the process itself, which comes and goes by some MiB, would leave nothing of it for data: only that is counted. */
const PROCESS_BOUND_LEAST = 32 << 20;
/** What is not counted may push eviction down to this share of `maxmemory`, and no further. */
const COUNTED_SHARE_LEAST = 0.5;
/**
 * V8 compiles what evicts when keys are first evicted, and malloc keeps what that takes: up to 10 MB. So much is left for it until then,
 * and a tenth less after each look at a full keyspace, by which it has been seen.
 */
const COMPILING_BYTES = 8 << 20;
const COMPILING_SHARE_MOST = 0.08;
const COMPILING_DECAY = 0.9;
/** A keyspace is full from so much of `maxmemory` below its bound. */
const FULL_FROM_SHARE = 0.01;
/** The bound is kept a little below `maxmemory`: what is not counted is only looked at now and then. */
const FULL_SHARE = 0.98;
/** V8's space for new objects, without and for each byte of `maxmemory`. */
const NEW_SPACE_BYTES = 17 << 20;
const NEW_SPACE_SHARE = 0.05;
/** V8 is asked to collect when so much of `maxmemory` is not counted, but gets no more than this share of the time for it. */
const GARBAGE_SHARE = 0.08;
const COLLECTING_SHARE = 0.03;
const COLLECTING_SHARE_MOST = 0.15;
/** Memory goes back to the system in segments of this size, when so much has been empty for a while. */
const SEGMENT_BYTES = 8 << 20;
const IDLE_LOOKS = 3;
const IDLE_LOOKS_LONG = 20;
/** So far beyond the bound, as when it was lowered, nothing that comes will need what is empty. */
const LOWERED_SHARE = 0.3;
/** Looks after what had to go was evicted, in which blocks have been moved together for the lowered bound as far as they can be. */
const SETTLING_LOOKS = 30;
/** Pages may be so far beyond a lowered bound, as that comes and goes. */
const EXCESS_SHARE = 0.01;
const EXCESS_BYTES = 1 << 20;
/** With so many empty bytes blocks of other sizes have room. */
const EMPTY_BYTES_ENOUGH = 2 << 20;
/** Freed memory that the allocator keeps is used again by values to come; when the process is too large, so much of it counts as lost each time. */
const KEPT_DECAY = 0.05;

export class MemoryBound {
  readonly compaction: Compaction;
  /** Keys are evicted when what is counted is beyond this. */
  evictAtBytes = Infinity;
  /** Blocks are moved together when the pages of the arena and what is counted besides are beyond this. */
  residentAtBytes = Infinity;
  /** Growth of the process that nothing counts, as last seen. */
  uncountedBytes = 0;
  /** Growth of the process as last seen; 0 where nobody looks. */
  growthBytes = 0;
  readonly #keyspace: Keyspace;
  readonly #process: ProcessMemory | null;
  readonly #monotonicMs: () => number;
  #bytesMax = 0;
  #largeKeptBytes = 0;
  #droppedCollectedBytes = 0;
  #collectedMs = -Infinity;
  #collectingMs = 0;
  /** Looks in a row that have found a segment's worth of empty pages. */
  #idleLooks = 0;
  #unfilledBytes = 0;
  /** What V8 is yet expected to take for compiling. */
  #compilingBytes = COMPILING_BYTES;
  /** The bound was lowered, and blocks are yet to be moved together for it. */
  #isSettling = false;
  #settlingLooks = 0;
  /** V8 is asked once more when the data itself is within the lowered bound, however long that takes. */
  #isCollectionDue = false;
  /** Free bytes of pages that are not empty when nothing could be moved; Infinity when that was not tried since the last look. */
  #packedAtBytes = Infinity;
  /** No segment could be given back; tried again after the next look. */
  #isEachSegmentNeeded = false;
  #emptiedBefore = 0;

  constructor(keyspace: Keyspace, processMemory: ProcessMemory | null, monotonicMs: () => number) {
    this.#keyspace = keyspace;
    this.#process = processMemory;
    this.#monotonicMs = monotonicMs;
    this.compaction = new Compaction(keyspace);
  }

  /** `maxmemory`, 0 for none. */
  set bytesMax(bytes: number) {
    // Only after its first collection does V8 keep to how much its heap may grow until the next.
    if (this.#bytesMax === 0 && bytes > 0) this.#process?.collect();
    this.#isSettling = this.#isCollectionDue =
      bytes > 0 && (this.#bytesMax === 0 || bytes < this.#bytesMax) && this.residentBytes > bytes;
    this.#settlingLooks = 0;
    // So much goes that what is compiled for it is soon seen; keys that went for what is only expected would not come back.
    if (this.#isSettling) this.#compilingBytes = 0;
    this.#bytesMax = bytes;
    if (this.#process !== null) freeBuffersAtOnce(bytes > 0);
    // What is given back while keys come and go is taken anew at once, and V8 has not yet collected it.
    this.#keyspace.arena.emptyBytesMost = bytes === 0 ? SEGMENT_BYTES * 2 : Infinity;
    this.#process?.limitNewSpace(bytes === 0 ? Infinity : NEW_SPACE_BYTES + bytes * NEW_SPACE_SHARE);
    this.look();
  }

  /** Bytes of the arena's pages and of what is counted besides. */
  get residentBytes(): number {
    const { arena, usedBytes } = this.#keyspace;
    return usedBytes - arena.usedBytes + arena.residentBytes;
  }

  /** Looks at the process, and sets the bounds by what it takes. */
  look(): void {
    const bytesMax = this.#bytesMax;
    if (bytesMax === 0) {
      this.evictAtBytes = this.residentAtBytes = Infinity;
      this.uncountedBytes = 0;
      return;
    }
    this.#packedAtBytes = Infinity;
    this.#isEachSegmentNeeded = false;
    const { arena } = this.#keyspace;
    this.#idleLooks = arena.emptyBytes >= SEGMENT_BYTES ? this.#idleLooks + 1 : 0;
    if (this.#idleLooks > IDLE_LOOKS_LONG) arena.giveBackEmpty(SEGMENT_BYTES);
    if (this.#process === null || bytesMax < PROCESS_BOUND_LEAST) {
      this.evictAtBytes = this.residentAtBytes = bytesMax;
      return;
    }
    this.#process.limitNewSpace(NEW_SPACE_BYTES + bytesMax * NEW_SPACE_SHARE);
    this.#measure(this.#process);
    if (this.#isWorthCollecting()) {
      this.#collect(this.#process);
      this.#measure(this.#process);
    }
    const uncountedBytes = this.uncountedBytes + this.#expectedForCompiling();
    const left = Math.max(bytesMax * FULL_SHARE - uncountedBytes, bytesMax * COUNTED_SHARE_LEAST);
    this.residentAtBytes = left;
    if (this.#keyspace.usedBytes <= this.evictAtBytes) this.#settlingLooks++;
    if (this.residentBytes <= left || this.#settlingLooks > SETTLING_LOOKS) this.#isSettling = false;
    this.evictAtBytes = left - this.#reserveFor(left);
  }

  /**
   * What to leave for pages that are not full: more while blocks find no empty page and the pages are beyond their bound, but not
   * where that was lowered.
   */
  #reserveFor(residentAtBytes: number): number {
    const { arena } = this.#keyspace;
    const isShort = this.residentBytes > residentAtBytes && arena.emptyBytes < EMPTY_BYTES_ENOUGH;
    const unfilledBytes = isShort && !this.#isSettling ? arena.residentBytes - arena.usedBytes : 0;
    this.#unfilledBytes += (unfilledBytes - this.#unfilledBytes) * LOOK_WEIGHT;
    const least = this.#bytesMax * UNFILLED_SHARE;
    return Math.max(least, Math.min(this.#bytesMax * UNFILLED_SHARE_MOST, this.#unfilledBytes));
  }

  #expectedForCompiling(): number {
    const isFull = this.#keyspace.usedBytes > this.evictAtBytes - this.#bytesMax * FULL_FROM_SHARE;
    if (isFull) this.#compilingBytes *= COMPILING_DECAY;
    return Math.min(this.#compilingBytes, this.#bytesMax * COMPILING_SHARE_MOST);
  }

  #measure(processMemory: ProcessMemory): void {
    const { arena, databases } = this.#keyspace;
    if (databases.every(({ index }) => index.count === 0)) {
      this.#largeKeptBytes = 0;
      processMemory.noteEmpty(this.residentBytes);
    }
    this.growthBytes = processMemory.growthBytes();
    const pendingBytes = arena.droppedBytes - this.#droppedCollectedBytes;
    const largeBytes = arena.large.bytes;
    this.#largeKeptBytes = Math.max(0, this.#largeKeptBytes, largeBytes);
    if (this.growthBytes > this.#bytesMax) {
      this.#largeKeptBytes -= (this.#largeKeptBytes - largeBytes) * KEPT_DECAY;
    }
    const known = this.residentBytes + pendingBytes + this.#largeKeptBytes - largeBytes;
    this.uncountedBytes = Math.max(0, this.growthBytes - known);
  }

  #isWorthCollecting(): boolean {
    if (this.growthBytes < this.#bytesMax * FULL_SHARE) return false;
    const pendingBytes = this.#keyspace.arena.droppedBytes - this.#droppedCollectedBytes;
    const share = (pendingBytes + this.uncountedBytes) / this.#bytesMax;
    if (share < GARBAGE_SHARE) return false;
    // Evicting has left garbage, which is to cost no more keys.
    if (this.#isCollectionDue && this.#keyspace.usedBytes <= this.#bytesMax) {
      this.#isCollectionDue = false;
      return true;
    }
    const ofTime = pendingBytes < SEGMENT_BYTES ? COLLECTING_SHARE : COLLECTING_SHARE_MOST;
    return this.#monotonicMs() >= this.#collectedMs + this.#collectingMs / ofTime;
  }

  #collect(processMemory: ProcessMemory): void {
    const startMs = this.#monotonicMs();
    processMemory.collect();
    this.#droppedCollectedBytes = this.#keyspace.arena.droppedBytes;
    this.#collectedMs = this.#monotonicMs();
    this.#collectingMs = this.#collectedMs - startMs;
  }

  /** Whether blocks are to be moved before more are written. */
  isSparse(usedBytes: number): boolean {
    const { arena } = this.#keyspace;
    if (usedBytes - arena.usedBytes + arena.residentBytes <= this.residentAtBytes) return false;
    const isPacked = this.#packedAtBytes < Infinity;
    return !isPacked || this.#unfilledNowBytes >= this.#packedAtBytes + this.#bytesMax * RETRIED_SHARE;
  }

  /** Free bytes of pages that are not empty. */
  get #unfilledNowBytes(): number {
    const { arena } = this.#keyspace;
    return arena.residentBytes - arena.emptyBytes - arena.usedBytes;
  }

  /** Moves blocks for `sliceMs` where that makes room; false when nothing is left to be done. No command may be running. */
  compact(sliceMs: number): boolean {
    const { compaction } = this;
    if (!compaction.isUnderWay) {
      this.#emptiedBefore = compaction.emptied;
      if (!this.#begin()) return false;
    }
    const endMs = this.#monotonicMs() + sliceMs;
    compaction.step(() => this.#monotonicMs() >= endMs);
    // What could not be emptied is not tried again at once.
    const isPacked = !compaction.isUnderWay && compaction.emptied === this.#emptiedBefore;
    this.#packedAtBytes = isPacked ? this.#unfilledNowBytes : Infinity;
    return !isPacked;
  }

  #begin(): boolean {
    const { arena, usedBytes } = this.#keyspace;
    if (!this.isSparse(usedBytes)) return false;
    const excessBytes = usedBytes - arena.usedBytes + arena.residentBytes - this.residentAtBytes;
    const isSettling = this.#isSettling && excessBytes > Math.max(EXCESS_BYTES, this.#bytesMax * EXCESS_SHARE);
    const isTooLarge = isSettling || excessBytes > SEGMENT_BYTES / 2;
    const isLowered = isSettling || excessBytes > Math.max(SEGMENT_BYTES * 2, this.#bytesMax * LOWERED_SHARE);
    const isIdle = this.#idleLooks >= (isLowered ? 1 : IDLE_LOOKS);
    if (isTooLarge && isIdle && !this.#isEachSegmentNeeded) {
      if (this.compaction.beginSegment()) return true;
      this.#isEachSegmentNeeded = true;
    }
    const unfilledBytes = this.#unfilledNowBytes;
    // A segment can be given back when there are empty pages for what is in it.
    const isEnough = arena.emptyBytes >= (isTooLarge ? SEGMENT_BYTES * 2 : EMPTY_BYTES_ENOUGH);
    if (isEnough || unfilledBytes < (this.#bytesMax * UNFILLED_SHARE) / 2) return false;
    const hasBegun = this.compaction.beginPages();
    this.#packedAtBytes = hasBegun ? Infinity : unfilledBytes;
    return hasBegun;
  }

  /** MEMORY PURGE: has all go back to the system that can, in one go. */
  purge(): void {
    this.#keyspace.arena.large.freeRemoved();
    this.compaction.run();
    this.#keyspace.arena.giveBackEmpty(0);
    if (this.#process !== null) this.#collect(this.#process);
    this.look();
  }
}
