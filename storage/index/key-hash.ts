/**
 * The keyspace's hash: HalfSipHash-1-3 (Aumasson and Bernstein 2012, 32-bit words), keyed per process so that nobody
 * outside can choose keys that collide.
 */

import { viewOf } from '../../protocol/byte-view.ts';

export class KeyHasher {
  readonly #key0: number;
  readonly #key1: number;
  #knownBuffer: Uint8Array | null = null;
  #knownStart = 0;
  #knownLength = 0;
  #knownHash = 0;

  /** @param key0,key1 64 secret bits as two 32-bit numbers, drawn anew for every process. */
  constructor(key0: number, key1: number) {
    this.#key0 = key0 | 0;
    this.#key1 = key1 | 0;
  }

  /** The hash of `buffer[start, start + length)`. */
  hash(buffer: Uint8Array, start: number, length: number): number {
    if (start === this.#knownStart && buffer === this.#knownBuffer && length === this.#knownLength)
      return this.#knownHash;
    return this.hashViewed(viewOf(buffer), start, length);
  }

  /** The hash of these bytes was computed before; to be forgotten before they change. */
  know(buffer: Uint8Array, start: number, length: number, hash: number): void {
    this.#knownBuffer = buffer;
    this.#knownStart = start;
    this.#knownLength = length;
    this.#knownHash = hash;
  }

  forget(): void {
    this.#knownBuffer = null;
  }

  /** The hash of bytes that there is a view of. */
  hashViewed(view: DataView, start: number, length: number): number {
    // Without `| 0` V8 takes what the loop goes on with for floating-point numbers, and hashing takes twice as long.
    let v0 = this.#key0 | 0;
    let v1 = this.#key1 | 0;
    let v2 = 0x6c796765 ^ v0;
    let v3 = 0x74656462 ^ v1;
    const end = start + length;
    const wordsEnd = start + (length & ~3);
    let at = start;
    let word = 0;
    for (; at < wordsEnd; at += 4) {
      word = view.getInt32(at, true);
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    word = length << 24;
    for (let shift = 0; at < end; at++, shift += 8) word |= view.getUint8(at) << shift;
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
    v2 ^= 0xff;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    return v1 ^ v3;
  }
}
