/** Results that become sorted sets: of ranges, of unions and intersections, of searches. */
import { TYPE_SORTED_SET } from '../../storage/arena/block.ts';
import { endChange, openCollection } from '../../storage/collections/local.ts';
import type { SortedSet } from '../../storage/collections/sorted-set.ts';
import { putScore } from '../../storage/types/sorted-set.ts';
import { deleteKey } from '../../storage/types/string.ts';
import type { Call } from '../dispatch/call.ts';

/** A member outside of any set. */
export interface Scored {
  member: Buffer;
  score: number;
}

/** Copies of the members of these ranks. */
export function collectRange(set: SortedSet, from: number, to: number): Scored[] {
  const found: Scored[] = [];
  set.order.visit(from, to - from, false, (ref, score) => found.push({ member: set.memberOf(ref), score }));
  return found;
}

/** Orders as a sorted set does. */
export function compareScored(a: Scored, b: Scored): number {
  if (a.score !== b.score) return a.score < b.score ? -1 : 1;
  return a.member.compare(b.member);
}

/** Makes the key at argument `index` a sorted set of these members, whatever it held; deletes it when there are none. */
export function storeScored(call: Call, index: number, members: readonly Scored[]): number {
  const { keyspace, database, buffer } = call;
  const start = call.starts[index];
  const length = call.lengths[index];
  deleteKey(keyspace, database, buffer, start, length);
  if (members.length === 0) return 0;
  const set = openCollection(keyspace, database, 0, TYPE_SORTED_SET, buffer, start, length) as SortedSet;
  for (const { member, score } of members) {
    putScore(keyspace, set, set.find(member, 0, member.length), member, 0, member.length, score);
  }
  endChange(keyspace, set, true);
  return members.length;
}
