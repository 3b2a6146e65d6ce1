/** Local writes of lists: elements put at either end, between others, and in the place of others. */
import { TYPE_LIST } from '../block.ts';
import type { Collection } from '../collections/collection.ts';
import { markElement } from '../collections/element-writes.ts';
import { elementKindOf } from '../collections/kinds.ts';
import type { ListCollection } from '../collections/list-collection.ts';
import { putElement, removeElement } from '../collections/local.ts';
import { PositionMaker, makeAuthor } from '../collections/position.ts';
import type { Keyspace } from '../keyspace.ts';

const LIST_ELEMENT = elementKindOf(TYPE_LIST);
const makers = new WeakMap<Keyspace, PositionMaker>();
/** The one used last: there is hardly ever another one. */
let lastKeyspace: Keyspace | null = null;
let lastMaker: PositionMaker | null = null;

/** The keyspace's maker of positions: one author for as long as the keyspace is in memory. */
function positionsOf(keyspace: Keyspace): PositionMaker {
  if (keyspace === lastKeyspace) return lastMaker!;
  let maker = makers.get(keyspace);
  if (maker === undefined) {
    const { nodes, clock } = keyspace;
    maker = new PositionMaker(makeAuthor(nodes.hi[0], nodes.lo[0], clock.hi, clock.lo));
    makers.set(keyspace, maker);
  }
  lastKeyspace = keyspace;
  lastMaker = maker;
  return maker;
}

function putNew(
  keyspace: Keyspace,
  list: Collection,
  maker: PositionMaker,
  value: Uint8Array,
  start: number,
  length: number,
): void {
  putElement(keyspace, list, 0, maker.bytes, 0, maker.length, value, start, length);
}

/**
 * A push for the common case, a short value behind or before an element that this node has pushed there: the new position differs
 * from the old one in a byte. False when it is no such case. The element's name was read.
 */
function pushPlain(
  keyspace: Keyspace,
  list: ListCollection,
  maker: PositionMaker,
  step: 1 | -1,
  value: Uint8Array,
  start: number,
  length: number,
): boolean {
  const { elements, clock } = keyspace;
  const { nameView, nameStart, nameLength } = elements;
  if (keyspace.digesting || nameView === null) return false;
  const lastByte = maker.lastByteBeyond(nameView, nameStart, nameLength, step);
  if (lastByte < 0) return false;
  const { hi, lo } = clock;
  const ref = elements.allocateBeside(LIST_ELEMENT, list.slot, hi, lo, lastByte, value, start, length);
  if (ref === 0) return false;
  list.insertAtEnd(ref, step);
  if (length > list.longestBytes) list.longestBytes = length;
  if (nameLength > list.longestBytes) list.longestBytes = nameLength;
  list.noteStamp(hi, lo, 0);
  if (++list.count > list.mostCount) list.mostCount = list.count;
  if (keyspace.storing || keyspace.feeding) markElement(keyspace, list, ref, true);
  return true;
}

/** RPUSH into an open list. */
export function pushRight(
  keyspace: Keyspace,
  list: ListCollection,
  value: Uint8Array,
  start: number,
  length: number,
): void {
  const maker = positionsOf(keyspace);
  const { elements } = keyspace;
  const end = list.lastOfAll;
  if (end === 0) {
    maker.first();
  } else {
    elements.readName(end);
    if (pushPlain(keyspace, list, maker, 1, value, start, length)) return;
    maker.after(elements.nameBuffer, elements.nameStart, elements.nameLength);
  }
  list.nextAtEnd = 1;
  putNew(keyspace, list, maker, value, start, length);
}

/** LPUSH into an open list. */
export function pushLeft(
  keyspace: Keyspace,
  list: ListCollection,
  value: Uint8Array,
  start: number,
  length: number,
): void {
  const maker = positionsOf(keyspace);
  const { elements } = keyspace;
  const end = list.firstOfAll;
  if (end === 0) {
    maker.first();
  } else {
    elements.readName(end);
    if (pushPlain(keyspace, list, maker, -1, value, start, length)) return;
    maker.before(elements.nameBuffer, elements.nameStart, elements.nameLength);
  }
  list.nextAtEnd = -1;
  putNew(keyspace, list, maker, value, start, length);
}

/** LINSERT into an open list, so that the value is at `index`, 0 to `count`. */
export function insertAt(
  keyspace: Keyspace,
  list: ListCollection,
  index: number,
  value: Uint8Array,
  start: number,
  length: number,
): void {
  if (index === 0) {
    pushLeft(keyspace, list, value, start, length);
    return;
  }
  if (index === list.count) {
    pushRight(keyspace, list, value, start, length);
    return;
  }
  const maker = positionsOf(keyspace);
  const { elements } = keyspace;
  const left = list.at(index - 1);
  const right = list.at(index);
  elements.readName(left);
  const { nameBuffer, nameStart, nameLength } = elements;
  // A tombstone's position is never given again.
  elements.readName(list.tombstoneBetween(left, right) || right);
  maker.between(nameBuffer, nameStart, nameLength, elements.nameBuffer, elements.nameStart, elements.nameLength);
  putNew(keyspace, list, maker, value, start, length);
}

/** LSET in an open list: the element at `ref` has another value. */
export function setElement(
  keyspace: Keyspace,
  list: ListCollection,
  ref: number,
  value: Uint8Array,
  start: number,
  length: number,
): void {
  const { elements } = keyspace;
  elements.readName(ref);
  const { nameBuffer, nameStart, nameLength } = elements;
  // A name in the arena stays where it is until the new block has it.
  putElement(keyspace, list, ref, nameBuffer, nameStart, nameLength, value, start, length);
}

/** Removes `count` elements from `index` on from an open list. */
export function removeRange(keyspace: Keyspace, list: ListCollection, index: number, count: number): void {
  const isEnd = index + count === list.count;
  for (let left = count; left > 0; left--) removeElement(keyspace, list, isEnd ? list.last : list.at(index));
}
