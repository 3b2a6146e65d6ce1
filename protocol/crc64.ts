/**
 * CRC-64 with the Jones polynomial, reflected, from 0 and not inverted: the checksum of Redis's RDB format. Worked example:
 * the nine bytes `123456789` give e9c6d914c4b8d9ca. A table each for the high and the low half, so that no BigInt is made.
 */
const POLYNOMIAL_HI = 0x95ac9329;
const POLYNOMIAL_LO = 0xac4bc9b5;

const TABLE_HI = new Uint32Array(256);
const TABLE_LO = new Uint32Array(256);
for (let byte = 0; byte < 256; byte++) {
  let hi = 0;
  let lo = byte;
  for (let bit = 0; bit < 8; bit++) {
    const carry = lo & 1;
    lo = (lo >>> 1) | ((hi & 1) << 31);
    hi >>>= 1;
    if (carry === 1) {
      hi ^= POLYNOMIAL_HI;
      lo ^= POLYNOMIAL_LO;
    }
  }
  TABLE_HI[byte] = hi;
  TABLE_LO[byte] = lo;
}

/** The checksum of `buffer[start, end)`, as two unsigned 32-bit halves. */
export function crc64(buffer: Uint8Array, start: number, end: number): { hi: number; lo: number } {
  let hi = 0;
  let lo = 0;
  for (let at = start; at < end; at++) {
    const index = (lo ^ buffer[at]) & 0xff;
    lo = ((lo >>> 8) | (hi << 24)) ^ TABLE_LO[index];
    hi = (hi >>> 8) ^ TABLE_HI[index];
  }
  return { hi: hi >>> 0, lo: lo >>> 0 };
}
