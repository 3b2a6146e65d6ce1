/**
 * What client libraries send when they connect, in their order and letter case, and what they need to be answered. Each script is
 * sent request by request, and as one batch: both ways the replies must be the same.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { splitReplies } from '../../support/comparison.ts';
import { type MantisProcess, startMantis } from '../../support/mantis-process.ts';
import { encodeRequest, RawClient } from '../../support/resp-client.ts';
import { rawReply, requestWords } from '../../support/server-pair.ts';

const PASSWORD = 'open sesame';

let open: MantisProcess;
let locked: MantisProcess;

beforeAll(async () => {
  [open, locked] = await Promise.all([
    startMantis({ dataDir: 'none' }),
    startMantis({ dataDir: 'none', args: ['--requirepass', PASSWORD] }),
  ]);
});

afterAll(async () => {
  await Promise.all([open.server.stop(), locked.server.stop()]);
});

/** A request, and the whole reply: as it is, or as a pattern. */
type Step = [request: string | string[], reply: string | RegExp];

const OK = '+OK\r\n';
const PONG = '+PONG\r\n';
const HELLO_3 =
  /^%7\r\n\$6\r\nserver\r\n\$5\r\nredis\r\n\$7\r\nversion\r\n\$5\r\n7\.2\.4\r\n\$5\r\nproto\r\n:3\r\n\$2\r\nid\r\n:[0-9]+\r\n\$4\r\nmode\r\n\$10\r\nstandalone\r\n\$4\r\nrole\r\n\$6\r\nmaster\r\n\$7\r\nmodules\r\n\*0\r\n$/;
const HELLO_2 =
  /^\*14\r\n\$6\r\nserver\r\n\$5\r\nredis\r\n\$7\r\nversion\r\n\$5\r\n7\.2\.4\r\n\$5\r\nproto\r\n:2\r\n\$2\r\nid\r\n:[0-9]+\r\n\$4\r\nmode\r\n\$10\r\nstandalone\r\n\$4\r\nrole\r\n\$6\r\nmaster\r\n\$7\r\nmodules\r\n\*0\r\n$/;
const ID = /^:[1-9][0-9]*\r\n$/;
const NO_CLUSTER = '-ERR This instance has cluster support disabled\r\n';
const UNKNOWN_SUBCOMMAND = "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n";
const INFO_3 = /^=[0-9]+\r\ntxt:# Server\r\nredis_version:7\.2\.4\r\n[^]*\r\nloading:0\r\n[^]*\r\nrole:master\r\n/;
const INFO_2 = /^\$[0-9]+\r\n# Server\r\nredis_version:7\.2\.4\r\n[^]*\r\nloading:0\r\n[^]*\r\nrole:master\r\n/;

const scripts: Record<string, Step[]> = {
  'redis-cli': [
    ['SELECT 1', OK],
    ['HELLO 3', HELLO_3],
    ['CONFIG GET databases', '%1\r\n$9\r\ndatabases\r\n$2\r\n16\r\n'],
    ['COMMAND DOCS', /^%[0-9]+\r\n\$[0-9]+\r\n[a-z]/],
  ],
  'redis-benchmark': [
    ['CONFIG GET save', '*2\r\n$4\r\nsave\r\n$0\r\n\r\n'],
    ['CONFIG GET appendonly', '*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n'],
    ['PING', PONG],
  ],
  'ioredis 6': [
    ['hello 3', HELLO_3],
    ['select 2', OK],
    ['client setname worker', OK],
    ['CLIENT SETINFO LIB-VER 6.0.0', OK],
    ['CLIENT SETINFO LIB-NAME ioredis', OK],
    ['info', INFO_3],
  ],
  'ioredis 5': [
    ['CLIENT SETINFO LIB-VER 5.4.1', OK],
    ['CLIENT SETINFO LIB-NAME ioredis', OK],
    ['info', INFO_2],
  ],
  'node-redis 6': [
    ['HELLO 3', HELLO_3],
    ['CLIENT SETINFO LIB-NAME node-redis', OK],
    ['CLIENT SETINFO LIB-VER 6.3.1', OK],
    ['CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type external-ip', UNKNOWN_SUBCOMMAND],
    ['PING', PONG],
  ],
  'redis-py 8': [
    ['HELLO 3', HELLO_3],
    ['CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type none', UNKNOWN_SUBCOMMAND],
    ['CLIENT SETNAME worker', OK],
    ['CLIENT SETINFO LIB-NAME redis-py', OK],
    ['CLIENT SETINFO LIB-VER 8.0.0', OK],
    ['SELECT 3', OK],
  ],
  'go-redis 9': [
    ['hello 3', HELLO_3],
    ['select 4', OK],
    ['client setname worker', OK],
    ['client maint_notifications on', "-ERR unknown subcommand 'maint_notifications'. Try CLIENT HELP.\r\n"],
    ['client setinfo LIB-NAME go-redis(,go1.24)', OK],
    ['client setinfo LIB-VER 9.17.0', OK],
  ],
  Jedis: [
    ['HELLO 3', HELLO_3],
    ['CLIENT SETNAME worker', OK],
    ['CLIENT SETINFO LIB-NAME jedis', OK],
    ['CLIENT SETINFO LIB-VER 7.0.0', OK],
    ['SELECT 5', OK],
  ],
  Lettuce: [
    ['HELLO 3 SETNAME worker', HELLO_3],
    ['SELECT 6', OK],
    ['CLIENT SETINFO lib-name Lettuce', OK],
    ['CLIENT SETINFO lib-ver 7.1.0', OK],
  ],
  'StackExchange.Redis': [
    ['HELLO 3 SETNAME worker', HELLO_3],
    ['CLIENT SETINFO lib-name SE.Redis', OK],
    ['CLIENT SETINFO lib-ver 2.9.0', OK],
    ['CLIENT ID', ID],
    ['CONFIG GET timeout', '%1\r\n$7\r\ntimeout\r\n$1\r\n0\r\n'],
    ['CONFIG GET replica-read-only', '%1\r\n$17\r\nreplica-read-only\r\n$3\r\nyes\r\n'],
    ['CONFIG GET databases', '%1\r\n$9\r\ndatabases\r\n$2\r\n16\r\n'],
    ['SENTINEL MASTERS', "-ERR unknown command 'SENTINEL', with args beginning with: 'MASTERS' \r\n"],
    ['INFO replication', /^=[0-9]+\r\ntxt:# Replication\r\nrole:master\r\n/],
    ['INFO server', /\r\nredis_mode:standalone\r\n[^]*\r\nrun_id:[0-9a-f]{40}\r\n/],
    ['CLUSTER NODES', NO_CLUSTER],
    ['GET __Booksleeve_TieBreak', '_\r\n'],
    [['ECHO', '\x00\x01\xffé\r\n'], /^\$[0-9]+\r\n/],
  ],
  'redis-rb': [
    ['HELLO 3', HELLO_3],
    ['SELECT 7', OK],
    ['CLIENT SETINFO LIB-NAME redis-client(redis-rb)', OK],
    ['CLIENT SETINFO LIB-VER 0.26.0', OK],
    ['ROLE', '*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n'],
  ],
  'Predis 3': [
    ['HELLO 2 SETNAME predis', HELLO_2],
    ['CLIENT SETINFO LIB-NAME predis', OK],
    ['CLIENT SETINFO LIB-VER 3.2.0', OK],
    ['SELECT 8', OK],
  ],
  phpredis: [
    ['AUTH secret', /^-ERR AUTH <password> called without any password configured for the default user\./],
    ['SELECT 9', OK],
    ['ECHO phpredis', '$8\r\nphpredis\r\n'],
  ],
  'a client that asks for a newer protocol': [
    ['HELLO 4', '-NOPROTO unsupported protocol version\r\n'],
    ['PING', PONG],
  ],
};

const lockedScripts: Record<string, Step[]> = {
  'AUTH first': [
    [['AUTH', PASSWORD], OK],
    ['SELECT 1', OK],
    ['HELLO 3', HELLO_3],
  ],
  'HELLO with AUTH': [[['HELLO', '3', 'AUTH', 'default', PASSWORD, 'SETNAME', 'worker'], HELLO_3]],
  'Jedis, which tries HELLO first': [
    ['HELLO 3', /^-NOAUTH HELLO must be called with the client already authenticated/],
    [['AUTH', 'default', PASSWORD], OK],
    ['HELLO 3', HELLO_3],
  ],
  'phpredis, which probes': [
    ['ECHO probe', '-NOAUTH Authentication required.\r\n'],
    [['AUTH', PASSWORD], OK],
  ],
};

function matches(reply: string | undefined, expected: string | RegExp): void {
  if (typeof expected === 'string') expect(reply).toBe(Buffer.from(expected).toString('latin1'));
  else expect(reply).toMatch(expected);
}

async function stepByStep(port: number, steps: readonly Step[]): Promise<void> {
  const client = await RawClient.connect(port);
  try {
    for (const [request, expected] of steps) matches(await rawReply(client, request), expected);
  } finally {
    await client.close();
  }
}

async function asOneBatch(port: number, steps: readonly Step[]): Promise<void> {
  const client = await RawClient.connect(port);
  try {
    client.write(Buffer.concat(steps.map(([request]) => encodeRequest(requestWords(request)))));
    const bytes = await client.until((received) => splitReplies(received).length >= steps.length);
    const replies = splitReplies(bytes);
    expect(replies).toHaveLength(steps.length);
    steps.forEach(([, expected], index) => matches(replies[index], expected));
  } finally {
    await client.close();
  }
}

describe('handshakes', () => {
  it.each(Object.entries(scripts))('%s', async (_name, steps) => {
    await stepByStep(open.port, steps);
    await asOneBatch(open.port, steps);
  });

  it.each(Object.entries(lockedScripts))('with a password: %s', async (_name, steps) => {
    await stepByStep(locked.port, steps);
    await asOneBatch(locked.port, steps);
  });

  it('takes inline commands, and ignores empty lines', async () => {
    const client = await RawClient.connect(open.port);
    client.write('PING\r\n\r\n\n*-1\r\n*0\r\nECHO "a b"\r\n');
    expect((await client.bytes(16)).toString()).toBe('+PONG\r\n$3\r\na b\r\n');
    await client.close();
  });

  it('ends a redis-cli --pipe the way it ends it: an empty line and ECHO of random bytes', async () => {
    const client = await RawClient.connect(open.port);
    const magic = randomBytes(20);
    const payload = Array.from({ length: 1000 }, (_, index) => encodeRequest(['SET', `piped:${index}`, index]));
    client.write(Buffer.concat([...payload, Buffer.from('\r\n'), encodeRequest(['ECHO', magic])]));
    const end = Buffer.concat([Buffer.from('$20\r\n'), magic, Buffer.from('\r\n')]);
    const bytes = await client.until((received) => received.subarray(-end.length).equals(end));
    expect(bytes.length).toBe(1000 * OK.length + end.length);
    await client.close();
  });
});

describe('real clients', () => {
  it('ioredis connects, is named, and works', async () => {
    const client = new Redis({ port: open.port, host: '127.0.0.1', db: 2, connectionName: 'from-ioredis' });
    try {
      expect(await client.set('ioredis', 'here', 'EX', 100)).toBe('OK');
      expect(await client.get('ioredis')).toBe('here');
      expect(await client.client('GETNAME')).toBe('from-ioredis');
      expect(await client.multi().incr('ioredis:count').incr('ioredis:count').exec()).toEqual([
        [null, 1],
        [null, 2],
      ]);
      expect(await client.call('CLIENT', 'INFO')).toMatch(
        / name=from-ioredis .* db=2 .* resp=3 lib-name=ioredis lib-ver=\d/,
      );
    } finally {
      client.disconnect();
    }
  });

  it('ioredis connects with a password, and is told about a wrong one', async () => {
    const right = new Redis({ port: locked.port, host: '127.0.0.1', password: PASSWORD });
    const wrong = new Redis({ port: locked.port, host: '127.0.0.1', password: 'wrong', retryStrategy: () => null });
    const failure = new Promise<Error>((resolve) => wrong.on('error', resolve));
    try {
      expect(await right.ping()).toBe('PONG');
      await expect(wrong.ping()).rejects.toThrow();
      expect((await failure).message).toMatch(/WRONGPASS|NOAUTH/);
    } finally {
      right.disconnect();
      wrong.disconnect();
    }
  });

  it('node-redis connects and works', async () => {
    const client = createClient({
      url: `redis://default:${encodeURIComponent(PASSWORD)}@127.0.0.1:${locked.port}/3`,
      name: 'from-node-redis',
    });
    client.on('error', () => {});
    await client.connect();
    try {
      await client.set('node-redis', 'here', { expiration: { type: 'EX', value: 100 } });
      expect(await client.get('node-redis')).toBe('here');
      expect(await client.clientGetName()).toBe('from-node-redis');
      expect(await client.configGet('databases')).toEqual({ databases: '16' });
      expect(await client.info('server')).toContain('redis_version:7.2.4\r\n');
      expect(await client.sendCommand(['CLIENT', 'INFO'])).toMatch(/ db=3 .* resp=3 lib-name=node-redis lib-ver=\d/);
    } finally {
      client.destroy();
    }
  });
});
