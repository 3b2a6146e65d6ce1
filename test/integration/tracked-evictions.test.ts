/** A client that keeps a cache (CLIENT TRACKING) is told of keys that are evicted before it gets the reply that comes after. */
import { expect, it } from '@jest/globals';
import { startMantis } from '../support/mantis-process.ts';
import { RawClient, RespClient, encodeRequest } from '../support/resp-client.ts';

const BIG_BITS = 1_600_000;
const TOLD = '>2\r\n$10\r\ninvalidate\r\n*1\r\n$5\r\nfleet\r\n';

it('is told before the reply', async () => {
  const node = await startMantis({ args: ['--maxmemory-policy', 'volatile-random'], dataDir: 'none' });
  const operator = await RespClient.connect(node.port);
  const client = await RawClient.connect(node.port);
  const answer = async (expected: string, ...command: string[]): Promise<void> => {
    client.write(encodeRequest(command));
    expect((await client.bytes(expected.length)).toString()).toBe(expected);
  };
  client.write(encodeRequest(['HELLO', '3']));
  await client.until((bytes) => bytes.toString().endsWith('modules\r\n*0\r\n'));
  await answer('+OK\r\n', 'CLIENT', 'TRACKING', 'ON');
  const [, usedBytes] = /used_memory:(\d+)/.exec(String(await operator.command('INFO', 'memory')))!;
  await operator.command('CONFIG', 'SET', 'maxmemory', Number(usedBytes) + 100 * 1024);
  await answer('+OK\r\n', 'SETEX', 'fleet', '10000', 'x');
  await answer('$1\r\nx\r\n', 'GET', 'fleet');
  await answer(':0\r\n', 'SETBIT', 'big', String(BIG_BITS), '0');
  await answer(`${TOLD}:0\r\n`, 'GETBIT', 'big', '0');
  await client.close();
  await operator.close();
  await node.server.stop();
});
