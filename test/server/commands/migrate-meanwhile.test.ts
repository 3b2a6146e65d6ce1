/** What MIGRATE does about what happens while the other server has not answered: it answers when the test says so. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type MantisProcess, startMantis } from '../../support/mantis-process.ts';
import { type Argument, RespClient } from '../../support/resp-client.ts';
import { type Reply, RespError } from '../../support/resp3-parser.ts';
import { ScriptedTarget } from '../../support/scripted-target.ts';
import { startLinkedPair } from '../../support/settled.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait-for.ts';

const TIMEOUT_MS = 60_000;

let node: MantisProcess;
let target: ScriptedTarget;
let client: RespClient;
let watcher: RespClient;

beforeAll(async () => {
  [node, target] = await Promise.all([startMantis({ dataDir: 'none' }), ScriptedTarget.start()]);
});

beforeEach(async () => {
  [client, watcher] = await Promise.all([RespClient.connect(node.port), RespClient.connect(node.port)]);
  await watcher.command('FLUSHALL');
  await watcher.command('SET', 'key', 'value');
});

afterEach(async () => {
  await Promise.all([client, watcher].map((each) => each.close()));
  target.reset();
  target.onRequest = (words) => (words[0] === 'RESTORE' ? null : '+OK\r\n');
});

afterAll(async () => {
  await Promise.all([node.server.stop(), target.stop()]);
});

function migrate(...rest: Argument[]): Promise<Reply> {
  return client.command('MIGRATE', '127.0.0.1', target.port, 'key', 0, TIMEOUT_MS, ...rest);
}

const KEPT = 'ERR changed while being migrated, and kept here: 1 of 1 keys. The target has what they were before';

describe('MIGRATE, while the other server has not answered', () => {
  it('lets other clients go on, and deletes the key when the answer comes', async () => {
    const reply = migrate();
    expect((await target.request('RESTORE')).slice(0, 3)).toEqual(['RESTORE', 'key', '0']);
    expect(await watcher.command('GET', 'key')).toBe('value');
    expect(await watcher.command('CLIENT', 'LIST')).toMatch(/flags=b .*cmd=migrate/);
    target.answer('+OK\r\n');
    expect(await reply).toBe('OK');
    expect(await watcher.command('EXISTS', 'key')).toBe(0);
  });

  const changes: readonly (readonly [string, string])[] = [
    ['SET key newer', 'newer'],
    ['APPEND key !', 'value!'],
    ['PEXPIRE key 100000', 'value'],
    ['SET key value', 'value'],
  ];
  it.each(changes)('keeps what %s has changed', async (change, value) => {
    const reply = migrate();
    await target.request('RESTORE');
    expect(await watcher.command(...change.split(' '))).not.toBeInstanceOf(RespError);
    target.answer('+OK\r\n');
    expect(await reply).toEqual(new RespError(KEPT));
    expect(await watcher.command('GET', 'key')).toBe(value);
  });

  it.each(['DEL key', 'RENAME key renamed', 'FLUSHDB', 'GETDEL key'])(
    'says so when %s has taken it',
    async (change) => {
      const reply = migrate();
      await target.request('RESTORE');
      expect(await watcher.command(...change.split(' '))).not.toBeInstanceOf(RespError);
      target.answer('+OK\r\n');
      expect(await reply).toEqual(new RespError(KEPT));
      expect(await watcher.command('EXISTS', 'key')).toBe(0);
    },
  );

  it('deletes what is unchanged, and keeps the rest', async () => {
    await watcher.pipeline([
      ['RPUSH', 'list', 'a'],
      ['HSET', 'hash', 'f', 'v'],
    ]);
    const reply = client.command('MIGRATE', '127.0.0.1', target.port, '', 0, TIMEOUT_MS, 'KEYS', 'key', 'list', 'hash');
    await target.request('RESTORE', 3);
    await watcher.command('RPUSH', 'list', 'b');
    target.answer('+OK\r\n+OK\r\n+OK\r\n');
    expect(String(await reply)).toContain('1 of 3 keys');
    expect(await watcher.command('EXISTS', 'key', 'hash')).toBe(0);
    expect(await watcher.command('LRANGE', 'list', 0, -1)).toEqual(['a', 'b']);
  });

  it('takes it that a key has expired meanwhile', async () => {
    await watcher.command('PEXPIRE', 'key', 150);
    const reply = migrate();
    await target.request('RESTORE');
    await waitFor('the key to expire', async () => (await watcher.command('EXISTS', 'key')) === 0);
    target.answer('+OK\r\n');
    expect(await reply).toBe('OK');
  });

  it('does not mind with COPY', async () => {
    const reply = migrate('COPY', 'REPLACE');
    expect((await target.request('RESTORE')).at(-1)).toBe('REPLACE');
    await watcher.command('SET', 'key', 'newer');
    target.answer('+OK\r\n');
    expect(await reply).toBe('OK');
    expect(await watcher.command('GET', 'key')).toBe('newer');
  });

  it('keeps what was not answered for when the connection ends', async () => {
    await watcher.command('MSET', 'a', 1, 'b', 2);
    const reply = client.command('MIGRATE', '127.0.0.1', target.port, '', 0, TIMEOUT_MS, 'KEYS', 'key', 'a', 'b');
    await target.request('RESTORE', 3);
    target.answer('+OK\r\n');
    await waitFor('the first key to go', async () => (await watcher.command('EXISTS', 'key')) === 0);
    target.reset();
    expect(await reply).toEqual(new RespError('IOERR error or timeout reading to target instance'));
    expect(await watcher.command('EXISTS', 'a', 'b')).toBe(2);
  });

  it('gives up when nothing comes for the time that it was given', async () => {
    const reply = client.command('MIGRATE', '127.0.0.1', target.port, 'key', 0, 50);
    expect(await reply).toEqual(new RespError('IOERR error or timeout reading to target instance'));
    expect(await watcher.command('GET', 'key')).toBe('value');
    await waitFor('the connection to be closed', () => target.openCount === 0);
  });

  it.each(['HTTP/1.1 400 Bad Request\r\n\r\n', ':1\r\n', '+QUEUED\r\n', '-ERR no\r\n'])(
    'takes %j for no consent',
    async (answer) => {
      const reply = migrate();
      await target.request('RESTORE');
      target.answer(answer);
      expect(String(await reply)).toContain('Target instance replied with error: ');
      expect(await watcher.command('GET', 'key')).toBe('value');
    },
  );

  it('sends no key when it may not select the database', async () => {
    target.onRequest = () => '-ERR DB index is out of range\r\n';
    expect(String(await migrate())).toContain('DB index is out of range');
    expect(target.requests.map(([name]) => name)).toEqual(['SELECT']);
  });

  it('ends with its client, and the key stays', async () => {
    void migrate().catch(() => {});
    await target.request('RESTORE');
    await client.close();
    await waitFor('the connection to be closed', () => target.openCount === 0);
    expect(await watcher.command('GET', 'key')).toBe('value');
    expect(await watcher.command('INFO', 'clients')).toContain('blocked_clients:0\r\n');
  });

  it('ends by CLIENT UNBLOCK', async () => {
    const id = Number(await client.command('CLIENT', 'ID'));
    const reply = migrate();
    await target.request('RESTORE');
    expect(await watcher.command('CLIENT', 'UNBLOCK', id)).toBe(1);
    expect(await reply).toEqual(new RespError('IOERR error or timeout reading to target instance'));
    await waitFor('the connection to be closed', () => target.openCount === 0);
    expect(await client.command('GET', 'key')).toBe('value');
  });

  it('deletes nothing while CLIENT PAUSE holds writes', async () => {
    const reply = migrate();
    await target.request('RESTORE');
    await watcher.command('CLIENT', 'PAUSE', 100_000, 'WRITE');
    target.answer('+OK\r\n');
    expect(await watcher.pipeline([['GET', 'key'], ['PING'], ['GET', 'key']])).toEqual(['value', 'PONG', 'value']);
    await watcher.command('CLIENT', 'UNPAUSE');
    expect(await reply).toBe('OK');
    expect(await watcher.command('EXISTS', 'key')).toBe(0);
  });

  it('tells keyspace events and WATCH of the deletion, and keeps passwords out of the slow log', async () => {
    await watcher.command('CONFIG', 'SET', 'notify-keyspace-events', 'KEA', 'slowlog-log-slower-than', '0');
    const [listener, transaction] = await Promise.all([RespClient.connect(node.port), RespClient.connect(node.port)]);
    await listener.command('SUBSCRIBE', '__keyevent@0__:del');
    await transaction.pipeline([['WATCH', 'key'], ['MULTI'], ['PING']]);
    const reply = migrate('AUTH2', 'somebody', 'hush');
    expect(await target.request('AUTH')).toEqual(['AUTH', 'somebody', 'hush']);
    await target.request('RESTORE');
    target.answer('+OK\r\n');
    expect(await reply).toBe('OK');
    expect(await listener.read()).toEqual(['message', '__keyevent@0__:del', 'key']);
    expect(await transaction.command('EXEC')).toBeNull();
    const log = JSON.stringify(await watcher.command('SLOWLOG', 'GET', -1));
    expect(log).toContain('"AUTH2","(redacted)","(redacted)"');
    expect(log).not.toContain('hush');
    await watcher.command('CONFIG', 'SET', 'notify-keyspace-events', '', 'slowlog-log-slower-than', '10000');
    await Promise.all([listener.close(), transaction.close()]);
  });

  it('is refused in transactions and scripts', async () => {
    const words = ['MIGRATE', '127.0.0.1', target.port, 'key', 0, TIMEOUT_MS];
    const replies = await client.pipeline([['MULTI'], words, ['EXEC']]);
    expect(String(replies[1])).toContain('Command not allowed inside a transaction');
    expect(String(replies[2])).toContain('EXECABORT');
    const script = `return redis.call('migrate', '127.0.0.1', ${target.port}, 'key', 0, 1000)`;
    expect(String(await client.command('EVAL', script, 0))).toContain('not allowed from script');
    expect(await client.command('GET', 'key')).toBe('value');
  });

  it('sends so many keys at a time as fit, and all of them', async () => {
    target.onRequest = () => '+OK\r\n';
    const names = Array.from({ length: 600 }, (_, index) => `many:${index}`);
    await watcher.command('MSET', ...names.flatMap((name) => [name, name.repeat(1000)]));
    await watcher.command('SET', 'huge', 'x'.repeat(5_000_000));
    const words = ['MIGRATE', '127.0.0.1', target.port, '', 0, TIMEOUT_MS, 'KEYS', ...names, 'huge'];
    expect(await client.command(...words)).toBe('OK');
    expect(target.requests.filter(([name]) => name === 'RESTORE')).toHaveLength(601);
    expect(await watcher.command('DBSIZE')).toBe(1);
  });

  it('ends when the node stops', async () => {
    const stopping = await startMantis({ dataDir: 'none' });
    const user = await RespClient.connect(stopping.port);
    await user.command('SET', 'key', 'value');
    void user.command('MIGRATE', '127.0.0.1', target.port, 'key', 0, TIMEOUT_MS).catch(() => {});
    await target.request('RESTORE');
    await stopping.server.stop();
    await waitFor('the connection to be closed', () => target.openCount === 0);
    await user.close();
  });
});

describe('MIGRATE on a node with peers', () => {
  let nodes: MantisProcess[];
  let clients: RespClient[];

  beforeAll(async () => {
    nodes = await startLinkedPair();
    clients = await Promise.all(nodes.map(({ port }) => RespClient.connect(port)));
  });

  afterAll(async () => {
    await Promise.all(clients.map((each) => each.close()));
    await Promise.all(nodes.map(({ server }) => server.stop()));
  });

  it('deletes at the peers too', async () => {
    const [first, second] = clients;
    await first.command('SET', 'key', 'value');
    await first.command('WAIT', 1, 10_000);
    target.onRequest = () => '+OK\r\n';
    expect(await first.command('MIGRATE', '127.0.0.1', target.port, 'key', 0, TIMEOUT_MS)).toBe('OK');
    expect(await first.command('WAIT', 1, 10_000)).toBe(1);
    expect(await second.command('EXISTS', 'key')).toBe(0);
  });

  it('keeps what a peer has changed meanwhile', async () => {
    const [first, second] = clients;
    await first.command('SET', 'key', 'value');
    await first.command('WAIT', 1, 10_000);
    const reply = first.command('MIGRATE', '127.0.0.1', target.port, 'key', 0, TIMEOUT_MS);
    await target.request('RESTORE');
    await second.command('SET', 'key', 'newer');
    expect(await second.command('WAIT', 1, 10_000)).toBe(1);
    target.answer('+OK\r\n');
    expect(await reply).toEqual(new RespError(KEPT));
    expect(await first.command('GET', 'key')).toBe('newer');
  });

  it('takes no peer for a target, nor itself, where the key would be lost', async () => {
    const [first, second] = clients;
    await first.command('SET', 'key', 'value');
    await first.command('WAIT', 1, 10_000);
    for (const { port } of nodes) {
      const words = ['MIGRATE', '127.0.0.1', port, 'key', 0, TIMEOUT_MS, 'REPLACE'];
      expect(String(await first.command(...words))).toContain('the target is a peer of this node');
      expect(await first.command(...words, 'COPY')).toBe('OK');
    }
    expect(await first.command('GET', 'key')).toBe('value');
    expect(await first.command('MIGRATE', '127.0.0.1', nodes[1].port, 'key', 1, TIMEOUT_MS)).toBe('OK');
    await second.command('SELECT', 1);
    expect(await second.command('GET', 'key')).toBe('value');
    expect(await first.command('EXISTS', 'key')).toBe(0);
  });
});

describe('MIGRATE of evicted keys', () => {
  it('reads them back from the stores', async () => {
    const args = [
      '--maxmemory',
      '2mb',
      '--maxmemory-policy',
      'allkeys-lru',
      '--read-through',
      'yes',
      '--flush-interval',
      '50ms',
    ];
    const small = await startMantis({ args, dataDir: temporaryFolder('migrate') });
    const user = await RespClient.connect(small.port);
    const names = Array.from({ length: 2400 }, (_, index) => `key:${index}`);
    for (let at = 0; at < names.length; at += 500) {
      const some = names.slice(at, at + 500);
      const replies = await user.pipeline(some.map((name) => ['SET', name, name.padEnd(1000, '.')]));
      expect(replies.filter((reply) => reply !== 'OK')).toEqual([]);
    }
    expect(Number(await user.command('DBSIZE'))).toBeLessThan(2000);
    // The first key has left memory long ago, and does again before the answer comes.
    const late = user.command('MIGRATE', '127.0.0.1', target.port, 'key:0', 0, TIMEOUT_MS);
    const [, , , payload] = await target.request('RESTORE');
    expect(payload).toContain('key:0...');
    const reader = await RespClient.connect(small.port);
    for (let at = 1; at < names.length; at += 500) await reader.command('MGET', ...names.slice(at, at + 500));
    target.answer('+OK\r\n');
    expect(await late).toBe('OK');
    expect(await reader.command('EXISTS', 'key:0')).toBe(0);
    target.onRequest = () => '+OK\r\n';
    const words = ['MIGRATE', '127.0.0.1', target.port, '', 0, TIMEOUT_MS, 'KEYS', 'never there', ...names];
    expect(await user.command(...words)).toBe('OK');
    expect(target.requests.filter(([name]) => name === 'RESTORE')).toHaveLength(names.length);
    expect(await user.command('EXISTS', 'key:1', 'key:1999', 'key:2399')).toBe(0);
    expect(await user.command('MIGRATE', '127.0.0.1', target.port, 'never there', 0, TIMEOUT_MS)).toBe('NOKEY');
    await Promise.all([user.close(), reader.close()]);
    await small.server.stop();
  });
});
