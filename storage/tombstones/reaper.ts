/**
 * Tombstones leave memory when nobody can bring back what they bury. A node without members waits for its own stores only; in a
 * cluster both bounds are what every member is known to hold, or what is beyond `tombstone-horizon`: see replication/membership/horizon.ts
 * and docs/decisions/0009.
 * A sweep in small steps looks at every key in turn.
 *
 * With durable stores a tombstone leaves them first, and memory when it is gone there (Removals): a node that stops in between
 * loads it again, or does not need it any more. While a removal is under way, or fails, the sweep stands still and memory keeps
 * its tombstones.
 */
import { compareStamp } from '../../protocol/stamp.ts';
import { COUNTER, DEADLINE, EXPIRED, FEED, HIDDEN, OBJECT, STORE } from '../arena/block.ts';
import { readBirth } from '../collections/key-registers.ts';
import { dropElements, spentElements, type StampBound } from '../collections/reap.ts';
import { pruneShadow } from '../collections/shadow.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';
import { applyRecords } from '../merging/merge.ts';
import { forgetKey } from './forget.ts';
import { type RemovalSink, Removals, type TakeRecords } from './removals.ts';
import { decodeCounter } from '../types/counter-payload.ts';
import { HASH_END } from '../index/key-index.ts';

const KEYS_A_STEP = 4000;
/** Tombstones of one collection, and of all together, that are dropped in a step. */
const ELEMENTS_A_KEY = 1000;
const ELEMENTS_A_STEP = 5000;
const HIDDEN_MARKS = HIDDEN | FEED | STORE;

export class Reaper {
  readonly #keyspace: Keyspace;
  readonly #removals: Removals | null;
  #database = 0;
  #at = 0;

  /**
   * @param sink the durable stores; null when there are none
   * @param onNewer merges what a database that others write has of keys that would go, unless it is to be merged as it is
   */
  constructor(keyspace: Keyspace, sink: RemovalSink | null = null, onNewer: TakeRecords = mergeInto(keyspace)) {
    this.#keyspace = keyspace;
    this.#removals = sink === null ? null : new Removals(keyspace, sink, isReapable, onNewer);
  }

  /** Whether the next step begins with the first key of the first database. */
  get isAtStart(): boolean {
    return this.#at === 0 && this.#database === 0;
  }

  /**
   * Looks at the next 4,000 keys and drops the deletions stamped up to `deleted`, and the expired keys stamped up to
   * `expired`, that the stores have; with stores, once they are gone from there. Returns how many were dropped since the last
   * step.
   * @param deadlineMsMax keys with a later deadline stay: another node's clock may not have come to it, and what that node
   *   shows would be alive for ever beside a key that is made anew here without a trace of the deadline
   */
  step(deleted: StampBound, expired: StampBound, deadlineMsMax = Infinity): number {
    const keyspace = this.#keyspace;
    const removals = this.#removals;
    if (removals !== null && !removals.isReady) return removals.takeDropped();
    const database = keyspace.databases[this.#database];
    let dropped = 0;
    let left = ELEMENTS_A_STEP;
    removals?.begin(this.#database);
    this.#at = database.index.visitRange(this.#at, KEYS_A_STEP, (ref, hash) => {
      const flags = keyspace.flagsOf(ref);
      if ((flags & OBJECT) !== 0 && left > 0 && !keyspace.isPacked(ref) && removals?.isFull !== true) {
        const collection = keyspace.glanceAt(ref);
        const spent = spentElements(keyspace, collection, deleted, expired, ELEMENTS_A_KEY);
        left -= spent.length;
        if (removals === null) dropped += dropElements(keyspace, collection, spent);
        else removals.addElements(database, collection, spent);
      }
      if ((flags & HIDDEN_MARKS) !== HIDDEN) return;
      if ((flags & EXPIRED) !== 0 && keyspace.deadlineOf(ref) > deadlineMsMax) return;
      if (!isReapable(keyspace, ref, (flags & EXPIRED) !== 0 ? expired : deleted)) return;
      if (hidesOthers(keyspace, database, ref)) return;
      if (removals !== null) {
        removals.addKey(database, ref);
        return;
      }
      forgetKey(keyspace, database, hash, ref);
      dropped++;
    });
    if (this.#at >= HASH_END) {
      this.#at = 0;
      this.#database = (this.#database + 1) % keyspace.databases.length;
    }
    removals?.send();
    return dropped + (removals?.takeDropped() ?? 0);
  }
}

function mergeInto(keyspace: Keyspace): TakeRecords {
  return (records) => Promise.resolve(applyRecords(keyspace, records, 0, records.length));
}

/** Whether what concurrent writes have hidden at the key would be seen without it. */
function hidesOthers(keyspace: Keyspace, database: Database, ref: number): boolean {
  if (database.shadows.size === 0) return false;
  keyspace.readKey(ref);
  const { keyBuffer, keyStart, keyLength } = keyspace;
  const isLeftAbove = (hi: number, lo: number, origin: number): boolean =>
    pruneShadow(keyspace, database, keyBuffer, keyStart, keyLength, hi, lo, origin);
  readBirth(keyspace, ref);
  if (!isLeftAbove(keyspace.stampHi, keyspace.stampLo, keyspace.origin)) return false;
  if ((keyspace.flagsOf(ref) & OBJECT) === 0) return true;
  const { floorHi, floorLo, floorOrigin } = keyspace.glanceAt(ref);
  return isLeftAbove(floorHi, floorLo, floorOrigin);
}

/** Whether a key is hidden, stored, and every register of it stamped up to the bound, its deadline and its sums included. */
function isReapable(keyspace: Keyspace, ref: number, { hi, lo }: StampBound): boolean {
  const flags = keyspace.flagsOf(ref);
  if ((flags & HIDDEN_MARKS) !== HIDDEN) return false;
  const words = keyspace.arena.words[ref >>> 20];
  const word = (ref & 0xfffff) << 1;
  if ((flags & DEADLINE) !== 0 && compareStamp(words[word + 8], words[word + 9], hi, lo) > 0) return false;
  if ((flags & OBJECT) !== 0) {
    // What is hidden may be older than its being hidden.
    const { touchedHi, touchedLo, count } = keyspace.glanceAt(ref);
    return count === 0 && compareStamp(touchedHi, touchedLo, hi, lo) <= 0;
  }
  if (compareStamp(words[word + 2], words[word + 3], hi, lo) > 0) return false;
  if ((flags & COUNTER) === 0) return true;
  const { entries, dormant } = decodeCounter(keyspace.arena, ref);
  if (dormant !== null && compareStamp(dormant.stampHi, dormant.stampLo, hi, lo) > 0) return false;
  return entries.every((entry) => compareStamp(entry.versionHi, entry.versionLo, hi, lo) <= 0);
}
