/** What a value of many megabytes costs beside itself while it is made durable, and afterwards. */
import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { startMantis } from '../support/mantis-process.ts';
import { RespClient } from '../support/resp-client.ts';
import { waitFor } from '../support/wait-for.ts';

const VALUE_BYTES = 96 << 20;

/** A line of /proc/PID/status, in bytes. */
function memoryOf(pid: number, name: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return 1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)![1]);
}

describe.each(['interval', 'always'])('a large value with durability %s', (durability) => {
  it('costs five times its size at most on its way to the disk, and once when it is there', async () => {
    if (!existsSync('/proc/self/status')) {
      process.stderr.write('no /proc here: what large values cost is not measured\n');
      return;
    }
    // With a bound buffers are given back at once, which otherwise V8 does when it sees fit.
    const args = ['--durability', durability, '--maxmemory', '2gb', '--peer-port', 'none', '--flush-interval', '1h'];
    const node = await startMantis({ args: [...args, '--backup-dir', 'none'] });
    const client = await RespClient.connect(node.port);
    const { pid } = node.server;
    const before = memoryOf(pid, 'VmRSS');
    expect(await client.command('SET', 'large', Buffer.alloc(VALUE_BYTES, 'mantis'))).toBe('OK');
    expect(await client.command('SAVE')).toBe('OK');
    // LevelDB writes the table when something else is written.
    await client.command('SET', 'other', 'v');
    expect(await client.command('SAVE')).toBe('OK');
    await waitFor('the memory to be given back', () => memoryOf(pid, 'VmRSS') < before + 1.7 * VALUE_BYTES, {
      deadlineMs: 30_000,
    });
    expect(memoryOf(pid, 'VmHWM')).toBeLessThan(before + 5 * VALUE_BYTES);
    await client.close();
    expect(await node.server.stop()).toBe(0);
  }, 120_000);
});
