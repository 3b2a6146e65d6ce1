/** The log of a process: where it goes, what can go wrong with it, and signals that are about it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, renameSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type MantisProcess, mantisProgram, pinnedNode, startMantis } from '../support/mantis-process.ts';
import { RawClient, RespClient } from '../support/resp-client.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { runMantis } from './command-line.ts';

/** Has the node log a warning. */
async function logLine(node: MantisProcess): Promise<void> {
  const client = await RawClient.connect(node.port);
  client.write('POST / HTTP/1.1\r\n\r\n');
  await client.close();
}

async function isServing(node: MantisProcess): Promise<boolean> {
  const client = await RespClient.connect(node.port);
  const pong = await client.command('PING');
  await client.close();
  return pong === 'PONG';
}

describe('a logfile', () => {
  it('may be renamed at any moment: what is logged then goes to a new one', async () => {
    const path = join(temporaryFolder('log'), 'mantis.log');
    const node = await startMantis({ args: ['--logfile', path], dataDir: 'none' });
    await logLine(node);
    await waitFor('a line', () => readFileSync(path, 'utf8').includes('HTTP'));
    renameSync(path, `${path}.1`);
    await logLine(node);
    await waitFor('a line in a new file', () => existsSync(path) && readFileSync(path, 'utf8').includes('HTTP'));
    await node.server.stop();
  });

  it('on a full disk does not end the node, and tells later how many lines were lost', async () => {
    const path = join(temporaryFolder('log'), 'mantis.log');
    symlinkSync('/dev/full', path);
    const node = await startMantis({ args: ['--logfile', path], dataDir: 'none' });
    await logLine(node);
    await logLine(node);
    expect(await isServing(node)).toBe(true);
    unlinkSync(path);
    await waitFor('a line that tells of those that were lost', async () => {
      await logLine(node);
      return existsSync(path) && /"dropped":\d.*ENOSPC.*\n.*HTTP/.test(readFileSync(path, 'utf8'));
    });
    expect(await node.server.stop()).toBe(0);
  });

  it('that cannot be written ends the start, and names the option', async () => {
    const { code, output } = await runMantis('--port', '0', '--data-dir', 'none', '--logfile', temporaryFolder('log'));
    expect(output).toMatch(/^mantis: cannot write the log to .*--logfile .*EISDIR/);
    expect(code).toBe(1);
  });
});

it('CONFIG SET loglevel holds from then on', async () => {
  const path = join(temporaryFolder('log'), 'mantis.log');
  const node = await startMantis({ args: ['--logfile', path, '--loglevel', 'warning'], dataDir: 'none' });
  const client = await RespClient.connect(node.port);
  const wrong = async (): Promise<void> => {
    const raw = await RawClient.connect(node.port);
    raw.write('*1\r\n$-5\r\n');
    await raw.closed;
  };
  await wrong();
  await client.command('CONFIG', 'SET', 'loglevel', 'debug');
  await wrong();
  await waitFor('one line', () => readFileSync(path, 'utf8').includes('invalid bulk length'));
  expect(readFileSync(path, 'utf8').match(/invalid bulk length/g)).toHaveLength(1);
  await client.close();
  await node.server.stop();
});

it('a reader of the help that leaves before its end leaves no trace of a fault', async () => {
  const program = spawn(pinnedNode, [mantisProgram, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  program.stdout.destroy();
  let errors = '';
  program.stderr.on('data', (text: Buffer) => (errors += text.toString()));
  const [code] = (await once(program, 'close')) as [number];
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
});

it('SIGHUP does not end a node', async () => {
  const node = await startMantis();
  process.kill(node.server.pid, 'SIGHUP');
  expect(await isServing(node)).toBe(true);
  expect(await node.server.stop()).toBe(0);
});
