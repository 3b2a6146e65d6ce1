import { expect, it } from '@jest/globals';
import { startMantis } from '../support/mantis-process.ts';
import { RespClient } from '../support/resp-client.ts';

it('a flood of small collections is packed as it comes, so that nothing is evicted that fits', async () => {
  const args = ['--maxmemory', '10mb', '--maxmemory-policy', 'allkeys-lru', '--data-dir', 'none'];
  const node = await startMantis({ args });
  const client = await RespClient.connect(node.port);
  const count = 20_000;
  for (let from = 0; from < count; from += 5000) {
    await client.pipeline(
      Array.from({ length: 5000 }, (_, index) => {
        const key = `key:${from + index}`;
        return index % 2 === 0 ? ['HSET', key, 'a', '1', 'b', '2', 'c', '3'] : ['SADD', key, 'a', 'b', 'c'];
      }),
    );
  }
  // Unpacked they would take about twice the bound.
  expect(await client.command('DBSIZE')).toBe(count);
  expect(String(await client.command('INFO', 'stats'))).toContain('evicted_keys:0\r\n');
  expect(await client.command('HGET', 'key:0', 'c')).toBe('3');
  await client.close();
  await node.server.stop();
}, 60_000);
