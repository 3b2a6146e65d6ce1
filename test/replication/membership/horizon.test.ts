import { describe, expect, it } from '@jest/globals';
import { KIND_STRING, RecordWriter } from '../../../protocol/change-record.ts';
import { FRAME_REPAIR_BUCKETS, REFUSE_HORIZON } from '../../../protocol/peer-frame.ts';
import { encodeRecords, encodeResume, encodeStream } from '../../../protocol/peer-message.ts';
import { encodeBuckets, encodeRepairRecords } from '../../../protocol/peer-repair.ts';
import { compareStamp, parseNodeId, stampHiOf, stampLoOf } from '../../../protocol/stamp.ts';
import type { Stamp } from '../../../replication/replica.ts';
import { Horizon } from '../../../replication/membership/horizon.ts';
import { Membership } from '../../../replication/membership/membership.ts';
import { RawPeer } from '../raw-peer.ts';
import { PEER_VERSION_HIGHEST } from '../../../protocol/peer-frame.ts';
import { VirtualCluster, peerPort, type NodeOptions, type VirtualNode } from '../virtual-cluster.ts';

const horizonMs = 30_000;
const options: NodeOptions = { tombstoneHorizonMs: horizonMs };

async function clusterOf(count: number, seed = 1): Promise<VirtualCluster> {
  const cluster = new VirtualCluster(seed);
  for (let index = 0; index < count; index++) await addTo(cluster, options);
  expect(cluster.settle()).toBe(true);
  return cluster;
}

async function addTo(cluster: VirtualCluster, extra: NodeOptions): Promise<VirtualNode> {
  const node = await cluster.add({ ...options, ...extra });
  node.replica.digestsTombstones = false;
  return node;
}

/** Drops the tombstones that may go, as a node's housekeeping does. */
function vacuum(node: VirtualNode): number {
  const oldMs = node.replica.nowMs() - horizonMs;
  const bound =
    node.replicator.reapableStamp({ hi: stampHiOf(oldMs), lo: stampLoOf(oldMs, 0) }) ?? node.replica.currentStamp();
  node.replicator.noteReaped(bound);
  return node.replica.reap(bound);
}

/** Lets time pass and the nodes drop tombstones meanwhile. */
function pass(cluster: VirtualCluster, nodes: readonly VirtualNode[], durationMs: number): void {
  for (let passedMs = 0; passedMs < durationMs; passedMs += 1000) {
    cluster.run(1000);
    nodes.forEach(vacuum);
  }
}

function tombstones(node: VirtualNode): number {
  return [...node.replica.keys.keys()].filter((name) => node.replica.get(name.slice(2)) === null).length;
}

function values(cluster: VirtualCluster, key: string): (string | null)[] {
  return cluster.nodes.map((node) => node.replica.get(key));
}

function isPastReaped(node: VirtualNode, stamp: Stamp): boolean {
  const { hi, lo } = node.replicator.reapedStamp;
  return compareStamp(hi, lo, stamp.hi, stamp.lo) >= 0;
}

/** Up to where a node says that it has all that members have written, as it would keep it over a crash. */
function hasHeld(node: VirtualNode, stamp: Stamp): boolean {
  const { hi, lo } = parseNodeId(node.replicator.horizonFacts().held)!;
  return compareStamp(hi, lo, stamp.hi, stamp.lo) >= 0;
}

describe('a node that has to resynchronise', () => {
  it('counts as one that has when the state was taken and its stores were gone through, whatever streams bring before', async () => {
    const cluster = await clusterOf(2);
    const [first, second] = cluster.nodes;
    first.write(['key', 'value']);
    expect(cluster.settle()).toBe(true);
    second.replicator.pauseLinks();
    cluster.run(100);
    const removed = first.write(['key', null]);
    pass(cluster, [first], horizonMs * 2.5);
    expect(isPastReaped(first, removed)).toBe(true);
    // It resumes the stream, and cannot begin to compare.
    second.replica.isDigested = false;
    second.replica.isSettled = false;
    second.replicator.resumeLinks();
    cluster.run(10_000);
    expect([second.replica.get('key'), hasHeld(second, removed)]).toEqual([null, false]);
    second.replica.isDigested = true;
    expect(cluster.settle()).toBe(true);
    cluster.run(10_000);
    expect([isPastReaped(second, removed), hasHeld(second, removed)]).toEqual([true, false]);
    second.replica.isSettled = true;
    expect(hasHeld(second, removed)).toBe(true);
  });

  it('does not wait for a member that has left, or has lost what it had forgotten, and no longer than it must', () => {
    const settings = { nodeId: { hi: 0, lo: 9 }, membersMax: 9, memberReapMs: 0, forgetBanMs: 0 };
    const membership = new Membership({ ...settings, tombstoneHorizonMs: horizonMs });
    const replica = { isSettled: true };
    const horizon = new Horizon(membership, { horizon: null, writers: [], hasEvicted: () => false }, replica);
    const [early, late] = [
      { hi: 1, lo: 0 },
      { hi: 2, lo: 0 },
    ];
    const members = [1, 2, 3].map((lo) => membership.meet({ hi: 0, lo }, { hi: 0, lo: 1 }, '', 0, 0)!);
    for (const { id } of members) horizon.met(id, late);
    horizon.taken(early);
    expect(horizon.isBehind).toBe(true);
    horizon.left(members[0]);
    horizon.met(members[1].id, { hi: 0, lo: 0 });
    expect(horizon.isBehind).toBe(true);
    horizon.taken(late);
    expect(horizon.isBehind).toBe(false);
    replica.isSettled = false;
    expect(horizon.isBehind).toBe(true);
  });
});

describe('tombstones', () => {
  it('are dropped as soon as every member has them', async () => {
    const cluster = await clusterOf(3);
    const [first] = cluster.nodes;
    for (let key = 0; key < 50; key++) first.write([`key ${key}`, 'value']);
    for (let key = 0; key < 50; key++) first.write([`key ${key}`, null]);
    pass(cluster, cluster.nodes, horizonMs / 2);
    expect(cluster.nodes.map(tombstones)).toEqual([0, 0, 0]);
    expect(cluster.isEqual()).toBe(true);
  });

  it.each([
    ['', false],
    [', also when it has been linked again, and has said how much it has', true],
  ])('stay while a member may still bring to a database what they have removed%s', async (_, isLinkedAgain) => {
    const cluster = await clusterOf(2);
    const third = await addTo(cluster, { isBroughtTold: true });
    const [first] = cluster.nodes;
    expect(cluster.settle()).toBe(true);
    first.write(['key', 'value']);
    const removed = first.write(['key', null]);
    pass(cluster, cluster.nodes, horizonMs * 0.1);
    if (isLinkedAgain) cluster.world.resetBetween(first.host, third.host);
    pass(cluster, cluster.nodes, horizonMs * 0.7);
    expect(cluster.nodes.map(tombstones)).toEqual([1, 1, 0]);
    third.replicator.noteBrought(removed);
    pass(cluster, cluster.nodes, horizonMs * 0.1);
    expect(cluster.nodes.map(tombstones)).toEqual([0, 0, 0]);
  });

  it.each([
    ['', PEER_VERSION_HIGHEST],
    [' of an older release', PEER_VERSION_HIGHEST - 1],
  ])(
    'stay, however old they are, while a member%s has yet to bring what is older to its database',
    async (_, version) => {
      const cluster = await clusterOf(2);
      const third = await addTo(cluster, { isBroughtTold: true, peerVersionHighest: version });
      const [first] = cluster.nodes;
      expect(cluster.settle()).toBe(true);
      const told = (): number =>
        first.log.lines.filter((line) => line.includes(`${third.id} at n3:7000 has not brought to its database`))
          .length;
      first.write(['key', 'value']);
      const removed = first.write(['key', null]);
      pass(cluster, cluster.nodes, horizonMs * 3);
      expect(cluster.nodes.map(tombstones)).toEqual([1, 1, 0]);
      expect(told()).toBe(1);
      third.replicator.noteBrought(removed);
      pass(cluster, cluster.nodes, horizonMs * 0.1);
      expect(cluster.nodes.map(tombstones)).toEqual([0, 0, 0]);
      expect(told()).toBe(1);
    },
  );

  it('wait in a mesh that stays partial, which the nodes that do not see each other say, until they do', async () => {
    const cluster = await clusterOf(3);
    const [first, second, third] = cluster.nodes;
    first.write(['key', 'value']);
    expect(cluster.settle()).toBe(true);
    cluster.world.cutBoth(first.host, third.host);
    first.write(['key', null]);
    pass(cluster, cluster.nodes, horizonMs * 0.7);
    expect(values(cluster, 'key')).toEqual([null, null, null]);
    const told = (): number[] =>
      cluster.nodes.map(({ log }) => log.lines.filter((line) => line.includes('memory fills with them')).length);
    const waitedFor = (node: VirtualNode): string[] =>
      node.replicator
        .status()
        .peers.filter(({ isWaitedFor }) => isWaitedFor)
        .map(({ id }) => id);
    expect(told()).toEqual([0, 0, 0]);
    pass(cluster, cluster.nodes, horizonMs * 3);
    expect([tombstones(first), tombstones(third)]).toEqual([1, 1]);
    expect(cluster.nodes.map(waitedFor)).toEqual([[third.id], [], [first.id]]);
    expect(told()).toEqual([1, 0, 1]);
    expect(second.log.has('set aside')).toBe(false);
    cluster.world.heal();
    pass(cluster, cluster.nodes, horizonMs);
    expect(cluster.nodes.map(tombstones)).toEqual([0, 0, 0]);
    expect(cluster.nodes.map(waitedFor)).toEqual([[], [], []]);
    expect(told()).toEqual([1, 0, 1]);
  });

  it('are dropped within the horizon also where digests are compared seldom otherwise', async () => {
    const cluster = new VirtualCluster(1);
    for (let index = 0; index < 3; index++) await addTo(cluster, { repairIntervalMs: 20 * horizonMs });
    expect(cluster.settle()).toBe(true);
    const [first] = cluster.nodes;
    first.write(['key', 'value'], ['key', null]);
    pass(cluster, cluster.nodes, horizonMs * 0.95);
    expect(cluster.nodes.map(tombstones)).toEqual([0, 0, 0]);
  });

  it('stay, however old they are, until what members have has been compared', async () => {
    const cluster = await clusterOf(2);
    const [first, second] = cluster.nodes;
    first.write(['key', 'value'], ['key', null]);
    second.replica.isDigested = false;
    pass(cluster, cluster.nodes, horizonMs * 3);
    expect(cluster.nodes.map(tombstones)).toEqual([1, 1]);
    second.replica.isDigested = true;
    pass(cluster, cluster.nodes, horizonMs);
    expect(cluster.nodes.map(tombstones)).toEqual([0, 0]);
  });

  it('that come late from a member which was cut off were in no comparison before', async () => {
    const cluster = await clusterOf(3);
    const [first, second, third] = cluster.nodes;
    first.write(['key', 'value']);
    expect(cluster.settle()).toBe(true);
    for (const { host } of [second, third]) cluster.world.cutBoth(first.host, host);
    cluster.run(100);
    first.write(['key', null]);
    pass(cluster, [second, third], horizonMs * 0.9);
    // One hears of the deletion, which is nearly beyond the horizon, and has compared nothing with the other since.
    third.replica.isDigested = false;
    cluster.world.mend(first.host, second.host);
    cluster.world.mend(second.host, first.host);
    pass(cluster, [second, third], horizonMs * 0.9);
    expect(values(cluster, 'key')).toEqual([null, null, 'value']);
    expect(tombstones(second)).toBe(1);
    third.replica.isDigested = true;
    pass(cluster, [second, third], horizonMs / 2);
    expect(values(cluster, 'key')).toEqual([null, null, null]);
  });

  it('make nobody resynchronise whose link breaks while it dials somebody whom it has never met', async () => {
    const cluster = await clusterOf(2);
    const [first, second] = cluster.nodes;
    first.write(['key', 'value'], ['key', null]);
    pass(cluster, cluster.nodes, horizonMs / 2);
    expect(isPastReaped(second, first.replica.currentStamp())).toBe(false);
    expect(second.replicator.reapedStamp.hi).toBeGreaterThan(0);
    const before = first.log.lines.length;
    first.replicator.addPeer('nobody', peerPort);
    for (const node of cluster.nodes) node.replicator.pauseLinks();
    cluster.run(1000);
    for (const node of cluster.nodes) node.replicator.resumeLinks();
    expect(cluster.settle()).toBe(true);
    expect(first.log.lines.slice(before).filter((line) => line.includes('takes the state of'))).toEqual([]);
  });

  it('wait for a member that is away, until the horizon', async () => {
    const cluster = await clusterOf(3);
    const [first, second, third] = cluster.nodes;
    first.write(['key', 'value']);
    cluster.run(1000);
    third.replicator.pauseLinks();
    first.write(['key', null]);
    pass(cluster, [first, second], horizonMs / 2);
    expect([tombstones(first), tombstones(second)]).toEqual([1, 1]);
    pass(cluster, [first, second], horizonMs);
    expect([tombstones(first), tombstones(second)]).toEqual([0, 0]);
    for (const node of [first, second]) {
      expect(node.log.has('away for longer than tombstone-horizon')).toBe(true);
      expect(node.replicator.status().peers.find((peer) => peer.id === third.id)?.state).toBe('set-aside');
    }
  });

  it('reach a node that never had the key, before they count as being everywhere', async () => {
    const cluster = await clusterOf(2);
    const [first, second] = cluster.nodes;
    second.replicator.pauseLinks();
    cluster.run(100);
    first.write(['key', 'value']);
    const deletion = first.write(['key', null]);
    await first.restart();
    second.replicator.resumeLinks();
    expect(cluster.settle()).toBe(true);
    // Nothing that shows differs, and the stream of the run before is gone: only the repair can have told.
    expect(second.replica.stampOf('key')).toEqual(deletion);
  });
});

describe('a member that was away beyond the horizon', () => {
  async function returned(): Promise<{ cluster: VirtualCluster; third: VirtualNode }> {
    const cluster = await clusterOf(3);
    const [first, second, third] = cluster.nodes;
    for (let key = 0; key < 20; key++) first.write([`deleted ${key}`, 'old']);
    first.write(['kept', 'old'], ['changed', 'old']);
    third.write(['mine, deleted', 'old']);
    cluster.run(3000);
    third.replicator.pauseLinks();
    cluster.run(10);
    for (let key = 0; key < 20; key++) first.write([`deleted ${key}`, null]);
    second.write(['mine, deleted', null]);
    second.write(['changed', 'new']);
    third.write(['written early', 'away'], ['kept too', 'away']);
    pass(cluster, [first, second], horizonMs * 2.5);
    third.write(['written late', 'away'], ['kept', 'changed away']);
    expect(cluster.nodes.slice(0, 2).map(tombstones)).toEqual([0, 0]);
    return { cluster, third };
  }

  it('takes the state of the others: the deleted stays deleted, what it wrote itself is not lost', async () => {
    const { cluster, third } = await returned();
    third.replicator.resumeLinks();
    expect(cluster.settle()).toBe(true);
    for (let key = 0; key < 20; key++) expect(values(cluster, `deleted ${key}`)).toEqual([null, null, null]);
    expect(values(cluster, 'mine, deleted')).toEqual([null, null, null]);
    expect(values(cluster, 'changed')).toEqual(['new', 'new', 'new']);
    expect(values(cluster, 'written early')).toEqual(['away', 'away', 'away']);
    expect(values(cluster, 'written late')).toEqual(['away', 'away', 'away']);
    expect(values(cluster, 'kept')).toEqual(['changed away', 'changed away', 'changed away']);
    expect(third.log.has('it resynchronises before it may push')).toBe(true);
    expect(cluster.nodes[0].log.has('has to resynchronise before it may push')).toBe(true);
    pass(cluster, cluster.nodes, 10_000);
    expect(cluster.isEqual()).toBe(true);
    expect(cluster.nodes.map(tombstones)).toEqual([0, 0, 0]);
  });

  it.each([2, 3, 4, 5])('does so whatever is cut meanwhile (seed %i)', async (seed) => {
    const { cluster, third } = await returned();
    third.replicator.resumeLinks();
    for (let round = 0; round < 15; round++) {
      cluster.run(2 + ((seed * 7919 + round * 31) % 40));
      cluster.world.resetBetween('n3', round % 2 === 0 ? 'n1' : 'n2');
    }
    expect(cluster.settle()).toBe(true);
    for (let key = 0; key < 20; key++) expect(values(cluster, `deleted ${key}`)).toEqual([null, null, null]);
    expect(values(cluster, 'written early')).toEqual(['away', 'away', 'away']);
  });

  it('may be either side of the link, and restarted', async () => {
    const { cluster } = await returned();
    // The node with the lowest id leads repairs: now it is the one that comes with an old disk.
    const [first, second, third] = cluster.nodes;
    third.replicator.resumeLinks();
    expect(cluster.settle()).toBe(true);
    second.write(['old', 'value']);
    cluster.run(5000);
    const { keys } = first.replica;
    const copy = new Map([...keys].map(([name, key]) => [name, { ...key, registers: new Map(key.registers) }]));
    const digests = first.replica.digests.slice();
    const facts = first.replicator.horizonFacts();
    second.write(['old', null]);
    first.write(['after the backup', 'x']);
    pass(cluster, cluster.nodes, horizonMs / 2);
    expect(tombstones(second)).toBe(0);
    first.replica.keys = copy;
    first.replica.digests.set(digests);
    await first.restart({ horizon: facts });
    expect(cluster.settle()).toBe(true);
    expect(values(cluster, 'old')).toEqual([null, null, null]);
    expect(values(cluster, 'after the backup')).toEqual(['x', 'x', 'x']);
  });

  it('is refused when it pushes all the same', async () => {
    const cluster = await clusterOf(2);
    cluster.nodes[0].write(['key', 'value']);
    cluster.nodes[0].write(['key', null]);
    pass(cluster, cluster.nodes, horizonMs / 2);
    const stamp = cluster.nodes[0].replica.currentStamp();
    const writer = new RecordWriter();
    writer.begin(KIND_STRING, 0, stamp.hi, stamp.lo, 0xabc00000, 99, 0, Buffer.from('zombie'), 0, 6);
    writer.end();
    const records = Buffer.from(writer.buffer.subarray(0, writer.length));
    const zero = { hi: 0, lo: 0 };
    const pushes: [string, Buffer[]][] = [
      ['a stream', [encodeStream({ flag: false, ...zero })]],
      ['a turn', [encodeRecords(stamp, zero, false, records, 0, records.length)]],
      [
        'repair records',
        [encodeBuckets(zero, [], new Uint32Array(131072)), encodeRepairRecords(false, records, 0, records.length)],
      ],
    ];
    for (const [what, frames] of pushes) {
      const horizon = { held: zero, reaped: zero, writer: { hi: 0xabc00000, lo: 99 } };
      const peer = new RawPeer(cluster, { horizon }, `raw ${what}`);
      peer.sayHello();
      peer.sayAuth();
      peer.send(encodeResume({ flag: false, ...zero }), ...frames);
      expect([what, peer.refusal?.reason]).toEqual([what, REFUSE_HORIZON]);
      expect(cluster.nodes[0].replica.get('zombie')).toBeNull();
    }
    expect(FRAME_REPAIR_BUCKETS).toBe(18);
  });
});

describe('a partition longer than the horizon', () => {
  it.each([1, 2, 3])('brings back nothing and loses nothing, on either side (seed %i)', async (seed) => {
    const cluster = await clusterOf(4, seed);
    const [a, b, c, d] = cluster.nodes;
    for (let key = 0; key < 10; key++) a.write([`common ${key}`, 'old']);
    cluster.run(3000);
    for (const left of ['n1', 'n2']) for (const right of ['n3', 'n4']) cluster.world.cutBoth(left, right);
    cluster.run(100);
    a.write(['common 0', null], ['left', 'a'], ['left, gone', 'a']);
    c.write(['common 1', null], ['right', 'c'], ['right, gone', 'c']);
    cluster.run(100);
    b.write(['left, gone', null], ['common 2', 'b']);
    d.write(['right, gone', null], ['common 3', 'd']);
    pass(cluster, cluster.nodes, horizonMs * 2.5);
    expect(cluster.nodes.map(tombstones)).toEqual([0, 0, 0, 0]);
    cluster.world.heal();
    expect(cluster.settle()).toBe(true);
    const shown = (key: string): (string | null)[] => [...new Set(values(cluster, key))];
    expect(shown('common 0')).toEqual([null]);
    expect(shown('common 1')).toEqual([null]);
    expect(shown('common 2')).toEqual(['b']);
    expect(shown('common 3')).toEqual(['d']);
    expect(shown('common 4')).toEqual(['old']);
    expect(shown('left')).toEqual(['a']);
    expect(shown('right')).toEqual(['c']);
    expect(shown('left, gone')).toEqual([null]);
    expect(shown('right, gone')).toEqual([null]);
  });
});

describe('nodes that never met', () => {
  it('lose nothing of each other, whatever they have deleted before', async () => {
    const cluster = new VirtualCluster(5);
    const first = await addTo(cluster, { peers: [] });
    const second = await addTo(cluster, { peers: [] });
    for (const node of cluster.nodes) {
      node.write([`of ${node.host}`, 'x'], ['deleted', 'x']);
      node.write(['deleted', null]);
      vacuum(node);
      expect(isPastReaped(node, node.replica.stampOf(`of ${node.host}`))).toBe(true);
    }
    second.replicator.addPeer('n1', peerPort);
    expect(cluster.settle()).toBe(true);
    expect([values(cluster, 'of n1'), values(cluster, 'of n2')]).toEqual([
      ['x', 'x'],
      ['x', 'x'],
    ]);
    expect(first.replica.get('deleted')).toBeNull();
  });
});

describe('MANTIS FORGET', () => {
  it('is told to everyone, also to who comes later, and the node has to resynchronise', async () => {
    const cluster = await clusterOf(4);
    const [first, second, third, gone] = cluster.nodes;
    gone.write(['deleted', 'old']);
    cluster.run(3000);
    gone.replicator.pauseLinks();
    third.replicator.pauseLinks();
    cluster.run(100);
    first.write(['deleted', null]);
    expect(first.replicator.forget(gone.id)).toBe(true);
    cluster.run(1000);
    const knows = (node: VirtualNode): boolean => node.replicator.status().peers.some((peer) => peer.id === gone.id);
    expect([knows(first), knows(second), knows(third)]).toEqual([false, false, true]);
    third.replicator.resumeLinks();
    cluster.run(3000);
    expect([knows(first), knows(second), knows(third)]).toEqual([false, false, false]);
    pass(cluster, [first, second, third], 10_000);
    expect([first, second, third].map(tombstones)).toEqual([0, 0, 0]);
    // Kept out for a minute, then let in again, like a member from beyond the horizon.
    gone.replicator.resumeLinks();
    cluster.run(5000);
    expect(gone.replicator.linkedPeers).toBe(0);
    cluster.run(60_000);
    expect(cluster.settle()).toBe(true);
    expect(values(cluster, 'deleted')).toEqual([null, null, null, null]);
    expect(gone.log.has('it resynchronises before it may push')).toBe(true);
    cluster.run(5000);
    expect(cluster.isMeshed()).toBe(true);
  });
});
