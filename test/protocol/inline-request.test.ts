import { describe, expect, it } from '@jest/globals';
import { hasQuotes, splitInline } from '../../protocol/inline-request.ts';
import fc from '../support/properties.ts';

/** Splits a line that lies between other bytes; undefined when its quotes are unbalanced. */
function split(line: string): string[] | undefined {
  const buffer = Buffer.from(`ab${line}"x`, 'latin1');
  const words: string[] = [];
  const sink = {
    addArgument(start: number, length: number): void {
      words.push(buffer.toString('latin1', start, start + length));
    },
  };
  const end = buffer.length - 2;
  const balanced = splitInline(buffer, 2, end, sink);
  expect(buffer.toString('latin1', 0, 2) + buffer.toString('latin1', end)).toBe('ab"x');
  return balanced ? words : undefined;
}

describe('inline requests', () => {
  it.each<[string, string[]]>([
    ['', []],
    [' \t\r\v\f ', []],
    ['PING', ['PING']],
    ['  set\ta   b\r', ['set', 'a', 'b']],
    ['a\rb', ['a', 'b']],
    ['a\vb', ['a\vb']],
    ['"a b" \'c d\'', ['a b', 'c d']],
    ['a"b c"', ['ab c']],
    ["a'b c'", ['ab c']],
    ['"" \'\'', ['', '']],
    ['"\\x41\\xfF\\n\\r\\t\\b\\a\\q\\\\\\""', ['A\xff\n\r\t\b\x07q\\"']],
    ['"\\x4" "\\xg0" "\\x4g"', ['x4', 'xg0', 'x4g']],
    ["'\\n\\'\\x41'", ["\\n'\\x41"]],
    ['\\x41 a\\b', ['\\x41', 'a\\b']],
    ['"a"\vb', ['a', 'b']],
    ['a\0b \0', ['a\0b', '\0']],
    ['"a\0b"', ['a\0b']],
  ])('splits %j', (line, words) => {
    expect(split(line)).toEqual(words);
  });

  it.each(['"', "'", '"a', "'a", 'a"', '"a"b', "'a'b", '"a"\'b\'', '"a\\"', '"a\\', "'a\\'", '"\\x41', 'ok "a" "b'])(
    'finds the quotes of %j unbalanced',
    (line) => {
      expect(split(line)).toBeUndefined();
    },
  );

  it('gives back any bytes that were quoted', () => {
    const quote = (bytes: Uint8Array): string =>
      `"${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}"`;
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 12 })), (words) => {
        const expected = words.map((word) => Buffer.from(word).toString('latin1'));
        expect(split(words.map(quote).join(' '))).toEqual(expected);
      }),
    );
  });

  it('writes to no line without quotes', () => {
    const line = Buffer.from(' set  key value\r');
    const before = Buffer.from(line);
    splitInline(line, 0, line.length, { addArgument: () => undefined });
    expect(line).toEqual(before);
  });

  it('sees quotes only inside the line', () => {
    const buffer = Buffer.from('"a\'b"');
    expect(hasQuotes(buffer, 1, 2)).toBe(false);
    expect(hasQuotes(buffer, 1, 3)).toBe(true);
    expect(hasQuotes(buffer, 4, 5)).toBe(true);
  });
});
