/** A cluster of model nodes in a virtual world. */
import { stampHiOf } from '../../protocol/stamp.ts';
import type { Stamp } from '../../replication/replica.ts';
import { Replicator } from '../../replication/replicator.ts';
import type { ReplicatorOptions } from '../../replication/settings.ts';
import { ModelReplica } from './model-replica.ts';
import { LogKeeper, SeededRandom, VirtualWorld } from './virtual-world.ts';

export const peerPort = 7000;
const epochMs = 1_700_000_000_000;

export type NodeOptions = Partial<ReplicatorOptions> & { clockOffsetMs?: number };

export class VirtualNode {
  readonly host: string;
  readonly log = new LogKeeper();
  replica: ModelReplica;
  replicator: Replicator;
  clockOffsetMs: number;
  #world: VirtualWorld;
  #options: ReplicatorOptions;
  #starts = 0;

  constructor(world: VirtualWorld, number: number, options: NodeOptions) {
    const { clockOffsetMs, ...rest } = options;
    this.#world = world;
    this.host = `n${number}`;
    this.clockOffsetMs = clockOffsetMs ?? 0;
    this.#options = {
      nodeId: { hi: 0xabc00000, lo: number },
      port: peerPort,
      secrets: ['a secret'],
      advertiseHost: this.host,
      repairIntervalMs: 5000,
      peers: number === 1 ? [] : [{ host: 'n1', port: peerPort }],
      ...rest,
    };
    this.replica = new ModelReplica(this.#options.nodeId, () => this.#nowMs());
    this.replicator = this.#build();
  }

  #nowMs(): number {
    return Math.floor(epochMs + this.clockOffsetMs + this.#world.time.monotonicMs());
  }

  #build(): Replicator {
    const seed = this.#world.random.below(2 ** 32) ^ this.#starts++;
    return new Replicator(this.#options, this.replica, {
      time: this.#world.time,
      random: new SeededRandom(seed),
      network: this.#world.networkOf(this.host),
      log: this.log,
    });
  }

  get id(): string {
    return this.replicator.status().nodeId;
  }

  /** One turn of the event loop that writes. */
  write(...pairs: [string, string | null][]): Stamp {
    let stamp: Stamp = { hi: 0, lo: 0 };
    for (const [key, value] of pairs) stamp = this.replica.set(key, value);
    this.replicator.publish(this.replica.takeTurn(), stamp.hi, stamp.lo);
    return stamp;
  }

  /** Ends without a word and starts again with its data. */
  async restart(changes: Partial<ReplicatorOptions> = {}): Promise<void> {
    this.#world.crash(this.host);
    void this.replicator.stop();
    const { replicator } = this;
    this.#options = {
      ...this.#options,
      members: replicator.knownMembers(),
      horizon: replicator.horizonFacts(),
      ...changes,
    };
    this.replicator = this.#build();
    await this.replicator.start();
  }
}

export class VirtualCluster {
  readonly world: VirtualWorld;
  readonly nodes: VirtualNode[] = [];

  constructor(seed: number) {
    this.world = new VirtualWorld(seed);
  }

  async add(options: NodeOptions = {}): Promise<VirtualNode> {
    const node = new VirtualNode(this.world, this.nodes.length + 1, options);
    this.nodes.push(node);
    await node.replicator.start();
    return node;
  }

  run(durationMs: number): void {
    this.world.time.run(durationMs);
  }
  runUntil(condition: () => boolean, limitMs = 60_000): boolean {
    return this.world.time.runUntil(condition, limitMs);
  }

  isMeshed(): boolean {
    return this.nodes.every((node) => node.replicator.linkedPeers === this.nodes.length - 1);
  }
  isEqual(): boolean {
    const first = this.nodes[0].replica.digest();
    return this.nodes.every((node) => node.replica.digest() === first);
  }
  /** No repair is due and nothing is behind. */
  isCalm(): boolean {
    return this.nodes.every((node) =>
      node.replicator.status().peers.every((peer) => peer.state === 'streaming' && peer.lagBytes === 0 && !peer.hasGap),
    );
  }
  /** Meshed, with all first repairs behind it. */
  settle(): boolean {
    return this.runUntil(() => this.isMeshed() && this.isCalm() && this.isEqual());
  }
}

/** A stamp far from the epoch of the tests, `aheadMs` ahead of their clock. */
export function stampAhead(aheadMs: number): Stamp {
  return { hi: stampHiOf(epochMs + aheadMs), lo: 1 };
}
