/** The 64-bit ids of the nodes whose writes this node holds, by the 16-bit index that blocks carry. Entry 0 is this node. */
import { formatNodeId } from '../../protocol/stamp.ts';

/** Blocks name a node in 16 bits. */
const NODES_MAX = 0x10000;
const WORD_MAX = 0xffffffff;
/** The index of an id that is above every origin: of a bound that goes by stamps alone. */
export const ABOVE_EVERY_ORIGIN = 1;
const COUNT_FIRST = 16;
const RECENT = 32;

export class NodeTable {
  /** Longer than there are ids. A list of numbers would hold them as floating-point numbers, and they are read for every digest. */
  hi = new Uint32Array(COUNT_FIRST);
  lo = new Uint32Array(COUNT_FIRST);
  /**
   * Whose consumer groups this node has, 16 hex digits each: its node id first, which new groups carry and no crash changes, then the
   * writers that it has been. Of groups of one name it shows that of the last.
   */
  owners: readonly string[];
  #count = 0;
  readonly #indexOf = new Map<string, number>();
  /** Ids that were asked for lately, by their lowest bits, each with its index: to look in the map takes a text. */
  readonly #recentHi = new Uint32Array(RECENT);
  readonly #recentLo = new Uint32Array(RECENT);
  readonly #recentIndex = new Int32Array(RECENT).fill(-1);

  constructor(ownHi: number, ownLo: number) {
    this.owners = [formatNodeId(ownHi, ownLo)];
    this.indexOf(ownHi, ownLo);
    // What is above every origin: floors of databases are compared with it.
    this.indexOf(WORD_MAX, WORD_MAX);
  }

  /** How many more ids fit. */
  get room(): number {
    return NODES_MAX - this.#count;
  }

  /** Adds an id to `missing`, as text, unless it is here. */
  collectMissing(hi: number, lo: number, missing: Set<string>): void {
    if (this.#recent(hi, lo) >= 0) return;
    const name = `${hi}:${lo}`;
    if (!this.#indexOf.has(name)) missing.add(name);
  }

  /** The index of a node id, which is added when it is new. */
  indexOf(hi: number, lo: number): number {
    const recent = this.#recent(hi, lo);
    if (recent >= 0) return recent;
    const name = `${hi}:${lo}`;
    let index = this.#indexOf.get(name);
    if (index === undefined) {
      index = this.#count;
      // Whoever merges has asked whether there is room: see checkRecords.
      if (index >= NODES_MAX) throw new RangeError('more than 65,535 node ids have written to this data set');
      if (index === this.hi.length) this.#grow();
      this.hi[index] = hi;
      this.lo[index] = lo;
      this.#count++;
      this.#indexOf.set(name, index);
    }
    const slot = lo & (RECENT - 1);
    this.#recentHi[slot] = hi;
    this.#recentLo[slot] = lo;
    this.#recentIndex[slot] = index;
    return index;
  }

  /** The index of an id that was asked for lately, else -1. */
  #recent(hi: number, lo: number): number {
    const slot = lo & (RECENT - 1);
    return this.#recentLo[slot] === lo && this.#recentHi[slot] === hi ? this.#recentIndex[slot] : -1;
  }

  #grow(): void {
    const { hi, lo } = this;
    this.hi = new Uint32Array(2 * hi.length);
    this.lo = new Uint32Array(2 * lo.length);
    this.hi.set(hi);
    this.lo.set(lo);
  }

  /** Orders two indexes by their node ids: the tie-breaker between equal stamps. */
  compare(a: number, b: number): number {
    if (a === b) return 0;
    return this.hi[a] - this.hi[b] || this.lo[a] - this.lo[b];
  }
}
