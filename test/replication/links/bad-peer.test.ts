import { describe, expect, it } from '@jest/globals';
import { FLAG_DEAD, RecordWriter } from '../../../protocol/change-record.ts';
import {
  FRAME_ACK,
  FRAME_AUTH,
  FRAME_PING,
  FRAME_RECORDS,
  FRAME_REPAIR_ASK,
  FRAME_REPAIR_DONE,
  FRAME_REPAIR_GROUPS,
  FRAME_REPAIR_SUMMARIES,
  FRAME_RESUME,
  PEER_MAGIC,
  REFUSE_ACK,
  REFUSE_CHECKSUM,
  REFUSE_CLOCK,
  REFUSE_CLUSTER,
  REFUSE_FORGOTTEN,
  REFUSE_MAGIC,
  REFUSE_MALFORMED,
  REFUSE_NODE_ID,
  REFUSE_RECORDS,
  REFUSE_SECRET,
  REFUSE_SELF,
  REFUSE_SILENT,
  REFUSE_STAMP,
  REFUSE_TOO_LONG,
  REFUSE_VERSION,
} from '../../../protocol/peer-frame.ts';
import {
  decodeAck,
  encodeAck,
  encodePing,
  encodeRecords,
  encodeResume,
  encodeStream,
} from '../../../protocol/peer-message.ts';
import { encodeEmpty, encodeGroups, encodeRule } from '../../../protocol/peer-repair.ts';
import type { Stamp } from '../../../replication/replica.ts';
import { RawPeer } from '../raw-peer.ts';
import { VirtualCluster, stampAhead, type NodeOptions } from '../virtual-cluster.ts';

async function oneNode(options: NodeOptions = {}): Promise<VirtualCluster> {
  const cluster = new VirtualCluster(5);
  await cluster.add(options);
  return cluster;
}

function record(stamp: Stamp, value: string, originLo = 99): Buffer {
  const writer = new RecordWriter(256);
  const bytes = Buffer.from(`key${value}`);
  writer.begin(1, value === '' ? FLAG_DEAD : 0, stamp.hi, stamp.lo, 0xabc00000, originLo, 0, bytes, 0, 3);
  writer.value(bytes, 3, bytes.length - 3);
  writer.end();
  return writer.take();
}

function turn(stamp: Stamp, previous: Stamp, value: string): Buffer {
  const bytes = record(stamp, value);
  return encodeRecords(stamp, previous, false, bytes, 0, bytes.length);
}

const zero: Stamp = { hi: 0, lo: 0 };
const ping = {
  clockHi: 0,
  clockLo: 0,
  wallMs: 0,
  token: 1,
  backlogBytes: 0,
  published: zero,
  complete: zero,
  held: zero,
  members: [],
};
const at = (lo: number): Stamp => ({ hi: 5, lo });

describe('before authentication', () => {
  it('closes on a wrong magic and says so', async () => {
    const cluster = await oneNode();
    const peer = new RawPeer(cluster);
    peer.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    expect(peer.refusal?.reason).toBe(REFUSE_MAGIC);
    expect(peer.isClosed).toBe(true);
    expect(cluster.nodes[0].log.has('does not begin with MNTS')).toBe(true);
  });

  it('closes when there is no common version', async () => {
    const peer = new RawPeer(await oneNode(), { versionLowest: 6, versionHighest: 9 });
    peer.sayHello();
    expect(peer.refusal).toEqual({
      reason: REFUSE_VERSION,
      message: 'no common version: one side speaks 6 to 9, the other 1 to 5',
    });
  });

  it('keeps out whose release cannot be told what has been deleted, once tombstones are gone', async () => {
    const cluster = await oneNode();
    new RawPeer(cluster).join().close();
    cluster.nodes[0].replicator.noteReaped({ hi: 1, lo: 0 });
    const peer = new RawPeer(cluster);
    peer.sayHello();
    peer.sayAuth();
    expect(peer.refusal).toMatchObject({ reason: REFUSE_VERSION, message: expect.stringContaining('upgrade it') });
  });

  it('closes on a frame over 64 KiB', async () => {
    const peer = new RawPeer(await oneNode());
    const length = Buffer.alloc(4);
    length.writeUInt32LE(64 * 1024 + 1);
    peer.send(PEER_MAGIC, length);
    expect(peer.refusal?.reason).toBe(REFUSE_TOO_LONG);
  });

  it.each([
    ['a wrong secret', ['another secret']],
    ['no secret', []],
  ])('refuses %s, and neither shows a proof nor says anything of its content', async (_name, secrets) => {
    const cluster = await oneNode();
    const peer = new RawPeer(cluster);
    peer.sayHello();
    peer.sayAuth(secrets);
    expect(peer.refusal?.reason).toBe(REFUSE_SECRET);
    expect(peer.frame(FRAME_AUTH)).toBeUndefined();
    expect(cluster.nodes[0].replicator.status().peers).toEqual([]);
    expect(cluster.nodes[0].log.has('warn refused node abc0000000000063')).toBe(true);
  });

  it('takes the first or the second of two secrets', async () => {
    const cluster = await oneNode({ secrets: ['new', 'old'] });
    for (const secret of ['new', 'old']) {
      const peer = new RawPeer(cluster);
      peer.sayHello();
      peer.sayAuth([secret]);
      expect(peer.refusal).toBeNull();
      expect(peer.frame(FRAME_AUTH)!.payload[0]).toBe(2);
      peer.close();
    }
  });

  it('takes no other frame first, and does not wait for ever', async () => {
    const cluster = await oneNode();
    const early = new RawPeer(cluster);
    early.send(PEER_MAGIC, encodeAck(1, 1));
    expect(early.refusal?.reason).toBe(REFUSE_MALFORMED);
    const silent = new RawPeer(cluster);
    cluster.run(6000);
    expect(silent.refusal?.reason).toBe(REFUSE_SILENT);
  });

  it('holds a bounded number of strangers', async () => {
    const cluster = await oneNode();
    const peers = Array.from({ length: 140 }, () => new RawPeer(cluster));
    expect(peers.filter((peer) => peer.isClosed).length).toBe(12);
  });
});

describe('identity', () => {
  it('refuses a foreign cluster', async () => {
    const peer = new RawPeer(await oneNode({ clusterId: 'ours' }), { clusterId: 'theirs' });
    peer.sayHello();
    peer.sayAuth();
    expect(peer.refusal).toEqual({ reason: REFUSE_CLUSTER, message: "different clusters: 'theirs' and 'ours'" });
  });

  it('refuses a copy of itself', async () => {
    const cluster = await oneNode();
    const peer = new RawPeer(cluster, { nodeLo: 1 });
    peer.sayHello();
    peer.sayAuth();
    expect(peer.refusal?.reason).toBe(REFUSE_NODE_ID);
    expect(cluster.nodes[0].log.has('error refused node abc0000000000001')).toBe(true);
  });

  it('recognises itself', async () => {
    const cluster = await oneNode();
    const { incarnation } = cluster.nodes[0].replicator.settings;
    const peer = new RawPeer(cluster, { nodeLo: 1, incarnationHi: incarnation.hi, incarnationLo: incarnation.lo });
    peer.sayHello();
    peer.sayAuth();
    expect(peer.refusal?.reason).toBe(REFUSE_SELF);
  });

  it('refuses the id of a node that lives, takes it when that one is silent', async () => {
    const cluster = await oneNode();
    const first = new RawPeer(cluster).join();
    first.send(encodeEmpty(FRAME_REPAIR_ASK).subarray(0, 3));
    const second = new RawPeer(cluster, { incarnationLo: 3 }, 'other');
    second.sayHello();
    second.sayAuth();
    expect(second.refusal?.reason).toBe(REFUSE_NODE_ID);
    expect(second.refusal?.message).toContain('copied data directory');
    cluster.run(2500);
    const third = new RawPeer(cluster, { incarnationLo: 3 }, 'other').join();
    expect(third.refusal).toBeNull();
    expect(first.isClosed).toBe(true);
  });

  it('refuses a forgotten node for a while', async () => {
    const cluster = await oneNode();
    const { replicator } = cluster.nodes[0];
    const peer = new RawPeer(cluster).join();
    expect(replicator.forget('ABC0000000000063')).toBe(true);
    cluster.run(20);
    expect(peer.refusal?.reason).toBe(REFUSE_FORGOTTEN);
    expect(replicator.status().peers).toEqual([]);
    const again = new RawPeer(cluster);
    again.sayHello();
    again.sayAuth();
    expect(again.refusal?.reason).toBe(REFUSE_FORGOTTEN);
    cluster.run(61_000);
    expect(new RawPeer(cluster).join().refusal).toBeNull();
  });
});

describe('the live stream', () => {
  it('merges turns in order and acknowledges the last', async () => {
    const cluster = await oneNode();
    const peer = new RawPeer(cluster).join();
    peer.send(turn(at(1), zero, 'one'), turn(at(2), at(1), 'two'));
    expect(cluster.nodes[0].replica.get('key')).toBe('two');
    const acks = peer.frames.filter((frame) => frame.type === FRAME_ACK).map((frame) => decodeAck(frame.payload, 0, 8));
    expect(acks).toEqual([at(2)]);
  });

  it('takes no harm from duplicated, reordered and replayed turns', async () => {
    const cluster = await oneNode();
    const { replica, replicator } = cluster.nodes[0];
    const peer = new RawPeer(cluster).join();
    const turns = [turn(at(1), zero, '1'), turn(at(2), at(1), '2'), turn(at(3), at(2), '3'), turn(at(4), at(3), '4')];
    peer.send(turns[0], turns[0], turns[2]);
    expect(replicator.status().peers[0].hasGap).toBe(true);
    peer.send(turns[1], turns[2], turns[3], turns[0]);
    expect(replicator.status().peers[0]).toMatchObject({ hasGap: false, applied: '20480-4' });
    expect(replica.get('key')).toBe('4');
    expect(peer.refusal).toBeNull();
  });

  it('sees a gap, does not acknowledge past it, and wants a repair', async () => {
    const cluster = await oneNode();
    const peer = new RawPeer(cluster).join();
    peer.send(turn(at(1), zero, '1'), turn(at(3), at(2), '3'));
    expect(cluster.nodes[0].replica.get('key')).toBe('3');
    const acks = peer.frames
      .filter((frame) => frame.type === FRAME_ACK)
      .map((frame) => decodeAck(frame.payload, 0, 8).lo);
    expect(acks).toEqual([1]);
    expect(peer.frame(FRAME_REPAIR_GROUPS)).toBeDefined();
  });

  it('asks the leader when it has the higher id', async () => {
    const cluster = await oneNode();
    const peer = new RawPeer(cluster, { nodeHi: 1 }).join();
    peer.send(turn(at(3), at(2), '3'), turn(at(5), at(4), '5'));
    expect(peer.frames.filter((frame) => frame.type === FRAME_REPAIR_ASK).length).toBe(1);
  });

  it('applies a turn of several frames when its last part is in', async () => {
    const cluster = await oneNode();
    const { replica } = cluster.nodes[0];
    const peer = new RawPeer(cluster).join();
    const bytes = record(at(1), 'in parts');
    peer.send(encodeRecords(at(1), zero, true, bytes, 0, 10), encodeRecords(at(1), zero, true, bytes, 10, 20));
    expect(replica.get('key')).toBeNull();
    peer.send(encodeRecords(at(1), zero, false, bytes, 20, bytes.length));
    expect(replica.get('key')).toBe('in parts');
  });

  it('drops a turn that never ended, and goes on', async () => {
    const cluster = await oneNode();
    const peer = new RawPeer(cluster).join();
    const bytes = record(at(1), 'never');
    peer.send(encodeRecords(at(1), zero, true, bytes, 0, 10), turn(at(2), at(1), 'next'));
    expect(cluster.nodes[0].replica.get('key')).toBe('next');
    expect(cluster.nodes[0].replicator.status().peers[0].hasGap).toBe(true);
  });

  it('bounds a turn', async () => {
    const peer = new RawPeer(await oneNode({ turnBytesMax: 100 })).join();
    const bytes = Buffer.alloc(60);
    peer.send(encodeRecords(at(1), zero, true, bytes, 0, 60), encodeRecords(at(1), zero, true, bytes, 0, 60));
    expect(peer.refusal?.reason).toBe(REFUSE_TOO_LONG);
  });

  const most: Stamp = { hi: 0xffffffff, lo: 0xffffffff };
  const whole = record(at(1), 'x');
  it.each([
    ['stamp 0', encodeRecords(zero, zero, false, whole, 0, whole.length), REFUSE_STAMP],
    ['the greatest stamp', encodeRecords(most, zero, false, whole, 0, whole.length), REFUSE_STAMP],
    ['a stamp below the one before', turn(at(1), at(2), 'x'), REFUSE_STAMP],
    [
      'a record of stamp 0',
      encodeRecords(at(1), zero, false, record(zero, 'x'), 0, record(zero, 'x').length),
      REFUSE_STAMP,
    ],
    [
      'a record of the greatest stamp',
      encodeRecords(at(1), zero, false, record(most, 'x'), 0, record(most, 'x').length),
      REFUSE_STAMP,
    ],
    ['half a record', encodeRecords(at(1), zero, false, whole, 0, whole.length - 1), REFUSE_RECORDS],
    ['an acknowledgement of what was never sent', encodeAck(0xfffffff0, 9), REFUSE_ACK],
    ['a resumption of what was never sent', encodeResume({ flag: true, hi: 0xfffffff0, lo: 9 }), REFUSE_ACK],
    ['a repair frame out of turn', encodeEmpty(FRAME_REPAIR_SUMMARIES), REFUSE_MALFORMED],
    ['an unknown frame', encodeEmpty(77), REFUSE_MALFORMED],
    ['a frame with an empty payload', encodeEmpty(FRAME_PING), REFUSE_MALFORMED],
  ])('closes on %s, with nothing applied', async (_name, frame, reason) => {
    const cluster = await oneNode();
    const peer = new RawPeer(cluster).join();
    const before = cluster.nodes[0].replica.digest();
    peer.send(frame);
    expect(peer.refusal?.reason).toBe(reason);
    expect(peer.isClosed).toBe(true);
    expect(cluster.nodes[0].replica.digest()).toBe(before);
  });

  it('closes on what shows to be wrong only when it comes to answer it', async () => {
    const cluster = await oneNode();
    const reaped: Stamp = { hi: 1, lo: 0 };
    // The node has to resynchronise first, and is not the leader: it keeps the RESUME until it has said DONE.
    const horizon = { held: reaped, reaped, writer: reaped };
    const peer = new RawPeer(cluster, { nodeHi: 1, horizon });
    peer.sayHello();
    peer.sayAuth();
    peer.send(encodeResume({ flag: true, hi: 0xfffffff0, lo: 9 }), encodeRule({ reaped, isProof: true, nodes: [] }));
    peer.send(encodeGroups(zero, new Uint32Array(512)));
    expect(peer.refusal).toBeNull();
    peer.send(encodeEmpty(FRAME_REPAIR_DONE));
    cluster.run(200);
    expect(peer.refusal?.reason).toBe(REFUSE_ACK);
    expect(peer.isClosed).toBe(true);
    expect(new RawPeer(cluster, { horizon }).join().refusal).toBeNull();
  });

  it('closes on records before STREAM', async () => {
    const peer = new RawPeer(await oneNode());
    peer.sayHello();
    peer.sayAuth();
    expect(peer.frame(FRAME_RESUME)).toBeDefined();
    peer.send(turn(at(1), zero, 'x'));
    expect(peer.refusal?.reason).toBe(REFUSE_MALFORMED);
  });

  it('applies nothing of a turn cut off at any byte, and resumes after it', async () => {
    const cluster = await oneNode();
    const { replica, replicator } = cluster.nodes[0];
    let previous = zero;
    const size = turn(at(1), zero, 'whole').length;
    for (let cut = 0; cut < size; cut++) {
      const stamp = at(cut + 1);
      const peer = new RawPeer(cluster).join(previous);
      const applied = replica.appliedRecords;
      const frame = turn(stamp, previous, 'whole');
      peer.send(frame.subarray(0, cut));
      peer.close();
      expect(replica.appliedRecords).toBe(applied);
      const again = new RawPeer(cluster).join(previous);
      again.send(frame);
      again.close();
      expect(replica.appliedRecords).toBe(applied + 1);
      previous = stamp;
    }
    expect(replicator.status().peers[0].hasGap).toBe(false);
  });

  it('closes on any flipped bit, with nothing applied', async () => {
    const cluster = await oneNode();
    const frame = turn(at(1), zero, 'flipped');
    for (let byte = 4; byte < frame.length; byte++) {
      const peer = new RawPeer(cluster).join();
      const bad = Buffer.from(frame);
      bad[byte] ^= 1 << (byte % 8);
      peer.send(bad);
      expect(peer.refusal?.reason).toBe(REFUSE_CHECKSUM);
    }
    expect(cluster.nodes[0].replica.appliedRecords).toBe(0);
  });
});

describe('the clock bound', () => {
  const soon = stampAhead(30_000);
  const far = stampAhead(90_000);

  it('takes stamps inside it, and the clock follows', async () => {
    const cluster = await oneNode();
    const peer = new RawPeer(cluster).join();
    peer.send(turn(soon, zero, 'soon'));
    expect(peer.refusal).toBeNull();
    const stamp = cluster.nodes[0].write(['key', 'later']);
    expect(stamp.hi >= soon.hi).toBe(true);
    expect(cluster.nodes[0].replica.get('key')).toBe('later');
  });

  it('quarantines a peer whose turns are beyond it', async () => {
    const cluster = await oneNode();
    const peer = new RawPeer(cluster).join();
    peer.send(turn(far, zero, 'far'));
    expect(peer.refusal?.reason).toBe(REFUSE_CLOCK);
    expect(cluster.nodes[0].replica.get('key')).toBeNull();
    expect(cluster.nodes[0].replicator.status().peers[0].state).toBe('quarantined');
  });

  it('also when only a record in the turn is, or its ping, or its hello', async () => {
    const cluster = await oneNode();
    const bytes = record(far, 'far');
    const peer = new RawPeer(cluster).join();
    peer.send(encodeRecords(at(1), zero, false, bytes, 0, bytes.length));
    expect(peer.refusal?.reason).toBe(REFUSE_CLOCK);
    const pinging = new RawPeer(cluster).join();
    pinging.send(encodePing({ ...ping, clockHi: far.hi, clockLo: far.lo }));
    expect(pinging.refusal?.reason).toBe(REFUSE_CLOCK);
    const greeting = new RawPeer(cluster, { clockHi: far.hi, clockLo: far.lo });
    greeting.sayHello();
    greeting.sayAuth();
    expect(greeting.refusal?.reason).toBe(REFUSE_CLOCK);
    expect(cluster.nodes[0].replica.appliedRecords).toBe(0);
  });

  it('closes a link that is silent', async () => {
    const cluster = await oneNode();
    const peer = new RawPeer(cluster).join();
    peer.send(encodeStream({ flag: true, ...zero }));
    cluster.run(5500);
    expect(peer.refusal?.reason).toBe(REFUSE_SILENT);
    expect(peer.refusal?.message).toMatch(/^nothing heard for \d+ ms$/);
    expect(cluster.nodes[0].replicator.status().peers[0]).toMatchObject({ state: 'down', direction: null });
    expect(peer.frames.some((frame) => frame.type === FRAME_RECORDS)).toBe(false);
  });
});
