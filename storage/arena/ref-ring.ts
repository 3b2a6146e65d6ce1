import { freeBuffer } from '../../protocol/free-buffer.ts';

/**
 * A growing first-in first-out queue of block references. Entries may be stale: blocks move and are freed; the reader
 * checks each block's own flag, so a stale or repeated entry does nothing.
 */
export class RefRing {
  #refs = new Uint32Array(256);
  #head = 0;
  #tail = 0;
  /** Entries ever taken out. */
  #taken = 0;

  /** Where the next entry comes, counted over all time. */
  get end(): number {
    return this.#taken + this.length;
  }

  /** Whether what lay before an earlier `end` is gone. Dropped by compact() it may be said later than it is so. */
  isPast(end: number): boolean {
    return this.#taken >= end || this.length === 0;
  }

  get length(): number {
    return this.#tail - this.#head;
  }

  /** What the entries and their room take. */
  get bytes(): number {
    return this.#refs.byteLength;
  }

  push(ref: number): void {
    if (this.#tail === this.#refs.length) this.#makeRoom();
    this.#refs[this.#tail++] = ref;
  }

  /** The entry so many places behind the oldest, which is there. */
  at(place: number): number {
    return this.#refs[this.#head + place];
  }

  /** The oldest entry; call only when there is one. */
  shift(): number {
    const ref = this.#refs[this.#head++];
    this.#taken++;
    if (this.#head === this.#tail) {
      this.#head = 0;
      this.#tail = 0;
    }
    return ref;
  }

  /** Undoes the shift() that gave this entry. */
  putBack(ref: number): void {
    this.#taken--;
    if (this.#head > 0) this.#refs[--this.#head] = ref;
    else this.push(ref);
  }

  /** Drops the entries that `keep` refuses; used when stale entries have piled up. */
  compact(keep: (ref: number) => boolean): void {
    let to = 0;
    for (let at = this.#head; at < this.#tail; at++) {
      const ref = this.#refs[at];
      if (keep(ref)) this.#refs[to++] = ref;
    }
    this.#head = 0;
    this.#tail = to;
  }

  clear(): void {
    this.#taken += this.length;
    this.#refs = new Uint32Array(256);
    this.#head = 0;
    this.#tail = 0;
  }

  #makeRoom(): void {
    if (this.#head > this.#refs.length >>> 1) {
      this.#refs.copyWithin(0, this.#head, this.#tail);
    } else {
      const larger = new Uint32Array(this.#refs.length * 2);
      larger.set(this.#refs.subarray(this.#head, this.#tail));
      freeBuffer(this.#refs);
      this.#refs = larger;
    }
    this.#tail -= this.#head;
    this.#head = 0;
  }
}
