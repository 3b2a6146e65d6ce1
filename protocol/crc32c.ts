/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), the checksum of frames and of stored records. Eight bytes a
 * step through eight tables; the tables are made at load.
 */

const POLYNOMIAL = 0x82f63b78;
const STEP_BYTES = 8;

const tables = makeTables();
const table0 = tables.subarray(0, 256);
const table1 = tables.subarray(256, 512);
const table2 = tables.subarray(512, 768);
const table3 = tables.subarray(768, 1024);
const table4 = tables.subarray(1024, 1280);
const table5 = tables.subarray(1280, 1536);
const table6 = tables.subarray(1536, 1792);
const table7 = tables.subarray(1792, 2048);

function makeTables(): Int32Array {
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
  return made;
}

/**
 * CRC-32C of buffer[start, end) as an unsigned 32-bit number. `seed` is the checksum of the bytes before, so that
 * crc32c(b, 0, n) === crc32c(b, m, n, crc32c(b, 0, m)).
 */
export function crc32c(buffer: Uint8Array, start: number, end: number, seed = 0): number {
  let crc = ~seed;
  let at = start;
  const lastStep = end - STEP_BYTES;
  if (at <= lastStep) {
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    for (; at <= lastStep; at += STEP_BYTES) {
      const first = crc ^ view.getInt32(at, true);
      const second = view.getInt32(at + 4, true);
      crc =
        table7[first & 0xff] ^
        table6[(first >>> 8) & 0xff] ^
        table5[(first >>> 16) & 0xff] ^
        table4[first >>> 24] ^
        table3[second & 0xff] ^
        table2[(second >>> 8) & 0xff] ^
        table1[(second >>> 16) & 0xff] ^
        table0[second >>> 24];
    }
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ table0[(crc ^ buffer[at]) & 0xff];
  return ~crc >>> 0;
}
