import { describe, expect, it } from '@jest/globals';
import { compareStamp } from '../../../protocol/stamp.ts';
import type { PeerStatus } from '../../../replication/status.ts';
import { RawPeer } from '../raw-peer.ts';
import { VirtualCluster, peerPort, type NodeOptions } from '../virtual-cluster.ts';

async function meshOf(count: number, options: NodeOptions = {}, seed = 1): Promise<VirtualCluster> {
  const cluster = new VirtualCluster(seed);
  for (let index = 0; index < count; index++) await cluster.add(options);
  expect(cluster.settle()).toBe(true);
  return cluster;
}

function repairs(cluster: VirtualCluster): number {
  return cluster.nodes.flatMap((node) => node.replicator.status().peers).reduce((sum, peer) => sum + peer.repairs, 0);
}

function isStable(cluster: VirtualCluster, stamp: { hi: number; lo: number }, index = 0): boolean {
  const { hi, lo } = cluster.nodes[index].replicator.stableStamp()!;
  return compareStamp(hi, lo, stamp.hi, stamp.lo) >= 0;
}

const slowRepairs = { repairIntervalMs: 3_600_000 };

describe('the mesh', () => {
  it('grows to five nodes from one seed address, one link a pair', async () => {
    const cluster = await meshOf(5);
    cluster.run(10_000);
    for (const node of cluster.nodes) {
      const { peers } = node.replicator.status();
      expect(peers.map((peer) => peer.state)).toEqual(['streaming', 'streaming', 'streaming', 'streaming']);
      expect(new Set(peers.map((peer) => peer.id)).size).toBe(4);
      for (const peer of peers) expect(peer.roundTripMs).toBeLessThan(25);
    }
    const outgoing = cluster.nodes.flatMap((node) =>
      node.replicator.status().peers.filter((peer) => peer.direction === 'outgoing'),
    );
    expect(outgoing.length).toBe(10);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('keeps one link when both sides dial at once (seed %i)', async (seed) => {
    const cluster = new VirtualCluster(seed);
    await cluster.add({ peers: [{ host: 'n2', port: peerPort }] });
    await cluster.add({ peers: [{ host: 'n1', port: peerPort }] });
    expect(cluster.settle()).toBe(true);
    const links = (): number[] => cluster.nodes.map((node) => node.replicator.status().peers[0].links);
    cluster.run(2000);
    const settled = links();
    cluster.run(30_000);
    expect(links()).toEqual(settled);
    const directions = cluster.nodes.map((node) => node.replicator.status().peers[0].direction).sort();
    expect(directions).toEqual(['incoming', 'outgoing']);
    cluster.nodes[0].write(['key', 'value']);
    cluster.run(20);
    expect(cluster.nodes[1].replica.get('key')).toBe('value');
  });

  it.each([3, 4, 5, 6, 7, 8])('takes a link that makes way for another for no loss (seed %i)', async (seed) => {
    const cluster = new VirtualCluster(seed);
    // So rarely that the second does not hear of the third meanwhile.
    const options = { ...slowRepairs, pingIntervalMs: 40_000, peerTimeoutMs: 100_000 };
    const first = await cluster.add(options);
    const second = await cluster.add(options);
    const third = await cluster.add({ ...options, peers: [] });
    cluster.run(1000);
    first.replicator.addPeer('n3', peerPort);
    third.replicator.addPeer('n1', peerPort);
    cluster.run(10_000);
    const [toSecond, toThird] = first.replicator.status().peers;
    expect(toThird).toMatchObject({ state: 'streaming', links: 2 });
    // The comparison of when the two met, and none because of another that was lost.
    expect(toSecond).toMatchObject({ id: second.id, repairs: 1 });
  });

  it('takes a name with several addresses for several peers, its own among them', async () => {
    const cluster = new VirtualCluster(3);
    cluster.world.names.set('mantis', ['n1', 'n2', 'n3']);
    for (let index = 0; index < 3; index++) await cluster.add({ peers: [{ host: 'mantis', port: peerPort }] });
    expect(cluster.settle()).toBe(true);
    cluster.world.names.set('mantis', ['n1', 'n2', 'n3', 'n4']);
    await cluster.add({ peers: [] });
    expect(cluster.settle()).toBe(true);
    expect(cluster.nodes.every((node) => node.replicator.status().peers.length === 3)).toBe(true);
  });

  it('finds its members again after all have restarted', async () => {
    const cluster = await meshOf(4);
    for (const node of cluster.nodes) node.write([`of ${node.host}`, 'x']);
    for (const node of cluster.nodes) await node.restart();
    expect(cluster.settle()).toBe(true);
    expect(cluster.nodes[0].replica.keyCount()).toBe(4);
  });

  it('refuses a clone of a living node on both sides, and the others are untouched', async () => {
    const cluster = await meshOf(3);
    const clone = await cluster.add({ nodeId: { hi: 0xabc00000, lo: 2 } });
    cluster.run(10_000);
    expect(clone.replicator.linkedPeers).toBe(0);
    expect(clone.log.has('in use by two nodes')).toBe(true);
    expect(cluster.nodes[0].log.has('in use by two nodes')).toBe(true);
    expect(cluster.nodes.slice(0, 3).every((node) => node.replicator.linkedPeers === 2)).toBe(true);
  });

  it('forgets a member, everywhere it is told to', async () => {
    const cluster = await meshOf(3);
    const gone = cluster.nodes.pop()!;
    cluster.world.crash(gone.host);
    await gone.replicator.stop();
    cluster.run(3000);
    expect(cluster.nodes[0].replicator.status().peers.length).toBe(2);
    const stamp = cluster.nodes[0].write(['key', 'value']);
    cluster.run(100);
    expect(isStable(cluster, stamp)).toBe(false);
    for (const node of cluster.nodes) expect(node.replicator.forget(gone.id)).toBe(true);
    expect(cluster.nodes[0].replicator.forget('0000000000000001')).toBe(false);
    cluster.run(30_000);
    expect(cluster.nodes[0].replicator.status().peers.length).toBe(1);
    expect(isStable(cluster, stamp)).toBe(true);
  });

  it('knows what everyone has, and does not where a member is away or not known', async () => {
    const cluster = new VirtualCluster(6);
    const first = await cluster.add();
    expect(first.replicator.stableStamp()).toBeNull();
    await cluster.add();
    const third = await cluster.add();
    expect(third.replicator.stableStamp()).toEqual({ hi: 0, lo: 0 });
    expect(cluster.settle()).toBe(true);
    const early = first.write(['key', 'early']);
    expect(cluster.runUntil(() => cluster.nodes.every((_node, index) => isStable(cluster, early, index)), 5000)).toBe(
      true,
    );
    third.replicator.pauseLinks();
    const late = first.write(['key', 'late']);
    await first.restart({ members: [] });
    cluster.run(20_000);
    expect(first.replicator.linkedPeers).toBe(1);
    expect([isStable(cluster, late, 0), isStable(cluster, late, 1), isStable(cluster, late, 2)]).toEqual([
      false,
      false,
      false,
    ]);
    third.replicator.resumeLinks();
    expect(cluster.runUntil(() => cluster.nodes.every((_node, index) => isStable(cluster, late, index)), 20_000)).toBe(
      true,
    );
  });

  it('tells of a peer that is silent, and then away, what is true', async () => {
    const cluster = await meshOf(2, slowRepairs);
    const [first] = cluster.nodes;
    cluster.world.cutBoth('n1', 'n2');
    cluster.run(1000);
    first.write(['key', 'x'.repeat(1000)]);
    const told = (): PeerStatus => first.replicator.status().peers[0];
    expect(cluster.runUntil(() => told().state === 'down', 10_000)).toBe(true);
    expect(told()).toMatchObject({ lastError: expect.stringContaining('nothing heard for 50') });
    expect(told().heardAgoMs).toBeGreaterThan(5000);
    expect(told().lagBytes).toBeGreaterThan(1000);
    cluster.run(10_000);
    expect(told()).toMatchObject({ lastError: 'the handshake took too long' });
    expect(told().heardAgoMs).toBeGreaterThan(15_000);
  });

  it('reaps members that have long gone', async () => {
    const cluster = await meshOf(3, { memberReapMs: 20_000 });
    const gone = cluster.nodes.pop()!;
    cluster.world.crash(gone.host);
    await gone.replicator.stop();
    cluster.run(40_000);
    expect(cluster.nodes.map((node) => node.replicator.status().peers.length)).toEqual([1, 1]);
  });

  it('refuses to listen beyond this machine without a secret', async () => {
    const cluster = new VirtualCluster(1);
    await expect(cluster.add({ secrets: [], bind: ['127.0.0.1', '10.0.0.1'] })).rejects.toThrow(
      /10\.0\.0\.1.*cluster-secret/,
    );
    await expect(cluster.add({ secrets: ['a', 'b', 'c'] })).rejects.toThrow(/at most two/);
    await expect(cluster.add({ secrets: [''] })).rejects.toThrow(/empty/);
  });

  it('tells both sides of a secret that differs', async () => {
    const cluster = new VirtualCluster(1);
    await cluster.add();
    await cluster.add({ secrets: ['another'] });
    await cluster.add({ secrets: [], bind: ['127.0.0.1'] });
    cluster.run(3000);
    const [first, second, third] = cluster.nodes;
    expect(first.log.has('warn refused node abc0000000000002 at n2: the cluster-secret is not the same')).toBe(true);
    expect(
      second.log.has('warn node abc0000000000001 at n1 refused this node: the cluster-secret is not the same'),
    ).toBe(true);
    expect(third.log.has('refused this node: a cluster-secret is required')).toBe(true);
    expect(second.replicator.status().dialing[0].lastError).toContain('cluster-secret');
    expect(first.log.lines.length).toBeLessThan(60);
  });
});

describe('writes', () => {
  it('reach every node within a network delay, and their acknowledgements are counted', async () => {
    const cluster = await meshOf(3);
    const [first] = cluster.nodes;
    const stamp = first.write(['key', 'value']);
    const acks = first.replicator.waitForAcks(stamp, 2, 1000);
    cluster.run(20);
    expect(cluster.nodes.map((node) => node.replica.get('key'))).toEqual(['value', 'value', 'value']);
    expect(await acks).toBe(2);
    expect(await first.replicator.drain(1)).toBe(true);
    cluster.run(200);
    expect(first.replicator.status().outboxBytes).toBe(0);
  });

  it('are waited for until the time is over', async () => {
    const cluster = await meshOf(3);
    const [first, second] = cluster.nodes;
    second.replicator.pauseLinks();
    cluster.run(20);
    const stamp = first.write(['key', 'value']);
    const acks = first.replicator.waitForAcks(stamp, 2, 500);
    const forever = first.replicator.waitForAcks(stamp, 2, 0);
    cluster.run(600);
    expect(await acks).toBe(1);
    second.replicator.resumeLinks();
    cluster.run(600);
    expect(await forever).toBe(2);
    expect(await first.replicator.waitForAcks(stamp, 0, 0)).toBe(2);
  });

  it('of several megabytes in one turn arrive as one', async () => {
    const cluster = await meshOf(2, slowRepairs);
    const [first, second] = cluster.nodes;
    const before = repairs(cluster);
    const large = 'x'.repeat(3_500_000);
    first.write(['one', 'small'], ['large', large], ['two', 'small']);
    expect(cluster.runUntil(() => second.replica.get('two') === 'small')).toBe(true);
    expect(second.replica.get('large')!.length).toBe(large.length);
    expect(repairs(cluster)).toBe(before);
  });

  it('that a short break held up are resumed without a repair', async () => {
    const cluster = await meshOf(3, slowRepairs);
    const before = repairs(cluster);
    const [first, second, third] = cluster.nodes;
    for (let round = 0; round < 20; round++) {
      cluster.world.resetBetween('n1', 'n2');
      first.write([`key ${round}`, 'a']);
      second.write([`key ${round}`, 'b']);
      cluster.run(300);
      third.write(['other', String(round)]);
    }
    expect(cluster.settle()).toBe(true);
    // The leader of the other links repairs when a link is lost; the broken link itself resumes.
    const between = first.replicator.status().peers.find((peer) => peer.id === second.id)!;
    expect(between.links).toBeGreaterThan(10);
    expect(between.repairs).toBeLessThanOrEqual(before);
    expect(first.replica.keyCount()).toBe(21);
  });

  it('before the first peer are brought by repair', async () => {
    const cluster = new VirtualCluster(4);
    const first = await cluster.add();
    for (let key = 0; key < 300; key++) first.write([`key ${key}`, 'value']);
    expect(first.replicator.status().outboxBytes).toBe(0);
    const second = await cluster.add();
    expect(cluster.settle()).toBe(true);
    expect(second.replica.keyCount()).toBe(300);
    expect(first.replicator.acknowledgedCount(first.replicator.lastPublished)).toBe(1);
  });
});

describe('a clock that is ahead', () => {
  it('keeps its node out, says so on both sides, and harms nobody else', async () => {
    const cluster = await meshOf(2);
    const fast = await cluster.add({ clockOffsetMs: 90_000 });
    fast.write(['key', 'from the future']);
    cluster.run(20_000);
    const [first, second] = cluster.nodes;
    expect(fast.replicator.linkedPeers).toBe(0);
    expect(fast.log.has('whose clock is ahead of it: check the time service here')).toBe(true);
    expect(fast.replicator.status().clockRefusals).toBeGreaterThan(0);
    expect(first.log.has('error refused node abc0000000000003')).toBe(true);
    first.write(['key', 'now']);
    cluster.run(100);
    expect(second.replica.get('key')).toBe('now');
    fast.clockOffsetMs = 0;
    // Its own stamps stay ahead until real time has passed them.
    cluster.run(60_000);
    expect(cluster.settle()).toBe(true);
    expect(first.replica.get('key')).toBe('from the future');
  });

  it('is known to its own node, from most of its peers, until it is right again', async () => {
    const cluster = await meshOf(3);
    const fast = await cluster.add({ clockOffsetMs: 90_000 });
    cluster.run(15_000);
    const standing = fast.replicator.clockStanding();
    expect(standing).toMatchObject({ isRefused: true, peers: 1 });
    expect(Math.abs(standing.aheadMs - 90_000)).toBeLessThan(1000);
    for (const node of cluster.nodes.slice(0, 3)) expect(node.replicator.clockStanding().isRefused).toBe(false);
    // Not linked, and yet it shows at once, as far as no stamp is ahead.
    fast.clockOffsetMs = 10_000;
    expect(fast.replicator.clockStanding().isRefused).toBe(false);
    expect(cluster.settle()).toBe(true);
  });

  it('is looked for where most clocks say that it is, also when one of them is slow', async () => {
    const cluster = await meshOf(3);
    const peers = ['n1', 'n2', 'n3'].map((host) => ({ host, port: peerPort }));
    const slow = await cluster.add({ clockOffsetMs: -86_400_000, peers });
    for (const node of cluster.nodes.slice(0, 3)) node.write(['key', node.id]);
    cluster.run(20_000);
    expect(slow.replicator.clockStanding()).toMatchObject({ isRefused: false, isBehind: true });
    expect(slow.log.has("this node's clock is 86400 s behind most of its peers': check the time service here")).toBe(
      true,
    );
    for (const { replicator, log } of cluster.nodes.slice(0, 3)) {
      expect(replicator.clockStanding()).toMatchObject({ isRefused: false, isBehind: false });
      expect(log.has('whose clock most other peers agree with: check the time service there')).toBe(true);
      expect(log.has('check the time service here')).toBe(false);
    }
  });

  it('lets neither side say that it is linked, whichever dials and whichever refuses', async () => {
    for (const clockOffsetMs of [90_000, -90_000]) {
      const cluster = await meshOf(1);
      const [right] = cluster.nodes;
      const wrong = await cluster.add({ clockOffsetMs });
      cluster.run(20_000);
      for (const { log, replicator } of [right, wrong]) {
        expect(replicator.linkedPeers).toBe(0);
        expect(log.has('linked to node')).toBe(false);
        expect(log.has('check the time service')).toBe(true);
      }
      wrong.clockOffsetMs = 0;
      // What the clocks have reached with the wrong one.
      cluster.run(100_000);
      for (const { log } of cluster.nodes)
        expect(log.lines.filter((line) => line.includes('linked to'))).toHaveLength(1);
    }
  });

  it('that was written with stays refused until time has passed its stamps', async () => {
    const cluster = await meshOf(2);
    const fast = await cluster.add({ clockOffsetMs: 90_000 });
    fast.write(['key', 'from the future']);
    cluster.run(5000);
    fast.clockOffsetMs = 0;
    expect(fast.replicator.clockStanding().isRefused).toBe(true);
    cluster.run(30_000);
    expect(fast.replicator.clockStanding().isRefused).toBe(false);
  });

  it('is not believed of a minority, of slow peers, or of strangers', async () => {
    const cluster = await meshOf(4);
    cluster.nodes[3].clockOffsetMs = -100_000;
    cluster.run(20_000);
    expect(cluster.nodes.map((node) => node.replicator.clockStanding().isRefused)).toEqual([
      false,
      false,
      false,
      false,
    ]);
    const alone = new VirtualCluster(2);
    const node = await alone.add();
    const stranger = new RawPeer(alone, { wallMs: 1000 });
    stranger.sayHello();
    expect(node.replicator.clockStanding()).toEqual({ aheadMs: 0, isRefused: false, isBehind: false, peers: 0 });
  });

  it('of a third node does not break the link of two that agree', async () => {
    const cluster = new VirtualCluster(9);
    await cluster.add({ maxClockDriftMs: 300_000 });
    await cluster.add({ peers: [] });
    const [tolerant, strict] = cluster.nodes;
    // Records of a fast third node that the tolerant one has taken in, without its clock.
    const fast = await cluster.add({ clockOffsetMs: 100_000, peers: [] });
    cluster.nodes.pop();
    fast.replica.set('future', 'x');
    const turn = fast.replica.takeTurn();
    tolerant.replica.observeStamp = () => undefined;
    tolerant.replica.applyRecords(turn, 0, turn.length);
    tolerant.write(['now', 'y']);
    strict.replicator.addPeer('n1', peerPort);
    expect(cluster.runUntil(() => strict.replica.get('now') === 'y', 5000)).toBe(true);
    expect(strict.replica.get('future')).toBeNull();
    expect(strict.replicator.linkedPeers).toBe(1);
    expect(strict.replicator.status().futureRecords).toBeGreaterThan(0);
    cluster.run(60_000);
    expect(cluster.runUntil(() => strict.replica.get('future') === 'x')).toBe(true);
  });
});
