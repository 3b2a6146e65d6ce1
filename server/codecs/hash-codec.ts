/**
 * Hashes as RDB payloads: pairs of field and value.
 *
 *   type 4    | length fields | string, string | … |
 *   type 16   | string: a listpack of field, value, field, … |
 *   type 13   | string: a ziplist of the same |
 *   type 24   | time: the soonest deadline | length fields | length deadline, string, string | … |
 *             a deadline is 0 for none, or its distance behind the soonest one, plus 1
 *   type 25   | time: the soonest deadline | string: a listpack of field, value, deadline, … |   0 for no deadline
 *
 * Types 24 and 25 are Redis 7.4's, for hashes of which a field has a deadline; 24 is written, both are read.
 */
import { ListpackWriter, readListpack, readZiplist } from '../../protocol/listpack.ts';
import { parseSafeInteger } from '../../protocol/integer.ts';
import {
  PayloadError,
  type PayloadReader,
  PayloadWriter,
  VERSION_OF_FIELD_DEADLINES,
} from '../../protocol/rdb-payload.ts';
import { TYPE_HASH } from '../../storage/arena/block.ts';
import { pendingElementDeadline } from '../../storage/collections/element-expiry.ts';
import { putElement } from '../../storage/collections/local.ts';
import type { MemberCollection } from '../../storage/collections/member-collection.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { fitsListpack, type ValueCodec } from './value-codec.ts';

const RDB_HASH = 4;
const RDB_HASH_ZIPLIST = 13;
const RDB_HASH_LISTPACK = 16;
const RDB_HASH_DEADLINES = 24;
const RDB_HASH_LISTPACK_DEADLINES = 25;

/** Where DUMP puts a field or a value: a listpack or the payload. */
type Put = (buffer: Buffer, start: number, length: number) => void;

function putAll({ elements }: Keyspace, hash: MemberCollection, put: Put): void {
  hash.forEach((ref) => {
    elements.readName(ref);
    put(elements.nameBuffer, elements.nameStart, elements.nameLength);
    elements.readValue(ref);
    put(elements.valueBuffer, elements.valueStart, elements.valueLength);
  });
}

/** The soonest deadline of a field, or Infinity. */
function soonestDeadline({ elements }: Keyspace, hash: MemberCollection): number {
  let soonestMs = Infinity;
  hash.forEach((ref) => {
    const deadlineMs = elements.deadlineOf(ref);
    if (deadlineMs > 0 && deadlineMs < soonestMs) soonestMs = deadlineMs;
  });
  return soonestMs;
}

function dumpWithDeadlines(keyspace: Keyspace, hash: MemberCollection, soonestMs: number): Buffer {
  const { elements } = keyspace;
  const writer = new PayloadWriter(RDB_HASH_DEADLINES);
  writer.time(soonestMs);
  writer.length(hash.count);
  hash.forEach((ref) => {
    const deadlineMs = elements.deadlineOf(ref);
    writer.length(deadlineMs > 0 ? deadlineMs - soonestMs + 1 : 0);
    elements.readName(ref);
    writer.string(elements.nameBuffer, elements.nameStart, elements.nameLength);
    elements.readValue(ref);
    writer.string(elements.valueBuffer, elements.valueStart, elements.valueLength);
  });
  return writer.finish(VERSION_OF_FIELD_DEADLINES);
}

interface Field {
  name: Buffer;
  value: Buffer;
  /** Milliseconds since 1970; 0 for none. */
  deadlineMs: number;
}

function fieldsOf(reader: PayloadReader): Field[] {
  switch (reader.type) {
    case RDB_HASH_LISTPACK:
      return fieldsFrom(readListpack(reader.string()), 2);
    case RDB_HASH_ZIPLIST:
      return fieldsFrom(readZiplist(reader.string()), 2);
    case RDB_HASH_LISTPACK_DEADLINES:
      reader.time();
      return fieldsFrom(readListpack(reader.string()), 3);
  }
  const soonestMs = reader.type === RDB_HASH_DEADLINES ? reader.time() : 0;
  const fields: Field[] = [];
  for (let left = reader.length(); left > 0; left--) {
    const distance = reader.type === RDB_HASH_DEADLINES ? reader.length() : 0;
    const deadlineMs = distance === 0 ? 0 : soonestMs + distance - 1;
    fields.push({ name: reader.string(), value: reader.string(), deadlineMs });
  }
  return fields;
}

function fieldsFrom(parts: Buffer[], partsEach: 2 | 3): Field[] {
  if (parts.length % partsEach !== 0) throw new PayloadError('a hash with a field without a value');
  const fields: Field[] = [];
  for (let at = 0; at < parts.length; at += partsEach) {
    const text = parts[at + 2];
    const deadlineMs = partsEach === 3 ? parseSafeInteger(text, 0, text.length) : 0;
    fields.push({ name: parts[at], value: parts[at + 1], deadlineMs });
  }
  return fields;
}

function isDeadline(ms: number): boolean {
  return Number.isSafeInteger(ms) && ms >= 0;
}

export const hashCodec: ValueCodec = {
  type: TYPE_HASH,
  rdbTypes: [RDB_HASH, RDB_HASH_ZIPLIST, RDB_HASH_LISTPACK, RDB_HASH_DEADLINES, RDB_HASH_LISTPACK_DEADLINES],

  dump(keyspace, collection) {
    const hash = collection as MemberCollection;
    const soonestMs = soonestDeadline(keyspace, hash);
    if (soonestMs !== Infinity) return dumpWithDeadlines(keyspace, hash, soonestMs);
    if (!fitsListpack(hash)) {
      const writer = new PayloadWriter(RDB_HASH);
      writer.length(hash.count);
      putAll(keyspace, hash, (buffer, start, length) => writer.string(buffer, start, length));
      return writer.finish();
    }
    const pack = new ListpackWriter();
    putAll(keyspace, hash, (buffer, start, length) => pack.append(buffer, start, length));
    const bytes = pack.finish();
    const writer = new PayloadWriter(RDB_HASH_LISTPACK);
    writer.string(bytes, 0, bytes.length);
    return writer.finish();
  },

  parse(reader) {
    const fields = fieldsOf(reader);
    const names = new Set(fields.map(({ name }) => name.toString('latin1')));
    if (fields.length === 0 || names.size !== fields.length) {
      throw new PayloadError('a hash that is empty, or repeats a field');
    }
    if (!fields.every(({ deadlineMs }) => isDeadline(deadlineMs))) throw new PayloadError('a deadline that is none');
    return (keyspace, collection) => {
      for (const { name, value, deadlineMs } of fields) {
        // A field whose deadline has passed is not restored.
        if (deadlineMs > 0 && deadlineMs <= keyspace.clock.nowMs) continue;
        const found = collection.find(name, 0, name.length);
        if (deadlineMs > 0) pendingElementDeadline(keyspace, deadlineMs);
        putElement(keyspace, collection, found, name, 0, name.length, value, 0, value.length);
      }
    };
  },
};
