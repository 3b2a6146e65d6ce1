/**
 * Ends of logs that are not as they were written. A write that was cut short leaves its first bytes, or sectors of zeros where the disk had
 * written none yet; a bit that flipped leaves a checksum that turning it back would mend, which is damage wherever it is. What
 * is neither may be both.
 */

/** What is left out at the end of a file. */
export interface TornTail {
  path: string;
  bytes: number;
  /** It does not look as if it was cut short: what had been acknowledged may be in it. */
  isDoubtful: boolean;
}

/** What a disk writes at once or not at all. */
const SECTOR_BYTES = 512;
/** Fewer zeros say nothing. */
const UNWRITTEN_BYTES_MIN = 7;

/** Whether some sector has nothing but zeros in [start, end), from `start` on or to the end of the file. */
export function hasUnwrittenSector(file: Buffer, start: number, end: number): boolean {
  for (let from = start; from < end; from += SECTOR_BYTES - (from % SECTOR_BYTES)) {
    const to = Math.min(from - (from % SECTOR_BYTES) + SECTOR_BYTES, file.length);
    if (to > end || to - from < UNWRITTEN_BYTES_MIN) continue;
    if (file.subarray(from, to).every((byte) => byte === 0)) return true;
  }
  return false;
}
