/** Clients that a node does not take, and transactions that are too large for it. */
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type MantisProcess, startMantis } from '../../support/mantis-process.ts';
import { encodeRequest, RawClient, RespClient } from '../../support/resp-client.ts';
import { waitFor } from '../../support/wait-for.ts';

const PING = encodeRequest(['PING']);

/** What the node answers to a PING on a connection of its own, and whether it closes that connection. */
async function ping(port: number, host?: string): Promise<{ client: RawClient; reply: string }> {
  const client = await RawClient.connect(port, host);
  client.write(PING);
  const reply = await client.until((bytes) => bytes.includes('\r\n'));
  return { client, reply: reply.toString() };
}

/** Addresses of this machine that are not of its loopback interface; it may have none. */
function outsideAddresses(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return addresses.filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address);
}

describe('a node that has as many clients as maxclients allows', () => {
  let first: MantisProcess;
  let second: MantisProcess;

  beforeAll(async () => {
    first = await startMantis({ dataDir: 'none', args: ['--maxclients', '3'] });
    second = await startMantis({ dataDir: 'none', args: ['--peers', `127.0.0.1:${first.peerPort}`] });
  }, 40_000);

  afterAll(async () => {
    await Promise.all([first, second].map(({ server }) => server.stop()));
  });

  it('refuses more in the words of Redis, and takes one when another has left; peers are not counted', async () => {
    const own = await RespClient.connect(first.port);
    const others = await Promise.all([ping(first.port), ping(first.port)]);
    expect(others.map(({ reply }) => reply)).toEqual(['+PONG\r\n', '+PONG\r\n']);
    const refused = await ping(first.port);
    expect(refused.reply).toBe('-ERR max number of clients reached\r\n');
    await refused.client.closed;

    const peer = await RespClient.connect(second.port);
    await peer.command('SET', 'from', 'the peer');
    await waitFor('the value of the peer', async () => (await own.command('GET', 'from')) === 'the peer');

    await others[0].client.close();
    await waitFor('a place', async () => (await ping(first.port)).reply === '+PONG\r\n');
  });
});

it('a node in protected mode refuses clients of other machines until it has a password', async () => {
  const node = await startMantis({ dataDir: 'none', args: ['--bind', '0.0.0.0', '--peer-port', 'none'] });
  const local = await RespClient.connect(node.port);
  for (const address of outsideAddresses()) {
    const refused = await ping(node.port, address);
    expect(refused.reply).toMatch(/^-DENIED .*protected mode.*requirepass/);
    await refused.client.closed;
    expect(await local.command('CONFIG', 'SET', 'requirepass', 'secret')).toBe('OK');
    expect((await ping(node.port, address)).reply).toMatch(/^-NOAUTH/);
    await local.command('CONFIG', 'SET', 'requirepass', '', 'protected-mode', 'no');
    expect((await ping(node.port, address)).reply).toBe('+PONG\r\n');
    await local.command('CONFIG', 'SET', 'protected-mode', 'yes');
  }
  await local.close();
  await node.server.stop();
});

describe('a transaction', () => {
  it('that holds more than client-query-buffer-limit is aborted, and its client goes on', async () => {
    const limit = ['--client-query-buffer-limit', '1mb', '--peer-port', 'none'];
    const node = await startMantis({ dataDir: 'none', args: limit });
    const client = await RespClient.connect(node.port);
    const queued = Array.from({ length: 3000 }, () => ['SET', 'key', 'v'.repeat(1000)]);
    const replies = (await client.pipeline([['MULTI'], ...queued, ['EXEC'], ['EXISTS', 'key']])).map(String);
    const begun = replies.indexOf('QUEUED');
    const refused = replies.findIndex((reply) => reply.includes('client-query-buffer-limit'));
    expect(begun).toBe(1);
    expect(refused).toBeGreaterThan(500);
    expect(refused).toBeLessThan(1100);
    expect(replies.at(-2)).toContain('EXECABORT');
    expect(replies.at(-1)).toBe('0');
    await client.close();
    await node.server.stop();
  });
});
