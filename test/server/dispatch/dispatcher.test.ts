import { describe, expect, it } from '@jest/globals';
import { type CommandDefinition, CommandError, command } from '../../../server/definitions/command.ts';
import { clientCommands } from '../../../server/commands/client.ts';
import { stringCommands } from '../../../server/commands/strings.ts';
import { transactionCommands } from '../../../server/commands/transactions.ts';
import { CommitGate } from '../../../server/persistence/commit-gate.ts';
import { MemoryBound } from '../../../server/memory/memory-bound.ts';
import { CommandHarness, type HarnessOptions } from '../../support/command-harness.ts';
import { encodeRequest } from '../../support/resp-client.ts';
import { withSeed } from '../../support/seed.ts';

const common = { summary: '', since: '1.0.0', group: 'generic', syntax: '' } as const;

const ownCommands: readonly CommandDefinition[] = [
  command({
    ...common,
    name: 'say',
    arity: -2,
    flags: [],
    run: (call) => {
      call.reply.bulkString(call.text(call.argc - 1));
    },
  }),
  command({
    ...common,
    name: 'half',
    arity: 1,
    flags: [],
    run: (call) => {
      call.reply.array(3);
      call.reply.ok();
      throw new CommandError('ERR half way');
    },
  }),
  command({
    ...common,
    name: 'sleep',
    arity: 1,
    flags: [],
    run: (call) => {
      call.node.blocking.block(call.session, 0, {
        commandName: 'sleep',
        onTimeout: (reply) => {
          reply.nil();
        },
        onCancel: () => undefined,
      });
    },
  }),
  command({
    ...common,
    name: 'wake',
    arity: 2,
    flags: [],
    run: (call) => {
      const sleeper = call.node.sessions.get(call.integer(1))!;
      call.reply.array(2);
      call.reply.simple('waking');
      call.node.blocking.wake(sleeper, (reply) => {
        reply.simple('woken');
      });
      call.reply.bulkString(call.text(1));
    },
  }),
];

function makeHarness(options: HarnessOptions = {}): CommandHarness {
  const strings = stringCommands.filter(({ name }) => ['get', 'set', 'mget'].includes(name));
  return new CommandHarness([...ownCommands, ...strings, ...transactionCommands, ...clientCommands], options);
}

function pipeline(...requests: string[]): Buffer {
  return Buffer.concat(requests.map((request) => encodeRequest(request.split(' '))));
}

async function turns(): Promise<void> {
  for (let left = 3; left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
}

describe('requests', () => {
  it('are answered in their order, wherever the bytes are split', async () => {
    const requests = pipeline(
      'SET a 1',
      'say hello',
      'GET a',
      'half',
      'nosuch',
      'MULTI',
      'SET b 2',
      'half',
      'EXEC',
      'GET b',
    );
    const whole = makeHarness().client.send(requests).toString();
    expect(whole).toBe(
      '+OK\r\n$5\r\nhello\r\n$1\r\n1\r\n-ERR half way\r\n' +
        "-ERR unknown command 'nosuch', with args beginning with: \r\n" +
        '+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n-ERR half way\r\n$1\r\n2\r\n',
    );
    await withSeed('test/server/dispatch/dispatcher.test.ts', (random) => {
      for (let round = 0; round < 100; round++) {
        const { client } = makeHarness();
        let replies = '';
        for (let at = 0; at < requests.length;) {
          const end = at + 1 + random.below(30);
          // A buffer that is used again for something else as soon as it has been read.
          const bytes = Buffer.from(requests.subarray(at, end));
          replies += client.send(bytes).toString();
          bytes.fill(0x21);
          at = end;
        }
        expect(replies).toBe(whole);
      }
    });
  });

  it('that break the protocol are answered after those before them, and end the connection', () => {
    const { client } = makeHarness();
    const replies = client.send(Buffer.concat([pipeline('say a'), Buffer.from('*1\r\n$x\r\n'), pipeline('say b')]));
    expect(replies.toString()).toBe('$1\r\na\r\n-ERR Protocol error: invalid bulk length\r\n');
    expect(client.transport.closed).toBe(true);
    expect(client.send(pipeline('say c'))).toHaveLength(0);
  });

  it('are refused before AUTH, while loading, and where the stores or the memory cannot take them', () => {
    const { client, node, dispatcher } = makeHarness();
    expect(node.config.set(['requirepass', 'secret'])).toBeNull();
    client.session.authenticated = false;
    expect(client.run('GET', 'a').toString()).toBe('-NOAUTH Authentication required.\r\n');
    client.session.authenticated = true;
    node.loading = { startedAtMs: 0, done: 0, total: 0 };
    expect(client.run('GET', 'a').toString()).toMatch(/^-LOADING /);
    node.loading = null;
    node.writeRefusal = 'MISCONF the disk is full';
    expect(client.run('SET', 'a', '1').toString()).toBe('-MISCONF the disk is full\r\n');
    expect(client.run('GET', 'a').toString()).toBe('$-1\r\n');
    node.writeRefusal = null;
    dispatcher.memory = {
      hasRoom: () => false,
      makeRoom: () => {},
      relieveSoon: () => {},
      isHolding: false,
      bound: new MemoryBound(node.keyspace, null, () => 0),
    };
    expect(client.run('SET', 'a', '1').toString()).toMatch(/^-OOM /);
    expect(client.run('GET', 'a').toString()).toBe('$-1\r\n');
  });

  it('are checked again before EXEC runs any of them', () => {
    const { client, node } = makeHarness();
    client.send(pipeline('MULTI', 'SET a 1', 'GET a'));
    node.writeRefusal = 'MISCONF the disk is full';
    const refusal = '-EXECABORT Transaction discarded because of: MISCONF the disk is full\r\n';
    expect(client.run('EXEC').toString()).toBe(refusal);
    expect(client.run('EXEC').toString()).toBe('-ERR EXEC without MULTI\r\n');
  });
});

describe('a session that waits', () => {
  it('goes on with what it sent meanwhile once it is woken, beside the one that wakes it', () => {
    const harness = makeHarness();
    const sleeper = harness.connect();
    expect(sleeper.send(pipeline('say before', 'sleep', 'say after', 'SET k v'))).toHaveLength(
      '$6\r\nbefore\r\n'.length,
    );
    expect(sleeper.send(pipeline('GET k'))).toHaveLength(0);
    const replies = harness.client.send(pipeline('say first', `wake ${sleeper.session.id}`, 'GET k'));
    expect(replies.toString()).toBe(`$5\r\nfirst\r\n*2\r\n+waking\r\n$1\r\n${sleeper.session.id}\r\n$-1\r\n`);
    expect(sleeper.transport.take().toString()).toBe('+woken\r\n$5\r\nafter\r\n+OK\r\n$1\r\nv\r\n');
  });

  it('runs nothing more when its client has gone', () => {
    const harness = makeHarness();
    const sleeper = harness.connect();
    sleeper.send(pipeline('sleep', 'SET k v'));
    harness.node.blocking.cancel(sleeper.session);
    harness.dispatcher.forget(sleeper.session);
    expect(harness.run('GET', 'k').toString()).toBe('$-1\r\n');
  });
});

describe('CLIENT PAUSE', () => {
  it('puts commands off, and lets them run as they were, in order, when it is over', () => {
    let wallMs = 1_700_000_000_000;
    const harness = makeHarness({ wallClockMs: () => wallMs });
    const writer = harness.connect();
    const other = harness.connect();
    harness.run('CLIENT', 'PAUSE', '100', 'WRITE');
    expect(writer.send(pipeline('GET a', 'SET a 1', 'GET a')).toString()).toBe('$-1\r\n');
    expect(other.send(pipeline('SET b 2', 'MGET a b'))).toHaveLength(0);
    expect(harness.run('GET', 'a').toString()).toBe('$-1\r\n');
    wallMs += 100;
    // The first command after its end sets the others going, and is itself as it was sent.
    expect(harness.run('SET', 'c', 'mine').toString()).toBe('+OK\r\n');
    expect(writer.transport.take().toString()).toBe('+OK\r\n$1\r\n1\r\n');
    expect(other.transport.take().toString()).toBe('+OK\r\n*2\r\n$1\r\n1\r\n$1\r\n2\r\n');
    expect(harness.run('MGET', 'a', 'b', 'c').toString()).toBe('*3\r\n$1\r\n1\r\n$1\r\n2\r\n$4\r\nmine\r\n');
  });

  it('is ended by CLIENT UNPAUSE, whose own reply stays its own', () => {
    const harness = makeHarness();
    const held = harness.connect();
    harness.run('CLIENT', 'PAUSE', '100000', 'WRITE');
    expect(held.send(pipeline('SET a 1', 'GET a'))).toHaveLength(0);
    expect(harness.client.send(pipeline('CLIENT UNPAUSE', 'say mine')).toString()).toBe('+OK\r\n$4\r\nmine\r\n');
    expect(held.transport.take().toString()).toBe('+OK\r\n$1\r\n1\r\n');
  });
});

describe('replies to writes that wait for a commit', () => {
  function gated() {
    const harness = makeHarness();
    const commits: (() => void)[] = [];
    harness.dispatcher.gate = new CommitGate(
      () =>
        new Promise<void>((resolve) => {
          commits.push(resolve);
        }),
      (session, replies) => {
        harness.dispatcher.release(session, replies);
      },
      () => undefined,
      setImmediate,
    );
    return { harness, commits };
  }

  it('leave when it is done, with the reads that came after; other clients go on', async () => {
    const { harness, commits } = gated();
    const reader = harness.connect();
    expect(harness.client.send(pipeline('GET a', 'SET a 1', 'GET a'))).toHaveLength(0);
    expect(harness.client.send(pipeline('say later'))).toHaveLength(0);
    expect(reader.run('GET', 'a').toString()).toBe('$1\r\n1\r\n');
    await turns();
    expect(commits).toHaveLength(1);
    expect(harness.client.transport.take()).toHaveLength(0);
    commits[0]();
    await turns();
    expect(harness.client.transport.take().toString()).toBe('$-1\r\n+OK\r\n$1\r\n1\r\n$5\r\nlater\r\n');
  });

  it('are not overtaken by the end of a wait that came after them', async () => {
    const { harness, commits } = gated();
    const { client, node, dispatcher } = harness;
    expect(client.send(pipeline('SET a 1', 'sleep', 'say after'))).toHaveLength(0);
    node.blocking.wake(client.session, (reply) => {
      reply.simple('woken');
    });
    expect(client.transport.take()).toHaveLength(0);
    await turns();
    commits[0]();
    await turns();
    for (const commit of commits.slice(1)) commit();
    await turns();
    expect(client.transport.take().toString()).toBe('+OK\r\n+woken\r\n$5\r\nafter\r\n');
    expect(client.session.held).toBe(false);
    dispatcher.forget(client.session);
  });

  it('are not lost when a second one waits before the first has left', async () => {
    const { harness, commits } = gated();
    const { client, node } = harness;
    client.send(pipeline('SET a 1', 'sleep', 'GET a'));
    await turns();
    node.blocking.wake(
      client.session,
      (reply) => {
        reply.simple('written');
      },
      true,
    );
    commits[0]();
    await turns();
    expect(client.transport.take().toString()).toBe('+OK\r\n');
    commits[1]();
    await turns();
    expect(client.transport.take().toString()).toBe('+written\r\n$1\r\n1\r\n');
  });

  it('of a client that has gone go nowhere', async () => {
    const { harness, commits } = gated();
    harness.run('SET', 'a', '1');
    harness.dispatcher.forget(harness.client.session);
    await turns();
    commits[0]();
    await turns();
    expect(harness.client.transport.take()).toHaveLength(0);
  });
});

it('a client that is told something was not idle until then', () => {
  let nowMs = 1_800_000_000_000;
  const harness = makeHarness({ wallClockMs: () => nowMs });
  const listening = harness.connect();
  nowMs += 5000;
  harness.run('GET', 'k');
  harness.dispatcher.sendMessage(listening.session, (reply) => reply.ok());
  expect(listening.session.activeAtMs).toBe(nowMs);
});
