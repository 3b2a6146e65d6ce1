/**
 * Hashes as RDB payloads: pairs of field and value.
 *
 *   type 4    | length fields | string, string | … |
 *   type 16   | string: a listpack of field, value, field, … |
 *   type 13   | string: a ziplist of the same |
 */
import { ListpackWriter, readListpack, readZiplist } from '../protocol/listpack.ts';
import { PayloadError, type PayloadReader, PayloadWriter } from '../protocol/rdb-payload.ts';
import { TYPE_HASH } from '../storage/block.ts';
import { putElement } from '../storage/collections/local.ts';
import type { MemberCollection } from '../storage/collections/member-collection.ts';
import { fitsListpack, type ValueCodec } from './value-codec.ts';

const RDB_HASH = 4;
const RDB_HASH_ZIPLIST = 13;
const RDB_HASH_LISTPACK = 16;

/** Where DUMP puts a field or a value: a listpack or the payload. */
type Put = (buffer: Buffer, start: number, length: number) => void;

function putAll({ elements }: Parameters<ValueCodec['dump']>[0], hash: MemberCollection, put: Put): void {
  hash.forEach((ref) => {
    elements.readName(ref);
    put(elements.nameBuffer, elements.nameStart, elements.nameLength);
    elements.readValue(ref);
    put(elements.valueBuffer, elements.valueStart, elements.valueLength);
  });
}

function partsOf(reader: PayloadReader): Buffer[] {
  if (reader.type === RDB_HASH_LISTPACK) return readListpack(reader.string());
  if (reader.type === RDB_HASH_ZIPLIST) return readZiplist(reader.string());
  const parts: Buffer[] = [];
  for (let left = reader.length(); left > 0; left--) parts.push(reader.string(), reader.string());
  return parts;
}

export const hashCodec: ValueCodec = {
  type: TYPE_HASH,
  rdbTypes: [RDB_HASH, RDB_HASH_ZIPLIST, RDB_HASH_LISTPACK],

  dump(keyspace, collection) {
    const hash = collection as MemberCollection;
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
    const parts = partsOf(reader);
    const fields = new Set(parts.filter((_part, at) => at % 2 === 0).map((field) => field.toString('latin1')));
    if (parts.length === 0 || fields.size * 2 !== parts.length) {
      throw new PayloadError('a hash that is empty, or repeats a field, or has one without a value');
    }
    return (keyspace, collection) => {
      for (let at = 0; at < parts.length; at += 2) {
        const field = parts[at];
        const value = parts[at + 1];
        putElement(
          keyspace,
          collection,
          collection.find(field, 0, field.length),
          field,
          0,
          field.length,
          value,
          0,
          value.length,
        );
      }
    };
  },
};
