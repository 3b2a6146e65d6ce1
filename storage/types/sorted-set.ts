/** Local writes of sorted sets: members with scores, and scores that are counted up. */
import { formatDouble } from '../../protocol/format-double.ts';
import { writeInteger } from '../../protocol/integer.ts';
import { ELEMENT_COUNTED, ELEMENT_DEAD, ELEMENT_FEED, ELEMENT_STORE } from '../collections/element-layout.ts';
import { keepDeadline, readElementCounter, writeCounted } from '../collections/element-merge.ts';
import { markElement, writeElement } from '../collections/element-writes.ts';
import { putElement, removeElement } from '../collections/local.ts';
import { addToSum } from '../collections/score.ts';
import type { SortedSet } from '../collections/sorted-set.ts';
import type { Keyspace } from '../keyspace.ts';
import { readSafeInteger, writeSafeInteger } from './counter-payload.ts';

/** The longest text of a double, and more. */
const scoreText = Buffer.alloc(40);

/**
 * Gives a member of an open sorted set a score; `ref` is what `set.find` has just found. The name may not lie in the set.
 * @param current the score that the member shows; NaN when it shows none, or the caller has not looked
 */
export function putScore(
  keyspace: Keyspace,
  set: SortedSet,
  ref: number,
  name: Uint8Array,
  start: number,
  length: number,
  score: number,
  current = NaN,
): void {
  // As in Redis's small sorted sets, -0 becomes 0.
  const textLength = Number.isSafeInteger(score)
    ? writeInteger(scoreText, 0, score + 0)
    : scoreText.write(formatDouble(score), 'latin1');
  const { elements, clock } = keyspace;
  if (ref !== 0 && !keyspace.digesting && elements.deadlineMs < 0 && elements.isRenewable(ref, textLength)) {
    set.order.move(Number.isNaN(current) ? set.scoreOf(ref) : current, score + 0, ref);
    elements.renew(ref, clock.hi, clock.lo, scoreText, 0, textLength);
    set.noteStamp(clock.hi, clock.lo, 0);
    markElement(keyspace, set, ref, true);
    return;
  }
  set.shownScore = score + 0;
  putElement(keyspace, set, ref, name, start, length, scoreText, 0, textLength);
  set.shownScore = NaN;
}

/** Removes the element that `set.order.at` has just found from an open sorted set. */
export function removeFound(keyspace: Keyspace, set: SortedSet, ref: number): void {
  if (keyspace.keepsTombstones) {
    removeElement(keyspace, set, ref);
    return;
  }
  set.order.removeFound();
  set.count--;
  set.remove(ref);
  keyspace.elements.free(ref);
}

/** A payload of one entry in integer form, as counter-payload.ts draws it; and where its parts are. */
const payload = new Uint32Array(12);
const payloadBytes = Buffer.from(payload.buffer);
const TOTAL = 1;
const BASE = 3;
const ENTRY = 5;
const BEGIN = 6;
const VERSION = 8;
const SUM = 10;
const MARKS = ELEMENT_FEED | ELEMENT_STORE;

/** `addScore` for the common case: whole numbers, and no other node has added to them. False when it is not the case. */
function addWhole(
  keyspace: Keyspace,
  set: SortedSet,
  ref: number,
  name: Uint8Array,
  start: number,
  length: number,
  delta: number,
  total: number,
): boolean {
  if (keyspace.digesting || !Number.isSafeInteger(delta) || !Number.isSafeInteger(total)) return false;
  const { elements, clock, arena } = keyspace;
  if (ref === 0) {
    payload[0] = 1;
    writeSafeInteger(payload, TOTAL, total);
    writeSafeInteger(payload, SUM, total);
    payload[BEGIN] = payload[VERSION] = clock.hi;
    payload[BEGIN + 1] = payload[VERSION + 1] = clock.lo;
    set.noteStamp(clock.hi, clock.lo, 0);
    elements.deadlineMs = -1;
    const flags = ELEMENT_COUNTED | ELEMENT_DEAD;
    const { length: size } = payloadBytes;
    writeElement(keyspace, set, 0, flags, 0, 0, 0, name, start, length, payloadBytes, 0, size, true);
    return true;
  }
  if ((elements.flagsOf(ref) & ~(MARKS | ELEMENT_DEAD)) !== ELEMENT_COUNTED) return false;
  const words = arena.words[ref >>> 20];
  const at = elements.payloadWord(ref);
  if (words[at] !== 1 || words[at + ENTRY] !== 0) return false;
  const current = readSafeInteger(words, at + TOTAL);
  const sum = total - readSafeInteger(words, at + BASE);
  if (!Number.isSafeInteger(sum) || current + delta !== total) return false;
  set.order.move(current, total + 0, ref);
  writeSafeInteger(words, at + TOTAL, total);
  writeSafeInteger(words, at + SUM, sum);
  words[at + VERSION] = clock.hi;
  words[at + VERSION + 1] = clock.lo;
  markElement(keyspace, set, ref, true);
  return true;
}

/**
 * Makes the score of a member of an open sorted set `total`, by adding `delta` to what it shows (0 for a new one), so that
 * what several nodes add at once adds up. `ref` is what `set.find` has just found.
 */
export function addScore(
  keyspace: Keyspace,
  set: SortedSet,
  ref: number,
  name: Uint8Array,
  start: number,
  length: number,
  delta: number,
  total: number,
): void {
  if (addWhole(keyspace, set, ref, name, start, length, delta, total)) return;
  const { elements, clock } = keyspace;
  const state = readElementCounter(keyspace, ref);
  const isDead = ref === 0 || (elements.flagsOf(ref) & ELEMENT_DEAD) !== 0;
  let own = state.entries.find((entry) => entry.origin === 0);
  if (own === undefined) {
    own = { origin: 0, beginHi: clock.hi, beginLo: clock.lo, versionHi: 0, versionLo: 0, sum: '0' };
    state.entries.unshift(own);
  }
  own.sum = addToSum(state.base, own.sum, state.entries.length === 1, delta, total);
  own.versionHi = clock.hi;
  own.versionLo = clock.lo;
  keepDeadline(keyspace, ref);
  const stampHi = ref === 0 ? 0 : elements.stampHiOf(ref);
  const stampLo = ref === 0 ? 0 : elements.stampLoOf(ref);
  const origin = ref === 0 ? 0 : elements.originOf(ref);
  writeCounted(keyspace, set, ref, isDead, stampHi, stampLo, origin, name, start, length, state, true);
}
