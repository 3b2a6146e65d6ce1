/**
 * Stamps and node ids: the two 64-bit numbers that order every change.
 *
 *   63                                    20 19                 0
 *   +---------------------------------------+--------------------+
 *   | milliseconds since 1970 (44 bits)     | counter (20 bits)  |
 *   +---------------------------------------+--------------------+
 *   |<------------- hi (32 bits) ------------->|<--- lo (32) --->|
 *
 * Both halves are unsigned 32-bit numbers, because a pair of small integers costs no allocation and a bigint does.
 * (0, 0) means "none". 44 bits of milliseconds last until the year 2527.
 */

/** Counter values a millisecond holds; the next one carries into the milliseconds. */
export const STAMP_COUNTER_LIMIT = 1 << 20;

/** The last millisecond a stamp can carry. */
export const STAMP_MS_MAX = 2 ** 44 - 1;

const MS_PER_HIGH_WORD = 1 << 12;

/** Negative when a is older than b, 0 when they are equal, positive when a is newer. Also orders node ids. */
export function compareStamp(aHi: number, aLo: number, bHi: number, bLo: number): number {
  if (aHi !== bHi) return aHi < bHi ? -1 : 1;
  if (aLo !== bLo) return aLo < bLo ? -1 : 1;
  return 0;
}

/** Milliseconds since 1970 that a stamp carries. */
export function stampMs(hi: number, lo: number): number {
  return hi * MS_PER_HIGH_WORD + (lo >>> 20);
}

/** The 20-bit counter that orders stamps of one millisecond. */
export function stampCounter(lo: number): number {
  return lo & (STAMP_COUNTER_LIMIT - 1);
}

/** High word of the stamp of a millisecond (0 ≤ ms ≤ STAMP_MS_MAX). */
export function stampHiOf(ms: number): number {
  return Math.floor(ms / MS_PER_HIGH_WORD);
}

/** Low word of the stamp of a millisecond and a counter (0 ≤ counter < STAMP_COUNTER_LIMIT). */
export function stampLoOf(ms: number, counter: number): number {
  return (((ms % MS_PER_HIGH_WORD) << 20) | counter) >>> 0;
}

/** A stamp for people: `milliseconds-counter`. */
export function formatStamp(hi: number, lo: number): string {
  return `${stampMs(hi, lo)}-${stampCounter(lo)}`;
}

/** Ids that were formatted lately, by their lowest bits: there are few nodes, and what peers tell of them names them all the time. */
const FORMATTED = 64;
const formattedHi = new Uint32Array(FORMATTED);
const formattedLo = new Uint32Array(FORMATTED);
const formatted = new Array<string>(FORMATTED).fill('0'.repeat(16));

/** A node id for people and for options: 16 lower-case hex digits. */
export function formatNodeId(hi: number, lo: number): string {
  const slot = lo & (FORMATTED - 1);
  if (formattedLo[slot] === lo && formattedHi[slot] === hi) return formatted[slot];
  const text = hi.toString(16).padStart(8, '0') + lo.toString(16).padStart(8, '0');
  formattedHi[slot] = hi;
  formattedLo[slot] = lo;
  formatted[slot] = text;
  return text;
}

/** Reads what formatNodeId writes (either letter case); null when it is anything else. */
export function parseNodeId(text: string): { hi: number; lo: number } | null {
  if (!/^[0-9a-fA-F]{16}$/.test(text)) return null;
  return { hi: Number.parseInt(text.slice(0, 8), 16), lo: Number.parseInt(text.slice(8), 16) };
}
