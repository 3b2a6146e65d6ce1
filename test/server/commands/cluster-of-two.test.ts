import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { MantisProcess } from '../../support/mantis-process.ts';
import { RespClient } from '../../support/resp-client.ts';
import type { Reply } from '../../support/resp3-parser.ts';
import { startLinkedPair } from '../../support/settled.ts';

let nodes: MantisProcess[];
let clients: RespClient[];

beforeAll(async () => {
  nodes = await startLinkedPair();
  clients = await Promise.all(nodes.map(({ port }) => RespClient.connect(port)));
});

afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all(nodes.map(({ server }) => server.stop()));
});

function toMap(flat: Reply): Map<Reply, Reply> {
  const pairs = flat as Reply[];
  return new Map(pairs.flatMap((name, index) => (index % 2 === 0 ? [[name, pairs[index + 1]!] as const] : [])));
}

describe('two nodes', () => {
  it('WAIT tells that the other one has the last write', async () => {
    const [first, second] = clients;
    await first.command('SET', 'waited', 'for');
    expect(await first.command('WAIT', 1, 10_000)).toBe(1);
    expect(await second.command('GET', 'waited')).toBe('for');
    expect(await first.command('WAIT', 0, 0)).toBe(1);
  });

  it('WAIT for more nodes than there are ends with its time', async () => {
    const [first] = clients;
    await first.command('SET', 'waited', 'again');
    const startedAtMs = performance.now();
    expect(await first.command('WAIT', 2, 100)).toBe(1);
    expect(performance.now() - startedAtMs).toBeGreaterThan(95);
  });

  it('WAIT inside MULTI answers at once', async () => {
    const [first] = clients;
    const replies = await first.pipeline([['MULTI'], ['SET', 'a', 1], ['WAIT', 5, 0], ['EXEC']]);
    expect(replies[3]).toEqual(['OK', expect.any(Number)]);
  });

  it('min-replicas-to-write counts the linked peers', async () => {
    const [first] = clients;
    await first.command('CONFIG', 'SET', 'min-replicas-to-write', 1);
    expect(await first.command('SET', 'counted', 'peers')).toBe('OK');
    await first.command('CONFIG', 'SET', 'min-replicas-to-write', 2);
    expect(String(await first.command('SET', 'counted', 'more'))).toContain(
      'NOREPLICAS Not enough good replicas to write.',
    );
    expect(await first.command('GET', 'counted')).toBe('peers');
    await first.command('CONFIG', 'SET', 'min-replicas-to-write', 0);
  });

  it('MANTIS PEERS and STATUS show the other one, and the digests are the same', async () => {
    const [first, second] = clients;
    const [peer] = (await first.command('MANTIS', 'PEERS')) as Reply[];
    const fields = toMap(peer);
    const status = String(await second.command('MANTIS', 'STATUS'));
    expect(status).toContain(`node_id: ${String(fields.get('id'))}\n`);
    expect(fields.get('state')).toMatch(/^(streaming|repairing)$/);
    expect(status).toMatch(/\npeers_known: 1\npeers_linked: 1\n/);
    await second.command('INCRBY', 'count', 5);
    expect(await second.command('WAIT', 1, 10_000)).toBe(1);
    const digest = await first.command('MANTIS', 'DIGEST');
    expect(digest).toMatch(/^[0-9a-f]{16}$/);
    expect(await second.command('MANTIS', 'DIGEST')).toBe(digest);
  });
});
