/**
 * Strings as arrays of bits, as BITCOUNT, BITPOS and BITOP see them: bit 0 is the highest bit of the first byte. Positions
 * go up to 2^32, so that they are divided and never shifted.
 */

/** From this many bytes on, whole words are worth the view that they need. */
const WORDS_FROM_BYTES = 64;

export type BitOperation = 'and' | 'or' | 'xor';

function popcount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** The first index from `from` on, `to` at the latest, that lies on a word of the underlying memory. */
function wordAligned(bytes: Uint8Array, from: number, to: number): number {
  return Math.min(to, from + (-(bytes.byteOffset + from) & 3));
}

/** The whole words of `bytes[from, to)`, `from` being aligned. */
function wordsOf(bytes: Uint8Array, from: number, to: number): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset + from, (to - from) >>> 2);
}

function countBytes(bytes: Uint8Array, from: number, to: number): number {
  let count = 0;
  let at = from;
  if (to - from >= WORDS_FROM_BYTES) {
    for (const aligned = wordAligned(bytes, from, to); at < aligned; at++) count += popcount(bytes[at]);
    const words = wordsOf(bytes, at, to);
    for (let index = 0; index < words.length; index++) count += popcount(words[index]);
    at += words.length * 4;
  }
  for (; at < to; at++) count += popcount(bytes[at]);
  return count;
}

/** How many of the bits `first` to `last`, both included, are set in the value that begins at `bytes[start]`. */
export function countBits(bytes: Uint8Array, start: number, first: number, last: number): number {
  const firstByte = start + Math.floor(first / 8);
  const lastByte = start + Math.floor(last / 8);
  const before = bytes[firstByte] & ~(0xff >> (first & 7));
  const after = bytes[lastByte] & (0x7f >> (last & 7));
  return countBytes(bytes, firstByte, lastByte + 1) - popcount(before) - popcount(after);
}

/** The index of the first byte in `bytes[from, to)` that is not `value` (0 or 255), or `to`. */
function skipBytes(bytes: Uint8Array, from: number, to: number, value: number): number {
  let at = from;
  if (to - from >= WORDS_FROM_BYTES) {
    for (const aligned = wordAligned(bytes, from, to); at < aligned; at++) {
      if (bytes[at] !== value) return at;
    }
    const words = wordsOf(bytes, at, to);
    const word = value === 0 ? 0 : -1;
    let index = 0;
    while (index < words.length && words[index] === word) index++;
    at += index * 4;
  }
  while (at < to && bytes[at] === value) at++;
  return at;
}

/** The first bit from `first` to `last`, both included, that is `bit`, in the value that begins at `bytes[start]`; −1 for none. */
export function findBit(bytes: Uint8Array, start: number, first: number, last: number, bit: 0 | 1): number {
  const others = bit === 1 ? 0 : 0xff;
  const lastByte = start + Math.floor(last / 8);
  let at = start + Math.floor(first / 8);
  let wanted = (bytes[at] ^ others) & (0xff >> (first & 7));
  if (wanted === 0 && at < lastByte) {
    at = skipBytes(bytes, at + 1, lastByte, others);
    wanted = bytes[at] ^ others;
  }
  if (wanted === 0) return -1;
  const found = (at - start) * 8 + Math.clz32(wanted) - 24;
  return found <= last ? found : -1;
}

/** `target[i] = target[i] operation source[i]`, element by element; both are bytes, or both are words. */
function combine(
  operation: BitOperation,
  target: Uint8Array | Int32Array,
  targetAt: number,
  source: Uint8Array | Int32Array,
  sourceAt: number,
  count: number,
): void {
  const shift = sourceAt - targetAt;
  const end = targetAt + count;
  if (operation === 'and') for (let at = targetAt; at < end; at++) target[at] &= source[at + shift];
  else if (operation === 'or') for (let at = targetAt; at < end; at++) target[at] |= source[at + shift];
  else for (let at = targetAt; at < end; at++) target[at] ^= source[at + shift];
}

/** Combines `target` with the value `source[start, start + length)`, after which zeros are thought to follow. */
export function combineBits(
  operation: BitOperation,
  target: Uint8Array,
  source: Uint8Array,
  start: number,
  length: number,
): void {
  let done = 0;
  const aligned = ((target.byteOffset | (source.byteOffset + start)) & 3) === 0;
  if (aligned && length >= WORDS_FROM_BYTES) {
    const words = wordsOf(target, 0, length);
    combine(operation, words, 0, wordsOf(source, start, start + length), 0, words.length);
    done = words.length * 4;
  }
  combine(operation, target, done, source, start + done, length - done);
  if (operation === 'and') target.fill(0, length);
}

/** Flips every bit. */
export function invertBits(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at++) bytes[at] = ~bytes[at];
}
