/** Local writes of strings: SET and its kin, DEL, deadlines, and edits in place. */
import { DEAD, HIDDEN, LARGE, OBJECT, RAW, VALUE_INLINE_MAX } from '../arena/block.ts';
import { rewriteKey } from '../collections/key-registers.ts';
import { deleteCollection } from '../collections/local.ts';
import type { Database } from '../database.ts';
import type { Keyspace } from '../keyspace.ts';

const scratch = Buffer.alloc(VALUE_INLINE_MAX);

/** SET: a new value, with a deadline (milliseconds since 1970; 0 for none). The old deadline goes with the old value. */
export function setString(
  keyspace: Keyspace,
  database: Database,
  key: Buffer,
  keyStart: number,
  keyLength: number,
  value: Buffer,
  valueStart: number,
  valueLength: number,
  deadlineMs: number,
): void {
  const ref = keyspace.find(database, key, keyStart, keyLength);
  const hash = keyspace.hash;
  keyspace.beginLocal(deadlineMs);
  keyspace.put(database, hash, ref, key, keyStart, keyLength, value, valueStart, valueLength, 0, true);
}

/** The deadline that a key has now, to be kept through a SET KEEPTTL or an edit; 0 for none. */
export function keptDeadline(keyspace: Keyspace, ref: number): number {
  return ref === 0 ? 0 : Math.max(0, keyspace.deadlineOf(ref));
}

/** DEL: returns whether there was a key to delete. */
export function deleteKey(
  keyspace: Keyspace,
  database: Database,
  key: Buffer,
  keyStart: number,
  keyLength: number,
): boolean {
  const ref = keyspace.lookup(database, key, keyStart, keyLength);
  if (ref === 0) return false;
  deleteRef(keyspace, database, keyspace.hash, ref, key, keyStart, keyLength);
  return true;
}

/** Deletes a key that is known to be there. */
export function deleteRef(
  keyspace: Keyspace,
  database: Database,
  hash: number,
  ref: number,
  key: Buffer,
  keyStart: number,
  keyLength: number,
): void {
  if ((keyspace.flagsOf(ref) & OBJECT) !== 0) {
    deleteCollection(keyspace, database, hash, ref);
    return;
  }
  if (!keyspace.keepsTombstones) {
    keyspace.dropVisible(database, hash, ref, key, keyStart, keyLength);
    return;
  }
  keyspace.beginLocal(0);
  keyspace.put(database, hash, ref, key, keyStart, keyLength, key, 0, 0, DEAD | HIDDEN, true);
}

/** EXPIRE and PERSIST: a deadline (0 for none) for a key that is there, with a stamp of its own. */
export function setDeadline(
  keyspace: Keyspace,
  database: Database,
  hash: number,
  ref: number,
  deadlineMs: number,
): void {
  keyspace.clock.tick();
  keyspace.readVersion(ref);
  keyspace.deadlineMs = deadlineMs;
  keyspace.deadlineStampHi = keyspace.clock.hi;
  keyspace.deadlineStampLo = keyspace.clock.lo;
  keyspace.deadlineOrigin = 0;
  if (keyspace.stampHi === 0 && (keyspace.flagsOf(ref) & OBJECT) !== 0) {
    // A FLUSHDB has covered the creation that the deadline would be bound to.
    keyspace.stampHi = keyspace.clock.hi;
    keyspace.stampLo = keyspace.clock.lo;
    rewriteKey(keyspace, database, hash, ref, true);
  } else {
    keyspace.putDeadline(database, hash, ref, true);
  }
  database.noteStamp(keyspace.clock.hi, keyspace.clock.lo);
}

/**
 * Opens a string for an edit in place that leaves it `newLength` bytes long (APPEND, SETRANGE, SETBIT, BITFIELD): the
 * value in `keyspace.valueBuffer` at `valueStart` is then a new version, the old bytes followed by zeros, and the caller
 * writes into it before the turn ends. The deadline is kept. The caller's bytes may not lie in the value itself.
 */
export function editString(
  keyspace: Keyspace,
  database: Database,
  key: Buffer,
  keyStart: number,
  keyLength: number,
  newLength: number,
): void {
  const ref = keyspace.lookup(database, key, keyStart, keyLength);
  const hash = keyspace.hash;
  const found = ref === 0 ? keyspace.find(database, key, keyStart, keyLength) : ref;
  const deadlineMs = keptDeadline(keyspace, ref);
  let oldLength = 0;
  let large: Buffer | null = null;
  if (ref !== 0) {
    keyspace.readValue(ref);
    oldLength = keyspace.valueLength;
    if ((keyspace.flagsOf(ref) & LARGE) !== 0) large = keyspace.valueBuffer;
  }
  let moved: number;
  if (newLength <= VALUE_INLINE_MAX) {
    const copied = Math.min(oldLength, newLength);
    if (ref !== 0) keyspace.valueBuffer.copy(scratch, 0, keyspace.valueStart, keyspace.valueStart + copied);
    scratch.fill(0, copied, newLength);
    keyspace.beginLocal(deadlineMs);
    moved = keyspace.put(database, hash, found, key, keyStart, keyLength, scratch, 0, newLength, RAW, true);
  } else {
    const buffer = roomFor(keyspace, large, oldLength, newLength);
    keyspace.beginLocal(deadlineMs);
    moved = keyspace.putLarge(database, hash, found, key, keyStart, keyLength, buffer, newLength, RAW, true);
  }
  keyspace.readPayload(moved, keyspace.flagsOf(moved));
}

/** A buffer with the old value and zeros after it: the old one when it has the room, else one of twice the size. */
function roomFor(keyspace: Keyspace, large: Buffer | null, oldLength: number, newLength: number): Buffer {
  if (large !== null && large.length >= newLength) {
    large.fill(0, oldLength, newLength);
    return large;
  }
  const buffer = Buffer.alloc(oldLength === 0 ? newLength : Math.max(newLength, oldLength * 2));
  if (oldLength > 0) keyspace.valueBuffer.copy(buffer, 0, keyspace.valueStart, keyspace.valueStart + oldLength);
  return buffer;
}
