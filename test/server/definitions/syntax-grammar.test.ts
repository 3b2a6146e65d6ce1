import { describe, expect, it } from '@jest/globals';
import { parseSyntax } from '../../../server/definitions/syntax-grammar.ts';

const key = { name: 'key', type: 'key' };
const value = { name: 'value', type: 'string' };

describe('parseSyntax', () => {
  it.each([
    ['', []],
    ['key', [key]],
    ['key value', [key, value]],
    ['[message]', [{ name: 'message', type: 'string', optional: true }]],
    ['key [key ...]', [{ ...key, multiple: true }]],
    ['[section [section ...]]', [{ name: 'section', type: 'string', multiple: true, optional: true }]],
    ['key value [key value ...]', [{ name: 'key_value', type: 'block', arguments: [key, value], multiple: true }]],
    ['[section ...]', [{ name: 'section', type: 'string', multiple: true, optional: true }]],
    ['GET', [{ name: 'get', type: 'pure-token', token: 'GET' }]],
    ['[EX seconds]', [{ name: 'seconds', type: 'integer', token: 'EX', optional: true }]],
    [
      '[NX|XX]',
      [
        {
          name: 'nx_xx',
          type: 'oneof',
          optional: true,
          arguments: [
            { name: 'nx', type: 'pure-token', token: 'NX' },
            { name: 'xx', type: 'pure-token', token: 'XX' },
          ],
        },
      ],
    ],
    [
      '<ON|OFF>',
      [
        {
          name: 'on_off',
          type: 'oneof',
          arguments: [
            { name: 'on', type: 'pure-token', token: 'ON' },
            { name: 'off', type: 'pure-token', token: 'OFF' },
          ],
        },
      ],
    ],
    [
      '[TYPE <A|B>]',
      [
        {
          name: 'a_b',
          type: 'oneof',
          token: 'TYPE',
          optional: true,
          arguments: [
            { name: 'a', type: 'pure-token', token: 'A' },
            { name: 'b', type: 'pure-token', token: 'B' },
          ],
        },
      ],
    ],
    [
      'GET encoding offset',
      [
        {
          name: 'encoding_offset',
          type: 'block',
          token: 'GET',
          arguments: [
            { name: 'encoding', type: 'string' },
            { name: 'offset', type: 'integer' },
          ],
        },
      ],
    ],
    ['[LIMIT offset count]', [expect.objectContaining({ token: 'LIMIT', optional: true, type: 'block' })]],
  ])('reads %j', (syntax, expected) => {
    expect(parseSyntax(syntax)).toEqual(expected);
  });

  it.each(['[', ']', '[[[', '<a|', 'a ...', '... a', '| |', '[a ...', ')('])(
    'makes something of %j, which is wrong',
    (syntax) => {
      expect(() => parseSyntax(syntax)).not.toThrow();
    },
  );
});
