/** What goes wrong, and how it is put right again. */
import type { SimulatedDatabase } from './simulated-database.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { clockStepMs, type Fault, type FaultKind, faultKinds } from './schedule.ts';
import type { VirtualWorld } from '../replication/virtual-world.ts';

export type FaultCounts = Record<FaultKind, number>;

export function noFaults(): FaultCounts {
  return Object.fromEntries(faultKinds.map((kind) => [kind, 0])) as FaultCounts;
}

/** What faults are done to. */
export interface FaultSite {
  readonly world: VirtualWorld;
  readonly nodes: readonly SimulatedNode[];
  readonly database: SimulatedDatabase;
  crash(node: SimulatedNode): void;
  leave(node: SimulatedNode): void;
  stopped(node: SimulatedNode): void;
}

export class FaultBoard {
  /** How often each kind has had an effect. */
  readonly fired = noFaults();
  readonly #site: FaultSite;
  /** What has to be put right yet. */
  #open = new Set<() => void>();
  /** Since when stores were in no trouble; they may be behind for a while after it. */
  storesTroubledUntilMs = 0;

  constructor(site: FaultSite) {
    this.#site = site;
  }

  apply(fault: Fault): void {
    const { nodes } = this.#site;
    const node = nodes[fault.node];
    const other = nodes[fault.other];
    if (this.#begin(fault, node, other)) this.fired[fault.kind]++;
  }

  /** Puts everything right, that the network and the stores have done in the end included. */
  healAll(): void {
    for (const undo of [...this.#open]) undo();
    const { nodes, world, database } = this.#site;
    world.heal();
    world.unstall();
    for (const node of nodes) {
      node.goOn();
      node.clockOffsetMs = 0;
      node.frozenAtMs = null;
      node.start();
    }
    this.fired.torn += world.done.torn;
    this.fired.replay += world.done.replayed;
    this.fired['database-commit'] += database.done.lostCommits;
    this.fired['database-deadlock'] += database.done.deadlocks;
    for (const node of nodes) this.fired['disk-full'] += node.disk.done.full;
  }

  /** Undone after the fault's time, or when everything is healed. */
  #later(durationMs: number, undo: () => void): void {
    const once = (): void => {
      if (this.#open.delete(once)) undo();
    };
    this.#open.add(once);
    this.#site.world.time.setTimer(durationMs, once);
  }

  /** Counted by their effects, and not here: torn, replay, disk-full, and the errors of single statements. */
  #begin(fault: Fault, node: SimulatedNode, other: SimulatedNode): boolean {
    const { world } = this.#site;
    const { kind, durationMs, amount } = fault;
    switch (kind) {
      case 'delay':
        world.slowHosts.set(node.host, amount * 800);
        this.#later(durationMs, () => world.slowHosts.delete(node.host));
        return true;
      case 'torn':
        world.tornShare = 0.002 + amount * 0.02;
        this.#later(durationMs, () => (world.tornShare = 0));
        return false;
      case 'replay':
        world.replayShare = amount * 0.3;
        this.#later(durationMs, () => (world.replayShare = 0));
        return false;
      case 'pieces':
        world.pieceBytesMax = 1 + Math.floor(amount * 400);
        this.#later(durationMs, () => (world.pieceBytesMax = 0));
        return true;
      case 'reset':
        world.resetBetween(node.host, other.host);
        return true;
      case 'cut':
        this.#cut(node, other, durationMs);
        this.#cut(other, node, durationMs);
        return true;
      case 'one-way':
        this.#cut(node, other, durationMs);
        return true;
      case 'isolate':
        for (const one of this.#site.nodes) {
          if (one === node) continue;
          this.#cut(node, one, durationMs);
          this.#cut(one, node, durationMs);
        }
        return true;
      case 'pause':
        if (node.state !== 'up' || node.isPaused) return false;
        node.pause();
        this.#later(durationMs, () => node.goOn());
        return true;
      case 'clock-step':
        node.clockOffsetMs = clockStepMs(amount);
        return true;
      case 'clock-freeze':
        if (node.frozenAtMs !== null) return false;
        node.frozenAtMs = node.wallClockMs();
        this.#later(durationMs, () => (node.frozenAtMs = null));
        return true;
      default:
        return this.#beginEnd(fault, node);
    }
  }

  #cut(from: SimulatedNode, to: SimulatedNode, durationMs: number): void {
    const { world } = this.#site;
    world.cut(from.host, to.host);
    this.#later(durationMs, () => world.mend(from.host, to.host));
  }

  /** Nodes that end, and what happens to stores. */
  #beginEnd({ kind, durationMs, amount }: Fault, node: SimulatedNode): boolean {
    const { nodes, database } = this.#site;
    switch (kind) {
      case 'crash':
        return this.#crash(node, durationMs);
      case 'restart':
        return this.#stop(node, durationMs);
      case 'mass-restart': {
        const isCrash = amount < 0.5;
        const ended = nodes.map((one) => (isCrash ? this.#crash(one, durationMs) : this.#stop(one, durationMs)));
        return ended.includes(true);
      }
      case 'leave':
        if (node.state === 'gone' || node.starts === 0) return false;
        this.#site.leave(node);
        return true;
      case 'join':
        if (node.starts > 0) return false;
        node.start();
        return true;
      case 'disk-slow':
        node.disk.syncMsMax = 20 + amount * 1500;
        this.#trouble(durationMs, () => (node.disk.syncMsMax = 2));
        return true;
      case 'disk-full':
        node.disk.isFull = true;
        this.#trouble(durationMs, () => (node.disk.isFull = false));
        return false;
      case 'database-down':
        database.isDown = true;
        this.#trouble(durationMs, () => (database.isDown = false));
        return true;
      case 'database-slow':
        database.statementMsMax = 20 + amount * 500;
        this.#trouble(durationMs, () => (database.statementMsMax = 3));
        return true;
      case 'database-deadlock':
        database.deadlockShare = amount * 0.5;
        this.#trouble(durationMs, () => (database.deadlockShare = 0));
        return false;
      case 'database-commit':
        database.lostCommitShare = amount * 0.5;
        this.#trouble(durationMs, () => (database.lostCommitShare = 0));
        return false;
      default:
        throw new Error(`nobody knows how to do ${kind}`);
    }
  }

  #trouble(durationMs: number, undo: () => void): void {
    const untilMs = this.#site.world.time.monotonicMs() + durationMs + 10_000;
    this.storesTroubledUntilMs = Math.max(this.storesTroubledUntilMs, untilMs);
    this.#later(durationMs, undo);
  }

  #crash(node: SimulatedNode, downMs: number): boolean {
    if (node.state === 'down' || node.state === 'gone') return false;
    this.#site.crash(node);
    this.#site.world.time.setTimer(downMs, () => node.start());
    return true;
  }

  #stop(node: SimulatedNode, downMs: number): boolean {
    if (node.serving === null) return false;
    node.stop(() => {
      this.#site.stopped(node);
      this.#site.world.time.setTimer(downMs, () => node.start());
    });
    return true;
  }
}
