/** Blocks with the collections and nodes that they refer to. Keeps the digests in step with what the blocks show. */
import { COUNTER, DEAD, DEADLINE, EXPIRED, HIDDEN, LONG_KEY, OBJECT, PARTIAL, keyEquals } from '../arena/block.ts';
import { BlockWriter } from '../arena/block-writer.ts';
import type { Clock } from '../clock.ts';
import { type Collection, type ElementCursor, UNSIGNED } from '../collections/collection.ts';
import { Elements } from '../collections/element.ts';
import type { HyperLogLogCollection } from '../collections/hyperloglog-collection.ts';
import { keyKindOf } from '../collections/kinds.ts';
import { ObjectTable } from '../collections/object-table.ts';
import type { Database } from '../database.ts';
import { Merges } from '../merging/conflicts.ts';
import { Digests } from './digests.ts';
import { EvictedDigests } from './evicted-digests.ts';
import { ExpiryHeap } from '../expiry/expiry-heap.ts';
import { NodeTable } from '../arena/node-table.ts';
import { toggleCounterDigests } from '../types/counter-payload.ts';

const NO_BYTES = Buffer.alloc(0);
export const NOT_DIGESTED = 0;
/** The key was the last to be hashed. */
const KEY_HASHED = 1;
const DIGESTED = 2;
/** Flags of a content that is more to the digests than the version of a string. */
const ELABORATE = DEAD | DEADLINE | COUNTER | OBJECT | EXPIRED | HIDDEN;
/** A string's register in `hashRegister`. */
const DIGESTED_STRING = 1;

/** The walk that takes what is there into the digests, while it is under way: see digest-start.ts. */
export interface UnfinishedDigests {
  /** Whether the walk has yet to come to the block's key. */
  isAhead(database: Database, ref: number): boolean;
  /** The same for an element of a collection that the walk has come to. */
  isElementAhead(collection: Collection, ref: number): boolean;
  /** Whether the walk is within the collection. */
  isWithin(collection: Collection): boolean;
  /** Does `work`, before the block is dropped, as if the walk had come to it. */
  asIfTakenIn(database: Database, ref: number, work: () => void): void;
  /** Takes in some more; false when all is. */
  step(): boolean;
  /** Calls back when all has been taken in. */
  whenDone(callback: () => void): void;
}

export class DigestedBlocks extends BlockWriter {
  readonly nodes: NodeTable;
  readonly digests = new Digests();
  /** The collections, and the blocks of their elements. */
  readonly objects = new ObjectTable();
  readonly elements = new Elements(this.arena);
  /** The deadlines that elements have of their own, of all databases: see collections/element-expiry.ts. */
  readonly elementDeadlines = new ExpiryHeap();
  expiredElements = 0;
  /** Collections that a floor has reached in part, and how far each was gone through: see collections/prune.ts. */
  readonly pruning = new Map<Collection, ElementCursor>();
  /** Somebody calls `pruneSome` after `objects.onGarbage`. */
  prunesInSteps = false;
  /** Set while digests are being computed. */
  digestStart: UnfinishedDigests | null = null;
  /** What each database may spend on `evictedDigests`, and keys that were evicted without being counted, for lack of it. */
  evictedDigestBytesMax = Infinity;
  evictedUncounted = 0;
  /** Some keys that memory has a part of are not on their way back from the stores: what such a part shows is not counted when it goes. */
  hasUnreadParts = false;
  /** What the digests have of the content that `put` writes. */
  protected digested = NOT_DIGESTED;
  keyDigestHi = UNSIGNED;
  keyDigestLo = UNSIGNED;
  /** What merging has decided. */
  readonly merges: Merges;

  constructor(clock: Clock, nodeHi: number, nodeLo: number) {
    super(clock);
    this.nodes = new NodeTable(nodeHi, nodeLo);
    this.merges = new Merges(() => clock.nowMs);
  }

  /** Forgets what was last read: a segment's memory is kept as long as somebody names it. */
  forgetViews(): void {
    this.keyBuffer = NO_BYTES;
    this.valueBuffer = NO_BYTES;
    this.valueView = null;
    this.elements.nameBuffer = NO_BYTES;
    this.elements.nameView = null;
    this.elements.valueBuffer = NO_BYTES;
  }

  /** The collection at a key whose block has OBJECT. */
  collectionAt(ref: number): Collection {
    return this.objects.get(this.arena.words[ref >>> 20][((ref & 0xfffff) << 1) + 5]);
  }

  protected override readParts(ref: number): void {
    (this.collectionAt(ref) as HyperLogLogCollection).readValue();
    const { valueBuffer, valueStart, valueLength } = this.elements;
    this.valueBuffer = valueBuffer;
    this.valueStart = valueStart;
    this.valueLength = valueLength;
  }

  /** The block's access field: see access.ts. */
  accessOf(ref: number): number {
    const words = this.arena.words[ref >>> 20];
    const word = (ref & 0xfffff) << 1;
    return ((words[word] & 0xff00) << 8) | (words[word + 1] >>> 16);
  }

  /**
   * Adds what the block shows to its bucket's digest, or takes it out again. Returns whether it did: not what is yet to be taken in by
   * `digestStart`.
   */
  toggleDigest(database: Database, ref: number): boolean {
    if (this.digestStart !== null && this.digestStart.isAhead(database, ref)) return false;
    const flags = this.flagsOf(ref);
    this.hashForDigests(database, ref, flags);
    this.#toggleHashed(ref, flags);
    return true;
  }

  /** Hashes the block's key as the digests do. */
  hashForDigests(database: Database, ref: number, flags: number): void {
    const { digests } = this;
    if (this.#isKnown(database, ref)) {
      digests.recall();
      return;
    }
    this.readKey(ref);
    const { keyStart, keyLength } = this;
    if ((flags & LONG_KEY) !== 0) digests.hashKey(database.number, this.keyBuffer, keyStart, keyLength);
    else digests.hashKeyView(database.number, this.arena.views[ref >>> 20], keyStart, keyLength);
  }

  /**
   * `put` is about to give the key another content: what the block shows leaves the digest.
   * @param flags those of the old content and of the new one
   */
  protected leaveDigest(
    database: Database,
    ref: number,
    flags: number,
    key: Uint8Array,
    start: number,
    length: number,
  ): void {
    const words = this.arena.words[ref >>> 20];
    const word = (ref & 0xfffff) << 1;
    // No node that is right gives out a stamp that begins with 0, which is not digested.
    const isPlain = (flags & ELABORATE) === 0 && words[word + 2] !== 0 && this.stampHi !== 0;
    if (!isPlain || this.digestStart !== null) {
      this.digested = this.toggleDigest(database, ref) ? KEY_HASHED : NOT_DIGESTED;
      return;
    }
    this.digested = DIGESTED;
    const { digests, nodes, origin } = this;
    if (!digests.recallAt(database.number, key, start, length)) {
      this.hashForDigests(database, ref, this.flagsOf(ref));
    }
    const oldOrigin = words[word + 1] & 0xffff;
    digests.replace(
      DIGESTED_STRING,
      words[word + 2],
      words[word + 3],
      nodes.hi[oldOrigin],
      nodes.lo[oldOrigin],
      this.stampHi,
      this.stampLo,
      nodes.hi[origin],
      nodes.lo[origin],
    );
  }

  /** `put` has given the key its new content, which enters the digest. */
  protected enterDigest(database: Database, ref: number, flags: number): void {
    if (this.digested === KEY_HASHED) this.#toggleHashed(ref, flags);
    else if (this.digested === NOT_DIGESTED) this.toggleDigest(database, ref);
  }

  /** Whether the block's key is the one whose hash is known. */
  #isKnown({ number }: Database, ref: number): boolean {
    const { digests } = this;
    if (!digests.knows(number)) return false;
    return keyEquals(this.arena, ref, digests.knownBytes!, digests.knownStart, digests.knownLength);
  }

  /** The same for a block whose key was the last to be hashed. */
  #toggleHashed(ref: number, flags: number): void {
    const digests = this.digests;
    const words = this.arena.words[ref >>> 20];
    const word = (ref & 0xfffff) << 1;
    if ((flags & DEAD) === 0 && words[word + 2] !== 0) {
      const origin = words[word + 1] & 0xffff;
      const withDeadline = (flags & DEADLINE) !== 0;
      digests.hashRegister(
        (flags & OBJECT) === 0 ? DIGESTED_STRING : keyKindOf(this.typeOf(ref)),
        words[word + 2],
        words[word + 3],
        this.nodes.hi[origin],
        this.nodes.lo[origin],
        withDeadline ? words[word + 8] : 0,
        withDeadline ? words[word + 9] ^ this.nodes.lo[words[word + 10] & 0xffff] : 0,
      );
      digests.toggle();
    }
    if ((flags & COUNTER) !== 0) {
      toggleCounterDigests(this.arena, this.nodes, digests, ref);
      if ((flags & (DEAD | DEADLINE)) === (DEAD | DEADLINE)) this.#toggleCounterDeadline(words, word);
    }
    if ((flags & OBJECT) !== 0) this.#toggleElements(words[word + 5]);
  }

  /** What the elements of the collection in the slot show, packed or not. */
  #toggleElements(slot: number): void {
    const packed = this.objects.packedAt(slot);
    if (packed === 0) {
      const { digestHi, digestLo } = this.objects.get(slot);
      this.digests.toggleWords(digestHi, digestLo);
    } else {
      const words = this.arena.words[packed >>> 20];
      const word = (packed & 0xfffff) << 1;
      this.digests.toggleWords(words[word + 2], words[word + 3]);
    }
  }

  /** The block has all that there is of its key. */
  setWhole(ref: number): void {
    this.arena.words[ref >>> 20][(ref & 0xfffff) << 1] &= ~(PARTIAL << 16);
  }

  /** The same for a collection that is not packed, without this counting as a use. */
  glanceAt(ref: number): Collection {
    return this.objects.glance(this.arena.words[ref >>> 20][((ref & 0xfffff) << 1) + 5]);
  }

  /** Whether the key's collection is packed: then nothing of it waits to be sent, stored or reaped. */
  isPacked(ref: number): boolean {
    return this.objects.packedAt(this.arena.words[ref >>> 20][((ref & 0xfffff) << 1) + 5]) !== 0;
  }

  /** The digest of what the block shows, left in `keyDigestHi` and `keyDigestLo`; 0 for a tombstone. */
  digestOf(database: Database, ref: number): void {
    this.keyDigestHi = 0;
    this.keyDigestLo = 0;
    if ((this.flagsOf(ref) & HIDDEN) !== 0) return;
    const { digests } = this;
    const { words } = digests;
    if (!this.toggleDigest(database, ref)) return;
    const at = (digests.keyHi >>> 16) * 2;
    const hi = words[at];
    const lo = words[at + 1];
    this.toggleDigest(database, ref);
    this.keyDigestHi = (words[at] ^ hi) >>> 0;
    this.keyDigestLo = (words[at + 1] ^ lo) >>> 0;
  }

  /** Has the digests go on counting what a key shows that is about to be dropped from memory. */
  protected countEvicted(database: Database, ref: number): void {
    if ((this.flagsOf(ref) & HIDDEN) !== 0) return;
    const isUnread = this.hasUnreadParts && (this.flagsOf(ref) & PARTIAL) !== 0;
    if (isUnread || database.evictedDigests.bytes >= this.evictedDigestBytesMax) {
      this.evictedUncounted++;
      return;
    }
    if (this.digestStart === null) this.digestOf(database, ref);
    else this.digestStart.asIfTakenIn(database, ref, () => this.digestOf(database, ref));
    const { digests, keyDigestHi, keyDigestLo } = this;
    const deadlineMs = this.deadlineOf(ref);
    database.evictedDigests.add(digests.keyHi, digests.keyLo, keyDigestHi, keyDigestLo, deadlineMs, this.clock.nowMs);
    digests.toggleWords(keyDigestHi, keyDigestLo);
  }

  /** Memory has something of a key again: what the digests counted of it ends. Returns whether they did. */
  uncountEvicted(database: Database, key: Uint8Array, start: number, length: number): boolean {
    const { digests } = this;
    digests.hashKey(database.number, key, start, length);
    if (!database.evictedDigests.remove(digests.keyHi, digests.keyLo)) return false;
    digests.toggleWords(database.evictedDigests.digestHi, database.evictedDigests.digestLo);
    return true;
  }

  /** Ends all that the digests count of the database's evicted keys: a repair brings back what peers have of them. */
  forgetEvicted(database: Database): void {
    const { evictedDigests } = database;
    this.toggleEvicted(database);
    evictedDigests.clear();
  }

  /** Adds all that is counted of the database's evicted keys to the digests, or takes it out again. */
  toggleEvicted({ evictedDigests }: Database): void {
    if (evictedDigests.count === 0) return;
    for (let at = 0; at < EvictedDigests.tableCount; at++) {
      evictedDigests.visit(at, (hashHi, _hashLo, hi, lo) => this.digests.toggleKey(hashHi, hi, lo));
    }
  }

  /** The deadline of a counter over a dead base is a register of its own. */
  #toggleCounterDeadline(words: Uint32Array, word: number): void {
    const origin = words[word + 10] & 0xffff;
    this.digests.hashRegister(2, words[word + 8], words[word + 9], this.nodes.hi[origin], this.nodes.lo[origin], 0, 0);
    this.digests.toggle();
  }
}
