/** The journal of `durability always`: what it has and the embedded store lacks is there after a kill, whatever comes next. */
import { describe, expect, it } from '@jest/globals';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type MantisProcess, startMantis } from '../support/mantis-process.ts';
import { type Argument, RespClient } from '../support/resp-client.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { runMantis } from './command-line.ts';

const readyDeadlineMs = 60_000;

const writes: Argument[][] = [
  ['SET', 'string', 'value', 'EX', '10000'],
  ['SET', 'large', 'x'.repeat(300_000)],
  ['INCRBY', 'counter', '7'],
  ['PFADD', 'sketch', 'a', 'b', 'c'],
  ['HSET', 'hash', 'f', '1', 'g', '2'],
  ['HDEL', 'hash', 'g'],
  ['SADD', 'set', 'a', 'b'],
  ['ZADD', 'sorted', '1', 'a', '2', 'b'],
  ['RPUSH', 'list', 'a', 'b', 'c'],
  ['LPOP', 'list'],
  ['XADD', 'stream', '1-1', 'f', 'v'],
  ['SET', 'gone', 'v'],
  ['DEL', 'gone'],
  ['SELECT', '1'],
  ['SET', 'flushed', 'v'],
  ['FLUSHDB'],
  ['SET', 'kept', 'v'],
  ['SELECT', '0'],
  ['MULTI'],
  ['SET', 'in a transaction', 'v'],
  ['INCR', 'counter'],
  ['EXEC'],
];

interface Content {
  digest: unknown;
  size: unknown;
  counter: unknown;
  hasDeadline: boolean;
}

async function contentOf(node: MantisProcess): Promise<Content> {
  const client = await RespClient.connect(node.port);
  const content = {
    digest: await client.command('MANTIS', 'DIGEST'),
    size: await client.command('DBSIZE'),
    counter: await client.command('GET', 'counter'),
    hasDeadline: Number(await client.command('TTL', 'string')) > 9000,
  };
  await client.close();
  return content;
}

/** A data directory whose node was killed before any flush, and what the node had acknowledged. */
async function killed(): Promise<{ node: MantisProcess; content: Content; journal: string }> {
  const args = ['--durability', 'always', '--flush-interval', '1h', '--peer-port', 'none'];
  const node = await startMantis({ args, dataDir: temporaryFolder('journal'), readyDeadlineMs });
  const client = await RespClient.connect(node.port);
  for (const write of writes) await client.command(...write);
  await client.close();
  const content = await contentOf(node);
  await node.server.kill('SIGKILL');
  return { node, content, journal: join(node.dataDir, 'journal') };
}

describe('the journal of a node that was killed', () => {
  it('is merged by a node in any mode, and by one that starts on a copy', async () => {
    const { node, content, journal } = await killed();
    expect(content).toMatchObject({ size: 10, counter: '8', hasDeadline: true });
    expect(readdirSync(journal)).toHaveLength(1);

    const copy = join(temporaryFolder('backup'), 'copy');
    const options = ['--port', String(node.port), '--data-dir', node.dataDir];
    expect(await runMantis('backup', copy, ...options)).toMatchObject({ code: 0 });
    for (const dataDir of [node.dataDir, copy]) {
      const args = ['--durability', 'memory', '--peer-port', 'none'];
      const again = await startMantis({ args, dataDir, readyDeadlineMs });
      expect(await contentOf(again)).toEqual(content);
      // What was in it is in the embedded store then.
      await waitFor('the end of the journal', () => readdirSync(join(dataDir, 'journal')).length === 0);
      await again.server.kill('SIGKILL');
      const last = await startMantis({ args, dataDir, readyDeadlineMs });
      expect(await contentOf(last)).toEqual(content);
      await last.server.stop();
    }
  }, 120_000);

  it('says at the start, and in INFO, what of its end is left out', async () => {
    const { node, journal } = await killed();
    const file = join(journal, readdirSync(journal)[0]);
    const whole = readFileSync(file);
    const { length } = whole;
    const lastAt = whole.lastIndexOf(Buffer.from('014d4a46', 'hex'));
    for (const [bytes, field, text] of [
      [whole.subarray(0, length - 3), 'loading_torn_bytes', 'ends in a write that was cut short'],
      [Buffer.from(whole).fill('wrong', length - 5), 'loading_doubtful_bytes', 'is not as it was written'],
    ] as const) {
      const dataDir = join(temporaryFolder('copy'), 'data');
      cpSync(node.dataDir, dataDir, { recursive: true });
      writeFileSync(join(dataDir, 'journal', basename(file)), bytes);
      const again = await startMantis({ args: ['--peer-port', 'none'], dataDir, readyDeadlineMs });
      const client = await RespClient.connect(again.port);
      expect(await client.command('INFO', 'persistence')).toContain(`\r\n${field}:${bytes.length - lastAt}\r\n`);
      expect(await client.command('DBSIZE')).toBe(9);
      await client.close();
      await again.server.stop();
      expect(again.server.logs).toContain(text);
    }
  }, 120_000);

  it('is not passed over when it is damaged', async () => {
    const { node, content, journal } = await killed();
    const file = join(journal, readdirSync(journal)[0]);
    const whole = readFileSync(file);
    const bytes = Buffer.from(whole);
    bytes[bytes.indexOf('string')] ^= 1;
    writeFileSync(file, bytes);
    const args = ['--peer-port', 'none', '--data-dir', node.dataDir, '--port', String(node.port)];
    const refused = await runMantis('start', ...args);
    expect(refused.code).toBe(1);
    expect(refused.output).toContain(`${file} is damaged`);
    writeFileSync(file, whole);
    const again = await startMantis({ args: ['--peer-port', 'none'], dataDir: node.dataDir, readyDeadlineMs });
    expect(await contentOf(again)).toEqual(content);
    await again.server.stop();
  }, 120_000);
});

it('the journal goes with each flush, and at a stop', async () => {
  const args = ['--durability', 'always', '--flush-interval', '20ms'];
  const node = await startMantis({ args, readyDeadlineMs });
  const journal = join(node.dataDir, 'journal');
  const client = await RespClient.connect(node.port);
  for (let round = 0; round < 2; round++) {
    await client.command('SET', `key:${round}`, 'v');
    expect(existsSync(journal)).toBe(true);
    await waitFor('the end of the journal', () => readdirSync(journal).length === 0, { deadlineMs: 30_000 });
  }
  await client.command('CONFIG', 'SET', 'flush-interval', '1h');
  await client.command('SET', 'last', 'v');
  await client.close();
  expect(await node.server.stop()).toBe(0);
  expect(readdirSync(journal)).toEqual([]);
}, 90_000);
