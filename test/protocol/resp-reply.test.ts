import { describe, expect, it } from '@jest/globals';
import RedisParser from 'redis-parser';
import { ReplyWriter } from '../../protocol/resp-reply.ts';
import { Resp3Parser, RespError, type Reply } from '../support/resp3-parser.ts';
import fc from '../support/properties.ts';

/** What a writer wrote, from a buffer so small that it has to grow. */
function written(protocol: 2 | 3, write: (reply: ReplyWriter) => void): string {
  const reply = new ReplyWriter(1);
  reply.protocol = protocol;
  write(reply);
  return reply.buffer.toString('latin1', 0, reply.length);
}

/** The replies as an independent reader sees them, with a sentinel behind that shows the stream is in step. */
function read(protocol: 2 | 3, write: (reply: ReplyWriter) => void): Reply[] {
  const bytes = Buffer.from(
    written(protocol, (reply) => {
      write(reply);
      reply.simple('sentinel');
    }),
    'latin1',
  );
  const replies: Reply[] = [];
  const returnReply = (reply: Reply): void => void replies.push(reply);
  if (protocol === 3) {
    new Resp3Parser({ onReply: returnReply, buffers: true }).push(bytes);
  } else {
    const returnError = (error: Error): void => void replies.push(new RespError(error.message));
    new RedisParser({ returnReply, returnError, returnBuffers: true }).execute(bytes);
  }
  expect(replies.pop()).toEqual(Buffer.from('sentinel'));
  return replies;
}

const value = Buffer.from('xvaluex');

describe('replies', () => {
  it.each<[string, (reply: ReplyWriter) => void, string, string?]>([
    ['ok', (reply) => reply.ok(), '+OK\r\n'],
    ['pong', (reply) => reply.pong(), '+PONG\r\n'],
    ['queued', (reply) => reply.queued(), '+QUEUED\r\n'],
    ['simple', (reply) => reply.simple('string'), '+string\r\n'],
    ['error', (reply) => reply.error('ERR no'), '-ERR no\r\n'],
    ['integer', (reply) => reply.integer(-42), ':-42\r\n'],
    ['large integer', (reply) => reply.integer(2 ** 53 - 1), ':9007199254740991\r\n'],
    ['bigint', (reply) => reply.bigint(-(2n ** 63n)), ':-9223372036854775808\r\n'],
    ['bulk', (reply) => reply.bulk(value, 1, 5), '$5\r\nvalue\r\n'],
    ['empty bulk', (reply) => reply.bulk(value, 7, 0), '$0\r\n\r\n'],
    ['emptyBulk', (reply) => reply.emptyBulk(), '$0\r\n\r\n'],
    ['bulkString', (reply) => reply.bulkString('abc'), '$3\r\nabc\r\n'],
    ['bulkString in UTF-8', (reply) => reply.bulkString('é'), '$2\r\n\xc3\xa9\r\n'],
    ['bulkInteger', (reply) => reply.bulkInteger(-120), '$4\r\n-120\r\n'],
    ['nil', (reply) => reply.nil(), '$-1\r\n', '_\r\n'],
    ['nilArray', (reply) => reply.nilArray(), '*-1\r\n', '_\r\n'],
    ['array', (reply) => reply.array(12), '*12\r\n'],
    ['map', (reply) => reply.map(3), '*6\r\n', '%3\r\n'],
    ['set', (reply) => reply.set(3), '*3\r\n', '~3\r\n'],
    ['push', (reply) => reply.push(3), '*3\r\n', '>3\r\n'],
    ['double', (reply) => reply.double(1.5), '$3\r\n1.5\r\n', ',1.5\r\n'],
    ['infinite double', (reply) => reply.double(-Infinity), '$4\r\n-inf\r\n', ',-inf\r\n'],
    ['true', (reply) => reply.boolean(true), ':1\r\n', '#t\r\n'],
    ['false', (reply) => reply.boolean(false), ':0\r\n', '#f\r\n'],
    ['verbatim', (reply) => reply.verbatim('é'), '$2\r\n\xc3\xa9\r\n', '=6\r\ntxt:\xc3\xa9\r\n'],
    ['verbatim Markdown', (reply) => reply.verbatim('#', 'mkd'), '$1\r\n#\r\n', '=5\r\nmkd:#\r\n'],
    ['bigNumber', (reply) => reply.bigNumber('1'.repeat(30)), `$30\r\n${'1'.repeat(30)}\r\n`, `(${'1'.repeat(30)}\r\n`],
    ['raw', (reply) => reply.raw(Buffer.from('+a\r\n:1\r\n')), '+a\r\n:1\r\n'],
  ])('%s', (_name, write, resp2, resp3 = resp2) => {
    expect(written(2, write)).toBe(resp2);
    expect(written(3, write)).toBe(resp3);
  });

  it('of any bytes and sizes read back, from any kind of memory', () => {
    const parts = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 });
    fc.assert(
      fc.property(parts, fc.constantFrom<2 | 3>(2, 3), fc.boolean(), (values, protocol, shared) => {
        const copies = values.map((bytes) => {
          const memory = shared ? Buffer.from(new SharedArrayBuffer(bytes.length + 4)) : Buffer.alloc(bytes.length + 4);
          memory.set(bytes, 3);
          return memory;
        });
        const replies = read(protocol, (reply) => {
          reply.array(values.length);
          for (const copy of copies) reply.bulk(copy, 3, copy.length - 4);
        });
        expect(replies).toEqual([values.map((bytes) => Buffer.from(bytes))]);
      }),
    );
  });

  it('of any text read back', () => {
    const text = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 100 }),
      fc.string({ unit: 'binary-ascii', maxLength: 100 }),
    );
    fc.assert(
      fc.property(text, fc.constantFrom<2 | 3>(2, 3), (string, protocol) => {
        expect(read(protocol, (reply) => reply.bulkString(string))).toEqual([Buffer.from(string)]);
      }),
    );
  });

  it('of integers read back', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (integer) => {
        const digits = Buffer.from(String(integer));
        expect(read(3, (reply) => reply.integer(integer))).toEqual([integer]);
        expect(read(2, (reply) => reply.bulkInteger(integer))).toEqual([digits]);
      }),
    );
  });

  it.each([2, 3] as const)('stay in step in RESP%d whatever is in an error or a status', (protocol) => {
    const text = "ERR unknown command 'a\r\n+OK\r\n\0\x1b[2J\x7f\ud800é\t'";
    const shown = "ERR unknown command 'a  +OK    [2J \ufffdé\t'";
    const replies = read(protocol, (reply) => {
      reply.error(text);
      reply.simple(text);
    });
    expect(replies).toEqual([new RespError(shown), Buffer.from(shown)]);
  });

  it('refuses what is not an integer', () => {
    const reply = new ReplyWriter();
    expect(() => reply.integer(1.5)).toThrow();
    expect(() => reply.array(NaN)).toThrow();
    expect(() => reply.bulkInteger(2 ** 53)).toThrow();
  });
});

describe('the reply buffer', () => {
  it('grows by doubling and keeps what was written', () => {
    const reply = new ReplyWriter(64);
    const capacities = new Set<number>();
    for (let count = 0; count < 10_000; count++) {
      reply.integer(count);
      capacities.add(reply.buffer.length);
    }
    const expected = Array.from({ length: 10_000 }, (_, index) => `:${index}\r\n`).join('');
    expect(reply.buffer.toString('latin1', 0, reply.length)).toBe(expected);
    expect([...capacities]).toEqual(
      [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072].filter(
        (size) => size < 2 * expected.length,
      ),
    );
  });

  it('is kept by reset, unless a large reply has grown it', () => {
    const reply = new ReplyWriter(64);
    reply.bulk(Buffer.alloc(100_000), 0, 100_000);
    const grown = reply.buffer;
    reply.reset();
    expect(reply.length).toBe(0);
    expect(reply.buffer).toBe(grown);
    reply.bulk(Buffer.alloc(2_000_000), 0, 2_000_000);
    reply.reset();
    expect(reply.buffer.length).toBe(64);
    reply.ok();
    expect(reply.buffer.toString('latin1', 0, reply.length)).toBe('+OK\r\n');
  });
});
