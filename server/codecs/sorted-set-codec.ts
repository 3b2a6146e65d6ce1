/**
 * Sorted sets as RDB payloads: pairs of member and score.
 *
 *   type 5    | length members | string, f64le | … |        from the highest score on
 *   type 17   | string: a listpack of member, score, member, … |   from the lowest on
 *   type 12   | string: a ziplist of the same |
 */
import { ListpackWriter, readListpack, readZiplist } from '../../protocol/listpack.ts';
import { PayloadError, type PayloadReader, PayloadWriter } from '../../protocol/rdb-payload.ts';
import { TYPE_SORTED_SET } from '../../storage/arena/block.ts';
import type { SortedSet } from '../../storage/collections/sorted-set.ts';
import { putScore } from '../../storage/types/sorted-set.ts';
import { parseDouble } from '../arguments/score-arguments.ts';
import type { Scored } from '../values/sorted-set-store.ts';
import { fitsListpack, type ValueCodec } from './value-codec.ts';

const RDB_ZSET_2 = 5;
const RDB_ZSET_ZIPLIST = 12;
const RDB_ZSET_LISTPACK = 17;

function packed({ elements }: Parameters<ValueCodec['dump']>[0], set: SortedSet): Buffer {
  const pack = new ListpackWriter();
  set.forEach((ref) => {
    elements.readName(ref);
    pack.append(elements.nameBuffer, elements.nameStart, elements.nameLength);
    elements.readValue(ref);
    pack.append(elements.valueBuffer, elements.valueStart, elements.valueLength);
  });
  const bytes = pack.finish();
  const writer = new PayloadWriter(RDB_ZSET_LISTPACK);
  writer.string(bytes, 0, bytes.length);
  return writer.finish();
}

function inFull({ elements }: Parameters<ValueCodec['dump']>[0], set: SortedSet): Buffer {
  const writer = new PayloadWriter(RDB_ZSET_2);
  writer.length(set.count);
  set.order.visit(set.count - 1, set.count, true, (ref, score) => {
    elements.readName(ref);
    writer.string(elements.nameBuffer, elements.nameStart, elements.nameLength);
    writer.double(score);
  });
  return writer.finish();
}

function membersOf(reader: PayloadReader): Scored[] {
  const members: Scored[] = [];
  if (reader.type === RDB_ZSET_2) {
    for (let left = reader.length(); left > 0; left--)
      members.push({ member: reader.string(), score: reader.double() });
    return members;
  }
  const bytes = reader.string();
  const parts = reader.type === RDB_ZSET_LISTPACK ? readListpack(bytes) : readZiplist(bytes);
  if (parts.length % 2 !== 0) throw new PayloadError('a sorted set with a member without a score');
  for (let at = 0; at < parts.length; at += 2) {
    members.push({ member: parts[at], score: parseDouble(parts[at + 1].toString('latin1')) ?? NaN });
  }
  return members;
}

export const sortedSetCodec: ValueCodec = {
  type: TYPE_SORTED_SET,
  rdbTypes: [RDB_ZSET_2, RDB_ZSET_ZIPLIST, RDB_ZSET_LISTPACK],

  dump(keyspace, collection) {
    const set = collection as SortedSet;
    return fitsListpack(set) ? packed(keyspace, set) : inFull(keyspace, set);
  },

  parse(reader) {
    const members = membersOf(reader);
    const different = new Set(members.map(({ member }) => member.toString('latin1')));
    if (members.length === 0 || different.size !== members.length)
      throw new PayloadError('a sorted set that is empty or repeats a member');
    if (members.some(({ score }) => Number.isNaN(score)))
      throw new PayloadError('a sorted set with a score that is no number');
    return (keyspace, collection) => {
      const set = collection as SortedSet;
      for (const { member, score } of members) {
        putScore(keyspace, set, set.find(member, 0, member.length), member, 0, member.length, score);
      }
    };
  },
};
