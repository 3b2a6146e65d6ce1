import { describe, expect, it } from '@jest/globals';
import { fitField, type IntegerType, readField, writeField } from '../../../storage/types/bitfield.ts';
import fc from '../../support/properties.ts';

const types = fc
  .record({ signed: fc.boolean(), bits: fc.integer({ min: 1, max: 64 }) })
  .map((type): IntegerType => ({ ...type, bits: type.signed ? type.bits : Math.min(63, type.bits) }));
const integers = fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n });

describe('integers in a string', () => {
  it('are read as they were written, and leave the bits around them alone', () => {
    fc.assert(
      fc.property(
        types,
        integers,
        fc.integer({ min: 0, max: 40 }),
        fc.integer({ min: 0, max: 3 }),
        (type, value, offset, start) => {
          const wrapped = fitField(value, type, 'wrap');
          for (const filling of [0, 255]) {
            const bytes = Buffer.alloc(20, filling);
            writeField(bytes, start, offset, type, wrapped ?? 0n);
            expect(readField(bytes, start, 16, offset, type)).toBe(wrapped);
            writeField(bytes, start, offset, type, filling === 0 ? 0n : -1n);
            expect(bytes.equals(Buffer.alloc(20, filling))).toBe(true);
          }
        },
      ),
    );
  });

  it('past the end of the value are zeros', () => {
    expect(readField(Buffer.from([255, 255, 255]), 0, 1, 4, { signed: false, bits: 8 })).toBe(0xf0n);
    expect(readField(Buffer.from([255]), 0, 0, 100, { signed: true, bits: 64 })).toBe(0n);
  });

  it('wrap, saturate or fail as modular arithmetic says', () => {
    fc.assert(
      fc.property(types, integers, (type, value) => {
        const modulus = 2n ** BigInt(type.bits);
        const least = type.signed ? -modulus / 2n : 0n;
        const most = least + modulus - 1n;
        const fits = value >= least && value <= most;
        const nearest = value < least ? least : value > most ? most : value;
        const wrapped = fitField(value, type, 'wrap') ?? 0n;
        expect((wrapped - value) % modulus).toBe(0n);
        expect(wrapped >= least && wrapped <= most).toBe(true);
        expect(fitField(value, type, 'saturate')).toBe(nearest);
        expect(fitField(value, type, 'fail')).toBe(fits ? value : null);
      }),
    );
  });
});
