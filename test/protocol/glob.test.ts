import { describe, expect, it } from '@jest/globals';
import { GlobPattern } from '../../protocol/glob.ts';
import fc from '../support/properties.ts';

/** Matches with bytes around both the pattern and the text that must not be read. */
function matches(pattern: string, text: string, ignoreCase = false): boolean {
  const patternBytes = Buffer.from(`a${pattern}*`, 'latin1');
  const textBytes = Buffer.from(`a${text}a`, 'latin1');
  const glob = new GlobPattern(patternBytes, 1, patternBytes.length - 2, ignoreCase);
  return glob.matches(textBytes, 1, textBytes.length - 2);
}

describe('glob', () => {
  it.each<[string, string, boolean]>([
    ['', '', true],
    ['', 'a', false],
    ['abc', 'abc', true],
    ['abc', 'abd', false],
    ['abc', 'ab', false],
    ['abc', 'abcd', false],
    ['*', '', true],
    ['*', 'anything', true],
    ['**', 'anything', true],
    ['a*', 'a', true],
    ['*a', 'ba', true],
    ['*a', 'ab', false],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['a*b*c', 'axxbyybzzc', true],
    ['a*b*c', 'axxcyyb', false],
    ['*ab*ba*', 'aba', false],
    ['*ab*ba*', 'abba', true],
    ['*aab', 'aaaab', true],
    ['?', '', false],
    ['?', '\xff', true],
    ['a?c', 'a\nc', true],
    ['*?*?*', 'a', false],
    ['*?*?*', 'ab', true],
    ['h[ae]llo', 'hallo', true],
    ['h[ae]llo', 'hillo', false],
    ['h[^e]llo', 'hallo', true],
    ['h[^e]llo', 'hello', false],
    ['h[a-b]llo', 'hbllo', true],
    ['h[b-a]llo', 'hallo', true],
    ['[a-c-e]', 'e', true],
    ['[a-c-e]', '-', true],
    ['[\\]]', ']', true],
    ['[\\a-z]', 'b', false],
    ['[\\a-z]', '-', true],
    ['[]a]', 'a', false],
    ['[^]', 'x', true],
    ['[^]a', 'xa', true],
    ['[', '[', false],
    ['[', 'a', false],
    ['a[', 'a', false],
    ['[^', 'a', true],
    ['[abc', 'b', true],
    ['[abc', 'd', false],
    ['[a-', '-', true],
    ['[a-]', 'b', false],
    ['[a-]x', ']', true],
    ['[a\\', '\\', true],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['\\a', 'a', true],
    ['a\\', 'a\\', true],
    ['\\\\', '\\', true],
    ['[\x80-\xff]', '\xc3', true],
    ['[a-\xff]', '\x80', true],
    ['[a-\xff]', 'A', false],
  ])('%j against %j: %s', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected);
  });

  it.each<[string, string, boolean]>([
    ['HeLLo', 'hEllO', true],
    ['[a-c]', 'B', true],
    ['[ABC]', 'b', true],
    ['[^ABC]', 'b', false],
    ['[Z-a]', 'q', false],
    ['[\\A]', 'a', false],
    ['\\A*', 'ab', true],
    ['[', '{', false],
    ['{', '[', false],
    ['\xc4', '\xe4', false],
  ])('ignoring case, %j against %j: %s', (pattern, text, expected) => {
    expect(matches(pattern, text, true)).toBe(expected);
  });

  it('agrees with a regular expression on stars and question marks', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 8 });
    const texts = fc.string({ unit: fc.constantFrom('a', 'b', '\n'), maxLength: 10 });
    fc.assert(
      fc.property(letters, texts, (pattern, text) => {
        const expression = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's');
        expect(matches(pattern, text)).toBe(expression.test(text));
      }),
      { numRuns: 2000 },
    );
  });

  it('finds long parts between stars where short ones are found', () => {
    // Ninety letters more make each part long enough for the other search.
    const filler = 'ab'.repeat(45);
    const part = fc.string({ unit: fc.constantFrom('a', 'b', '?', '[ab]', '[^a]'), minLength: 1, maxLength: 5 });
    const texts = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 12 });
    fc.assert(
      fc.property(part, part, texts, texts, (first, second, left, right) => {
        const text = `${left}${filler}${right}${filler}${left}`;
        const pattern = `*${first}${filler}*${filler}${second}*`;
        const expression = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`);
        expect(matches(pattern, text)).toBe(expression.test(text));
      }),
      { numRuns: 500 },
    );
  });

  it('knows the pattern that matches everything', () => {
    const compile = (text: string): GlobPattern => new GlobPattern(Buffer.from(text), 0, text.length);
    expect(['*', '***'].map((text) => compile(text).matchesAll)).toEqual([true, true]);
    expect(['', 'a', '*a', '?', '\\*', '*?'].map((text) => compile(text).matchesAll)).toEqual(Array(6).fill(false));
  });

  it('matches nothing with more than 1,000 stars that something follows, as Redis does', () => {
    const text = 'a'.repeat(1100);
    expect(matches('a*'.repeat(1000) + 'a', text)).toBe(true);
    expect(matches('a*'.repeat(1001), text)).toBe(true);
    expect(matches('a**'.repeat(1000) + 'a', text)).toBe(true);
    expect(matches('a*'.repeat(1001) + 'a', text)).toBe(false);
    expect(matches('a*'.repeat(1002), text)).toBe(false);
  });

  // A search that goes back to earlier stars would not end in this century, a naive one takes minutes.
  it.each<[string, string, string]>([
    ['many stars, no end', `${'a*'.repeat(1000)}b`, 'a'.repeat(1_000_000)],
    ['many stars, no middle', `${'a*'.repeat(999)}b*`, 'a'.repeat(1_000_000)],
    ['one long part', `*${'a'.repeat(20_000)}b*`, 'a'.repeat(100_000)],
    ['one long part of any bytes', `*${'?'.repeat(20_000)}b*`, 'a'.repeat(100_000)],
    ['many classes', `*${'[ab]'.repeat(10_000)}c*`, 'ab'.repeat(20_000)],
    ['one long class', `*[${'ab'.repeat(50_000)}]c*`, 'ab'.repeat(50_000)],
  ])('stays quick on %s', (_name, pattern, text) => {
    const startedAt = performance.now();
    expect(matches(pattern, text)).toBe(false);
    expect(performance.now() - startedAt).toBeLessThan(5000);
  });
});
