/** Choosing elements of a collection at random: HRANDFIELD, SRANDMEMBER, SPOP, ZRANDMEMBER. */
import type { MemberCollection } from '../../storage/collections/member-collection.ts';
import { INTEGER_MAX, INTEGER_MIN } from '../../storage/types/decimal.ts';
import type { Call } from '../dispatch/call.ts';
import { CommandError } from '../definitions/command-error.ts';

/** Up to a third of a collection is drawn one by one; more is chosen out of all. */
const DRAWN_SHARE = 3;

/** A reply of elements that may repeat is no longer than this; Redis would go on until memory ends. */
const REPEATED_MAX = 2 ** 24;

function countWithin(count: bigint, limit: bigint): number {
  if (count < -limit || count > limit || count < -REPEATED_MAX) throw new CommandError('ERR value is out of range');
  return Number(count);
}

function countArgument(call: Call): bigint {
  const count = BigInt(call.integer64(2));
  if (count === INTEGER_MIN) {
    throw new CommandError(`ERR value is out of range, value must between -${INTEGER_MAX} and ${INTEGER_MAX}`);
  }
  return count;
}

/** The count argument of SRANDMEMBER; negative for elements that may repeat. @throws CommandError */
export function randomCount(call: Call): number {
  return countWithin(countArgument(call), INTEGER_MAX);
}

/** The count of HRANDFIELD and ZRANDMEMBER, and whether `option` behind it asks for values. @throws CommandError */
export function randomArguments(call: Call, option: string): { count: number; withValues: boolean } {
  const count = countArgument(call);
  const withValues = call.argc > 3;
  if (withValues && (call.argc > 4 || !call.is(3, option))) call.syntaxError();
  return { count: countWithin(count, withValues ? INTEGER_MAX / 2n : INTEGER_MAX), withValues };
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
