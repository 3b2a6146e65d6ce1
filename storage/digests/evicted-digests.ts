/**
 * What a node's digests go on counting of a database's keys that have left memory: the digest of each as it left. Peers that show
 * the same then have the same digests, and a repair brings none of it back. An entry leaves when memory has something of its key
 * again, when the deadline that it left with has passed, or when peers keep asking for what this node cannot give.
 *
 *   slot: | u32 key hash, high | u32 key hash, low | u32 digest, high | u32 digest, low | u32 deadline, times asked |     digest 0 = empty
 *
 * Of what was asked for three times the key is sought in the stores, see evicted-search.ts.
 *
 * About 26 bytes a key. 1,024 tables by the hash's high bits, each a run of whole buckets, which grow by themselves by a quarter.
 */
const TABLES = 1024;
const TABLE_SHIFT = 22;
const WORDS = 5;
const SLOTS_LEAST = 8;
const LOAD_MOST = 0.85;
const GROWTH = 1.25;
const NO_SLOTS = new Uint32Array(0);
/** Deadlines are kept in sixteenths of a second, rounded up, from when the first was added; those beyond two years are not kept. */
const UNIT_MS = 62.5;
const UNITS_MOST = 0x3fffffff;
const ASKED_BITS = 2;
const ASKED_MOST = 3;

/** What is told of each entry. */
export type EvictedVisitor = (hashHi: number, hashLo: number, digestHi: number, digestLo: number) => void;

function homeOf(hashLo: number, hashHi: number, slots: number): number {
  const mixed = Math.imul(hashLo ^ (hashHi << 7), 0x9e3779b1) >>> 0;
  return Math.floor((mixed / 0x100000000) * slots);
}

export class EvictedDigests {
  static readonly tableCount = TABLES;
  count = 0;
  bytes = 0;
  /** The digest of the entry last taken out, or read. */
  digestHi = 0;
  digestLo = 0;
  #tables: Uint32Array[] = [];
  readonly #counts = new Uint32Array(TABLES);
  /** The soonest deadline in each table, or before it; 0 for none. */
  readonly #soonest = new Uint32Array(TABLES);
  #epochMs = 0;
  #swept = 0;

  /** Adds the digest of a key that is not there. `deadlineMs` is 0 for none. */
  add(hashHi: number, hashLo: number, digestHi: number, digestLo: number, deadlineMs: number, nowMs: number): void {
    if (this.#tables.length === 0) this.#tables = new Array<Uint32Array>(TABLES).fill(NO_SLOTS);
    if ((digestHi | digestLo) === 0) return;
    const at = hashHi >>> TABLE_SHIFT;
    if ((this.#counts[at] + 1) * WORDS > this.#tables[at].length * LOAD_MOST) this.#grow(at);
    const table = this.#tables[at];
    const slot = this.#find(table, hashHi, hashLo);
    const due = this.#unitsOf(deadlineMs, nowMs);
    table[slot] = hashHi;
    table[slot + 1] = hashLo;
    table[slot + 2] = digestHi;
    table[slot + 3] = digestLo;
    table[slot + 4] = due << ASKED_BITS;
    if (due !== 0 && (this.#soonest[at] === 0 || due < this.#soonest[at])) this.#soonest[at] = due;
    this.#counts[at]++;
    this.count++;
  }

  /** Takes a key out, and leaves its digest in `digestHi` and `digestLo`. False when it is not there. */
  remove(hashHi: number, hashLo: number): boolean {
    const table = this.#tables[hashHi >>> TABLE_SHIFT] ?? NO_SLOTS;
    if (table.length === 0) return false;
    const slot = this.#find(table, hashHi, hashLo);
    if ((table[slot + 2] | table[slot + 3]) === 0) return false;
    this.#takeOut(table, slot, hashHi >>> TABLE_SHIFT);
    return true;
  }

  /** Leaves the digest of a key in `digestHi` and `digestLo`. False when it is not there. */
  read(hashHi: number, hashLo: number): boolean {
    const table = this.#tables[hashHi >>> TABLE_SHIFT] ?? NO_SLOTS;
    if (table.length === 0) return false;
    const slot = this.#find(table, hashHi, hashLo);
    this.digestHi = table[slot + 2];
    this.digestLo = table[slot + 3];
    return (this.digestHi | this.digestLo) !== 0;
  }

  /** Takes out what is past its deadline, about `limit` slots looked at. Returns whether there may be more. */
  expire(nowMs: number, limit: number, taken: EvictedVisitor): boolean {
    if (this.count === 0 || nowMs < this.#epochMs) return false;
    const now = Math.floor((nowMs - this.#epochMs) / UNIT_MS);
    let left = limit;
    for (let tables = 0; tables < TABLES; tables++) {
      const at = this.#swept;
      const soonest = this.#soonest[at];
      if (soonest !== 0 && soonest < now) {
        if (left <= 0) return true;
        left -= this.#tables[at].length / WORDS;
        this.#expireTable(at, now, taken);
      }
      this.#swept = (at + 1) % TABLES;
    }
    return false;
  }

  /** Visits the entries of one of the `tableCount` tables. */
  visit(at: number, visitor: EvictedVisitor): void {
    const table = this.#tables[at] ?? NO_SLOTS;
    for (let slot = 0; slot < table.length; slot += WORDS) {
      if ((table[slot + 2] | table[slot + 3]) !== 0)
        visitor(table[slot], table[slot + 1], table[slot + 2], table[slot + 3]);
    }
  }

  /**
   * A peer lacks these keys of one table, and asks. What is asked for the third time is given to `seek`, which says whether it will be
   * sought (until `endSeeking`), or not yet; where nothing can be, null, it is taken out.
   */
  ask(
    at: number,
    isAsked: (hashHi: number, hashLo: number) => boolean,
    seek: ((hashHi: number, hashLo: number) => boolean) | null,
    taken: EvictedVisitor,
  ): void {
    this.#filter(at, taken, (table, slot) => {
      const times = table[slot + 4] & ASKED_MOST;
      if (times === ASKED_MOST || !isAsked(table[slot], table[slot + 1])) return false;
      const isThird = times === ASKED_MOST - 1;
      if (isThird && seek === null) return true;
      if (!isThird || seek!(table[slot], table[slot + 1])) table[slot + 4]++;
      return false;
    });
  }

  /** Whether peers asked for the key three times, and it is being sought. */
  isSought(hashHi: number, hashLo: number): boolean {
    const table = this.#tables[hashHi >>> TABLE_SHIFT] ?? NO_SLOTS;
    if (table.length === 0) return false;
    const slot = this.#find(table, hashHi, hashLo);
    return (table[slot + 2] | table[slot + 3]) !== 0 && (table[slot + 4] & ASKED_MOST) === ASKED_MOST;
  }

  /**
   * The search for a key is over. Without `isLost` it begins again when the key is asked for once more; else the key is taken out, its
   * digest left in `digestHi` and `digestLo`. @returns whether it was
   */
  endSeeking(hashHi: number, hashLo: number, isLost: boolean): boolean {
    if (!this.isSought(hashHi, hashLo)) return false;
    if (isLost) return this.remove(hashHi, hashLo);
    const table = this.#tables[hashHi >>> TABLE_SHIFT];
    table[this.#find(table, hashHi, hashLo) + 4]--;
    return false;
  }

  /** Takes out those of one table that `goes` names. */
  drop(at: number, goes: (hashHi: number, hashLo: number) => boolean, taken: EvictedVisitor): void {
    this.#filter(at, taken, (table, slot) => goes(table[slot], table[slot + 1]));
  }

  clear(): void {
    this.#tables = [];
    this.#counts.fill(0);
    this.#soonest.fill(0);
    this.count = 0;
    this.bytes = 0;
  }

  #expireTable(at: number, now: number, taken: EvictedVisitor): void {
    let soonest = 0;
    this.#filter(at, taken, (table, slot) => {
      const due = table[slot + 4] >>> ASKED_BITS;
      if (due === 0) return false;
      if (due < now) return true;
      if (soonest === 0 || due < soonest) soonest = due;
      return false;
    });
    this.#soonest[at] = soonest;
  }

  /** Takes out those of a table that `goes` says. */
  #filter(at: number, taken: EvictedVisitor, goes: (table: Uint32Array, slot: number) => boolean): void {
    const table = this.#tables[at] ?? NO_SLOTS;
    const going: number[] = [];
    for (let slot = 0; slot < table.length; slot += WORDS) {
      if ((table[slot + 2] | table[slot + 3]) !== 0 && goes(table, slot)) going.push(table[slot], table[slot + 1]);
    }
    for (let index = 0; index < going.length; index += 2) {
      this.remove(going[index], going[index + 1]);
      taken(going[index], going[index + 1], this.digestHi, this.digestLo);
    }
  }

  #unitsOf(deadlineMs: number, nowMs: number): number {
    if (deadlineMs <= 0) return 0;
    if (this.#epochMs === 0) this.#epochMs = nowMs;
    const units = Math.max(1, Math.ceil((deadlineMs - this.#epochMs) / UNIT_MS));
    return units > UNITS_MOST ? 0 : units;
  }

  /** Where the key's slot begins, or the empty one where it would be. */
  #find(table: Uint32Array, hashHi: number, hashLo: number): number {
    let slot = homeOf(hashLo, hashHi, table.length / WORDS) * WORDS;
    while ((table[slot + 2] | table[slot + 3]) !== 0 && (table[slot] !== hashHi || table[slot + 1] !== hashLo)) {
      slot = slot + WORDS === table.length ? 0 : slot + WORDS;
    }
    return slot;
  }

  #takeOut(table: Uint32Array, slot: number, at: number): void {
    this.digestHi = table[slot + 2];
    this.digestLo = table[slot + 3];
    const slots = table.length / WORDS;
    let hole = slot / WORDS;
    // Later slots of the run move back, so that no marker stays (Knuth 6.4, algorithm R).
    for (let next = (hole + 1) % slots; ; next = (next + 1) % slots) {
      const from = next * WORDS;
      if ((table[from + 2] | table[from + 3]) === 0) break;
      const home = homeOf(table[from + 1], table[from], slots);
      if ((next - home + slots) % slots < (next - hole + slots) % slots) continue;
      table.copyWithin(hole * WORDS, from, from + WORDS);
      hole = next;
    }
    table.fill(0, hole * WORDS, hole * WORDS + WORDS);
    this.#counts[at]--;
    this.count--;
  }

  #grow(at: number): void {
    const old = this.#tables[at];
    const slots = Math.max(SLOTS_LEAST, Math.ceil((old.length / WORDS) * GROWTH));
    const grown = new Uint32Array(slots * WORDS);
    for (let slot = 0; slot < old.length; slot += WORDS) {
      if ((old[slot + 2] | old[slot + 3]) === 0) continue;
      grown.set(old.subarray(slot, slot + WORDS), this.#find(grown, old[slot], old[slot + 1]));
    }
    this.#tables[at] = grown;
    this.bytes += grown.byteLength - old.byteLength;
  }
}
