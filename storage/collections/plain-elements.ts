/** A short way to write elements that have a short name and a short value and nothing else, as most have. */
import { copyByWords, isViewed, viewOf, WORD_COPY_MAX } from '../../protocol/byte-view.ts';
import type { Arena } from '../arena/arena.ts';
import { copyBytes } from '../arena/block.ts';
import { ELEMENT_FEED, ELEMENT_STORE, HEADER_BYTES, NAME_INLINE_MAX, VALUE_INLINE_MAX } from './element-layout.ts';

/** In word 0: all flags but the marks. */
const NOT_PLAIN = (0xff & ~(ELEMENT_FEED | ELEMENT_STORE)) << 8;
/** Runs up to here are copied byte by byte. */
const SHORT_COPY_MAX = 12;
const NO_BYTES = Buffer.alloc(0);

export class PlainElements {
  readonly arena: Arena;
  nameBuffer: Buffer = NO_BYTES;
  nameStart = 0;
  nameLength = 0;
  /** The same bytes as `nameBuffer`, and `valueBuffer`, when they are in a block. */
  nameView: DataView | null = null;
  valueView: DataView | null = null;

  constructor(arena: Arena) {
    this.arena = arena;
  }

  /** Whether `renew` can be. */
  isRenewable(ref: number, valueLength: number): boolean {
    const words = this.arena.words[ref >>> 20];
    const word = (ref & 0xfffff) << 1;
    return (words[word] & NOT_PLAIN) === 0 && words[word + 4] >>> 16 === valueLength;
  }

  /**
   * `overwrite` by this node for the common case: an element that is only a name and a value, and stays one, and whose value
   * stays as long as it is. The marks stay too. False when it is not the case, and then nothing is done.
   */
  renew(
    ref: number,
    stampHi: number,
    stampLo: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
  ): boolean {
    if (!this.isRenewable(ref, valueLength)) return false;
    this.restamp(ref, stampHi, stampLo);
    const segment = ref >>> 20;
    const word = (ref & 0xfffff) << 1;
    const nameLength = this.arena.words[segment][word + 4] & 0xffff;
    this.#copyIn(value, valueStart, valueLength, segment, (word << 2) + HEADER_BYTES + nameLength);
    return true;
  }

  /** Gives an element this node's stamp, of which `isRenewable` has said that it can be; its value stays. */
  restamp(ref: number, stampHi: number, stampLo: number): void {
    const words = this.arena.words[ref >>> 20];
    const word = (ref & 0xfffff) << 1;
    words[word] &= 0xffff;
    words[word + 2] = stampHi;
    words[word + 3] = stampLo;
  }

  /** `allocate` by this node for the common case: a short name and a short value and nothing else. 0 when it is not the case. */
  allocatePlain(
    kind: number,
    owner: number,
    stampHi: number,
    stampLo: number,
    name: Uint8Array,
    nameStart: number,
    nameLength: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
  ): number {
    if (nameLength > NAME_INLINE_MAX || valueLength > VALUE_INLINE_MAX) return 0;
    const ref = this.arena.allocate(HEADER_BYTES + nameLength + valueLength);
    const segment = ref >>> 20;
    const words = this.arena.words[segment];
    const word = (ref & 0xfffff) << 1;
    words[word] = kind;
    words[word + 1] = owner;
    words[word + 2] = stampHi;
    words[word + 3] = stampLo;
    words[word + 4] = nameLength | (valueLength << 16);
    const at = (word << 2) + HEADER_BYTES;
    this.#copyIn(name, nameStart, nameLength, segment, at);
    this.#copyIn(value, valueStart, valueLength, segment, at + nameLength);
    return ref;
  }

  #copyIn(from: Uint8Array, start: number, length: number, segment: number, at: number): void {
    if (length <= SHORT_COPY_MAX) {
      const bytes = this.arena.bytes[segment];
      for (const end = start + length; start < end; start++, at++) bytes[at] = from[start];
    } else if (length <= WORD_COPY_MAX && isViewed(from)) {
      copyByWords(viewOf(from), start, length, this.arena.views[segment], at);
    } else {
      copyBytes(from, start, length, this.arena.bytes[segment], at);
    }
  }
}
