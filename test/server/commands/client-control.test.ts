import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type MantisProcess, startMantis } from '../../support/mantis-process.ts';
import { encodeRequest, RawClient, RespClient } from '../../support/resp-client.ts';
import { RespError } from '../../support/resp3-parser.ts';
import { waitFor } from '../../support/wait-for.ts';

let server: MantisProcess;
let admin: RespClient;
const clients: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  server = await startMantis({ dataDir: 'none' });
  admin = await RespClient.connect(server.port);
});

afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await admin.close();
  await server.server.stop();
});

const FUNCTIONS = `#!lua name=paused
redis.register_function('may_write', function() return 5 end)
redis.register_function{function_name='only_reads', callback=function() return 4 end, flags={'no-writes'}}
`;

async function connect(): Promise<RespClient> {
  const client = await RespClient.connect(server.port);
  clients.push(client);
  return client;
}

async function lineOf(id: number): Promise<Record<string, string>> {
  const text = String(await admin.command('CLIENT', 'LIST', 'ID', id));
  return Object.fromEntries(
    text
      .trimEnd()
      .split(' ')
      .map((pair) => pair.split(/=(.*)/).slice(0, 2)),
  ) as Record<string, string>;
}

describe('CLIENT LIST and INFO', () => {
  it('show what the client said and did', async () => {
    const client = await connect();
    await client.pipeline([
      ['SELECT', 4],
      ['CLIENT', 'SETNAME', 'worker'],
      ['CLIENT', 'SETINFO', 'LIB-NAME', 'library'],
      ['CLIENT', 'SETINFO', 'LIB-VER', '1.2.3'],
      ['CLIENT', 'NO-EVICT', 'ON'],
      ['CLIENT', 'NO-TOUCH', 'ON'],
      ['MULTI'],
      ['GET', 'a'],
    ]);
    const id = await admin.command('CLIENT', 'LIST');
    expect(String(id)).toMatch(
      /^id=\d+ addr=127\.0\.0\.1:\d+ laddr=127\.0\.0\.1:\d+ fd=\d+ name= age=\d+ idle=\d+ flags=N db=0 /,
    );
    const line = String(id)
      .split('\n')
      .find((each) => each.includes(' name=worker '))!;
    expect(line).toMatch(/ flags=xeT db=4 sub=0 psub=0 ssub=0 multi=1 /);
    expect(line).toMatch(
      / cmd=multi user=default redir=-1 resp=2 lib-name=library lib-ver=1\.2\.3 tot-net-in=\d+ tot-net-out=\d+ tot-cmds=\d+$/,
    );
    await client.command('DISCARD');
    expect(String(await client.command('CLIENT', 'INFO'))).toMatch(/ cmd=client\|info .* lib-ver=1\.2\.3 .*\n$/);
  });

  it('are chosen by id and by type', async () => {
    const client = await connect();
    const id = Number(await client.command('CLIENT', 'ID'));
    expect(await lineOf(id)).toMatchObject({ id: String(id), flags: 'N' });
    const both = String(await admin.command('CLIENT', 'LIST', 'ID', id, 99999, id));
    expect(both.trimEnd().split('\n')).toHaveLength(2);
    expect(String(await admin.command('CLIENT', 'LIST', 'TYPE', 'normal'))).toContain(`id=${id} `);
  });

  it('refuse library names that would break the line', async () => {
    const replies = await admin.pipeline([
      ['CLIENT', 'SETINFO', 'LIB-NAME', 'a b'],
      ['CLIENT', 'SETINFO', 'lib-ver', 'a\nb'],
      ['CLIENT', 'SETINFO', 'LIB-FOO', 'a'],
      ['CLIENT', 'SETINFO', 'LIB-NAME'],
    ]);
    expect(replies.map((reply) => (reply as RespError).message)).toEqual([
      'ERR LIB-NAME cannot contain spaces, newlines or special characters.',
      'ERR lib-ver cannot contain spaces, newlines or special characters.',
      "ERR Unrecognized option 'LIB-FOO'",
      "ERR wrong number of arguments for 'client|setinfo' command",
    ]);
  });
});

describe('CLIENT KILL', () => {
  it('closes the client of an address, of an id, of a name of no other', async () => {
    const [first, second] = [await connect(), await connect()];
    const id = Number(await first.command('CLIENT', 'ID'));
    expect(await admin.command('CLIENT', 'KILL', 'ID', id)).toBe(1);
    await first.closed;
    const { addr } = await lineOf(Number(await second.command('CLIENT', 'ID')));
    expect(await admin.command('CLIENT', 'KILL', addr)).toBe('OK');
    await second.closed;
    expect(await admin.command('CLIENT', 'LIST', 'ID', id)).toBe('');
  });

  it('spares the caller unless it says otherwise, and answers it first', async () => {
    const client = await connect();
    const id = Number(await client.command('CLIENT', 'ID'));
    expect(await client.command('CLIENT', 'KILL', 'ID', id)).toBe(0);
    expect(await client.command('CLIENT', 'KILL', 'ID', id, 'SKIPME', 'no')).toBe(1);
    await client.closed;
  });

  it('needs all filters to match', async () => {
    const client = await connect();
    const id = Number(await client.command('CLIENT', 'ID'));
    expect(await admin.command('CLIENT', 'KILL', 'ID', id, 'TYPE', 'pubsub')).toBe(0);
    expect(await admin.command('CLIENT', 'KILL', 'ID', id, 'MAXAGE', 1000)).toBe(0);
    expect(await admin.command('CLIENT', 'KILL', 'ID', id, 'MAXAGE', 0)).toEqual(
      new RespError('ERR maxage should be greater than 0'),
    );
    expect(await admin.command('CLIENT', 'KILL', 'ID', id, 'TYPE', 'normal', 'USER', 'default')).toBe(1);
    await client.closed;
  });
});

describe('CLIENT REPLY', () => {
  it('leaves out the next reply, or all until it is on again', async () => {
    const client = await RawClient.connect(server.port);
    clients.push(client);
    const requests = [
      ['ECHO', '1'],
      ['CLIENT', 'REPLY', 'SKIP'],
      ['ECHO', '2'],
      ['ECHO', '3'],
      ['CLIENT', 'REPLY', 'OFF'],
      ['ECHO', '4'],
      ['CLIENT', 'REPLY', 'SKIP'],
      ['ECHO', '5'],
      ['ECHO', '6'],
      ['CLIENT', 'REPLY', 'ON'],
      ['ECHO', '7'],
    ];
    client.write(Buffer.concat(requests.map(encodeRequest)));
    const end = Buffer.from('$1\r\n7\r\n');
    const bytes = await client.until((received) => received.subarray(-end.length).equals(end));
    expect(bytes.toString()).toBe('$1\r\n1\r\n$1\r\n3\r\n+OK\r\n$1\r\n7\r\n');
  });
});

describe('CLIENT PAUSE', () => {
  // Nobody could have ended such a pause: CLIENT UNPAUSE waits for its end as well.
  it('refuses times past 2^63 ms, as WAIT and XREAD do', async () => {
    const client = await connect();
    for (const request of [
      'CLIENT PAUSE 9223372036854775807',
      'WAIT 0 9223372036854775807',
      'XREAD BLOCK 9223372036854775807 STREAMS missing 0',
    ]) {
      expect(await client.command(...request.split(' '))).toEqual(new RespError('ERR timeout is out of range'));
    }
    expect(await client.command('PING')).toBe('PONG');
  });

  it('puts off writes, and lets reads through', async () => {
    const [writer, reader] = [await connect(), await connect()];
    await admin.command('SET', 'paused', 'before');
    expect(await admin.command('CLIENT', 'PAUSE', 60_000, 'WRITE')).toBe('OK');
    const written = writer.command('SET', 'paused', 'after');
    expect(await reader.command('GET', 'paused')).toBe('before');
    expect(writer.unread).toBe(0);
    expect(await admin.command('CLIENT', 'UNPAUSE')).toBe('OK');
    expect(await written).toBe('OK');
    expect(await reader.command('GET', 'paused')).toBe('after');
  });

  it('puts off scripts and transactions that may write, and counts who waits', async () => {
    const writers = await Promise.all(Array.from({ length: 5 }, connect));
    const transaction = writers[4];
    await transaction.pipeline([['MULTI'], ['EVAL', "return redis.call('SET', 'paused', 1)", 0]]);
    await admin.command('FUNCTION', 'LOAD', 'REPLACE', FUNCTIONS);
    await admin.command('CLIENT', 'PAUSE', 60_000, 'WRITE');
    const waiting = [
      writers[0].command('EVAL', 'return 1', 0),
      writers[1].command('FCALL', 'may_write', 0),
      writers[2].command('PFCOUNT', 'nothing'),
      writers[3].command('PUBLISH', 'nobody', 'x'),
      transaction.command('EXEC'),
    ];
    await waitFor('all of them', async () =>
      String(await admin.command('INFO', 'clients')).includes('blocked_clients:5\r\n'),
    );
    const reader = await connect();
    const sha = String(await reader.command('SCRIPT', 'LOAD', '#!lua flags=no-writes\nreturn 2'));
    expect(await reader.command('EVAL', '#!lua flags=no-writes\nreturn 1', 0)).toBe(1);
    expect(await reader.command('EVALSHA', sha, 0)).toBe(2);
    expect(await reader.command('EVAL_RO', 'return 3', 0)).toBe(3);
    expect(await reader.command('FCALL', 'only_reads', 0)).toBe(4);
    expect(await reader.pipeline([['MULTI'], ['EVALSHA', sha, 0], ['EXEC']])).toEqual(['OK', 'QUEUED', [2]]);
    await admin.command('CLIENT', 'UNPAUSE');
    expect(await Promise.all(waiting)).toEqual([1, 5, 0, 0, ['OK']]);
    expect(String(await admin.command('INFO', 'clients'))).toContain('blocked_clients:0\r\n');
  });

  it('of everything holds CLIENT UNPAUSE too', async () => {
    const client = await connect();
    const startedAtMs = performance.now();
    await admin.command('CLIENT', 'PAUSE', 150, 'ALL');
    expect(await client.command('CLIENT', 'UNPAUSE')).toBe('OK');
    expect(performance.now() - startedAtMs).toBeGreaterThan(140);
  });

  it('puts off everything, for as long as it says', async () => {
    const client = await connect();
    const startedAtMs = performance.now();
    expect(await admin.command('CLIENT', 'PAUSE', 150)).toBe('OK');
    expect(await client.command('PING')).toBe('PONG');
    expect(performance.now() - startedAtMs).toBeGreaterThan(140);
  });
});

describe('CLIENT UNBLOCK', () => {
  it.each([
    [[], 0],
    [['TIMEOUT'], 0],
    [['ERROR'], new RespError('UNBLOCKED client unblocked via CLIENT UNBLOCK')],
  ])('ends a wait: %j', async (words, expected) => {
    const client = await connect();
    const id = Number(await client.command('CLIENT', 'ID'));
    await admin.command('CONFIG', 'RESETSTAT');
    const waited = client.command('WAIT', 1, 0);
    await waitFor('a blocked client', async () => (await lineOf(id))['flags'] === 'b');
    expect((await lineOf(id))['tot-cmds']).toBe('1');
    expect(String(await admin.command('INFO', 'clients'))).toContain('blocked_clients:1\r\n');
    expect(await admin.command('CLIENT', 'UNBLOCK', id, ...words)).toBe(1);
    expect(await waited).toEqual(expected);
    expect(await client.command('PING')).toBe('PONG');
    expect((await lineOf(id))['tot-cmds']).toBe('3');
    const statistics = String(await admin.command('INFO', 'everything'));
    const errors = expected === 0 ? 0 : 1;
    expect(statistics).toContain(`total_error_replies:${errors}\r\n`);
    expect(statistics).toMatch(new RegExp(`cmdstat_wait:calls=1,.*failed_calls=${errors}\r`));
    expect(await admin.command('CLIENT', 'UNBLOCK', id, ...words)).toBe(0);
  });

  it('lets go of a client that left while it waited', async () => {
    const client = await connect();
    client.write(encodeRequest(['WAIT', 1, 0]));
    await waitFor('a blocked client', async () =>
      String(await admin.command('INFO', 'clients')).includes('blocked_clients:1\r\n'),
    );
    await client.close();
    await waitFor('nobody blocked', async () =>
      String(await admin.command('INFO', 'clients')).includes('blocked_clients:0\r\n'),
    );
  });
});

describe('QUIT', () => {
  it('answers what came before, and drops what comes after', async () => {
    const client = await RawClient.connect(server.port);
    client.write(Buffer.concat([encodeRequest(['ECHO', 'a']), encodeRequest(['QUIT']), encodeRequest(['ECHO', 'b'])]));
    await client.closed;
    expect(client.received.toString()).toBe('$1\r\na\r\n+OK\r\n');
  });
});

describe('HELP', () => {
  it.each(['CLIENT', 'CONFIG', 'COMMAND', 'SLOWLOG', 'LATENCY', 'ACL', 'MANTIS', 'MEMORY', 'OBJECT'])(
    '%s HELP lists the subcommands',
    async (container) => {
      const lines = (await admin.command(container, 'HELP')) as string[];
      expect(lines[0]).toMatch(new RegExp(`^${container} `));
      expect(lines).toContain('HELP');
      expect(lines.length).toBeGreaterThan(6);
    },
  );
});
