import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lineOf } from '../../../server/acl/user-lines.ts';
import { Users } from '../../../server/acl/users.ts';
import { CommandTable } from '../../../server/definitions/command-table.ts';
import { allCommands } from '../../../server/commands/all.ts';
import { Config } from '../../../server/config/config.ts';
import { type MantisProcess, startMantis } from '../../support/mantis-process.ts';
import { RespClient } from '../../support/resp-client.ts';
import { RespError, type Reply } from '../../support/resp3-parser.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait-for.ts';

const NO_KEY = new RespError('NOPERM this user has no permissions to access one of the keys used as arguments');

/** What most tests share; each has users of its own. */
let shared: MantisProcess;
let server: MantisProcess;

beforeAll(async () => {
  shared = await startMantis({ dataDir: 'none', args: ['--slowlog-log-slower-than', '0'] });
});

beforeEach(() => {
  server = shared;
});

afterEach(async () => {
  if (server !== shared) await server.server.stop();
});

afterAll(async () => {
  await shared.server.stop();
});

/** A connection to the shared server, whose log and counters begin anew. */
async function connect(): Promise<RespClient> {
  const client = await RespClient.connect(server.port);
  await client.pipeline([['FLUSHALL'], ['CONFIG', 'RESETSTAT'], ['ACL', 'LOG', 'RESET']]);
  return client;
}

/** A connection to a server of its own. */
async function start(...args: string[]): Promise<RespClient> {
  server = await startMantis({ dataDir: 'none', args });
  return RespClient.connect(server.port);
}

function usersOf(settings: Record<string, string>): Users {
  return new Users(Config.fromSources({ settings, env: {}, argv: [] }), new CommandTable(allCommands));
}

/** Another connection, as this user. */
async function connectAs(name: string, password = 'any'): Promise<RespClient> {
  const client = await RespClient.connect(server.port);
  expect(await client.command('AUTH', name, password)).toBe('OK');
  return client;
}

/** Names and values in turn, as an object. */
function pairs(reply: Reply): Record<string, Reply> {
  const parts = reply as Reply[];
  const found: Record<string, Reply> = {};
  for (let at = 0; at < parts.length; at += 2) found[String(parts[at])] = parts[at + 1] ?? null;
  return found;
}

async function logOf(client: RespClient): Promise<Record<string, Reply>[]> {
  return ((await client.command('ACL', 'LOG')) as Reply[]).map(pairs);
}

describe('the connections of a user', () => {
  it('end with the user, that which asks for it behind its reply', async () => {
    const client = await connect();
    await client.command('ACL', 'SETUSER', 'gone', 'on', 'nopass', '+@all', '~*');
    const [idle, blocked, own, other] = await Promise.all([
      ...['gone', 'gone', 'gone'].map((name) => connectAs(name)),
      RespClient.connect(server.port),
    ]);
    const waiting = blocked.command('BLPOP', 'list', '0').catch(() => 'closed');
    await waitFor('a blocked client', async () =>
      String(await client.command('INFO', 'clients')).includes('blocked_clients:1'),
    );
    const [deleted, refused] = await own
      .pipeline([['MULTI'], ['ACL', 'DELUSER', 'gone', 'nobody'], ['GET', 'a'], ['EXEC']])
      .then((replies) => replies[3] as Reply[]);
    expect(deleted).toBe(1);
    expect(String(refused)).toContain('NOPERM');
    await Promise.all([idle.closed, own.closed, blocked.closed]);
    expect(await waiting).toBe('closed');
    expect(await other.command('PING')).toBe('PONG');
    expect(await client.command('ACL', 'GETUSER', 'gone')).toBeNull();
    await Promise.all([client.close(), other.close()]);
  });

  it('end when they listen to what it may no longer hear, and only then', async () => {
    const client = await connect();
    await client.command('ACL', 'SETUSER', 'listener', 'on', 'nopass', '+@all', '&a*', '&one', '&p*');
    const [channel, pattern, shard] = await Promise.all(
      ['listener', 'listener', 'listener'].map((name) => connectAs(name)),
    );
    await channel.command('SUBSCRIBE', 'abc');
    await pattern.command('PSUBSCRIBE', 'p*');
    await shard.command('SSUBSCRIBE', 'one');
    await client.command('ACL', 'SETUSER', 'listener', 'resetchannels', '&a*', '&one', '&p*', '&more');
    expect(await client.command('PUBLISH', 'abc', 'x')).toBe(1);
    expect(await client.command('PUBLISH', 'p1', 'x')).toBe(1);
    await client.command('ACL', 'SETUSER', 'listener', 'resetchannels', '&abc', '&o?e', '&p1');
    await pattern.closed;
    expect(await client.command('PUBLISH', 'abc', 'x')).toBe(1);
    expect(await client.command('SPUBLISH', 'one', 'x')).toBe(1);
    await client.command('ACL', 'SETUSER', 'listener', 'resetchannels', '&other');
    await Promise.all([channel.closed, shard.closed]);
    await client.close();
  });

  it('are told apart by CLIENT LIST and CLIENT KILL', async () => {
    const client = await connect();
    await client.command('ACL', 'SETUSER', 'alice', 'on', 'nopass', '+@all', '~*');
    const alice = await connectAs('alice');
    expect(String(await client.command('CLIENT', 'LIST'))).toMatch(/ user=default .*\n.* user=alice /);
    expect(await client.command('CLIENT', 'KILL', 'USER', 'alice')).toBe(1);
    await alice.closed;
    await client.close();
  });

  it('feel at once what it may do from now on, waiting commands when they would be served', async () => {
    const client = await connect();
    await client.command('ACL', 'SETUSER', 'worker', 'on', 'nopass', '+@all', '~*', '&*');
    const worker = await connectAs('worker');
    expect(await worker.command('SET', 'a', '1')).toBe('OK');
    const popped = worker.command('BLPOP', 'list', '0');
    await waitFor('a blocked client', async () =>
      String(await client.command('INFO', 'clients')).includes('blocked_clients:1'),
    );
    await client.command('ACL', 'SETUSER', 'worker', 'resetkeys', '~b*');
    expect(await client.command('RPUSH', 'list', 'x')).toBe(1);
    expect(await popped).toEqual(new RespError('NOPERM No permissions to access a key'));
    expect(await client.command('LLEN', 'list')).toBe(1);
    expect(await worker.command('GET', 'a')).toEqual(NO_KEY);
    await client.command('ACL', 'SETUSER', 'worker', 'allkeys');
    expect(await worker.command('GET', 'a')).toBe('1');
    expect(String(await client.command('INFO', 'commandstats'))).toMatch(/cmdstat_blpop:.*rejected_calls=1/);
    await Promise.all([client.close(), worker.close()]);
  });
});

describe('the default user', () => {
  it('has the password of requirepass, until its rules say otherwise', async () => {
    const client = await start('--requirepass', 'first');
    expect(await client.command('AUTH', 'first')).toBe('OK');
    await client.command('ACL', 'SETUSER', 'default', 'resetpass', '>second');
    const other = await RespClient.connect(server.port);
    expect(String(await other.command('AUTH', 'first'))).toContain('WRONGPASS');
    expect(await other.command('AUTH', 'second')).toBe('OK');
    await client.command('CONFIG', 'SET', 'requirepass', 'third');
    expect(String(await other.command('AUTH', 'second'))).toContain('WRONGPASS');
    await client.command('CONFIG', 'SET', 'requirepass', '');
    expect(String(await client.command('AUTH', 'third'))).toContain('without any password configured');
    await Promise.all([client.close(), other.close()]);
  });

  it('can be turned off, and lose rights, for clients that are others', async () => {
    const client = await connect();
    await client.command('ACL', 'SETUSER', 'boss', 'on', '>pw', '+@all', '~*');
    await client.command('ACL', 'SETUSER', 'default', 'off');
    const other = await RespClient.connect(server.port);
    expect(await other.command('PING')).toEqual(new RespError('NOAUTH Authentication required.'));
    // The clients that were there stay.
    expect(await client.command('PING')).toBe('PONG');
    await client.command('ACL', 'SETUSER', 'default', 'on', '-@all');
    expect(String(await client.command('PING'))).toContain(
      "NOPERM this user has no permissions to run the 'ping' command",
    );
    expect(String(await client.command('HELLO', '2', 'AUTH', 'boss', 'pw'))).toContain('server,redis');
    expect(await client.command('PING')).toBe('PONG');
    await client.command('ACL', 'SETUSER', 'default', '+@all');
    await Promise.all([client.close(), other.close()]);
  });

  it('has no name but the last of HELLO, and none when HELLO fails', async () => {
    const client = await connect();
    expect(String(await client.command('HELLO', '2', 'SETNAME', 'first', 'SETNAME', 'last'))).toContain('server');
    expect(String(await client.command('HELLO', '2', 'SETNAME', 'next', 'SETNAME', 'a b'))).toContain(
      'ERR Client names',
    );
    expect(String(await client.command('HELLO', '2', 'AUTH', 'nobody', 'x', 'SETNAME', 'next'))).toContain('WRONGPASS');
    expect(await client.command('CLIENT', 'GETNAME')).toBe('last');
    await client.close();
  });
});

describe('ACL LOG', () => {
  it('tells who was denied what, like ones together, and counts them in INFO', async () => {
    const client = await connect();
    await client.command(
      'ACL',
      'SETUSER',
      'eve',
      'reset',
      'on',
      '>pw',
      '+get',
      '+eval',
      '+multi',
      '+exec',
      '+publish',
      '~a',
    );
    const eve = await connectAs('eve', 'pw');
    for (const request of [
      ['SET', 'a', '1'],
      ['GET', 'b'],
      ['GET', 'b'],
      ['PUBLISH', 'c', 'x'],
    ])
      await eve.command(...request);
    await eve.command('EVAL', "return redis.pcall('del', 'a')", '0');
    await eve.pipeline([['MULTI'], ['INCR', 'a'], ['EXEC']]);
    await eve.command('AUTH', 'eve', 'wrong');
    const entries = await logOf(client);
    const shown = entries.map(({ reason, context, object, username, count }) => [
      reason,
      context,
      object,
      username,
      count,
    ]);
    expect(shown).toEqual([
      ['auth', 'toplevel', 'AUTH', 'eve', 1],
      ['command', 'multi', 'incr', 'eve', 1],
      ['command', 'lua', 'del', 'eve', 1],
      ['channel', 'toplevel', 'c', 'eve', 1],
      ['key', 'toplevel', 'b', 'eve', 2],
      ['command', 'toplevel', 'set', 'eve', 1],
    ]);
    const newest = Number(entries[0]['entry-id']);
    expect(entries.map((entry) => newest - Number(entry['entry-id']))).toEqual([0, 1, 2, 3, 4, 5]);
    expect(String(entries[2]['client-info'])).toMatch(/ cmd=eval user=eve /);
    expect(String(entries[4]['client-info'])).toMatch(/ cmd=get user=eve /);
    expect(Number(entries[0]['age-seconds'])).toBeLessThan(60);
    expect(Number(entries[4]['timestamp-last-updated'])).toBeGreaterThanOrEqual(
      Number(entries[4]['timestamp-created']),
    );
    expect(String(await client.command('INFO', 'stats'))).toContain(
      'acl_access_denied_auth:1\r\nacl_access_denied_cmd:3\r\nacl_access_denied_key:2\r\nacl_access_denied_channel:1\r\n',
    );
    expect(await client.command('ACL', 'LOG', '2')).toHaveLength(2);
    expect(await client.command('ACL', 'LOG', 'RESET')).toBe('OK');
    expect(await client.command('ACL', 'LOG')).toEqual([]);
    await Promise.all([client.close(), eve.close()]);
  });

  it('keeps acllog-max-len entries, and no more of a key than shows which it is', async () => {
    const client = await connect();
    await client.command('CONFIG', 'SET', 'acllog-max-len', '3');
    await client.command('ACL', 'SETUSER', 'eve', 'reset', 'on', 'nopass', '+get');
    const eve = await connectAs('eve');
    for (let key = 0; key < 5; key++) await eve.command('GET', `key${key}`);
    await eve.command('GET', 'x'.repeat(100_000));
    const entries = await logOf(client);
    expect(entries.map(({ object }) => String(object).slice(0, 10))).toEqual(['xxxxxxxxxx', 'key4', 'key3']);
    expect(String(entries[0]['object']).length).toBeLessThan(2000);
    await client.command('CONFIG', 'SET', 'acllog-max-len', '128');
    await Promise.all([client.close(), eve.close()]);
  });

  it('and the slow log keep passwords to themselves', async () => {
    const client = await connect();
    await client.command('ACL', 'SETUSER', 'eve', '>hush-hush', 'on');
    const slow = JSON.stringify(await client.command('SLOWLOG', 'GET'));
    expect(slow).toContain('"SETUSER","eve","(redacted)","(redacted)"');
    expect(slow).not.toContain('hush');
    await client.close();
  });
});

describe('requests that name keys in odd ways', () => {
  it('are held to the keys that they really touch', async () => {
    const client = await connect();
    await client.command('ACL', 'SETUSER', 'eve', 'reset', 'on', 'nopass', '+@all', '~mine*');
    await client.command('XGROUP', 'CREATE', 'secret', 'streams', '$', 'MKSTREAM');
    await client.command('RPUSH', 'mine', '2', '1');
    const eve = await connectAs('eve');
    for (const request of [
      'XREADGROUP COUNT 1 GROUP streams mine STREAMS secret >',
      'XREADGROUP GROUP streams STREAMS STREAMS secret >',
      'SORT mine STORE secret BY store ALPHA',
      'SORT mine STORE mine2 STORE secret',
      'GEORADIUS mine3 1 1 1 m STORE mine4 STORE secret',
      'GEORADIUS mine3 1 1 1 m STOREDIST STORE STORE secret',
    ]) {
      expect({ request, reply: await eve.command(...request.split(' ')) }).toEqual({ request, reply: NO_KEY });
    }
    expect(await eve.command('SORT', 'mine', 'BY', 'store', 'STORE', 'mine2')).toBe(2);
    await Promise.all([client.close(), eve.close()]);
  });
});

describe('the ACL file', () => {
  function fileWith(text: string): string {
    const path = join(temporaryFolder('acl'), 'users.acl');
    writeFileSync(path, text);
    return path;
  }

  const FILE =
    '# who may\nuser alice on >pw ~a* +@all\r\n\n  user bob off (~x +get) ( %R~y -@all +set )\nuser default on nopass ~* &* +@all\n';

  it('makes the users, and is written in one step', async () => {
    const path = fileWith(FILE);
    chmodSync(path, 0o640);
    const client = await start('--aclfile', path);
    const alice = await connectAs('alice', 'pw');
    expect(await alice.command('GET', 'b')).toEqual(NO_KEY);
    await client.command('ACL', 'SETUSER', 'carol', 'on', '#'.padEnd(65, 'a'), '%R~ü*', '+get');
    const listed = (await client.command('ACL', 'LIST')) as string[];
    expect(await client.command('ACL', 'SAVE')).toBe('OK');
    expect(readFileSync(path, 'utf8')).toBe(listed.map((line) => `${line}\n`).join(''));
    expect(listed).toContain(`user carol on sanitize-payload #${'a'.repeat(64)} %R~ü* resetchannels -@all +get`);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(readdirSync(join(path, '..'))).toEqual(['users.acl']);
    expect(await client.command('ACL', 'LOAD')).toBe('OK');
    expect(await client.command('ACL', 'LIST')).toEqual(listed);
    expect(await alice.command('GET', 'a')).toBeNull();
    await Promise.all([client.close(), alice.close()]);
  });

  it('is loaded as a whole or not at all', async () => {
    const path = fileWith(FILE);
    const client = await start('--aclfile', path);
    const alice = await connectAs('alice', 'pw');
    const before = await client.command('ACL', 'LIST');
    writeFileSync(path, 'user dave on\nuser alice +nothing\nuse x\nuser\nuser erin (+get ~a\nuser dave off\n');
    expect(await client.command('ACL', 'LOAD')).toEqual(
      new RespError(
        `ERR ${path}:2: Error in applying operation '+nothing': Unknown command or category name in ACL. ` +
          `${path}:3 should start with user keyword followed by the username. ` +
          `${path}:4 should start with user keyword followed by the username. ` +
          `${path}:5: Unmatched parenthesis in selector definition. ` +
          "WARNING: Duplicate user 'dave' found on line 6. " +
          'WARNING: ACL errors detected, no change to the previously active ACL rules was performed',
      ),
    );
    expect(await client.command('ACL', 'LIST')).toEqual(before);
    expect(await alice.command('GET', 'a')).toBeNull();
    writeFileSync(path, 'user bob on nopass +@all ~* &b\n');
    const bob = RespClient.connect(server.port);
    expect(await client.command('ACL', 'LOAD')).toBe('OK');
    await alice.closed;
    expect(await (await bob).command('AUTH', 'bob', 'x')).toBe('OK');
    expect(await client.command('ACL', 'USERS')).toEqual(['bob', 'default']);
    await Promise.all([client.close(), (await bob).close()]);
  });

  it('that names no default user leaves it to requirepass', () => {
    const users = usersOf({ aclfile: fileWith('user alice on nopass +@all\n'), requirepass: 'pw' });
    expect(users.default.isOpen).toBe(false);
    users.load(null);
    expect(users.all.map(lineOf)).toEqual([
      'user alice on nopass sanitize-payload resetchannels +@all',
      `user default on #${createHash('sha256').update('pw').digest('hex')} ~* &* +@all`,
    ]);
  });

  it.each([
    ['that is not there', () => join(temporaryFolder('acl'), 'none.acl'), /'aclfile' cannot be used: .*none\.acl/],
    ['with a mistake', () => fileWith('user a +foo\n'), /users\.acl:1: Error in applying operation '\+foo'/],
  ])('%s is a reason not to start', (_what, aclfile, message) => {
    expect(() => usersOf({ aclfile: aclfile() })).toThrow(message);
  });

  it('and users of the configuration do not go together', () => {
    expect(() => usersOf({ aclfile: fileWith(''), user: 'a on' })).toThrow('not in both');
  });
});

describe('users of the configuration', () => {
  it('are written back by CONFIG REWRITE', async () => {
    const path = join(temporaryFolder('acl'), 'mantis.conf');
    writeFileSync(path, 'user alice on >pw ~a* +@all (+get ~b)\nuser default on nopass ~* &* +@all -flushdb\n');
    const options = { dataDir: 'none', configFile: path };
    server = await startMantis(options);
    const client = await RespClient.connect(server.port);
    expect(String(await client.command('FLUSHDB'))).toContain('NOPERM');
    expect(await client.command('ACL', 'SETUSER', 'bob', 'on', '>secret', '~#x', '-@all', '+get|x')).toBe('OK');
    expect(await client.command('ACL', 'DELUSER', 'alice')).toBe(1);
    const listed = await client.command('ACL', 'LIST');
    expect(await client.command('CONFIG', 'REWRITE')).toBe('OK');
    expect(await client.command('CONFIG', 'GET', '*user*')).not.toContain('user');
    expect(await client.command('CONFIG', 'GET', 'user')).toEqual([]);
    expect(await client.command('CONFIG', 'SET', 'USER', 'x')).toEqual(
      new RespError("ERR Unknown option or number of arguments for CONFIG SET - 'USER'"),
    );
    await client.close();
    expect(readFileSync(path, 'utf8')).not.toMatch(/alice|secret/);
    await server.server.stop();
    server = await startMantis(options);
    const again = await RespClient.connect(server.port);
    expect(await again.command('ACL', 'LIST')).toEqual(listed);
    await again.close();
  });

  it('may have all channels from the start', () => {
    const users = usersOf({ 'acl-pubsub-default': 'allchannels', user: 'a on nopass +@all (+get)' });
    expect(users.named('a')!.text).toBe('on nopass sanitize-payload &* +@all (&* -@all +get)');
  });

  it('with a mistake are a reason not to start', () => {
    expect(() => usersOf({ user: 'a on +foo' })).toThrow("user a: Error in applying operation '+foo': Unknown command");
    expect(() => Config.fromSources({ argv: ['--user', 'a', 'on', '--user', 'a'], env: {} })).toThrow(
      "Duplicate user 'a' found",
    );
  });
});
