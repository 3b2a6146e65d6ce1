/**
 * Streams as RDB payloads.
 *
 *   stream     | length nodes | node | … | length entries | id last | head | length groups | group | … |
 *   head       | id first | id greatest deleted | length entries added |                          not in type 15
 *   node       | string: 16 bytes of the first entry's id | string: listpack |
 *   listpack   | count | deleted | n | n fields | 0 | entry | … |
 *   entry      | flags | ms and seq, less the node's | n, fields and values; values alone with flag 2 | elements of the entry |
 *   group      | string name | id last | length entries read, not in type 15 |
 *              | length pending | 16 bytes of id, time, length deliveries | … | length consumers | consumer | … |
 *   consumer   | string name | time seen | time active, in type 21 only | length pending | 16 bytes of id | … |
 *   id         | length ms | length seq |
 */
import { ListpackWriter, readListpack } from '../../protocol/listpack.ts';
import { PayloadError, type PayloadReader, PayloadWriter } from '../../protocol/rdb-payload.ts';
import { TYPE_STREAM } from '../../storage/arena/block.ts';
import type { Stream } from '../../storage/collections/stream.ts';
import {
  type Delivery,
  readDelivery,
  type StreamConsumer,
  type StreamGroup,
  UNKNOWN_COUNT,
} from '../../storage/collections/stream-group.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import {
  addEntry,
  encodeFields,
  putConsumer,
  putGroup,
  putPending,
  visitFields,
  writeMeta,
} from '../../storage/types/stream.ts';
import {
  compareIds,
  ID_BYTES,
  idBytes,
  LEAST_ID,
  PART_MAX,
  readId,
  type StreamId,
} from '../../storage/types/stream-id.ts';
import type { ValueCodec } from './value-codec.ts';

const RDB_STREAM_LISTPACKS = 15;
const RDB_STREAM_LISTPACKS_2 = 19;
const RDB_STREAM_LISTPACKS_3 = 21;

const NODE_ENTRIES_MAX = 100;
const NODE_BYTES_MAX = 4096;
const FLAG_DELETED = 1;
const FLAG_SAME_FIELDS = 2;
/** Elements of an entry besides its fields and values: flags, two parts of the id. */
const ENTRY_ELEMENTS = 3;
/** -1 in 64 bits. */
const UNKNOWN_COUNT_WRITTEN = PART_MAX;

// ---- writing ----

function fieldsOf(keyspace: Keyspace, ref: number): Buffer[] {
  const { elements } = keyspace;
  elements.readPayload(ref);
  const { valueBuffer, valueStart, valueLength } = elements;
  const parts: Buffer[] = [];
  visitFields(valueBuffer, valueStart, valueLength, (start, length) =>
    parts.push(valueBuffer.subarray(start, start + length)),
  );
  return parts;
}

function writeNode(keyspace: Keyspace, writer: PayloadWriter, stream: Stream, refs: readonly number[]): void {
  const master = stream.idOf(refs[0]);
  const pack = new ListpackWriter();
  const names = fieldsOf(keyspace, refs[0]).filter((_, index) => index % 2 === 0);
  for (const number of [refs.length, 0, names.length]) pack.appendText(String(number));
  for (const name of names) pack.append(name, 0, name.length);
  pack.appendText('0');
  for (const ref of refs) {
    const parts = fieldsOf(keyspace, ref);
    const isSame = parts.length === names.length * 2 && names.every((name, index) => name.equals(parts[index * 2]));
    const id = stream.idOf(ref);
    pack.appendText(isSame ? String(FLAG_SAME_FIELDS) : '0');
    pack.appendText(String(BigInt.asIntN(64, id.ms - master.ms)));
    pack.appendText(String(BigInt.asIntN(64, id.seq - master.seq)));
    if (!isSame) pack.appendText(String(parts.length / 2));
    const written = isSame ? parts.filter((_, index) => index % 2 === 1) : parts;
    for (const part of written) pack.append(part, 0, part.length);
    pack.appendText(String(written.length + ENTRY_ELEMENTS + (isSame ? 0 : 1)));
  }
  writer.string(idBytes(master), 0, ID_BYTES);
  const bytes = pack.finish();
  writer.string(bytes, 0, bytes.length);
}

function writeNodes(keyspace: Keyspace, writer: PayloadWriter, stream: Stream): void {
  const nodes: number[][] = [];
  let bytes = 0;
  stream.visit(0, stream.length, false, (ref) => {
    keyspace.elements.readPayload(ref);
    bytes += keyspace.elements.valueLength;
    const last = nodes.at(-1);
    if (last === undefined || last.length === NODE_ENTRIES_MAX || bytes > NODE_BYTES_MAX) {
      nodes.push([ref]);
      bytes = keyspace.elements.valueLength;
    } else {
      last.push(ref);
    }
  });
  writer.length(nodes.length);
  for (const refs of nodes) writeNode(keyspace, writer, stream, refs);
}

function writeId(writer: PayloadWriter, { ms, seq }: StreamId): void {
  writer.bigLength(ms);
  writer.bigLength(seq);
}

function writeName(writer: PayloadWriter, name: string): void {
  writer.string(Buffer.from(name, 'latin1'), 0, name.length);
}

function writeGroup(keyspace: Keyspace, writer: PayloadWriter, group: StreamGroup): void {
  writeName(writer, group.name);
  writeId(writer, group.lastId);
  writer.bigLength(group.entriesRead === UNKNOWN_COUNT ? UNKNOWN_COUNT_WRITTEN : BigInt(group.entriesRead));
  const { pending, sortedConsumers } = group;
  writer.length(pending.count);
  pending.visit(0, pending.count, (ref) => {
    const { deliveredMs, count } = readDelivery(keyspace.elements, ref);
    writer.raw(idBytes(pending.idOf(ref)));
    writer.time(deliveredMs);
    writer.length(count);
  });
  writer.length(sortedConsumers.length);
  for (const consumer of sortedConsumers) writeConsumer(writer, consumer);
}

function writeConsumer(writer: PayloadWriter, { name, seenMs, pending }: StreamConsumer): void {
  writeName(writer, name);
  writer.time(seenMs);
  writer.length(pending.count);
  pending.visit(0, pending.count, (ref) => writer.raw(idBytes(pending.idOf(ref))));
}

// ---- reading ----

interface ReadEntry {
  id: StreamId;
  value: Buffer;
}

interface ReadConsumer {
  name: string;
  seenMs: number;
  activeMs: number;
}

interface ReadGroup {
  name: string;
  lastId: StreamId;
  /** Null where the payload does not tell. */
  entriesRead: number | null;
  pending: { id: StreamId; delivery: Delivery }[];
  consumers: ReadConsumer[];
}

/** Takes the elements of a listpack one by one. */
class Elements {
  readonly #parts: readonly Buffer[];
  #at = 0;

  constructor(parts: readonly Buffer[]) {
    this.#parts = parts;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#parts.length;
  }

  bytes(): Buffer {
    const part = this.#parts[this.#at++];
    if (part === undefined) throw new PayloadError('a node of a stream ends early');
    return part;
  }

  integer(): bigint {
    const text = this.bytes().toString('latin1');
    if (!/^-?\d{1,20}$/.test(text)) throw new PayloadError('a node of a stream with text for a number');
    return BigInt(text);
  }

  /** A number of elements that follow. */
  count(): number {
    const count = this.integer();
    if (count < 0n || count > BigInt(this.#parts.length))
      throw new PayloadError('a node of a stream with a wrong count');
    return Number(count);
  }
}

function readNode(reader: PayloadReader, into: ReadEntry[]): void {
  const key = reader.string();
  if (key.length !== ID_BYTES) throw new PayloadError('a node of a stream whose key is no id');
  const master = readId(key, 0);
  const elements = new Elements(readListpack(reader.string()));
  const live = elements.count();
  elements.count();
  const names = Array.from({ length: elements.count() }, () => elements.bytes());
  elements.integer();
  let found = 0;
  while (!elements.isAtEnd) {
    const flags = Number(elements.integer());
    const ms = BigInt.asUintN(64, master.ms + elements.integer());
    const seq = BigInt.asUintN(64, master.seq + elements.integer());
    const parts: Buffer[] = [];
    const isSame = (flags & FLAG_SAME_FIELDS) !== 0;
    const fields = isSame ? names.length : elements.count();
    for (let field = 0; field < fields; field++) {
      parts.push(isSame ? names[field] : elements.bytes(), elements.bytes());
    }
    elements.integer();
    if ((flags & FLAG_DELETED) !== 0) continue;
    found++;
    into.push({ id: { ms, seq }, value: netstrings(parts) });
  }
  if (found !== live) throw new PayloadError('a node of a stream with another number of entries than it says');
}

function netstrings(parts: readonly Buffer[]): Buffer {
  const starts = new Int32Array(parts.length);
  const lengths = new Int32Array(parts.length);
  parts.forEach((part, index) => {
    lengths[index] = part.length;
    if (index > 0) starts[index] = starts[index - 1] + lengths[index - 1];
  });
  return encodeFields(Buffer.concat(parts), starts, lengths, 0, parts.length);
}

function readIdOf(reader: PayloadReader): StreamId {
  return { ms: reader.bigLength(), seq: reader.bigLength() };
}

function readGroup(reader: PayloadReader): ReadGroup {
  const name = reader.string().toString('latin1');
  const lastId = readIdOf(reader);
  let entriesRead: number | null = null;
  if (reader.type >= RDB_STREAM_LISTPACKS_2) {
    const read = reader.bigLength();
    entriesRead = read > BigInt(Number.MAX_SAFE_INTEGER) ? UNKNOWN_COUNT : Number(read);
  }
  const deliveries = new Map<string, Delivery>();
  for (let left = reader.length(); left > 0; left--) {
    const id = reader.raw(ID_BYTES).toString('latin1');
    if (deliveries.has(id)) throw new PayloadError('a group with an entry that is pending twice');
    deliveries.set(id, { deliveredMs: reader.time(), count: reader.length(), consumer: '' });
  }
  const pending: ReadGroup['pending'] = [];
  const consumers: ReadConsumer[] = [];
  for (let left = reader.length(); left > 0; left--) {
    const consumer = reader.string().toString('latin1');
    if (consumers.some((other) => other.name === consumer)) throw new PayloadError('a group with one consumer twice');
    const seenMs = reader.time();
    consumers.push({
      name: consumer,
      seenMs,
      activeMs: reader.type >= RDB_STREAM_LISTPACKS_3 ? reader.time() : seenMs,
    });
    for (let owned = reader.length(); owned > 0; owned--) {
      const id = reader.raw(ID_BYTES);
      const delivery = deliveries.get(id.toString('latin1'));
      if (delivery === undefined) throw new PayloadError('a consumer with an entry that is not pending');
      pending.push({ id: readId(id, 0), delivery: { ...delivery, consumer } });
    }
  }
  if (pending.length !== deliveries.size) throw new PayloadError('a pending entry without a consumer, or with two');
  return { name, lastId, entriesRead, pending, consumers };
}

/** How many entries a group of a stream had read that never lost any but its oldest ones. */
function guessRead({ id, entries, lastId }: { id: StreamId; entries: readonly ReadEntry[]; lastId: StreamId }): number {
  if (compareIds(id, lastId) >= 0) return compareIds(id, lastId) === 0 ? entries.length : UNKNOWN_COUNT;
  if (entries.length === 0) return 0;
  const order = compareIds(id, entries[0].id);
  if (order > 0) return UNKNOWN_COUNT;
  return order < 0 ? 0 : 1;
}

export const streamCodec: ValueCodec = {
  type: TYPE_STREAM,
  rdbTypes: [RDB_STREAM_LISTPACKS, RDB_STREAM_LISTPACKS_2, RDB_STREAM_LISTPACKS_3],

  dump(keyspace, collection) {
    const stream = collection as Stream;
    const writer = new PayloadWriter(RDB_STREAM_LISTPACKS_2);
    writeNodes(keyspace, writer, stream);
    writer.length(stream.length);
    for (const id of [stream.lastId, stream.firstId, stream.maxDeletedId]) writeId(writer, id);
    writer.length(Math.max(stream.length, stream.entriesAdded));
    const groups = stream.sortedGroups;
    writer.length(groups.length);
    for (const group of groups) writeGroup(keyspace, writer, group);
    return writer.finish();
  },

  parse(reader) {
    const entries: ReadEntry[] = [];
    for (let left = reader.length(); left > 0; left--) readNode(reader, entries);
    if (reader.length() !== entries.length)
      throw new PayloadError('a stream with another number of entries than it says');
    const lastId = readIdOf(reader);
    let entriesAdded = entries.length;
    let maxDeletedId = LEAST_ID;
    if (reader.type >= RDB_STREAM_LISTPACKS_2) {
      readIdOf(reader);
      maxDeletedId = readIdOf(reader);
      entriesAdded = reader.length();
    }
    if (!Number.isSafeInteger(entriesAdded)) throw new PayloadError('a stream that counts past 2^53');
    const groups: ReadGroup[] = [];
    for (let left = reader.length(); left > 0; left--) groups.push(readGroup(reader));
    return (keyspace, collection) => {
      const stream = collection as Stream;
      for (const { id, value } of entries) addEntry(keyspace, stream, id, value);
      writeMeta(keyspace, stream, { lastId, removed: entriesAdded - entries.length, maxDeletedId });
      for (const { name, lastId: id, entriesRead, consumers, pending } of groups) {
        putGroup(keyspace, stream, name, id, entriesRead ?? guessRead({ id, entries, lastId }));
        for (const { name: by, seenMs, activeMs } of consumers)
          putConsumer(keyspace, stream, name, by, seenMs, activeMs);
        for (const { id: entry, delivery } of pending) putPending(keyspace, stream, name, entry, delivery);
      }
    };
  },
};
