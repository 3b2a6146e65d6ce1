/**
 * Writes a double as Redis 7.2 shows scores and RESP3 doubles.
 *
 * `inf`, `-inf`, `nan`, `-0`; whole numbers up to 2^62 in full and without a point; anything else by the fewest digits that read
 * back as the same double, with an exponent (`1e+20`, `1.5e-7`) where the plain form would be long.
 */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (value === Infinity) return 'inf';
  if (value === -Infinity) return '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  if (Number.isSafeInteger(value)) return String(value);
  if (Number.isInteger(value) && Math.abs(value) <= 2 ** 62) return BigInt(value).toString();
  return formatShortest(value);
}

/** Digits a plain whole number may be padded by before it takes an exponent. */
const ZEROS_PADDED_MAX = 7;

function formatShortest(value: number): string {
  const [mantissa, exponentText] = Math.abs(value).toExponential().split('e') as [string, string];
  const digits = mantissa.replace('.', '');
  const exponent = Number(exponentText);
  const sign = value < 0 ? '-' : '';
  // The value is digits × 10^scale.
  const scale = exponent - (digits.length - 1);
  if (scale >= 0 && exponent < digits.length + ZEROS_PADDED_MAX) return sign + digits + '0'.repeat(scale);
  if (scale < 0 && (scale > -7 || Math.abs(exponent) < 4)) {
    if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
    return `${sign}${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`;
  }
  return `${sign}${mantissa}e${exponent < 0 ? '-' : '+'}${Math.abs(exponent)}`;
}
