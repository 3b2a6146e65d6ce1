/** Redis's own tools against a node, and how its process ends. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { programPath } from '../support/child-server.ts';
import { freePort } from '../support/free-port.ts';
import { type MantisProcess, startMantis } from '../support/mantis-process.ts';
import { encodeRequest, RespClient } from '../support/resp-client.ts';
import { RespError } from '../support/resp3-parser.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { runMantis } from './command-line.ts';

const pipedCount = 100_000;

let node: MantisProcess;

beforeAll(async () => {
  node = await startMantis();
  await redisCli('--pipe', {
    input: Buffer.concat(Array.from({ length: pipedCount }, (_, index) => setRequest(index))),
  });
}, 60_000);

afterAll(() => node.server.stop());

function setRequest(index: number): Buffer {
  return encodeRequest(['SET', `piped:${index}`, `value ${index}`]);
}

interface RunOptions {
  input?: Buffer;
  /** Ends the program once its output matches; for those that do not end by themselves. */
  until?: RegExp;
}

/** Runs a program to its end and gives what it printed. Fails when that takes 25 s, or when its exit code is not 0. */
async function run(program: string, args: string[], { input, until }: RunOptions): Promise<string> {
  const child = spawn(programPath(program), args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: 25_000 });
  let output = '';
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  const keep = (data: Buffer): void => {
    output += data.toString('utf8');
    if (until?.test(output)) child.kill('SIGKILL');
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  child.stdin.end(input);
  const code = await closed;
  if (until === undefined ? code !== 0 : !until.test(output)) {
    throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${output}`);
  }
  return output;
}

async function redisCli(...words: (string | RunOptions)[]): Promise<string> {
  const args = words.filter((word) => typeof word === 'string');
  const options = words.find((word) => typeof word !== 'string') ?? {};
  return run('redis-cli', ['-p', String(node.port), ...args], options);
}

describe('redis-cli', () => {
  it('--pipe has stored everything', async () => {
    const output = await redisCli('--pipe', { input: Buffer.concat([setRequest(0), setRequest(1)]) });
    expect(output).toMatch(/errors: 0, replies: 2/);
    expect((await redisCli('DBSIZE')).trim()).toBe(String(pipedCount));
    expect((await redisCli('GET', 'piped:99999')).trim()).toBe('value 99999');
  });

  it('--scan lists every key once', async () => {
    const keys = (await redisCli('--scan', '--pattern', 'piped:*')).trim().split('\n');
    expect(keys).toHaveLength(pipedCount);
    expect(new Set(keys).size).toBe(pipedCount);
  });

  it('--stat shows the keys and the requests, line after line', async () => {
    const output = await redisCli('--stat', '-i', '0.05', { until: /(^\d+ .*\n){5}/m });
    expect(output).toMatch(new RegExp(`^${pipedCount} +[0-9.]+M +\\d+ +\\d+ +\\d+ \\(\\+\\d+\\) +\\d+`, 'm'));
  });

  it('--bigkeys and --memkeys finish', async () => {
    const bigKeys = await redisCli('--bigkeys', '-i', '0');
    expect(bigKeys).toMatch(new RegExp(`Sampled ${pipedCount} keys in the keyspace`));
    expect(bigKeys).toMatch(new RegExp(`${pipedCount} strings with \\d+ bytes`));
    expect(await redisCli('--memkeys', '-i', '0')).toMatch(/Biggest string found .* has \d+ bytes/);
  });

  it('speaks RESP3, and shows replies as JSON', async () => {
    expect((await redisCli('-3', 'HELLO')).trim()).toMatch(/^server redis\nversion [0-9.]+\nproto 3\n/);
    expect(JSON.parse(await redisCli('-3', '--json', 'MGET', 'piped:7', 'nothing'))).toEqual(['value 7', null]);
    expect(JSON.parse(await redisCli('--json', 'CONFIG', 'GET', 'port'))).toEqual({ port: String(node.port) });
  });

  it('takes commands from its input, and measures latency', async () => {
    const session = 'SET typed 1\nINCR typed\nEXPIRE typed 100\nTTL typed\nNONSENSE\nDEL typed\n';
    const lines = (await redisCli({ input: Buffer.from(session) })).trim().split(/\n+/);
    expect(lines.slice(0, 4)).toEqual(['OK', '2', '1', '100']);
    expect(lines[4]).toMatch(/^ERR unknown command 'NONSENSE'/);
    expect(lines[5]).toBe('1');
    expect(await redisCli('-r', '3', '-i', '0', 'PING')).toBe('PONG\nPONG\nPONG\n');
  });
});

it('redis-benchmark runs through', async () => {
  const args = [
    '-p',
    String(node.port),
    '-t',
    'ping,set,get,incr,mset',
    '-P',
    '16',
    '-n',
    '20000',
    '-c',
    '20',
    '-r',
    '1000',
    '--csv',
  ];
  const output = await run('redis-benchmark', args, {});
  const tests = output.split('\n').filter((line) => /^"[A-Z]/.test(line));
  expect(tests.map((line) => line.split('"')[1])).toEqual([
    'PING_INLINE',
    'PING_MBULK',
    'SET',
    'GET',
    'INCR',
    'MSET (10 keys)',
  ]);
  for (const line of tests) expect(Number(line.split('"')[3])).toBeGreaterThan(1000);
});

describe('the end of the process', () => {
  it.each(['SHUTDOWN', 'SHUTDOWN NOSAVE', 'SHUTDOWN NOW FORCE'])('%s ends it at once, with 0', async (line) => {
    const stopping = await startMantis();
    const client = await RespClient.connect(stopping.port);
    await client.command('SET', 'kept', 'yes');
    client.write(encodeRequest(line.split(' ')));
    await client.closed;
    const closedAtMs = performance.now();
    expect(await stopping.server.exited).toBe(0);
    expect(performance.now() - closedAtMs).toBeLessThan(1000);
    if (line.endsWith('NOSAVE')) return;
    const again = await startMantis({ dataDir: stopping.dataDir });
    const reader = await RespClient.connect(again.port);
    expect(await reader.command('GET', 'kept')).toBe('yes');
    await reader.close();
    await again.server.stop();
  });

  it('a second SIGTERM changes nothing', async () => {
    const stopping = await startMantis();
    const client = await RespClient.connect(stopping.port);
    await client.pipeline(Array.from({ length: 5000 }, (_, index) => ['SET', `kept:${index}`, 'yes']));
    process.kill(stopping.server.pid, 'SIGTERM');
    process.kill(stopping.server.pid, 'SIGTERM');
    process.kill(stopping.server.pid, 'SIGINT');
    expect(await stopping.server.exited).toBe(0);
    await client.close();
    const again = await startMantis({ dataDir: stopping.dataDir });
    const reader = await RespClient.connect(again.port);
    expect(await reader.command('DBSIZE')).toBe(5000);
    await reader.close();
    await again.server.stop();
  });
});

describe('a start that cannot be', () => {
  const memory = ['--bind', '127.0.0.1', '--data-dir', 'none'];

  it('because the port is taken says so, names the option, and ends with 1', async () => {
    const { code, output } = await runMantis('--port', String(node.port), '--peer-port', 'none', ...memory);
    expect(output).toMatch(new RegExp(`^mantis: .*:${node.port} is taken .*choose another port with --port`, 'm'));
    expect(code).toBe(1);
  });

  it('because the peer port is taken says so, names the option, and ends with 1', async () => {
    const ports = ['--port', String(await freePort()), '--peer-port', String(node.peerPort)];
    const { code, output } = await runMantis(...ports, ...memory);
    expect(output).toMatch(
      new RegExp(`^mantis: .*port ${node.peerPort}.* is taken.*choose another with .*peer-port`, 'm'),
    );
    expect(code).toBe(1);
  });

  it('because of a folder or a path names the option', async () => {
    const ports = ['--port', String(await freePort()), '--peer-port', 'none'];
    const socket = await runMantis(...ports, ...memory, '--unixsocket', '/none/mantis.sock');
    expect(socket).toEqual({ code: 1, output: expect.stringMatching(/^mantis: .*\/none\/mantis\.sock.*--unixsocket/) });
    const folder = await runMantis(...ports, ...memory, '--dir', '/none');
    expect(folder).toEqual({ code: 1, output: expect.stringMatching(/^mantis: cannot work in \/none.*--dir/) });
  });

  it('because another process has the data-dir says so and ends with 1', async () => {
    const ports = ['--port', String(await freePort()), '--peer-port', 'none'];
    const { code, output } = await runMantis(...ports, '--data-dir', node.dataDir);
    expect(output).toMatch(/^mantis: .*data-dir/m);
    expect(output).toContain(node.dataDir);
    expect(code).toBe(1);
  });
});

it('a pidfile that cannot be written is told of, and the node serves', async () => {
  const serving = await startMantis({ dataDir: 'none', args: ['--pidfile', '/none/mantis.pid'] });
  await waitFor('a warning', () => /cannot write the pidfile.*--pidfile/.test(serving.server.logs));
  expect(await serving.server.stop()).toBe(0);
});

it('-LOADING is answered while what is stored is loaded', async () => {
  const dataDir = temporaryFolder('large');
  const full = await startMantis({ dataDir, args: ['--enable-debug-command', 'local'] });
  const writer = await RespClient.connect(full.port);
  await writer.command('DEBUG', 'POPULATE', 200_000, 'loaded', 100);
  await writer.close();
  expect(await full.server.stop()).toBe(0);
  const starting = startMantis({ dataDir, port: full.port });
  const refusals = new Set<string>();
  let isReady = false;
  const ready = starting.finally(() => (isReady = true));
  await waitFor(
    'the node to serve',
    async () => {
      if (isReady) return true;
      const client = await RespClient.connect(full.port);
      const reply = await client.command('GET', 'loaded:1');
      if (reply instanceof RespError) refusals.add(reply.message);
      await client.close();
      return false;
    },
    { deadlineMs: 20_000, intervalMs: 1 },
  );
  const loaded = await ready;
  expect([...refusals]).toEqual([expect.stringMatching(/^LOADING /)]);
  const reader = await RespClient.connect(loaded.port);
  expect(await reader.command('DBSIZE')).toBe(200_000);
  await reader.close();
  await loaded.server.stop();
}, 60_000);
