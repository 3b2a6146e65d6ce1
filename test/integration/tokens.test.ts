/** A client that moves from node to node reads what it wrote: MANTIS TOKEN, MANTIS AWAIT, WAIT. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RespClient } from '../support/resp-client.ts';
import { RespError, type Reply } from '../support/resp3-parser.ts';
import { waitFor } from '../support/wait-for.ts';
import { type ClusterNode, startNode, untilAgreed, untilMeshed } from './cluster.ts';

/** Long enough for a machine that does much else. */
const patienceMs = 20_000;

let nodes: ClusterNode[] = [];

beforeAll(async () => {
  const seed = await startNode(null);
  nodes = [seed, ...(await Promise.all([startNode(seed), startNode(seed)]))];
  await untilMeshed(nodes);
}, 60_000);

afterAll(() => Promise.all(nodes.map((node) => node.close())));

async function cutOff(node: ClusterNode): Promise<void> {
  expect(await node.ask('MANTIS', 'LINKS', 'DOWN')).toBe('OK');
  const others = nodes.filter((one) => one !== node);
  await waitFor('the links to be gone', async () => {
    const linked = await Promise.all(others.map((one) => one.linkedPeers()));
    return linked.every((count) => count === others.length - 1);
  });
}

async function letBack(node: ClusterNode): Promise<void> {
  expect(await node.ask('MANTIS', 'LINKS', 'UP')).toBe('OK');
}

function awaitAt(node: ClusterNode, token: Reply, timeoutMs = patienceMs): Promise<Reply> {
  return node.ask('MANTIS', 'AWAIT', String(token), timeoutMs);
}

describe('a token', () => {
  it('lets a client read on another node what it wrote', async () => {
    const writer = await RespClient.connect(nodes[0].port);
    const readers = await Promise.all(nodes.slice(1).map((node) => RespClient.connect(node.port)));
    for (let round = 0; round < 100; round++) {
      await writer.command('SET', 'moving', String(round));
      const token = String(await writer.command('MANTIS', 'TOKEN'));
      for (const reader of readers) {
        const replies = await reader.pipeline([
          ['MANTIS', 'AWAIT', token, String(patienceMs)],
          ['GET', 'moving'],
        ]);
        expect(replies).toEqual([1, String(round)]);
      }
    }
    await Promise.all([writer, ...readers].map((client) => client.close()));
  });

  it('covers nothing on a connection that has written nothing, and with ALL what the node has', async () => {
    const client = await RespClient.connect(nodes[0].port);
    const empty = String(await client.command('MANTIS', 'TOKEN'));
    expect(await awaitAt(nodes[1], empty, 1)).toBe(1);
    await nodes[2].ask('SET', 'of another', 'client');
    expect(await nodes[2].ask('WAIT', 2, patienceMs)).toBe(2);
    const all = String(await client.command('MANTIS', 'TOKEN', 'ALL'));
    expect(all.length).toBeGreaterThan(empty.length);
    expect(await awaitAt(nodes[1], all)).toBe(1);
    expect(await nodes[1].ask('GET', 'of another')).toBe('client');
    await client.close();
  });

  it('also covers what the connection has waited for before', async () => {
    await cutOff(nodes[2]);
    const client = await RespClient.connect(nodes[1].port);
    await nodes[0].ask('SET', 'first', 'step');
    const first = await nodes[0].ask('MANTIS', 'TOKEN');
    expect(await client.command('MANTIS', 'AWAIT', String(first), patienceMs)).toBe(1);
    await client.command('SET', 'second', 'step');
    const both = await client.command('MANTIS', 'TOKEN');
    expect(await awaitAt(nodes[2], both, 50)).toBe(0);
    await letBack(nodes[2]);
    expect(await awaitAt(nodes[2], both)).toBe(1);
    expect(await nodes[2].ask('MGET', 'first', 'second')).toEqual(['step', 'step']);
    await client.close();
    await untilMeshed(nodes);
  });

  it('is waited for over a partition, by a client that may be unblocked or leave', async () => {
    await cutOff(nodes[2]);
    await nodes[0].ask('SET', 'cut', 'off');
    const token = String(await nodes[0].ask('MANTIS', 'TOKEN'));
    expect(await awaitAt(nodes[1], token)).toBe(1);
    expect(await awaitAt(nodes[2], token, 100)).toBe(0);
    const transaction = await RespClient.connect(nodes[2].port);
    const replies = await transaction.pipeline([['MULTI'], ['MANTIS', 'AWAIT', token, '0'], ['EXEC']]);
    expect(replies.at(-1)).toEqual([0]);
    const waiting = await RespClient.connect(nodes[2].port);
    const unblocked = await RespClient.connect(nodes[2].port);
    const leaving = await RespClient.connect(nodes[2].port);
    const id = Number(await unblocked.command('CLIENT', 'ID'));
    const forever = waiting.command('MANTIS', 'AWAIT', token, 0);
    const ended = unblocked.command('MANTIS', 'AWAIT', token, 0);
    const left = leaving.command('MANTIS', 'AWAIT', token, 0).catch(() => 'left');
    await waitFor('three to wait', async () => /blocked_clients:3/.test(String(await nodes[2].ask('INFO', 'clients'))));
    expect(await nodes[2].ask('CLIENT', 'UNBLOCK', id)).toBe(1);
    expect(await ended).toBe(0);
    await leaving.close();
    await left;
    await waitFor('one to wait', async () => /blocked_clients:1/.test(String(await nodes[2].ask('INFO', 'clients'))));
    await letBack(nodes[2]);
    expect(await forever).toBe(1);
    expect(await waiting.command('GET', 'cut')).toBe('off');
    for (const client of [transaction, waiting, unblocked]) await client.close();
    await untilMeshed(nodes);
  });

  it('keeps the order of writes whatever the clocks say', async () => {
    expect(await nodes[1].ask('MANTIS', 'CLOCK', 'OFFSET', '-30000')).toBe('OK');
    for (let round = 0; round < 6; round++) {
      const [here, there] = [nodes[round % 2], nodes[(round + 1) % 2]];
      await here.ask('SET', 'ordered', String(round));
      expect(await awaitAt(there, await here.ask('MANTIS', 'TOKEN'))).toBe(1);
      expect(await there.ask('GET', 'ordered')).toBe(String(round));
    }
    expect(await nodes[1].ask('MANTIS', 'CLOCK', 'OFFSET', '0')).toBe('OK');
    expect(await nodes[1].ask('MANTIS', 'CLOCK', 'OFFSET', 'much')).toBeInstanceOf(RespError);
    expect(await nodes[1].ask('MANTIS', 'CLOCK', 'BACK', '1')).toBeInstanceOf(RespError);
  });

  it('is refused when it is none, or of another cluster', async () => {
    const wrong = await nodes[0].ask('MANTIS', 'AWAIT', 'm1.nonsense', 10);
    expect(wrong).toBeInstanceOf(RespError);
    expect(String(wrong)).toContain('not a token');
    const stranger = await startNode(null, { args: ['--cluster-id', 'elsewhere'] });
    const token = await stranger.ask('MANTIS', 'TOKEN', 'ALL');
    const foreign = await awaitAt(nodes[0], token, 10);
    expect(foreign).toBeInstanceOf(RespError);
    expect(String(foreign)).toContain('cluster-id');
    const own = await nodes[0].ask('MANTIS', 'TOKEN');
    for (const timeout of ['-1', 'soon']) {
      expect(await nodes[0].ask('MANTIS', 'AWAIT', String(own), timeout)).toBeInstanceOf(RespError);
    }
    expect(await nodes[0].ask('MANTIS', 'TOKEN', 'SOME')).toBeInstanceOf(RespError);
    await stranger.close();
  });
});

describe('a token, when nodes end', () => {
  it('is honoured by a node that the writer never reached, through a third one', async () => {
    await cutOff(nodes[2]);
    await nodes[0].ask('SET', 'last', 'words');
    const token = await nodes[0].ask('MANTIS', 'TOKEN');
    expect(await awaitAt(nodes[1], token)).toBe(1);
    await nodes[0].kill();
    await letBack(nodes[2]);
    expect(await awaitAt(nodes[2], token)).toBe(1);
    expect(await nodes[2].ask('GET', 'last')).toBe('words');
    // As a new writer (a crash begins one) the killed node knows its old one's writes only as far as it finds them again.
    nodes[0] = await startNode(nodes[1], nodes[0].process);
    expect(await awaitAt(nodes[0], token)).toBe(1);
    expect(await nodes[0].ask('GET', 'last')).toBe('words');
    await nodes[0].ask('SET', 'last', 'words again');
    const later = await nodes[0].ask('MANTIS', 'TOKEN');
    for (const node of nodes) expect(await awaitAt(node, later)).toBe(1);
    expect(await nodes[2].ask('GET', 'last')).toBe('words again');
    await untilMeshed(nodes);
    await untilAgreed(nodes);
  });

  it('is not honoured for what a crash has taken away', async () => {
    const alone = await startNode(null, { args: ['--flush-interval', '1h'] });
    const peers = ['--peers', alone.address];
    const other = await startNode(null, { args: peers });
    await waitFor('the link', async () => (await alone.linkedPeers()) === 1);
    await alone.ask('MANTIS', 'LINKS', 'DOWN');
    await alone.ask('SET', 'never', 'stored');
    const token = await alone.ask('MANTIS', 'TOKEN');
    await alone.kill();
    const again = await startNode(null, { ...alone.process, args: ['--flush-interval', '1h'] });
    await waitFor('the link', async () => (await again.linkedPeers()) === 1);
    await again.ask('SET', 'something', 'else');
    const next = await again.ask('MANTIS', 'TOKEN');
    expect(await awaitAt(other, next)).toBe(1);
    expect(await awaitAt(again, token, 1500)).toBe(0);
    expect(await awaitAt(other, token, 10)).toBe(0);
    expect(await other.ask('GET', 'never')).toBeNull();
    await Promise.all([again.close(), other.close()]);
  }, 120_000);

  it('is honoured at once by a node that was stopped and started, before it has met anyone', async () => {
    await nodes[1].ask('SET', 'kept', 'by the other');
    const token = await nodes[1].ask('MANTIS', 'TOKEN');
    expect(await awaitAt(nodes[2], token)).toBe(1);
    await nodes[2].ask('SET', 'kept too', 'by itself');
    const own = await nodes[2].ask('MANTIS', 'TOKEN');
    const { process } = nodes[2];
    await nodes[2].close();
    const alone = await startNode(null, { ...process, args: ['--peer-port', 'none'] });
    expect(await awaitAt(alone, token, 1)).toBe(1);
    expect(await awaitAt(alone, own, 1)).toBe(1);
    expect(await alone.ask('MGET', 'kept', 'kept too')).toEqual(['by the other', 'by itself']);
    await alone.close();
    nodes[2] = await startNode(nodes[0], process);
    await untilMeshed(nodes);
  }, 120_000);
});

describe('WAIT', () => {
  it('counts acknowledgements of this connection, in MULTI and after SELECT and RESET as well', async () => {
    const client = await RespClient.connect(nodes[0].port);
    await cutOff(nodes[2]);
    await nodes[0].ask('SET', 'of another connection', '1');
    expect(await client.command('WAIT', '1', '0')).toBe(2);
    await client.command('MULTI');
    await client.command('SET', 'waited', 'for');
    const replies = await client.pipeline([['WAIT', '2', '0'], ['EXEC']]);
    expect(replies[1]).toEqual(['OK', 0]);
    expect(await client.command('WAIT', '1', patienceMs)).toBe(1);
    expect(await client.command('WAIT', '2', '100')).toBe(1);
    expect(await client.command('SELECT', '3')).toBe('OK');
    expect(await client.command('WAIT', '2', '1')).toBe(1);
    expect(await client.command('RESET')).toBe('RESET');
    expect(await client.command('WAIT', '2', '1')).toBe(1);
    // A deletion without a stamp of its own counts as well.
    expect(await client.command('FLUSHDB')).toBe('OK');
    const [none, one] = (
      await client.pipeline([['FLUSHALL'], ['WAIT', '0', '0'], ['WAIT', '1', String(patienceMs)]])
    ).slice(1);
    expect([none, one]).toEqual([0, 1]);
    await letBack(nodes[2]);
    expect(await client.command('WAIT', '2', patienceMs)).toBe(2);
    expect(await nodes[2].ask('DBSIZE')).toBe(0);
    await client.close();
  });

  it('counts what a blocked pop took', async () => {
    const client = await RespClient.connect(nodes[0].port);
    const waiting = client.pipeline([
      ['BLPOP', 'queue', '0'],
      ['WAIT', '2', String(patienceMs)],
    ]);
    await waitFor('it to wait', async () => /blocked_clients:1/.test(String(await nodes[0].ask('INFO', 'clients'))));
    await nodes[1].ask('RPUSH', 'queue', 'job');
    expect(await waiting).toEqual([['queue', 'job'], 2]);
    for (const node of nodes) expect(await node.ask('LLEN', 'queue')).toBe(0);
    await client.close();
  });
});
