/**
 * A block's access field, 24 bits, as block.ts places it.
 *
 *   LRU   seconds since 1970, modulo 2^24: about 194 days
 *   LFU   u8 count | u16 minutes since 1970 when it was last decayed, modulo 2^16
 *
 * The count is logarithmic, after Redis's: a use counts with probability 1 / ((count - 5) × factor + 1).
 */
import { COUNT_INITIAL } from './access-policy.ts';
import type { Keyspace } from '../keyspace.ts';

const ACCESS_MAX = 0xffffff;
const COUNT_MAX = 255;

/** Sets the access field as it is. */
export function setAccess(keyspace: Keyspace, ref: number, access: number): void {
  const words = keyspace.arena.words[ref >>> 20];
  const word = (ref & 0xfffff) << 1;
  words[word] = (words[word] & 0xffff00ff) | ((access >>> 16) << 8);
  words[word + 1] = (words[word + 1] & 0xffff) | (access << 16);
}

/** A command uses the key. */
export function touchAccess(keyspace: Keyspace, ref: number): void {
  const now = keyspace.accessClock;
  if (!keyspace.accessPolicy.countsUse) {
    // Mostly nothing to do: a key that is used often is used many times a second.
    if (keyspace.accessOf(ref) !== now) setAccess(keyspace, ref, now);
    return;
  }
  const { accessPolicy } = keyspace;
  let count = frequencyOf(keyspace, ref);
  const above = Math.max(0, count - COUNT_INITIAL);
  if (count < COUNT_MAX && accessPolicy.random() < 1 / (above * accessPolicy.logFactor + 1)) count++;
  setAccess(keyspace, ref, (count << 16) | (now & 0xffff));
}

/** Seconds since the key was last used; of use only while uses are not counted. */
export function idleSeconds(keyspace: Keyspace, ref: number): number {
  return (keyspace.accessClock - keyspace.accessOf(ref)) & ACCESS_MAX;
}

/** The count of uses, 0 to 255, decayed for the time that has passed; of use only while uses are counted. */
export function frequencyOf(keyspace: Keyspace, ref: number): number {
  const access = keyspace.accessOf(ref);
  const { decayMinutes } = keyspace.accessPolicy;
  const count = access >>> 16;
  if (decayMinutes === 0) return count;
  const elapsed = (keyspace.accessClock - access) & 0xffff;
  return Math.max(0, count - Math.floor(elapsed / decayMinutes));
}

/** Makes the key one that was last used so long ago. */
export function setIdleSeconds(keyspace: Keyspace, ref: number, seconds: number): void {
  setAccess(keyspace, ref, (keyspace.accessClock - Math.min(seconds, ACCESS_MAX)) & ACCESS_MAX);
}

export function setFrequency(keyspace: Keyspace, ref: number, count: number): void {
  setAccess(keyspace, ref, (count << 16) | (keyspace.accessClock & 0xffff));
}
