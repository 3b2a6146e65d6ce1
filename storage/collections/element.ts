/** Element blocks, read and written: their layout is in element-layout.ts. */
import { isViewed, viewOf } from '../../protocol/byte-view.ts';
import { copyBytes } from '../arena/block.ts';
import { counterTotalAt, wholeTotalAt } from '../types/counter-payload.ts';
import {
  DEADLINE_BYTES,
  ELEMENT_COUNTED,
  ELEMENT_DEAD,
  ELEMENT_DEADLINE,
  ELEMENT_EXPIRED,
  ELEMENT_FEED,
  ELEMENT_KIND_LEAST,
  ELEMENT_LARGE_NAME,
  ELEMENT_LARGE_VALUE,
  ELEMENT_STORE,
  HEADER_BYTES,
  NAME_INLINE_MAX,
  SLOT_BYTES,
  VALUE_INLINE_MAX,
} from './element-layout.ts';
import { PlainElements } from './plain-elements.ts';

const WORD = 0x100000000;
const NO_BYTES = Buffer.alloc(0);

function readSlot(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

function writeSlot(bytes: Uint8Array, at: number, slot: number): void {
  bytes[at] = slot;
  bytes[at + 1] = slot >>> 8;
  bytes[at + 2] = slot >>> 16;
  bytes[at + 3] = slot >>> 24;
}

/** Reads and writes element blocks. What has several parts is left in fields, valid until the next call or write. */
export class Elements extends PlainElements {
  valueBuffer: Buffer = NO_BYTES;
  valueStart = 0;
  valueLength = 0;
  /** The deadline that `allocate` and `overwrite` give the element; -1 for none ever, 0 for one that was taken away. */
  deadlineMs = -1;
  deadlineStampHi = 0;
  deadlineStampLo = 0;
  deadlineOrigin = 0;
  readonly #digits = Buffer.alloc(2048);

  kindOf(ref: number): number {
    return this.arena.bytes[ref >>> 20][(ref & 0xfffff) << 3];
  }

  flagsOf(ref: number): number {
    return this.arena.bytes[ref >>> 20][((ref & 0xfffff) << 3) + 1];
  }

  setFlags(ref: number, flags: number): void {
    this.arena.bytes[ref >>> 20][((ref & 0xfffff) << 3) + 1] = flags;
  }

  originOf(ref: number): number {
    return this.arena.words[ref >>> 20][(ref & 0xfffff) << 1] >>> 16;
  }

  setOrigin(ref: number, origin: number): void {
    const words = this.arena.words[ref >>> 20];
    const word = (ref & 0xfffff) << 1;
    words[word] = (words[word] & 0xffff) | (origin << 16);
  }

  ownerOf(ref: number): number {
    return this.arena.words[ref >>> 20][((ref & 0xfffff) << 1) + 1];
  }

  stampHiOf(ref: number): number {
    return this.arena.words[ref >>> 20][((ref & 0xfffff) << 1) + 2];
  }

  stampLoOf(ref: number): number {
    return this.arena.words[ref >>> 20][((ref & 0xfffff) << 1) + 3];
  }

  /** Whether commands see the element: it is not removed, or counts something up. */
  isVisible(ref: number): boolean {
    const flags = this.flagsOf(ref);
    return (flags & (ELEMENT_DEAD | ELEMENT_COUNTED)) !== ELEMENT_DEAD && (flags & ELEMENT_EXPIRED) === 0;
  }

  /** Whether commands see the element whatever time it is, which is true of most: it is neither removed nor has a deadline. */
  isPlain(ref: number): boolean {
    return (this.flagsOf(ref) & (ELEMENT_DEAD | ELEMENT_EXPIRED | ELEMENT_DEADLINE)) === 0;
  }

  /** Whether the element's own deadline has passed, hidden or not yet. */
  isDue(ref: number, nowMs: number): boolean {
    if ((this.flagsOf(ref) & ELEMENT_DEADLINE) === 0) return false;
    const deadlineMs = this.deadlineOf(ref);
    return deadlineMs > 0 && nowMs > deadlineMs;
  }

  /** The element's own deadline in milliseconds since 1970; 0 when taken away, -1 when there never was one. */
  deadlineOf(ref: number): number {
    if ((this.flagsOf(ref) & ELEMENT_DEADLINE) === 0) return -1;
    const words = this.arena.words[ref >>> 20];
    const word = (ref & 0xfffff) << 1;
    return words[word + 5] * WORD + words[word + 6];
  }

  /** Whether a block that may be stale is an element's. */
  isElement(ref: number): boolean {
    return this.arena.isLive(ref) && this.kindOf(ref) >= ELEMENT_KIND_LEAST;
  }

  /** Whether `ref`, which may be stale, is a block of the collection at `slot` that carries the mark; takes the mark away. */
  takeMark(ref: number, slot: number, mark: number): boolean {
    if (!this.isElement(ref) || this.ownerOf(ref) !== slot) return false;
    const flags = this.flagsOf(ref);
    if ((flags & mark) === 0) return false;
    this.setFlags(ref, flags & ~mark);
    return true;
  }

  /** Whether `ref`, which may be stale, is a tombstone of the collection at `slot`. */
  isTombstone(ref: number, slot: number): boolean {
    if (!this.isElement(ref) || this.ownerOf(ref) !== slot) return false;
    return (this.flagsOf(ref) & (ELEMENT_DEAD | ELEMENT_COUNTED)) === ELEMENT_DEAD;
  }

  /** Whether `ref`, which may be stale, is an element of the collection at `slot` that was hidden at its deadline. */
  isExpired(ref: number, slot: number): boolean {
    return this.isElement(ref) && this.ownerOf(ref) === slot && (this.flagsOf(ref) & ELEMENT_EXPIRED) !== 0;
  }

  /** Whether it is one of both that has been sent and stored. */
  isSpent(ref: number, slot: number): boolean {
    if (!this.isTombstone(ref, slot) && !this.isExpired(ref, slot)) return false;
    return (this.flagsOf(ref) & (ELEMENT_FEED | ELEMENT_STORE)) === 0;
  }

  /** Leaves the element's deadline in the fields. */
  readDeadline(ref: number): void {
    this.deadlineMs = -1;
    if ((this.flagsOf(ref) & ELEMENT_DEADLINE) === 0) return;
    const words = this.arena.words[ref >>> 20];
    const word = (ref & 0xfffff) << 1;
    this.deadlineMs = words[word + 5] * WORD + words[word + 6];
    this.deadlineStampHi = words[word + 7];
    this.deadlineStampLo = words[word + 8];
    this.deadlineOrigin = words[word + 9];
  }

  /** What the element costs, whose block has the capacity. */
  bytesOf(ref: number, capacity: number): number {
    const flags = this.flagsOf(ref);
    let bytes = capacity;
    if ((flags & ELEMENT_LARGE_NAME) !== 0) {
      this.readName(ref);
      bytes += this.nameLength;
    }
    if ((flags & ELEMENT_LARGE_VALUE) === 0) return bytes;
    this.readPayload(ref);
    return bytes + this.valueLength;
  }

  /** Leaves the field, member, position or id in `nameBuffer`, `nameStart`, `nameLength`. */
  readName(ref: number): void {
    const bytes = this.arena.bytes[ref >>> 20];
    const base = (ref & 0xfffff) << 3;
    const flags = bytes[base + 1];
    const start = base + HEADER_BYTES + ((flags & ELEMENT_DEADLINE) !== 0 ? DEADLINE_BYTES : 0);
    if ((flags & ELEMENT_LARGE_NAME) !== 0) {
      const slot = readSlot(bytes, start);
      this.nameBuffer = this.arena.large.buffers[slot];
      this.nameView = null;
      this.nameStart = 0;
      this.nameLength = this.arena.large.lengths[slot];
    } else {
      this.nameBuffer = bytes;
      this.nameView = this.arena.views[ref >>> 20];
      this.nameStart = start;
      this.nameLength = bytes[base + 16] | (bytes[base + 17] << 8);
    }
  }

  nameEquals(ref: number, buffer: Uint8Array, start: number, length: number): boolean {
    const segment = ref >>> 20;
    const words = this.arena.words[segment];
    const word = (ref & 0xfffff) << 1;
    const flags = words[word] >>> 8;
    if ((flags & ELEMENT_LARGE_NAME) !== 0) {
      this.readName(ref);
      return this.nameLength === length && this.nameBuffer.compare(buffer, start, start + length) === 0;
    }
    if ((words[word + 4] & 0xffff) !== length) return false;
    let at = (word << 2) + HEADER_BYTES + ((flags & ELEMENT_DEADLINE) !== 0 ? DEADLINE_BYTES : 0);
    const end = start + length;
    if (length >= 8 && isViewed(buffer)) {
      const view = viewOf(buffer);
      const ours = this.arena.views[segment];
      for (const last = end - 8; start <= last; start += 8, at += 8) {
        if (ours.getBigUint64(at, true) !== view.getBigUint64(start, true)) return false;
      }
      if ((length & 4) !== 0) {
        if (ours.getInt32(at, true) !== view.getInt32(start, true)) return false;
        start += 4;
        at += 4;
      }
    }
    const bytes = this.arena.bytes[segment];
    for (; start < end; start++, at++) if (bytes[at] !== buffer[start]) return false;
    return true;
  }

  /** Orders the names of two elements, or of one and bytes, as memcmp does. */
  compareName(ref: number, buffer: Uint8Array, start: number, length: number): number {
    this.readName(ref);
    const ours = this.nameBuffer;
    const shorter = Math.min(length, this.nameLength);
    for (let at = 0; at < shorter; at++) {
      const difference = ours[this.nameStart + at] - buffer[start + at];
      if (difference !== 0) return difference;
    }
    return this.nameLength - length;
  }

  /** `compareName` with bytes that are read through a view, four at a time. */
  compareNameView(ref: number, view: DataView, start: number, length: number): number {
    const segment = ref >>> 20;
    const word = (ref & 0xfffff) << 1;
    const words = this.arena.words[segment];
    const flags = words[word] >>> 8;
    if ((flags & (ELEMENT_LARGE_NAME | ELEMENT_DEADLINE)) !== 0) {
      return this.compareName(ref, Buffer.from(view.buffer, view.byteOffset, view.byteLength), start, length);
    }
    const ours = this.arena.views[segment];
    const nameLength = words[word + 4] & 0xffff;
    let at = (word << 2) + HEADER_BYTES;
    const end = at + (nameLength < length ? nameLength : length);
    for (; at + 4 <= end; at += 4, start += 4) {
      const difference = ours.getUint32(at) - view.getUint32(start);
      if (difference !== 0) return difference;
    }
    for (; at < end; at++, start++) {
      const difference = ours.getUint8(at) - view.getUint8(start);
      if (difference !== 0) return difference;
    }
    return nameLength - length;
  }

  /** Leaves what commands show in `valueBuffer`, `valueStart`, `valueLength`: a counter's as its digits. */
  readValue(ref: number): void {
    this.readPayload(ref);
    if ((this.flagsOf(ref) & ELEMENT_COUNTED) === 0) return;
    const word = this.payloadWord(ref);
    const { words, bytes } = this.arena;
    this.valueLength = counterTotalAt(words[ref >>> 20], bytes[ref >>> 20], word, this.#digits);
    this.valueBuffer = this.#digits;
    this.valueView = null;
    this.valueStart = 0;
  }

  /** What a COUNTED element shows when that is whole, and kept so; NaN otherwise. */
  wholeTotalOf(ref: number): number {
    return wholeTotalAt(this.arena.words[ref >>> 20], this.payloadWord(ref));
  }

  /** The word at which a COUNTED element's payload begins. */
  payloadWord(ref: number): number {
    return this.#valueAt(ref) >>> 2;
  }

  #valueAt(ref: number): number {
    const bytes = this.arena.bytes[ref >>> 20];
    const base = (ref & 0xfffff) << 3;
    const flags = bytes[base + 1];
    const name = (flags & ELEMENT_LARGE_NAME) !== 0 ? SLOT_BYTES : bytes[base + 16] | (bytes[base + 17] << 8);
    const at = base + HEADER_BYTES + ((flags & ELEMENT_DEADLINE) !== 0 ? DEADLINE_BYTES : 0) + name;
    return (flags & ELEMENT_COUNTED) !== 0 ? (at + 3) & ~3 : at;
  }

  /** Leaves the value area as it is in `valueBuffer`, `valueStart`, `valueLength`. */
  readPayload(ref: number): void {
    const bytes = this.arena.bytes[ref >>> 20];
    const base = (ref & 0xfffff) << 3;
    const at = this.#valueAt(ref);
    if ((bytes[base + 1] & ELEMENT_LARGE_VALUE) !== 0) {
      const slot = readSlot(bytes, at);
      this.valueBuffer = this.arena.large.buffers[slot];
      this.valueView = null;
      this.valueStart = 0;
      this.valueLength = this.arena.large.lengths[slot];
    } else {
      this.valueBuffer = bytes;
      this.valueView = this.arena.views[ref >>> 20];
      this.valueStart = at;
      this.valueLength = bytes[base + 18] | (bytes[base + 19] << 8);
    }
  }

  /** A new block with this content, the deadline from the fields. Neither bytes may lie in the arena's free memory. */
  allocate(
    kind: number,
    flags: number,
    owner: number,
    stampHi: number,
    stampLo: number,
    origin: number,
    name: Uint8Array,
    nameStart: number,
    nameLength: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
  ): number {
    flags = this.#layoutFlags(flags, nameLength, valueLength);
    const ref = this.arena.allocate(this.#bytesFor(flags, nameLength, valueLength));
    this.#write(ref, kind, flags, owner, stampHi, stampLo, origin, nameLength, valueLength);
    const bytes = this.arena.bytes[ref >>> 20];
    const at = ((ref & 0xfffff) << 3) + HEADER_BYTES + ((flags & ELEMENT_DEADLINE) !== 0 ? DEADLINE_BYTES : 0);
    if ((flags & ELEMENT_LARGE_NAME) !== 0) writeSlot(bytes, at, this.#addLarge(name, nameStart, nameLength));
    else copyBytes(name, nameStart, nameLength, bytes, at);
    this.#writeValue(ref, flags, value, valueStart, valueLength);
    return ref;
  }

  /** Writes a new version into the same block, whose name stays; false when it does not fit, and then nothing is done. */
  overwrite(
    ref: number,
    flags: number,
    stampHi: number,
    stampLo: number,
    origin: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
  ): boolean {
    const old = this.flagsOf(ref);
    if ((old & (ELEMENT_LARGE_NAME | ELEMENT_LARGE_VALUE)) !== 0) return false;
    const base = (ref & 0xfffff) << 3;
    const bytes = this.arena.bytes[ref >>> 20];
    const nameLength = bytes[base + 16] | (bytes[base + 17] << 8);
    flags = this.#layoutFlags(flags, nameLength, valueLength);
    if (((flags ^ old) & ELEMENT_DEADLINE) !== 0 || (flags & ELEMENT_LARGE_VALUE) !== 0) return false;
    const needed = this.#bytesFor(flags, nameLength, valueLength);
    const capacity = this.arena.capacity(ref);
    // A block far too large for what is in it is given back.
    if (needed > capacity || needed * 2 < capacity - 16) return false;
    this.#write(ref, this.kindOf(ref), flags, this.ownerOf(ref), stampHi, stampLo, origin, nameLength, valueLength);
    this.#writeValue(ref, flags, value, valueStart, valueLength);
    return true;
  }

  free(ref: number): void {
    const flags = this.flagsOf(ref);
    if ((flags & (ELEMENT_LARGE_NAME | ELEMENT_LARGE_VALUE)) !== 0) {
      const bytes = this.arena.bytes[ref >>> 20];
      const name = ((ref & 0xfffff) << 3) + HEADER_BYTES + ((flags & ELEMENT_DEADLINE) !== 0 ? DEADLINE_BYTES : 0);
      if ((flags & ELEMENT_LARGE_VALUE) !== 0) this.arena.large.remove(readSlot(bytes, this.#valueAt(ref)));
      if ((flags & ELEMENT_LARGE_NAME) !== 0) this.arena.large.remove(readSlot(bytes, name));
    }
    this.arena.free(ref);
  }

  #layoutFlags(flags: number, nameLength: number, valueLength: number): number {
    flags &= ~(ELEMENT_DEADLINE | ELEMENT_LARGE_NAME | ELEMENT_LARGE_VALUE);
    if (this.deadlineMs >= 0) flags |= ELEMENT_DEADLINE;
    if (nameLength > NAME_INLINE_MAX) flags |= ELEMENT_LARGE_NAME;
    if (valueLength > VALUE_INLINE_MAX && (flags & ELEMENT_COUNTED) === 0) flags |= ELEMENT_LARGE_VALUE;
    return flags;
  }

  #bytesFor(flags: number, nameLength: number, valueLength: number): number {
    const name = (flags & ELEMENT_LARGE_NAME) !== 0 ? SLOT_BYTES : nameLength;
    const offset = HEADER_BYTES + ((flags & ELEMENT_DEADLINE) !== 0 ? DEADLINE_BYTES : 0) + name;
    const valueAt = (flags & ELEMENT_COUNTED) !== 0 ? (offset + 3) & ~3 : offset;
    return valueAt + ((flags & ELEMENT_LARGE_VALUE) !== 0 ? SLOT_BYTES : valueLength);
  }

  #addLarge(bytes: Uint8Array, start: number, length: number): number {
    const copy = Buffer.allocUnsafeSlow(length);
    (bytes as Buffer).copy(copy, 0, start, start + length);
    return this.arena.large.add(copy, length);
  }

  #write(
    ref: number,
    kind: number,
    flags: number,
    owner: number,
    stampHi: number,
    stampLo: number,
    origin: number,
    nameLength: number,
    valueLength: number,
  ): void {
    const words = this.arena.words[ref >>> 20];
    const word = (ref & 0xfffff) << 1;
    words[word] = kind | (flags << 8) | (origin << 16);
    words[word + 1] = owner;
    words[word + 2] = stampHi;
    words[word + 3] = stampLo;
    const name = (flags & ELEMENT_LARGE_NAME) !== 0 ? SLOT_BYTES : nameLength;
    words[word + 4] = name | (((flags & ELEMENT_LARGE_VALUE) !== 0 ? SLOT_BYTES : valueLength) << 16);
    if ((flags & ELEMENT_DEADLINE) === 0) return;
    words[word + 5] = Math.floor(this.deadlineMs / WORD);
    words[word + 6] = this.deadlineMs >>> 0;
    words[word + 7] = this.deadlineStampHi;
    words[word + 8] = this.deadlineStampLo;
    words[word + 9] = this.deadlineOrigin;
  }

  #writeValue(ref: number, flags: number, value: Uint8Array, start: number, length: number): void {
    const bytes = this.arena.bytes[ref >>> 20];
    const at = this.#valueAt(ref);
    if ((flags & ELEMENT_LARGE_VALUE) !== 0) writeSlot(bytes, at, this.#addLarge(value, start, length));
    else copyBytes(value, start, length, bytes, at);
  }
}
