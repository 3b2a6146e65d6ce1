/** Looks at the stamps of records before they are merged: a stamp that cannot be, or one from the future, must not get in. */
import { FLAG_DEAD, KIND_FLOOR, RecordError, RecordReader } from '../../protocol/change-record.ts';
import { KIND_KEY_FLOOR } from '../../protocol/collection-kinds.ts';
import { PeerProtocolError, REFUSE_RECORDS, REFUSE_STAMP } from '../../protocol/peer-frame.ts';
import { compareStamp, formatStamp, stampHiOf, stampLoOf } from '../../protocol/stamp.ts';

const WORD_MAX = 0xffffffff;
const reader = new RecordReader();

/** True for the two stamps that no write can have. */
export function isImpossibleStamp(hi: number, lo: number): boolean {
  return (hi === 0 && lo === 0) || (hi === WORD_MAX && lo === WORD_MAX);
}

/** The clock bound: stamps above it are from the future. */
export class StampLimit {
  #hi = 0;
  #lo = 0;
  set(limitMs: number): void {
    this.#hi = stampHiOf(limitMs);
    this.#lo = stampLoOf(limitMs, 0);
  }
  isPast(hi: number, lo: number): boolean {
    return hi > this.#hi || (hi === this.#hi && lo > this.#lo);
  }
}

function readRecord(records: Buffer, offset: number, end: number): number {
  let next: number;
  try {
    next = reader.read(records, offset, end);
  } catch (problem) {
    if (problem instanceof RecordError) throw new PeerProtocolError(REFUSE_RECORDS, problem.message);
    throw problem;
  }
  const deadlineStampMissing = reader.deadlineStampHi === 0 && reader.deadlineStampLo === 0;
  if (
    isImpossibleStamp(reader.stampHi, reader.stampLo) ||
    (!deadlineStampMissing && isImpossibleStamp(reader.deadlineStampHi, reader.deadlineStampLo))
  ) {
    throw new PeerProtocolError(
      REFUSE_STAMP,
      `a record stamped ${formatStamp(reader.stampHi, reader.stampLo)}, which no write can have`,
    );
  }
  return next;
}

function isFuture(limit: StampLimit): boolean {
  return limit.isPast(reader.stampHi, reader.stampLo) || limit.isPast(reader.deadlineStampHi, reader.deadlineStampLo);
}

/**
 * Finds records[start, end) that are beyond the limit.
 * @returns the ranges (start, end, start, end, …) of the records to leave out, and whether `origin` wrote one of them;
 *   null when there is none, which is the rule
 * @throws PeerProtocolError for malformed records and impossible stamps
 */
export function findFutureRecords(
  records: Buffer,
  start: number,
  end: number,
  limit: StampLimit,
  originHi: number,
  originLo: number,
): { ranges: number[]; byOrigin: boolean } | null {
  let found: { ranges: number[]; byOrigin: boolean } | null = null;
  for (let offset = start; offset < end;) {
    const next = readRecord(records, offset, end);
    if (isFuture(limit)) {
      found ??= { ranges: [], byOrigin: false };
      found.ranges.push(offset, next);
      if (reader.originHi === originHi && reader.originLo === originLo) found.byOrigin = true;
    }
    offset = next;
  }
  return found;
}

/** Copies records[start, end) without the given ranges. */
export function withoutRanges(records: Buffer, start: number, end: number, ranges: readonly number[]): Buffer {
  const kept: Buffer[] = [];
  let at = start;
  for (let index = 0; index < ranges.length; index += 2) {
    kept.push(records.subarray(at, ranges[index]));
    at = ranges[index + 1]!;
  }
  kept.push(records.subarray(at, end));
  return Buffer.concat(kept);
}

/** The lowest stamp of the removals among sound records: tombstones and floors; null without any. */
export function oldestRemoval(records: Buffer, start: number, end: number): { hi: number; lo: number } | null {
  let oldest: { hi: number; lo: number } | null = null;
  for (let at = start; at < end;) {
    at = reader.read(records, at, end);
    const { flags, kind, stampHi: hi, stampLo: lo } = reader;
    if ((flags & FLAG_DEAD) === 0 && kind !== KIND_FLOOR && kind !== KIND_KEY_FLOOR) continue;
    if (oldest === null || compareStamp(hi, lo, oldest.hi, oldest.lo) < 0) oldest = { hi, lo };
  }
  return oldest;
}
