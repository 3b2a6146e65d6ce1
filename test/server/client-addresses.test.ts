/** How clients are named that come by IPv6 and by a Unix socket, beside redis-server. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { startMantis } from '../support/mantis-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

async function ask(socket: Socket, request: string): Promise<string> {
  await once(socket, 'connect');
  socket.write(`${request}\r\n`);
  const [data] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return data.toString('latin1');
}

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));

it('as Redis names them, and both are local clients', async () => {
  const path = join(temporaryFolder('unix'), 'mantis.sock');
  const args = ['--unixsocket', path, '--bind', '127.0.0.1', '-::1', '--enable-debug-command', 'local'];
  const node = await startMantis({ dataDir: 'none', args });
  const unix = (request: string): Promise<string> => ask(connect(path), request);
  expect(await unix('CLIENT INFO')).toContain(` addr=${path}:0 laddr=${path}:0 `);
  expect(await unix('CLIENT INFO')).toContain(' flags=U ');
  expect(await unix('DEBUG JMAP')).not.toContain('not allowed');
  if (hasIpv6) {
    const ipv6 = (request: string): Promise<string> => ask(connect(node.port, '::1'), request);
    expect(await ipv6('CLIENT INFO')).toMatch(new RegExp(` addr=\\[::1\\]:\\d+ laddr=\\[::1\\]:${node.port} `));
    expect(await ipv6('DEBUG JMAP')).not.toContain('not allowed');
  }
  await node.server.stop();
});
