/** Channels, as redis-server has them: what each of several clients is sent. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { MantisProcess } from '../../support/mantis-process.ts';
import { RespClient } from '../../support/resp-client.ts';
import type { Reply } from '../../support/resp3-parser.ts';
import { CommandHarness, type HarnessClient } from '../../support/command-harness.ts';
import { clientCommands } from '../../../server/commands/client.ts';
import { connectionCommands } from '../../../server/commands/connection.ts';
import { pubsubCommands } from '../../../server/commands/pubsub.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { transactionCommands } from '../../../server/commands/transactions.ts';
import { clientLine, clientTypeOf } from '../../../server/clients/client-line.ts';
import { startLinkedPair } from '../../support/settled.ts';
import { waitFor } from '../../support/wait-for.ts';

const commands = [
  ...pubsubCommands,
  ...connectionCommands,
  ...clientCommands,
  ...stringCommands,
  ...transactionCommands,
];

interface Bench {
  harness: CommandHarness;
  listener: HarnessClient;
  run: (client: HarnessClient, line: string) => string;
  heard: (client: HarnessClient) => string;
}

const oneLine = (bytes: Buffer): string => bytes.toString('latin1').replaceAll('\r\n', ' ').trim();

function bench(protocol: 2 | 3 = 2): Bench {
  const harness = new CommandHarness(commands);
  const listener = harness.connect();
  listener.session.protocol = protocol;
  return {
    harness,
    listener,
    run: (client, line) => oneLine(client.run(...line.split(' '))),
    heard: (client) => oneLine(client.transport.take()),
  };
}

describe('a listening client', () => {
  it('is told of each channel, and of what is published', () => {
    const { harness, listener, run, heard } = bench();
    expect(run(listener, 'SUBSCRIBE a b a')).toBe(
      '*3 $9 subscribe $1 a :1 *3 $9 subscribe $1 b :2 *3 $9 subscribe $1 a :2',
    );
    expect(run(listener, 'PSUBSCRIBE a* ?')).toBe('*3 $10 psubscribe $2 a* :3 *3 $10 psubscribe $1 ? :4');
    expect(run(listener, 'SSUBSCRIBE a')).toBe('*3 $10 ssubscribe $1 a :1');
    expect(run(harness.client, 'PUBLISH a hello')).toBe(':3');
    expect(heard(listener)).toBe(
      '*3 $7 message $1 a $5 hello *4 $8 pmessage $2 a* $1 a $5 hello *4 $8 pmessage $1 ? $1 a $5 hello',
    );
    expect(run(harness.client, 'SPUBLISH a shard')).toBe(':1');
    expect(heard(listener)).toBe('*3 $8 smessage $1 a $5 shard');
    expect(run(harness.client, 'PUBLISH none x')).toBe(':0');
    expect(run(listener, 'UNSUBSCRIBE a none')).toBe('*3 $11 unsubscribe $1 a :3 *3 $11 unsubscribe $4 none :3');
    expect(run(listener, 'UNSUBSCRIBE')).toBe('*3 $11 unsubscribe $1 b :2');
    expect(run(listener, 'PUNSUBSCRIBE')).toBe('*3 $12 punsubscribe $2 a* :1 *3 $12 punsubscribe $1 ? :0');
    expect(run(listener, 'SUNSUBSCRIBE')).toBe('*3 $12 sunsubscribe $1 a :0');
    expect(run(listener, 'UNSUBSCRIBE')).toBe('*3 $11 unsubscribe $-1 :0');
    expect(run(listener, 'GET k')).toBe('$-1');
    expect(run(harness.client, 'PUBLISH a x')).toBe(':0');
  });

  it('gets pushes in RESP3, its own behind the reply', () => {
    const { listener, run } = bench(3);
    expect(run(listener, 'SUBSCRIBE a')).toBe('>3 $9 subscribe $1 a :1');
    expect(run(listener, 'GET k')).toBe('_');
    expect(run(listener, 'PING')).toBe('+PONG');
    expect(run(listener, 'PUBLISH a hi')).toBe(':1 >3 $7 message $1 a $2 hi');
    run(listener, 'MULTI');
    run(listener, 'PUBLISH a one');
    run(listener, 'PING');
    expect(run(listener, 'EXEC')).toBe('*2 :1 +PONG >3 $7 message $1 a $3 one');
    expect(run(listener, 'UNSUBSCRIBE')).toBe('>3 $11 unsubscribe $1 a :0');
    expect(run(listener, 'UNSUBSCRIBE')).toBe('>3 $11 unsubscribe _ :0');
  });

  it('may do little else in RESP2', () => {
    const { listener, run } = bench();
    run(listener, 'SUBSCRIBE a');
    expect(run(listener, 'GET k')).toBe(
      "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
    );
    expect(run(listener, 'CLIENT ID')).toContain("Can't execute 'client|id'");
    expect(run(listener, 'PING')).toBe('*2 $4 pong $0');
    expect(run(listener, 'PING hi')).toBe('*2 $4 pong $2 hi');
    expect(run(listener, 'RESET')).toBe('+RESET');
    expect(run(listener, 'PING')).toBe('+PONG');
    expect(listener.session.subscriptions).toBeNull();
  });

  it('hears messages also when it wants no replies', () => {
    const { harness, listener, run, heard } = bench();
    run(listener, 'CLIENT REPLY OFF');
    expect(run(listener, 'SUBSCRIBE a')).toBe('*3 $9 subscribe $1 a :1');
    run(harness.client, 'PUBLISH a x');
    expect(heard(listener)).toBe('*3 $7 message $1 a $1 x');
    expect(run(listener, 'PING')).toBe('');
  });

  it('is shown by PUBSUB and CLIENT LIST, and forgotten when it leaves', () => {
    const { harness, listener, run } = bench();
    run(listener, 'SUBSCRIBE news sport');
    run(listener, 'PSUBSCRIBE n*');
    run(listener, 'SSUBSCRIBE shard');
    const { client, node } = harness;
    expect(run(client, 'PUBSUB CHANNELS')).toBe('*2 $4 news $5 sport');
    expect(run(client, 'PUBSUB CHANNELS n*')).toBe('*1 $4 news');
    expect(run(client, 'PUBSUB NUMSUB news none')).toBe('*4 $4 news :1 $4 none :0');
    expect(run(client, 'PUBSUB NUMPAT')).toBe(':1');
    expect(run(client, 'PUBSUB SHARDCHANNELS')).toBe('*1 $5 shard');
    expect(run(client, 'PUBSUB SHARDNUMSUB shard news')).toBe('*4 $5 shard :1 $4 news :0');
    expect(run(client, 'PUBSUB HELP')).toContain('NUMSUB');
    expect(run(client, 'PUBSUB CHANNELS a b')).toContain('wrong number of arguments');
    expect(clientLine(node, listener.session)).toContain(' flags=P db=0 sub=2 psub=1 ssub=1 ');
    expect(clientTypeOf(listener.session)).toBe('pubsub');
    node.pubsub.forget(listener.session);
    expect([node.pubsub.channels.size, node.pubsub.patterns.size, node.pubsub.shards.size]).toEqual([0, 0, 0]);
    expect(clientTypeOf(listener.session)).toBe('normal');
  });
});

describe('channels of two nodes', () => {
  let nodes: MantisProcess[];
  let clients: RespClient[];

  beforeAll(async () => {
    nodes = await startLinkedPair(['--client-output-buffer-limit', 'pubsub 1mb 0 0']);
    clients = await Promise.all(nodes.map(({ port }) => RespClient.connect(port)));
  });

  afterAll(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await Promise.all(nodes.map(({ server }) => server.stop()));
  });

  it('carry a message once to each subscriber, behind the writes before it', async () => {
    const [first, second] = clients;
    const listeners = await Promise.all(nodes.map(({ port }) => RespClient.connect(port)));
    for (const listener of listeners) {
      await listener.command('SUBSCRIBE', 'news');
      await listener.command('SSUBSCRIBE', 'shard');
    }
    for (let round = 0; round < 20; round++) {
      const [from, to] = round % 2 === 0 ? [first, second] : [second, first];
      const sent = await from.pipeline([
        ['SET', 'round', round],
        ['PUBLISH', 'news', `at ${round}`],
        ['SPUBLISH', 'shard', round],
      ]);
      expect(sent.slice(1)).toEqual([1, 1]);
      expect(await listeners[1 - (round % 2)].read()).toEqual(['message', 'news', `at ${round}`]);
      expect(await to.command('GET', 'round')).toBe(String(round));
      expect(await listeners[1 - (round % 2)].read()).toEqual(['smessage', 'shard', String(round)]);
      expect(await listeners[round % 2].read()).toEqual(['message', 'news', `at ${round}`]);
      expect(await listeners[round % 2].read()).toEqual(['smessage', 'shard', String(round)]);
    }
    await Promise.all(listeners.map((listener) => listener.close()));
  });

  it('cut a subscriber that does not read', async () => {
    const [first, second] = clients;
    const slow = await RespClient.connect(nodes[0].port);
    await slow.command('SUBSCRIBE', 'flood');
    slow.socket.pause();
    const message = Buffer.alloc(256 << 10, 'x');
    await waitFor('the subscriber to be cut', async () => {
      await first.command('PUBLISH', 'flood', message);
      const counts = (await first.command('PUBSUB', 'NUMSUB', 'flood')) as Reply[];
      return counts[1] === 0;
    });
    expect(String(await first.command('INFO', 'stats'))).toContain('client_output_buffer_limit_disconnections:1\r\n');
    expect(await second.command('PING')).toBe('PONG');
    slow.socket.destroy();
  });
});
