/** A cluster of model nodes under random faults, all from one seed. */
import { compareStamp } from '../../protocol/stamp.ts';
import type { Stamp } from '../../replication/replica.ts';
import { ModelReplica } from './model-replica.ts';
import { VirtualCluster, type VirtualNode } from './virtual-cluster.ts';

const steps = 150;

interface Write {
  node: VirtualNode;
  key: string;
  stamp: Stamp;
}

function isHeldBy(node: VirtualNode, { key, stamp }: Write): boolean {
  const held = node.replica.stampOf(key);
  return compareStamp(held.hi, held.lo, stamp.hi, stamp.lo) >= 0;
}

export class Storm {
  readonly cluster: VirtualCluster;
  readonly oracle: ModelReplica;
  readonly done = { resets: 0, cuts: 0, stalls: 0, restarts: 0, pauses: 0, stable: 0 };
  #seed: number;
  #writes: Write[] = [];

  constructor(seed: number) {
    this.#seed = seed;
    this.cluster = new VirtualCluster(seed);
    this.oracle = new ModelReplica({ hi: 0, lo: 0 }, () => 0);
  }

  async run(): Promise<void> {
    const { world, nodes } = this.cluster;
    const { random } = world;
    const outboxBytesMax = random.below(2) === 0 ? 4096 : 1024 * 1024;
    const repairSummariesMax = random.below(2) === 0 ? 16 : 1 << 20;
    if (random.below(4) === 0) world.pieceBytesMax = 50;
    const digestsTombstones = random.below(2) === 0;
    this.oracle.digestsTombstones = digestsTombstones;
    const count = 3 + random.below(3);
    for (let index = 0; index < count; index++) {
      const clockOffsetMs = random.below(20_000) - 10_000;
      const node = await this.cluster.add({ outboxBytesMax, repairSummariesMax, clockOffsetMs });
      node.replica.sliceKeys = 20;
      node.replica.digestsTombstones = digestsTombstones;
    }
    this.cluster.runUntil(() => this.cluster.isMeshed());
    for (let step = 0; step < steps; step++) {
      const node = nodes[random.below(nodes.length)];
      if (random.below(20) === 0) await this.#fault(node);
      else this.#write(node);
      this.cluster.run(random.below(400));
      // Without tombstones in the digests, a repair does not bring the deletions of what the other side never had.
      if (this.oracle.digestsTombstones) this.#checkPromises();
    }
    world.heal();
    world.unstall();
    for (const node of nodes) node.replicator.resumeLinks();
    const isCalm = (): boolean => this.cluster.isMeshed() && this.cluster.isCalm() && this.cluster.isEqual();
    const converged = this.cluster.runUntil(isCalm, 120_000);
    if (!converged) throw new Error(`seed ${this.#seed}: not converged: ${this.#describe()}`);
  }

  #write(node: VirtualNode): void {
    const { random } = this.cluster.world;
    const pairs: [string, string | null][] = [];
    for (let count = 1 + random.below(8); count > 0; count--) {
      const value = random.below(4) === 0 ? null : 'x'.repeat(random.below(200));
      pairs.push([`key ${random.below(60)}`, value]);
    }
    const { replica, replicator } = node;
    let stamp = { hi: 0, lo: 0 };
    for (const [key, value] of pairs) {
      stamp = replica.set(key, value);
      this.#writes.push({ node, key, stamp });
    }
    const turn = replica.takeTurn();
    this.oracle.applyRecords(turn, 0, turn.length);
    replicator.publish(turn, stamp.hi, stamp.lo);
  }

  /** What a peer has acknowledged it holds, or something newer; what is stable is held by all. */
  #checkPromises(): void {
    const { nodes } = this.cluster;
    const stable = nodes.map((node) => node.replicator.stableStamp() ?? { hi: 0, lo: 0 });
    this.#writes = this.#writes.filter((write) => {
      const holders = nodes.filter((node) => isHeldBy(node, write)).length;
      const acknowledged = write.node.replicator.acknowledgedCount(write.stamp);
      if (acknowledged > holders - 1) throw new Error(`${acknowledged} acknowledged ${write.key}, ${holders} hold it`);
      const isStable = stable.some(({ hi, lo }) => compareStamp(hi, lo, write.stamp.hi, write.stamp.lo) >= 0);
      if (isStable && holders < nodes.length) throw new Error(`${write.key} is called stable, ${holders} hold it`);
      if (isStable) this.done.stable++;
      return !isStable;
    });
  }

  async #fault(node: VirtualNode): Promise<void> {
    const { world, nodes } = this.cluster;
    const other = nodes[world.random.below(nodes.length)];
    const kind = world.random.below(7);
    if (kind === 0 || kind === 1) {
      world.resetBetween(node.host, other.host);
      this.done.resets++;
    } else if (kind === 2) {
      world.cutBoth(node.host, other.host);
      this.done.cuts++;
    } else if (kind === 3) {
      world.cut(node.host, other.host);
      this.done.cuts++;
    } else if (kind === 4) {
      world.stall(node.host);
      this.done.stalls++;
    } else if (kind === 5) {
      await node.restart();
      this.done.restarts++;
    } else {
      node.replicator.pauseLinks();
      this.done.pauses++;
    }
    if (world.random.below(3) > 0) return;
    world.heal();
    world.unstall();
    for (const one of nodes) one.replicator.resumeLinks();
  }

  #describe(): string {
    return JSON.stringify(
      this.cluster.nodes.map((node) => ({ digest: node.replica.digest(), status: node.replicator.status().peers })),
      null,
      1,
    );
  }
}
