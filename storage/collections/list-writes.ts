/** Elements that are put into a list's runs, and what follows: counts, digest, lists of changes. */
import type { Keyspace } from '../keyspace.ts';
import { togglePlain } from './element-writes.ts';
import type { ListCollection } from './list-collection.ts';
import type { ListRun } from './list-run.ts';
import { NUMBER_BYTES_MAX, PREFIX_BYTES_MAX } from './position.ts';

/** The name of a run's element. */
const name = Buffer.alloc(PREFIX_BYTES_MAX + NUMBER_BYTES_MAX);

/** What follows from a run of a list that is open for changes having one more element, with this stamp. */
export function noteInRun(
  keyspace: Keyspace,
  list: ListCollection,
  run: ListRun,
  hi: number,
  lo: number,
  valueLength: number,
  local: boolean,
): void {
  const { origin, nameBytesMax } = run;
  if (valueLength > list.longestBytes) list.longestBytes = valueLength;
  if (nameBytesMax > list.longestBytes) list.longestBytes = nameBytesMax;
  list.noteStamp(hi, lo, origin);
  if (++list.count > list.mostCount) list.mostCount = list.count;
  if (keyspace.digesting) togglePlain(keyspace, list, name, run.writeName(run.lastNumber, name), hi, lo, origin);
  if (keyspace.storing || keyspace.feeding) list.markNewest(run, local && keyspace.feeding, keyspace.storing);
}

/**
 * Writes a live element without a deadline that `find` has just not found into a run of a list that is open for changes; false when it is
 * to have a block of its own, and then nothing is done.
 */
export function writeInRun(
  keyspace: Keyspace,
  list: ListCollection,
  stampHi: number,
  stampLo: number,
  origin: number,
  name: Uint8Array,
  nameStart: number,
  nameLength: number,
  value: Uint8Array,
  valueStart: number,
  valueLength: number,
  local: boolean,
): boolean {
  const run = list.absorb(stampHi, stampLo, origin, name, nameStart, nameLength, value, valueStart, valueLength);
  if (run === null) return false;
  noteInRun(keyspace, list, run, stampHi, stampLo, valueLength, local);
  return true;
}
