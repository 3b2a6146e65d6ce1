/** What XREAD and XREADGROUP read, at once or after a wait. */
import { ReplyWriter } from '../../protocol/resp-reply.ts';
import { endChange } from '../../storage/collections/local.ts';
import { readDelivery, type StreamConsumer } from '../../storage/collections/stream-group.ts';
import type { Stream } from '../../storage/collections/stream.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { putConsumer, putGroup, putPending } from '../../storage/types/stream.ts';
import { GREATEST_ID, idAfter, type StreamId } from '../../storage/types/stream-id.ts';
import { entriesBetween, openStream, readAfter, replyEntry, replyId, streamAt } from './stream-use.ts';

export interface StreamRequest {
  readonly keyspace: Keyspace;
  /** The number of the database. */
  readonly database: number;
  readonly keys: readonly Buffer[];
  /** Entries after these are asked for; null for those that the group has not delivered yet. */
  readonly after: readonly (StreamId | null)[];
  /** Infinity for all. */
  readonly countMax: number;
  /** latin1; null for XREAD. */
  readonly group: string | null;
  readonly consumer: string;
  readonly withoutPending: boolean;
  /** Told of a consumer that the group did not have. */
  readonly consumerMade: (key: Buffer) => void;
}

const part = new ReplyWriter();

/** Replies with what there is, and returns true; writes nothing and returns false when there is nothing. */
export function replyWithEntries(request: StreamRequest, reply: ReplyWriter, onlyKey: Buffer | null): boolean {
  part.reset();
  part.protocol = reply.protocol;
  let streams = 0;
  for (let place = 0; place < request.keys.length; place++) {
    const key = request.keys[place];
    if (onlyKey !== null && !key.equals(onlyKey)) continue;
    const stream = streamAt(request.keyspace, request.keyspace.databases[request.database], key);
    if (stream === null) continue;
    const after = request.after[place]!;
    if (request.group === null ? readPlain(request, stream, key, after) : readAsGroup(request, stream, key, after))
      streams++;
  }
  if (streams === 0) return false;
  if (reply.protocol === 3) reply.map(streams);
  else reply.array(streams);
  reply.raw(part.buffer.subarray(0, part.length));
  return true;
}

function beginStream(key: Buffer): void {
  if (part.protocol === 2) part.array(2);
  part.bulk(key, 0, key.length);
}

function replyEntries(request: StreamRequest, stream: Stream, refs: readonly number[]): void {
  part.array(refs.length);
  for (const ref of refs) replyEntry(request.keyspace, part, stream, ref);
}

function entriesAfter(stream: Stream, after: StreamId, countMax: number): number[] {
  const first = idAfter(after);
  return first === null ? [] : entriesBetween(stream, first, GREATEST_ID, countMax, false);
}

function readPlain(request: StreamRequest, stream: Stream, key: Buffer, after: StreamId): boolean {
  const refs = entriesAfter(stream, after, request.countMax);
  if (refs.length === 0) return false;
  beginStream(key);
  replyEntries(request, stream, refs);
  return true;
}

function readAsGroup(request: StreamRequest, stream: Stream, key: Buffer, after: StreamId | null): boolean {
  const { keyspace, consumer } = request;
  const group = stream.group(request.group!);
  if (group === null) return false;
  const { nowMs } = keyspace.clock;
  const known = group.consumer(consumer);
  if (known === null) {
    open(request, key);
    putConsumer(keyspace, stream, group.name, consumer, nowMs, -1);
    endChange(keyspace, stream, true);
    request.consumerMade(key);
  } else {
    // Not worth a write of its own: after a restart it is the time of the last read that gave something.
    known.seenMs = nowMs;
  }
  const present = group.need(consumer);
  if (after !== null) {
    replyHistory(request, stream, key, present, after);
    return true;
  }
  const refs = entriesAfter(stream, group.lastId, request.countMax);
  if (refs.length === 0) return false;
  beginStream(key);
  replyEntries(request, stream, refs);
  const ids = refs.map((ref) => stream.idOf(ref));
  open(request, key);
  let { entriesRead } = group;
  for (const id of ids) {
    entriesRead = readAfter(stream, entriesRead, id);
    if (!request.withoutPending)
      putPending(keyspace, stream, group.name, id, { deliveredMs: nowMs, count: 1, consumer });
  }
  putGroup(keyspace, stream, group.name, ids.at(-1)!, entriesRead);
  putConsumer(keyspace, stream, group.name, consumer, nowMs, nowMs);
  endChange(keyspace, stream, true);
  return true;
}

function open({ keyspace, database }: StreamRequest, key: Buffer): Stream {
  return openStream(keyspace, keyspace.databases[database], key);
}

/** What is pending for the consumer, delivered once more. */
function replyHistory(
  request: StreamRequest,
  stream: Stream,
  key: Buffer,
  consumer: StreamConsumer,
  after: StreamId,
): void {
  const { keyspace } = request;
  beginStream(key);
  const ids: StreamId[] = [];
  const first = idAfter(after);
  if (first !== null) {
    consumer.pending.visit(consumer.pending.rank(first), request.countMax, (ref) =>
      ids.push(consumer.pending.idOf(ref)),
    );
  }
  part.array(ids.length);
  const delivered: StreamId[] = [];
  for (const id of ids) {
    const ref = stream.entry(id);
    if (ref !== 0) {
      replyEntry(keyspace, part, stream, ref);
      delivered.push(id);
    } else {
      part.array(2);
      replyId(part, id);
      part.nilArray();
    }
  }
  if (delivered.length === 0) return;
  open(request, key);
  for (const id of delivered) {
    const { count } = readDelivery(keyspace.elements, consumer.pending.find(id));
    const delivery = { deliveredMs: keyspace.clock.nowMs, count: count + 1, consumer: consumer.name };
    putPending(keyspace, stream, request.group!, id, delivery);
  }
  endChange(keyspace, stream, true);
}
