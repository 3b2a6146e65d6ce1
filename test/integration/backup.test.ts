import { describe, expect, it } from '@jest/globals';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { startMantis } from '../support/mantis-process.ts';
import { RespClient } from '../support/resp-client.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { runMantis } from './command-line.ts';

async function keysIn(dataDir: string): Promise<{ size: number; counter: number; writerGoesOn: boolean }> {
  const copy = await startMantis({ dataDir, args: ['--peer-port', 'none'] });
  const client = await RespClient.connect(copy.port);
  const size = Number(await client.command('DBSIZE'));
  const counter = Number(await client.command('GET', 'counter'));
  const writerGoesOn = Number(await client.command('INCR', 'counter')) === counter + 1;
  await client.close();
  await copy.server.stop();
  return { size, counter, writerGoesOn };
}

describe('a backup', () => {
  it('of a node under load has all that was written before, and a node starts on it', async () => {
    const node = await startMantis();
    const client = await RespClient.connect(node.port);
    const words = (from: number): string[][] =>
      Array.from({ length: 500 }, (_, index) => ['SET', `key:${from + index}`, 'v'.repeat(100)]);
    for (let from = 0; from < 3000; from += 500) await client.pipeline([...words(from), ['INCR', 'counter']]);
    let isOver = false;
    let written = 3000;
    const writer = await RespClient.connect(node.port);
    const writing = (async () => {
      for (; !isOver; written += 500) await writer.pipeline([...words(written), ['INCR', 'counter']]);
    })();
    const folder = join(temporaryFolder('backup'), 'copy');
    const made = await runMantis('backup', folder, '--port', String(node.port));
    isOver = true;
    await writing;
    expect(made).toMatchObject({ code: 0, output: expect.stringMatching(/^Copied \d+ entries to .*copy\.\n/) });
    const again = await runMantis('backup', folder, '--port', String(node.port));
    expect(again.code).toBe(1);
    expect(again.output).toMatch(/exists and is not empty: name another folder/);
    const inside = await runMantis('backup', join(node.dataDir, 'copy'), '--port', String(node.port));
    expect(inside).toMatchObject({ code: 1, output: expect.stringMatching(/name a folder outside of it/) });
    const copy = await keysIn(folder);
    expect(copy.writerGoesOn).toBe(true);
    expect(copy.counter).toBeGreaterThanOrEqual(6);
    expect(copy.size).toBeGreaterThanOrEqual(3001);
    expect(copy.size).toBeLessThanOrEqual(written + 1);
    expect(readdirSync(join(folder, '..'))).toEqual(['copy']);

    // BGSAVE replaces its copy.
    for (const expected of [written + 2, written + 3]) {
      await client.command('SET', `extra:${expected}`, 'v');
      expect(await client.command('BGSAVE')).toBe('Background saving started');
      await waitFor('the end of BGSAVE', async () =>
        /rdb_bgsave_in_progress:0\r\n[^]*rdb_last_bgsave_status:ok/.test(
          String(await client.command('INFO', 'persistence')),
        ),
      );
      expect((await keysIn(`${node.dataDir}-backup`)).size).toBe(expected);
    }
    await client.close();
    await writer.close();
    await node.server.stop();

    // The stopped node's folder is copied without it.
    const cold = join(folder, '..', 'cold');
    const options = ['--port', String(node.port), '--data-dir', node.dataDir];
    expect(await runMantis('backup', cold, ...options)).toMatchObject({ code: 0 });
    expect((await keysIn(cold)).size).toBe(written + 3);
    const nowhere = await runMantis('backup', `${cold}-2`, '--port', String(node.port), '--data-dir', `${cold}-absent`);
    expect(nowhere).toMatchObject({
      code: 1,
      output: expect.stringMatching(/there is no store in .*name the --data-dir/),
    });
    expect(existsSync(`${cold}-2`)).toBe(false);
  }, 120_000);
});
