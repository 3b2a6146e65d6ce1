/** Local writes of streams that are open for changes: entries, what is known of the stream, groups and their pending entries. */
import { writeInteger } from '../../protocol/integer.ts';
import { copyBytes } from '../arena/block.ts';
import { removeElement, putElement } from '../collections/local.ts';
import type { Stream, StreamMeta } from '../collections/stream.ts';
import {
  CONSUMER,
  type Delivery,
  GROUP,
  META,
  PENDING,
  type StreamConsumer,
  type StreamGroup,
} from '../collections/stream-group.ts';
import type { Keyspace } from '../keyspace.ts';
import { formatId, greaterId, ID_BYTES, idBytes, sequenceNumberAfter, type StreamId } from './stream-id.ts';

function put(keyspace: Keyspace, stream: Stream, name: Buffer, value: Buffer): void {
  const ref = stream.find(name, 0, name.length);
  putElement(keyspace, stream, ref, name, 0, name.length, value, 0, value.length);
}

function removeNamed(keyspace: Keyspace, stream: Stream, name: Buffer): void {
  const ref = stream.find(name, 0, name.length);
  if (ref !== 0 && keyspace.elements.isVisible(ref)) removeElement(keyspace, stream, ref);
}

// ---- entries ----

/** Fields and values as netstrings: `5:field,5:value,`. */
export function encodeFields(
  buffer: Buffer,
  starts: Int32Array,
  lengths: Int32Array,
  from: number,
  to: number,
): Buffer {
  let size = 0;
  for (let index = from; index < to; index++) size += lengths[index] + String(lengths[index]).length + 2;
  const value = Buffer.allocUnsafe(size);
  let at = 0;
  for (let index = from; index < to; index++) {
    const length = lengths[index];
    at += value.write(`${length}:`, at, 'latin1');
    at += buffer.copy(value, at, starts[index], starts[index] + length);
    value[at++] = 44;
  }
  return value;
}

/** Visits the parts that `encodeFields` put together; returns how many there are. */
export function visitFields(
  buffer: Buffer,
  start: number,
  length: number,
  visit: ((start: number, length: number) => void) | null,
): number {
  const end = start + length;
  let count = 0;
  for (let at = start; at < end; count++) {
    let size = 0;
    for (; buffer[at] !== 58; at++) size = size * 10 + buffer[at] - 48;
    visit?.(at + 1, size);
    at += size + 2;
  }
  return count;
}

/** What `addNow` has added: its id as text, `idText[0, length)`. Numbers of up to 2^53 take 16 digits. */
export const idText = Buffer.alloc(40);
let idTextMs = -1;
let idTextDash = 0;
const COLON = 58;
const COMMA = 44;
const HYPHEN = 45;
const idName = Buffer.alloc(ID_BYTES);
const idView = new DataView(idName.buffer, idName.byteOffset, ID_BYTES);
const fieldBytes = Buffer.alloc(4096);
/** Digits, colon and comma of one field in `fieldBytes`. */
const FIELD_OVERHEAD_BYTES = 6;

/**
 * XADD with an id made of the time, in numbers instead of bigints: adds an entry with the fields that `holdFields` has just put
 * into so many bytes to an open stream, whose `readLast` has succeeded. Returns the length of `idText`.
 * @param mark as `generateId`'s
 */
export function addNow(keyspace: Keyspace, stream: Stream, mark: number, size: number): number {
  const { nowMs } = keyspace.clock;
  const isLater = nowMs > stream.lastMs;
  const ms = isLater ? nowMs : stream.lastMs;
  const seq = sequenceNumberAfter(isLater ? -1 : stream.lastSeq, mark);
  writeWords(ms, 0);
  writeWords(seq, 8);
  stream.appendedMs = ms;
  putElement(keyspace, stream, 0, idName, 0, ID_BYTES, fieldBytes, 0, size);
  stream.appendedMs = NaN;
  stream.lastMs = ms;
  stream.lastSeq = seq;
  // Many entries are added in one millisecond, whose thirteen digits are there then.
  if (ms !== idTextMs) {
    idTextMs = ms;
    idTextDash = writeInteger(idText, 0, ms);
    idText[idTextDash] = HYPHEN;
  }
  return writeInteger(idText, idTextDash + 1, seq);
}

function writeWords(value: number, at: number): void {
  const high = Math.floor(value / 0x100000000);
  idView.setUint32(at, high);
  idView.setUint32(at + 4, value - high * 0x100000000);
}

/** `encodeFields` for `addNow`: the length, or -1 when there is no room for it. */
export function holdFields(buffer: Buffer, starts: Int32Array, lengths: Int32Array, from: number, to: number): number {
  let at = 0;
  for (let index = from; index < to; index++) {
    const length = lengths[index];
    if (at + length + FIELD_OVERHEAD_BYTES > fieldBytes.length) return -1;
    at = writeInteger(fieldBytes, at, length);
    fieldBytes[at++] = COLON;
    copyBytes(buffer, starts[index], length, fieldBytes, at);
    at += length;
    fieldBytes[at++] = COMMA;
  }
  return at;
}

export function addEntry(keyspace: Keyspace, stream: Stream, id: StreamId, value: Buffer): void {
  put(keyspace, stream, idBytes(id), value);
}

/** Removes the first `count` entries, which there are. */
export function trimEntries(keyspace: Keyspace, stream: Stream, count: number): void {
  if (count === 0) return;
  const { lastId } = stream;
  const refs: number[] = [];
  stream.visit(0, count, false, (ref) => refs.push(ref));
  for (const ref of refs) removeElement(keyspace, stream, ref);
  const own = stream.ownMeta;
  writeMeta(keyspace, stream, { ...own, lastId, removed: own.removed + count });
}

/** Removes entries that there are. */
export function deleteEntries(keyspace: Keyspace, stream: Stream, ids: readonly StreamId[]): void {
  const { lastId } = stream;
  const own = stream.ownMeta;
  let { maxDeletedId } = own;
  for (const id of ids) {
    removeNamed(keyspace, stream, idBytes(id));
    maxDeletedId = greaterId(maxDeletedId, id);
  }
  writeMeta(keyspace, stream, { lastId, removed: own.removed + ids.length, maxDeletedId });
}

/** Says what this node knows of the stream; without entries and groups, that there is one. */
export function writeMeta(keyspace: Keyspace, stream: Stream, meta: StreamMeta): void {
  const removed = Math.min(Math.max(Number.MIN_SAFE_INTEGER, meta.removed), Number.MAX_SAFE_INTEGER);
  const value = `${formatId(meta.lastId)} ${removed} ${formatId(meta.maxDeletedId)}`;
  put(keyspace, stream, Buffer.from(`${META}:${stream.node}`, 'latin1'), Buffer.from(value, 'latin1'));
}

// ---- groups ----

function groupName(stream: Stream, group: string): Buffer {
  return Buffer.from(`${GROUP}:${stream.ownerOf(group)}:${group}`, 'latin1');
}

function consumerName(stream: Stream, group: string, consumer: string): Buffer {
  return Buffer.from(`${CONSUMER}:${stream.ownerOf(group)}:${group.length}:${group}${consumer}`, 'latin1');
}

function pendingName(stream: Stream, group: string, id: StreamId): Buffer {
  return Buffer.concat([
    Buffer.from(`${PENDING}:${stream.ownerOf(group)}:${group.length}:${group}`, 'latin1'),
    idBytes(id),
  ]);
}

export function putGroup(
  keyspace: Keyspace,
  stream: Stream,
  group: string,
  lastId: StreamId,
  entriesRead: number,
): void {
  put(
    keyspace,
    stream,
    groupName(stream, group),
    Buffer.from(`${formatId(lastId)} ${Math.min(entriesRead, Number.MAX_SAFE_INTEGER)}`, 'latin1'),
  );
}

/** Removes a group with its consumers and pending entries, and those of the same name that it hid. The stream stays, also without entries. */
export function removeGroup(keyspace: Keyspace, stream: Stream, group: StreamGroup): void {
  const pending: number[] = [];
  group.pending.visit(0, group.pending.count, (ref) => pending.push(ref));
  for (const ref of pending) removeElement(keyspace, stream, ref);
  for (const { name } of group.sortedConsumers) removeNamed(keyspace, stream, consumerName(stream, group.name, name));
  removeNamed(keyspace, stream, groupName(stream, group.name));
  const hidden = stream.group(group.name);
  if (hidden !== null) removeGroup(keyspace, stream, hidden);
  if (stream.length === 0) writeMeta(keyspace, stream, { ...stream.ownMeta, lastId: stream.lastId });
}

export function putConsumer(
  keyspace: Keyspace,
  stream: Stream,
  group: string,
  consumer: string,
  seenMs: number,
  activeMs: number,
): void {
  put(keyspace, stream, consumerName(stream, group, consumer), Buffer.from(`${seenMs} ${activeMs}`, 'latin1'));
}

/** Removes a consumer and what is pending for it. */
export function removeConsumer(keyspace: Keyspace, stream: Stream, group: StreamGroup, consumer: StreamConsumer): void {
  const pending: number[] = [];
  consumer.pending.visit(0, consumer.pending.count, (ref) => pending.push(ref));
  for (const ref of pending) removeElement(keyspace, stream, ref);
  removeNamed(keyspace, stream, consumerName(stream, group.name, consumer.name));
}

export function putPending(keyspace: Keyspace, stream: Stream, group: string, id: StreamId, delivery: Delivery): void {
  const count = Math.min(delivery.count, Number.MAX_SAFE_INTEGER);
  const deliveredMs = Math.min(Math.max(0, delivery.deliveredMs), Number.MAX_SAFE_INTEGER);
  const value = `${deliveredMs} ${count} ${delivery.consumer}`;
  put(keyspace, stream, pendingName(stream, group, id), Buffer.from(value, 'latin1'));
}

/** Takes an entry off the list of pending ones, where it is. */
export function removePending(keyspace: Keyspace, stream: Stream, group: string, id: StreamId): void {
  removeNamed(keyspace, stream, pendingName(stream, group, id));
}
