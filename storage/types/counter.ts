/**
 * INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT: no increment is lost.
 *
 * A counter is the STRING register (its value, or nothing, is the base) and one COUNTER register per node: that node's sum
 * since the base. A sum counts when it began after the base was written, so a SET or DEL starts anew, and increments made
 * on two nodes at once add up. A node whose sum an observed SET or DEL has ended begins another one.
 */
import { compareStamp, stampHiOf, stampLoOf } from '../../protocol/stamp.ts';
import { touchAccess } from '../eviction/access.ts';
import { COUNTER, DEAD, EXPIRED, HIDDEN, OBJECT } from '../arena/block.ts';
import type { Database } from '../database.ts';
import { INTEGER, INTEGER_MAX, INTEGER_MIN, addDecimals, formatDecimal, parseDecimal, sumTexts } from './decimal.ts';
import type { Keyspace } from '../keyspace.ts';
import {
  type CounterEntry,
  type CounterState,
  decodeCounter,
  encodeCounter,
  payloadWord,
  readSafeInteger,
  writeSafeInteger,
} from './counter-payload.ts';

/** A longer base is a text that no sum is ever added to. */
export const COUNTER_BASE_BYTES_MAX = 512;

/** Longer increments are refused: sums have to fit what peers and stores take (512 bytes). */
const DELTA_BYTES_MAX = 448;

/** Why an increment was refused, as Redis's errors name it. */
export type CounterRefusal = 'not an integer' | 'not a float' | 'overflow' | 'not finite';

/** The counter that a block holds; a plain string or a tombstone is one without sums. */
export function readCounter(keyspace: Keyspace, ref: number): CounterState {
  const flags = keyspace.flagsOf(ref);
  if ((flags & COUNTER) !== 0) return decodeCounter(keyspace.arena, ref);
  if ((flags & DEAD) !== 0) return { base: '0', total: '0', entries: [], dormant: null };
  keyspace.readValue(ref);
  const { valueBuffer, valueStart, valueLength } = keyspace;
  if (valueLength > COUNTER_BASE_BYTES_MAX) return { base: '', total: '', entries: [], dormant: null };
  const base = valueBuffer.toString('latin1', valueStart, valueStart + valueLength);
  return { base, total: base, entries: [], dormant: null };
}

function addTexts(a: string, b: string): string {
  const zero = { digits: 0n, scale: 0 };
  return formatDecimal(addDecimals(parseDecimal(a) ?? zero, parseDecimal(b) ?? zero));
}

/** Adds this node's entry to the state: its sum after `delta` more. The stamp is the clock's present one. */
function addOwn(keyspace: Keyspace, state: CounterState, delta: string): void {
  const { hi, lo } = keyspace.clock;
  let own = state.entries.find((entry) => entry.origin === 0);
  if (own === undefined) {
    own = { origin: 0, beginHi: hi, beginLo: lo, versionHi: hi, versionLo: lo, sum: '0' };
    state.entries.unshift(own);
  }
  // Not clamped to 64 bits: the sum may pass them where base and sum together do not.
  own.sum = addTexts(own.sum, delta);
  own.versionHi = hi;
  own.versionLo = lo;
}

/** Makes the pending stamp one that is above (`hi`, `lo`). */
function raiseAbove(keyspace: Keyspace, hi: number, lo: number): void {
  if (compareStamp(hi, lo, keyspace.stampHi, keyspace.stampLo) < 0) return;
  keyspace.stampHi = lo === 0xffffffff ? hi + 1 : hi;
  keyspace.stampLo = (lo + 1) >>> 0;
}

/**
 * An expired key's next increment: the deadline itself becomes the tombstone, with a stamp that every node derives alike,
 * so that increments made after it on several nodes still add up. Where a clock ran ahead, that stamp is raised above
 * what it has to bury.
 */
export function buryExpired(keyspace: Keyspace, state: CounterState): void {
  const { clock, deadlineMs, stampHi, stampLo } = keyspace;
  const reached = deadlineMs <= clock.nowMs;
  keyspace.stampHi = reached ? stampHiOf(deadlineMs) : 0;
  keyspace.stampLo = reached ? stampLoOf(deadlineMs, 0) : 0;
  raiseAbove(keyspace, stampHi, stampLo);
  raiseAbove(keyspace, keyspace.deadlineStampHi, keyspace.deadlineStampLo);
  if (state.dormant !== null) raiseAbove(keyspace, state.dormant.stampHi, state.dormant.stampLo);
  for (const entry of state.entries) raiseAbove(keyspace, entry.beginHi, entry.beginLo);
  keyspace.origin = keyspace.nodes.indexOf(0, 0);
  keyspace.deadlineMs = -1;
  clock.observe(keyspace.stampHi, keyspace.stampLo);
}

const NO_COUNTER: Readonly<CounterState> = { base: '0', total: '0', entries: [], dormant: null };

/**
 * Adds to the number at a key, which is made when it is missing. `delta` is a safe integer.
 * Returns the new value, or NaN when that is not known to be a safe integer: then nothing was changed and
 * `incrementExactly` has to be asked.
 */
export function incrementFast(
  keyspace: Keyspace,
  database: Database,
  key: Buffer,
  start: number,
  length: number,
  delta: number,
): number {
  const ref = keyspace.lookup(database, key, start, length);
  if (ref === 0) return NaN;
  const flags = keyspace.flagsOf(ref);
  if ((flags & COUNTER) === 0) return NaN;
  const words = keyspace.arena.words[ref >>> 20];
  const at = payloadWord(keyspace.arena, ref);
  const entry = at + 5;
  if (words[at] >>> 16 !== 0 || words[entry] !== 0) return NaN;
  const total = readSafeInteger(words, at + 1) + delta;
  const sum = readSafeInteger(words, entry + 5) + delta;
  if (!Number.isSafeInteger(total) || !Number.isSafeInteger(sum)) return NaN;
  if (keyspace.digesting) keyspace.toggleDigest(database, ref);
  keyspace.clock.tick();
  const { hi, lo } = keyspace.clock;
  words[entry + 3] = hi;
  words[entry + 4] = lo;
  writeSafeInteger(words, entry + 5, sum);
  writeSafeInteger(words, at + 1, total);
  if (keyspace.digesting) keyspace.toggleDigest(database, ref);
  keyspace.touchedInPlace(database, ref, flags, hi, lo);
  touchAccess(keyspace, ref);
  return total;
}

function isInteger64(value: bigint): boolean {
  return value <= INTEGER_MAX && value >= INTEGER_MIN;
}

/** Adds to the number at a key; `delta` is an integer's text. Returns the new value's text. */
export function incrementExactly(
  keyspace: Keyspace,
  database: Database,
  key: Buffer,
  start: number,
  length: number,
  delta: string,
): string | { refused: CounterRefusal } {
  const ref = keyspace.lookup(database, key, start, length);
  const current = ref === 0 ? '0' : readCounter(keyspace, ref).total;
  if (!INTEGER.test(current)) return { refused: 'not an integer' };
  const total = BigInt(current) + BigInt(delta);
  // Increments on several nodes at once may have passed 64 bits together; from there a counter may come back.
  const mayComeBack = ref !== 0 && (keyspace.flagsOf(ref) & COUNTER) !== 0 && isInteger64(total);
  if (!isInteger64(BigInt(current)) && !mayComeBack) return { refused: 'not an integer' };
  if (!isInteger64(total)) return { refused: 'overflow' };
  add(keyspace, database, key, start, length, delta);
  return String(total);
}

/** INCRBYFLOAT. `delta` is what the client sent. Returns the new value's text. */
export function incrementDecimal(
  keyspace: Keyspace,
  database: Database,
  key: Buffer,
  start: number,
  length: number,
  delta: string,
): string | { refused: CounterRefusal } {
  const ref = keyspace.lookup(database, key, start, length);
  const current = ref === 0 ? '0' : readCounter(keyspace, ref).total;
  if (parseDecimal(current) === null || parseDecimal(delta) === null) return { refused: 'not a float' };
  const text = formatDecimal(parseDecimal(delta)!);
  if (text.length > DELTA_BYTES_MAX) return { refused: 'not finite' };
  add(keyspace, database, key, start, length, text);
  keyspace.readValue(keyspace.find(database, key, start, length));
  return keyspace.valueBuffer.toString('latin1', keyspace.valueStart, keyspace.valueStart + keyspace.valueLength);
}

function add(keyspace: Keyspace, database: Database, key: Buffer, start: number, length: number, delta: string): void {
  const ref = keyspace.find(database, key, start, length);
  const hash = keyspace.hash;
  let dead = DEAD;
  let state: CounterState = { ...NO_COUNTER, entries: [] };
  keyspace.stampHi = 0;
  keyspace.stampLo = 0;
  keyspace.origin = 0;
  keyspace.deadlineMs = -1;
  if (ref !== 0 && (keyspace.flagsOf(ref) & OBJECT) !== 0) {
    // A collection that nobody sees any more: its creation stays as the tombstone that the sum begins after.
    keyspace.readVersion(ref);
    keyspace.deadlineMs = -1;
  } else if (ref === 0) {
    recallLapsed(keyspace, database, key, start, length);
  } else {
    const flags = keyspace.flagsOf(ref);
    state = readCounter(keyspace, ref);
    keyspace.readVersion(ref);
    dead = flags & DEAD;
    if ((flags & EXPIRED) !== 0) {
      buryExpired(keyspace, state);
      state = { ...NO_COUNTER, entries: [] };
      dead = DEAD;
    } else if ((flags & HIDDEN) !== 0 && keyspace.deadlineMs > 0) {
      forgetDeadline(keyspace);
    }
  }
  keyspace.clock.tick();
  addOwn(keyspace, state, delta);
  writeCounter(keyspace, database, hash, ref, key, start, length, state, dead, true);
  database.noteStamp(keyspace.clock.hi, keyspace.clock.lo);
}

/** A counter that had lapsed, and that this node has forgotten, is buried as by those who remember it: they would hide what is added. */
function recallLapsed(keyspace: Keyspace, database: Database, key: Buffer, start: number, length: number): void {
  const { lapsedSums, floorHi, floorLo } = database;
  if (lapsedSums.isEmpty) return;
  const { digests } = keyspace;
  digests.hashKey(database.number, key, start, length);
  if (!lapsedSums.find(digests.keyHi, digests.keyLo)) return;
  const { hi, lo, origin } = lapsedSums;
  if (compareStamp(hi, lo, floorHi, floorLo) <= 0) return;
  keyspace.stampHi = hi;
  keyspace.stampLo = lo;
  keyspace.origin = origin;
}

/** A deadline that outlived the sums it was set on: the key that is made now has none, which every node has to know. */
function forgetDeadline(keyspace: Keyspace): void {
  keyspace.clock.tick();
  keyspace.deadlineMs = 0;
  keyspace.deadlineStampHi = keyspace.clock.hi;
  keyspace.deadlineStampLo = keyspace.clock.lo;
  keyspace.deadlineOrigin = 0;
}

/**
 * Writes a counter with the pending version. A state without sums becomes a plain string or a tombstone again, unless
 * a deadline is left. `flags`: DEAD for the base, EXPIRED and HIDDEN.
 */
export function writeCounter(
  keyspace: Keyspace,
  database: Database,
  hash: number,
  ref: number,
  key: Buffer,
  start: number,
  length: number,
  state: CounterState,
  flags: number,
  local: boolean,
): number {
  const dead = flags & DEAD;
  if (dead !== 0 && state.entries.length === 0) flags |= HIDDEN;
  if (state.entries.length === 0 && state.dormant === null && (dead === 0 || keyspace.deadlineMs < 0)) {
    const base = Buffer.from(dead === 0 ? state.base : '', 'latin1');
    return keyspace.put(database, hash, ref, key, start, length, base, 0, base.length, flags, local);
  }
  // Sums cannot be added to a text; they wait for a number to be set under them. Without sums the base stays as it was set.
  const countable = state.entries.length > 0 && parseDecimal(state.base) !== null;
  state.total = countable ? sumTexts([state.base, ...state.entries.map((entry) => entry.sum)]) : state.base;
  const payload = encodeCounter(state);
  return keyspace.put(database, hash, ref, key, start, length, payload, 0, payload.length, COUNTER | flags, local);
}

/** Drops the sums that began before the base was written. */
export function pruneEntries(keyspace: Keyspace, state: CounterState, hi: number, lo: number, origin: number): void {
  state.entries = state.entries.filter((entry) => begunAfter(keyspace, entry, hi, lo, origin));
}

export function begunAfter(keyspace: Keyspace, entry: CounterEntry, hi: number, lo: number, origin: number): boolean {
  const order = compareStamp(entry.beginHi, entry.beginLo, hi, lo);
  return order > 0 || (order === 0 && keyspace.nodes.compare(entry.origin, origin) > 0);
}

/**
 * Moves the pending version, which is the STRING register's, up to the greatest begin of the sums: when the key became a
 * string, as collections at the same key see it.
 */
export function birthOfString(keyspace: Keyspace, ref: number): void {
  if ((keyspace.flagsOf(ref) & COUNTER) === 0) return;
  for (const entry of decodeCounter(keyspace.arena, ref).entries) {
    if (!begunAfter(keyspace, entry, keyspace.stampHi, keyspace.stampLo, keyspace.origin)) continue;
    keyspace.stampHi = entry.beginHi;
    keyspace.stampLo = entry.beginLo;
    keyspace.origin = entry.origin;
  }
}
