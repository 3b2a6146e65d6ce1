/** What leaves the keyspace: the turn's changes for peers, and dirty registers for the durable stores. */
import { FLAG_BATCH_BEGIN, FLAG_BATCH_END, type RecordWriter } from '../../protocol/change-record.ts';
import { COUNTER, FEED, OBJECT, OWED, PARTIAL, STORE } from '../arena/block.ts';
import { ElementCursor } from '../collections/collection.ts';
import { encodeCollectionFeed, encodeCollectionStore } from '../collections/encode.ts';
import type { Database } from '../database.ts';
import { encodeDirtyShadowAt, encodeFloor, encodeKey } from './encode.ts';
import type { Keyspace } from '../keyspace.ts';
import type { RefRing } from '../arena/ref-ring.ts';
import { HASH_END } from '../index/key-index.ts';

/** Blocks that are read at once: see look-ahead.ts, which this is like. */
const RUN_MAX = 32;
/** Words that are read: the first, and of the cache lines where a key of 16 bytes and a value of 64 lie. */
const SECOND_WORD = 12;
const THIRD_WORD = 24;
const SEGMENT_WORD_MASK = (1 << 21) - 1;
/** The sum of what was read, so that the reads are not found to be useless and left out. */
const fetched = { sum: 0 };

/**
 * Clears a mark, with STORE also OWED, and returns what was cleared; 0 for an entry whose block has moved, gone, or been dealt
 * with already. Memory is used again: a stale entry may name what is now a block of another database, which that one's own
 * ring names too.
 */
function takeMark(keyspace: Keyspace, database: Database, ref: number, mark: number, alone: boolean): number {
  if (!keyspace.isKeyBlock(ref) || (keyspace.flagsOf(ref) & mark) === 0) return 0;
  if (!alone && !isIn(keyspace, database, ref)) return 0;
  const taken = keyspace.flagsOf(ref) & (mark === STORE ? STORE | OWED : mark);
  keyspace.arena.words[ref >>> 20][(ref & 0xfffff) << 1] &= ~(taken << 16);
  return taken;
}

function isIn(keyspace: Keyspace, database: Database, ref: number): boolean {
  keyspace.readKey(ref);
  const { keyBuffer, keyStart, keyLength } = keyspace;
  return keyspace.find(database, keyBuffer, keyStart, keyLength) === ref;
}

/**
 * Reads the blocks of a ring's oldest entries all at once, before the first of them is dealt with: they were written up to a millisecond
 * ago, and are out of the processor's caches mostly. Returns how many.
 */
function fetchBlocks({ arena }: Keyspace, ring: RefRing): number {
  const count = Math.min(ring.length, RUN_MAX);
  const { words } = arena;
  let sum = 0;
  for (let place = 0; place < count; place++) {
    const ref = ring.at(place);
    const segment = words[ref >>> 20];
    const word = (ref & 0xfffff) << 1;
    sum ^=
      segment[word] ^
      segment[(word + SECOND_WORD) & SEGMENT_WORD_MASK] ^
      segment[(word + THIRD_WORD) & SEGMENT_WORD_MASK];
  }
  fetched.sum = sum;
  return count;
}

/** Whether every block is this database's, so that none need be looked up. */
function isAlone(keyspace: Keyspace, database: Database): boolean {
  return keyspace.databases.every((other) => other === database || other.index.count === 0);
}

/**
 * Appends all local changes of this turn, each key once and as it is now, as one batch: what a transaction wrote is
 * visible at a peer whole or not at all. Returns how many keys and floors that was.
 */
export function drainFeed(keyspace: Keyspace, writer: RecordWriter): number {
  const begin = writer.length;
  let last = begin;
  let count = 0;
  for (const database of keyspace.databases) {
    if (database.floorFeed) {
      database.floorFeed = false;
      last = writer.length;
      encodeFloor(keyspace, database, writer);
      count++;
    }
    const ring = database.feedRing;
    const alone = ring.length > 0 && isAlone(keyspace, database);
    for (let ahead = 0; ring.length > 0; ahead--) {
      if (ahead === 0) ahead = fetchBlocks(keyspace, ring);
      const ref = ring.shift();
      if (takeMark(keyspace, database, ref, FEED, alone) === 0) continue;
      const start = writer.length;
      if ((keyspace.flagsOf(ref) & OBJECT) !== 0) encodeCollectionFeed(keyspace, database, ref, writer);
      else encodeKey(keyspace, database, ref, writer);
      if (writer.length === start) continue;
      last = start;
      count++;
    }
  }
  if (count > 0) {
    writer.patchFlags(begin, FLAG_BATCH_BEGIN);
    writer.patchFlags(lastRecord(writer, last), FLAG_BATCH_END);
  }
  keyspace.feedSent();
  return count;
}

/** The start of the last record from `at` on: a counter's key is several records. */
function lastRecord(writer: RecordWriter, at: number): number {
  for (;;) {
    const next = at + writer.buffer.readUInt32LE(at);
    if (next >= writer.length) return at;
    at = next;
  }
}

/** Registers that the durable stores have yet to be given, stale entries included. */
export function dirtyCount(keyspace: Keyspace): number {
  let count = 0;
  for (const database of keyspace.databases) count += database.storeRing.length + (database.floorStore ? 1 : 0);
  return count;
}

/**
 * Appends registers that the stores lack, oldest first, until the writers hold `bytesMax` or about 4 ms have passed.
 * Returns how many keys; 0 when nothing is left.
 * @param relayed takes the keys that only peers have changed, which those bring to MySQL; without it all go into the writer
 */
export function drainDirty(
  keyspace: Keyspace,
  writer: RecordWriter,
  bytesMax: number,
  relayed: RecordWriter = writer,
): number {
  const isFull = (): boolean => writer.length + (relayed === writer ? 0 : relayed.length) >= bytesMax;
  const { databases } = keyspace;
  let count = 0;
  for (let left = databases.length; left > 0 && !isFull(); left--) {
    const database = databases[keyspace.drainTurn % databases.length];
    keyspace.drainTurn = (keyspace.drainTurn + 1) % databases.length;
    if (database.floorStore) {
      database.floorStore = false;
      encodeFloor(keyspace, database, writer);
      count++;
    }
    const ring = database.storeRing;
    const alone = ring.length > 0 && isAlone(keyspace, database);
    while (ring.length > 0 && !isFull()) {
      const ref = ring.shift();
      const marks = takeMark(keyspace, database, ref, STORE, alone);
      if (marks === 0) continue;
      count++;
      if (mayBeOutdated(keyspace, ref)) keyspace.drainedOutdated = true;
      if (drainKey(keyspace, database, ref, (marks & OWED) !== 0 ? writer : relayed, bytesMax)) continue;
      ring.putBack(ref);
      keyspace.arena.words[ref >>> 20][(ref & 0xfffff) << 1] |= marks << 16;
    }
  }
  return count;
}

/** False when a part of a large collection is left. */
function drainKey(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  writer: RecordWriter,
  bytesMax: number,
): boolean {
  if ((keyspace.flagsOf(ref) & OBJECT) === 0) {
    encodeKey(keyspace, database, ref, writer);
    return true;
  }
  if (database.shadows.size > 0) encodeDirtyShadowAt(keyspace, database, ref, writer);
  return encodeCollectionStore(keyspace, database, ref, writer, bytesMax);
}

/** Asks, from now on, whether everything that is dirty at the moment has been drained. */
export function noteDirty(keyspace: Keyspace): () => boolean {
  const dirty = keyspace.databases
    .filter(({ storeRing, floorStore }) => storeRing.length > 0 || floorStore)
    .map((database) => ({ database, end: database.storeRing.end }));
  return () => dirty.every(({ database, end }) => database.storeRing.isPast(end) && !database.floorStore);
}

/**
 * Whether the stores may have newer registers than the block: those of a key that was evicted here and came back by a merge. What
 * this node itself has SET is newer than all that it ever saw.
 */
function mayBeOutdated(keyspace: Keyspace, ref: number): boolean {
  if (!keyspace.readsThrough) return keyspace.evictedKeys > 0;
  const flags = keyspace.flagsOf(ref);
  if ((flags & PARTIAL) === 0) return false;
  return (
    (flags & (OBJECT | COUNTER)) !== 0 || (keyspace.arena.words[ref >>> 20][((ref & 0xfffff) << 1) + 1] & 0xffff) !== 0
  );
}

/** Drops stale entries of a ring that has grown past what can be dirty. */
export function compactStoreRing(keyspace: Keyspace, database: Database): void {
  const { storeRing } = database;
  const kept = new Uint16Array(storeRing.length);
  const alone = isAlone(keyspace, database);
  let count = 0;
  storeRing.compact((ref) => {
    const marks = takeMark(keyspace, database, ref, STORE, alone);
    if (marks === 0) return false;
    kept[count++] = marks;
    return true;
  });
  for (let at = 0; at < count; at++) {
    const ref = storeRing.at(at);
    keyspace.arena.words[ref >>> 20][(ref & 0xfffff) << 1] |= kept[at] << 16;
  }
}

/** Makes every register dirty again, for a store that was named or emptied while the node ran. */
export function markEverything(keyspace: Keyspace): void {
  for (const database of keyspace.databases) {
    if (database.floorHi !== 0) database.floorStore = true;
    for (let at = 0; at < HASH_END;) {
      at = database.index.visitRange(at, 1000, (ref) => {
        const flags = keyspace.flagsOf(ref);
        if ((flags & OBJECT) !== 0) keyspace.collectionAt(ref).storeWalk = new ElementCursor();
        keyspace.mark(database, ref, flags, false);
      });
    }
  }
}
