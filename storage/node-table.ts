/** The 64-bit ids of the nodes whose writes this node holds, by the 16-bit index that blocks carry. Entry 0 is this node. */
export class NodeTable {
  readonly hi: number[] = [];
  readonly lo: number[] = [];
  readonly #indexOf = new Map<string, number>();
  #lastHi = -1;
  #lastLo = -1;
  #lastIndex = 0;

  constructor(ownHi: number, ownLo: number) {
    this.indexOf(ownHi, ownLo);
  }

  /** The index of a node id, which is added when it is new. At most 65,535 nodes can ever have written. */
  indexOf(hi: number, lo: number): number {
    if (hi === this.#lastHi && lo === this.#lastLo) return this.#lastIndex;
    const name = `${hi}:${lo}`;
    let index = this.#indexOf.get(name);
    if (index === undefined) {
      index = this.hi.length;
      if (index > 0xffff) throw new RangeError('more than 65,535 node ids have written to this data set');
      this.hi.push(hi);
      this.lo.push(lo);
      this.#indexOf.set(name, index);
    }
    this.#lastHi = hi;
    this.#lastLo = lo;
    this.#lastIndex = index;
    return index;
  }

  /** Orders two indexes by their node ids: the tie-breaker between equal stamps. */
  compare(a: number, b: number): number {
    if (a === b) return 0;
    return this.hi[a] - this.hi[b] || this.lo[a] - this.lo[b];
  }
}
