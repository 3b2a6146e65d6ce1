/**
 * A set of keys' hashes, as Digests makes them, in one piece of memory that another thread can be sent a copy of:
 *
 *   u32 seed | u32 count | slots: u32 high, u32 low |     both 0 = empty
 *
 * The seed keeps clients from choosing keys that all want one slot.
 */
const HEADER_WORDS = 2;
const SLOTS_FIRST = 64;
const LOAD_MOST = 0.5;

export class KeyHashes {
  #words: Uint32Array;

  private constructor(words: Uint32Array) {
    this.#words = words;
  }

  static empty(seed: number): KeyHashes {
    const words = new Uint32Array(HEADER_WORDS + SLOTS_FIRST * 2);
    words[0] = seed;
    return new KeyHashes(words);
  }

  /** The set that `bytes` gave. */
  static of(bytes: Uint8Array): KeyHashes {
    const own = bytes.slice();
    return new KeyHashes(new Uint32Array(own.buffer, own.byteOffset, own.length / 4));
  }

  /** All of it; changes with the set. */
  get bytes(): Buffer {
    const { buffer, byteOffset, byteLength } = this.#words;
    return Buffer.from(buffer, byteOffset, byteLength);
  }

  get count(): number {
    return this.#words[1];
  }

  get slotCount(): number {
    return (this.#words.length - HEADER_WORDS) / 2;
  }

  add(hashHi: number, hashLo: number): void {
    if ((this.count + 1) / this.slotCount > LOAD_MOST) this.#grow();
    const words = this.#words;
    const at = this.#find(hashHi, hashLo);
    if ((words[at] | words[at + 1]) !== 0 || (hashHi | hashLo) === 0) return;
    words[at] = hashHi;
    words[at + 1] = hashLo;
    words[1]++;
  }

  has(hashHi: number, hashLo: number): boolean {
    const at = this.#find(hashHi, hashLo);
    return (this.#words[at] | this.#words[at + 1]) !== 0;
  }

  /** Visits what is in some of the slots. */
  visit(firstSlot: number, endSlot: number, visitor: (hashHi: number, hashLo: number) => void): void {
    const words = this.#words;
    const end = Math.min(words.length, HEADER_WORDS + endSlot * 2);
    for (let at = HEADER_WORDS + firstSlot * 2; at < end; at += 2) {
      if ((words[at] | words[at + 1]) !== 0) visitor(words[at], words[at + 1]);
    }
  }

  /** Where the hash is, or the empty slot where it would be. */
  #find(hashHi: number, hashLo: number): number {
    const words = this.#words;
    const mask = this.slotCount - 1;
    let mixed = Math.imul(hashLo ^ words[0], 0x9e3779b1) ^ Math.imul(hashHi + words[0], 0x85ebca6b);
    mixed ^= mixed >>> 15;
    let slot = mixed & mask;
    for (;;) {
      const at = HEADER_WORDS + slot * 2;
      const isEmpty = (words[at] | words[at + 1]) === 0;
      if (isEmpty || (words[at] === hashHi && words[at + 1] === hashLo)) return at;
      slot = (slot + 1) & mask;
    }
  }

  #grow(): void {
    const old = this.#words;
    this.#words = new Uint32Array(HEADER_WORDS + (old.length - HEADER_WORDS) * 2);
    this.#words[0] = old[0];
    for (let at = HEADER_WORDS; at < old.length; at += 2) this.add(old[at], old[at + 1]);
  }
}
