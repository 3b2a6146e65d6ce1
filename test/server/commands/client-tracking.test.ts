/** Client-side caching: what clients that track are told, as redis-server tells them, and what only a node with peers has to tell. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { splitReplies } from '../../support/comparison.ts';
import type { MantisProcess } from '../../support/mantis-process.ts';
import { type RedisProcess, startRedis } from '../../support/redis-process.ts';
import { encodeRequest, RawClient, RespClient } from '../../support/resp-client.ts';
import { startLinkedPair } from '../../support/settled.ts';
import { waitFor } from '../../support/wait-for.ts';

/**
 * Each line is a client's: `a` and `t` track, `l` listens. `#l` stands for a client's id. What all of them are sent is compared with
 * what Redis sends.
 */
const SCENES: Record<string, string> = {
  'keys that were read, RESP3': `
    a HELLO 3
    a CLIENT TRACKING ON
    a CLIENT TRACKINGINFO
    a CLIENT GETREDIR
    t SET k 1
    a GET k
    t SET k 2
    t SET k 3
    a MGET k none m
    t SET none 1
    a INCR k
    a GET wrong
    t RPUSH wrong 1
    a GET wrong
    t RPUSH wrong 2
    a GET k
    t EXPIRE k 100
    a GET k
    t DEL k
    a HGETALL h
    t HSET h f 1
    a ZRANGE z 0 -1
    a SMEMBERS s
    t MULTI
    t ZADD z 1 m
    t SADD s m
    t EXEC
    a TTL k
    a XRANGE x - +
    t XADD x 1-1 f v
    a GETEX k
    a SET k 1
    t SET k 2
    a CLIENT TRACKING OFF
    t SET none 3
    a CLIENT TRACKINGINFO
    a CLIENT GETREDIR`,
  'transactions and scripts': `
    a HELLO 3
    a CLIENT TRACKING ON
    a GET k
    a MULTI
    a SET k 1
    a GET k
    a SET k 2
    a GET other
    a EXEC
    t SET k 3
    t SET other 1
    a EVAL return{redis.call('GET',KEYS[1]),redis.call('GET',KEYS[2])} 2 k second
    t SET second 1
    t SET k 4
    a GET k
    t EVAL return(redis.call('SET',KEYS[1],1)) 1 k
    a GET k
    a EVAL return(redis.call('SET',KEYS[1],2)) 1 k`,
  'modes that choose what is read': `
    a HELLO 3
    a CLIENT CACHING YES
    a CLIENT TRACKING ON OPTIN
    a GET k
    t SET k 1
    a CLIENT CACHING YES
    a CLIENT TRACKINGINFO
    a GET k
    a CLIENT TRACKINGINFO
    a GET other
    t SET other 1
    t SET k 2
    a CLIENT CACHING YES
    a MULTI
    a GET k
    a GET other
    a EXEC
    a GET third
    t SET k 3
    t SET other 3
    t SET third 3
    a CLIENT CACHING NO
    a CLIENT CACHING MAYBE
    a CLIENT TRACKING ON OPTOUT
    a CLIENT TRACKING ON BCAST
    a CLIENT TRACKING OFF
    a CLIENT TRACKING ON OPTOUT NOLOOP
    a CLIENT CACHING YES
    a CLIENT CACHING NO
    a CLIENT TRACKINGINFO
    a GET k
    a GET other
    t SET k 4
    t SET other 4
    a GET k
    a SET k 5
    a CLIENT TRACKING ON OPTIN
    a CLIENT TRACKING ON OPTIN OPTOUT`,
  'options that are wrong': `
    a CLIENT TRACKING
    a CLIENT TRACKING MAYBE
    a CLIENT TRACKING ON WHAT
    a CLIENT TRACKING ON REDIRECT
    a CLIENT TRACKING ON REDIRECT 99999
    a CLIENT TRACKING ON REDIRECT x
    a CLIENT TRACKING ON REDIRECT #l REDIRECT #t
    a CLIENT TRACKING ON PREFIX p
    a CLIENT TRACKING ON BCAST OPTIN
    a CLIENT TRACKING ON BCAST PREFIX foobar PREFIX foo
    a CLIENT TRACKING ON BCAST PREFIX foo PREFIX foobar
    a CLIENT TRACKING ON BCAST PREFIX foo PREFIX bar
    a CLIENT TRACKING ON BCAST PREFIX fo
    a CLIENT TRACKING ON BCAST PREFIX barb
    a CLIENT TRACKING ON
    a CLIENT TRACKING ON BCAST NOLOOP PREFIX zoo
    a CLIENT TRACKING OFF NONSENSE
    a CLIENT CACHING
    a CLIENT CACHING YES
    a RESET
    a CLIENT TRACKINGINFO`,
  'redirection to a listener, RESP2': `
    l SUBSCRIBE __redis__:invalidate
    a CLIENT TRACKING ON REDIRECT #l
    a CLIENT TRACKINGINFO
    a CLIENT GETREDIR
    a GET k
    t SET k 1
    a GET k
    a SET k 2
    a CLIENT TRACKING ON REDIRECT #l NOLOOP
    a GET k
    a SET k 3
    a GET k
    t SET k 4
    a GET k
    t FLUSHDB
    a CLIENT TRACKING ON
    a GET k
    t SET k 5
    a CLIENT TRACKING ON REDIRECT #t
    a GET k
    t SET k 6
    a HELLO 3
    a CLIENT TRACKING ON REDIRECT #l
    a GET k
    t SET k 7
    a GET k
    l QUIT
    t SET k 8
    a CLIENT TRACKINGINFO
    a GET k
    a CLIENT TRACKING ON
    t SET k 9`,
  'prefixes that are broadcast': `
    a HELLO 3
    a CLIENT TRACKING ON BCAST PREFIX a: PREFIX b:
    a CLIENT TRACKINGINFO
    t SET a:1 1
    t SET c:1 1
    t MSET a:1 1 a:2 1 c:2 1
    t MULTI
    t SET a:1 1
    t SET a:1 2
    t SET a:2 2
    t EXEC
    a SET a:1 3
    a CLIENT TRACKING ON BCAST PREFIX c:
    t SET c:1 2
    t SET b 2
    a CLIENT TRACKING OFF
    a CLIENT TRACKING ON BCAST NOLOOP
    a CLIENT TRACKINGINFO
    a SET a:1 4
    t SET a:1 5
    a GET a:1
    t DEL a:1
    t FLUSHALL
    t SET x 1`,
};

type Name = 'a' | 't' | 'l';
const NAMES: readonly Name[] = ['a', 't', 'l'];

class Scene {
  readonly #clients: Record<Name, RawClient>;
  readonly #ids: Record<Name, string>;

  private constructor(clients: Record<Name, RawClient>, ids: Record<Name, string>) {
    this.#clients = clients;
    this.#ids = ids;
  }

  static async open(port: number): Promise<Scene> {
    const ids = { a: '', t: '', l: '' };
    const clients: Partial<Record<Name, RawClient>> = {};
    // Ids are to be no other number in a reply.
    for (let left = 100; left > 0; left--) await (await RawClient.connect(port)).close();
    for (const name of NAMES) {
      const client = (clients[name] = await RawClient.connect(port));
      client.write('CLIENT ID\r\n');
      const reply = await client.until((bytes) => splitReplies(bytes).length > 0);
      ids[name] = reply.toString().slice(1, -2);
    }
    const scene = new Scene(clients as Record<Name, RawClient>, ids);
    await scene.run('t FLUSHALL');
    return scene;
  }

  /** What each client is sent because of the line. */
  async run(line: string): Promise<string> {
    const [name, ...words] = line.split(' ') as [Name, ...string[]];
    const client = this.#clients[name];
    client.write(encodeRequest(words.map((word) => (word.startsWith('#') ? this.#ids[word.slice(1) as Name] : word))));
    if (words[0] === 'QUIT') await client.closed;
    const replies = new Map([[name, await client.until((bytes) => splitReplies(bytes).length > 0)]]);
    // The turn of the server's event loop is over by the time that the others are answered. The client itself may be in a transaction.
    for (const other of NAMES) if (other !== name) replies.set(other, await this.#ping(other));
    await new Promise((resolve) => setImmediate(resolve));
    const told = NAMES.map((each) => {
      const bytes = Buffer.concat([replies.get(each)!, this.#clients[each].take()]);
      return `${each} ${bytes.toString('latin1').replaceAll('\r\n', ' ')}`;
    });
    return NAMES.reduce(
      (shown, each) => shown.replaceAll(`:${this.#ids[each]} `, `:#${each} `),
      told.join('| ').replace(/(version) \$\d \S+/, '$1'),
    );
  }

  async #ping(name: Name): Promise<Buffer> {
    const client = this.#clients[name];
    if (client.socket.destroyed) return Buffer.from('is closed');
    client.write(encodeRequest(['PING', 'end']));
    return client.until((bytes) => bytes.includes('end\r\n'));
  }

  async close(): Promise<void> {
    await Promise.all(NAMES.map((name) => this.#clients[name].close()));
  }
}

let redis: RedisProcess;
let nodes: MantisProcess[];

beforeAll(async () => {
  redis = await startRedis();
  nodes = await startLinkedPair();
});

afterAll(async () => {
  await Promise.all([redis, ...nodes].map(({ server }) => server.stop()));
});

async function linesOf(port: number, lines: readonly string[]): Promise<string[]> {
  const scene = await Scene.open(port);
  const told: string[] = [];
  for (const line of lines) told.push(`${line} → ${await scene.run(line)}`);
  await scene.close();
  return told;
}

describe('clients are told what Redis tells them', () => {
  it.each(Object.entries(SCENES))('%s', async (_name, text) => {
    const lines = text
      .trim()
      .split('\n')
      .map((line) => line.trim());
    expect(await linesOf(nodes[0].port, lines)).toEqual(await linesOf(redis.port, lines));
  });
});

/** What the client is pushed next: what its cache is to drop. */
async function dropped(client: RespClient): Promise<string[] | null> {
  const { push } = (await client.read()) as { push: [string, string[] | null] };
  expect(push[0]).toBe('invalidate');
  return push[1];
}

/** A client that tracks with RESP3. */
async function tracker(port: number, ...options: string[]): Promise<RespClient> {
  const client = await RespClient.connect(port);
  await client.hello(3);
  await client.command('CLIENT', 'TRACKING', 'ON', ...options);
  return client;
}

describe('what peers write', () => {
  it('invalidates what was read here', async () => {
    const [here, there] = nodes;
    const client = await tracker(here.port);
    const writer = await RespClient.connect(there.port);
    await client.command('GET', 'ours');
    await writer.command('SET', 'ours', 1);
    expect(await dropped(client)).toEqual(['ours']);
    expect(await client.command('GET', 'ours')).toBe('1');
    await writer.command('DEL', 'ours');
    expect(await dropped(client)).toEqual(['ours']);
    await client.command('HGET', 'hash', 'f');
    await writer.command('HSET', 'hash', 'f', 1);
    expect(await dropped(client)).toEqual(['hash']);
    // So much in one turn is merged aside, and shown at once.
    await client.command('SCARD', 'large');
    await writer.command('SADD', 'large', ...Array.from({ length: 50_000 }, (_, index) => `m${index}`));
    expect(await dropped(client)).toEqual(['large']);
    expect(await client.command('SCARD', 'large')).toBe(50_000);
    await writer.command('FLUSHALL');
    expect(await dropped(client)).toEqual(null);
    await Promise.all([client.close(), writer.close()]);
  });

  it('is broadcast, each key once a turn and many in a message', async () => {
    const [here, there] = nodes;
    const client = await tracker(here.port, 'BCAST', 'PREFIX', 'many:');
    const writer = await RespClient.connect(there.port);
    const names = Array.from({ length: 5000 }, (_, index) => `many:${index}`);
    await writer.command('MSET', ...names.flatMap((name) => [name, 'x']), 'few:1', 'x');
    const told = new Set<string>();
    let messages = 0;
    while (told.size < names.length) {
      for (const key of (await dropped(client)) ?? []) told.add(key);
      messages++;
    }
    expect([...told].sort()).toEqual([...names].sort());
    expect(messages).toBeLessThan(200);
    await Promise.all([client.close(), writer.close()]);
  });
});

/** Fields of INFO. */
async function infoOf(client: RespClient, ...names: string[]): Promise<number[]> {
  const text = String(await client.command('INFO'));
  return names.map((name) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(text)?.[1]));
}

describe('the table of keys', () => {
  it('is bounded: readers of keys that it has no room for are told to drop them', async () => {
    const client = await tracker(nodes[0].port);
    const admin = await RespClient.connect(nodes[0].port);
    await admin.command('CONFIG', 'SET', 'tracking-table-max-keys', 10);
    const keys = Array.from({ length: 25 }, (_, index) => `bounded:${index}`);
    await client.command('MGET', ...keys);
    const gone: string[] = [];
    while (gone.length < 15) gone.push(...((await dropped(client)) ?? []));
    expect(keys).toEqual(expect.arrayContaining(gone));
    expect(new Set(gone).size).toBe(15);
    expect(await infoOf(admin, 'tracking_clients', 'tracking_total_keys', 'tracking_total_items')).toEqual([1, 10, 10]);
    await admin.command('CONFIG', 'SET', 'tracking-table-max-keys', 1);
    while (gone.length < 24) gone.push(...((await dropped(client)) ?? []));
    expect(new Set(gone).size).toBe(24);
    await admin.command('CONFIG', 'SET', 'tracking-table-max-keys', 1_000_000);
    await Promise.all([client.close(), admin.close()]);
  });

  it('goes with the last client that tracks', async () => {
    const client = await tracker(nodes[0].port, 'BCAST', 'PREFIX', 'p', 'PREFIX', 'q');
    const reader = await tracker(nodes[0].port);
    const admin = await RespClient.connect(nodes[0].port);
    await reader.command('MGET', 'a', 'b');
    const fields = ['tracking_clients', 'tracking_total_keys', 'tracking_total_items', 'tracking_total_prefixes'];
    expect(await infoOf(admin, ...fields)).toEqual([2, 2, 2, 2]);
    const lines = String(await admin.command('CLIENT', 'LIST')).split('\n');
    expect(lines.filter((line) => / flags=t[B]? .* redir=0 /.test(line)).length).toBe(2);
    await client.close();
    await reader.close();
    await waitFor('both to be forgotten', async () => (await infoOf(admin, ...fields)).every((field) => field === 0));
    await admin.close();
  });

  it('knows of keys that have expired', async () => {
    const client = await tracker(nodes[0].port);
    await client.command('SET', 'short', 1, 'PX', 20);
    await client.command('GET', 'short');
    expect(await dropped(client)).toEqual(['short']);
    await client.close();
  });
});
