/**
 * Open-addressing tables of 64-bit key hashes in typed arrays, for repair: what the other side told of (hash → digest), or a
 * set of hashes. A table is many small shards, so that none takes long to grow. Shard and slot are mixed with a random seed, so
 * that keys chosen by a client to collide in the key hash's bits do not slow it.
 */

const NO_HASHES = new Uint32Array(0);
const EMPTY = 0;
const PRESENT = 1;
const MATCHED = 2;

const SHARD_SLOTS_FIRST = 16;
/** The first ten bits of the mixed hash name the shard. */
const SHARD_SHIFT = 22;
/** Shards fill alike. Each grows at another load between these, lest all of them grow at the same moment. */
const LOAD_LEAST = 0.35;
const LOAD_MOST = 0.65;
/** Shards that are made for what is expected are so full then, and may be a little fuller: they differ by chance. */
const LOAD_EXPECTED = 0.6;
const LOAD_MARGIN = 0.15;

function mix(hashHi: number, hashLo: number, seed: number): number {
  let word = Math.imul(hashLo ^ seed, 0x9e3779b1) ^ Math.imul(hashHi + seed, 0x85ebca6b);
  word ^= word >>> 15;
  word = Math.imul(word, 0xc2b2ae35);
  return (word ^ (word >>> 13)) >>> 0;
}

class Shard {
  size = 0;
  readonly #load: number;
  /** Words a slot: 2 for a hash (high, low), 4 where a digest (high, low) follows. */
  readonly #stride: number;
  words: Uint32Array;
  states: Uint8Array;

  /** @param load the share of its slots that may be taken */
  constructor(load: number, stride: number, slots: number) {
    this.#load = load;
    this.#stride = stride;
    this.words = new Uint32Array(stride * slots);
    this.states = new Uint8Array(slots);
  }

  get isFull(): boolean {
    return this.size >= this.states.length * this.#load;
  }

  /** The slot of a key, or the empty one where it belongs. */
  slotOf(hashHi: number, hashLo: number, mixed: number): number {
    const { words, states } = this;
    const stride = this.#stride;
    const mask = states.length - 1;
    let slot = mixed & mask;
    while (states[slot] !== EMPTY && (words[slot * stride] !== hashHi || words[slot * stride + 1] !== hashLo)) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  grow(seed: number): void {
    const { words, states } = this;
    const stride = this.#stride;
    this.words = new Uint32Array(words.length * 2);
    this.states = new Uint8Array(states.length * 2);
    for (let old = 0; old < states.length; old++) {
      if (states[old] === EMPTY) continue;
      const from = old * stride;
      const hashHi = words[from];
      const hashLo = words[from + 1];
      const slot = this.slotOf(hashHi, hashLo, mix(hashHi, hashLo, seed));
      this.states[slot] = states[old]!;
      // Not by `set`: a view for each slot would be a hundred megabytes of garbage for a million keys.
      for (let word = 0; word < stride; word++) this.words[slot * stride + word] = words[from + word]!;
    }
  }
}

const NO_SHARDS: (Shard | undefined)[] = [];

/** Hash → digest, or only hashes. `size` is for the caller to bound. */
export class KeyTable {
  static readonly shardCount = 1024;
  size = 0;
  #seed: number;
  readonly #stride: number;
  readonly #slotsFirst: number;
  /** Made for the first key: most tables stay empty. */
  #shards: (Shard | undefined)[] = NO_SHARDS;

  /**
   * @param hasDigests false = a set: the digests that are given are not kept
   * @param expected about so many keys will come. What a table outgrows is garbage, and V8 collects all there is of it after a few megabytes.
   */
  constructor(seed: number, hasDigests: boolean, expected = 0) {
    this.#seed = seed | 0;
    this.#stride = hasDigests ? 4 : 2;
    const slots = expected / KeyTable.shardCount / LOAD_EXPECTED;
    this.#slotsFirst = Math.max(SHARD_SLOTS_FIRST, 2 ** Math.ceil(Math.log2(Math.max(1, slots))));
  }

  #shardOf(mixed: number): Shard | undefined {
    return this.#shards[mixed >>> SHARD_SHIFT];
  }

  #makeShard(index: number): Shard {
    const isExpected = this.#slotsFirst > SHARD_SLOTS_FIRST;
    const least = isExpected ? LOAD_EXPECTED + LOAD_MARGIN : LOAD_LEAST;
    const load = least + ((isExpected ? LOAD_MARGIN / 2 : LOAD_MOST - LOAD_LEAST) * index) / KeyTable.shardCount;
    return new Shard(load, this.#stride, this.#slotsFirst);
  }

  /** Sets a key's digest, which counts as not matched yet. */
  set(hashHi: number, hashLo: number, digestHi = 0, digestLo = 0): void {
    const mixed = mix(hashHi, hashLo, this.#seed);
    const index = mixed >>> SHARD_SHIFT;
    if (this.#shards === NO_SHARDS) this.#shards = new Array<Shard | undefined>(KeyTable.shardCount);
    const shard = (this.#shards[index] ??= this.#makeShard(index));
    if (shard.isFull) shard.grow(this.#seed);
    const slot = shard.slotOf(hashHi, hashLo, mixed);
    if (shard.states[slot] === EMPTY) {
      shard.size++;
      this.size++;
    }
    shard.states[slot] = PRESENT;
    const at = slot * this.#stride;
    shard.words[at] = hashHi;
    shard.words[at + 1] = hashLo;
    if (this.#stride === 2) return;
    shard.words[at + 2] = digestHi;
    shard.words[at + 3] = digestLo;
  }

  has(hashHi: number, hashLo: number): boolean {
    const mixed = mix(hashHi, hashLo, this.#seed);
    const shard = this.#shardOf(mixed);
    return shard !== undefined && shard.states[shard.slotOf(hashHi, hashLo, mixed)] !== EMPTY;
  }

  /** True when the key is here with this very digest; it is marked as matched then. Not for sets. */
  match(hashHi: number, hashLo: number, digestHi: number, digestLo: number): boolean {
    const mixed = mix(hashHi, hashLo, this.#seed);
    const shard = this.#shardOf(mixed);
    if (shard === undefined) return false;
    const slot = shard.slotOf(hashHi, hashLo, mixed);
    if (shard.states[slot] === EMPTY) return false;
    if (shard.words[slot * 4 + 2] !== digestHi || shard.words[slot * 4 + 3] !== digestLo) return false;
    shard.states[slot] = MATCHED;
    return true;
  }

  /** Marks a key that is here with another digest as matched all the same; false when it is not here, or is marked already. */
  claim(hashHi: number, hashLo: number): boolean {
    const mixed = mix(hashHi, hashLo, this.#seed);
    const shard = this.#shardOf(mixed);
    if (shard === undefined) return false;
    const slot = shard.slotOf(hashHi, hashLo, mixed);
    if (shard.states[slot] !== PRESENT) return false;
    shard.states[slot] = MATCHED;
    return true;
  }

  /** Hashes (two words each) of the keys in one shard that neither `match` nor `claim` has marked. */
  unmatched(shardIndex: number): Uint32Array {
    const shard = this.#shards[shardIndex];
    if (shard === undefined) return NO_HASHES;
    const hashes = new Uint32Array(shard.size * 2);
    let at = 0;
    for (let slot = 0; slot < shard.states.length; slot++) {
      if (shard.states[slot] !== PRESENT) continue;
      hashes[at++] = shard.words[slot * this.#stride]!;
      hashes[at++] = shard.words[slot * this.#stride + 1]!;
    }
    return hashes.subarray(0, at);
  }
}
