/** FLUSHDB and FLUSHALL: a floor under a whole database. Registers stamped up to it are dead, on every node. */
import { compareStamp } from '../../protocol/stamp.ts';
import { COUNTER, DEAD, DEADLINE, EXPIRED, HIDDEN, OBJECT } from '../arena/block.ts';
import { forgetCreation, killUpTo, revealShadow } from '../collections/merge.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';
import { decodeCounter } from '../types/counter-payload.ts';
import { writeCounter } from '../types/counter.ts';
import { HASH_END } from '../index/key-index.ts';

/** Empties a database here and now; what other nodes write meanwhile, beyond what this one has seen, survives. */
export function flushDatabase(keyspace: Keyspace, database: Database): void {
  applyFloor(keyspace, database, keyspace.clock.hi, keyspace.clock.lo, 0, true);
}

/** Raises the floor to the stamp and drops what is under it. */
export function applyFloor(
  keyspace: Keyspace,
  database: Database,
  hi: number,
  lo: number,
  origin: number,
  local: boolean,
): void {
  const { observer } = keyspace;
  const isRaised = compareStamp(hi, lo, database.floorHi, database.floorLo) > 0;
  // Also of a flush that finds nothing to do, as in Redis.
  if (local || isRaised) observer?.flushed?.();
  if (!isRaised) return;
  if (observer !== null) announce(keyspace, database, hi, lo);
  database.floorHi = hi;
  database.floorLo = lo;
  database.floorOrigin = origin;
  keyspace.changes++;
  if (keyspace.storing) database.floorStore = true;
  if (local && keyspace.feeding) {
    database.floorFeed = true;
    keyspace.requestFeed();
  }
  // What of the evicted keys is above the floor comes back from whoever has it.
  keyspace.forgetEvicted(database);
  if (compareStamp(database.stampHi, database.stampLo, hi, lo) <= 0) dropAll(keyspace, database);
  else dropUnder(keyspace, database, hi, lo);
}

function forEachKey(database: Database, visit: (ref: number, hash: number) => void): void {
  for (let at = 0; at < HASH_END;) at = database.index.visitRange(at, 1000, visit);
}

function isUnder(keyspace: Keyspace, ref: number, hi: number, lo: number): boolean {
  const words = keyspace.arena.words[ref >>> 20];
  const word = (ref & 0xfffff) << 1;
  if (compareStamp(words[word + 2], words[word + 3], hi, lo) > 0) return false;
  const flags = keyspace.flagsOf(ref);
  if ((flags & OBJECT) !== 0) {
    const { maxHi, maxLo, floorHi, floorLo } = keyspace.collectionAt(ref);
    // A DEL above it has yet to cover elements that come later.
    return compareStamp(maxHi, maxLo, hi, lo) <= 0 && compareStamp(floorHi, floorLo, hi, lo) <= 0;
  }
  if ((flags & COUNTER) === 0) return true;
  const { entries, dormant } = decodeCounter(keyspace.arena, ref);
  if (entries.some((entry) => compareStamp(entry.beginHi, entry.beginLo, hi, lo) > 0)) return false;
  if (dormant !== null && compareStamp(dormant.stampHi, dormant.stampLo, hi, lo) > 0) return false;
  if ((flags & (DEAD | DEADLINE)) !== (DEAD | DEADLINE)) return true;
  return compareStamp(words[word + 8], words[word + 9], hi, lo) <= 0;
}

function announce(keyspace: Keyspace, database: Database, hi: number, lo: number): void {
  forEachKey(database, (ref) => {
    if ((keyspace.flagsOf(ref) & HIDDEN) !== 0 || !isUnder(keyspace, ref, hi, lo)) return;
    keyspace.readKey(ref);
    keyspace.observer!.changed(database.number, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength, 'flush');
  });
}

function dropAll(keyspace: Keyspace, database: Database): void {
  database.evicted.clear();
  const isBare = (other: Database): boolean => other.index.count + other.evictedDigests.count === 0;
  if (keyspace.databases.every((other) => other === database || isBare(other))) {
    keyspace.arena.clear();
    keyspace.objects.clear();
    keyspace.elementDeadlines.clear();
    for (const other of keyspace.databases) other.reset();
    keyspace.digests.clear();
    return;
  }
  const refs: number[] = [];
  forEachKey(database, (ref, hash) => refs.push(ref, hash));
  for (let at = 0; at < refs.length; at += 2) keyspace.drop(database, refs[at + 1], refs[at]);
  database.reset();
}

function dropUnder(keyspace: Keyspace, database: Database, hi: number, lo: number): void {
  const shadowed = [...database.shadows.keys()].map((key) => Buffer.from(key, 'latin1'));
  forEachKey(database, (ref, hash) => {
    if (isUnder(keyspace, ref, hi, lo)) keyspace.drop(database, hash, ref);
    else if ((keyspace.flagsOf(ref) & OBJECT) !== 0) trimCollection(keyspace, database, hash, ref, hi, lo);
    else if ((keyspace.flagsOf(ref) & COUNTER) !== 0) trimCounter(keyspace, database, hash, ref, hi, lo);
  });
  for (const key of shadowed) {
    const ref = keyspace.find(database, key, 0, key.length);
    if (ref === 0 || (keyspace.flagsOf(ref) & OBJECT) !== 0 || hasNoBase(keyspace, ref)) {
      revealShadow(keyspace, database, key);
    }
  }
}

/** Whether nothing is left of a string but sums, or a deadline of sums. */
function hasNoBase(keyspace: Keyspace, ref: number): boolean {
  keyspace.readVersion(ref);
  return keyspace.stampHi === 0;
}

/** Leaves of a collection what is above the floor: a creation under it is forgotten, with its deadline. */
function trimCollection(
  keyspace: Keyspace,
  database: Database,
  hash: number,
  ref: number,
  hi: number,
  lo: number,
): void {
  keyspace.readVersion(ref);
  const isCovered = keyspace.stampHi !== 0 && compareStamp(keyspace.stampHi, keyspace.stampLo, hi, lo) <= 0;
  const collection = keyspace.collectionAt(isCovered ? forgetCreation(keyspace, database, hash, ref) : ref);
  // The database's floor is a stamp alone: it covers the elements of every origin.
  killUpTo(keyspace, collection, hi, lo, keyspace.nodes.indexOf(0xffffffff, 0xffffffff));
}

/** Leaves of a counter what is above the floor: as if only those registers had ever arrived. */
function trimCounter(keyspace: Keyspace, database: Database, hash: number, ref: number, hi: number, lo: number): void {
  keyspace.readVersion(ref);
  if (compareStamp(keyspace.stampHi, keyspace.stampLo, hi, lo) > 0) return;
  const dead = (keyspace.flagsOf(ref) & DEAD) !== 0;
  const state = decodeCounter(keyspace.arena, ref);
  const { deadlineMs: ms, deadlineStampHi: stampHi, deadlineStampLo: stampLo, deadlineOrigin: origin } = keyspace;
  let deadline = dead && ms >= 0 ? { ms, stampHi, stampLo, origin } : state.dormant;
  if (deadline !== null && compareStamp(deadline.stampHi, deadline.stampLo, hi, lo) <= 0) deadline = null;
  const entries = state.entries.filter((entry) => compareStamp(entry.beginHi, entry.beginLo, hi, lo) > 0);
  if (dead && entries.length === state.entries.length && (deadline !== null || ms < 0)) return;
  keyspace.stampHi = 0;
  keyspace.stampLo = 0;
  keyspace.origin = 0;
  keyspace.deadlineMs = deadline === null ? -1 : deadline.ms;
  if (deadline !== null) {
    keyspace.deadlineStampHi = deadline.stampHi;
    keyspace.deadlineStampLo = deadline.stampLo;
    keyspace.deadlineOrigin = deadline.origin;
  }
  const left = { base: '0', total: '0', entries, dormant: null };
  keyspace.readKey(ref);
  const key = Buffer.from(keyspace.keyBuffer.subarray(keyspace.keyStart, keyspace.keyStart + keyspace.keyLength));
  // The deadline may come into force only now that its base is gone, and long be over.
  const isPast = keyspace.deadlineMs > 0 && keyspace.clock.nowMs > keyspace.deadlineMs;
  const flags = isPast ? DEAD | EXPIRED | HIDDEN : DEAD;
  writeCounter(keyspace, database, hash, ref, key, 0, key.length, left, flags, false);
}
