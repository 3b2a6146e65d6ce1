/**
 * Reads LZF (Lehmann), which Redis compresses strings with:
 *
 *   | 000nnnnn | n + 1 bytes |                           bytes as they are
 *   | lllddddd | dddddddd |              l 1 to 6        l + 2 bytes from d + 1 bytes back
 *   | 111ddddd | llllllll | dddddddd |                   l + 9 bytes from d + 1 bytes back
 *
 * Worked example: 00 61 | e0 01 00 is `a` eleven times.
 */

/** Three bytes make at most 264, so that no claim of a greater length need be believed. */
const EXPANSION_MAX = 264 / 3;

/** `buffer[start, end)` decompressed, or null when it is damaged or not `length` bytes long when decompressed. */
export function lzfDecompress(buffer: Uint8Array, start: number, end: number, length: number): Buffer | null {
  if (length > Math.ceil((end - start) * EXPANSION_MAX)) return null;
  const output = Buffer.allocUnsafe(length);
  let from = start;
  let to = 0;
  while (from < end) {
    const control = buffer[from++];
    if (control < 32) {
      const run = control + 1;
      if (from + run > end || to + run > length) return null;
      for (const stop = from + run; from < stop; from++) output[to++] = buffer[from]!;
      continue;
    }
    let run = control >>> 5;
    if (run === 7) {
      if (from >= end) return null;
      run += buffer[from++];
    }
    run += 2;
    if (from >= end) return null;
    let source = to - ((control & 31) << 8) - buffer[from++] - 1;
    if (source < 0 || to + run > length) return null;
    // Byte by byte: the run may reach into what it writes.
    for (const stop = to + run; to < stop;) output[to++] = output[source++]!;
  }
  return to === length ? output : null;
}
