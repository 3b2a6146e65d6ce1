/** Repair between a node that evicts and one that does not, on real keyspaces. */
import { describe, expect, it } from '@jest/globals';
import { TYPE_HASH } from '../../../storage/arena/block.ts';
import { Eviction } from '../../../storage/eviction/eviction.ts';
import { expireDue } from '../../../storage/expiry/expiry.ts';
import type { VirtualWorld } from '../../replication/virtual-world.ts';
import { withSeed } from '../../support/seed.ts';
import { epochMs, KeyspaceCluster, KeyspaceNode } from '../keyspace-cluster.ts';

const testFile = 'test/server/peers/evicted-repair.test.ts';
const repairIntervalMs = 10_000;

class Node extends KeyspaceNode {
  readonly #eviction: Eviction;

  constructor(world: VirtualWorld, number: number) {
    super(world, number, { repairIntervalMs });
    this.#eviction = new Eviction(this.replica.keyspace, () => this.random.fraction());
  }

  get keyCount(): number {
    return this.replica.database.keyCount;
  }

  /** Stores what is dirty, and evicts until no more keys than these are left. */
  evictDownTo(keyCount: number): void {
    this.store();
    // Where nearly all are tombstones a sample may find nothing else.
    while (this.keyCount > keyCount) expect(this.#eviction.evictOne('allkeys-random', 5)).not.toBe('waits');
  }

  override digest(): string {
    this.replica.keyspace.clock.refresh();
    while (expireDue(this.replica.keyspace, 1000));
    return super.digest();
  }
}

type Cluster = KeyspaceCluster<Node>;

/** Bytes between the first two nodes, and repairs there, while so many repairs are due. */
function costOf(cluster: Cluster, repairs: number): { bytes: number; repairs: number } {
  const read = (): { bytes: number; repairs: number } => {
    const [peer] = cluster.nodes[0].replicator.status().peers;
    return { bytes: peer.bytesIn + peer.bytesOut, repairs: peer.repairs };
  };
  const before = read();
  cluster.world.time.run(repairs * repairIntervalMs);
  const after = read();
  return { bytes: after.bytes - before.bytes, repairs: after.repairs - before.repairs };
}

const value = 'x'.repeat(200);

/** A cluster of so many nodes with 800 keys on each, of which `small` has then evicted all but 80. */
async function crowded(small: number, count = 2): Promise<{ cluster: Cluster; large: Node; evicting: Node }> {
  const cluster = await KeyspaceCluster.of(Node, count, 5);
  const { replica } = cluster.nodes[0];
  for (let key = 0; key < 600; key++) replica.set(`string ${key}`, value);
  for (let key = 0; key < 200; key++) {
    for (const field of ['f', 'g', 'h']) replica.put(TYPE_HASH, `hash ${key}`, field, value);
    replica.add(TYPE_HASH, `hash ${key}`, 'count', key + 1);
  }
  cluster.nodes[0].publish();
  cluster.settle();
  const evicting = cluster.nodes[small];
  evicting.evictDownTo(80);
  return { cluster, large: cluster.nodes[1 - small], evicting };
}

describe.each([
  ['leads', 0],
  ['follows', 1],
])('a node that has evicted keys, and %s in repairs', (_name, small) => {
  it('is equal to its peers, and no repair brings the keys back', async () => {
    const { cluster, evicting } = await crowded(small);
    expect(cluster.isEqual).toBe(true);
    const { bytes, repairs } = costOf(cluster, 20);
    expect(repairs).toBeGreaterThan(10);
    expect(evicting.keyCount).toBe(80);
    // The digests of 256 groups and DONE, and pings: no bucket differs.
    expect(bytes / repairs).toBeLessThan(8000);
  });

  it('takes what peers write to evicted keys, and counts it when it is evicted again', async () => {
    const { cluster, large, evicting } = await crowded(small);
    large.replica.set('string 7', 'written');
    for (let key = 0; key < 50; key++) large.replica.put(TYPE_HASH, `hash ${key}`, 'f', 'written');
    for (let key = 50; key < 100; key++) large.replica.delete(`hash ${key}`);
    for (let key = 50; key < 100; key++) large.replica.delete(`string ${key}`);
    for (let key = 100; key < 200; key++) large.replica.expireAt(`string ${key}`, epochMs + 3_600_000);
    large.publish();
    cluster.settle();
    evicting.evictDownTo(80);
    const { bytes } = costOf(cluster, 20);
    expect([cluster.isEqual, evicting.keyCount, large.keyCount]).toEqual([true, 80, 700]);
    expect(bytes).toBeLessThan(20 * 8000);
  });

  it('stops counting keys at their deadlines, and what a FLUSHDB ends', async () => {
    const { cluster, large, evicting } = await crowded(small);
    for (let key = 0; key < 300; key++) large.replica.expireAt(`string ${key}`, epochMs + 600_000 + key);
    large.publish();
    cluster.settle();
    evicting.evictDownTo(10);
    cluster.world.time.run(700_000);
    expect([cluster.isEqual, large.keyCount, evicting.keyCount < 11]).toEqual([true, 500, true]);
    const { bytes, repairs } = costOf(cluster, 10);
    expect(bytes / repairs).toBeLessThan(8000);
    large.replica.flush();
    large.replica.set('after', 'it');
    large.publish();
    cluster.settle();
    expect([large.keyCount, evicting.keyCount, evicting.replica.database.evictedDigests.count]).toEqual([1, 1, 0]);
  });

  it('has what was written while it was cut off', async () => {
    const { cluster, large, evicting } = await crowded(small);
    evicting.replicator.pauseLinks();
    for (let key = 0; key < 50; key++) large.replica.set(`string ${key}`, 'while it was away');
    for (let key = 0; key < 50; key++) large.replica.put(TYPE_HASH, `hash ${key}`, 'g', 'while it was away');
    large.publish();
    large.replicator.pauseLinks();
    cluster.world.time.run(1000);
    for (const node of cluster.nodes) node.replicator.resumeLinks();
    cluster.settle();
    expect(evicting.keyCount).toBeLessThanOrEqual(180);
    const written = large.replica.view().filter((line) => line.includes('away'));
    expect(written).toHaveLength(100);
    expect(evicting.replica.view()).toEqual(expect.arrayContaining(written));
  });

  it('gives up counting what a peer lacks and it cannot give', async () => {
    const { cluster, large, evicting } = await crowded(small);
    large.replicator.pauseLinks();
    cluster.world.time.run(1000);
    // As a node that has lost its disk.
    const { keyspace, database } = large.replica;
    database.reset();
    keyspace.arena.clear();
    keyspace.objects.clear();
    keyspace.digests.clear();
    large.replicator.resumeLinks();
    cluster.settle();
    expect([large.keyCount, evicting.keyCount]).toEqual([80, 80]);
    const { bytes, repairs } = costOf(cluster, 10);
    expect(bytes / repairs).toBeLessThan(8000);
  });

  it('lets repair bring everything when it has room again', async () => {
    const { cluster, evicting } = await crowded(small);
    evicting.replica.keyspace.forgetEvicted(evicting.replica.database);
    cluster.settle();
    expect(evicting.keyCount).toBe(800);
  });
});

describe('nodes that evict here and there', () => {
  it('keep digests that count what they have evicted, whatever else happens (random)', async () => {
    await withSeed(testFile, async (random) => {
      const cluster = await KeyspaceCluster.of(Node, 3, random.uint32());
      for (let round = 0; round < 60; round++) {
        for (let writes = random.below(30); writes > 0; writes--) {
          const node = random.pick(cluster.nodes);
          const { replica } = node;
          const key = `key ${random.below(80)}`;
          const field = `f${random.below(4)}`;
          const what = random.below(12);
          if (what < 3) replica.set(key, `${round}`);
          else if (what < 5) replica.put(TYPE_HASH, `hash ${key}`, field, `${round}`);
          else if (what === 5) replica.remove(TYPE_HASH, `hash ${key}`, field);
          else if (what === 6) replica.add(TYPE_HASH, `hash ${key}`, field, 1);
          else if (what === 7) replica.delete(random.chance(0.5) ? key : `hash ${key}`);
          else if (what === 8) replica.increment(`counter ${key}`, 1);
          else if (what === 9) replica.expireAt(key, epochMs + cluster.world.time.monotonicMs() + random.below(20_000));
          else if (what === 10 && random.chance(0.05)) replica.flush();
          else node.publish();
        }
        for (const node of cluster.nodes) node.publish();
        if (random.chance(0.2)) random.pick(cluster.nodes).replicator.pauseLinks();
        if (random.chance(0.4)) for (const node of cluster.nodes) node.replicator.resumeLinks();
        cluster.world.time.run(random.below(3000));
        if (random.chance(0.3)) {
          const node = cluster.nodes[1 + random.below(2)];
          node.evictDownTo(random.below(node.keyCount + 1));
        }
        // `digest` compares what is kept with what a walk over everything finds.
        for (const node of cluster.nodes) node.digest();
      }
      for (const node of cluster.nodes) node.replicator.resumeLinks();
      cluster.settle();
      const [kept] = cluster.nodes;
      const lines = new Set(kept.replica.view());
      for (const { replica } of cluster.nodes.slice(1))
        for (const line of replica.view()) expect(lines).toContain(line);
    });
  });
});
