/** Walks over the keys that commands see. */
import { HIDDEN } from '../arena/block.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';
import { HASH_END } from './key-index.ts';

const KEYS_A_STEP = 1000;
/** Random places that are tried before a walk looks for a key that is there. */
const SAMPLES_MAX = 100;

function isVisible(keyspace: Keyspace, ref: number): boolean {
  return (keyspace.flagsOf(ref) & HIDDEN) === 0 && !keyspace.isPastDeadline(ref);
}

/**
 * Calls `visit` for visible keys from position `from` in hash order on and returns the position after the last one, HASH_END
 * when all were visited. About `count` keys are looked at, tombstones among them. A walk from 0 to HASH_END visits keys that
 * are there throughout exactly once, however the index grows meanwhile. `visit` may not write.
 */
export function scanKeys(
  keyspace: Keyspace,
  database: Database,
  from: number,
  count: number,
  visit: (ref: number) => void,
): number {
  return database.index.visitRange(from, count, (ref) => {
    if (isVisible(keyspace, ref)) visit(ref);
  });
}

/** Calls `visit` for every visible key. `visit` may not write. */
export function forEachKey(keyspace: Keyspace, database: Database, visit: (ref: number) => void): void {
  for (let at = 0; at < HASH_END;) at = scanKeys(keyspace, database, at, KEYS_A_STEP, visit);
}

/** A visible key, or 0 when there is none. @param random uniform in [0, 1) */
export function randomKey(keyspace: Keyspace, database: Database, random: () => number): number {
  if (database.keyCount === 0) return 0;
  for (let tries = 0; tries < SAMPLES_MAX; tries++) {
    const ref = database.index.sample(random());
    if (ref !== 0 && isVisible(keyspace, ref)) return ref;
  }
  return firstFrom(keyspace, database, Math.floor(random() * HASH_END)) || firstFrom(keyspace, database, 0);
}

function firstFrom(keyspace: Keyspace, database: Database, from: number): number {
  let found = 0;
  const visit = (ref: number): void => {
    if (found === 0) found = ref;
  };
  for (let at = from; at < HASH_END && found === 0;) at = scanKeys(keyspace, database, at, KEYS_A_STEP, visit);
  return found;
}
