/** Replicators on real keyspaces without commands, linked in a virtual world. */
import { expect } from '@jest/globals';
import { RecordWriter } from '../../protocol/change-record.ts';
import { Replicator } from '../../replication/replicator.ts';
import type { ReplicatorOptions } from '../../replication/settings.ts';
import { ReplicaAdapter } from '../../server/peers/replica-adapter.ts';
import { drainDirty } from '../../storage/changes/outflow.ts';
import { type KeySource, ReadThrough } from '../../storage/eviction/read-through.ts';
import { RelayedTurns } from '../../storage/flush/relayed-turns.ts';
import { LogKeeper, SeededRandom, VirtualWorld } from '../replication/virtual-world.ts';
import { Replica } from '../storage/collections/replicas.ts';

/** What clocks on the wall show when that world begins, in milliseconds. */
export const epochMs = 1_700_000_000_000;
const peerPort = 7000;
const settledWithinMs = 120_000;

/** What they show now. */
export function wallMs(world: VirtualWorld): number {
  return Math.floor(epochMs + world.time.monotonicMs());
}

export class KeyspaceNode {
  readonly replica: Replica;
  readonly replicator: Replicator;
  readonly log = new LogKeeper();
  readonly random: SeededRandom;
  /** Null on a node whose evicted keys are gone from it. */
  readonly readThrough: ReadThrough | null;
  readonly #store = new RecordWriter();

  /**
   * @param number from 1 on; the first is the seed address of the others
   * @param source where evicted keys are read back from
   */
  constructor(
    world: VirtualWorld,
    number: number,
    options: Partial<ReplicatorOptions>,
    source: KeySource | null = null,
  ) {
    this.random = new SeededRandom(number);
    this.replica = new Replica(number, () => wallMs(world));
    const { keyspace } = this.replica;
    keyspace.readsThrough = source !== null;
    this.readThrough = source === null ? null : new ReadThrough(keyspace, source);
    const monotonicMs = (): number => world.time.monotonicMs();
    const adapter = new ReplicaAdapter(keyspace, new RelayedTurns(), monotonicMs, null, this.readThrough);
    const host = `n${number}`;
    this.replicator = new Replicator(
      {
        nodeId: { hi: 0, lo: number },
        port: peerPort,
        secrets: ['a secret'],
        advertiseHost: host,
        peers: number === 1 ? [] : [{ host: 'n1', port: peerPort }],
        hasEvicted: () => keyspace.evictedKeys > 0,
        ...options,
      },
      adapter,
      { time: world.time, random: this.random, network: world.networkOf(host), log: this.log },
    );
  }

  /** Ends a turn of the event loop: sends what it wrote. */
  publish(): void {
    const { keyspace } = this.replica;
    const records = this.replica.takeFeed();
    keyspace.clock.tick();
    if (records.length > 0) this.replicator.publish(records, keyspace.clock.hi, keyspace.clock.lo);
  }

  /** Stores what is dirty, in a store that keeps nothing. */
  store(): void {
    while (drainDirty(this.replica.keyspace, this.#store, 1 << 20) > 0) this.#store.reset();
  }

  digest(): string {
    return this.replica.digest();
  }
}

export class KeyspaceCluster<Node extends KeyspaceNode> {
  readonly world: VirtualWorld;
  readonly nodes: Node[] = [];

  /** So many nodes, linked. */
  static async of<Node extends KeyspaceNode>(
    NodeType: new (world: VirtualWorld, number: number) => Node,
    count: number,
    seed: number,
  ): Promise<KeyspaceCluster<Node>> {
    const cluster = new KeyspaceCluster<Node>(seed);
    for (let number = 1; number <= count; number++) {
      const node = new NodeType(cluster.world, number);
      cluster.nodes.push(node);
      await node.replicator.start();
    }
    cluster.settle();
    return cluster;
  }

  private constructor(seed: number) {
    this.world = new VirtualWorld(seed);
  }

  get isEqual(): boolean {
    return new Set(this.nodes.map((node) => node.digest())).size === 1;
  }

  /** Until all are linked and equal. */
  settle(): void {
    const isSettled = (): boolean =>
      this.nodes.every(({ replicator }) => {
        const { peers } = replicator.status();
        return peers.length === this.nodes.length - 1 && peers.every(({ state }) => state === 'streaming');
      }) && this.isEqual;
    expect(this.world.time.runUntil(isSettled, settledWithinMs)).toBe(true);
  }
}
