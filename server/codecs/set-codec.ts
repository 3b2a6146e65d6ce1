/**
 * Sets as RDB payloads.
 *
 *   type 2    | length members | string | … |
 *   type 11   | string: an intset |
 *   type 20   | string: a listpack |     not written: Redis before 7.2 does not read it
 */
import { readIntset, readListpack } from '../../protocol/listpack.ts';
import { PayloadError, type PayloadReader, PayloadWriter } from '../../protocol/rdb-payload.ts';
import { TYPE_SET } from '../../storage/arena/block.ts';
import { putElement } from '../../storage/collections/local.ts';
import type { MemberCollection } from '../../storage/collections/member-collection.ts';
import type { ValueCodec } from './value-codec.ts';

const RDB_SET = 2;
const RDB_SET_INTSET = 11;
const RDB_SET_LISTPACK = 20;
const NO_VALUE = Buffer.alloc(0);

function membersOf(reader: PayloadReader): Buffer[] {
  if (reader.type === RDB_SET_INTSET) return readIntset(reader.string());
  if (reader.type === RDB_SET_LISTPACK) return readListpack(reader.string());
  const members: Buffer[] = [];
  for (let left = reader.length(); left > 0; left--) members.push(reader.string());
  return members;
}

export const setCodec: ValueCodec = {
  type: TYPE_SET,
  rdbTypes: [RDB_SET, RDB_SET_INTSET, RDB_SET_LISTPACK],

  dump({ elements }, collection) {
    const set = collection as MemberCollection;
    const writer = new PayloadWriter(RDB_SET);
    writer.length(set.count);
    set.forEach((ref) => {
      elements.readName(ref);
      writer.string(elements.nameBuffer, elements.nameStart, elements.nameLength);
    });
    return writer.finish();
  },

  parse(reader) {
    const members = membersOf(reader);
    const different = new Set(members.map((member) => member.toString('latin1')));
    if (members.length === 0 || different.size !== members.length)
      throw new PayloadError('a set that is empty or repeats a member');
    return (keyspace, collection) => {
      for (const member of members) {
        putElement(
          keyspace,
          collection,
          collection.find(member, 0, member.length),
          member,
          0,
          member.length,
          NO_VALUE,
          0,
          0,
        );
      }
    };
  },
};
