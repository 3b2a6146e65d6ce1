/**
 * Order-independent digests of what a node shows: per bucket the XOR of a 64-bit hash of every visible register's
 * (kind, database, key, element, stamp, origin, deadline's stamp). Two nodes that hold the same visible registers have
 * the same digests, whatever order they arrived in; tombstones do not count, so that dropping one changes nothing.
 *
 * The hash has no secret: equal state must give equal digests on every node. It mixes in stamps, which nobody outside chooses.
 */

import { REPAIR_GROUP_COUNT, renewGroups } from '../../protocol/peer-repair.ts';

const BUCKET_COUNT = 65536;
/** A local name, because looking up a global in jest's module context is slow. */
const { imul } = Math;

function mix(hash: number, word: number): number {
  let mixed = imul(hash ^ word, 0x9e3779b1);
  mixed = imul(mixed ^ (mixed >>> 15), 0x85ebca6b);
  return mixed ^ (mixed >>> 13);
}

function versionHi(keyHi: number, kindAndElement: number, stampHi: number, stampLo: number, originLo: number): number {
  return mix(mix(mix(mix(keyHi, kindAndElement), stampHi), stampLo), originLo);
}

function versionLo(
  keyLo: number,
  kindAndElement: number,
  stampHi: number,
  stampLo: number,
  originHi: number,
  originLo: number,
): number {
  return mix(mix(mix(mix(keyLo, stampLo), originHi) ^ stampHi, originLo), kindAndElement);
}

export class Digests {
  /** Two words a bucket, high then low. */
  readonly words = new Uint32Array(BUCKET_COUNT * 2);
  readonly #groups = new Uint32Array(REPAIR_GROUP_COUNT * 2);
  /** 1 for each group of which a bucket has changed since `groups` was called. */
  readonly #stale = new Uint8Array(REPAIR_GROUP_COUNT).fill(1);
  /** The hashes of the key and of the register last hashed. Signed: V8 would keep what is beyond 2^31 as a floating-point number. */
  #keyHi = 0;
  #keyLo = 0;
  #registerHi = 0;
  #registerLo = 0;
  /** A key of which the hash is known: see `know`. */
  knownBytes: Uint8Array | null = null;
  knownStart = 0;
  knownLength = 0;
  #knownDatabase = 0;
  #knownHi = 0;
  #knownLo = 0;

  /** The hash of the key last given to `hashKey`; unsigned. Its bucket is `keyHi >>> 16`. */
  get keyHi(): number {
    return this.#keyHi >>> 0;
  }

  get keyLo(): number {
    return this.#keyLo >>> 0;
  }

  /** The hash of the register last given to `hashRegister`; unsigned. */
  get registerHi(): number {
    return this.#registerHi >>> 0;
  }

  get registerLo(): number {
    return this.#registerLo >>> 0;
  }

  /** The hash of this key was computed before, and is `hi` and `lo`; to be forgotten before the bytes change. */
  know(database: number, bytes: Uint8Array, start: number, length: number, hi: number, lo: number): void {
    this.knownBytes = bytes;
    this.knownStart = start;
    this.knownLength = length;
    this.#knownDatabase = database;
    this.#knownHi = hi;
    this.#knownLo = lo;
  }

  forget(): void {
    this.knownBytes = null;
  }

  /** Whether the hash of a key of this database is known. */
  knows(database: number): boolean {
    return this.knownBytes !== null && this.#knownDatabase === database;
  }

  /** `hashKey` of the key whose hash is known. */
  recall(): void {
    this.#keyHi = this.#knownHi;
    this.#keyLo = this.#knownLo;
  }

  /** The same when that is this key, and lies where it did; else returns false. */
  recallAt(database: number, bytes: Uint8Array, start: number, length: number): boolean {
    if (start !== this.knownStart || bytes !== this.knownBytes || length !== this.knownLength) return false;
    if (database !== this.#knownDatabase) return false;
    this.recall();
    return true;
  }

  hashKey(database: number, buffer: Uint8Array, start: number, length: number): void {
    let hi = mix(0x243f6a88, database);
    let lo = mix(0x85a308d3, length);
    const end = start + length;
    let at = start;
    for (; at + 4 <= end; at += 4) {
      const word = buffer[at] | (buffer[at + 1] << 8) | (buffer[at + 2] << 16) | (buffer[at + 3] << 24);
      hi = mix(hi, word);
      lo = imul(lo ^ word, 0xcc9e2d51) ^ (lo >>> 17);
    }
    let tail = 0;
    for (let shift = 0; at < end; at++, shift += 8) tail |= buffer[at] << shift;
    this.#keyHi = mix(hi, tail);
    this.#keyLo = mix(lo ^ tail, hi);
  }

  /** The same for a key whose bytes a view reads in words. */
  hashKeyView(database: number, view: DataView, start: number, length: number): void {
    let hi = mix(0x243f6a88, database);
    let lo = mix(0x85a308d3, length);
    const end = start + length;
    let at = start;
    for (; at + 4 <= end; at += 4) {
      const word = view.getInt32(at, true);
      hi = mix(hi, word);
      lo = imul(lo ^ word, 0xcc9e2d51) ^ (lo >>> 17);
    }
    let tail = 0;
    for (let shift = 0; at < end; at++, shift += 8) tail |= view.getUint8(at) << shift;
    this.#keyHi = mix(hi, tail);
    this.#keyLo = mix(lo ^ tail, hi);
  }

  /** Hashes one version of a register of the key last given to `hashKey`. */
  hashRegister(
    kindAndElement: number,
    stampHi: number,
    stampLo: number,
    originHi: number,
    originLo: number,
    deadlineStampHi: number,
    deadlineStampLo: number,
  ): void {
    let hi = versionHi(this.#keyHi, kindAndElement, stampHi, stampLo, originLo);
    let lo = versionLo(this.#keyLo, kindAndElement, stampHi, stampLo, originHi, originLo);
    if (deadlineStampHi !== 0) {
      hi = mix(mix(hi, deadlineStampHi), deadlineStampLo);
      lo = mix(mix(lo, deadlineStampLo), deadlineStampHi);
    }
    this.#registerHi = hi;
    this.#registerLo = lo;
  }

  /**
   * A register of the key last given to `hashKey`, without a deadline, gets another version: what `hashRegister` and `toggle` do for the one
   * and then for the other, at once.
   */
  replace(
    kindAndElement: number,
    oldStampHi: number,
    oldStampLo: number,
    oldOriginHi: number,
    oldOriginLo: number,
    stampHi: number,
    stampLo: number,
    originHi: number,
    originLo: number,
  ): void {
    const keyHi = this.#keyHi;
    const keyLo = this.#keyLo;
    this.#stale[keyHi >>> 24] = 1;
    const at = (keyHi >>> 16) * 2;
    this.words[at] ^=
      versionHi(keyHi, kindAndElement, oldStampHi, oldStampLo, oldOriginLo) ^
      versionHi(keyHi, kindAndElement, stampHi, stampLo, originLo);
    this.words[at + 1] ^=
      versionLo(keyLo, kindAndElement, oldStampHi, oldStampLo, oldOriginHi, oldOriginLo) ^
      versionLo(keyLo, kindAndElement, stampHi, stampLo, originHi, originLo);
  }

  /** Adds the register last hashed to its bucket, or takes it out again. */
  toggle(): void {
    this.#stale[this.#keyHi >>> 24] = 1;
    const at = (this.#keyHi >>> 16) * 2;
    this.words[at] ^= this.#registerHi;
    this.words[at + 1] ^= this.#registerLo;
  }

  /** Adds the XOR of several registers of the key last given to `hashKey` to its bucket, or takes it out again. */
  toggleWords(hi: number, lo: number): void {
    this.#stale[this.#keyHi >>> 24] = 1;
    const at = (this.#keyHi >>> 16) * 2;
    this.words[at] ^= hi;
    this.words[at + 1] ^= lo;
  }

  /** The same for the key whose hash begins with these 32 bits. */
  toggleKey(keyHi: number, hi: number, lo: number): void {
    this.#stale[keyHi >>> 24] = 1;
    const at = (keyHi >>> 16) * 2;
    this.words[at] ^= hi;
    this.words[at + 1] ^= lo;
  }

  /** A kind and an element's name as one word, for `hashRegister`. */
  hashElement(kind: number, buffer: Uint8Array, start: number, length: number): number {
    let hash = mix(kind, length);
    for (let at = start, end = start + length; at < end; at++)
      hash = imul(hash ^ buffer[at], 0x01000193) ^ (hash >>> 15);
    return mix(hash, kind);
  }

  /**
   * Another hash of a name, for where the one by `hashElement` alone is too weak: one command gives all its elements one stamp, and two
   * of them whose names have the same hash are the same register to it.
   */
  hashNameAgain(buffer: Uint8Array, start: number, length: number): number {
    let hash = mix(0x13198a2e, length);
    for (let at = start, end = start + length; at < end; at++) {
      hash = imul(hash ^ buffer[at], 0x85ebca6b);
      hash ^= hash >>> 13;
    }
    return mix(hash, 0x03707344);
  }

  /** A word with another one mixed in. */
  mix(hash: number, word: number): number {
    return mix(hash, word);
  }

  clear(): void {
    this.words.fill(0);
    this.#stale.fill(1);
  }

  /** XOR of the digests of each 256 buckets in a row, two words each; only what has changed is computed. Not to be kept. */
  groups(): Uint32Array {
    renewGroups(this.words, this.#groups, this.#stale);
    return this.#groups;
  }

  /** The digest of everything: 16 hexadecimal digits. */
  total(): string {
    let hi = 0;
    let lo = 0;
    for (let bucket = 0; bucket < BUCKET_COUNT; bucket++) {
      const bucketHi = this.words[bucket * 2];
      const bucketLo = this.words[bucket * 2 + 1];
      if ((bucketHi | bucketLo) === 0) continue;
      hi ^= mix(mix(bucketHi, bucket), bucketLo);
      lo ^= mix(mix(bucketLo, bucket), bucketHi);
    }
    return (hi >>> 0).toString(16).padStart(8, '0') + (lo >>> 0).toString(16).padStart(8, '0');
  }
}
