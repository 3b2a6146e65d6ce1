/** Real sockets against the built server, with replies written straight to the handle and without. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type BadRequest, badOnlyHere, badRequests, badRequestsBeforeAuth } from '../../support/bad-requests.ts';
import { type MantisProcess, startMantis } from '../../support/mantis-process.ts';
import { RawClient, RespClient, encodeRequest } from '../../support/resp-client.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';
import type { Reply } from '../../support/resp3-parser.ts';
import { stopAtEnd, temporaryFolder } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait-for.ts';

const mebibyte = 1024 * 1024;
const patient = { deadlineMs: 20_000 };

/** A field of INFO, as a number. */
async function info(client: RespClient, field: string): Promise<number> {
  const text = String(await client.command('INFO', 'everything'));
  const found = new RegExp(`^${field}:(?:calls=)?([\\d.]+)`, 'm').exec(text);
  if (found === null) throw new Error(`INFO has no ${field}`);
  return Number(found[1]);
}

async function cpuSeconds(client: RespClient): Promise<number> {
  return (await info(client, 'used_cpu_user')) + (await info(client, 'used_cpu_sys'));
}

/** Random bytes, of a length that divides no power of two, so that a piece in the wrong place shows. */
const noise = randomBytes(65_537);

function pattern(length: number): Buffer {
  return Buffer.alloc(length, noise);
}

/** All the bytes from now on, up to `count`; RawClient's own gathering looks at all of them at each read. */
async function gather(client: RawClient, count: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let received = 0;
  client.socket.removeAllListeners('data');
  client.socket.on('data', (data) => {
    parts.push(data);
    received += data.length;
  });
  client.socket.resume();
  await waitFor(`${count} bytes`, () => received >= count, { deadlineMs: 30_000 });
  return Buffer.concat(parts);
}

const keys = ['a', 'b', 'long'.repeat(20), 'longer'.repeat(400)];

/** A command on few keys and three databases. Expiry is at once or far away, so that time does not matter. */
function randomRequest(random: SeededRandom): string[] {
  const key = random.pick(keys);
  const forms = [
    ['SET', key, 'v'.repeat(random.below(200))],
    ['SET', key, 'kept', 'EX', '1000', 'NX', 'GET'],
    ['GET', key],
    ['GETDEL', key],
    ['INCR', key],
    ['APPEND', key, 'more'],
    ['EXPIRE', key, random.pick(['-1', '5000'])],
    ['EXISTS', key, 'a', key],
    ['RENAME', key, random.pick(keys)],
    ['COPY', key, random.pick(keys), 'REPLACE'],
    ['MSET', key, '1', 'b', '2'],
    ['MGET', 'b', key],
    ['DEL', key, 'a'],
    ['SELECT', random.pick(['0', '1', '2'])],
    ['SWAPDB', '0', '1'],
    ['FLUSHDB'],
    ['MULTI'],
    ['EXEC'],
    ['DISCARD'],
    ['ECHO', key],
    ['NOSUCH', key],
    ['GET'],
  ];
  return random.pick(forms);
}

/** Rows for it.each, with a start of the bytes that can be printed. */
function named(requests: readonly BadRequest[]): (BadRequest & { start: string })[] {
  return requests.map((request) => ({ ...request, start: JSON.stringify(request.bytes.slice(0, 24)) }));
}

function repeated(request: string | Buffer, times: number): Buffer {
  return Buffer.concat(new Array<Buffer>(times).fill(Buffer.from(request)));
}

describe.each(['yes', 'no'])('a connection with tcp-direct-write %s', (direct) => {
  let mantis: MantisProcess;
  let other: RespClient;
  let clients: { close(): Promise<void> }[] = [];

  const raw = async (): Promise<RawClient> => {
    const client = await RawClient.connect(mantis.port);
    clients.push(client);
    return client;
  };

  beforeAll(async () => {
    const args = ['--tcp-direct-write', direct, '--peer-port', 'none'];
    mantis = await startMantis({ dataDir: 'none', args });
    other = await RespClient.connect(mantis.port);
  }, 40_000);

  afterAll(async () => {
    await Promise.all(clients.map((client) => client.close()));
    clients = [];
    await other.close();
    await mantis.server.stop();
  });

  it('answers 100,000 pipelined commands in order', async () => {
    const client = await raw();
    const count = 100_000;
    client.write(repeated('*2\r\n$4\r\nINCR\r\n$9\r\npipelined\r\n', count));
    let expected = '';
    for (let value = 1; value <= count; value++) expected += `:${value}\r\n`;
    const replies = await client.bytes(expected.length, patient.deadlineMs);
    expect(replies.toString('latin1') === expected).toBe(true);
  });

  it('answers pipelines of every mix of sizes as if they came one by one', async () => {
    const client = await RespClient.connect(mantis.port, { buffers: true });
    clients.push(client);
    const requests: (string | Buffer)[][] = [];
    const expected: string[] = [];
    for (let round = 0; round < 400; round++) {
      const value = pattern([0, 1, 3, 64, 100, 513, 5000, 9999, 10_000, 70_000][round % 10]);
      const key = `mix:${round % 37}:${'k'.repeat((round % 5) * 300)}`;
      requests.push(['SET', key, value], ['GET', key], ['DEL', key], ['GET', key], ['ECHO', key]);
      expected.push('OK', value.toString('latin1'), '1', 'null', key);
    }
    const replies = await client.pipeline(requests);
    const text = (reply: unknown): string => (Buffer.isBuffer(reply) ? reply.toString('latin1') : String(reply));
    expect(replies.map(text).join() === expected.join()).toBe(true);
  });

  it('runs a pipeline as it runs the same commands one by one, whatever they do to each other', async () => {
    await withSeed('test/server/network/connection.test.ts', async (random) => {
      const requests = Array.from({ length: 600 }, () => randomRequest(random));
      const client = await RespClient.connect(mantis.port);
      clients.push(client);
      await other.command('FLUSHALL');
      const single: Reply[] = [];
      for (const request of requests) single.push(await client.command(...request));
      await client.command('RESET');
      await other.command('FLUSHALL');
      expect(await client.pipeline(requests)).toEqual(single);
    });
  });

  it('takes requests one byte at a time', async () => {
    const client = await raw();
    const request = Buffer.concat([encodeRequest(['SET', 'slow', 'drop']), Buffer.from('GET "slow"\r\n')]);
    for (const byte of request) {
      client.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await client.bytes(15)).toString()).toBe('+OK\r\n$4\r\ndrop\r\n');
  });

  it('takes and gives 64 MB values without copying them over and over', async () => {
    const client = await raw();
    const value = pattern(64 * mebibyte);
    const before = await cpuSeconds(other);
    client.write(encodeRequest(['SET', 'large', value]));
    expect((await client.bytes(5, 30_000)).toString()).toBe('+OK\r\n');
    client.write(encodeRequest(['GET', 'large']));
    const header = `$${value.length}\r\n`;
    const reply = await gather(client, header.length + value.length + 2);
    expect(reply.subarray(0, header.length).toString()).toBe(header);
    expect(reply.subarray(header.length, -2).equals(value)).toBe(true);
    expect((await cpuSeconds(other)) - before).toBeLessThan(3);
    await other.command('DEL', 'large');
  }, 60_000);

  it('lets the commands of a client that does not read wait, and serves the others meanwhile', async () => {
    const lazy = await raw();
    const value = pattern(100_000);
    await other.command('SET', 'wide', value);
    await other.command('CONFIG', 'RESETSTAT');
    const rssBefore = await info(other, 'used_memory_rss');
    lazy.socket.pause();
    const count = 3000;
    lazy.write(repeated(encodeRequest(['GET', 'wide']), count));
    // Its commands wait once the count stands still.
    let last = 0;
    const calls = await waitFor(
      'the client to be paused',
      async () => {
        const now = await info(other, 'cmdstat_get');
        const still = now > 0 && now === last;
        last = now;
        return still ? now : 0;
      },
      { ...patient, intervalMs: 100 },
    );
    expect(calls).toBeLessThan(count / 5);
    expect((await info(other, 'used_memory_rss')) - rssBefore).toBeLessThan(100 * mebibyte);
    for (let ping = 0; ping < 500; ping++) expect(await other.command('PING')).toBe('PONG');

    const wanted = count * (`$${value.length}\r\n`.length + value.length + 2);
    expect((await gather(lazy, wanted)).length).toBe(wanted);
  }, 60_000);

  it('takes a whole pipeline of a client that reads no reply before it has sent all', async () => {
    const client = await raw();
    client.socket.pause();
    const value = pattern(100_000);
    const count = 400;
    client.write(repeated(encodeRequest(['ECHO', value]), count));
    await waitFor('all requests to be taken', () => client.socket.writableLength === 0, patient);
    const reply = Buffer.concat([Buffer.from(`$${value.length}\r\n`), value, Buffer.from('\r\n')]);
    const replies = await gather(client, count * reply.length);
    for (let index = 0; index < count; index++) {
      expect(replies.compare(reply, 0, reply.length, index * reply.length, (index + 1) * reply.length)).toBe(0);
    }
  }, 60_000);

  it('closes a client that leaves more unread than client-output-buffer-limit allows', async () => {
    const lazy = await raw();
    await other.command('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 300000 0 0');
    const before = await info(other, 'connected_clients');
    lazy.socket.pause();
    lazy.write(repeated(encodeRequest(['GET', 'wide']), 1000));
    await waitFor('the client to be closed', async () => (await info(other, 'connected_clients')) < before, patient);
    await waitFor('the log to say why', () => mantis.server.logs.includes('client-output-buffer-limit'), patient);
    await other.command('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 0 0 0');
  });

  it('closes a client that has left too much unread for too long, also when it is sent nothing more', async () => {
    const lazy = await raw();
    await other.command('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 0 200000 1');
    const before = await info(other, 'client_output_buffer_limit_disconnections');
    lazy.socket.pause();
    lazy.write(repeated(encodeRequest(['GET', 'wide']), 1000));
    const count = async (): Promise<number> => info(other, 'client_output_buffer_limit_disconnections');
    await waitFor('the client to be closed', async () => (await count()) === before + 1, patient);
    await other.command('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 0 0 0');
    await lazy.close();
  });

  it('answers what a client sent before it closed its half', async () => {
    const client = await raw();
    const count = 20_000;
    client.socket.end(repeated('PING\r\n', count));
    await client.closed;
    expect(client.received.toString() === '+PONG\r\n'.repeat(count)).toBe(true);
  });

  it('sends every reply before QUIT takes effect, and runs nothing after it', async () => {
    const client = await raw();
    const value = pattern(100_000);
    await other.command('SET', 'wide', value);
    const gets = repeated(encodeRequest(['GET', 'wide']), 100);
    client.write(Buffer.concat([gets, encodeRequest(['QUIT']), encodeRequest(['SET', 'after', 'quit'])]));
    await client.closed;
    const { received } = client;
    expect(received.length).toBe(100 * ('$100000\r\n'.length + 100_000 + 2) + 5);
    expect(received.subarray(-5).toString()).toBe('+OK\r\n');
    expect(await other.command('EXISTS', 'after')).toBe(0);
  });

  it('outlives clients that vanish in the middle', async () => {
    const before = await info(other, 'connected_clients');
    await other.command('SET', 'wide', pattern(100_000));
    for (let round = 0; round < 30; round++) {
      const client = await raw();
      client.write(
        Buffer.concat([
          repeated(encodeRequest(['GET', 'wide']), 1 + round),
          Buffer.from('*3\r\n$3\r\nSET\r\n$5\r\nha'),
        ]),
      );
      if (round % 3 === 0) await once(client.socket, 'data');
      client.socket.resetAndDestroy();
    }
    await waitFor(
      'the clients to be forgotten',
      async () => (await info(other, 'connected_clients')) === before,
      patient,
    );
    expect(await other.command('PING')).toBe('PONG');
  });

  it.each(named([...badRequests, ...badOnlyHere]))('refuses $start: $reason', async ({ bytes, reason }) => {
    const client = await raw();
    client.write(Buffer.concat([Buffer.from('PING\r\n'), Buffer.from(bytes, 'latin1')]));
    await client.closed;
    expect(client.received.toString('latin1')).toBe(`+PONG\r\n-ERR Protocol error: ${reason}\r\n`);
  });

  it('ignores a million requests that are none', async () => {
    const client = await raw();
    const rssBefore = await info(other, 'used_memory_rss');
    client.write(Buffer.concat([repeated('*0\r\n*-1\r\n\r\n \r\n', 250_000), Buffer.from('PING\r\n')]));
    expect((await client.bytes(7)).toString()).toBe('+PONG\r\n');
    expect((await info(other, 'used_memory_rss')) - rssBefore).toBeLessThan(64 * mebibyte);
  });

  it('does not take a client for idle that watches, listens or waits', async () => {
    const connect = (): Promise<RespClient> => RespClient.connect(mantis.port, { protocol: 3 });
    const [watching, listening, waiting] = await Promise.all([connect(), connect(), connect()]);
    await watching.command('MONITOR');
    await listening.command('SUBSCRIBE', 'channel');
    waiting.write(encodeRequest(['BLPOP', 'nothing', '0']));
    const idle = await connect();
    let closedCount = 0;
    for (const client of [watching, listening, waiting]) void client.closed.then(() => closedCount++);
    await other.command('CONFIG', 'SET', 'timeout', '1');
    // MONITOR does not show these: who watches is told nothing.
    const asking = setInterval(() => void other.command('CONFIG', 'GET', 'timeout'), 100);
    await idle.closed;
    clearInterval(asking);
    await other.command('CONFIG', 'SET', 'timeout', '0');
    expect(closedCount).toBe(0);
    await Promise.all([watching, listening, waiting].map((client) => client.close()));
  });

  it('reserves nothing for arguments that are only announced, and closes an idle client after its timeout', async () => {
    const rssBefore = await info(other, 'used_memory_rss');
    const silent = await Promise.all(Array.from({ length: 20 }, raw));
    for (const client of silent) client.write('*1000000\r\n$3\r\nSET\r\n$500000000\r\n');
    for (let ping = 0; ping < 50; ping++) await other.command('PING');
    expect((await info(other, 'used_memory_rss')) - rssBefore).toBeLessThan(64 * mebibyte);
    await other.command('CONFIG', 'SET', 'timeout', '1');
    const pings = setInterval(() => void other.command('PING'), 100);
    await Promise.all(silent.map((client) => client.closed));
    clearInterval(pings);
    await other.command('CONFIG', 'SET', 'timeout', '0');
  });

  it.each([
    ['HTTP', 'POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\nSET attack 1\r\n'],
    ['HTTP', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET attack 1\r\n'],
    ['TLS', Buffer.from('160301020001fc0303', 'hex')],
  ])('closes a client that speaks %s', async (protocol, bytes) => {
    const client = await raw();
    client.write(bytes);
    await client.closed;
    expect(client.received.toString()).not.toContain('OK');
    expect(mantis.server.logs).toContain(`closed: ${protocol}`);
    expect(await other.command('EXISTS', 'attack')).toBe(0);
  });
});

it('a client of a Unix socket is a local one, and is shown with its path', async () => {
  const path = join(temporaryFolder('unix-socket'), 'mantis.sock');
  const args = ['--peer-port', 'none', '--unixsocket', path, '--enable-debug-command', 'local'];
  const mantis = await startMantis({ dataDir: 'none', args });
  stopAtEnd(async () => void (await mantis.server.stop()));
  const client = await RespClient.connect(0, { host: path });
  expect(await client.command('DEBUG', 'SLEEP', '0')).toBe('OK');
  const line = String(await client.command('CLIENT', 'INFO'));
  expect(line).toContain(` addr=${path}:0 laddr=${path}:0 `);
  expect(line).toContain(' flags=U ');
  await client.close();
}, 40_000);

describe('a connection that has not authenticated', () => {
  let mantis: MantisProcess;
  let other: RespClient;

  beforeAll(async () => {
    mantis = await startMantis({ dataDir: 'none', args: ['--requirepass', 'secret', '--peer-port', 'none'] });
    other = await RespClient.connect(mantis.port);
    await other.command('AUTH', 'secret');
  }, 40_000);

  afterAll(async () => {
    await other.close();
    await mantis.server.stop();
  });

  it.each(named(badRequestsBeforeAuth))('is refused $start: $reason', async ({ bytes, reason }) => {
    const client = await RawClient.connect(mantis.port);
    client.write(bytes);
    await client.closed;
    expect(client.received.toString()).toBe(`-ERR Protocol error: ${reason}\r\n`);
  });

  it('is bound by these limits again after RESET, whatever came with it', async () => {
    const client = await RawClient.connect(mantis.port);
    const wide = encodeRequest(['DEL', ...'abcdefgh']);
    client.write(
      Buffer.concat([encodeRequest(['AUTH', 'secret']), wide, encodeRequest(['RESET']), wide, repeated('*11\r\n', 1)]),
    );
    await client.closed;
    const expected =
      '+OK\r\n:0\r\n+RESET\r\n-NOAUTH Authentication required.\r\n-ERR Protocol error: unauthenticated multibulk length\r\n';
    expect(client.received.toString()).toBe(expected);
  });

  it('authenticates in the middle of a pipeline', async () => {
    const client = await RawClient.connect(mantis.port);
    const requests = [
      ['GET', 'a'],
      ['AUTH', 'secret'],
      ['SET', 'a', '1'],
      ['RESET'],
      ['GET', 'a'],
      ['AUTH', 'secret'],
      ['GET', 'a'],
      ['QUIT'],
    ];
    client.write(Buffer.concat(requests.map(encodeRequest)));
    await client.closed;
    const refused = '-NOAUTH Authentication required.\r\n';
    expect(client.received.toString()).toBe(`${refused}+OK\r\n+OK\r\n+RESET\r\n${refused}+OK\r\n$1\r\n1\r\n+OK\r\n`);
  });

  it('is closed when it leaves replies unread', async () => {
    const lazy = await RawClient.connect(mantis.port);
    lazy.socket.pause();
    lazy.write(repeated('GET a\r\n', 600_000));
    await waitFor('the client to be closed', async () => (await info(other, 'connected_clients')) === 1, patient);
    await lazy.close();
  });
});

describe('what clients may take', () => {
  let mantis: MantisProcess;
  let other: RespClient;

  beforeAll(async () => {
    mantis = await startMantis({ dataDir: 'none', args: ['--peer-port', 'none'] });
    other = await RespClient.connect(mantis.port);
  }, 40_000);

  afterAll(async () => {
    await other.close();
    await mantis.server.stop();
  });

  it('closes a client that sends more of one request than client-query-buffer-limit allows', async () => {
    await other.command('CONFIG', 'SET', 'client-query-buffer-limit', mebibyte);
    const before = await info(other, 'client_query_buffer_limit_disconnections');
    const client = await RawClient.connect(mantis.port);
    client.write(encodeRequest(['SET', 'a', pattern(mebibyte - 200_000)]));
    expect((await client.bytes(5)).toString()).toBe('+OK\r\n');
    client.write(encodeRequest(['MSET', 'a', pattern(mebibyte / 2), 'b', pattern(mebibyte / 2)]));
    await client.closed;
    expect(await info(other, 'client_query_buffer_limit_disconnections')).toBe(before + 1);
    await other.command('CONFIG', 'SET', 'client-query-buffer-limit', '1gb');
  });

  it('closes those clients that take most when all together take more than maxmemory-clients', async () => {
    await other.command('CONFIG', 'SET', 'maxmemory-clients', 1.5 * mebibyte);
    const [large, ...small] = await Promise.all(Array.from({ length: 3 }, () => RawClient.connect(mantis.port)));
    const before = await info(other, 'evicted_clients');
    const begin = (bytes: number): Buffer => encodeRequest(['SET', 'a', pattern(2 * bytes)]).subarray(0, bytes);
    large.write(begin(900_000));
    await waitFor(
      'it to be held',
      async () => (await info(other, 'client_recent_max_input_buffer')) >= 800_000,
      patient,
    );
    small[0].write(begin(300_000));
    small[1].write(begin(500_000));
    await large.closed;
    expect(await info(other, 'evicted_clients')).toBe(before + 1);
    expect(small.map(({ socket }) => socket.destroyed)).toEqual([false, false]);
    await waitFor('both to be held', async () => (await info(other, 'mem_clients_normal')) >= 700_000, patient);
    await other.command('CONFIG', 'SET', 'maxmemory-clients', 1000);
    await Promise.all(small.map(({ closed }) => closed));
    expect(await info(other, 'evicted_clients')).toBe(before + 3);
    await other.command('CONFIG', 'SET', 'maxmemory-clients', 0);
  });
});
