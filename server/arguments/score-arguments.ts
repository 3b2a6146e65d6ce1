/** Scores, and bounds of ranges of scores and of members, as Redis reads them. */
import { parseSafeInteger } from '../../protocol/integer.ts';
import type { SortedSet } from '../../storage/collections/sorted-set.ts';
import type { Call } from '../dispatch/call.ts';
import { CommandError, NOT_A_FLOAT } from '../definitions/command-error.ts';

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const HEXADECIMAL = /^([+-]?)0x([0-9a-f]+)(?:\.([0-9a-f]*))?(?:p([+-]?\d+))?$/i;
const INFINITE = /^([+-]?)inf(inity)?$/i;
const OPEN_PARENTHESIS = 40;
const OPEN_BRACKET = 91;
const PLUS = 43;
const MINUS = 45;

/** Reads what C's strtod takes as a whole; undefined for anything else, and for NaN. */
export function parseDouble(text: string): number | undefined {
  if (DECIMAL.test(text)) return Number(text);
  const infinite = INFINITE.exec(text);
  if (infinite !== null) return infinite[1] === '-' ? -Infinity : Infinity;
  const hexadecimal = HEXADECIMAL.exec(text);
  if (hexadecimal === null) return undefined;
  const [, sign, whole, fraction = '', exponent = '0'] = hexadecimal;
  const value = Number.parseInt(whole + fraction, 16) * 2 ** (Number(exponent) - 4 * fraction.length);
  return sign === '-' ? -value : value;
}

/** What an argument of up to 15 digits and nothing else stands for, zeros before it or not; -1 for any other. */
function digitsArgument({ buffer, starts, lengths }: Call, index: number): number {
  const length = lengths[index];
  if (length > 15 || length === 0) return -1;
  const start = starts[index];
  let value = 0;
  for (let at = start; at < start + length; at++) {
    const digit = buffer[at] - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/**
 * A double; past the range of doubles is an error, `inf` is not.
 * @throws CommandError
 */
export function scoreArgument(call: Call, index: number, message = NOT_A_FLOAT): number {
  const whole = digitsArgument(call, index);
  if (whole >= 0) return whole;
  const integer = parseSafeInteger(call.buffer, call.starts[index], call.lengths[index]);
  if (!Number.isNaN(integer)) return integer;
  const text = call.latin1(index);
  const value = parseDouble(text);
  if (value === undefined) throw new CommandError(message);
  const isOut = (Math.abs(value) === Infinity && !INFINITE.test(text)) || (value === 0 && /^[^e]*[1-9]/i.test(text));
  if (isOut && !HEXADECIMAL.test(text)) throw new CommandError(message);
  return value;
}

interface ScoreBound {
  score: number;
  exclusive: boolean;
}

function scoreBound(call: Call, index: number): ScoreBound {
  const start = call.starts[index];
  const skipped = call.buffer[start] === OPEN_PARENTHESIS ? 1 : 0;
  const integer = parseSafeInteger(call.buffer, start + skipped, call.lengths[index] - skipped);
  if (!Number.isNaN(integer)) return { score: integer, exclusive: skipped === 1 };
  const text = call.latin1(index);
  const exclusive = text.startsWith('(');
  // strtod passes over space before a number, and takes nothing for 0.
  const number = (exclusive ? text.slice(1) : text).replace(/^[ \t\n\v\f\r]+/, '');
  const score = number === '' && !/\s/.test(text) ? 0 : parseDouble(number);
  if (score === undefined) throw new CommandError('ERR min or max is not a float');
  return { score, exclusive };
}

interface NameBound {
  /** Null for - and +, which are before and after every member. */
  name: Buffer | null;
  isLast: boolean;
  exclusive: boolean;
}

function nameBound(call: Call, index: number): NameBound {
  const bytes = call.bytes(index);
  const first = bytes[0];
  if (first === OPEN_PARENTHESIS || first === OPEN_BRACKET) {
    return { name: bytes.subarray(1), isLast: false, exclusive: first === OPEN_PARENTHESIS };
  }
  if (bytes.length !== 1 || (first !== PLUS && first !== MINUS)) {
    throw new CommandError('ERR min or max not valid string range item');
  }
  return { name: null, isLast: first === PLUS, exclusive: false };
}

/** Elements from rank `from` up to, not with, `to`; none when they are equal. */
export interface RankRange {
  from: number;
  to: number;
}

/** A range whose bounds were read; which ranks it is depends on the set. */
export type RangeOf = (set: SortedSet) => RankRange;

const NOTHING: RankRange = { from: 0, to: 0 };

/** @throws CommandError */
export function scoreRange(call: Call, leastIndex: number, mostIndex: number): RangeOf {
  const least = scoreBound(call, leastIndex);
  const most = scoreBound(call, mostIndex);
  return ({ order }) => {
    const from = order.countBelow(least.score, least.exclusive);
    return { from, to: Math.max(from, order.countBelow(most.score, !most.exclusive)) };
  };
}

/** @throws CommandError */
export function nameRange(call: Call, leastIndex: number, mostIndex: number): RangeOf {
  const least = nameBound(call, leastIndex);
  const most = nameBound(call, mostIndex);
  const countBefore = (set: SortedSet, { name, isLast }: NameBound, inclusive: boolean): number => {
    if (name === null) return isLast ? set.count : 0;
    return set.order.countBelowName(name, inclusive);
  };
  return (set) => {
    const from = countBefore(set, least, least.exclusive);
    return { from, to: Math.max(from, countBefore(set, most, !most.exclusive)) };
  };
}

/** Ranks counted from the end when negative, `last` included. @throws CommandError */
export function indexRange(call: Call, firstIndex: number, lastIndex: number): RangeOf {
  const first = call.integer(firstIndex);
  const last = call.integer(lastIndex);
  return ({ count }) => {
    const from = Math.max(0, first < 0 ? first + count : first);
    const to = Math.min(count, (last < 0 ? last + count : last) + 1);
    return from < to ? { from, to } : NOTHING;
  };
}
