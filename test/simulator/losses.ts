/** What the ends of nodes take away, as far as they may: noted once nobody is busy any more with what had come from them before. */
import type { VirtualWorld } from '../replication/virtual-world.ts';
import type { Ledger, Turn } from './ledger.ts';
import { dumpKey, type Holder, RecordHeap } from './reference.ts';
import type { Stores } from './replies.ts';
import type { SimulatedNode } from './simulated-node.ts';

/** How often is looked whether those that are left have dealt with what had come from one that has ended. */
const HEARING_MS = 20;

/** Where nodes end. */
export interface LossSite extends Stores {
  readonly world: VirtualWorld;
  readonly ledger: Ledger;
  readonly faults: { readonly storesTroubledUntilMs: number };
  trace(text: string): void;
}

export class Losses {
  readonly #site: LossSite;
  /** What the disks of nodes that are down hold. */
  readonly #disks = new Map<SimulatedNode, Holder>();
  /** What has to be looked at after the ends of this moment. */
  #judgement: 'end' | 'loss' | null = null;
  /** The nodes that have ended meanwhile, and when. */
  #ended: { host: string; atMs: number }[] = [];

  constructor(site: LossSite) {
    this.#site = site;
  }

  /** A node has crashed, or has stopped in order; without stores that work, what it alone had is gone all the same. */
  ended(node: SimulatedNode): void {
    this.#noteEnd(node);
    this.#disks.set(node, diskOf(node));
    this.#judgement ??= 'end';
  }

  /** A node is about to be gone for good, with its disk. */
  left(node: SimulatedNode): void {
    this.#noteEnd(node);
    this.#disks.delete(node);
    this.#judgement = 'loss';
  }

  /** A node has read its disk. */
  isUp(node: SimulatedNode): void {
    this.#disks.delete(node);
  }

  #noteEnd({ host }: SimulatedNode): void {
    this.#ended.push({ host, atMs: this.#site.world.time.monotonicMs() });
  }

  judge(): void {
    if (this.#judgement === null) return;
    const { world, schedule, faults, ledger } = this.#site;
    const { time } = world;
    if (this.#ended.some(({ host }) => world.isBeingHeard(host))) {
      time.setTimer(HEARING_MS, () => this.judge());
      return;
    }
    const isGone = this.#judgement === 'loss';
    const nowMs = Math.min(time.monotonicMs(), ...this.#ended.map(({ atMs }) => atMs));
    this.#judgement = null;
    this.#ended = [];
    const { durability, hasDisk, hasDatabase, options } = schedule;
    const hasStore = hasDisk || hasDatabase;
    const intervalMs = options['flush-interval'] === '1s' ? 1000 : 200;
    const isTroubled = nowMs < faults.storesTroubledUntilMs || !hasStore;
    const sinceMs = isGone || isTroubled ? 0 : nowMs - 5 * intervalMs - 4000;
    const isSynced = durability === 'always' || durability === 'mysql';
    const mayBeLost = (turn: Turn): boolean => {
      if (isGone) return true;
      if (isSynced && turn.unanswered === 0 && !isTroubled) return false;
      return turn.atMs >= sinceMs;
    };
    const hit = ledger.judge(mayBeLost, this.#holders());
    for (const turn of hit) this.#site.trace(`lost of n${turn.node + 1}: ${[...turn.lostKeys].join(' ')}`);
  }

  /** Everything that has a copy now. */
  #holders(): Holder[] {
    const { nodes, schedule } = this.#site;
    const holders: Holder[] = [];
    // Those that have the most come first.
    for (const { runtime } of nodes) {
      if (runtime !== null) holders.push({ dump: (database, key) => dumpKey(runtime.keyspace, database, key) });
    }
    holders.push(...this.#disks.values());
    if (schedule.hasDatabase) holders.push(rowsOf(this.#site));
    return holders;
  }
}

/** What a disk holds for good. */
export function diskOf(node: SimulatedNode): RecordHeap {
  const heap = new RecordHeap();
  for (const records of node.disk.durableRecords()) heap.add(records);
  return heap;
}

/** What the database holds. */
export function rowsOf({ database }: Pick<Stores, 'database'>): RecordHeap {
  const heap = new RecordHeap();
  for (const row of database.rows.values()) heap.add(row);
  return heap;
}
