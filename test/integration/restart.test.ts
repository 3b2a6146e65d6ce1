import { describe, expect, it } from '@jest/globals';
import { startMantis } from '../support/mantis-process.ts';
import { type Argument, RespClient } from '../support/resp-client.ts';

const elementCount = 12_000;

/** Adds elements of about 100 bytes, some hundreds a command: each collection is larger than 1 MiB. */
async function fillCollections(client: RespClient): Promise<void> {
  for (let from = 0; from < elementCount; from += 400) {
    const names = Array.from({ length: 400 }, (_, index) => `element ${from + index} ${'x'.repeat(90)}`);
    const commands: Argument[][] = [
      ['HSET', 'hash', ...names.flatMap((name) => [name, 'v'])],
      ['SADD', 'set', ...names],
      ['ZADD', 'sorted', ...names.flatMap((name, index) => [String(from + index), name])],
      ['RPUSH', 'list', ...names],
      ...names.map((name) => ['XADD', 'stream', '*', 'f', name]),
    ];
    await client.pipeline(commands);
  }
}

describe('a node that is stopped by SIGTERM', () => {
  it('flushes also with shutdown-timeout 0, which in Redis is for stops that wait for no replica', async () => {
    const keyCount = 50_000;
    const node = await startMantis({ args: ['--shutdown-timeout', '0', '--flush-interval', '1h'] });
    const client = await RespClient.connect(node.port);
    await client.pipeline(Array.from({ length: keyCount }, (_, index) => ['SET', `kept:${index}`, 'yes']));
    expect(await node.server.stop(30_000)).toBe(0);
    await client.close();
    const again = await startMantis({ dataDir: node.dataDir });
    const reader = await RespClient.connect(again.port);
    expect(await reader.command('DBSIZE')).toBe(keyCount);
    await reader.close();
    await again.server.stop();
  }, 60_000);

  it('has its collections of more than 1 MiB when it starts again', async () => {
    const node = await startMantis();
    const client = await RespClient.connect(node.port);
    await fillCollections(client);
    const digest = await client.command('MANTIS', 'DIGEST');
    await client.close();
    expect(await node.server.stop(30_000)).toBe(0);
    const again = await startMantis({ dataDir: node.dataDir });
    const reader = await RespClient.connect(again.port);
    const counts = await reader.pipeline([
      ['HLEN', 'hash'],
      ['SCARD', 'set'],
      ['ZCARD', 'sorted'],
      ['LLEN', 'list'],
      ['XLEN', 'stream'],
    ]);
    expect(counts).toEqual([elementCount, elementCount, elementCount, elementCount, elementCount]);
    expect(await reader.command('MANTIS', 'DIGEST')).toBe(digest);
    await reader.close();
    await again.server.stop();
  }, 60_000);
});

it('a node that was killed has its consumer groups when it starts again, and they outlive a second kill', async () => {
  const node = await startMantis({ args: ['--flush-interval', '10ms'] });
  const client = await RespClient.connect(node.port);
  for (const id of ['1-0', '2-0', '3-0']) await client.command('XADD', 's', id, 'f', 'v');
  await client.command('XGROUP', 'CREATE', 's', 'g', 0);
  await client.command('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', 2, 'STREAMS', 's', '>');
  await client.command('WAITAOF', 1, 0, 0);
  await client.close();
  await node.server.kill('SIGKILL');

  const second = await startMantis({ dataDir: node.dataDir, args: ['--flush-interval', '10ms'] });
  const reader = await RespClient.connect(second.port);
  expect(await reader.command('XPENDING', 's', 'g')).toEqual([2, '1-0', '2-0', [['c', '2']]]);
  await reader.command('XACK', 's', 'g', '1-0');
  await reader.command('XREADGROUP', 'GROUP', 'g', 'd', 'STREAMS', 's', '>');
  await reader.command('WAITAOF', 1, 0, 0);
  await reader.close();
  await second.server.kill('SIGKILL');

  const third = await startMantis({ dataDir: node.dataDir });
  const last = await RespClient.connect(third.port);
  expect(await last.command('XPENDING', 's', 'g')).toEqual([
    2,
    '2-0',
    '3-0',
    [
      ['c', '1'],
      ['d', '1'],
    ],
  ]);
  await last.close();
  await third.server.stop();
}, 60_000);
