/** What the count of a new key begins with, so that it is not the first to go. */
export const COUNT_INITIAL = 5;

/** What is remembered of a key's use, as CONFIG says: when it was last used (LRU), or how often (LFU). The server sets it. */
export class AccessPolicy {
  /** A `maxmemory-policy` that ends in -lfu is in force. */
  countsUse = false;
  /** `lfu-log-factor`: the greater, the more uses it takes to be counted once more. */
  logFactor = 10;
  /** `lfu-decay-time`: minutes without use that take one from the count; 0 for never. */
  decayMinutes = 1;
  #random = 0x9e3779b9;

  /** Uniform in [0, 1): Marsaglia's xorshift. Counting is approximate by design, so that any sequence will do. */
  random(): number {
    let bits = this.#random;
    bits ^= bits << 13;
    bits ^= bits >>> 17;
    bits ^= bits << 5;
    this.#random = bits >>> 0;
    return this.#random / 0x100000000;
  }
}
