/**
 * Exact decimal arithmetic for counters: sums come out the same on every node, in whatever order they are added, and
 * 0.1 + 0.2 is 0.3 as Redis's long doubles print it.
 */

/** Exponents beyond this are refused: they would make a number of as many digits. */
const EXPONENT_MAX = 400;
/** Digits after the point that Redis prints (%.17Lf with trailing zeros cut). */
const FRACTION_DIGITS = 17;

const NUMBER = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,6}))?$/;

/** digits × 10^-scale. */
export interface Decimal {
  digits: bigint;
  scale: number;
}

/** Reads `12`, `-1.5`, `3.0e3`; null when the text is no finite number or its exponent is past 400. */
export function parseDecimal(text: string): Decimal | null {
  const match = NUMBER.exec(text);
  if (match === null) return null;
  const [, sign, whole = '', fraction = '', exponentText = '0'] = match;
  if (whole.length + fraction.length === 0) return null;
  const exponent = Number(exponentText);
  if (Math.abs(exponent) > EXPONENT_MAX) return null;
  let digits = BigInt(whole + fraction);
  if (sign === '-') digits = -digits;
  const scale = fraction.length - exponent;
  return scale < 0 ? { digits: digits * 10n ** BigInt(-scale), scale: 0 } : { digits, scale };
}

export function addDecimals(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale);
  return { digits: rescale(a, scale) + rescale(b, scale), scale };
}

function rescale(value: Decimal, scale: number): bigint {
  return scale === value.scale ? value.digits : value.digits * 10n ** BigInt(scale - value.scale);
}

/** The shortest text of the value rounded to 17 digits after the point: `3.14`, `200`, `-0.1`. */
export function formatDecimal(value: Decimal): string {
  let { digits, scale } = value;
  if (scale > FRACTION_DIGITS) {
    const divisor = 10n ** BigInt(scale - FRACTION_DIGITS);
    const half = digits < 0n ? -divisor / 2n : divisor / 2n;
    digits = (digits + half) / divisor;
    scale = FRACTION_DIGITS;
  }
  const negative = digits < 0n;
  const text = (negative ? -digits : digits).toString().padStart(scale + 1, '0');
  const whole = text.slice(0, text.length - scale);
  const fraction = scale === 0 ? '' : text.slice(text.length - scale).replace(/0+$/, '');
  const unsigned = fraction === '' ? whole : `${whole}.${fraction}`;
  return negative && unsigned !== '0' ? `-${unsigned}` : unsigned;
}

/** The bounds of a 64-bit integer. */
export const INTEGER_MAX = 2n ** 63n - 1n;
export const INTEGER_MIN = -(2n ** 63n);
export const INTEGER = /^(0|-?[1-9]\d{0,18})$/;

/** The total of a base and sums, exactly; as an integer's text when all are integers. */
export function sumTexts(texts: readonly string[]): string {
  if (texts.every((text) => INTEGER.test(text))) {
    let total = 0n;
    for (const text of texts) total += BigInt(text);
    return String(total);
  }
  let total = { digits: 0n, scale: 0 };
  for (const text of texts) total = addDecimals(total, parseDecimal(text) ?? { digits: 0n, scale: 0 });
  return formatDecimal(total);
}
