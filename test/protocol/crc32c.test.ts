import { describe, expect, test } from '@jest/globals';
import { crc32c, isOneBitOff } from '../../protocol/crc32c.ts';
import { withSeed } from '../support/seed.ts';

/** Bit by bit, as the polynomial is defined. */
function reference(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let crc = ~seed;
  for (let at = start; at < end; at++) {
    crc ^= bytes[at];
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

const FILE = 'test/protocol/crc32c.test.ts';

describe('CRC-32C', () => {
  test('of the bytes that it is published for', () => {
    expect(crc32c(Buffer.from('123456789'), 0, 9)).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32), 0, 32)).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff), 0, 32)).toBe(0x62a8ab43);
  });

  test('the polynomial divides the one that long runs are folded by', () => {
    let remainder = 0n;
    for (const exponent of [343n, 177n, 163n, 155n, 136n, 0n]) remainder ^= 1n << exponent;
    for (let degree = 343n; degree >= 32n; degree--) {
      if (((remainder >> degree) & 1n) === 1n) remainder ^= 0x1_1edc_6f41n << (degree - 32n);
    }
    expect(remainder).toBe(0n);
  });

  test('is told to be one bit off for each bit of a run and of itself, and for nothing else', () =>
    withSeed(FILE, (random) => {
      const bytes = Uint8Array.from({ length: 300 }, () => random.below(256));
      const sum = crc32c(bytes, 0, bytes.length);
      const difference = (...bits: number[]): number => {
        const other = Uint8Array.from(bytes);
        for (const bit of bits) other[bit >> 3] ^= 1 << (bit & 7);
        return sum ^ crc32c(other, 0, other.length);
      };
      for (let bit = 0; bit < 8 * bytes.length; bit++) {
        expect(isOneBitOff(difference(bit), bytes.length)).toBe(true);
        const second = (bit + 1 + random.below(8 * bytes.length - 1)) % (8 * bytes.length);
        expect(isOneBitOff(difference(bit, second), bytes.length)).toBe(false);
      }
      expect(isOneBitOff(difference(7), bytes.length - 1)).toBe(false);
      for (let bit = 0; bit < 32; bit++) expect(isOneBitOff(1 << bit, 0)).toBe(true);
      expect(isOneBitOff(0, 300)).toBe(false);
      return Promise.resolve();
    }));

  test('of any run is what the bits one by one make of it', () =>
    withSeed(FILE, (random) => {
      const bytes = Uint8Array.from({ length: 60_000 }, () => random.below(256));
      // Around the lengths from which a run is folded, and in several pieces.
      const lengths = [
        0, 1, 15, 16, 17, 1023, 1024, 1025, 1040, 16_384, 16_385, 17_408, 17_409, 33_792, 33_793, 50_000,
      ];
      for (let extra = 0; extra < 200; extra++) lengths.push(random.below(extra % 10 === 0 ? 50_000 : 3000));
      for (const length of lengths) {
        const start = random.below(bytes.length - length);
        const seed = random.uint32();
        const sum = crc32c(bytes, start, start + length, seed);
        expect([length, start, seed, sum]).toEqual([
          length,
          start,
          seed,
          reference(bytes, start, start + length, seed),
        ]);
        const middle = start + random.below(length + 1);
        expect(crc32c(bytes, middle, start + length, crc32c(bytes, start, middle, seed))).toBe(sum);
      }
    }));
});
