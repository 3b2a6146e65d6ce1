/** Local writes of hashes: fields, and numbers in fields. */
import { compareStamp } from '../../protocol/stamp.ts';
import { TYPE_HASH } from '../arena/block.ts';
import type { Collection } from '../collections/collection.ts';
import { ELEMENT_DEAD } from '../collections/element-layout.ts';
import { keepDeadline, readElementCounter, writeCounted } from '../collections/element-merge.ts';
import { removeElement } from '../collections/local.ts';
import { addDecimals, formatDecimal, parseDecimal } from './decimal.ts';
import type { Keyspace } from '../keyspace.ts';

/** Whether commands see the element: it is not past its own deadline either. */
export function isShown({ elements, clock }: Keyspace, element: number): boolean {
  return elements.isPlain(element) || (elements.isVisible(element) && !elements.isDue(element, clock.nowMs));
}

/** The block of an element that commands see, or 0. */
export function findVisible(
  keyspace: Keyspace,
  collection: Collection,
  name: Uint8Array,
  start: number,
  length: number,
): number {
  const element = collection.find(name, start, length);
  return element !== 0 && isShown(keyspace, element) ? element : 0;
}

/**
 * Adds to the number in an element of an open collection, so that what several nodes add at once adds up. `delta` is decimal
 * text. Returns the element's block; `elements.readValue` gives the new number.
 */
export function addToElement(
  keyspace: Keyspace,
  collection: Collection,
  name: Uint8Array,
  start: number,
  length: number,
  delta: string,
): number {
  const { elements, clock } = keyspace;
  const ref = findWithoutExpired(keyspace, collection, name, start, length);
  const state = readElementCounter(keyspace, ref);
  const isDead = ref === 0 || (elements.flagsOf(ref) & ELEMENT_DEAD) !== 0;
  let own = state.entries.find((entry) => entry.origin === 0);
  if (own === undefined) {
    own = { origin: 0, beginHi: clock.hi, beginLo: clock.lo, versionHi: 0, versionLo: 0, sum: '0' };
    state.entries.unshift(own);
  }
  const zero = { digits: 0n, scale: 0 };
  own.sum = formatDecimal(addDecimals(parseDecimal(own.sum) ?? zero, parseDecimal(delta) ?? zero));
  own.versionHi = clock.hi;
  own.versionLo = clock.lo;
  keepDeadline(keyspace, ref);
  let stampHi = ref === 0 ? 0 : elements.stampHiOf(ref);
  let stampLo = ref === 0 ? 0 : elements.stampLoOf(ref);
  let origin = ref === 0 ? 0 : elements.originOf(ref);
  if (ref === 0 && hadLapsed(keyspace, collection, name, start, length)) {
    ({ hi: stampHi, lo: stampLo, origin } = keyspace.databases[collection.database].lapsedSums);
  }
  return writeCounted(keyspace, collection, ref, isDead, stampHi, stampLo, origin, name, start, length, state, true);
}

/**
 * Whether the field had lapsed and was forgotten here: it is buried as by those who remember it, who would hide what is added. Up to
 * which version is left in the database's `lapsedSums`.
 */
function hadLapsed(
  keyspace: Keyspace,
  collection: Collection,
  name: Uint8Array,
  start: number,
  length: number,
): boolean {
  const { lapsedSums, floorHi, floorLo } = keyspace.databases[collection.database];
  if (lapsedSums.isEmpty || collection.type !== TYPE_HASH) return false;
  const { digests } = keyspace;
  keyspace.readKey(collection.ref);
  digests.hashKey(collection.database, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
  const hash = digests.hashElement(TYPE_HASH, name, start, length);
  if (!lapsedSums.find(digests.mix(digests.keyHi, hash) >>> 0, digests.mix(digests.keyLo, hash) >>> 0)) return false;
  const { hi, lo, origin } = lapsedSums;
  return !collection.isUnderFloor(hi, lo, origin) && compareStamp(hi, lo, floorHi, floorLo) > 0;
}

/** The element's block or 0; one that is past its own deadline becomes a removed one, so that what is written begins anew. */
function findWithoutExpired(
  keyspace: Keyspace,
  collection: Collection,
  name: Uint8Array,
  start: number,
  length: number,
): number {
  const { elements, clock } = keyspace;
  const ref = collection.find(name, start, length);
  if (ref === 0 || !elements.isDue(ref, clock.nowMs)) return ref;
  removeElement(keyspace, collection, ref);
  return collection.find(name, start, length);
}
