import { describe, expect, it } from '@jest/globals';
import { ProtocolError } from '../../protocol/resp-request.ts';
import { badOnlyHere, badRequests, badRequestsBeforeAuth, type BadRequest } from '../support/bad-requests.ts';
import { decodeUntilError, defaultLimits, everyByte, newDecoder } from '../support/decode-requests.ts';

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1');

function expectError(bad: BadRequest, authenticated: boolean): void {
  const bytes = bytesOf(bad.bytes);
  const error = `Protocol error: ${bad.reason}`;
  expect(decodeUntilError(newDecoder({ authenticated }), bytes)).toEqual({ requests: [], error });
  const cuts = everyByte(bytes);
  expect(decodeUntilError(newDecoder({ authenticated }), bytes, cuts)).toEqual({ requests: [], error });
  if (bytes.length > 200) return;
  for (const cut of cuts) {
    expect({ cut, ...decodeUntilError(newDecoder({ authenticated }), bytes, [cut]) }).toEqual({
      cut,
      requests: [],
      error,
    });
  }
  // Behind a good request, and with more behind it: the good one is answered, nothing after the error is.
  const around = Buffer.concat([bytesOf('*1\r\n$1\r\na\r\n'), bytes, bytesOf('*1\r\n$1\r\nb\r\n')]);
  expect(decodeUntilError(newDecoder({ authenticated }), around)).toEqual({ requests: [['a']], error });
}

const shown = (bad: BadRequest): [string, BadRequest] => [JSON.stringify(bad.bytes.slice(0, 40)), bad];

describe('protocol errors, however they are cut', () => {
  it.each(badRequests.map(shown))('%s', (_name, bad) => expectError(bad, true));
  it.each(badOnlyHere.map(shown))('stricter than Redis: %s', (_name, bad) => expectError(bad, true));
  it.each(badRequestsBeforeAuth.map(shown))('before AUTH: %s', (_name, bad) => expectError(bad, false));

  it('are of their own class, and end the decoding', () => {
    const decoder = newDecoder();
    const bytes = bytesOf('*x\r\n*1\r\n$1\r\na\r\n');
    decoder.feed(bytes, 0, bytes.length);
    expect(() => decoder.next()).toThrow(ProtocolError);
    expect(decoder.next()).toBe(0);
    decoder.feed(bytes, 5, bytes.length);
    expect(decoder.next()).toBe(0);
    expect(decoder.pendingBytes).toBe(0);
  });
});

describe('limits', () => {
  it('before AUTH, 10 arguments and 16 KiB are legal, and more is once authenticated', () => {
    const ten = bytesOf(`*10\r\n${'$1\r\na\r\n'.repeat(10)}*1\r\n$16384\r\n${'x'.repeat(16384)}\r\n`);
    const { requests, error } = decodeUntilError(newDecoder({ authenticated: false }), ten, [100, 9000]);
    expect([requests.map((request) => request.length), error]).toEqual([[10, 1], undefined]);
  });

  it('an AUTH in the pipeline lifts them for what follows it', () => {
    const decoder = newDecoder({ authenticated: false });
    const bytes = bytesOf(`*1\r\n$4\r\nAUTH\r\n*11\r\n${'$1\r\na\r\n'.repeat(11)}`);
    decoder.feed(bytes, 0, bytes.length);
    expect(decoder.next()).toBe(1);
    decoder.authenticated = true;
    expect(decoder.next()).toBe(1);
    expect(decoder.argc).toBe(11);
  });

  it('are read anew for each request', () => {
    const limits = { ...defaultLimits };
    const decoder = newDecoder({ limits });
    const five = bytesOf('*1\r\n$5\r\nhello\r\n');
    expect(decodeUntilError(decoder, five).requests).toEqual([['hello']]);
    limits.bulkLengthMax = 4;
    expect(decodeUntilError(decoder, five).error).toBe('Protocol error: invalid bulk length');
  });

  it('bound the arguments', () => {
    const limits = { ...defaultLimits, argumentsMax: 20 };
    const request = (count: number): Buffer => bytesOf(`*${count}\r\n${'$1\r\na\r\n'.repeat(count)}`);
    expect(decodeUntilError(newDecoder({ limits }), request(20)).requests[0].length).toBe(20);
    expect(decodeUntilError(newDecoder({ limits }), request(21)).error).toBe(
      'Protocol error: invalid multibulk length',
    );
  });

  it.each([[[]], [[10]], [[63]], [[1, 2, 3]]])('count a line with its line feed (cut at %j)', (cuts: number[]) => {
    const limits = { ...defaultLimits, inlineLengthMax: 64 };
    const line = (length: number): Buffer => bytesOf(`${'x'.repeat(length - 1)}\n`);
    expect(decodeUntilError(newDecoder({ limits }), line(64), cuts).requests).toEqual([['x'.repeat(63)]]);
    expect(decodeUntilError(newDecoder({ limits }), line(65), cuts).error).toBe(
      'Protocol error: too big inline request',
    );
  });
});
