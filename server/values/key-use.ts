/** Finding the keys of commands that read: counts hits and misses, and notes the use of the key unless CLIENT NO-TOUCH is on. */
import { touchAccess } from '../../storage/eviction/access.ts';
import type { Call } from '../dispatch/call.ts';

/** The block of the key at argument `index`, or 0; counts the hit or miss, and not the use: TTL, TYPE, EXISTS, OBJECT. */
export function peekKey(call: Call, index: number): number {
  const ref = call.lookup(index);
  const { statistics } = call.node;
  if (ref !== 0) statistics.keyspaceHits++;
  else noteMiss(call, index);
  return ref;
}

function noteMiss(call: Call, index: number): void {
  const { node, database, buffer, starts, lengths } = call;
  node.statistics.keyspaceMisses++;
  if (node.keyspaceEvents.isOn) node.keyspaceEvents.missed(database.number, buffer, starts[index], lengths[index]);
}

/** The block of the key at argument `index`, or 0; counts the hit or miss, and the use. */
export function useKey(call: Call, index: number): number {
  const ref = peekKey(call, index);
  if (ref !== 0) countUse(call, ref);
  return ref;
}

/** The key counts as used: for commands that change what they look up. CLIENT NO-TOUCH turns it off. */
export function countUse(call: Call, ref: number): void {
  if (!call.session.noTouch) touchAccess(call.keyspace, ref);
}
