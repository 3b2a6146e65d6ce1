/**
 * The block of one key: header, key and value in the arena. Little-endian 32-bit words:
 *
 *   word 0   u8 type | u8 access, high | u16 flags
 *   word 1   u16 origin (index in the node table) | u16 access, low
 *   word 2,3 stamp, high and low half
 *   word 4   key length
 *   word 5   value length; the slot in LargeValues when LARGE; the slot in the object table for collections
 *   word 6–10 only when DEADLINE: deadline ms (high, low), the deadline's own stamp (high, low), its origin
 *   then     the key (when LONG_KEY its 32-bit slot in LargeValues), then the value (4-aligned when COUNTER)
 *
 * Worked example, SET k v at stamp 0x0000018c_00000001 by node-table entry 0, no deadline, 26 bytes:
 *
 *   01 00 00 00  00 00 00 00  8c 01 00 00  01 00 00 00  01 00 00 00  01 00 00 00  6b 76
 */
import { WORD_COPY_MAX, copyByWords, viewOf } from '../../protocol/byte-view.ts';
import type { Arena } from './arena.ts';

export const TYPE_STRING = 1;
export const TYPE_LIST = 2;
export const TYPE_SET = 3;
export const TYPE_SORTED_SET = 4;
export const TYPE_HASH = 5;
export const TYPE_STREAM = 6;

/** The last-writer-wins part is a tombstone, or there never was one. */
export const DEAD = 1;
export const DEADLINE = 2;
/** The value is a counter payload: see types/counter.ts. */
export const COUNTER = 4;
export const LARGE = 8;
export const LONG_KEY = 16;
/** OBJECT ENCODING says raw: the value was edited in place. */
export const RAW = 32;
/** In the ring of changes of this turn that peers are sent. */
export const FEED = 64;
/** In the ring of changes that the durable stores lack. */
export const STORE = 128;
/** The deadline passed and the value was dropped; the stamp stays, so that no older value takes its place. */
export const EXPIRED = 256;
/** No command sees the key: it is a tombstone or EXPIRED. */
export const HIDDEN = 512;
/** With STORE: the change was not made by a peer that brings it to MySQL itself, so this node has to. */
export const OWED = 1024;
/** The durable stores may have more of the key: it was written, by a merge or a SET, while it was evicted. */
export const PARTIAL = 4096;
/** The key holds a collection: what would be the value's length is its slot in the object table. */
export const OBJECT = 2048;

export const HEADER_BYTES = 24;
export const DEADLINE_BYTES = 20;
/** Longer keys and values live outside the arena. */
export const KEY_INLINE_MAX = 2048;
export const VALUE_INLINE_MAX = 4096;

/** Whether the block's key is `buffer[start, start + length)`. */
export function keyEquals(arena: Arena, ref: number, buffer: Uint8Array, start: number, length: number): boolean {
  const segment = ref >>> 20;
  const base = (ref & 0xfffff) << 3;
  const words = arena.words[segment];
  const word = base >>> 2;
  if (words[word + 4] !== length) return false;
  const flags = words[word] >>> 16;
  if ((flags & LONG_KEY) !== 0) return longKeyEquals(arena, ref, buffer, start, length);
  const view = viewOf(buffer);
  const ours = arena.views[segment];
  const end = start + length;
  let at = base + HEADER_BYTES + ((flags & DEADLINE) !== 0 ? DEADLINE_BYTES : 0);
  for (const last = end - 8; start <= last; start += 8, at += 8) {
    if (ours.getBigUint64(at, true) !== view.getBigUint64(start, true)) return false;
  }
  if ((length & 4) !== 0) {
    if (ours.getInt32(at, true) !== view.getInt32(start, true)) return false;
    start += 4;
    at += 4;
  }
  const bytes = arena.bytes[segment];
  for (; start < end; start++, at++) {
    if (bytes[at] !== buffer[start]) return false;
  }
  return true;
}

function longKeyEquals(arena: Arena, ref: number, buffer: Uint8Array, start: number, length: number): boolean {
  return arena.large.buffers[longKeySlot(arena, ref)].compare(buffer, start, start + length) === 0;
}

/** The slot of a LONG_KEY block's key. */
export function longKeySlot(arena: Arena, ref: number): number {
  const base = (ref & 0xfffff) << 3;
  const flags = arena.words[ref >>> 20][base >>> 2] >>> 16;
  const at = base + HEADER_BYTES + ((flags & DEADLINE) !== 0 ? DEADLINE_BYTES : 0);
  return arena.words[ref >>> 20][at >>> 2];
}

/** The offset of the value from the start of its block. */
export function valueOffset(flags: number, keyLength: number): number {
  const key = (flags & LONG_KEY) !== 0 ? 4 : keyLength;
  const offset = HEADER_BYTES + ((flags & DEADLINE) !== 0 ? DEADLINE_BYTES : 0) + key;
  return (flags & COUNTER) !== 0 ? (offset + 3) & ~3 : offset;
}

/** Copies bytes into the block, `offset` bytes from its start. */
export function copyIntoBlock(
  from: Uint8Array,
  start: number,
  length: number,
  arena: Arena,
  ref: number,
  offset: number,
): void {
  const at = ((ref & 0xfffff) << 3) + offset;
  if (length <= WORD_COPY_MAX) copyByWords(viewOf(from), start, length, arena.views[ref >>> 20], at);
  else (from as Buffer).copy(arena.bytes[ref >>> 20], at, start, start + length);
}

/** Copies bytes; short runs by a loop, which beats the call into native code. */
export function copyBytes(from: Uint8Array, start: number, length: number, to: Uint8Array, at: number): void {
  if (length <= 32) {
    for (const end = start + length; start < end; start++, at++) to[at] = from[start]!;
  } else {
    (from as Buffer).copy(to, at, start, start + length);
  }
}
