import { describe, expect, it } from '@jest/globals';
import { countDigits, integerLength, parseInteger, parseSafeInteger, writeInteger } from '../../protocol/integer.ts';
import fc from '../support/properties.ts';

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

/** Parses text between other digits, so that reading outside the range shows. */
function parse(text: string): number | bigint | undefined {
  const buffer = Buffer.from(`97${text}531`, 'latin1');
  return parseInteger(buffer, 2, buffer.length - 5);
}

function parseSafe(text: string): number {
  const buffer = Buffer.from(`97${text}531`, 'latin1');
  return parseSafeInteger(buffer, 2, buffer.length - 5);
}

function write(value: number): string {
  const buffer = Buffer.alloc(32, '#');
  const end = writeInteger(buffer, 3, value);
  expect(buffer.toString('latin1', 0, 3)).toBe('###');
  expect(buffer.toString('latin1', end)).toBe('#'.repeat(32 - end));
  return buffer.toString('latin1', 3, end);
}

const edges = [
  0,
  1,
  9,
  10,
  11,
  99,
  100,
  999,
  1000,
  9999,
  10000,
  99999,
  100000,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 31 + 1,
  2 ** 32,
].concat([999_999_999, 1_000_000_000, 1_000_000_001, 1e15 - 1, 1e15, 1e15 + 1, 2 ** 53 - 2, 2 ** 53 - 1]);

describe('parsing integers', () => {
  it('accepts every 64-bit integer, as a number where that is exact', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: INT64_MIN, max: INT64_MAX }), (value) => {
        const safe = value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER;
        expect(parse(String(value))).toBe(safe ? Number(value) : value);
        expect(parseSafe(String(value))).toBe(safe ? Number(value) : NaN);
      }),
    );
    for (const edge of edges) {
      expect(parse(String(edge))).toBe(edge);
      if (edge > 0) expect(parse(String(-edge))).toBe(-edge);
    }
  });

  it('turns to bigint exactly where a double stops being exact', () => {
    expect(parse('9007199254740991')).toBe(9007199254740991);
    expect(parse('9007199254740992')).toBe(9007199254740992n);
    expect(parse('9007199254740993')).toBe(9007199254740993n);
    expect(parse('-9007199254740992')).toBe(-9007199254740992n);
    expect(parse('9999999999999999')).toBe(9999999999999999n);
  });

  it('ends at 2^63', () => {
    expect(parse('9223372036854775807')).toBe(INT64_MAX);
    expect(parse('9223372036854775808')).toBeUndefined();
    expect(parse('-9223372036854775808')).toBe(INT64_MIN);
    expect(parse('-9223372036854775809')).toBeUndefined();
    expect(parse('18446744073709551616')).toBeUndefined();
    expect(parse('1'.repeat(400))).toBeUndefined();
  });

  it.each([
    '',
    '-',
    '+1',
    '00',
    '01',
    '-0',
    '-01',
    ' 1',
    '1 ',
    '1\n',
    '1.0',
    '1e3',
    '0x10',
    '--1',
    '1-',
    'a',
    ':',
    '/',
    'NaN',
    'inf',
  ])('refuses %j', (text) => {
    expect(parse(text)).toBeUndefined();
    expect(parseSafe(text)).toBeNaN();
  });

  it.each([
    '0123456789012345678',
    '-0123456789012345678',
    '123456789012345678a',
    '12345678901234567:8',
    '+123456789012345678',
  ])('refuses the long %j', (text) => {
    expect(parse(text)).toBeUndefined();
    expect(parseSafe(text)).toBeNaN();
  });
});

describe('writing integers', () => {
  it('writes what String writes, and nothing around it', () => {
    for (const edge of edges) {
      expect(write(edge)).toBe(String(edge));
      if (edge > 0) expect(write(-edge)).toBe(String(-edge));
    }
    fc.assert(fc.property(fc.maxSafeInteger(), (value) => expect(write(value)).toBe(String(value))));
    fc.assert(fc.property(fc.integer(), (value) => expect(write(value)).toBe(String(value))));
  });

  it('counts digits beforehand', () => {
    for (const edge of edges) {
      expect(countDigits(edge)).toBe(String(edge).length);
      expect(integerLength(edge)).toBe(String(edge).length);
      if (edge > 0) expect(integerLength(-edge)).toBe(String(-edge).length);
    }
  });

  it('writes minus zero as zero', () => {
    expect(write(-0)).toBe('0');
  });
});
