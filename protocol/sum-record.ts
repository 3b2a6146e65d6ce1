/**
 * Records of sums: what one node has added to a counter. The element ends with the id of that node, behind the field's name in a
 * collection; the value begins with the stamp and the origin at which the sum began, which removals go by.
 */
import { KIND_COUNTER, type RecordView } from './change-record.ts';
import { isElementCounterKind } from './collection-kinds.ts';
import { compareStamp } from './stamp.ts';

/** The id of its node, at the end of a sum's element. */
export const SUM_ORIGIN_BYTES = 8;
/** Stamp and origin of its begin, in front of a sum's value. */
export const SUM_BEGIN_BYTES = 16;

export type Version = Pick<RecordView, 'stampHi' | 'stampLo' | 'originHi' | 'originLo'>;

/** Below 0 when a is older than b, going by stamp and origin. */
export function compareVersions(a: Version, b: Version): number {
  const order = compareStamp(a.stampHi, a.stampLo, b.stampHi, b.stampLo);
  return order || compareStamp(a.originHi, a.originLo, b.originHi, b.originLo);
}

export function isSum({ kind, elementLength, valueLength }: RecordView): boolean {
  const hasName = isElementCounterKind(kind) || (kind === KIND_COUNTER && elementLength === SUM_ORIGIN_BYTES);
  return hasName && valueLength >= SUM_BEGIN_BYTES;
}

/** When a sum began. */
export function beginOf({ buffer, valueStart }: RecordView): Version {
  return {
    stampHi: buffer.readUInt32BE(valueStart),
    stampLo: buffer.readUInt32BE(valueStart + 4),
    originHi: buffer.readUInt32BE(valueStart + 8),
    originLo: buffer.readUInt32BE(valueStart + 12),
  };
}
