/** Scripts that run for longer than busy-reply-threshold, on the built program. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { startMantis, type MantisProcess } from '../support/mantis-process.ts';
import { RespClient } from '../support/resp-client.ts';
import { waitFor } from '../support/wait-for.ts';
import { startNode, untilAgreed, untilMeshed } from './cluster.ts';

const BUSY = expect.objectContaining({ message: expect.stringMatching(/^BUSY .* SCRIPT KILL or SHUTDOWN NOSAVE\.$/) });
const BUSY_FUNCTION = expect.objectContaining({
  message: expect.stringMatching(/^BUSY .* FUNCTION KILL or SHUTDOWN NOSAVE\.$/),
});
const FOREVER = 'while true do pcall(function() for i = 1, 1000 do redis.call("exists", KEYS[1]) end end) end';
const args = ['--busy-reply-threshold', '50', '--peer-reconnect-delay-max', '200ms'];
const error = (start: string): unknown => expect.objectContaining({ message: expect.stringContaining(start) });

const open: { close(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function start(options: { dataDir?: string; more?: string[] } = {}): Promise<MantisProcess> {
  const mantis = await startMantis({ dataDir: 'none', ...options, args: [...args, ...(options.more ?? [])] });
  open.push({ close: () => mantis.server.stop() });
  return mantis;
}

async function connect(port: number): Promise<RespClient> {
  const client = await RespClient.connect(port);
  open.push(client);
  return client;
}

async function untilBusy(client: RespClient): Promise<void> {
  await waitFor('the node to be busy', async () => String(await client.command('PING')).includes('BUSY'));
}

describe('a script that takes long', () => {
  it('lets others be told BUSY and kill it, also inside pcall', async () => {
    const { port } = await start();
    const [caller, other] = [await connect(port), await connect(port)];
    const result = caller.command('EVAL', FOREVER, 1, 'key');
    await untilBusy(other);
    expect(await other.command('GET', 'key')).toEqual(BUSY);
    expect(await (await connect(port)).command('PING')).toEqual(BUSY);
    expect(await other.command('MULTI')).toBe('OK');
    expect(await other.command('GET', 'key')).toEqual(BUSY);
    expect(await other.command('EXEC')).toEqual(error('EXECABORT Transaction discarded because of: BUSY'));
    expect(await other.command('FUNCTION', 'KILL')).toEqual(BUSY);
    expect(await other.command('FUNCTION', 'STATS')).toEqual(BUSY);
    expect(await other.command('SHUTDOWN')).toEqual(BUSY);
    expect(await other.command('SCRIPT', 'KILL')).toBe('OK');
    expect(await result).toEqual(error('ERR Script killed by user with SCRIPT KILL... script: '));
    expect(await other.command('PING')).toBe('PONG');
    expect(await other.command('SCRIPT', 'KILL')).toEqual(error('NOTBUSY'));
    expect(await caller.command('EVAL', 'return 5', 0)).toBe(5);
  });

  it('comes to its end, in a transaction as well, with the replies in order and what others sent after it', async () => {
    const { port } = await start();
    const [caller, other] = [await connect(port), await connect(port)];
    const long = 'redis.call("set", KEYS[1], ARGV[1]) for i = 1, 20000000 do end return redis.call("get", KEYS[1])';
    const replies = [
      caller.command('SET', 'before', 1),
      caller.command('MULTI'),
      caller.command('SET', 'key', 1),
      caller.command('EVAL', long, 1, 'key', 'written'),
      caller.command('EVAL', long.replace('return', 'error("failed") return'), 1, 'key', 'again'),
      caller.command('GET', 'key'),
      caller.command('EXEC'),
      caller.command('EVAL', long, 1, 'key', 'last'),
      caller.command('GET', 'key'),
    ];
    // One script may end, and the next not be busy yet, before this is heard.
    await waitFor('SCRIPT KILL to be refused', async () =>
      String(await other.command('SCRIPT', 'KILL')).includes('UNKILLABLE'),
    );
    const [before, , , , , , transaction, last, key] = await Promise.all(replies);
    expect(before).toBe('OK');
    expect(transaction).toEqual(['OK', 'written', error('failed'), 'again']);
    expect([last, key]).toEqual(['last', 'last']);
    expect(await other.command('GET', 'key')).toBe('last');
    const entries = (await other.command('SLOWLOG', 'GET', -1)) as [number, number, number, string[]][];
    const durations = entries.filter(([, , , words]) => words[0] === 'EVAL').map(([, , microseconds]) => microseconds);
    expect(durations.length).toBe(3);
    expect(Math.min(...durations)).toBeGreaterThan(50_000);
  });

  it('can be a function, of which FUNCTION STATS tells', async () => {
    const { port } = await start();
    const [caller, other] = [await connect(port), await connect(port)];
    const library = '#!lua name=lib\nredis.register_function("spin", function(keys, args) while true do end end)';
    expect(await caller.command('FUNCTION', 'LOAD', library)).toBe('lib');
    const result = caller.command('FCALL', 'spin', 1, 'key', 'argument');
    await waitFor('the node to be busy', async () => String(await other.command('PING')).includes('BUSY'));
    expect(await other.command('PING')).toEqual(BUSY_FUNCTION);
    expect(await other.command('SCRIPT', 'KILL')).toEqual(BUSY_FUNCTION);
    const [, running] = (await other.command('FUNCTION', 'STATS')) as [string, unknown[]];
    expect(running.slice(0, 4)).toEqual(['name', 'spin', 'command', ['FCALL', 'spin', '1', 'key', 'argument']]);
    expect(await other.command('FUNCTION', 'KILL')).toBe('OK');
    expect(await result).toEqual(error('script: spin, on @user_function:2.'));
    expect(await caller.command('EVAL', 'return 1', 0)).toBe(1);
    expect(await other.command('FUNCTION', 'STATS')).toEqual(['running_script', null, 'engines', expect.anything()]);
  });

  it('goes on when its client has left, and sees no time go by', async () => {
    const { port } = await start();
    const [caller, other] = [await connect(port), await connect(port)];
    const script =
      'redis.call("set", "short", 1, "px", 100) local began = redis.call("time") for i = 1, 30000000 do end ' +
      'local now = redis.call("time") redis.call("set", "seen", redis.call("exists", "short") .. (now[1] - began[1]) .. (now[2] - began[2]))';
    caller.command('EVAL', script, 0).catch(() => undefined);
    await untilBusy(other);
    caller.socket.destroy();
    await waitFor('the script to end', async () => (await other.command('PING')) === 'PONG');
    expect(await other.command('GET', 'seen')).toBe('100');
    await waitFor('the key to expire', async () => (await other.command('EXISTS', 'short')) === 0);
  });

  it('wakes nobody and tells of nothing before it has ended', async () => {
    const { port } = await start();
    const [caller, other, waiting] = [await connect(port), await connect(port), await connect(port)];
    const popped = waiting.command('BLPOP', 'list', 0);
    await waitFor('it to wait', async () =>
      String(await other.command('INFO', 'clients')).includes('blocked_clients:1'),
    );
    const result = caller.command(
      'EVAL',
      'redis.call("rpush", "list", "half") for i = 1, 20000000 do end redis.call("lset", "list", 0, "whole") return 1',
      0,
    );
    await untilBusy(other);
    expect(await result).toBe(1);
    expect(await popped).toEqual(['list', 'whole']);
  });
});

describe('a node that stops while a script runs', () => {
  it('keeps nothing of it with SHUTDOWN NOSAVE', async () => {
    const { port, server } = await start();
    const [caller, other] = [await connect(port), await connect(port)];
    caller.command('EVAL', `redis.call("set", "half", 1) ${FOREVER}`, 1, 'x').catch(() => undefined);
    await untilBusy(other);
    other.command('SHUTDOWN', 'NOSAVE').catch(() => undefined);
    expect(await server.exited).toBe(0);
  });

  it('stops a script that does not end, after SIGTERM', async () => {
    const { port, server, dataDir } = await startMantis({ args });
    const [caller, other] = [await connect(port), await connect(port)];
    const result = caller.command('EVAL', `redis.call("set", "half", 1) ${FOREVER}`, 1, 'x');
    await untilBusy(other);
    const stopped = server.stop();
    expect(await result).toEqual(error('ERR the script was stopped because the node stops; what it has written stays'));
    await stopped;
    const again = await start({ dataDir });
    expect(await (await connect(again.port)).command('GET', 'half')).toBe('1');
  });
});

describe('peers of a node on which a script takes long', () => {
  it('see what it writes when it has ended, and are seen again', async () => {
    const first = await startNode(null, { args });
    const second = await startNode(first, { args });
    open.push(first, second);
    await untilMeshed([first, second]);
    const caller = await connect(first.port);
    const other = await connect(first.port);
    const result = caller.command(
      'EVAL',
      'redis.call("set", "a", "half") for i = 1, 20000000 do end local seen = redis.call("get", "theirs") redis.call("set", "a", "whole") return tostring(seen)',
      0,
    );
    await untilBusy(other);
    await second.ask('SET', 'theirs', 1);
    const seen = new Set<unknown>();
    while (String(await other.command('PING')).includes('BUSY')) seen.add(await second.ask('GET', 'a'));
    expect(await result).toBe('false');
    expect([...seen].filter((value) => value === 'half')).toEqual([]);
    await untilAgreed([first, second]);
    expect(await second.ask('GET', 'a')).toBe('whole');
    expect(await first.ask('GET', 'theirs')).toBe('1');
  });
});
