import { describe, expect, it } from '@jest/globals';
import { addDecimals, formatDecimal, parseDecimal, sumTexts } from '../../../storage/types/decimal.ts';
import { withSeed } from '../../support/seed.ts';
import { scaled, unscaled } from '../register-model.ts';

describe('decimals', () => {
  it.each([
    ['12', '12'],
    ['-1.50', '-1.5'],
    ['3.0e3', '3000'],
    ['5e-3', '0.005'],
    ['+7', '7'],
    ['.5', '0.5'],
    ['5.', '5'],
    ['-0', '0'],
    ['-0.0', '0'],
    ['007', '7'],
    ['1e17', '100000000000000000'],
    ['0.00000000000000001', '0.00000000000000001'],
    ['0.000000000000000004', '0'],
    ['0.000000000000000005', '0.00000000000000001'],
    ['-0.000000000000000005', '-0.00000000000000001'],
    ['-0.000000000000000004', '0'],
    ['0.99999999999999999999', '1'],
  ])('%s is printed as %s', (text, printed) => {
    expect(formatDecimal(parseDecimal(text)!)).toBe(printed);
  });

  it.each(['', '.', '-', 'e5', '1e', '1e999', '0x10', 'inf', 'nan', ' 1', '1 ', '1\n', '1_0', '--1', '1.2.3', '1e1.5'])(
    '%j is no number',
    (text) => {
      expect(parseDecimal(text)).toBeNull();
    },
  );

  it('are added exactly, in any order', async () => {
    await withSeed('test/storage/types/decimal.test.ts', (random) => {
      for (let round = 0; round < 300; round++) {
        const texts: string[] = [];
        for (let count = 1 + random.below(5); count > 0; count--) {
          const whole = random.below(2) === 0 ? random.below(1000) : random.uint32() * 2 ** 20;
          texts.push(
            `${random.chance(0.5) ? '-' : ''}${whole}${random.chance(0.6) ? `.${random.below(100_000)}` : ''}`,
          );
        }
        const expected = unscaled(texts.reduce((sum, text) => sum + scaled(text)!, 0n));
        expect(sumTexts(texts)).toBe(expected);
        expect(sumTexts(random.shuffle(texts))).toBe(expected);
      }
    });
  });

  it('are not held to 64 bits, nor to 2^53', () => {
    expect(sumTexts(['9223372036854775807', '9223372036854775807'])).toBe('18446744073709551614');
    expect(sumTexts(['9007199254740993', '0.1'])).toBe('9007199254740993.1');
    const third = parseDecimal('0.1')!;
    expect(formatDecimal(addDecimals(third, parseDecimal('0.2')!))).toBe('0.3');
  });
});
