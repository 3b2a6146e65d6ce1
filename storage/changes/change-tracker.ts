/** Who has to be told of a changed block: the peers at the end of this turn, the durable stores, an observer. */
import type { KeyName } from '../backends/key-names.ts';
import { COUNTER, FEED, OBJECT, OWED, STORE } from '../arena/block.ts';
import type { Database } from '../database.ts';
import { DigestedBlocks } from '../digests/digested-blocks.ts';

/** Why keys are changed: by a write, here or on a peer, with their whole database, to make room, or at the deadline of an element. */
export type ChangeCause = 'write' | 'flush' | 'evict' | 'expireElement';

/** Told of every change to a key that commands can see, when `observed` is set. */
export interface KeyObserver {
  changed(database: number, key: Buffer, start: number, length: number, cause: ChangeCause): void;
  /** Commands see the key from now on, and did not before; `changed` follows. */
  appeared?(database: number, key: Buffer, start: number, length: number): void;
  expired(database: number, key: Buffer, start: number, length: number): void;
  /** A database is emptied, or what was in it up to some time is; `changed` follows for each key, with the cause `flush`. */
  flushed?(): void;
  /** The key has left memory for the stores, from which it can be read back. From now on nobody is told of its deadline. */
  setAside?(database: number, key: Buffer, start: number, length: number): void;
}

export class ChangeTracker extends DigestedBlocks {
  /** Collections that had lapsed, and have not by what a store gives: what it gave of them before is not here. Null while nobody asks. */
  revived: KeyName[] | null = null;
  /** Called when a merge makes a part of an evicted key that need not be newer than what the stores have of it. */
  onPart: ((key: KeyName) => void) | null = null;
  /** Local changes go into the feed: for peers, for the journal, or both. */
  feeding = false;
  /** Other nodes write to the same data set. */
  isShared = false;
  /** All changes go into the ring for the durable stores. */
  storing = false;
  /** What is merged at the moment comes from a peer that brings it to MySQL itself. */
  relaying = false;
  /** The database whose turn it is to be drained: a busy one must not keep the others from the stores. */
  drainTurn = 0;
  observer: KeyObserver | null = null;
  /** Why keys are changed at the moment. */
  cause: ChangeCause = 'write';
  /** Called at the first change of a turn that has to be sent. */
  onFeed: () => void = () => {};
  #feedPending = false;
  /** Called when a database's store ring holds more entries than keys can be dirty: stale ones are to be dropped. */
  onRingFull: (database: Database) => void = () => {};
  /** Changes since start, as INFO counts them. */
  changes = 0;

  /** Puts the block into the rings that it is not in yet. */
  mark(database: Database, ref: number, flags: number, local: boolean): void {
    let marks = 0;
    if (this.storing && (flags & STORE) === 0) {
      marks = STORE;
      database.storeRing.push(ref);
    }
    if (this.storing && !this.relaying) marks |= OWED & ~flags;
    if (local && this.feeding && (flags & FEED) === 0) {
      marks |= FEED;
      database.feedRing.push(ref);
      this.requestFeed();
    }
    if (marks !== 0) this.arena.words[ref >>> 20][(ref & 0xfffff) << 1] |= marks << 16;
    // Only now: who compacts the ring goes by the marks.
    if ((marks & STORE) !== 0 && database.storeRing.length > 2 * database.index.count + 65536)
      this.onRingFull(database);
  }

  /**
   * A merge makes a block, with the pending version, of a key of which the stores may have more. What is written here needs no
   * looking: it is newer than all that this node ever saw.
   */
  protected notePart(
    database: Database,
    hash: number,
    flags: number,
    key: Uint8Array,
    start: number,
    length: number,
  ): void {
    if (this.onPart === null) return;
    const isString = (flags & (OBJECT | COUNTER)) === 0;
    if (isString && database.evictedStamps.isBelow(hash, this.stampHi, this.stampLo)) return;
    this.onPart({ database: database.number, key: Buffer.from(key.subarray(start, start + length)) });
  }

  /** What follows from a counter's sum having changed in its block, its length as it was. */
  touchedInPlace(database: Database, ref: number, flags: number, stampHi: number, stampLo: number): void {
    database.noteStamp(stampHi, stampLo);
    this.mark(database, ref, flags, true);
    this.noteChange(database, ref);
  }

  /** Tells the observer that commands see a key from now on. */
  protected noteAppearance(database: Database, ref: number): void {
    if (this.observer?.appeared === undefined) return;
    this.readKey(ref);
    this.observer.appeared(database.number, this.keyBuffer, this.keyStart, this.keyLength);
  }

  /** Counts a change and tells the observer. */
  noteChange(database: Database, ref: number): void {
    this.changes++;
    if (this.observer !== null) {
      this.readKey(ref);
      this.observer.changed(database.number, this.keyBuffer, this.keyStart, this.keyLength, this.cause);
    }
  }

  /** Asks for the feed to be sent at the end of this turn. */
  requestFeed(): void {
    if (this.#feedPending) return;
    this.#feedPending = true;
    this.onFeed();
  }

  /** Changes of this turn have yet to be sent. */
  get isFeedPending(): boolean {
    return this.#feedPending;
  }

  /** The feed was sent: the next change asks again. */
  feedSent(): void {
    this.#feedPending = false;
  }
}
