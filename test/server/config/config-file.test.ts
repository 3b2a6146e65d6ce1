import { describe, expect, it } from '@jest/globals';
import { quoteWord, readLines, splitLine } from '../../../server/config/config-file.ts';
import fc from '../../support/properties.ts';

describe('splitLine', () => {
  it.each([
    ['port 6379', ['port', '6379']],
    ['  bind\t127.0.0.1   ::1 ', ['bind', '127.0.0.1', '::1']],
    ['save ""', ['save', '']],
    ["logfile ''", ['logfile', '']],
    ['requirepass "a b\\n\\x41\\"\\\\"', ['requirepass', 'a b\nA"\\']],
    ['requirepass "\\xc3\\xa9é"', ['requirepass', 'éé']],
    ["requirepass 'it\\'s \\n'", ['requirepass', "it's \\n"]],
    ['', []],
  ])('cuts %j', (line, words) => {
    expect(splitLine(line)).toEqual(words);
  });

  it.each(['a "b', "a 'b", 'a "b"c', '"\\'])('refuses the quotes of %j', (line) => {
    expect(splitLine(line)).toBeUndefined();
  });

  it('reads back what quoteWord writes', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', minLength: 1 }), { minLength: 1 }), (words) => {
        expect(splitLine(words.map(quoteWord).join(' '))).toEqual(words);
      }),
    );
  });
});

describe('readLines', () => {
  it('numbers lines, and passes over comments', () => {
    const lines = readLines('# first\r\n\r\nport 1\r\n  # x "\nbind "');
    expect(lines.map(({ number, words }) => [number, words])).toEqual([
      [1, []],
      [2, []],
      [3, ['port', '1']],
      [4, []],
      [5, undefined],
    ]);
  });
});
