/** Keys that must hold a sorted set, and its members in replies. */
import { TYPE_SORTED_SET } from '../../storage/arena/block.ts';
import type { SortedSet } from '../../storage/collections/sorted-set.ts';
import type { Call } from '../dispatch/call.ts';
import { collectionToWrite, openAt, replyName, useCollection } from './collection-use.ts';

/**
 * The sorted set at argument `index`, or null when there is none; counts the hit or miss, and the use.
 * @throws CommandError WRONGTYPE when the key holds another type
 */
export function useSortedSet(call: Call, index: number): SortedSet | null {
  return useCollection(call, index, TYPE_SORTED_SET) as SortedSet | null;
}

/**
 * The same for a command that changes the set: as in Redis its lookup is neither a hit nor a miss.
 * @throws CommandError WRONGTYPE when the key holds another type
 */
export function useSortedSetToWrite(call: Call, index: number): SortedSet | null {
  const ref = collectionToWrite(call, index, TYPE_SORTED_SET);
  return ref === 0 ? null : (call.keyspace.collectionAt(ref) as SortedSet);
}

/** Opens the sorted set at argument `index` for changes: the one that was found, or (null) a new one. `endChange` must follow. */
export function openSortedSet(call: Call, index: number, found: SortedSet | null): SortedSet {
  return openAt(call, index, found === null ? 0 : found.ref, TYPE_SORTED_SET) as SortedSet;
}

/** A score as RESP2 and RESP3 have doubles. */
export function replyScore({ reply }: Pick<Call, 'reply'>, score: number): void {
  if (reply.protocol === 2 && Number.isSafeInteger(score) && !Object.is(score, -0)) reply.bulkInteger(score);
  else reply.double(score);
}

/** The header of so many members, or of so many pairs of member and score: in RESP3 each an array, in RESP2 flat. */
export function replyMembersHeader({ reply }: Call, count: number, withScores: boolean): void {
  reply.array(withScores && reply.protocol === 2 ? count * 2 : count);
}

/** One member below such a header. */
export function replyEntry(call: Call, ref: number, score: number, withScores: boolean): void {
  if (withScores && call.reply.protocol === 3) call.reply.array(2);
  replyName(call, ref);
  if (withScores) replyScore(call, score);
}
