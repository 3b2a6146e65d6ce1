/**
 * The node's memory: numbered databases of last-writer-wins registers in the arena, and what follows from each change:
 * digests, deadlines, the feed to peers and the ring of registers that the durable stores lack.
 *
 * Everything here is synchronous and allocates nothing per command. Results that have several parts are left in fields
 * (`valueBuffer`, `valueStart`, …), valid until the next call.
 */
import { AccessPolicy, COUNT_INITIAL } from './eviction/access-policy.ts';
import { blockBytesFor } from './arena/arena.ts';
import {
  COUNTER,
  DEAD,
  DEADLINE,
  EXPIRED,
  FEED,
  HIDDEN,
  KEY_INLINE_MAX,
  LARGE,
  LONG_KEY,
  OBJECT,
  OWED,
  PARTIAL,
  STORE,
  VALUE_INLINE_MAX,
  copyIntoBlock,
  longKeySlot,
  valueOffset,
} from './arena/block.ts';
import { ChangeTracker } from './changes/change-tracker.ts';
import type { Clock } from './clock.ts';
import { CHANGED_KEY_FEED, CHANGED_KEY_STORE, type Collection } from './collections/collection.ts';
import { Database } from './database.ts';
import { NOT_DIGESTED } from './digests/digested-blocks.ts';
import { KeyHasher } from './index/key-hash.ts';

const MARKS = FEED | STORE | OWED;

export interface KeyspaceOptions {
  databases: number;
  clock: Clock;
  /** This node's 64-bit id. */
  nodeHi: number;
  nodeLo: number;
  /** 64 secret bits for the index's hash. */
  hashKey0: number;
  hashKey1: number;
}

export class Keyspace extends ChangeTracker {
  readonly databases: Database[] = [];
  readonly hasher: KeyHasher;

  /** Digests are kept up to date at each change; off on a node that has no peers, where they are computed when asked for. */
  digesting = false;
  /** The durable stores are being loaded: what one of them has deleted, another may bring up afterwards. */
  hydrating = false;
  /** What was evicted is read back from the stores: `Database.evicted` is kept. */
  readsThrough = false;
  /** What is evicted will be counted by digests that are yet to be computed. */
  expectsPeers = false;
  expiredKeys = 0;
  evictedKeys = 0;
  /** Something was drained for the stores of which they may have newer versions. Whoever drains sets it back. */
  drainedOutdated = false;
  readonly accessPolicy = new AccessPolicy();
  /** The access field of a key that is made now: see access.ts. `updateAccessClock` keeps it. */
  accessClock = 0;

  /** The hash of the key last looked up. */
  hash = 0;
  /** The block just discounted, when the heap has an entry for it that comes no later than `#watchedMs`; else 0. */
  #watchedRef = 0;
  #watchedMs = 0;

  constructor(options: KeyspaceOptions) {
    super(options.clock, options.nodeHi, options.nodeLo);
    this.hasher = new KeyHasher(options.hashKey0, options.hashKey1);
    for (let number = 0; number < options.databases; number++) {
      this.databases.push(new Database(number, this.arena));
    }
  }

  /** Bytes that the data costs: blocks, indexes, deadlines, large values and what collections are besides their blocks. */
  get usedBytes(): number {
    const { large } = this.arena;
    let bytes = this.arena.usedBytes + large.bytes + large.overheadBytes + this.objects.bytes;
    for (const database of this.databases)
      bytes += database.index.bytes + database.deadlines.bytes + database.evicted.bytes + database.evictedDigests.bytes;
    return bytes;
  }

  /** Sets the access clock to now: seconds for LRU, minutes for LFU. */
  updateAccessClock(lfu: boolean): void {
    const seconds = Math.floor(this.clock.nowMs / 1000);
    this.accessPolicy.countsUse = lfu;
    this.accessClock = lfu ? (COUNT_INITIAL << 16) | (Math.floor(seconds / 60) & 0xffff) : seconds & 0xffffff;
  }

  hashOf(key: Uint8Array, start: number, length: number): number {
    return this.hasher.hash(key, start, length);
  }

  hashViewed(view: DataView, start: number, length: number): number {
    return this.hasher.hashViewed(view, start, length);
  }

  // ---- reading ------------------------------------------------------------------------------------------------------

  /** The block of a key, tombstones included, or 0. Leaves the hash in `hash`. */
  find(database: Database, key: Uint8Array, start: number, length: number): number {
    const hash = this.hasher.hash(key, start, length);
    this.hash = hash;
    return database.index.find(hash, key, start, length);
  }

  /** The block of a key that commands can see, or 0. A key past its deadline is taken away on the spot. */
  lookup(database: Database, key: Uint8Array, start: number, length: number): number {
    const hash = this.hasher.hash(key, start, length);
    this.hash = hash;
    const ref = database.index.find(hash, key, start, length);
    if (ref === 0) return 0;
    const flags = this.flagsOf(ref);
    if ((flags & (HIDDEN | DEADLINE)) === 0) return ref;
    if ((flags & HIDDEN) !== 0) return 0;
    if (!this.isPastDeadline(ref)) return ref;
    this.expire(database, hash, ref);
    return 0;
  }

  // ---- writing ------------------------------------------------------------------------------------------------------

  /** Makes the pending version a new local one. `deadlineMs` 0 for none. */
  beginLocal(deadlineMs: number): void {
    const clock = this.clock;
    clock.tick();
    this.stampHi = clock.hi;
    this.stampLo = clock.lo;
    this.origin = 0;
    this.deadlineMs = -1;
    if (deadlineMs > 0) {
      this.deadlineMs = deadlineMs;
      this.deadlineStampHi = clock.hi;
      this.deadlineStampLo = clock.lo;
      this.deadlineOrigin = 0;
    }
  }

  /**
   * Writes the pending version with this value over `ref` (0 when the key is new) and returns the block it is in now.
   * `flags` are those of the value: DEAD, HIDDEN, EXPIRED, COUNTER, RAW. The value may not lie in the block itself
   * unless the block is a different one afterwards, which is why sources in the arena are never overwritten in place.
   */
  put(
    database: Database,
    hash: number,
    ref: number,
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
    flags: number,
    local: boolean,
  ): number {
    const arena = this.arena;
    if (keyLength > KEY_INLINE_MAX) flags |= LONG_KEY;
    if (valueLength > VALUE_INLINE_MAX && (flags & COUNTER) === 0) flags |= LARGE;
    if (this.deadlineMs >= 0) flags |= DEADLINE;
    const offset = valueOffset(flags, keyLength);
    const needed = (flags & (LARGE | OBJECT)) !== 0 ? offset : offset + valueLength;
    let target = 0;
    let oldFlags = HIDDEN;
    let access = this.accessClock;
    this.#watchedRef = 0;
    this.digested = NOT_DIGESTED;
    if (ref === 0) {
      if (database.evicted.has(hash)) {
        flags |= PARTIAL;
        if (!local) this.notePart(database, hash, flags, key, keyStart, keyLength);
      }
      if (database.evictedDigests.count > 0) this.uncountEvicted(database, key, keyStart, keyLength);
    } else {
      oldFlags = this.flagsOf(ref);
      flags |= oldFlags & PARTIAL;
      // How often a key is used outlives its value.
      if (this.accessPolicy.countsUse && (oldFlags & HIDDEN) === 0) access = this.accessOf(ref);
      if (this.digesting && (oldFlags & HIDDEN) === 0)
        this.leaveDigest(database, ref, oldFlags | flags, key, keyStart, keyLength);
      this.#discount(database, ref, oldFlags);
      if ((oldFlags & OBJECT) !== 0) this.#leaveObject(ref, flags);
      if (
        ((oldFlags | flags) & (LARGE | LONG_KEY)) === 0 &&
        arena.capacity(ref) === blockBytesFor(needed) &&
        value !== arena.bytes[ref >>> 20]
      ) {
        target = ref;
        flags |= oldFlags & MARKS;
      } else {
        // A local change of this turn is in the old block: it has to be sent with the new one.
        if ((oldFlags & FEED) !== 0) local = true;
        flags |= oldFlags & OWED;
      }
    }
    if (target === 0) target = arena.allocate(needed);
    this.writeHeader(target, flags, keyLength, valueLength, access);
    if (target !== ref || ((flags ^ oldFlags) & DEADLINE) !== 0) this.writeKey(target, flags, key, keyStart, keyLength);
    if ((flags & LARGE) !== 0) this.writeLarge(target, value, valueStart, valueLength);
    else if ((flags & OBJECT) !== 0) this.#enterObject(database, target, local);
    else copyIntoBlock(value, valueStart, valueLength, arena, target, offset);
    if (ref === 0) {
      database.index.insert(hash, target);
    } else if (target !== ref) {
      database.index.replace(hash, ref, target);
      this.#release(ref, oldFlags);
    }
    if (this.observer !== null && (oldFlags & HIDDEN) > (flags & HIDDEN)) this.noteAppearance(database, target);
    this.#settle(database, target, flags, local);
    return target;
  }

  /**
   * `put` for a collection, which is in the object table: writes its block with the pending version, which is its creation
   * and its deadline. `flags`: HIDDEN, EXPIRED.
   */
  putObject(
    database: Database,
    hash: number,
    ref: number,
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
    collection: Collection,
    flags: number,
    local: boolean,
  ): number {
    this.objectType = collection.type;
    this.objectSlot = collection.slot;
    return this.put(database, hash, ref, key, keyStart, keyLength, key, 0, 0, flags | OBJECT, local);
  }

  #enterObject(database: Database, ref: number, local: boolean): void {
    const collection = this.objects.get(this.objectSlot);
    collection.ref = ref;
    collection.database = database.number;
    if (this.storing) collection.changes |= CHANGED_KEY_STORE;
    if (local && this.feeding) collection.changes |= CHANGED_KEY_FEED;
  }

  /** The block of a collection gets another content: the collection goes unless it is the one that is written anew. */
  #leaveObject(ref: number, flags: number): void {
    const slot = this.arena.words[ref >>> 20][((ref & 0xfffff) << 1) + 5];
    if ((flags & OBJECT) === 0 || slot !== this.objectSlot) this.objects.release(slot);
  }

  #discount(database: Database, ref: number, flags: number): void {
    this.#watchedRef = 0;
    if ((flags & HIDDEN) !== 0) return;
    database.keyCount--;
    if ((flags & DEADLINE) === 0) return;
    const deadlineMs = this.deadlineOf(ref);
    if (deadlineMs <= 0) return;
    database.deadlineCount--;
    this.#watchedRef = ref;
    this.#watchedMs = deadlineMs;
  }

  /** What follows from a block having its new content: counts, deadline, digest, rings, observers. */
  #settle(database: Database, ref: number, flags: number, local: boolean): void {
    if ((flags & HIDDEN) === 0) {
      database.keyCount++;
      if (this.deadlineMs > 0) {
        database.deadlineCount++;
        if (ref !== this.#watchedRef || this.deadlineMs < this.#watchedMs) {
          this.#pushDeadline(database, this.deadlineMs, ref);
        }
      }
      if (this.digesting) this.enterDigest(database, ref, flags);
    }
    this.digested = NOT_DIGESTED;
    database.noteStamp(this.stampHi, this.stampLo);
    this.mark(database, ref, flags, local);
    this.noteChange(database, ref);
  }

  #pushDeadline(database: Database, deadlineMs: number, ref: number): void {
    const heap = database.deadlines;
    if (heap.length > (heap.isFull ? 1.25 : 2) * database.deadlineCount + 1024) {
      heap.rebuild((entry, deadlineMs) => this.isKeyBlock(entry) && this.deadlineOf(entry) >= deadlineMs);
    }
    heap.push(deadlineMs, ref);
  }

  /**
   * Writes the pending deadline into a block that stays as it is otherwise, its stamp included: a deadline is bound to
   * the value it was set on. The pending version is the block's own (`readVersion`) but for the deadline. Returns the
   * block it is in now.
   */
  putDeadline(database: Database, hash: number, ref: number, local: boolean): number {
    const flags = this.flagsOf(ref);
    if ((flags & DEADLINE) === 0) {
      this.readKey(ref);
      const { keyBuffer, keyStart, keyLength } = this;
      if ((flags & OBJECT) !== 0) {
        const kept = flags & ~(MARKS | LONG_KEY);
        return this.putObject(database, hash, ref, keyBuffer, keyStart, keyLength, this.collectionAt(ref), kept, local);
      }
      this.readPayload(ref, flags);
      const kept = flags & ~(MARKS | LONG_KEY | LARGE);
      const { valueBuffer, valueStart, valueLength } = this;
      if ((flags & LARGE) !== 0) {
        return this.putLarge(
          database,
          hash,
          ref,
          keyBuffer,
          keyStart,
          keyLength,
          valueBuffer,
          valueLength,
          kept,
          local,
        );
      }
      return this.put(
        database,
        hash,
        ref,
        keyBuffer,
        keyStart,
        keyLength,
        valueBuffer,
        valueStart,
        valueLength,
        kept,
        local,
      );
    }
    if (this.digesting && (flags & HIDDEN) === 0) this.toggleDigest(database, ref);
    this.#discount(database, ref, flags);
    this.writeDeadline(this.arena.words[ref >>> 20], (ref & 0xfffff) << 1);
    if ((flags & OBJECT) !== 0) {
      this.objectSlot = this.collectionAt(ref).slot;
      this.#enterObject(database, ref, local);
    }
    this.#settle(database, ref, flags, local);
    return ref;
  }

  /**
   * `put` for a value beyond VALUE_INLINE_MAX whose buffer the keyspace takes over: no copy is made. The buffer may have
   * more room than `length`.
   */
  putLarge(
    database: Database,
    hash: number,
    ref: number,
    key: Uint8Array,
    keyStart: number,
    keyLength: number,
    buffer: Buffer,
    length: number,
    flags: number,
    local: boolean,
  ): number {
    const moved = this.put(
      database,
      hash,
      ref,
      key,
      keyStart,
      keyLength,
      buffer,
      0,
      VALUE_INLINE_MAX + 1,
      flags,
      local,
    );
    this.arena.large.replace(this.arena.words[moved >>> 20][((moved & 0xfffff) << 1) + 5], buffer, length);
    return moved;
  }

  // ---- taking away --------------------------------------------------------------------------------------------------

  /** Hides a key whose deadline has passed. Its stamp stays where peers or stores could bring back an older value. */
  expire(database: Database, hash: number, ref: number): void {
    const flags = this.flagsOf(ref);
    this.expiredKeys++;
    const observer = this.observer;
    this.readKey(ref);
    if (observer !== null) observer.expired(database.number, this.keyBuffer, this.keyStart, this.keyLength);
    if (!this.keepsTombstones) {
      this.drop(database, hash, ref);
      return;
    }
    if (this.digesting) this.toggleDigest(database, ref);
    this.#discount(database, ref, flags);
    if ((flags & (COUNTER | OBJECT)) !== 0) {
      this.arena.words[ref >>> 20][(ref & 0xfffff) << 1] |= (EXPIRED | HIDDEN) << 16;
      if ((flags & OBJECT) !== 0) this.objects.empty(this.collectionAt(ref).slot);
      return;
    }
    this.readVersion(ref);
    this.#replaceBlock(database, hash, ref, flags, (flags & (DEAD | MARKS | PARTIAL)) | EXPIRED | HIDDEN);
  }

  /** Moves a block's header and key to a block without the value, without this being a change. */
  #replaceBlock(database: Database, hash: number, ref: number, oldFlags: number, newFlags: number): void {
    this.readKey(ref);
    const { keyBuffer, keyStart, keyLength } = this;
    let flags = newFlags | DEADLINE;
    if (keyLength > KEY_INLINE_MAX) flags |= LONG_KEY;
    const target = this.arena.allocate(valueOffset(flags, keyLength));
    this.writeHeader(target, flags, keyLength, 0, 0);
    this.writeKey(target, flags, keyBuffer, keyStart, keyLength);
    database.index.replace(hash, ref, target);
    if ((flags & FEED) !== 0) database.feedRing.push(target);
    if ((flags & STORE) !== 0) database.storeRing.push(target);
    this.#release(ref, oldFlags);
  }

  /** Deletes a key of which nobody else holds anything. */
  dropVisible(database: Database, hash: number, ref: number, key: Buffer, keyStart: number, keyLength: number): void {
    this.changes++;
    this.drop(database, hash, ref);
    if (this.observer !== null) this.observer.changed(database.number, key, keyStart, keyLength, this.cause);
  }

  /** Takes a visible key out of this node's memory alone. Its changes were sent and stored before. */
  evict(database: Database, hash: number, ref: number): void {
    this.evictedKeys++;
    if (this.digesting || this.expectsPeers) this.countEvicted(database, ref);
    const { observer } = this;
    if (observer !== null) this.readKey(ref);
    const { keyBuffer, keyStart, keyLength } = this;
    if (this.readsThrough) {
      observer?.setAside?.(database.number, keyBuffer, keyStart, keyLength);
      database.noteEvicted(hash, (this.flagsOf(ref) & PARTIAL) !== 0, this.clock);
      this.drop(database, hash, ref);
      return;
    }
    const key = observer === null ? null : Buffer.from(keyBuffer.subarray(keyStart, keyStart + keyLength));
    this.drop(database, hash, ref);
    if (key !== null) observer?.changed(database.number, key, 0, key.length, 'evict');
  }

  /** Whether the stores may have more of the key than memory has. */
  isPartial(database: Database, key: Uint8Array, start: number, length: number): boolean {
    const ref = this.find(database, key, start, length);
    return ref === 0 ? database.evicted.has(this.hash) : (this.flagsOf(ref) & PARTIAL) !== 0;
  }

  /** Takes a key out of memory altogether; counts and digest included. */
  drop(database: Database, hash: number, ref: number): void {
    const flags = this.flagsOf(ref);
    if (this.digesting && (flags & HIDDEN) === 0) this.toggleDigest(database, ref);
    this.#discount(database, ref, flags);
    database.index.remove(hash, ref);
    if ((flags & OBJECT) !== 0) this.objects.release(this.arena.words[ref >>> 20][((ref & 0xfffff) << 1) + 5]);
    this.#release(ref, flags);
  }

  /** Shows or hides the block of a collection whose elements have come or gone; its digest is the caller's. */
  setHidden(database: Database, ref: number, hidden: boolean): void {
    const flags = this.flagsOf(ref);
    if (hidden) {
      this.#discount(database, ref, flags);
      this.arena.words[ref >>> 20][(ref & 0xfffff) << 1] |= HIDDEN << 16;
      return;
    }
    this.arena.words[ref >>> 20][(ref & 0xfffff) << 1] &= ~((HIDDEN | EXPIRED) << 16);
    if (this.observer !== null) this.noteAppearance(database, ref);
    database.keyCount++;
    const deadlineMs = this.deadlineOf(ref);
    if (deadlineMs <= 0) return;
    database.deadlineCount++;
    this.#pushDeadline(database, deadlineMs, ref);
  }

  /** What follows from a collection's elements having changed. */
  touchedCollection(database: Database, collection: Collection, local: boolean): void {
    const { ref } = collection;
    collection.touchedHi = this.clock.hi;
    collection.touchedLo = this.clock.lo;
    this.objects.touched(collection);
    this.mark(database, ref, this.flagsOf(ref), local);
    this.noteChange(database, ref);
  }

  #release(ref: number, flags: number): void {
    if ((flags & LONG_KEY) !== 0) this.arena.large.remove(longKeySlot(this.arena, ref));
    if ((flags & LARGE) !== 0) this.arena.large.remove(this.arena.words[ref >>> 20][((ref & 0xfffff) << 1) + 5]);
    this.arena.free(ref);
  }

  /** Whether a deleted key has to leave a tombstone: somebody else may still hold its value. */
  get keepsTombstones(): boolean {
    return this.storing || this.digesting || this.hydrating;
  }
}
