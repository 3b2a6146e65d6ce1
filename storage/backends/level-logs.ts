/**
 * Reads LevelDB's logs, as its doc/log_format.md draws them: fragments of records in blocks of 32 KiB.
 *
 *   fragment  u32le masked CRC-32C of what follows the length | u16le length | u8 type: 1 whole, 2 first, 3 middle, 4 last | bytes
 *
 * What is left of a block when no head fits is zero. LevelDB takes a log up to the first fragment that is not as it was written, and
 * says nothing: a torn end looks like that, and so does a flipped bit, after which everything was lost that had not come into a table.
 */
import { crc32c, isOneBitOff } from '../../protocol/crc32c.ts';
import { hasUnwrittenSector } from './torn-tail.ts';

const BLOCK_BYTES = 32 << 10;
const HEAD_BYTES = 7;
const MASK_DELTA = 0xa282ead8;
const WHOLE = 1;
const FIRST = 2;
const LAST = 4;

/** The CRC-32C that LevelDB has stored in its masked form. */
export function unmasked(value: number): number {
  const rotated = (value - MASK_DELTA) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}

function masked(value: number): number {
  return (((value >>> 15) | (value << 17)) + MASK_DELTA) >>> 0;
}

function blockEnd(log: Buffer, at: number): number {
  return Math.min(log.length, at - (at % BLOCK_BYTES) + BLOCK_BYTES);
}

/** Where the fragment at `at` ends; 0 when none that is as it was written begins there. */
function fragmentEnd(log: Buffer, at: number): number {
  const limit = blockEnd(log, at);
  if (at + HEAD_BYTES > limit) return 0;
  const end = at + HEAD_BYTES + log.readUInt16LE(at + 4);
  const type = log[at + 6];
  if (end > limit || type < WHOLE || type > LAST) return 0;
  return unmasked(log.readUInt32LE(at)) === crc32c(log, at + 6, end) ? end : 0;
}

/** Where the next fragment is to be looked for: a block's rest that has no room for a head is skipped. */
function nextHead(at: number): number {
  const left = BLOCK_BYTES - (at % BLOCK_BYTES);
  return left < HEAD_BYTES ? at + left : at;
}

/** The records of a log, up to where it is torn or damaged. */
export function* recordsOfLog(log: Buffer): Generator<Buffer> {
  let parts: Buffer[] = [];
  for (let at = 0; at < log.length;) {
    const end = fragmentEnd(log, at);
    if (end === 0) return;
    const type = log[at + 6];
    if (type === WHOLE || type === FIRST) parts = [];
    parts.push(log.subarray(at + HEAD_BYTES, end));
    if (type === WHOLE || type === LAST) yield Buffer.concat(parts);
    at = nextHead(end);
  }
}

/** How a log ends that is not whole. */
export interface LogEnd {
  /**
   * The first byte that is damaged, and not merely torn; null when there is none. Behind it another record begins, and no page is missing in
   * between: after a power cut one may be, of what was never synced, while a later one came to the disk. Or one bit is all that is wrong.
   */
  damagedAt: number | null;
  /** So many bytes at the end are of no whole record. */
  tornBytes: number;
  /** See TornTail. */
  isDoubtful: boolean;
}

export function endOfLog(log: Buffer): LogEnd {
  let recordAt = 0;
  for (let at = 0; at < log.length;) {
    const end = fragmentEnd(log, at);
    if (end === 0) return brokenEnd(log, at, recordAt);
    const type = log[at + 6];
    if (type === FIRST) recordAt = at;
    at = nextHead(end);
    if (type === WHOLE || type === LAST) recordAt = at;
  }
  return { damagedAt: null, tornBytes: Math.max(0, log.length - recordAt), isDoubtful: false };
}

function brokenEnd(log: Buffer, at: number, recordAt: number): LogEnd {
  const next = recordAfter(log, at);
  const isDamaged = next < 0 ? isOneBitFlipped(log, at) : !hasUnwrittenSector(log, at, next);
  const isShort = at + HEAD_BYTES > log.length || at + HEAD_BYTES + log.readUInt16LE(at + 4) > log.length;
  const isDoubtful = next < 0 && !isShort && !hasUnwrittenSector(log, at, log.length);
  return { damagedAt: isDamaged ? at : null, tornBytes: log.length - recordAt, isDoubtful };
}

/** Whether a fragment would be as it was written with one bit of it turned back. */
function isOneBitFlipped(log: Buffer, at: number): boolean {
  const limit = blockEnd(log, at);
  if (at + HEAD_BYTES > limit) return false;
  const checksum = log.readUInt32LE(at);
  const length = log.readUInt16LE(at + 4);
  const end = at + HEAD_BYTES + length;
  if (end <= limit) {
    const sum = crc32c(log, at + 6, end);
    if (isOneBitOff(sum ^ unmasked(checksum), end - at - 6) || isOneBitOff(masked(sum) ^ checksum, 0)) return true;
  }
  for (let bit = 0; bit < 16; bit++) {
    const other = at + HEAD_BYTES + (length ^ (1 << bit));
    if (other <= limit && crc32c(log, at + 6, other) === unmasked(checksum)) return true;
  }
  return false;
}

/** Where the next record begins, or -1. A damaged length says nothing of that: all bytes are tried where blocks do not tell. */
function recordAfter(log: Buffer, damagedAt: number): number {
  for (let at = damagedAt + 1; at < log.length;) {
    const type = log[at + 6];
    const isOfInterest = type === WHOLE || type === FIRST || at % BLOCK_BYTES === 0;
    const end = isOfInterest ? fragmentEnd(log, at) : 0;
    if (end === 0) {
      at++;
      continue;
    }
    if (type === WHOLE || type === FIRST) return at;
    at = nextHead(end);
  }
  return -1;
}
