/** Which kinds of fault have had an effect, over many seeds. */
import type { FaultCounts } from './faults.ts';
import { type FaultKind, faultKinds } from './schedule.ts';

export function addFaults(to: FaultCounts, more: FaultCounts): void {
  for (const kind of faultKinds) to[kind] += more[kind];
}

export function missingKinds(counts: FaultCounts): FaultKind[] {
  return faultKinds.filter((kind) => counts[kind] === 0);
}
