/** A process that may open few files only. */
import { expect, it } from '@jest/globals';
import { clientsMost, openFilesMost } from '../../server/network/open-files.ts';
import { ChildServer } from '../support/child-server.ts';
import { freePort } from '../support/free-port.ts';
import { environment, mantisProgram, pinnedNode } from '../support/mantis-process.ts';
import { answersPing, RawClient, RespClient } from '../support/resp-client.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

it('reads the limit that holds, and keeps a part of it for what is no client', () => {
  const line =
    'Max processes             7                    8                    processes\nMax open files            1024';
  expect(openFilesMost(`${line}                 524288               files\n`)).toBe(1024);
  expect(openFilesMost('')).toBe(Infinity);
  expect([200, 400, 1024, 100_000, 100, Infinity].map(clientsMost)).toEqual([72, 272, 819, 80_000, 1, Infinity]);
});

it('clients do not take the files that the stores need: maxclients is what is left', async () => {
  const port = await freePort();
  const own = [
    '--port',
    port,
    '--peer-port',
    'none',
    '--data-dir',
    temporaryFolder('files'),
    '--flush-interval',
    '20ms',
  ];
  const server = await ChildServer.start({
    program: '/bin/sh',
    args: ['-c', 'ulimit -n 400; exec "$0" "$@"', pinnedNode, mantisProgram, ...own.map(String)],
    env: environment(),
    isReady: () => answersPing(port),
  });
  expect(server.logs).toMatch(/maxclients is 272 instead of 10000/);
  const client = await RespClient.connect(port);
  expect(await client.command('CONFIG', 'GET', 'maxclients')).toEqual(['maxclients', '272']);
  expect(String(await client.command('CONFIG', 'SET', 'maxclients', 300))).toMatch(
    /allows 272 clients with 400 open files/,
  );
  expect(await client.command('CONFIG', 'SET', 'maxclients', 260)).toBe('OK');
  const others = await Promise.all(Array.from({ length: 500 }, () => RawClient.connect(port)));
  const value = 'v'.repeat(100_000);
  for (let index = 0; index < 500; index++) {
    const written = await client.pipeline([
      ['SET', `large:${index}`, value],
      ['WAITAOF', 1, 0, 0],
    ]);
    expect(written).toEqual(['OK', [1, 0]]);
  }
  await Promise.all(others.map((other) => other.close()));
  await client.close();
  await server.stop();
}, 60_000);
