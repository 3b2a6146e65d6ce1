/**
 * Kinds of the registers of collections, as change records carry them. A type's place in the list (hash, set, sorted set,
 * list, stream, HyperLogLog) is added to the first kind of each row:
 *
 *   16…  KEY      no element; stamp and origin are the key's creation, the deadline is the key's; no value
 *   24   FLOOR    no element; elements of any type at this key stamped up to it are dead
 *   32…  ELEMENT  element = field, member, position, id, or u64be node; value = the field's value, the score, …
 *   40…  COUNTER  element = u32le length of the field, the field, u64be origin; value as in a string's COUNTER record:
 *                 u64be begin stamp, u64be begin origin, decimal text of the sum; a HyperLogLog has none
 */
export const KIND_KEY_FIRST = 16;
export const KIND_KEY_FLOOR = 24;
export const KIND_ELEMENT_FIRST = 32;
export const KIND_ELEMENT_COUNTER_FIRST = 40;

export const COLLECTION_HASH = 0;
export const COLLECTION_SET = 1;
export const COLLECTION_SORTED_SET = 2;
export const COLLECTION_LIST = 3;
export const COLLECTION_STREAM = 4;
export const COLLECTION_HYPERLOGLOG = 5;
const COLLECTION_COUNT = 6;

/** Whether the kind is one of a collection's registers. */
export function isCollectionKind(kind: number): boolean {
  return isKeyKind(kind) || kind === KIND_KEY_FLOOR || isElementKind(kind) || isElementCounterKind(kind);
}

export function isKeyKind(kind: number): boolean {
  return kind >= KIND_KEY_FIRST && kind < KIND_KEY_FIRST + COLLECTION_COUNT;
}

export function isElementKind(kind: number): boolean {
  return kind >= KIND_ELEMENT_FIRST && kind < KIND_ELEMENT_FIRST + COLLECTION_COUNT;
}

export function isElementCounterKind(kind: number): boolean {
  return kind >= KIND_ELEMENT_COUNTER_FIRST && kind < KIND_ELEMENT_COUNTER_FIRST + COLLECTION_COUNT;
}

/** The kind of the element that a sum of this kind adds to. */
export function elementKindOfCounter(counterKind: number): number {
  return counterKind - KIND_ELEMENT_COUNTER_FIRST + KIND_ELEMENT_FIRST;
}

/** The kind of the sums that add to an element of this kind. */
export function counterKindOfElement(elementKind: number): number {
  return elementKind - KIND_ELEMENT_FIRST + KIND_ELEMENT_COUNTER_FIRST;
}
