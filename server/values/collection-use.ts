/** Keys that must hold a collection of a type. */
import { WORD_COPY_MAX } from '../../protocol/byte-view.ts';
import { TYPE_HASH } from '../../storage/arena/block.ts';
import type { Collection } from '../../storage/collections/collection.ts';
import type { MemberCollection } from '../../storage/collections/member-collection.ts';
import { expireElement } from '../../storage/collections/element-writes.ts';
import { endChange, openCollection, removeElement } from '../../storage/collections/local.ts';
import { hasDueElements, settleElements } from '../../storage/collections/element-expiry.ts';
import { isShown } from '../../storage/types/hash.ts';
import type { Call } from '../dispatch/call.ts';
import { CommandError, WRONG_TYPE } from '../definitions/command-error.ts';
import { countUse, peekKey, useKey } from './key-use.ts';

function check(call: Call, ref: number, type: number): number {
  if (ref !== 0 && call.keyspace.typeOf(ref) !== type) throw new CommandError(WRONG_TYPE);
  return ref;
}

/**
 * The collection at argument `index` for reading, or null when there is none; counts the hit or miss, and the use.
 * @throws CommandError WRONGTYPE when the key holds another type
 */
export function useCollection(call: Call, index: number, type: number): Collection | null {
  const ref = check(call, useKey(call, index), type);
  return ref === 0 ? null : call.keyspace.collectionAt(ref);
}

/** A hash of which all fields are looked at: what is due of it is hidden first. @throws CommandError WRONGTYPE */
export function useWholeHash(call: Call, index: number): MemberCollection | null {
  return wholeHash(call, useKey(call, index));
}

/** The same without counting the use. @throws CommandError WRONGTYPE */
export function peekWholeHash(call: Call, index: number): MemberCollection | null {
  return wholeHash(call, peekKey(call, index));
}

function wholeHash(call: Call, ref: number): MemberCollection | null {
  const { keyspace } = call;
  if (check(call, ref, TYPE_HASH) === 0) return null;
  if (hasDueElements(keyspace) && !settleElements(keyspace, ref)) return null;
  return keyspace.collectionAt(ref) as MemberCollection;
}

/** The collection for reading, without counting the use. @throws CommandError WRONGTYPE */
export function peekCollection(call: Call, index: number, type: number): Collection | null {
  const ref = check(call, peekKey(call, index), type);
  return ref === 0 ? null : call.keyspace.collectionAt(ref);
}

/**
 * The block of a collection that a command may change, or 0 when there is none: for `openAt`.
 * @throws CommandError WRONGTYPE when the key holds another type
 */
export function collectionToWrite(call: Call, index: number, type: number): number {
  const ref = check(call, call.lookup(index), type);
  if (ref !== 0) countUse(call, ref);
  return ref;
}

/**
 * Opens the collection at argument `index` for changes, or makes it when `ref` is 0. Nothing may fail, nor any other key be
 * looked up or opened, until `endChange`.
 */
export function openAt(call: Call, index: number, ref: number, type: number): Collection {
  return openCollection(call.keyspace, call.database, ref, type, call.buffer, call.starts[index], call.lengths[index]);
}

/** The visible element of the name at argument `index`, or 0. */
export function elementAt(call: Call, collection: Collection, index: number): number {
  const element = collection.find(call.buffer, call.starts[index], call.lengths[index]);
  return element !== 0 && isShown(call.keyspace, element) ? element : 0;
}

/**
 * The block of the element of the name at argument `index`, tombstones included, or 0, to write it in a collection that is open
 * for changes; one that is past its own deadline is hidden first.
 */
export function elementToWrite(call: Call, collection: Collection, index: number): number {
  const { keyspace, buffer, starts, lengths } = call;
  const element = collection.find(buffer, starts[index], lengths[index]);
  const { elements, clock } = keyspace;
  if (element === 0 || !elements.isDue(element, clock.nowMs) || !elements.isVisible(element)) return element;
  expireElement(keyspace, collection, element);
  return collection.find(buffer, starts[index], lengths[index]);
}

/** Removes the elements named from argument 2 on from the collection in `ref`; returns how many were there. */
export function removeElements(call: Call, ref: number, type: number): number {
  const { keyspace, argc } = call;
  let collection = keyspace.collectionAt(ref);
  let removed = 0;
  for (let index = 2; index < argc; index++) {
    const element = elementAt(call, collection, index);
    if (element === 0) continue;
    if (removed++ === 0) collection = openAt(call, 1, ref, type);
    removeElement(keyspace, collection, element);
  }
  if (removed > 0) endChange(keyspace, collection, true);
  return removed;
}

/** Replies with an element's name. */
export function replyName(call: Call, element: number): void {
  const { elements } = call.keyspace;
  elements.readName(element);
  const { nameView, nameStart, nameLength } = elements;
  if (nameView !== null && nameLength <= WORD_COPY_MAX) call.reply.bulkView(nameView, nameStart, nameLength);
  else call.reply.bulk(elements.nameBuffer, nameStart, nameLength);
}

/** Replies with an element's value. */
export function replyElementValue(call: Call, element: number): void {
  call.keyspace.elements.readValue(element);
  replyReadValue(call);
}

/** Replies with the value that was read last. */
export function replyReadValue(call: Call): void {
  const { elements } = call.keyspace;
  const { valueView, valueStart, valueLength } = elements;
  if (valueView !== null && valueLength <= WORD_COPY_MAX) call.reply.bulkView(valueView, valueStart, valueLength);
  else call.reply.bulk(elements.valueBuffer, valueStart, valueLength);
}
