/**
 * The hybrid logical clock (Kulkarni, Demirbas, Madeppa, Avva, Leone 2014), 64 bits: 44 of milliseconds and a 20-bit
 * counter that carries into the milliseconds. Stamps are carried as two unsigned 32-bit halves, so that the hot path
 * makes no BigInt.
 */
import { compareStamp, stampHiOf, stampLoOf, stampMs } from '../protocol/stamp.ts';

/** A node looks at its clock several times a second. */
const LEAP_MS = 2_000;

export class Clock {
  /** The greatest stamp issued or seen. A stamp's high half is never 0, also where the machine believes it is 1970. */
  hi = 1;
  lo = 0;
  /** Wall-clock milliseconds since 1970, as of the last `refresh`: one reading serves a whole turn. */
  nowMs: number;
  /** Added to the machine's clock, so that tests can let a node's be wrong. */
  offsetMs = 0;
  /** Called when the wall clock is found to have been set ahead, or nobody has looked at it for long: before anything is stamped. */
  onLeap: (() => void) | null = null;
  /** It stays as it is: what runs must not see time go by. */
  isHeld = false;
  readonly #wallClock: () => number;
  #nowHi = 0;
  #nowLo = 0;

  constructor(wallClock: () => number) {
    this.#wallClock = wallClock;
    this.nowMs = 0;
    this.refresh();
  }

  /** Reads the wall clock. Called once a turn, before any command is run. */
  refresh(): number {
    if (this.isHeld) return this.nowMs;
    const nowMs = this.#wallClock() + this.offsetMs;
    if (nowMs !== this.nowMs) {
      const isLeap = nowMs - this.nowMs > LEAP_MS;
      this.nowMs = nowMs;
      this.#nowHi = stampHiOf(nowMs);
      this.#nowLo = stampLoOf(nowMs, 0);
      if (isLeap) this.onLeap?.();
    }
    return nowMs;
  }

  /** Advances to a stamp above every one issued or seen; it is then in `hi` and `lo`. */
  tick(): void {
    if (this.#nowHi > this.hi || (this.#nowHi === this.hi && this.#nowLo > this.lo)) {
      this.hi = this.#nowHi;
      this.lo = this.#nowLo;
    } else if (this.lo === 0xffffffff) {
      this.hi += 1;
      this.lo = 0;
    } else {
      this.lo += 1;
    }
  }

  /** Takes note of a stamp made elsewhere, so that the next local one is above it. */
  observe(hi: number, lo: number): void {
    if (compareStamp(hi, lo, this.hi, this.lo) > 0) {
      this.hi = hi;
      this.lo = lo;
    }
  }

  /** How far the clock runs ahead of the wall clock, in milliseconds; 0 or less when it does not. */
  aheadMs(): number {
    return stampMs(this.hi, this.lo) - this.nowMs;
  }
}
