/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), the checksum of frames and of stored records. Sixteen bytes a
 * step through sixteen tables; the tables are made at load. Long runs are shortened first.
 */
import { viewOf } from './byte-view.ts';
import { FOLDED_BYTES_MIN, canFold, sumFolded } from './crc32c-folded.ts';

const POLYNOMIAL = 0x82f63b78;
const STEP_BYTES = 16;

const tables = makeTables();
/** Names of their own, which the compiler knows the memory of. */
const [table0, table1, table2, table3, table4, table5, table6, table7] = tables;
const [, , , , , , , , table8, table9, table10, table11, table12, table13, table14, table15] = tables;

function makeTables(): Int32Array[] {
  const made = new Int32Array(256 * STEP_BYTES);
  for (let byte = 0; byte < 256; byte++) {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit++) {
      remainder = remainder & 1 ? (remainder >>> 1) ^ POLYNOMIAL : remainder >>> 1;
    }
    made[byte] = remainder;
  }
  for (let index = 256; index < made.length; index++) {
    const previous = made[index - 256];
    made[index] = (previous >>> 8) ^ made[previous & 0xff];
  }
  return Array.from({ length: STEP_BYTES }, (_, table) => made.subarray(256 * table, 256 * (table + 1)));
}

/**
 * CRC-32C of buffer[start, end) as an unsigned 32-bit number. `seed` is the checksum of the bytes before, so that
 * crc32c(b, 0, n) === crc32c(b, m, n, crc32c(b, 0, m)).
 */
export function crc32c(buffer: Uint8Array, start: number, end: number, seed = 0): number {
  const isLong = end - start >= FOLDED_BYTES_MIN && canFold();
  return ~(isLong ? sumFolded(~seed, buffer, start, end, sumPlain) : sumPlain(~seed, buffer, start, end)) >>> 0;
}

/**
 * Whether one bit that flipped, in so many bytes or in their checksum itself, explains two checksums with this difference (XOR): a bit
 * makes the same one whatever the bytes are, and another one than every other bit of up to 256 MiB. Goes back over the bits.
 */
export function isOneBitOff(difference: number, bytes: number): boolean {
  if ((difference & (difference - 1)) === 0) return difference !== 0;
  let state = difference | 0;
  for (let bitsLeft = 8 * bytes; bitsLeft > 0; bitsLeft--) {
    state = state < 0 ? ((state ^ POLYNOMIAL) << 1) | 1 : state << 1;
    if (state === 1) return true;
  }
  return false;
}

function sumPlain(state: number, buffer: Uint8Array, start: number, end: number): number {
  let crc = state;
  let at = start;
  const lastStep = end - STEP_BYTES;
  if (at <= lastStep) {
    const view = viewOf(buffer);
    for (; at <= lastStep; at += STEP_BYTES) {
      const first = crc ^ view.getInt32(at, true);
      const second = view.getInt32(at + 4, true);
      const third = view.getInt32(at + 8, true);
      const fourth = view.getInt32(at + 12, true);
      crc =
        table15[first & 0xff] ^
        table14[(first >>> 8) & 0xff] ^
        table13[(first >>> 16) & 0xff] ^
        table12[first >>> 24] ^
        table11[second & 0xff] ^
        table10[(second >>> 8) & 0xff] ^
        table9[(second >>> 16) & 0xff] ^
        table8[second >>> 24] ^
        table7[third & 0xff] ^
        table6[(third >>> 8) & 0xff] ^
        table5[(third >>> 16) & 0xff] ^
        table4[third >>> 24] ^
        table3[fourth & 0xff] ^
        table2[(fourth >>> 8) & 0xff] ^
        table1[(fourth >>> 16) & 0xff] ^
        table0[fourth >>> 24];
    }
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ table0[(crc ^ buffer[at]) & 0xff];
  return crc;
}
