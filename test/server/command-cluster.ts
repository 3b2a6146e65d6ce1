/** Nodes with every command on real keyspaces, linked in a virtual world. */
import { Replicator } from '../../replication/replicator.ts';
import type { CellScan, KeyPart, RecordScan } from '../../replication/replica.ts';
import type { ReplicatorOptions } from '../../replication/settings.ts';
import { allCommands } from '../../server/commands/all.ts';
import { ReplicaAdapter } from '../../server/peers/replica-adapter.ts';
import { RecordWriter } from '../../protocol/change-record.ts';
import type { KeyName } from '../../protocol/peer-elements.ts';
import { installPacking } from '../../storage/collections/packing.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { encodeKey } from '../../storage/changes/encode.ts';
import { drainFeed } from '../../storage/changes/outflow.ts';
import { recomputeDigests } from '../../storage/digests/register-scan.ts';
import { RelayedTurns } from '../../storage/flush/relayed-turns.ts';
import { LogKeeper, SeededRandom, VirtualWorld } from '../replication/virtual-world.ts';
import { CommandHarness } from '../support/command-harness.ts';

const epochMs = 1_700_000_000_000;
const peerPort = 7000;

/** Tells of every slice of work on the elements of a key. */
class WatchedAdapter extends ReplicaAdapter {
  readonly #onSlice: () => void;

  constructor(keyspace: Keyspace, monotonicMs: () => number, onSlice: () => void) {
    super(keyspace, new RelayedTurns(), monotonicMs);
    this.#onSlice = onSlice;
  }

  override startCells(name: KeyName, bits: number): CellScan | null {
    const scan = super.startCells(name, bits);
    if (scan !== null) {
      const step = scan.step.bind(scan);
      scan.step = () => {
        const more = step();
        this.#onSlice();
        return more;
      };
    }
    return scan;
  }

  override startParts(parts: readonly KeyPart[]): RecordScan {
    const scan = super.startParts(parts);
    const records: RecordScan['records'] = (...given) => {
      const more = scan.records(...given);
      this.#onSlice();
      return more;
    };
    return { records, close: () => scan.close() };
  }
}

export class CommandNode {
  readonly harness: CommandHarness;
  readonly replicator: Replicator;
  readonly log = new LogKeeper();
  readonly #writer = new RecordWriter();

  /** Takes in little at once: a slice of repair work is over after three steps. */
  isSlow = false;
  /** Called after each slice of comparing elements, and of giving those that differ. */
  onSlice: () => void = () => undefined;

  constructor(world: VirtualWorld, number: number, options: Partial<ReplicatorOptions>) {
    const monotonicMs = (): number => world.time.monotonicMs();
    let looks = 0;
    const workMs = (): number => (this.isSlow ? ++looks * 0.05 : monotonicMs());
    this.harness = new CommandHarness(allCommands, {
      nodeId: number,
      monotonicMs,
      wallClockMs: () => Math.floor(epochMs + monotonicMs()),
    });
    const { keyspace } = this.harness;
    Object.assign(keyspace, { digesting: true, feeding: true, isShared: true });
    installPacking(keyspace);
    const host = `n${number}`;
    this.replicator = new Replicator(
      {
        nodeId: { hi: 1, lo: number },
        port: peerPort,
        secrets: ['a secret'],
        advertiseHost: host,
        peers: number === 1 ? [] : [{ host: 'n1', port: peerPort }],
        repairIntervalMs: 600_000,
        ...options,
      },
      new WatchedAdapter(keyspace, workMs, () => this.onSlice()),
      { time: world.time, random: new SeededRandom(number), network: world.networkOf(host), log: this.log },
    );
  }

  /** Commands of one turn, words parted by spaces; their replies. */
  run(...commands: string[]): string[] {
    const { keyspace } = this.harness;
    keyspace.clock.refresh();
    const replies = commands.map((command) => this.harness.run(...command.split(' ')).toString());
    const count = drainFeed(keyspace, this.#writer);
    keyspace.clock.tick();
    if (count > 0) this.replicator.publish(this.#writer.take(), keyspace.clock.hi, keyspace.clock.lo);
    return replies;
  }

  /** Bytes of all that the first database holds, as a repair of whole keys would send it. */
  contentBytes(): number {
    const { keyspace } = this.harness;
    const writer = new RecordWriter();
    keyspace.databases[0].index.visitRange(0, Infinity, (ref) =>
      encodeKey(keyspace, keyspace.databases[0], ref, writer),
    );
    return writer.length;
  }

  /** After checking that the digest that is kept is what a walk over everything finds. */
  digest(): string {
    const { keyspace } = this.harness;
    const kept = keyspace.digests.total();
    recomputeDigests(keyspace);
    if (keyspace.digests.total() !== kept) throw new Error('the digest that was kept is not what there is');
    return kept;
  }
}

export class CommandCluster {
  readonly world: VirtualWorld;
  readonly nodes: CommandNode[] = [];
  bytes = 0;

  /** @param options of all nodes, and of one by its number */
  static async of(
    count: number,
    options: Partial<ReplicatorOptions>,
    special: Record<number, Partial<ReplicatorOptions>> = {},
  ): Promise<CommandCluster> {
    const cluster = new CommandCluster();
    for (let number = 1; number <= count; number++) {
      const node = new CommandNode(cluster.world, number, { ...options, ...special[number] });
      cluster.nodes.push(node);
      await node.replicator.start();
    }
    cluster.settle();
    return cluster;
  }

  private constructor() {
    this.world = new VirtualWorld(7);
    this.world.onDelivered = (_from, _to, bytes) => (this.bytes += bytes.length);
  }

  /** No node hears of another while `work` is done. */
  apart(work: () => void): void {
    for (const { replicator } of this.nodes) replicator.pauseLinks();
    this.world.time.run(500);
    work();
  }

  meet(): void {
    for (const { replicator } of this.nodes) replicator.resumeLinks();
  }

  get isSettled(): boolean {
    const isLinked = this.nodes.every(({ replicator }) => {
      const { peers } = replicator.status();
      return peers.length === this.nodes.length - 1 && peers.every(({ state }) => state === 'streaming');
    });
    return isLinked && new Set(this.nodes.map(({ harness }) => harness.keyspace.digests.total())).size === 1;
  }

  settle(): void {
    if (!this.world.time.runUntil(() => this.isSettled, 120_000)) throw new Error('the nodes do not become equal');
    // What is under way comes to its end.
    this.world.time.run(2000);
    if (new Set(this.nodes.map((node) => node.digest())).size !== 1) throw new Error('the nodes do not stay equal');
  }
}
