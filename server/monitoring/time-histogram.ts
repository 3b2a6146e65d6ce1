/** How long the calls of a command took: four buckets for each doubling of the time, from 128 ns to about a second. */

const LEAST_BITS = 7;
const PARTS_BITS = 2;
const PARTS = 1 << PARTS_BITS;
/** Longer times count as this, as in Redis. */
const MOST_NANOSECONDS = 2 ** 30;
const BUCKETS = 1 + (31 - LEAST_BITS) * PARTS;
/** LATENCY HISTOGRAM's first bucket ends at 2^10 ns. */
const FIRST_SHOWN_BITS = 10;

function bucketOf(nanoseconds: number): number {
  const bits = 31 - Math.clz32(nanoseconds);
  if (bits < LEAST_BITS) return 0;
  return 1 + (bits - LEAST_BITS) * PARTS + ((nanoseconds >>> (bits - PARTS_BITS)) & (PARTS - 1));
}

/** The first time, in nanoseconds, that is too long for the bucket. */
function endOf(bucket: number): number {
  if (bucket === 0) return 1 << LEAST_BITS;
  const part = (bucket - 1) % PARTS;
  return (PARTS + part + 1) * 2 ** ((bucket - 1 - part) / PARTS + LEAST_BITS - PARTS_BITS);
}

export interface CumulativeBucket {
  /** Whole microseconds. */
  readonly upTo: number;
  /** Calls that took no longer. */
  readonly calls: number;
}

export class TimeHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  /** Calls, those that samples stand for included. */
  calls = 0;

  /** @param weight for how many calls the time stands */
  add(microseconds: number, weight: number): void {
    this.#counts[bucketOf(Math.min(microseconds * 1000, MOST_NANOSECONDS))] += weight;
    this.calls += weight;
  }

  /** By powers of two, those alone in which there are calls; bounded by the microseconds that Redis writes: 1, 2, 4, 8, 16, 33, 66, … */
  cumulative(): CumulativeBucket[] {
    const found: CumulativeBucket[] = [];
    let bucket = 0;
    let calls = 0;
    for (let bits = FIRST_SHOWN_BITS; calls < this.calls; bits++) {
      const before = calls;
      for (; bucket < BUCKETS && endOf(bucket) <= 2 ** bits; bucket++) calls += this.#counts[bucket];
      if (calls > before) found.push({ upTo: Math.floor((2 ** bits * (1 + 1 / 128) - 1) / 1000), calls });
    }
    return found;
  }

  /** The time that so many percent of the calls did not exceed, in microseconds: the end of its bucket. */
  percentile(percent: number): number {
    const wanted = Math.max(1, (percent / 100) * this.calls);
    let calls = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      calls += this.#counts[bucket];
      if (calls >= wanted) return (endOf(bucket) - 1) / 1000;
    }
    return 0;
  }
}
