import { describe, expect, it } from '@jest/globals';
import { combineBits, countBits, findBit, invertBits } from '../../../storage/types/bitmap.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';

const thisFile = 'test/storage/types/bitmap.test.ts';

/** Bytes at any alignment, with bytes around them that must not count. */
function someBytes(random: SeededRandom): { bytes: Buffer; start: number; length: number } {
  const start = random.below(9);
  const length = 1 + random.below(random.pick([4, 70, 300]));
  const bytes = random.bytes(start + length + 5).subarray(random.below(2));
  if (random.chance(0.5)) bytes.fill(random.pick([0, 255]), start, start + length - 1);
  return { bytes, start, length: Math.min(length, bytes.length - start) };
}

function bitsOf(bytes: Buffer, start: number, length: number): number[] {
  return [...bytes.subarray(start, start + length)].flatMap((byte) =>
    [...byte.toString(2).padStart(8, '0')].map(Number),
  );
}

describe('bits of a string', () => {
  it('are counted and found as one by one', async () => {
    await withSeed(thisFile, (random) => {
      for (let round = 0; round < 2000; round++) {
        const { bytes, start, length } = someBytes(random);
        const bits = bitsOf(bytes, start, length);
        const first = random.below(bits.length);
        const last = first + random.below(bits.length - first);
        const range = bits.slice(first, last + 1);
        expect(countBits(bytes, start, first, last)).toBe(range.filter((bit) => bit === 1).length);
        for (const bit of [0, 1] as const) {
          const expected = range.indexOf(bit);
          expect(findBit(bytes, start, first, last, bit)).toBe(expected < 0 ? -1 : first + expected);
        }
      }
    });
  });

  it('are combined as byte by byte, with zeros after the shorter one', async () => {
    await withSeed(thisFile, (random) => {
      for (let round = 0; round < 1000; round++) {
        const { bytes, start, length } = someBytes(random);
        const target = random.bytes(length + random.below(10));
        const operation = random.pick(['and', 'or', 'xor'] as const);
        const expected = target.map((byte, at) => {
          const other = at < length ? bytes[start + at] : 0;
          return operation === 'and' ? byte & other : operation === 'or' ? byte | other : byte ^ other;
        });
        combineBits(operation, target, bytes, start, length);
        expect(target.equals(expected)).toBe(true);
      }
    });
  });

  it('are flipped', () => {
    const bytes = Buffer.from([0, 255, 0x0f]);
    invertBits(bytes);
    expect([...bytes]).toEqual([255, 0, 0xf0]);
  });
});
