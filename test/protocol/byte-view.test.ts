import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { WORD_COPY_MAX, copyByWords, viewOf } from '../../protocol/byte-view.ts';

describe('a view of bytes', () => {
  it('has the bytes at the same offsets, whichever buffer was seen before', () => {
    const whole = randomBytes(4096);
    const parts = [whole.subarray(5, 100), whole.subarray(6, 90), Buffer.alloc(2 << 20, whole), whole.subarray(5, 100)];
    for (const part of [...parts, ...parts]) {
      const view = viewOf(part);
      expect(view.byteLength).toBe(part.length);
      for (let at = 0; at + 4 <= 80; at++) expect(view.getUint32(at, true)).toBe(part.readUInt32LE(at));
    }
  });

  it('copies runs of every length between all offsets, and nothing beside them', () => {
    const from = randomBytes(WORD_COPY_MAX + 32);
    for (let length = 0; length <= WORD_COPY_MAX; length += length < 40 ? 1 : 37) {
      for (let offset = 0; offset < 64; offset++) {
        const start = offset & 7;
        const at = offset >> 3;
        const to = Buffer.alloc(WORD_COPY_MAX + 32, 0xaa);
        copyByWords(viewOf(from), start, length, new DataView(to.buffer, to.byteOffset, to.length), at);
        const expected = Buffer.alloc(to.length, 0xaa);
        from.copy(expected, at, start, start + length);
        expect(to.equals(expected)).toBe(true);
      }
    }
  });
});
