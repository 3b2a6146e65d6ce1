import { describe, expect, it } from '@jest/globals';
import { VirtualCluster, type NodeOptions, type VirtualNode } from '../virtual-cluster.ts';

const rare = { repairIntervalMs: 3_600_000 };

async function pair(
  options: NodeOptions = {},
  fill?: (a: VirtualNode, b: VirtualNode) => void,
): Promise<VirtualCluster> {
  const cluster = new VirtualCluster(11);
  const first = await cluster.add({ ...rare, ...options });
  const second = await cluster.add({ ...rare, ...options, peers: [] });
  fill?.(first, second);
  second.replicator.addPeer('n1', 7000);
  return cluster;
}

function bytesBetween(cluster: VirtualCluster): number {
  const peer = cluster.nodes[0].replicator.status().peers[0];
  return peer.bytesIn + peer.bytesOut;
}

function both(a: VirtualNode, b: VirtualNode, key: string, value: string): void {
  a.replica.set(key, value);
  const turn = a.replica.takeTurn();
  b.replica.applyRecords(turn, 0, turn.length);
}

describe('repair', () => {
  it('makes two that differ in every way equal', async () => {
    const cluster = await pair({}, (a, b) => {
      for (let key = 0; key < 2000; key++) both(a, b, `common ${key}`, 'same');
      for (let key = 0; key < 50; key++) a.replica.set(`only here ${key}`, 'a');
      for (let key = 0; key < 50; key++) b.replica.set(`only there ${key}`, 'b');
      for (let key = 0; key < 50; key++) a.replica.set(`common ${key}`, 'newer here');
      for (let key = 50; key < 100; key++) b.replica.set(`common ${key}`, 'newer there');
      for (let key = 100; key < 120; key++) a.replica.set(`common ${key}`, null);
    });
    expect(cluster.settle()).toBe(true);
    const [first, second] = cluster.nodes;
    expect(first.replica.keyCount()).toBe(2100);
    for (const node of [first, second]) {
      expect(node.replica.get('common 7')).toBe('newer here');
      expect(node.replica.get('common 77')).toBe('newer there');
      expect(node.replica.get('common 110')).toBeNull();
      expect(node.replica.get('only here 1')).toBe('a');
      expect(node.replica.get('only there 1')).toBe('b');
    }
  });

  it.each([
    ['in rounds of few buckets', { repairSummariesMax: 256 }],
    ['without comparing when a bucket is too full', { repairSummariesMax: 1 }],
  ])('works %s', async (_name, options) => {
    const cluster = await pair(options, (a, b) => {
      for (let key = 0; key < 600; key++) both(a, b, `common ${key}`, 'same');
      for (let key = 0; key < 100; key++) a.replica.set(`common ${key}`, 'a');
      for (let key = 50; key < 150; key++) b.replica.set(`common ${key}`, 'b');
    });
    expect(cluster.settle()).toBe(true);
    expect(cluster.nodes[1].replica.get('common 0')).toBe('a');
    expect(cluster.nodes[0].replica.get('common 149')).toBe('b');
  });

  it.each([
    ['leads', 0],
    ['follows', 1],
  ])('waits for the digests of a node that %s and has yet to compute them', async (_name, late) => {
    const cluster = await pair({}, (a, b) => {
      for (let key = 0; key < 500; key++) both(a, b, `common ${key}`, 'same');
      a.replica.set('only here', 'a');
      b.replica.set('only there', 'b');
    });
    const { replica } = cluster.nodes[late];
    replica.isDigested = false;
    const kept = replica.digests.slice();
    replica.digests.fill(0);
    cluster.run(5000);
    expect(cluster.nodes.map((node) => node.replicator.status().peers[0].repairs)).toEqual([0, 0]);
    for (let at = 0; at < kept.length; at++) replica.digests[at] ^= kept[at];
    replica.isDigested = true;
    expect(cluster.settle()).toBe(true);
    expect(cluster.nodes.map((node) => node.replica.get('only here'))).toEqual(['a', 'a']);
    expect(bytesBetween(cluster)).toBeLessThan(30_000);
  });

  it.each([
    ['leads', 0],
    ['follows', 1],
  ])('is sent once to an empty node that %s, and not given back', async (_name, empty) => {
    const value = 'x'.repeat(1000);
    const cluster = await pair({}, (...nodes) => {
      // What it deleted counts in no digest; the other still has it.
      both(nodes[1 - empty], nodes[empty], 'deleted there', value);
      nodes[empty].replica.set('deleted there', null);
      for (let key = 0; key < 3000; key++) nodes[1 - empty].replica.set(`key ${key}`, value);
    });
    expect(cluster.settle()).toBe(true);
    expect(cluster.nodes.map((node) => node.replica.get('key 2999'))).toEqual([value, value]);
    expect(cluster.nodes.map((node) => node.replica.get('deleted there'))).toEqual([null, null]);
    // The digests of all buckets, and each key once.
    expect(bytesBetween(cluster)).toBeLessThan(65_536 * 8 + 3000 * 1100);
  });

  it('costs a few kilobytes when nothing differs', async () => {
    const cluster = await pair({}, (a, b) => {
      for (let key = 0; key < 5000; key++) both(a, b, `common ${key}`, 'same');
    });
    cluster.run(500);
    expect(cluster.isCalm()).toBe(true);
    expect(cluster.nodes[0].replicator.status().peers[0].repairs).toBe(1);
    expect(bytesBetween(cluster)).toBeLessThan(6000);
  });

  it('sends little more than what differs', async () => {
    const cluster = await pair({}, (a, b) => {
      for (let key = 0; key < 50_000; key++) both(a, b, `common ${key}`, 'x'.repeat(100));
      for (let key = 0; key < 10; key++) a.replica.set(`common ${key}`, 'different');
    });
    expect(cluster.settle()).toBe(true);
    // 10 groups of bucket digests, one plan, the keys of 10 buckets, 10 records.
    expect(bytesBetween(cluster)).toBeLessThan(50_000);
  });

  it('goes through a third node when two cannot see each other', async () => {
    const cluster = new VirtualCluster(12);
    for (let index = 0; index < 3; index++) await cluster.add({ repairIntervalMs: 60_000 });
    expect(cluster.settle()).toBe(true);
    const [first, second, third] = cluster.nodes;
    cluster.world.cutBoth('n1', 'n3');
    cluster.run(8000);
    expect(first.replicator.linkedPeers).toBe(1);
    first.write(['from the first', '1']);
    third.write(['from the third', '3']);
    expect(
      cluster.runUntil(
        () => third.replica.get('from the first') === '1' && first.replica.get('from the third') === '3',
        15_000,
      ),
    ).toBe(true);
    expect(second.replicator.linkedPeers).toBe(2);
    cluster.world.heal();
    expect(cluster.settle()).toBe(true);
  });

  it('spreads what a node had told only some before it died', async () => {
    const cluster = new VirtualCluster(13);
    for (let index = 0; index < 3; index++) await cluster.add({ repairIntervalMs: 3_600_000 });
    expect(cluster.settle()).toBe(true);
    cluster.world.cutBoth('n3', 'n1');
    const dying = cluster.nodes.pop()!;
    dying.write(['last', 'words']);
    cluster.run(10);
    cluster.world.crash('n3');
    await dying.replicator.stop();
    expect(cluster.nodes.map((node) => node.replica.get('last'))).toEqual([null, 'words']);
    expect(cluster.runUntil(() => cluster.nodes[0].replica.get('last') === 'words', 15_000)).toBe(true);
  });

  it('follows when the outbox overflowed, while bounds hold', async () => {
    const cluster = new VirtualCluster(14);
    for (let index = 0; index < 2; index++) await cluster.add({ ...rare, outboxBytesMax: 64 * 1024 });
    expect(cluster.settle()).toBe(true);
    const [first, second] = cluster.nodes;
    cluster.world.stall('n2');
    for (let round = 0; round < 3000; round++) {
      first.write([`key ${round % 700}`, 'x'.repeat(1000)]);
      expect(first.replicator.status().outboxBytes).toBeLessThanOrEqual(64 * 1024);
      if (round % 1000 === 0) cluster.run(10);
    }
    cluster.world.unstall();
    const last = first.replicator.lastPublished;
    expect(cluster.settle()).toBe(true);
    expect(second.replica.keyCount()).toBe(700);
    expect(first.replicator.status().outboxDroppedFrames).toBeGreaterThan(0);
    expect(cluster.runUntil(() => first.replicator.acknowledgedCount(last) === 1)).toBe(true);
  });

  it('follows when a peer was away for longer than the outbox reaches back', async () => {
    const cluster = new VirtualCluster(15);
    for (let index = 0; index < 2; index++) await cluster.add({ ...rare, outboxBytesMax: 4096 });
    expect(cluster.settle()).toBe(true);
    const [first, second] = cluster.nodes;
    second.replicator.pauseLinks();
    for (let key = 0; key < 100; key++) first.write([`key ${key}`, 'x'.repeat(100)]);
    second.write(['key 5', 'from the other side']);
    cluster.run(100);
    second.replicator.resumeLinks();
    expect(cluster.settle()).toBe(true);
    expect(second.replica.keyCount()).toBe(100);
  });

  it('brings records longer than a frame', async () => {
    const cluster = await pair({}, (a) => {
      a.replica.set('long', 'x'.repeat(5_000_000));
      a.replica.set('short', 'y');
    });
    expect(cluster.settle()).toBe(true);
    expect(cluster.nodes[1].replica.get('long')!.length).toBe(5_000_000);
  });

  it('keeps to its rate, and live writes do not wait for it', async () => {
    const cluster = await pair({ repairBytesPerSecond: 200_000 }, (a) => {
      for (let key = 0; key < 2000; key++) a.replica.set(`key ${key}`, 'x'.repeat(1000));
    });
    const [first, second] = cluster.nodes;
    cluster.run(4000);
    expect(second.replica.keyCount()).toBeLessThan(1200);
    expect(first.replicator.status().peers[0].state).toBe('repairing');
    first.write(['live', 'now']);
    cluster.run(20);
    expect(second.replica.get('live')).toBe('now');
    expect(cluster.settle()).toBe(true);
  });

  it('goes on while both sides write', async () => {
    const cluster = await pair({}, (a, b) => {
      for (let key = 0; key < 3000; key++) a.replica.set(`key ${key}`, 'a');
      for (let key = 1500; key < 4500; key++) b.replica.set(`key ${key}`, 'b');
    });
    for (const node of cluster.nodes) node.replica.sliceKeys = 50;
    for (let round = 0; round < 200; round++) {
      cluster.nodes[round % 2].write([`key ${round * 7}`, String(round)]);
      cluster.run(3);
    }
    expect(cluster.settle()).toBe(true);
    expect(cluster.nodes[0].replica.keyCount()).toBe(4500);
  });
});
