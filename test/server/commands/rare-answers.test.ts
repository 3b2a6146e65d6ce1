/** Answers that hardly anybody asks for, beside redis-server's. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RespClient } from '../../support/resp-client.ts';
import type { Reply } from '../../support/resp3-parser.ts';
import { type PairRequest, ServerPair } from '../../support/server-pair.ts';

const LONG = 'x'.repeat(300);

let pair: ServerPair;

beforeAll(async () => {
  pair = await ServerPair.start();
});

afterAll(() => pair.stop());

async function expectTheSame(requests: readonly PairRequest[]): Promise<void> {
  const replies = await pair.replies(requests);
  expect(replies.map(({ request, mantis }) => ({ request, reply: mantis }))).toEqual(
    replies.map(({ request, redis }) => ({ request, reply: redis })),
  );
}

describe('as redis-server', () => {
  it('refuses EXEC outside of a transaction', () =>
    expectTheSame(['EXEC', 'EXEC x', 'MULTI', 'EXEC x', 'EXEC', 'SUBSCRIBE a', 'EXEC']));

  it('answers inside of transactions', () =>
    expectTheSame(['MULTI', 'SSUBSCRIBE a', 'BGSAVE', 'PUBSUB SHARDCHANNELS', 'HELLO 9', 'RESET', 'EXEC']));

  it('answers to what subcommands do not take', () =>
    expectTheSame([
      'PUBSUB CHANNELS a b',
      'PUBSUB SHARDCHANNELS a b',
      'PUBSUB NUMPAT a',
      ['ACL', 'CAT', LONG],
      ['CONFIG', LONG],
      ['CLIENT', 'LIST', LONG],
      'COMMAND GETKEYS SPUBLISH a b',
      'COMMAND GETKEYS PUBLISH a b',
    ]));

  it('reads the arguments of FAILOVER and LOLWUT', () =>
    expectTheSame([
      ...[
        '',
        ' ABORT',
        ' ABORT x',
        ' FORCE',
        ' FORCE FORCE',
        ' TO a',
        ' TO a x',
        ' TO a 1 FORCE',
        ' TO a 1 TO b 2',
      ].map((rest) => `FAILOVER${rest}`),
      ...[' TIMEOUT', ' TIMEOUT x', ' TIMEOUT 0', ' TIMEOUT 5', ' TIMEOUT 5 TIMEOUT 6', ' TIMEOUT 5 ABORT', ' x'].map(
        (rest) => `FAILOVER${rest}`,
      ),
      'LOLWUT VERSION x',
    ]));

  it('takes RESTORE-ASKING, which nodes of a cluster send', async () => {
    const client = await RespClient.connect(pair.redis.port, { buffers: true });
    await client.command('SET', 'dumped', 'value');
    const payload = (await client.command('DUMP', 'dumped')) as Buffer;
    await client.close();
    await expectTheSame([
      ['RESTORE-ASKING', 'restored', '0', payload],
      'GET restored',
      ['RESTORE-ASKING', 'restored', '0', payload],
      ['RESTORE-ASKING', 'restored', '0', payload, 'REPLACE'],
      'RESTORE-ASKING restored 0 x REPLACE',
    ]);
  });

  it('counts how often XCLAIM FORCE has delivered', async () => {
    const counts: unknown[] = [];
    for (const { port } of [pair.redis, pair.mantis]) {
      const client = await RespClient.connect(port);
      await client.pipeline([
        ['XADD', 's', '1-1', 'a', '1'],
        ['XADD', 's', '1-2', 'a', '1'],
        ['XADD', 's', '1-3', 'a', '1'],
        ['XGROUP', 'CREATE', 's', 'g', '0'],
        ['XCLAIM', 's', 'g', 'c', '0', '1-1', 'FORCE'],
        ['XCLAIM', 's', 'g', 'c', '0', '1-2', 'FORCE', 'JUSTID'],
        ['XCLAIM', 's', 'g', 'c', '0', '1-3', 'FORCE', 'RETRYCOUNT', '7'],
      ]);
      const pending = (await client.command('XPENDING', 's', 'g', '-', '+', '10')) as Reply[][];
      counts.push(pending.map(([id, , , count]) => [id, count]));
      await client.close();
    }
    expect(counts[1]).toEqual(counts[0]);
  });
});
