import { describe, expect, it } from '@jest/globals';
import type { RequestDecoder } from '../../protocol/resp-request.ts';
import { argumentsOf, decodePieces, everyByte, newDecoder } from '../support/decode-requests.ts';
import { encodeRequest } from '../support/resp-client.ts';
import fc from '../support/properties.ts';

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1');
const long = 'v'.repeat(300);

/** Name, bytes, requests. */
const examples: [string, string, string[][]][] = [
  ['a command', '*1\r\n$4\r\nPING\r\n', [['PING']]],
  ['a pipeline', '*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n$4\r\nPING\r\n', [['GET', 'a'], ['PING']]],
  ['empty arguments', '*3\r\n$3\r\nSET\r\n$0\r\n\r\n$0\r\n\r\n', [['SET', '', '']]],
  ['an empty command', '*1\r\n$0\r\n\r\n', [['']]],
  ['a value of line breaks', '*2\r\n$4\r\nECHO\r\n$6\r\n\r\n\r\n\r\n\r\n', [['ECHO', '\r\n\r\n\r\n']]],
  ['a value that looks like a request', '*2\r\n$4\r\nECHO\r\n$8\r\n*1\r\n$1\r\n\r\n', [['ECHO', '*1\r\n$1\r\n']]],
  [
    'NUL, bad UTF-8 and __proto__',
    '*3\r\n$2\r\n\0\xff\r\n$9\r\n__proto__\r\n$1\r\n\xc3\r\n',
    [['\0\xff', '__proto__', '\xc3']],
  ],
  [
    'two-digit counts',
    `*11\r\n${'$1\r\na\r\n'.repeat(11)}*1\r\n$11\r\nhello world\r\n`,
    [Array(11).fill('a'), ['hello world']],
  ],
  ['a longer value', `*2\r\n$4\r\nECHO\r\n$300\r\n${long}\r\n*1\r\n$1\r\nx\r\n`, [['ECHO', long], ['x']]],
  [
    '*0, *-1 and blank lines between',
    '*0\r\n*-1\r\n\r\n\n  \r\n*1\r\n$1\r\na\r\n*0\r\n\r\n*-5\r\nb\r\n',
    [['a'], ['b']],
  ],
  ['only what is ignored', '*0\r\n\r\n*-1\r\n \t\r\n\n', []],
  ['inline', 'PING\r\nset  k\tv\nget k\r\n', [['PING'], ['set', 'k', 'v'], ['get', 'k']]],
  [
    'inline with quotes',
    'set "a b" \'c\'\r\n*1\r\n$1\r\nx\r\necho "\\x41\\n"\r\n',
    [['set', 'a b', 'c'], ['x'], ['echo', 'A\n']],
  ],
  ['inline beside RESP', 'PING\r\n*1\r\n$4\r\nPING\r\nPING\r\n', [['PING'], ['PING'], ['PING']]],
  ['inline starting with a dollar', '$3\r\n', [['$3']]],
];

describe('decoding requests', () => {
  describe.each(examples)('%s', (_name, text, requests) => {
    const bytes = bytesOf(text);

    it('whole', () => {
      expect(decodePieces(newDecoder(), bytes, [])).toEqual(requests);
    });

    it('split at every byte', () => {
      const decoder = newDecoder();
      for (let cut = 1; cut < bytes.length; cut++) {
        expect({ cut, requests: decodePieces(decoder, bytes, [cut]) }).toEqual({ cut, requests });
      }
    });

    it('one byte at a time', () => {
      const decoder = newDecoder();
      expect(decodePieces(decoder, bytes, everyByte(bytes))).toEqual(requests);
      expect(decoder.pendingBytes).toBe(0);
    });
  });

  it('gives back any arguments, however they are cut', () => {
    const argument = fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 40, maxLength: 3000 }));
    const request = fc.array(argument, { minLength: 1, maxLength: 40 });
    const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 6 }), cuts, (requests, fractions) => {
        const bytes = Buffer.concat(requests.map((parts) => encodeRequest(parts.map((part) => Buffer.from(part)))));
        const places = fractions.map((fraction) => Math.floor(fraction * bytes.length)).sort((a, b) => a - b);
        const expected = requests.map((parts) => parts.map((part) => Buffer.from(part).toString('latin1')));
        expect(decodePieces(newDecoder(), bytes, places)).toEqual(expected);
      }),
    );
  });

  it('parses in place, and copies only a request that was cut', () => {
    const decoder = newDecoder();
    const fed = bytesOf('a\r\n*1\r\n$1\r\nb\r\n"c d"\r\n*1\r\n$1\r\n');
    const first = bytesOf('*2\r\n$4\r\nECHO\r\n$1\r\n');
    decoder.feed(first, 0, first.length);
    expect(decoder.next()).toBe(0);
    decoder.feed(fed, 0, fed.length);
    expect(decoder.next()).toBe(1);
    expect(argumentsOf(decoder)).toEqual(['ECHO', 'a']);
    expect(decoder.buffer).not.toBe(fed);
    expect(decoder.next()).toBe(1);
    expect(argumentsOf(decoder)).toEqual(['b']);
    expect(decoder.buffer).toBe(fed);
    const before = Buffer.from(fed);
    expect(decoder.next()).toBe(1);
    expect(argumentsOf(decoder)).toEqual(['c d']);
    expect(decoder.next()).toBe(0);
    expect(fed).toEqual(before);
  });

  it('ignores a million blank lines and keeps nothing', () => {
    const decoder = newDecoder();
    const lines = bytesOf('\r\n*0\r\n*-1\r\n\n'.repeat(1000));
    for (let round = 0; round < 250; round++) {
      decoder.feed(lines, 0, lines.length);
      expect(decoder.next()).toBe(0);
    }
    expect(decoder.pendingBytes).toBe(0);
    expect(decoder.starts.length).toBe(16);
  });

  it('takes a request of many arguments, and gives their memory back', () => {
    const decoder = newDecoder();
    const count = 200_000;
    const bytes = bytesOf(`*${count}\r\n${'$1\r\nz\r\n'.repeat(count)}`);
    const cuts = Array.from({ length: Math.floor(bytes.length / 1001) }, (_, index) => (index + 1) * 1001);
    const [request] = decodePieces(decoder, bytes, cuts);
    expect(request.length).toBe(count);
    expect(new Set(request)).toEqual(new Set(['z']));
    expect(decoder.pendingBytes).toBe(0);
    expect(decoder.starts.length).toBe(16);
  });
});

describe('what an announcement costs', () => {
  function announce(decoder: RequestDecoder, text: string): void {
    const bytes = bytesOf(text);
    decoder.feed(bytes, 0, bytes.length);
    expect(decoder.next()).toBe(0);
  }

  it.each([
    '*1048577\r\n',
    '*1000000\r\n',
    '*2147483647\r\n',
    '*1\r\n$536870912\r\n',
    '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\nabc',
  ])('nothing is allocated for %j', (text) => {
    const decoder = newDecoder();
    announce(decoder, text);
    expect(decoder.pendingBytes).toBeGreaterThan(0);
    expect(decoder.pendingBytes).toBeLessThan(2048);
  });

  it('a large value grows with what arrives, up to its announced size and no further', () => {
    const decoder = newDecoder();
    const length = 3_000_001;
    announce(decoder, `*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${length}\r\n`);
    const piece = Buffer.alloc(65_536, 'q');
    for (let left = length; left > 0; left -= piece.length) {
      decoder.feed(piece, 0, Math.min(left, piece.length));
      expect(decoder.next()).toBe(0);
      const arrived = length - Math.max(0, left - piece.length);
      expect(decoder.pendingBytes).toBeLessThan(Math.min(2 * arrived, length) + 2048);
    }
    const ending = bytesOf('\r\nPING\r\n');
    decoder.feed(ending, 0, ending.length);
    expect(decoder.next()).toBe(1);
    expect(argumentsOf(decoder).map((argument) => argument.length)).toEqual([3, 1, length]);
    expect(decoder.buffer.length).toBe('SETk\r\n'.length + length);
    expect(decoder.next()).toBe(1);
    expect(argumentsOf(decoder)).toEqual(['PING']);
    expect(decoder.next()).toBe(0);
    expect(decoder.pendingBytes).toBe(0);
    expect(decoder.buffer.length).toBe(0);
  });

  it('a large value is not kept by an idle connection', () => {
    const decoder = newDecoder();
    const large = encodeRequest(['ECHO', Buffer.alloc(50_000, 'x')]);
    expect(decodePieces(decoder, large, [10_000]).length).toBe(1);
    const held = decoder as unknown as { own: { buffer: Buffer } };
    expect(held.own.buffer.length).toBeLessThanOrEqual(2048);
    // Nor by one that has begun its next request in the same bytes.
    expect(decodePieces(decoder, Buffer.concat([large, bytesOf('*1\r\n$')]), [10_000]).length).toBe(1);
    expect(decoder.pendingBytes).toBeLessThan(2048);
    expect(decodePieces(decoder, bytesOf('4\r\nPING\r\n'), [])).toEqual([['PING']]);
  });

  it('one byte at a time costs linear time', () => {
    // Scanning or copying what is pending again at each byte would take 10^10 steps and more.
    const bytes = Buffer.concat([
      encodeRequest(['SET', 'k', Buffer.alloc(400_000, 'x')]),
      bytesOf(`*50000\r\n${'$1\r\na\r\n'.repeat(50_000)}`),
      bytesOf(`${'i'.repeat(60_000)}\r\n`),
    ]);
    const decoder = newDecoder();
    const startedAt = performance.now();
    let count = 0;
    for (let at = 0; at < bytes.length; at++) {
      decoder.feed(bytes, at, at + 1);
      while (decoder.next() === 1) count++;
    }
    expect(count).toBe(3);
    expect(performance.now() - startedAt).toBeLessThan(5000);
  });
});

describe('pausing between pipelined requests', () => {
  const bytes = bytesOf('*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n*1\r\n$1\r\n');

  it('hold keeps the rest, so that the fed buffer can be used again', () => {
    const decoder = newDecoder();
    const fed = Buffer.from(bytes);
    decoder.feed(fed, 0, fed.length);
    expect(decoder.next()).toBe(1);
    decoder.hold();
    fed.fill(0);
    expect(decoder.pendingBytes).toBe(bytes.length - 11);
    decoder.hold();
    expect(decoder.next()).toBe(1);
    expect(argumentsOf(decoder)).toEqual(['b']);
    expect(decoder.next()).toBe(0);
    expect(decodePieces(decoder, bytesOf('c\r\n'), [])).toEqual([['c']]);
    expect(decoder.pendingBytes).toBe(0);
  });

  it('bytes fed meanwhile come behind the rest', () => {
    const decoder = newDecoder();
    decoder.feed(bytes, 0, bytes.length);
    expect(decoder.next()).toBe(1);
    decoder.hold();
    expect(decodePieces(decoder, bytesOf('c\r\nPING\r\n'), [])).toEqual([['b'], ['c'], ['PING']]);
    expect(decoder.pendingBytes).toBe(0);
  });

  it('a long pipeline that comes in pieces meanwhile is kept in order, and told by its length', () => {
    const decoder = newDecoder();
    decoder.feed(bytes, 0, bytes.length);
    expect(decoder.next()).toBe(1);
    decoder.hold();
    const waiting = decoder.gatheredBytes;
    const words = Array.from({ length: 5000 }, (_, index) => `word${index}`);
    const pipeline = bytesOf(`c\r\n${words.map((word) => `${word}\r\n`).join('')}`);
    for (let start = 0; start < pipeline.length; start += 997) {
      const piece = Buffer.from(pipeline.subarray(start, start + 997));
      decoder.feed(piece, 0, piece.length);
      decoder.hold();
      piece.fill(0);
      // Some are run in between, so that the rest begins anywhere.
      if (start % 10 === 0) expect(decoder.next()).toBe(1);
      decoder.hold();
    }
    expect(decoder.gatheredBytes).toBeLessThan(waiting + pipeline.length);
    const seen = [...argumentsOf(decoder)];
    while (decoder.next() === 1) seen.push(...argumentsOf(decoder));
    expect(seen.slice(1)).toEqual(words.slice(-(seen.length - 1)));
    expect(decoder.pendingBytes).toBe(0);
  });

  it('hold has nothing to keep when all is decoded', () => {
    const decoder = newDecoder();
    decoder.feed(bytes, 0, 11);
    expect(decoder.next()).toBe(1);
    decoder.hold();
    expect(decoder.pendingBytes).toBe(0);
    expect(decoder.next()).toBe(0);
  });
});
