/** Writing blocks: header, deadline, key and value, from the pending version. */
import { BlockView } from './block-view.ts';
import { DEADLINE, DEADLINE_BYTES, HEADER_BYTES, LONG_KEY, OBJECT, TYPE_STRING, copyBytes } from './block.ts';

const WORD = 0x100000000;

export class BlockWriter extends BlockView {
  /** What the next block with OBJECT gets: the collection's type and its slot in the object table. */
  protected objectType = 0;
  protected objectSlot = 0;

  protected writeHeader(ref: number, flags: number, keyLength: number, valueLength: number, access: number): void {
    const words = this.arena.words[ref >>> 20];
    const word = (ref & 0xfffff) << 1;
    const type = (flags & OBJECT) !== 0 ? this.objectType : TYPE_STRING;
    words[word] = type | ((access >>> 16) << 8) | (flags << 16);
    words[word + 1] = this.origin | ((access & 0xffff) << 16);
    words[word + 2] = this.stampHi;
    words[word + 3] = this.stampLo;
    words[word + 4] = keyLength;
    words[word + 5] = (flags & OBJECT) !== 0 ? this.objectSlot : valueLength;
    if ((flags & DEADLINE) !== 0) this.writeDeadline(words, word);
  }

  protected writeDeadline(words: Uint32Array, word: number): void {
    words[word + 6] = Math.floor(this.deadlineMs / WORD);
    words[word + 7] = this.deadlineMs >>> 0;
    words[word + 8] = this.deadlineStampHi;
    words[word + 9] = this.deadlineStampLo;
    words[word + 10] = this.deadlineOrigin;
  }

  protected writeKey(ref: number, flags: number, key: Uint8Array, start: number, length: number): void {
    const base = (ref & 0xfffff) << 3;
    const at = base + HEADER_BYTES + ((flags & DEADLINE) !== 0 ? DEADLINE_BYTES : 0);
    if ((flags & LONG_KEY) !== 0) {
      const copy = Buffer.allocUnsafeSlow(length);
      (key as Buffer).copy(copy, 0, start, start + length);
      this.arena.words[ref >>> 20][at >>> 2] = this.arena.large.add(copy, length);
    } else {
      copyBytes(key, start, length, this.arena.bytes[ref >>> 20], at);
    }
  }

  protected writeLarge(ref: number, value: Uint8Array, start: number, length: number): void {
    const copy = Buffer.allocUnsafeSlow(length);
    (value as Buffer).copy(copy, 0, start, start + length);
    this.arena.words[ref >>> 20][((ref & 0xfffff) << 1) + 5] = this.arena.large.add(copy, length);
  }
}
