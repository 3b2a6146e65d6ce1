/** The process keeps to `maxmemory`, not only what it counts of its data: by its resident memory, as the system says it. */
import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { startMantis } from '../support/mantis-process.ts';
import { RespClient } from '../support/resp-client.ts';
import { waitFor } from '../support/wait-for.ts';

const BYTES_MAX = 96 << 20;
/** Of `maxmemory`: V8 alone makes up some of a small one. Without moving blocks it is twice as much. */
const GROWTH_MOST = 1.25;
const BATCH = 2000;

async function memory(client: RespClient): Promise<(name: string) => number> {
  const info = String(await client.command('INFO', 'memory'));
  return (name) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1]);
}

/** Writes strings that grow from 100 to 1,000 bytes, several times what fits; returns the most resident memory. */
async function flood(client: RespClient, count: number): Promise<number> {
  let most = 0;
  for (let from = 0; from < count; from += BATCH) {
    const value = Buffer.alloc(100 + Math.floor((900 * from) / count), 'x');
    await client.pipeline(Array.from({ length: BATCH }, (_, index) => ['SET', `key:${from + index}`, value]));
    most = Math.max(most, (await memory(client))('used_memory_rss'));
  }
  return most;
}

describe('maxmemory', () => {
  it('bounds the growth of the process under a flood of values of other and other sizes, and when it is lowered', async () => {
    const args = ['--maxmemory', String(BYTES_MAX), '--maxmemory-policy', 'allkeys-lru', '--data-dir', 'none'];
    const node = await startMantis({ args });
    const client = await RespClient.connect(node.port);
    await flood(client, 20_000);
    await client.command('FLUSHALL');
    const emptyBytes = (await memory(client))('used_memory_rss');
    const mostBytes = await flood(client, 300_000);
    expect((mostBytes - emptyBytes) / BYTES_MAX).toBeLessThan(GROWTH_MOST);
    const full = await memory(client);
    // Not by keeping next to nothing.
    expect(full('used_memory') / BYTES_MAX).toBeGreaterThan(0.5);
    expect(full('moved_blocks')).toBeGreaterThan(0);

    await client.command('CONFIG', 'SET', 'maxmemory', String(BYTES_MAX / 2));
    const lowered = await waitFor(
      'memory to go back to the system',
      async () => {
        const now = await memory(client);
        return now('used_memory_rss') - emptyBytes < (BYTES_MAX / 2) * GROWTH_MOST ? now : null;
      },
      { deadlineMs: 30_000, intervalMs: 100 },
    );
    expect(lowered('used_memory')).toBeGreaterThan(BYTES_MAX / 5);
    await client.close();
    await node.server.stop();
  }, 120_000);

  it('has malloc keep its memory in one place, unless the environment says otherwise', async () => {
    const node = await startMantis({ args: [], dataDir: 'none', env: { MALLOC_TRIM_THRESHOLD_: '1000000' } });
    const client = await RespClient.connect(node.port);
    const pid = Number(/^process_id:(\d+)/m.exec(String(await client.command('INFO', 'server')))?.[1]);
    expect(pid).toBe(node.server.pid);
    const settings = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
    expect(settings).toEqual(expect.arrayContaining(['MALLOC_ARENA_MAX=1', 'MALLOC_TRIM_THRESHOLD_=1000000']));
    await client.close();
    await node.server.stop();
  });
});
