/** A peer that never got what a node has evicted since. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type MantisProcess, startMantis } from '../support/mantis-process.ts';
import { MariadbProcess } from '../support/mariadb-process.ts';
import { freePort } from '../support/free-port.ts';
import { RespClient } from '../support/resp-client.ts';
import { waitFor } from '../support/wait-for.ts';
import { migrateByCli } from './command-line.ts';

const keyCount = 2_500;
const valueOf = (index: number): string => `value ${index} `.padEnd(1000, '.');
const common = ['--cluster-secret', 'shared-secret', '--repair-interval', '1s', '--peer-reconnect-delay-max', '500ms'];
const memory = ['--maxmemory', '2mb', '--maxmemory-policy', 'allkeys-lru', '--read-through', 'yes'];

async function fill(client: RespClient): Promise<void> {
  await client.pipeline([
    ['HSET', 'a hash', 'f', '1', 'g', '2'],
    ['RPUSH', 'a list', 'a', 'b', 'c'],
    ['INCRBY', 'a counter', '7'],
  ]);
  for (let at = 0; at < keyCount; at += 500) {
    const requests = Array.from({ length: 500 }, (_, index) => ['SET', `key:${at + index}`, valueOf(at + index)]);
    expect((await client.pipeline(requests)).filter((reply) => reply !== 'OK')).toEqual([]);
  }
}

/** The peer is not there before the first has written, stored and evicted. */
async function peerGetsAll(first: MantisProcess, peerPort: number): Promise<void> {
  const client = await RespClient.connect(first.port);
  await fill(client);
  expect(Number(await client.command('DBSIZE'))).toBeLessThan(keyCount - 500);
  const peer = await startMantis({
    peerPort,
    dataDir: 'none',
    args: [...common, '--peers', `127.0.0.1:${first.peerPort}`],
  });
  const other = await RespClient.connect(peer.port);
  try {
    await waitFor('the peer to have all keys', async () => (await other.command('DBSIZE')) === keyCount + 3, {
      deadlineMs: 90_000,
    });
    await waitFor('equal digests', async () => {
      const digests = await Promise.all([client, other].map((one) => one.command('MANTIS', 'DIGEST')));
      return digests[0] === digests[1];
    });
    const replies = await other.pipeline(Array.from({ length: keyCount }, (_, index) => ['GET', `key:${index}`]));
    expect(replies.filter((reply, index) => reply !== valueOf(index))).toEqual([]);
    expect(await other.command('HMGET', 'a hash', 'f', 'g')).toEqual(['1', '2']);
    expect(await other.command('HLEN', 'a hash')).toBe(2);
    expect(await other.command('LRANGE', 'a list', '0', '-1')).toEqual(['a', 'b', 'c']);
    expect(await other.command('GET', 'a counter')).toBe('7');
  } finally {
    await other.close();
    await client.close();
    await peer.server.stop();
    await first.server.stop();
  }
}

async function firstWith(args: string[], dataDir?: string): Promise<{ first: MantisProcess; peerPort: number }> {
  const peerPort = await freePort();
  const all = [...common, ...memory, '--flush-interval', '200ms', '--peers', `127.0.0.1:${peerPort}`, ...args];
  return { first: await startMantis({ args: all, ...(dataDir === undefined ? {} : { dataDir }) }), peerPort };
}

describe('a peer that lacks what was evicted', () => {
  it('gets it from the embedded store', async () => {
    const { first, peerPort } = await firstWith([]);
    await peerGetsAll(first, peerPort);
  }, 150_000);

  describe('and with MySQL alone', () => {
    let mariadb: MariadbProcess;

    beforeAll(async () => {
      mariadb = await MariadbProcess.create();
      await migrateByCli(mariadb.url);
    }, 60_000);

    afterAll(() => mariadb?.stop());

    it('gets it from the table', async () => {
      const { first, peerPort } = await firstWith(['--mysql', mariadb.url], 'none');
      await peerGetsAll(first, peerPort);
    }, 150_000);
  });
});
