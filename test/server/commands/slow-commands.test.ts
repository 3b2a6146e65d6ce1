import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type MantisProcess, startMantis } from '../../support/mantis-process.ts';
import { RespClient } from '../../support/resp-client.ts';
import type { Reply } from '../../support/resp3-parser.ts';
import { waitFor } from '../../support/wait-for.ts';

let server: MantisProcess;
let client: RespClient;

beforeAll(async () => {
  server = await startMantis({ dataDir: 'none', args: ['--enable-debug-command', 'yes'] });
  client = await RespClient.connect(server.port);
});

afterAll(async () => {
  await client.close();
  await server.server.stop();
});

beforeEach(async () => {
  await client.pipeline([
    ['CONFIG', 'SET', 'slowlog-log-slower-than', 10_000, 'slowlog-max-len', 128, 'latency-monitor-threshold', 0],
    ['CLIENT', 'SETNAME', 'worker'],
    ['SLOWLOG', 'RESET'],
    ['LATENCY', 'RESET'],
  ]);
});

/** The commands in the slow log, newest first. */
async function logged(): Promise<string[]> {
  const entries = (await client.command('SLOWLOG', 'GET', -1)) as Reply[][];
  return entries.map((entry) => (entry[3] as string[]).join(' '));
}

describe('SLOWLOG', () => {
  it('has what took long, with its client, and nothing else', async () => {
    await client.pipeline([['PING'], ['SET', 'a', 1], ['DEBUG', 'SLEEP', 0.02], ['GET', 'a']]);
    const [entry, ...more] = (await client.command('SLOWLOG', 'GET')) as Reply[][];
    expect(more).toEqual([]);
    const [id, seconds, microseconds, words, address, name] = entry;
    expect(Number(id)).toBeGreaterThanOrEqual(0);
    expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(5);
    expect(Number(microseconds)).toBeGreaterThanOrEqual(20_000);
    expect(words).toEqual(['DEBUG', 'SLEEP', '0.02']);
    expect(address).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(name).toBe('worker');
    expect(await client.command('SLOWLOG', 'LEN')).toBe(1);
    expect(await client.command('SLOWLOG', 'RESET')).toBe('OK');
    expect(await client.command('SLOWLOG', 'LEN')).toBe(0);
  });

  it('has everything when it may be short, up to its length, and no secrets', async () => {
    await client.pipeline([
      ['CONFIG', 'SET', 'slowlog-log-slower-than', 0, 'slowlog-max-len', 6],
      ['GET', 'first'],
      ['AUTH', 'default', 'hidden'],
      ['HELLO', 2, 'AUTH', 'default', 'hidden', 'SETNAME', 'worker'],
      ['CONFIG', 'SET', 'masterauth', 'hidden', 'timeout', 0],
      ['SET', 'b', 'x'.repeat(200)],
      ['MGET', ...Array.from({ length: 40 }, (_, index) => `k${index}`)],
    ]);
    expect((await logged()).slice(0, 5)).toEqual([
      ['MGET', ...Array.from({ length: 30 }, (_, index) => `k${index}`), '... (10 more arguments)'].join(' '),
      `SET b ${'x'.repeat(128)}... (72 more bytes)`,
      'CONFIG SET masterauth (redacted) timeout 0',
      'HELLO 2 AUTH (redacted) (redacted) SETNAME worker',
      'AUTH (redacted) (redacted)',
    ]);
    expect(await client.command('SLOWLOG', 'LEN')).toBe(6);
  });

  it("has a command that waits when it was served, and the commands of a script, as their caller's", async () => {
    const waiting = await RespClient.connect(server.port);
    await waiting.command('CLIENT', 'SETNAME', 'waiting');
    const id = Number(await waiting.command('CLIENT', 'ID'));
    await client.command('CONFIG', 'SET', 'slowlog-log-slower-than', 0);
    const popped = waiting.command('BLPOP', 'queue', 0);
    await waitFor('a blocked client', async () =>
      / flags=b /.test(String(await client.command('CLIENT', 'LIST', 'ID', id))),
    );
    expect(await logged()).not.toContain('BLPOP queue 0');
    await client.command('RPUSH', 'queue', 'x');
    expect(await popped).toEqual(['queue', 'x']);
    expect((await logged()).slice(0, 2)).toEqual(['BLPOP queue 0', 'RPUSH queue x']);
    await waiting.close();
    await client.pipeline([
      ['SLOWLOG', 'RESET'],
      ['EVAL', "redis.call('GET', 'a')", 0],
    ]);
    const [script, command] = (await client.command('SLOWLOG', 'GET', 2)) as Reply[][];
    expect([script[3], command[3]]).toEqual([
      ['EVAL', "redis.call('GET', 'a')", '0'],
      ['GET', 'a'],
    ]);
    expect(command.slice(4)).toEqual(script.slice(4));
    expect(command[5]).toBe('worker');
  });

  it('has nothing when it is off', async () => {
    await client.pipeline([
      ['CONFIG', 'SET', 'slowlog-log-slower-than', -1],
      ['DEBUG', 'SLEEP', 0.02],
    ]);
    expect(await logged()).toEqual([]);
  });
});

describe('LATENCY HISTOGRAM', () => {
  beforeEach(async () => {
    await client.command('CONFIG', 'RESETSTAT');
  });

  /** A command's calls and buckets, or undefined. */
  async function histogramOf(
    command: string,
    ...asked: string[]
  ): Promise<{ calls: number; last: Reply | undefined } | undefined> {
    const reply = (await client.command('LATENCY', 'HISTOGRAM', ...asked)) as Reply[];
    const at = reply.indexOf(command);
    if (at < 0) return undefined;
    const [, calls, , buckets] = reply[at + 1] as [string, number, string, Reply[]];
    return { calls, last: buckets.at(-1) };
  }

  it('has each of the first calls, of subcommands too, and in the last bucket all of them', async () => {
    await client.pipeline([
      ['SET', 'a', 1],
      ['SET', 'a', 2],
      ['GET', 'a'],
      ['CLIENT', 'ID'],
      ['EVAL', 'redis.call("GET","a")', 0],
    ]);
    expect(await histogramOf('set')).toEqual({ calls: 2, last: 2 });
    expect(await histogramOf('get', 'get')).toEqual({ calls: 2, last: 2 });
    expect(await histogramOf('set', 'get')).toBeUndefined();
    expect(await histogramOf('client|id', 'client')).toEqual({ calls: 1, last: 1 });
    expect(await histogramOf('client|id', 'none', 'CLIENT|ID')).toEqual({ calls: 1, last: 1 });
    expect(await client.command('LATENCY', 'HISTOGRAM', 'none', 'client|none')).toEqual([]);
  });

  it('stands for all of many calls by some of them, and INFO has their percentiles', async () => {
    await client.pipeline(Array.from({ length: 1600 }, () => ['GET', 'a']));
    expect(await histogramOf('get')).toEqual({ calls: 1600, last: 1600 });
    const percentiles = /latency_percentiles_usec_get:p50=\d+\.\d{3},p99=\d+\.\d{3},p99\.9=\d+\.\d{3}\r/;
    expect(String(await client.command('INFO', 'latencystats'))).toMatch(percentiles);
    await client.command('CONFIG', 'SET', 'latency-tracking', 'no');
    await client.command('CONFIG', 'RESETSTAT');
    await client.command('GET', 'a');
    expect(await client.command('LATENCY', 'HISTOGRAM')).toEqual([]);
    expect(String(await client.command('INFO', 'latencystats'))).not.toContain('usec');
    await client.command('CONFIG', 'SET', 'latency-tracking', 'yes');
  });
});

describe('LATENCY', () => {
  it('remembers what took longer than the threshold', async () => {
    expect(String(await client.command('LATENCY', 'DOCTOR'))).toContain('CONFIG SET latency-monitor-threshold');
    await client.pipeline([['CONFIG', 'SET', 'latency-monitor-threshold', 10], ['DEBUG', 'SLEEP', 0.02], ['PING']]);
    const [[event, seconds, latest, worst]] = (await client.command('LATENCY', 'LATEST')) as [Reply[]];
    expect(event).toBe('command');
    expect(Number(latest)).toBeGreaterThanOrEqual(20);
    expect(worst).toBe(latest);
    expect(await client.command('LATENCY', 'HISTORY', 'command')).toEqual([[seconds, latest]]);
    expect(String(await client.command('LATENCY', 'GRAPH', 'command'))).toMatch(
      /^command - high \d+ ms, low \d+ ms \(all time high \d+ ms\)\n-{80}\n/,
    );
    expect(String(await client.command('LATENCY', 'DOCTOR'))).toContain('- command: 1 times');
    expect(await client.command('LATENCY', 'RESET', 'command', 'other')).toBe(1);
    expect(await client.command('LATENCY', 'LATEST')).toEqual([]);
  });
});
