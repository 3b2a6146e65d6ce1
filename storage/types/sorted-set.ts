/** Local writes of sorted sets: members with scores, and scores that are counted up. */
import { formatDouble } from '../../protocol/format-double.ts';
import { writeInteger } from '../../protocol/integer.ts';
import { ELEMENT_DEAD } from '../collections/element.ts';
import { keepDeadline, readElementCounter, writeCounted } from '../collections/element-merge.ts';
import { putElement } from '../collections/local.ts';
import { addToSum } from '../collections/score.ts';
import type { SortedSet } from '../collections/sorted-set.ts';
import type { Keyspace } from '../keyspace.ts';

/** The longest text of a double, and more. */
const scoreText = Buffer.alloc(40);

/** Gives a member of an open sorted set a score; `ref` is what `set.find` has just found. The name may not lie in the set. */
export function putScore(
  keyspace: Keyspace,
  set: SortedSet,
  ref: number,
  name: Uint8Array,
  start: number,
  length: number,
  score: number,
): void {
  // As in Redis's small sorted sets, -0 becomes 0.
  const textLength = Number.isSafeInteger(score)
    ? writeInteger(scoreText, 0, score + 0)
    : scoreText.write(formatDouble(score), 'latin1');
  putElement(keyspace, set, ref, name, start, length, scoreText, 0, textLength);
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
