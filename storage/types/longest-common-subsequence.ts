/** The longest common subsequence of two byte strings, by the classic table of lengths, row by row. */

/** A run of bytes that both strings share, the ends included. */
export interface CommonRun {
  aStart: number;
  aEnd: number;
  bStart: number;
  bEnd: number;
}

export interface CommonSubsequence {
  bytes: Buffer;
  /** From the strings' ends to their beginnings. */
  runs: CommonRun[];
}

/**
 * Fills the table and keeps one row of it. When there is a `ways`, it receives one bit for each pair of bytes that differ:
 * whether leaving out a's byte is the better way on.
 * @returns the length of the longest common subsequence
 */
function fillTable(a: Uint8Array, b: Uint8Array, ways: Uint8Array | null): number {
  const row = new Uint32Array(b.length);
  let cell = 0;
  for (const byte of a) {
    let diagonal = 0;
    let left = 0;
    for (let at = 0; at < b.length; at++, cell++) {
      const above = row[at];
      if (b[at] === byte) {
        left = diagonal + 1;
      } else if (above > left) {
        left = above;
        if (ways !== null) ways[cell >>> 3] |= 1 << (cell & 7);
      }
      row[at] = left;
      diagonal = above;
    }
  }
  return b.length === 0 ? 0 : row[b.length - 1];
}

/** Only its length, in memory proportional to `b`. */
export function commonSubsequenceLength(a: Uint8Array, b: Uint8Array): number {
  return fillTable(a, b, null);
}

/** The subsequence and where it is, in memory of one bit for each pair of bytes, of which there may be up to 2^31. */
export function commonSubsequence(a: Uint8Array, b: Uint8Array): CommonSubsequence {
  const ways = new Uint8Array(Math.ceil((a.length * b.length) / 8));
  const length = fillTable(a, b, ways);
  const bytes = Buffer.allocUnsafe(length);
  const runs: CommonRun[] = [];
  let left = length;
  let inRun = false;
  let aAt = a.length - 1;
  let bAt = b.length - 1;
  while (aAt >= 0 && bAt >= 0) {
    if (a[aAt] === b[bAt]) {
      bytes[--left] = a[aAt];
      if (!inRun) runs.push({ aStart: aAt, aEnd: aAt, bStart: bAt, bEnd: bAt });
      inRun = true;
      const run = runs[runs.length - 1];
      run.aStart = aAt--;
      run.bStart = bAt--;
      continue;
    }
    inRun = false;
    const cell = aAt * b.length + bAt;
    if ((ways[cell >>> 3] & (1 << (cell & 7))) !== 0) aAt--;
    else bAt--;
  }
  return { bytes, runs };
}
