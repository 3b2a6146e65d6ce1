/** Local writes of lists: elements put at either end, between others, and in the place of others. */
import type { Collection } from '../collections/collection.ts';
import type { ListCollection } from '../collections/list-collection.ts';
import { putElement, removeElement } from '../collections/local.ts';
import { PositionMaker, makeAuthor } from '../collections/position.ts';
import type { Keyspace } from '../keyspace.ts';

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
