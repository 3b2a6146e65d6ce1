/** Streams of a replica, written as commands write them, and read as commands see them. */
import { TYPE_STREAM } from '../../../storage/arena/block.ts';
import { endChange, openCollection } from '../../../storage/collections/local.ts';
import type { Stream } from '../../../storage/collections/stream.ts';
import { readDelivery } from '../../../storage/collections/stream-group.ts';
import {
  addEntry,
  deleteEntries,
  putConsumer,
  putGroup,
  putPending,
  removeConsumer,
  removeGroup,
  removePending,
  trimEntries,
  writeMeta,
} from '../../../storage/types/stream.ts';
import { compareIds, formatId, type StreamId } from '../../../storage/types/stream-id.ts';
import type { Replica } from './replicas.ts';

export interface StreamEdit {
  do:
    | 'add'
    | 'remove'
    | 'trim'
    | 'setLast'
    | 'group'
    | 'dropGroup'
    | 'consumer'
    | 'dropConsumer'
    | 'deliver'
    | 'acknowledge';
  key: string;
  /** A place among the entries, or the pending ones, taken within their number. */
  at: number;
  group: string;
  consumer: string;
  value: string;
}

export interface StreamView {
  entries: string[];
  lastId: string;
  removed: number;
  maxDeletedId: string;
  groups: Record<string, { lastId: string; entriesRead: number; consumers: string[]; pending: string[] }>;
}

function streamAt({ keyspace, database }: Replica, key: string): Stream | null {
  const name = Buffer.from(key);
  const ref = keyspace.lookup(database, name, 0, name.length);
  return ref === 0 || keyspace.typeOf(ref) !== TYPE_STREAM ? null : (keyspace.collectionAt(ref) as Stream);
}

/** An id above all others that no other node makes. */
function nextId(stream: Stream, node: number, nowMs: number): StreamId {
  const { ms, seq } = stream.lastId;
  const mark = BigInt(node);
  if (BigInt(nowMs) > ms) return { ms: BigInt(nowMs), seq: mark };
  return { ms, seq: (seq / 8n + 1n) * 8n + mark };
}

/** Nothing when the key is of another type, or has nothing to edit. */
export function editStream(replica: Replica, edit: StreamEdit): void {
  const { keyspace, database } = replica;
  const name = Buffer.from(edit.key);
  const ref = keyspace.lookup(database, name, 0, name.length);
  if (ref !== 0 && keyspace.typeOf(ref) !== TYPE_STREAM) return;
  const before = streamAt(replica, edit.key);
  const makesKey = edit.do === 'add' || edit.do === 'group';
  if (before === null && !makesKey) return;
  const needsGroup = ['dropGroup', 'consumer', 'dropConsumer', 'acknowledge'].includes(edit.do);
  if (needsGroup && before!.group(edit.group) === null) return;
  if (['remove', 'trim', 'deliver'].includes(edit.do) && before!.length === 0) return;
  const stream = openCollection(keyspace, database, ref, TYPE_STREAM, name, 0, name.length) as Stream;
  write(replica, stream, edit);
  endChange(keyspace, stream, true);
}

function write({ keyspace }: Replica, stream: Stream, edit: StreamEdit): void {
  const { nowMs } = keyspace.clock;
  const group = stream.group(edit.group);
  const entry = (): StreamId => stream.idOf(stream.at(edit.at % stream.length));
  switch (edit.do) {
    case 'add':
      return addEntry(keyspace, stream, nextId(stream, keyspace.nodes.lo[0], nowMs), Buffer.from(edit.value));
    case 'remove':
      return deleteEntries(keyspace, stream, [entry()]);
    case 'trim':
      return trimEntries(keyspace, stream, (edit.at % stream.length) + 1);
    case 'setLast': {
      const { ms, seq } = stream.lastId;
      return writeMeta(keyspace, stream, { ...stream.ownMeta, lastId: { ms, seq: seq + 8n * BigInt(edit.at) } });
    }
    case 'group':
      if (stream.length === 0) writeMeta(keyspace, stream, stream.ownMeta);
      return putGroup(keyspace, stream, edit.group, stream.firstId, edit.at);
    case 'dropGroup':
      return removeGroup(keyspace, stream, group!);
    case 'consumer':
      return putConsumer(keyspace, stream, edit.group, edit.consumer, nowMs, edit.at);
    case 'dropConsumer': {
      const consumer = group!.consumers.get(edit.consumer);
      if (consumer !== undefined) removeConsumer(keyspace, stream, group!, consumer);
      return;
    }
    case 'deliver': {
      if (group === null) putGroup(keyspace, stream, edit.group, stream.firstId, edit.at);
      const delivery = { deliveredMs: nowMs, count: edit.at + 1, consumer: edit.consumer };
      putPending(keyspace, stream, edit.group, entry(), delivery);
      return putGroup(keyspace, stream, edit.group, entry(), edit.at);
    }
    case 'acknowledge': {
      const { pending } = group!;
      if (pending.count === 0) return;
      return removePending(keyspace, stream, edit.group, pending.idOf(pending.at(edit.at % pending.count)));
    }
  }
}

/** What commands see of a stream, each entry where its rank says; null when there is none. */
export function viewStream(replica: Replica, key: string): StreamView | null {
  const stream = streamAt(replica, key);
  if (stream === null) return null;
  const { elements } = replica.keyspace;
  const entries: string[] = [];
  stream.visit(0, stream.length, false, (ref) => {
    const id = stream.idOf(ref);
    if (stream.rank(id) !== entries.length || stream.entry(id) !== ref) throw new Error('an entry has another rank');
    elements.readPayload(ref);
    const { valueBuffer, valueStart, valueLength } = elements;
    entries.push(`${formatId(id)} ${valueBuffer.toString('latin1', valueStart, valueStart + valueLength)}`);
  });
  const view: StreamView = {
    entries,
    lastId: formatId(stream.lastId),
    removed: stream.removed,
    maxDeletedId: formatId(stream.maxDeletedId),
    groups: {},
  };
  for (const group of stream.sortedGroups) {
    const pending: string[] = [];
    let previous: StreamId | null = null;
    group.pending.visit(0, group.pending.count, (ref) => {
      const id = group.pending.idOf(ref);
      if (previous !== null && compareIds(previous, id) >= 0) throw new Error('pending entries out of order');
      previous = id;
      const { deliveredMs, count, consumer } = readDelivery(elements, ref);
      if (group.need(consumer).pending.find(id) !== ref) throw new Error('not pending for its consumer');
      pending.push(`${formatId(id)} ${deliveredMs} ${count} ${consumer}`);
    });
    const consumers = group.sortedConsumers.map((each) => `${each.name} ${each.seenMs} ${each.activeMs}`);
    const { lastId, entriesRead } = group;
    view.groups[group.name] = { lastId: formatId(lastId), entriesRead, consumers, pending };
  }
  return view;
}
