import { describe, expect, it } from '@jest/globals';
import { createServer, type AddressInfo } from 'node:net';
import { freePort } from './free-port.ts';
import { RawClient, RespClient, encodeRequest } from './resp-client.ts';
import { Resp3Parser, RespError, type Reply } from './resp3-parser.ts';
import { startRedis } from './redis-process.ts';
import { waitFor } from './wait-for.ts';

function parse3(text: string, step = text.length): Reply[] {
  const replies: Reply[] = [];
  const parser = new Resp3Parser({ onReply: (reply) => replies.push(reply) });
  const bytes = Buffer.from(text);
  for (let start = 0; start < bytes.length; start += step) parser.push(bytes.subarray(start, start + step));
  return replies;
}

describe('Resp3Parser', () => {
  const text =
    '+OK\r\n-ERR no\r\n:12\r\n:9223372036854775807\r\n(123\r\n,1.5\r\n,inf\r\n#t\r\n_\r\n$3\r\na\r\n\r\n$-1\r\n' +
    '=7\r\ntxt:abc\r\n*2\r\n:1\r\n*0\r\n%1\r\n+k\r\n+v\r\n~1\r\n+m\r\n>2\r\n+message\r\n+x\r\n|1\r\n+a\r\n+b\r\n:7\r\n!3\r\nE x\r\n';
  const expected = [
    'OK',
    new RespError('ERR no'),
    12,
    9223372036854775807n,
    123n,
    { double: 1.5 },
    { double: Infinity },
    true,
    null,
    'a\r\n',
    null,
    { format: 'txt', verbatim: 'abc' },
    [1, []],
    new Map([['k', 'v']]),
    new Set(['m']),
    { push: ['message', 'x'] },
    7,
    new RespError('E x'),
  ];

  it.each([1, 2, 7, 10_000])('reads every type from pieces of %d bytes', (step) => {
    // '$3' above announces three bytes: 'a', CR, LF.
    expect(parse3(text, step)).toEqual(expected);
  });

  it.each(['?1\r\n', ':x\r\n', '#y\r\n', '$3\r\nabcd\r\n', ',x\r\n', '$x\r\n'])('refuses %j', (bad) => {
    expect(() => parse3(bad)).toThrow();
  });
});

describe('the clients, on Redis', () => {
  it('sends, pipelines and reads both protocols', async () => {
    const redis = await startRedis();
    const client = await RespClient.connect(redis.port);
    expect(await client.command('SET', 'k', Buffer.from('v'))).toBe('OK');
    expect(await client.pipeline([['GET', 'k'], ['INCR', 'n'], ['NONSENSE']])).toEqual([
      'v',
      1,
      expect.objectContaining({ message: expect.stringMatching(/^ERR unknown command/) }),
    ]);
    const hello = (await client.hello(3)) as Map<string, Reply>;
    expect(hello.get('proto')).toBe(3);
    expect(await client.command('HGETALL', 'none')).toEqual(new Map());
    await client.close();

    const raw = await RawClient.connect(redis.port);
    raw.write(encodeRequest(['GET', 'k']));
    expect((await raw.bytes(7)).toString()).toBe('$1\r\nv\r\n');
    raw.write('QUIT\r\n');
    expect((await raw.until((bytes) => bytes.includes('OK'))).toString()).toBe('+OK\r\n');
    await raw.closed;

    redis.server.pause();
    redis.server.resume();
    expect(await redis.server.stop()).toBe(0);
    expect(redis.server.isRunning).toBe(false);
    expect(redis.server.logs).toContain('Ready to accept connections');
  });

  it('fails with the output when the server does not start', async () => {
    await expect(startRedis({ args: ['--nonsense', 'yes'] })).rejects.toThrow(/before it served[\s\S]*nonsense/i);
  });
});

describe('freePort', () => {
  it('gives ports that can be listened on', async () => {
    const port = await freePort();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    expect((server.address() as AddressInfo).port).toBe(port);
    expect(await freePort()).not.toBe(port);
    // A node without --peer-port listens on the port + 10000, which no outgoing connection may have taken.
    expect(port + 10_000).toBeLessThan(32_768);
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('waitFor', () => {
  it('gives the value, and names what did not come', async () => {
    let looks = 0;
    expect(await waitFor('three looks', () => ++looks >= 3 && looks)).toBe(3);
    await expect(waitFor('the end', () => false, { deadlineMs: 30 })).rejects.toThrow(
      'waited 30 ms in vain for the end; last seen: false',
    );
  });
});
