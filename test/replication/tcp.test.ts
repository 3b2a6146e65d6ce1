/** The same replication over real sockets on loopback. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { Connection, ConnectionEvents, Listener } from '../../replication/environment.ts';
import { Replicator } from '../../replication/replicator.ts';
import type { ReplicatorOptions } from '../../replication/settings.ts';
import { systemRandom, systemTime } from '../../replication/system.ts';
import { certificateHint, tcpNetwork, type PeerTls } from '../../replication/tcp.ts';
import { waitFor } from '../support/wait-for.ts';
import { ModelReplica } from './model-replica.ts';
import { LogKeeper } from './virtual-world.ts';

interface RealNode {
  replica: ModelReplica;
  replicator: Replicator;
  log: LogKeeper;
  port: number;
}

const started: RealNode[] = [];

async function startNode(number: number, options: Partial<ReplicatorOptions> = {}, tls?: PeerTls): Promise<RealNode> {
  const nodeId = { hi: 0xabc00000, lo: number };
  const replica = new ModelReplica(nodeId, () => Date.now());
  const log = new LogKeeper();
  const environment = { time: systemTime, random: systemRandom, network: tcpNetwork(tls), log };
  const replicator = new Replicator({ nodeId, port: 0, ...options }, replica, environment);
  const { port } = await replicator.start();
  const node = { replica, replicator, log, port };
  started.push(node);
  return node;
}

function write(node: RealNode, key: string, value: string): { hi: number; lo: number } {
  const stamp = node.replica.set(key, value);
  node.replicator.publish(node.replica.takeTurn(), stamp.hi, stamp.lo);
  return stamp;
}

const peersOf = (node: RealNode): { host: string; port: number }[] => [{ host: 'localhost', port: node.port }];
const fixture = (name: string): string =>
  readFileSync(new URL(`../fixtures/peer-tls/${name}`, import.meta.url), 'utf8');
const nodeTls: PeerTls = {
  certificate: fixture('node.pem'),
  key: fixture('node.key'),
  authority: fixture('ca.pem'),
  isMutual: true,
};

afterEach(async () => {
  await Promise.all(started.splice(0).map((node) => node.replicator.stop()));
});

const ignored = { opened: () => undefined, writable: () => undefined, closed: () => undefined };

/** Listens; what a connection reports beside that is of no interest. */
async function accepting(
  eventsOf: (connection: Connection) => Partial<ConnectionEvents> & Pick<ConnectionEvents, 'received'>,
): Promise<{ listener: Listener; accepted: Connection[] }> {
  const accepted: Connection[] = [];
  const listener = await tcpNetwork().listen('127.0.0.1', 0, (connection) => {
    accepted.push(connection);
    connection.events = { ...ignored, ...eventsOf(connection) };
  });
  return { listener, accepted };
}

describe('one connection', () => {
  it('is read some hundred KiB a turn of the event loop, however much a peer has sent', async () => {
    const bytes = 8 << 20;
    let received = 0;
    let inTurn = 0;
    let mostInTurn = 0;
    const listener = await tcpNetwork().listen('127.0.0.1', 0, (connection) => {
      connection.events = {
        opened: () => undefined,
        received: (_chunk, start, end) => {
          received += end - start;
          if (inTurn === 0) setImmediate(() => (inTurn = 0));
          inTurn += end - start;
          mostInTurn = Math.max(mostInTurn, inTurn);
        },
        writable: () => undefined,
        closed: () => undefined,
      };
    });
    const socket = connect(listener.port, '127.0.0.1');
    socket.write(Buffer.alloc(bytes));
    await waitFor('all of it', () => received === bytes);
    expect(mostInTurn).toBeLessThanOrEqual(256 << 10);
    socket.destroy();
    await listener.close();
  });
});

describe('replication over TCP', () => {
  it('meshes three nodes from one address, spreads writes, and waits for acknowledgements', async () => {
    const first = await startNode(1);
    for (let key = 0; key < 20_000; key++) first.replica.set(`key ${key}`, 'x'.repeat(50));
    first.replica.takeTurn();
    const second = await startNode(2, { peers: peersOf(first) });
    const third = await startNode(3, { peers: peersOf(first) });
    const nodes = [first, second, third];
    await waitFor('a mesh', () => nodes.every((node) => node.replicator.linkedPeers === 2));
    await waitFor('equal replicas', () => nodes.every((node) => node.replica.digest() === first.replica.digest()));
    expect(third.replica.keyCount()).toBe(20_000);
    const stamp = write(second, 'key', 'value');
    expect(await second.replicator.waitForAcks(stamp, 2, 5000)).toBe(2);
    expect([first.replica.get('key'), third.replica.get('key')]).toEqual(['value', 'value']);
    await third.replicator.stop();
    await waitFor('the loss', () => first.replicator.linkedPeers === 1);
    expect(first.log.has('refused this node: the node is stopping')).toBe(true);
  });

  it('carries turns of many megabytes, and recovers from dropped links', async () => {
    const first = await startNode(1);
    const second = await startNode(2, { peers: peersOf(first) });
    await waitFor('a link', () => second.replicator.linkedPeers === 1);
    write(first, 'large', 'x'.repeat(20_000_000));
    await waitFor('the large value', () => second.replica.get('large')?.length === 20_000_000);
    second.replicator.pauseLinks();
    write(first, 'a', '1');
    write(second, 'b', '2');
    await waitFor('the loss', () => first.replicator.linkedPeers === 0);
    second.replicator.resumeLinks();
    await waitFor('both writes', () => first.replica.get('b') === '2' && second.replica.get('a') === '1');
    expect(await first.replicator.drain(5000)).toBe(true);
  });

  it('says which port is taken, and closes on what is not a peer', async () => {
    const first = await startNode(1);
    await expect(startNode(2, { port: first.port })).rejects.toThrow(
      `cannot listen for peers on 127.0.0.1 port ${first.port}: the port is taken`,
    );
    const socket = connect(first.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n\r\n'));
    const answer: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => answer.push(chunk));
    await new Promise((resolve) => socket.once('close', resolve));
    expect(Buffer.concat(answer).toString('latin1')).toContain('not a Mantis peer');
  });

  it('runs over TLS with certificates on both sides, and keeps strangers out', async () => {
    const first = await startNode(1, { secrets: ['s'] }, { ...nodeTls, serverName: 'mantis-test-node' });
    const second = await startNode(2, { secrets: ['s'], peers: [{ host: '127.0.0.1', port: first.port }] }, nodeTls);
    await waitFor('a link', () => second.replicator.linkedPeers === 1);
    write(second, 'key', 'value');
    await waitFor('the write', () => first.replica.get('key') === 'value');
    const peers = [{ host: '127.0.0.1', port: first.port }];
    const unsigned = { ...nodeTls, certificate: fixture('stranger.pem'), key: fixture('stranger.key') };
    const stranger = await startNode(3, { secrets: ['s'], peers }, unsigned);
    const plain = await startNode(4, { secrets: ['s'], peers });
    await waitFor('refusals', () =>
      [stranger, plain].every((node) => (node.replicator.status().dialing[0]?.failures ?? 0) > 1),
    );
    expect(first.replicator.linkedPeers).toBe(1);
    expect([stranger, plain].map((node) => node.replica.keyCount())).toEqual([0, 0]);
    // Both sides say why.
    const said = ({ log }: RealNode): string => log.lines.join('\n');
    expect(said(first)).toMatch(
      /refused peer at .*: its certificate is refused \(\w+\): it must be signed by an authority/,
    );
    expect(said(first)).toMatch(/refused peer at .*: it does not speak TLS, which peer-tls wants on both sides/);
    expect(said(stranger)).toMatch(/refused this node: its certificate is refused/);
    expect(said(plain)).toMatch(/no link to peer .* before it said anything; is peer-tls the same on both sides\?/);
  });

  it('holds a bounded number of those with whom TLS has not begun', async () => {
    const node = await startNode(1, { secrets: ['s'] }, nodeTls);
    let closed = 0;
    for (let count = 0; count < 200; count++) {
      const socket = connect(node.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.once('close', () => closed++).resume();
    }
    await waitFor('those beyond the bound to be closed', () => closed === 200 - 128);
    // The others have some seconds.
    await waitFor('the others to be closed', () => closed === 200, { deadlineMs: 30_000 });
    const peers = [{ host: '127.0.0.1', port: node.port }];
    const second = await startNode(2, { secrets: ['s'], peers }, { ...nodeTls, serverName: 'mantis-test-node' });
    await waitFor('a link', () => second.replicator.linkedPeers === 1);
    // Nor does the end of the node wait for one.
    const silent = connect(node.port, '127.0.0.1');
    await new Promise((resolve) => silent.once('connect', resolve));
    const ended = new Promise((resolve) => silent.resume().on('error', resolve).once('close', resolve));
    await node.replicator.stop();
    await ended;
  }, 60_000);
});

it('goes by the name of a peer that the configuration has, where its certificate has no address', async () => {
  const named = { certificate: fixture('named.pem'), key: fixture('named.key'), authority: fixture('named.pem') };
  const first = await startNode(1, {}, { ...named, isMutual: true });
  const second = await startNode(2, { peers: peersOf(first) }, { ...named, isMutual: true });
  await waitFor('a link', () => second.replicator.linkedPeers === 1);
  const other = await startNode(3, { peers: [{ host: '127.0.0.1', port: first.port }] }, { ...named, isMutual: true });
  await waitFor('a refusal', () => (other.replicator.status().dialing[0]?.failures ?? 0) > 1);
  expect(other.replicator.status().dialing[0]?.lastError).toMatch(/not in the cert's list|does not match/);
});

describe('a connection over TCP', () => {
  it('lets other work of the event loop in between what it brings', async () => {
    const total = 512 << 10;
    let turn = 0;
    let receivedBytes = 0;
    const turns: number[] = [];
    const network = tcpNetwork();
    const accepted: Connection[] = [];
    const listener = await network.listen('127.0.0.1', 0, (connection) => {
      accepted.push(connection);
      connection.events = {
        opened: () => undefined,
        writable: () => undefined,
        closed: () => undefined,
        received: (_buffer, start, end) => {
          receivedBytes += end - start;
          turns.push(turn);
          const doneAtMs = performance.now() + 2;
          while (performance.now() < doneAtMs);
        },
      };
    });
    const sending = connect(listener.port, '127.0.0.1');
    sending.write(Buffer.alloc(total));
    const count = (): void => {
      turn++;
      if (receivedBytes < total) setImmediate(count);
    };
    count();
    await waitFor('everything', () => receivedBytes === total);
    expect(turns.length).toBeGreaterThan(20);
    expect(new Set(turns).size).toBe(turns.length);
    sending.destroy();
    for (const connection of accepted) connection.close();
    await listener.close();
  });

  it('gives the kernel a bounded part of what is written in a turn, all of it in order', async () => {
    const received: Buffer[] = [];
    let bytes = 0;
    const network = tcpNetwork();
    const accepted: Connection[] = [];
    const listener = await network.listen('127.0.0.1', 0, (connection) => {
      accepted.push(connection);
      const keep = (buffer: Buffer, start: number, end: number): void => {
        received.push(Buffer.from(buffer.subarray(start, end)));
        bytes += end - start;
      };
      connection.events = { ...ignored, received: keep };
    });
    const written = Array.from({ length: 40 }, (_, index) => Buffer.alloc(index * 10_000 + 1, index));
    const total = written.reduce((sum, { length }) => sum + length, 0);
    const connection = network.connect('127.0.0.1', listener.port);
    let wasWritable = false;
    connection.events = {
      ...ignored,
      received: () => undefined,
      opened: () => {
        connection.write(written.slice(0, 30));
        connection.write(written.slice(30));
        expect(connection.queuedBytes()).toBeGreaterThanOrEqual(total - (128 << 10));
      },
      writable: () => (wasWritable = true),
    };
    await waitFor('everything', () => bytes === total);
    expect(Buffer.concat(received).equals(Buffer.concat(written))).toBe(true);
    await waitFor('the end of the queue', () => wasWritable && connection.queuedBytes() === 0);
    connection.write(written);
    connection.close();
    await waitFor('what was queued when it was closed', () => bytes === 2 * total);
    for (const one of accepted) one.close();
    await listener.close();
  });

  it('reports nothing while it is held, whatever rests end meanwhile', async () => {
    let bytes = 0;
    let isHeld = false;
    let whileHeld = 0;
    let holds = 0;
    const { listener, accepted } = await accepting((connection) => ({
      received: (_buffer, start, end) => {
        if (isHeld) whileHeld++;
        bytes += end - start;
        if (++holds > 20) return;
        isHeld = true;
        connection.rest(1);
        connection.hold();
        connection.rest(0);
        setTimeout(() => {
          isHeld = false;
          connection.release();
          connection.release();
        }, 5);
      },
    }));
    const sent = Buffer.alloc(1 << 20);
    const sending = connect(listener.port, '127.0.0.1');
    sending.write(sent);
    await waitFor('everything', () => bytes === sent.length);
    expect(whileHeld).toBe(0);
    expect(holds).toBeGreaterThan(20);
    sending.destroy();
    for (const connection of accepted) connection.close();
    await listener.close();
  });

  it('gives what it has read before it says that it is closed, though it was held when that happened', async () => {
    const sent = Buffer.alloc(16 << 10);
    const reported: string[] = [];
    let bytes = 0;
    const { listener, accepted } = await accepting((connection) => ({
      closed: () => reported.push('closed'),
      received: (_buffer, start, end) => {
        if (bytes === 0) connection.hold();
        bytes += end - start;
        if (bytes === sent.length) reported.push('everything');
      },
    }));
    const sending = connect(listener.port, '127.0.0.1');
    sending.write(sent);
    await waitFor('the first piece', () => bytes > 0);
    expect(bytes).toBeLessThan(sent.length);
    const [connection] = accepted;
    sending.resetAndDestroy();
    await waitFor('the end of the socket', () => {
      connection.write([Buffer.from('is anybody there')]);
      return connection.queuedBytes() === Infinity;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(reported).toEqual([]);
    connection.release();
    await waitFor('the end', () => reported.includes('closed'));
    expect(reported).toEqual(['everything', 'closed']);
    await listener.close();
  });

  it('says that it is closed when it is closed here, though it was held when the other side was gone', async () => {
    let isHeld = false;
    let isClosed = false;
    const { listener, accepted } = await accepting((connection) => ({
      closed: () => (isClosed = true),
      received: () => {
        isHeld = true;
        connection.hold();
      },
    }));
    const sending = connect(listener.port, '127.0.0.1');
    sending.write(Buffer.alloc(16 << 10));
    await waitFor('the first piece', () => isHeld);
    const [connection] = accepted;
    sending.resetAndDestroy();
    await waitFor('the end of the socket', () => {
      connection.write([Buffer.from('is anybody there')]);
      return connection.queuedBytes() === Infinity;
    });
    expect(isClosed).toBe(false);
    connection.close();
    await waitFor('the end', () => isClosed);
    await listener.close();
  });

  it('reports nothing while it rests, and then goes on in the middle of what it had read', async () => {
    const received: Buffer[] = [];
    let bytes = 0;
    let isResting = false;
    let duringRest = 0;
    const { listener, accepted } = await accepting((connection) => ({
      received: (buffer, start, end) => {
        if (isResting) duringRest++;
        received.push(Buffer.from(buffer.subarray(start, end)));
        bytes += end - start;
        if (bytes >= 256 << 10) return;
        isResting = true;
        setTimeout(() => (isResting = false), 1);
        connection.rest(5);
      },
    }));
    const sent = Buffer.alloc(1 << 20);
    for (let at = 0; at < sent.length; at += 4) sent.writeUInt32LE(at, at);
    const sending = connect(listener.port, '127.0.0.1');
    sending.write(sent);
    await waitFor('everything', () => bytes === sent.length);
    expect(duringRest).toBe(0);
    expect(Buffer.concat(received).equals(sent)).toBe(true);
    sending.destroy();
    for (const connection of accepted) connection.close();
    await listener.close();
  });
});

it('says what to do about a certificate, by why it is refused', () => {
  expect(certificateHint('CERT_HAS_EXPIRED')).toContain('renewed');
  expect(certificateHint('CERT_NOT_YET_VALID')).toContain('clock');
  expect(certificateHint('DEPTH_ZERO_SELF_SIGNED_CERT')).toContain('signed by an authority in peer-tls-ca-cert-file');
});
