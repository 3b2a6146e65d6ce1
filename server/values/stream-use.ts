/** Streams as commands read them, and replies about their entries. */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import { TYPE_STREAM } from '../../storage/arena/block.ts';
import { openCollection } from '../../storage/collections/local.ts';
import type { Stream } from '../../storage/collections/stream.ts';
import { type StreamGroup, UNKNOWN_COUNT } from '../../storage/collections/stream-group.ts';
import type { Database } from '../../storage/database.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { visitFields } from '../../storage/types/stream.ts';
import { compareIds, formatId, LEAST_ID, type StreamId } from '../../storage/types/stream-id.ts';
import type { Call } from '../dispatch/call.ts';
import { useCollection } from './collection-use.ts';
import { CommandError, WRONG_TYPE } from '../definitions/command-error.ts';

/** The stream at argument `index` for reading, or null. @throws CommandError WRONGTYPE */
export function useStream(call: Call, index: number): Stream | null {
  return useCollection(call, index, TYPE_STREAM) as Stream | null;
}

/** The stream at a key, or null. @throws CommandError WRONGTYPE */
export function streamAt(keyspace: Keyspace, database: Database, key: Buffer): Stream | null {
  const ref = keyspace.lookup(database, key, 0, key.length);
  if (ref === 0) return null;
  if (keyspace.typeOf(ref) !== TYPE_STREAM) throw new CommandError(WRONG_TYPE);
  return keyspace.collectionAt(ref) as Stream;
}

/** Opens the stream at a key for changes; makes it when there is none. `endChange` must follow. */
export function openStream(keyspace: Keyspace, database: Database, key: Buffer): Stream {
  const ref = keyspace.lookup(database, key, 0, key.length);
  return openCollection(keyspace, database, ref, TYPE_STREAM, key, 0, key.length) as Stream;
}

export function replyId(reply: ReplyWriter, id: StreamId): void {
  reply.bulkString(formatId(id));
}

/** Replies with bytes that are kept as latin1 text. */
export function replyLatin1(reply: ReplyWriter, text: string): void {
  reply.bulk(Buffer.from(text, 'latin1'), 0, text.length);
}

/** Replies with an entry: its id, and its fields and values. */
export function replyEntry(keyspace: Keyspace, reply: ReplyWriter, stream: Stream, ref: number): void {
  const { elements } = keyspace;
  reply.array(2);
  replyId(reply, stream.idOf(ref));
  elements.readPayload(ref);
  const { valueBuffer, valueStart, valueLength } = elements;
  reply.array(visitFields(valueBuffer, valueStart, valueLength, null));
  visitFields(valueBuffer, valueStart, valueLength, (start, length) => reply.bulk(valueBuffer, start, length));
}

/** The entries with ids from `first` to `last`, at most `countMax` of them, from either end. */
export function entriesBetween(
  stream: Stream,
  first: StreamId,
  last: StreamId,
  countMax: number,
  reverse: boolean,
): number[] {
  const from = stream.rank(first);
  let to = stream.rank(last);
  if (to < stream.length && compareIds(stream.idOf(stream.at(to)), last) === 0) to++;
  const count = Math.min(to - from, countMax);
  const found: number[] = [];
  if (count > 0) stream.visit(reverse ? to - 1 : from, count, reverse, (ref) => found.push(ref));
  return found;
}

// ---- how far groups are ----

/** Whether an entry at or after this id has been deleted. */
function hasDeletedFrom(stream: Stream, id: StreamId): boolean {
  if (stream.length === 0 || compareIds(stream.maxDeletedId, LEAST_ID) === 0) return false;
  if (compareIds(stream.firstId, stream.maxDeletedId) > 0) return false;
  return compareIds(id, stream.maxDeletedId) <= 0;
}

/** How many entries have been added up to this id, as far as that can be told; else UNKNOWN_COUNT. */
function estimateRead(stream: Stream, id: StreamId): number {
  const added = stream.entriesAdded;
  if (added === 0) return 0;
  const { lastId, length, maxDeletedId } = stream;
  const order = compareIds(id, lastId);
  if (length === 0 && order <= 0) return added;
  if (order === 0) return added;
  if (order > 0) return UNKNOWN_COUNT;
  const { firstId } = stream;
  if (compareIds(maxDeletedId, LEAST_ID) === 0 || compareIds(maxDeletedId, firstId) < 0) {
    const fromFirst = compareIds(id, firstId);
    if (fromFirst < 0) return added - length;
    if (fromFirst === 0) return added - length + 1;
  }
  return UNKNOWN_COUNT;
}

/** How many entries the group has yet to read, or null when that cannot be told. */
export function lagOf(stream: Stream, group: StreamGroup): number | null {
  if (stream.entriesAdded === 0) return 0;
  if (group.entriesRead !== UNKNOWN_COUNT && !hasDeletedFrom(stream, group.lastId)) {
    return stream.entriesAdded - group.entriesRead;
  }
  const read = estimateRead(stream, group.lastId);
  return read === UNKNOWN_COUNT ? null : stream.entriesAdded - read;
}

/** How many entries a group has read when it has got the one of this id. */
export function readAfter(stream: Stream, entriesRead: number, id: StreamId): number {
  if (entriesRead !== UNKNOWN_COUNT && !hasDeletedFrom(stream, id)) return entriesRead + 1;
  return stream.entriesAdded === 0 ? entriesRead : estimateRead(stream, id);
}
