/** DEBUG PROTOCOL: one reply of every type, for tests of clients. The values are those of Redis, which such tests expect. */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import type { Call } from '../dispatch/call.ts';

function threeOf(reply: ReplyWriter, write: (value: number) => void): void {
  for (let value = 0; value < 3; value++) {
    reply.integer(value);
    write(value);
  }
}

function numbers(reply: ReplyWriter): void {
  for (let value = 0; value < 3; value++) reply.integer(value);
}

function attribute(reply: ReplyWriter): void {
  if (reply.protocol === 3) {
    reply.raw(Buffer.from('|1\r\n'));
    reply.bulkString('key-popularity');
    reply.array(2);
    reply.bulkString('key:123');
    reply.integer(90);
  }
  reply.bulkString('Some real reply following the attribute');
}

function push(call: Call): void {
  const { reply } = call;
  if (reply.protocol === 2) call.fail('ERR RESP2 is not supported by this command');
  reply.push(2);
  reply.bulkString('server-cpu-usage');
  reply.integer(42);
  reply.bulkString('Some real reply following the push reply');
}

const REPLIES: Readonly<Record<string, (call: Call) => void>> = {
  string: ({ reply }) => reply.bulkString('Hello World'),
  integer: ({ reply }) => reply.integer(12345),
  double: ({ reply }) => reply.double(3.141),
  bignum: ({ reply }) => reply.bigNumber('1234567999999999999999999999999999999'),
  null: ({ reply }) => reply.nil(),
  array: ({ reply }) => {
    reply.array(3);
    numbers(reply);
  },
  set: ({ reply }) => {
    reply.set(3);
    numbers(reply);
  },
  map: ({ reply }) => {
    reply.map(3);
    threeOf(reply, (value) => reply.boolean(value === 1));
  },
  attrib: ({ reply }) => attribute(reply),
  push,
  verbatim: ({ reply }) => reply.verbatim('This is a verbatim\nstring'),
  true: ({ reply }) => reply.boolean(true),
  false: ({ reply }) => reply.boolean(false),
};

export const PROTOCOL_TYPES: readonly string[] = Object.keys(REPLIES);

export function replyProtocolType(call: Call): void {
  const name = call.latin1(2).toLowerCase();
  const reply = PROTOCOL_TYPES.includes(name) ? REPLIES[name] : undefined;
  if (reply === undefined) {
    const types = PROTOCOL_TYPES.join('|');
    return call.fail(`ERR Wrong protocol type name. Please use one of the following: ${types}`);
  }
  reply(call);
}
