/**
 * Decimal integers, read and written as bytes.
 *
 * The accepted form is Redis's: an optional minus sign, then digits without a leading zero. No plus sign, no spaces, no `-0`,
 * nothing outside a signed 64-bit integer.
 */
const MINUS = 45;
const ZERO = 48;

/** Digits that always fit a double exactly, and are summed without any check. */
const EXACT_DIGITS = 15;
/** Digits of 2^63, the longest magnitude there is. */
const LONGEST_DIGITS = 19;

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

/**
 * Reads `buffer[start, start + length)` without allocating.
 * @returns the integer, or NaN when the bytes are not an integer or it is beyond ±(2^53 − 1).
 */
export function parseSafeInteger(buffer: Uint8Array, start: number, length: number): number {
  let position = start;
  const end = start + length;
  const negative = length > 1 && buffer[position] === MINUS;
  if (negative) position++;
  const digits = end - position;
  if (digits <= 0 || digits > EXACT_DIGITS + 1) return NaN;
  let value = buffer[position] - ZERO;
  // A zero stands alone: "0" is an integer, "00", "01" and "-0" are not.
  if (value === 0) return length === 1 ? 0 : NaN;
  if (value < 0 || value > 9) return NaN;
  for (position++; position < end; position++) {
    const digit = buffer[position] - ZERO;
    if (digit < 0 || digit > 9) return NaN;
    value = value * 10 + digit;
  }
  // Sixteen digits stay below 2^54, where a sum past 2^53 cannot round to a safe integer.
  if (value > Number.MAX_SAFE_INTEGER) return NaN;
  return negative ? -value : value;
}

/**
 * Reads `buffer[start, start + length)` as a signed 64-bit integer.
 * @returns a number when it is within ±(2^53 − 1), a bigint when it is beyond, undefined when the bytes are no such integer.
 */
export function parseInteger(buffer: Uint8Array, start: number, length: number): number | bigint | undefined {
  const safe = parseSafeInteger(buffer, start, length);
  if (!Number.isNaN(safe)) return safe;
  const negative = length > 1 && buffer[start] === MINUS;
  const firstDigit = negative ? start + 1 : start;
  const end = start + length;
  // Anything shorter was either read above or is not an integer.
  if (end - firstDigit <= EXACT_DIGITS || end - firstDigit > LONGEST_DIGITS) return undefined;
  if (buffer[firstDigit] === ZERO) return undefined;
  let text = negative ? '-' : '';
  for (let position = firstDigit; position < end; position++) {
    const digit = buffer[position] - ZERO;
    if (digit < 0 || digit > 9) return undefined;
    text += digit;
  }
  const value = BigInt(text);
  return value > INT64_MAX || value < INT64_MIN ? undefined : value;
}

/** How many decimal digits a non-negative safe integer has. */
export function countDigits(value: number): number {
  if (value < 10) return 1;
  if (value < 100) return 2;
  if (value < 1000) return 3;
  if (value < 10000) return 4;
  let digits = 5;
  for (let bound = 100000; value >= bound; bound *= 10) digits++;
  return digits;
}

/** How many bytes `writeInteger` needs for a safe integer, its sign included. */
export function integerLength(value: number): number {
  return value < 0 ? 1 + countDigits(-value) : countDigits(value);
}

/**
 * Writes a safe integer as decimal digits at `offset`, without allocating. The caller has made room (at most 17 bytes).
 * @returns the offset after the last digit.
 */
export function writeInteger(buffer: Uint8Array, offset: number, value: number): number {
  let rest = value;
  if (rest < 0) {
    buffer[offset++] = MINUS;
    rest = -rest;
  }
  if (rest < 10) {
    buffer[offset] = ZERO + rest;
    return offset + 1;
  }
  const end = offset + countDigits(rest);
  let position = end;
  // Above 31 bits, digits come off by floating-point division, nine at a time; below, by integer division.
  while (rest > 0x7fffffff) {
    const upper = Math.floor(rest / 1e9);
    let lower = (rest - upper * 1e9) | 0;
    for (let count = 0; count < 9; count++) {
      const quotient = (lower / 10) | 0;
      buffer[--position] = ZERO + (lower - quotient * 10);
      lower = quotient;
    }
    rest = upper;
  }
  let small = rest | 0;
  while (position > offset) {
    const quotient = (small / 10) | 0;
    buffer[--position] = ZERO + (small - quotient * 10);
    small = quotient;
  }
  return end;
}
