import { describe, expect, it } from '@jest/globals';
import type { ArgumentSource } from '../../../protocol/resp-request.ts';
import { type CommandDefinition, command, keyRange, type KeySpec } from '../../../server/definitions/command.ts';
import { KeyCountError, keysOf, legacyRangeOf, shownFlags } from '../../../server/definitions/key-extraction.ts';

function definition(...keys: KeySpec[]): CommandDefinition {
  return command({
    name: 'test',
    summary: 'Test.',
    since: '1.0.0',
    group: 'generic',
    arity: -1,
    flags: ['write'],
    syntax: '',
    keys,
  });
}

function request(line: string): ArgumentSource {
  const words = line.split(' ');
  const starts = new Int32Array(words.length);
  words.forEach((word, index) => {
    if (index + 1 < words.length) starts[index + 1] = starts[index] + word.length + 1;
  });
  return {
    buffer: Buffer.from(line),
    argc: words.length,
    starts,
    lengths: Int32Array.from(words, ({ length }) => length),
  };
}

function keys(line: string, ...specs: KeySpec[]): string[] {
  const words = line.split(' ');
  return keysOf(definition(...specs), request(line)).map(({ index }) => words[index]);
}

const numbered: KeySpec = { kind: 'numkeys', count: 2, first: 3, flags: ['RW'] };
const stored: KeySpec = { kind: 'keyword', keyword: 'STORE', from: 2, last: 0, step: 1, flags: ['OW'] };
const backwards: KeySpec = { kind: 'keyword', keyword: 'KEYS', from: -2, last: -1, step: 1, flags: ['RO'] };

describe('keysOf', () => {
  it('finds ranges, to their end or to that of the request', () => {
    expect(keys('t a b c', keyRange(1, 1, 1, 'RO'))).toEqual(['a']);
    expect(keys('t a b c', keyRange(1, -1, 1, 'RO'))).toEqual(['a', 'b', 'c']);
    expect(keys('t a 1 b 2', keyRange(1, -1, 2, 'OW'))).toEqual(['a', 'b']);
    expect(keys('t a b c', keyRange(1, -2, 1, 'RO'))).toEqual(['a', 'b']);
    expect(keys('t a', keyRange(2, 2, 1, 'RO'))).toEqual([]);
    expect(keys('t a b', keyRange(1, 1, 1, 'RO'), keyRange(2, 2, 1, 'OW'))).toEqual(['a', 'b']);
  });

  it('counts keys where the request says how many there are', () => {
    expect(keys('t script 2 a b c', numbered)).toEqual(['a', 'b']);
    expect(keys('t script 0 a', numbered)).toEqual([]);
    for (const line of ['t script 9 a', 't script -1 a', 't script x a', 't script']) {
      expect(() => keys(line, numbered)).toThrow(KeyCountError);
    }
  });

  it('looks for keywords, in any letter case, forwards and from the end', () => {
    expect(keys('t a LIMIT store d', stored)).toEqual(['d']);
    expect(keys('t a STORE', stored)).toEqual([]);
    expect(keys('t a', stored)).toEqual([]);
    expect(keys('t host KEYS a b', { ...backwards, from: -3 })).toEqual(['a', 'b']);
  });

  it('leaves out what only looks like a key', () => {
    expect(keys('t a', keyRange(1, 1, 1, 'RO', 'not_key'))).toEqual([]);
  });
});

describe('legacyRangeOf', () => {
  it('joins consecutive ranges, and says when that is not all', () => {
    expect(legacyRangeOf(definition())).toEqual({ first: 0, last: 0, step: 0, isMovable: false });
    expect(legacyRangeOf(definition(keyRange(1, -1, 2, 'OW')))).toEqual({
      first: 1,
      last: -1,
      step: 2,
      isMovable: false,
    });
    expect(legacyRangeOf(definition(keyRange(1, 1, 1, 'RO'), keyRange(2, 2, 1, 'OW')))).toEqual({
      first: 1,
      last: 2,
      step: 1,
      isMovable: false,
    });
    expect(legacyRangeOf(definition(keyRange(1, 1, 1, 'RO'), stored))).toEqual({
      first: 1,
      last: 1,
      step: 1,
      isMovable: true,
    });
    expect(legacyRangeOf(definition(numbered))).toEqual({ first: 0, last: 0, step: 0, isMovable: true });
    expect(shownFlags(definition(numbered))).toEqual(['write', 'movablekeys']);
  });
});
