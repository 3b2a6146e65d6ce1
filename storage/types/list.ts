/** Local writes of lists: elements put at either end, between others, and in the place of others. */
import type { Collection } from '../collections/collection.ts';
import { ELEMENT_DEAD } from '../collections/element-layout.ts';
import { togglePlain, writeElement } from '../collections/element-writes.ts';
import type { ListCollection } from '../collections/list-collection.ts';
import { type ListRun, RUN_VALUE_MAX } from '../collections/list-run.ts';
import { noteInRun } from '../collections/list-writes.ts';
import { putElement, removeElement } from '../collections/local.ts';
import { NUMBER_BYTES_MAX, PREFIX_BYTES_MAX, PositionMaker, makeAuthor } from '../collections/position.ts';
import type { Keyspace } from '../keyspace.ts';

const NO_BYTES = Buffer.alloc(0);
/** The name of a run's element. */
const name = Buffer.alloc(PREFIX_BYTES_MAX + NUMBER_BYTES_MAX);
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
 * A push for the common case: a short value behind or before an element that this node has pushed there goes into that one's run. False when it
 * is no such case.
 */
function pushToRun(
  keyspace: Keyspace,
  list: ListCollection,
  maker: PositionMaker,
  end: 1 | -1,
  value: Uint8Array,
  start: number,
  length: number,
): boolean {
  const run = list.runToGrow(end);
  if (run === null || run.origin !== 0 || !maker.isAuthorBefore(run.view, run.prefixEnd)) return false;
  const number = list.numberBeyond(run, end);
  if (Number.isNaN(number)) return false;
  const { hi, lo } = keyspace.clock;
  const grown = list.growRun(run, end, number, hi, lo, value, start, length);
  noteInRun(keyspace, list, grown, hi, lo, length, true);
  return true;
}

function push(
  keyspace: Keyspace,
  list: ListCollection,
  end: 1 | -1,
  value: Uint8Array,
  start: number,
  length: number,
): void {
  const maker = positionsOf(keyspace);
  const isShort = length <= RUN_VALUE_MAX;
  if (isShort && pushToRun(keyspace, list, maker, end, value, start, length)) return;
  const { elements } = keyspace;
  if (!list.readEndName(end)) maker.first();
  else if (end === 1) maker.after(elements.nameBuffer, elements.nameStart, elements.nameLength);
  else maker.before(elements.nameBuffer, elements.nameStart, elements.nameLength);
  if (isShort) {
    const { hi, lo } = keyspace.clock;
    const run = list.beginRun(end, 0, maker.bytes, 0, maker.length, hi, lo, value, start, length);
    if (run !== null) {
      noteInRun(keyspace, list, run, hi, lo, length, true);
      return;
    }
  }
  list.nextAtEnd = end;
  putNew(keyspace, list, maker, value, start, length);
}

/** RPUSH into an open list. */
export function pushRight(
  keyspace: Keyspace,
  list: ListCollection,
  value: Uint8Array,
  start: number,
  length: number,
): void {
  push(keyspace, list, 1, value, start, length);
}

/** LPUSH into an open list. */
export function pushLeft(
  keyspace: Keyspace,
  list: ListCollection,
  value: Uint8Array,
  start: number,
  length: number,
): void {
  push(keyspace, list, -1, value, start, length);
}

/** Removes the first (`end` −1) or last (1) element of an open list. */
export function removeEnd(keyspace: Keyspace, list: ListCollection, end: 1 | -1): void {
  const run = list.runAtEnd(end);
  if (run === null) {
    removeElement(keyspace, list, end === 1 ? list.last : list.first);
  } else if (!keyspace.keepsTombstones) {
    list.dropFromRun(end);
    list.count--;
  } else {
    buryEnd(keyspace, list, run, end);
  }
}

/** `removeElement` of one at an end that is in a run: the tombstone has a block. */
function buryEnd(keyspace: Keyspace, list: ListCollection, run: ListRun, end: 1 | -1): void {
  const isLast = end === run.step;
  const { origin } = run;
  const hi = isLast ? run.lastHi : run.firstHi;
  const lo = isLast ? run.lastLo : run.firstLo;
  const nameLength = run.writeName(isLast ? run.lastNumber : run.firstNumber, name);
  if (keyspace.digesting) togglePlain(keyspace, list, name, nameLength, hi, lo, origin);
  list.dropFromRun(end);
  list.count--;
  keyspace.elements.deadlineMs = -1;
  writeElement(keyspace, list, 0, ELEMENT_DEAD, hi, lo, origin, name, 0, nameLength, NO_BYTES, 0, 0, true);
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
  const end = index + count === list.count ? 1 : -1;
  for (let left = count; left > 0; left--) {
    if (end === 1 || index === 0) removeEnd(keyspace, list, end);
    else removeElement(keyspace, list, list.at(index));
  }
}
