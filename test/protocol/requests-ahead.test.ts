import { describe, expect, it } from '@jest/globals';
import { RequestsAhead } from '../../protocol/requests-ahead.ts';
import { ProtocolError, RequestDecoder } from '../../protocol/resp-request.ts';
import { badOnlyHere, badRequests } from '../support/bad-requests.ts';
import fc from '../support/properties.ts';

const limits = { bulkLengthMax: 1 << 20, inlineLengthMax: 65536, argumentsMax: 1 << 20 };

/** What a decoder makes of the pieces: arguments as text, and the error that ended it. */
function decode(pieces: Buffer[], ahead: RequestsAhead | null, stranger?: RequestDecoder): unknown[] {
  const decoder = new RequestDecoder(limits, ahead);
  decoder.authenticated = true;
  const shared = Buffer.alloc(1 << 17);
  const found: unknown[] = [];
  try {
    for (const piece of pieces) {
      piece.copy(shared, 7);
      decoder.feed(shared, 7, 7 + piece.length);
      while (decoder.next() === 1) {
        const args: string[] = [];
        for (let index = 0; index < decoder.argc; index++) {
          const start = decoder.starts[index];
          args.push(decoder.buffer.toString('latin1', start, start + decoder.lengths[index]));
        }
        found.push(args);
        // Another connection decodes in between, as one that a command has woken does.
        if (stranger !== undefined && found.length % 3 === 0) {
          decoder.hold();
          stranger.feed(Buffer.from('*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n'), 0, 22);
          stranger.next();
        }
      }
      shared.fill(0xff);
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    found.push(error.message);
  }
  return found;
}

function encode(args: string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`;
}

const argument = fc.oneof(
  fc.string({ maxLength: 20 }).map((text) => Buffer.from(text).toString('latin1')),
  fc.nat({ max: 12_000 }).map((length) => 'v'.repeat(length)),
);
const request = fc.oneof(
  { weight: 8, arbitrary: fc.array(argument, { minLength: 1, maxLength: 12 }).map(encode) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('PING\r\n', 'SET a "b c"\r\n', '\r\n', '*0\r\n', '*-1\r\n', '*01\r\n$1\r\na\r\n'),
  },
  { weight: 1, arbitrary: fc.constantFrom(...badRequests, ...badOnlyHere).map(({ bytes }) => bytes) },
);

function split(bytes: Buffer, cuts: number[]): Buffer[] {
  const points = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  return points.slice(1).map((point, index) => bytes.subarray(points[index], point));
}

describe('requests decoded ahead', () => {
  it('are those that are decoded one by one, however they are cut and whoever decodes in between', () => {
    fc.assert(
      fc.property(
        fc.array(request, { maxLength: 60 }),
        fc.array(fc.nat(), { maxLength: 6 }),
        fc.boolean(),
        (requests, cuts, between) => {
          const bytes = Buffer.from(requests.join(''), 'latin1').subarray(0, 100_000);
          const ahead = new RequestsAhead();
          const stranger = new RequestDecoder(limits, ahead);
          stranger.authenticated = true;
          const pieces = split(bytes, cuts);
          expect(decode(pieces, ahead, between ? stranger : undefined)).toEqual(decode(pieces, null));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('are not used by a decoder that is not authenticated', () => {
    const ahead = new RequestsAhead();
    const decoder = new RequestDecoder(limits, ahead);
    const bytes = Buffer.from(encode(['AUTH', 'x']) + encode(['a']) + encode(['b']) + encode(['c']));
    decoder.feed(bytes, 0, bytes.length);
    const names: string[] = [];
    // Authenticated from the second request on, not before the fourth again: each is seen once.
    for (const authenticated of [false, true, false, true]) {
      decoder.authenticated = authenticated;
      expect(decoder.next()).toBe(1);
      expect(ahead.owner === decoder).toBe(authenticated);
      names.push(decoder.buffer.toString('latin1', decoder.starts[0], decoder.starts[0] + decoder.lengths[0]));
    }
    expect(names).toEqual(['AUTH', 'a', 'b', 'c']);
    expect(decoder.next()).toBe(0);
  });
});
