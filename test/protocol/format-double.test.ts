import { describe, expect, it } from '@jest/globals';
import { formatDouble } from '../../protocol/format-double.ts';
import fc from '../support/properties.ts';

describe('formatDouble', () => {
  it.each<[number, string]>([
    [0, '0'],
    [-0, '-0'],
    [1, '1'],
    [-17, '-17'],
    [1.5, '1.5'],
    [0.1, '0.1'],
    [-0.001, '-0.001'],
    [3.3, '3.3'],
    [10 / 3, '3.3333333333333335'],
    [100, '100'],
    [123456789, '123456789'],
    [1e15, '1000000000000000'],
    [2 ** 53, '9007199254740992'],
    [2 ** 62, '4611686018427387904'],
    [-(2 ** 62), '-4611686018427387904'],
    [1e20, '1e+20'],
    [-1e20, '-1e+20'],
    [1.5e300, '1.5e+300'],
    [1e-5, '0.00001'],
    [1e-6, '0.000001'],
    [1e-7, '1e-7'],
    [1.5e-7, '1.5e-7'],
    [5e-324, '5e-324'],
    [1234567890.12345, '1234567890.12345'],
    [12345.678901234567, '1.2345678901234567e+4'],
    [Infinity, 'inf'],
    [-Infinity, '-inf'],
    [NaN, 'nan'],
  ])('writes %d as %s', (value, text) => {
    expect(formatDouble(value)).toBe(text);
  });

  it('reads back as the same double, without a needless digit', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const text = formatDouble(value);
        expect(Number(text)).toBe(value);
        expect(text).toMatch(/^-?(0|[1-9]\d*)(\.\d+)?(e[+-][1-9]\d*)?$/);
        expect(text).not.toMatch(/\.\d*0(e|$)/);
      }),
    );
  });
});
