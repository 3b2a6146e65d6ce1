/**
 * How an element of a run (list-run.ts) is told from the one that came before it: by the distance of their stamps, and by how many
 * numbers were left out between theirs.
 *
 *   00…7f   the stamp is that much later, the number is the next one
 *   80+     40 for earlier instead of later | 20 for numbers left out | bytes of the distance, 0 to 7,
 *           and then: distance, little-endian | numbers left out, u8
 *
 * Worked example: an element that came a millisecond (100000 hexadecimal) and one stamp after the one before it is 83 01 00 10.
 */
import { compareStamp } from '../../protocol/stamp.ts';

export const FAR = 0x80;
const EARLIER = 0x40;
const GAP = 0x20;
const GAP_SHIFT = 5;
const LENGTH = 7;
/** A distance of stamps has 56 bits, 24 of them in the high half. */
const DISTANCE_HI_MAX = 0xffffff;
const GAP_MAX = 0xff;
export const STEP_BYTES_MAX = 1 + LENGTH + 1;

/** The bytes of the step at `at`. */
export function stepLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at];
  return first < FAR ? 1 : 1 + (first & LENGTH) + ((first & GAP) >>> GAP_SHIFT);
}

/** Writes a step in its long form; returns where it ends, 0 when the distance or the gap is too great. */
export function writeLongStep(
  bytes: Uint8Array,
  at: number,
  hi: number,
  lo: number,
  beforeHi: number,
  beforeLo: number,
  gap: number,
): number {
  const isEarlier = compareStamp(hi, lo, beforeHi, beforeLo) < 0;
  const low = isEarlier ? beforeLo - lo : lo - beforeLo;
  let distanceHi = (isEarlier ? beforeHi - hi : hi - beforeHi) - (low < 0 ? 1 : 0);
  let distanceLo = low >>> 0;
  if (distanceHi > DISTANCE_HI_MAX || gap < 0 || gap > GAP_MAX) return 0;
  let to = at + 1;
  for (; distanceLo !== 0 || distanceHi !== 0; to++) {
    bytes[to] = distanceLo;
    distanceLo = ((distanceLo >>> 8) | (distanceHi << 24)) >>> 0;
    distanceHi >>>= 8;
  }
  bytes[at] = FAR | (isEarlier ? EARLIER : 0) | (gap > 0 ? GAP : 0) | (to - at - 1);
  if (gap > 0) bytes[to++] = gap;
  return to;
}

/** A step that was read, and the stamp at which it ends. */
export class RunStep {
  #distanceHi = 0;
  #distanceLo = 0;
  #isEarlier = false;
  gap = 0;
  hi = 0;
  lo = 0;

  read(bytes: Uint8Array, at: number): void {
    const first = bytes[at];
    this.#distanceHi = 0;
    this.#distanceLo = first;
    this.#isEarlier = false;
    this.gap = 0;
    if (first >= FAR) this.#readLong(bytes, at, first);
  }

  #readLong(bytes: Uint8Array, at: number, first: number): void {
    const length = first & LENGTH;
    let distanceHi = 0;
    let distanceLo = 0;
    for (let index = length; index > 4; index--) distanceHi = (distanceHi << 8) | bytes[at + index];
    for (let index = Math.min(4, length); index > 0; index--) distanceLo = (distanceLo << 8) | bytes[at + index];
    this.#distanceHi = distanceHi;
    this.#distanceLo = distanceLo >>> 0;
    this.#isEarlier = (first & EARLIER) !== 0;
    if ((first & GAP) !== 0) this.gap = bytes[at + 1 + length];
  }

  /** Leaves in `hi` and `lo` the stamp to which the step leads from the one given, or from which it leads there. */
  apply(hi: number, lo: number, backwards: boolean): void {
    if (backwards === this.#isEarlier) {
      const low = lo + this.#distanceLo;
      this.hi = hi + this.#distanceHi + (low > 0xffffffff ? 1 : 0);
      this.lo = low >>> 0;
    } else {
      this.hi = hi - this.#distanceHi - (lo < this.#distanceLo ? 1 : 0);
      this.lo = (lo - this.#distanceLo) >>> 0;
    }
  }
}
