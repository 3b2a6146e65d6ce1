/** The one order among versions of a register: merging is taking the greater. */
import { FLAG_DEAD, type RecordView } from './change-record.ts';
import { compareStamp } from './stamp.ts';

/**
 * Orders two versions of one register by (stamp, origin, dead, deadline's stamp, deadline's origin, value bytes).
 * Negative when a is older, 0 when they are the same version, positive when a wins.
 */
export function compareVersions(a: RecordView, b: RecordView): number {
  return (
    compareIgnoringValues(a, b) ||
    a.buffer.compare(b.buffer, b.valueStart, b.valueStart + b.valueLength, a.valueStart, a.valueStart + a.valueLength)
  );
}

/** As compareVersions for two that may differ in their value because one of them has expired. */
export function compareIgnoringValues(a: RecordView, b: RecordView): number {
  return (
    compareStamp(a.stampHi, a.stampLo, b.stampHi, b.stampLo) ||
    compareStamp(a.originHi, a.originLo, b.originHi, b.originLo) ||
    (a.flags & FLAG_DEAD) - (b.flags & FLAG_DEAD) ||
    compareStamp(a.deadlineStampHi, a.deadlineStampLo, b.deadlineStampHi, b.deadlineStampLo) ||
    compareStamp(a.deadlineOriginHi, a.deadlineOriginLo, b.deadlineOriginHi, b.deadlineOriginLo)
  );
}
