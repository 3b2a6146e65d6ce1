/**
 * Which keys of a database are in the durable stores and not in memory, by 31 bits of their hashes: about 6 bytes a key. It says
 * "maybe" of a key that never was there as often as two keys share 31 bits, one time in 200 with ten million keys evicted.
 *
 *   slot: | 31 bits of the hash | 1 bit: more than one key may share it, so that it stays when one of them comes back |     0 = empty
 *
 * 1,024 tables by the hash's high bits, each of which grows by itself: no insertion waits for a rehash of everything.
 */
const TABLES = 1024;
const TABLE_SHIFT = 22;
const SLOTS_LEAST = 16;
const LOAD_MOST = 0.85;
const SHARED = 1;
const NO_SLOTS = new Uint32Array(0);

/** The slot's upper 31 bits, never 0. */
function entryOf(hash: number): number {
  return (hash & ~SHARED) >>> 0 || 2;
}

function homeOf(entry: number, mask: number): number {
  return (Math.imul(entry >>> 1, 0x9e3779b1) >>> 8) & mask;
}

export class EvictedKeys {
  /** Entries; keys that share one count once. */
  count = 0;
  bytes = 0;
  #tables: Uint32Array[] = [];
  #counts = new Uint32Array(0);

  /** Whether the key of this hash may be in the stores alone, or memory have a part of it alone. */
  has(hash: number): boolean {
    if (this.count === 0) return false;
    const table = this.#tables[hash >>> TABLE_SHIFT];
    if (table.length === 0) return false;
    return (table[this.#find(table, entryOf(hash))] & ~SHARED) !== 0;
  }

  /** Adds a key that has left memory. `isUncertain`: the entry that is there already may be its own, or another key's. */
  add(hash: number, isUncertain = false): void {
    if (this.#tables.length === 0) this.#begin();
    const at = hash >>> TABLE_SHIFT;
    if (this.#counts[at] >= this.#tables[at].length * LOAD_MOST) this.#grow(at);
    const table = this.#tables[at];
    const entry = entryOf(hash);
    const slot = this.#find(table, entry);
    if (table[slot] !== 0) {
      table[slot] |= SHARED;
      return;
    }
    table[slot] = isUncertain ? entry | SHARED : entry;
    this.#counts[at]++;
    this.count++;
  }

  /** The key, which was added, is in memory again, all of it. */
  remove(hash: number): void {
    if (!this.has(hash)) return;
    const at = hash >>> TABLE_SHIFT;
    const table = this.#tables[at];
    const mask = table.length - 1;
    let hole = this.#find(table, entryOf(hash));
    if ((table[hole] & SHARED) !== 0) return;
    // Later slots of the run move back, so that no marker stays (Knuth 6.4, algorithm R).
    for (let next = (hole + 1) & mask; table[next] !== 0; next = (next + 1) & mask) {
      const home = homeOf(table[next], mask);
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      table[hole] = table[next];
      hole = next;
    }
    table[hole] = 0;
    this.#counts[at]--;
    this.count--;
  }

  clear(): void {
    this.#tables = [];
    this.#counts = new Uint32Array(0);
    this.count = 0;
    this.bytes = 0;
  }

  #begin(): void {
    this.#tables = new Array<Uint32Array>(TABLES).fill(NO_SLOTS);
    this.#counts = new Uint32Array(TABLES);
  }

  /** The slot of the entry, or the empty one where it would be. */
  #find(table: Uint32Array, entry: number): number {
    const mask = table.length - 1;
    let slot = homeOf(entry, mask);
    while (table[slot] !== 0 && (table[slot] & ~SHARED) >>> 0 !== entry) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(at: number): void {
    const old = this.#tables[at];
    const grown = new Uint32Array(Math.max(SLOTS_LEAST, old.length * 2));
    for (const value of old) if (value !== 0) grown[this.#find(grown, (value & ~SHARED) >>> 0)] = value;
    this.#tables[at] = grown;
    this.bytes += grown.byteLength - old.byteLength;
  }
}
