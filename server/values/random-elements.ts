/** Choosing elements of a collection at random: HRANDFIELD, SRANDMEMBER, SPOP, ZRANDMEMBER. */
import type { MemberCollection } from '../../storage/collections/member-collection.ts';
import { INTEGER_MAX, INTEGER_MIN } from '../../storage/types/decimal.ts';
import type { Call } from '../dispatch/call.ts';
import { CommandError } from '../definitions/command-error.ts';

/** Up to a third of a collection is drawn one by one; more is chosen out of all. */
const DRAWN_SHARE = 3;

/** A reply of elements that may repeat is no longer than this; Redis would go on until memory ends. */
const REPEATED_MAX = 2 ** 24;

/** The count argument of HRANDFIELD, SRANDMEMBER and ZRANDMEMBER; negative for elements that may repeat. @throws CommandError */
export function randomCount(call: Call, index: number, withValues: boolean): number {
  const count = BigInt(call.integer64(index));
  if (count === INTEGER_MIN) {
    throw new CommandError(`ERR value is out of range, value must between -${INTEGER_MAX} and ${INTEGER_MAX}`);
  }
  const isBeyond = withValues && (count < -INTEGER_MAX / 2n || count > INTEGER_MAX / 2n);
  if (isBeyond || count < -REPEATED_MAX) throw new CommandError('ERR value is out of range');
  return Number(count);
}

/** So many different visible elements, all choices as likely; all of them when there are not more. */
export function differentElements(collection: MemberCollection, count: number, random: () => number): number[] {
  if (count >= collection.count || count * DRAWN_SHARE > collection.count) {
    const all: number[] = [];
    collection.forEach((element) => all.push(element));
    return count >= all.length ? all : shuffled(all, count, random);
  }
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(collection.sample(random));
  return [...chosen];
}

/** The first `count` of a random order of all (Fisher and Yates). */
function shuffled(all: number[], count: number, random: () => number): number[] {
  for (let at = 0; at < count; at++) {
    const other = at + Math.floor(random() * (all.length - at));
    const element = all[other];
    all[other] = all[at];
    all[at] = element;
  }
  all.length = count;
  return all;
}
