import { expect, it } from '@jest/globals';
import { join, resolve } from 'node:path';
import { ChildServer } from '../support/child-server.ts';
import { freePort } from '../support/free-port.ts';
import { pinnedNode } from '../support/mantis-process.ts';
import { answersPing } from '../support/resp-client.ts';
import { waitFor } from '../support/wait-for.ts';

const script = join(resolve(import.meta.dirname, '../..'), 'scripts', 'start.mjs');

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  'npm start passes %s on once and ends as the server does',
  async (signal) => {
    const port = await freePort();
    const peerPort = await freePort();
    const start = await ChildServer.start({
      program: pinnedNode,
      args: [
        script,
        '--port',
        String(port),
        '--peer-port',
        String(peerPort),
        '--bind',
        '127.0.0.1',
        '--data-dir',
        'none',
      ],
      isReady: () => answersPing(port),
    });
    // One press of Ctrl-C arrives several times: from the terminal, and from npm.
    process.kill(start.pid, signal);
    expect(await start.kill(signal)).toBe(0);
    await waitFor('the server to be gone', async () => !(await answersPing(port).catch(() => false)));
  },
);

it('npm start says what is wrong with an option, and ends with 1', async () => {
  const failing = ChildServer.start({
    program: pinnedNode,
    args: [script, '--prot', '7001'],
    isReady: () => Promise.resolve(false),
  });
  await expect(failing).rejects.toThrow(/ended with 1 before it served:[\s\S]*prot[\s\S]*port/);
});
