import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type PairRequest, requestWords, ServerPair } from '../../support/server-pair.ts';
import { encodeRequest, RawClient } from '../../support/resp-client.ts';

let pair: ServerPair;

beforeAll(async () => {
  pair = await ServerPair.start();
});

afterAll(async () => {
  await pair.stop();
});

const END = 'the-last-command';

/** The lines that MONITOR shows of these requests, without time and port. */
async function shown(port: number, requests: readonly PairRequest[]): Promise<string[]> {
  const [monitor, client] = [await RawClient.connect(port), await RawClient.connect(port)];
  monitor.write('MONITOR\r\n');
  await monitor.bytes(5);
  for (const request of [...requests, ['ECHO', END]]) client.write(encodeRequest(requestWords(request)));
  const bytes = await monitor.until((received) => received.includes(`${END}"\r\n`));
  await Promise.all([monitor.close(), client.close()]);
  return bytes
    .toString('latin1')
    .split('\r\n')
    .slice(0, -1)
    .map((line) => line.replace(/^\+\d+\.\d{6} \[(\d+) 127\.0\.0\.1:\d+\] /, '$1 '));
}

describe('MONITOR', () => {
  it('shows the lines that redis-server shows', async () => {
    const requests: PairRequest[] = [
      'SET a 1',
      'get a',
      ['SET', 'b', Buffer.from([0, 7, 8, 9, 10, 13, 34, 92, 127, 200, 65])],
      'CONFIG GET timeout',
      'AUTH default secret',
      'HELLO 2 AUTH default secret SETNAME worker',
      'PING',
    ];
    const [redis, mantis] = await Promise.all([shown(pair.redis.port, requests), shown(pair.mantis.port, requests)]);
    expect(mantis).toEqual(redis);
  });

  it('shows a transaction, and what runs in it', async () => {
    const requests = ['MULTI', 'SET t 1', 'INCR t', 'exec'];
    const [redis, mantis] = await Promise.all([shown(pair.redis.port, requests), shown(pair.mantis.port, requests)]);
    expect(mantis).toEqual(redis);
    expect(mantis.slice(0, 4)).toEqual(['0 "MULTI"', '0 "SET" "t" "1"', '0 "INCR" "t"', '0 "exec"']);
  });

  it('tells the order of what runs within a millisecond', async () => {
    const [monitor, client] = [await RawClient.connect(pair.mantis.port), await RawClient.connect(pair.mantis.port)];
    monitor.write('MONITOR\r\n');
    await monitor.bytes(5);
    client.write(Buffer.concat(Array.from({ length: 200 }, () => encodeRequest(['PING']))));
    client.write(encodeRequest(['ECHO', END]));
    const shown = (await monitor.until((received) => received.includes(`${END}"\r\n`))).toString('latin1');
    await Promise.all([monitor.close(), client.close()]);
    const times = [...shown.matchAll(/^\+(\d+\.\d{6}) /gm)].map(([, time]) => Number(time));
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(times.some((time) => Math.round(time * 1e6) % 1000 !== 0)).toBe(true);
  });

  it('ends with RESET', async () => {
    const client = await RawClient.connect(pair.mantis.port);
    client.write('MONITOR\r\nRESET\r\nECHO a\r\n');
    expect((await client.until((received) => received.includes('$1\r\na\r\n'))).toString()).toMatch(
      /^\+OK\r\n\+RESET\r\n\$1\r\na\r\n$/,
    );
    await client.close();
  });
});
