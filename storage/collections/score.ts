/**
 * Scores of sorted sets. An element's value is its score as the shortest text that reads back as the same double. What
 * ZINCRBY adds is kept beside it, one sum for each node: as text of one or two doubles (`0.5`, `1.3 -4.4e-17`) whose exact
 * sum it is, so that a node that counts alone shows what repeated addition of doubles gives, as in Redis. What is shown is
 * the exact sum of all parts, rounded once: the same on every node, in whatever order the sums came.
 */
import { parseSafeInteger } from '../../protocol/integer.ts';
import { formatDouble } from '../../protocol/format-double.ts';

/** Up to so many digits, and a power of ten up to 10^15, are whole numbers that a double holds: their quotient is rounded once. */
const PLAIN_DIGITS_MAX = 15;
const MINUS = 45;
const POINT = 46;
const POWERS_OF_TEN = Array.from({ length: PLAIN_DIGITS_MAX + 1 }, (_, exponent) => 10 ** exponent);

/** The number that digits stand for, with a sign and a point or without; NaN for more of them, and for anything else. */
export function readPlainScore(bytes: Uint8Array, start: number, length: number): number {
  const end = start + length;
  let at = start;
  if (length > 0 && bytes[at] === MINUS) at++;
  let digits = 0;
  let decimals = -1;
  let value = 0;
  for (; at < end; at++) {
    const digit = bytes[at] - 48;
    if (digit >= 0 && digit <= 9) {
      value = value * 10 + digit;
      digits++;
      if (decimals >= 0) decimals++;
    } else if (bytes[at] === POINT && decimals < 0) {
      decimals = 0;
    } else {
      return NaN;
    }
  }
  if (digits === 0 || digits > PLAIN_DIGITS_MAX) return NaN;
  if (decimals > 0) value /= POWERS_OF_TEN[decimals];
  return bytes[start] === MINUS ? 0 - value : value;
}

/** Reads `buffer[start, start + length)`; 0 for what no node of ours writes. */
export function readScore(buffer: Buffer, start: number, length: number): number {
  const plain = readPlainScore(buffer, start, length);
  if (!Number.isNaN(plain)) return plain;
  const integer = parseSafeInteger(buffer, start, length);
  return Number.isNaN(integer) ? parseScore(buffer.toString('latin1', start, start + length)) : integer;
}

function parseScore(text: string): number {
  if (text === 'inf') return Infinity;
  if (text === '-inf') return -Infinity;
  const value = Number(text);
  return Number.isFinite(value) ? value : 0;
}

/** The exact difference of a rounded sum of two doubles to their real sum. */
function sumError(a: number, b: number, sum: number): number {
  const part = sum - a;
  return a - (sum - part) + (b - part);
}

/** The sum of doubles, rounded once at the end; inf and -inf together are 0. */
export function exactSum(values: readonly number[]): number {
  const partials: number[] = [];
  let special = 0;
  for (let value of values) {
    if (!Number.isFinite(value)) {
      special += value;
      continue;
    }
    let kept = 0;
    for (const partial of partials) {
      const sum = value + partial;
      const error = sumError(value, partial, sum);
      if (error !== 0) partials[kept++] = error;
      value = sum;
    }
    if (!Number.isFinite(value)) return Number.isNaN(special + value) ? 0 : special + value;
    partials.length = kept;
    partials.push(value);
  }
  if (special !== 0) return Number.isNaN(special) ? 0 : special;
  return roundPartials(partials);
}

/** Rounds a sum of parts that do not overlap, least first: half-way cases by the sign of what is below. */
function roundPartials(partials: number[]): number {
  let total = partials.pop() ?? 0;
  let error = 0;
  while (partials.length > 0) {
    const part = partials.pop()!;
    const before = total;
    total = before + part;
    error = part - (total - before);
    if (error !== 0) break;
  }
  const below = partials.at(-1) ?? 0;
  if ((error < 0 && below < 0) || (error > 0 && below > 0)) {
    const doubled = error * 2;
    const moved = total + doubled;
    if (moved - total === doubled) total = moved;
  }
  return total;
}

function partsOf(sum: string): number[] {
  return sum.split(' ').map(parseScore);
}

/** What an element shows whose score is `base` and to which nodes have added `sums`. */
export function totalScore(base: string, sums: readonly string[]): string {
  const parts = [parseScore(base), ...sums.flatMap(partsOf)];
  // Whole numbers, as most are, need no care.
  const whole = parts.length === 2 ? parts[0] + parts[1] : NaN;
  const isExact = Number.isSafeInteger(whole) && Number.isSafeInteger(parts[0]) && Number.isSafeInteger(parts[1]);
  return formatDouble(isExact ? whole + 0 : exactSum(parts));
}

/**
 * A node's sum after it has made `total` of the score that was shown, by adding `delta`.
 * @param base the element's own score @param sum this node's sum so far @param alone no other node has added to it
 */
export function addToSum(base: string, sum: string, alone: boolean, delta: number, total: number): string {
  const start = parseScore(base);
  if (alone && Number.isFinite(total) && Number.isFinite(start)) {
    const difference = total - start;
    if (Number.isFinite(difference)) return formatParts(difference, sumError(total, -start, difference));
  }
  // Past the range of doubles it stays there, as repeated addition does.
  if (!Number.isFinite(total) && Number.isFinite(start)) return formatDouble(total);
  const parts = [...partsOf(sum), delta];
  const high = exactSum(parts);
  return formatParts(high, Number.isFinite(high) ? exactSum([...parts, -high]) : 0);
}

function formatParts(high: number, low: number): string {
  return low === 0 ? formatDouble(high) : `${formatDouble(high)} ${formatDouble(low)}`;
}
