/** What several commands on lists do: taking elements off an end, and moving one to another list. */
import { WORD_COPY_MAX } from '../../protocol/byte-view.ts';
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import { TYPE_LIST } from '../../storage/arena/block.ts';
import type { ListCollection } from '../../storage/collections/list-collection.ts';
import { endChange, openCollection } from '../../storage/collections/local.ts';
import type { Database } from '../../storage/database.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { pushLeft, pushRight, removeEnd } from '../../storage/types/list.ts';
import type { Call } from '../dispatch/call.ts';
import { peekCollection, useCollection } from './collection-use.ts';

/** A key's bytes within a buffer. */
export interface KeyBytes {
  readonly buffer: Buffer;
  readonly start: number;
  readonly length: number;
}

export function keyArgument(call: Call, index: number): KeyBytes {
  return { buffer: call.buffer, start: call.starts[index], length: call.lengths[index] };
}

export function wholeKey(key: Buffer): KeyBytes {
  return { buffer: key, start: 0, length: key.length };
}

export function listToRead(call: Call, index: number): ListCollection | null {
  return useCollection(call, index, TYPE_LIST) as ListCollection | null;
}

/** The same, and the key does not count as used. */
export function listToPeek(call: Call, index: number): ListCollection | null {
  return peekCollection(call, index, TYPE_LIST) as ListCollection | null;
}

/** LEFT or RIGHT: whether it is LEFT. @throws CommandError */
export function isLeft(call: Call, index: number): boolean {
  if (call.is(index, 'LEFT')) return true;
  if (!call.is(index, 'RIGHT')) call.syntaxError();
  return false;
}

/** Opens the list at a key for changes, or makes it when `ref` is 0. */
export function openList(keyspace: Keyspace, database: Database, ref: number, key: KeyBytes): ListCollection {
  return openCollection(keyspace, database, ref, TYPE_LIST, key.buffer, key.start, key.length) as ListCollection;
}

/** The block of a list for a command that has no call any more, 0 when there is none or the key holds another type. */
export function findList(keyspace: Keyspace, database: Database, key: Buffer): number {
  const ref = keyspace.lookup(database, key, 0, key.length);
  return ref !== 0 && keyspace.typeOf(ref) === TYPE_LIST ? ref : 0;
}

/** Replies with the value that was read last. */
function replyRead({ elements }: Keyspace, reply: ReplyWriter): void {
  const { valueView, valueStart, valueLength } = elements;
  if (valueView !== null && valueLength <= WORD_COPY_MAX) reply.bulkView(valueView, valueStart, valueLength);
  else reply.bulk(elements.valueBuffer, valueStart, valueLength);
}

/** Takes `count` elements, no more than there are, off an end of the list in `ref`, and replies with each. */
export function popElements(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  key: KeyBytes,
  left: boolean,
  count: number,
  reply: ReplyWriter,
): void {
  const list = openList(keyspace, database, ref, key);
  const end = left ? -1 : 1;
  for (let rest = count; rest > 0; rest--) {
    list.readEnd(end);
    replyRead(keyspace, reply);
    removeEnd(keyspace, list, end);
  }
  endChange(keyspace, list, true);
}

/** LMPOP's reply: the key, and up to `count` elements. */
export function popMany(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  key: KeyBytes,
  left: boolean,
  count: number,
  reply: ReplyWriter,
): void {
  const popped = Math.min(count, keyspace.collectionAt(ref).count);
  reply.array(2);
  reply.bulk(key.buffer, key.start, key.length);
  reply.array(popped);
  popElements(keyspace, database, ref, key, left, popped, reply);
}

/** Moves an element from the list in `ref` to another one, or to its own other end, and replies with it. */
export function moveElement(
  keyspace: Keyspace,
  database: Database,
  ref: number,
  source: KeyBytes,
  destination: KeyBytes,
  fromLeft: boolean,
  toLeft: boolean,
  reply: ReplyWriter,
): void {
  const list = openList(keyspace, database, ref, source);
  const end = fromLeft ? -1 : 1;
  list.readEnd(end);
  const { elements } = keyspace;
  const { valueBuffer, valueStart, valueLength } = elements;
  const value = Buffer.from(valueBuffer.subarray(valueStart, valueStart + valueLength));
  reply.bulk(value, 0, value.length);
  removeEnd(keyspace, list, end);
  const isSame =
    source.length === destination.length &&
    source.buffer.compare(
      destination.buffer,
      destination.start,
      destination.start + destination.length,
      source.start,
      source.start + source.length,
    ) === 0;
  let target = list;
  if (!isSame) {
    endChange(keyspace, list, true);
    // One change, as Redis counts it.
    keyspace.changes--;
    const { buffer, start, length } = destination;
    target = openList(keyspace, database, keyspace.lookup(database, buffer, start, length), destination);
  }
  if (toLeft) pushLeft(keyspace, target, value, 0, value.length);
  else pushRight(keyspace, target, value, 0, value.length);
  endChange(keyspace, target, true);
}
