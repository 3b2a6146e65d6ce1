/** What must hold while a simulation runs: of clocks, outboxes, and what peers have acknowledged. */
import { isKeyKind } from '../../protocol/collection-kinds.ts';
import { compareStamp, formatNodeId, parseNodeId, stampMs } from '../../protocol/stamp.ts';
import type { Stamp } from '../../replication/replica.ts';
import type { PeerStatus } from '../../replication/status.ts';
import type { Runtime } from '../../server/runtime.ts';
import type { VirtualWorld } from '../replication/virtual-world.ts';
import { factsOf, type Ledger, type Turn } from './ledger.ts';
import { describeRecords, digestOfKey, dumpKey, type Holder } from './reference.ts';
import { NODE_ID_HI, type SimulatedNode } from './simulated-node.ts';
import { Violation } from './violation.ts';
import { restlessKeys } from './workload.ts';

/** Nodes that come back are looked at more often for a while. */
const RETURNING_MS = 1500;
/** What was written shortly before a crash may be lost to its node. */
const LATELY_MS = 3000;

/** A node that has ended. */
interface Returning {
  /** What others had written lately by then and it has not shown since. */
  turns: readonly Turn[];
  /** Until when it is looked at more often; null while it is not back. */
  untilMs: number | null;
}

/** What is checked. */
export interface RunningSite {
  readonly world: VirtualWorld;
  readonly nodes: readonly SimulatedNode[];
  readonly ledger: Ledger;
  /** Milliseconds since 1970, as clocks without fault show. */
  readonly trueMs: number;
}

/** From the text of a status. */
function stampOf(text: string): Stamp {
  const [ms, counter] = text.split('-').map(Number);
  return { hi: Math.floor(ms / 4096), lo: (ms % 4096) * 0x100000 + counter };
}

export class RunningChecks {
  readonly #site: RunningSite;
  readonly #aheadMsMax: number;
  /** Nodes that have ended, or came back a moment ago, each with what it has to show again. */
  readonly #returning = new Map<SimulatedNode, Returning>();

  /** @param aheadMsMax no stamp is further ahead of the time than this */
  constructor(site: RunningSite, aheadMsMax: number) {
    this.#site = site;
    this.#aheadMsMax = aheadMsMax;
  }

  get isAnyReturning(): boolean {
    return this.#returning.size > 0;
  }

  noteCrash(node: SimulatedNode): void {
    const sinceMs = this.#site.world.time.monotonicMs() - LATELY_MS;
    const turns = this.#site.ledger.turns.filter((turn) => turn.node !== node.number - 1 && turn.atMs > sinceMs);
    this.#returning.set(node, { turns, untilMs: null });
  }

  noteUp(node: SimulatedNode): void {
    const returning = this.#returning.get(node);
    if (returning !== undefined) returning.untilMs = this.#site.world.time.monotonicMs() + RETURNING_MS;
  }

  /** @throws Violation */
  check(): void {
    const { nodes, ledger, world } = this.#site;
    for (const node of nodes) {
      const runtime = node.serving;
      if (runtime === null || runtime.replicator === null) continue;
      this.#checkClock(node);
      const { outboxBytes, outboxBytesMax, peers } = runtime.replicator.status();
      if (outboxBytes > outboxBytesMax) throw new Violation(`the outbox of ${node.host} holds ${outboxBytes} bytes`);
      for (const peer of peers) {
        const at = parseNodeId(peer.id)!;
        ledger.heard(node.number - 1, stampOf(peer.acknowledged), world.time.monotonicMs());
        const other = nodes[at.lo - 1];
        if (peer.state === 'down' || other.serving === null || other.serving.loading !== null) continue;
        const stamp = stampOf(peer.acknowledged);
        const turns = ledger.unchecked(node.number - 1, node.starts, stamp, other.number - 1);
        for (const turn of turns) {
          this.#checkAcknowledged(node, other, turn);
        }
      }
    }
  }

  /**
   * Of a node that came back its peers may not believe that it still has what a crash has taken from it. What it has shown to have once it
   * keeps, or something newer.
   * @throws Violation
   */
  checkReturning(): void {
    const { nodes, world } = this.#site;
    for (const [other, returning] of this.#returning) {
      const { turns, untilMs } = returning;
      if (other.state === 'gone' || (untilMs !== null && world.time.monotonicMs() > untilMs)) {
        this.#returning.delete(other);
        continue;
      }
      if (untilMs === null || other.serving === null) continue;
      const shown = new Set<Turn>();
      for (const node of nodes) {
        const ofThisRun = turns.filter((turn) => turn.node === node.number - 1 && turn.run === node.starts);
        // What a peer says takes a while to put together, and this is asked many times.
        if (ofThisRun.length === 0) continue;
        const peer = node.serving === null ? undefined : peerOf(node.serving, other);
        if (node === other || peer === undefined || peer.state === 'down') continue;
        // A peer that is cut off has not heard yet that there was a crash.
        if ((peerOf(other.serving, node)?.direction ?? null) === null) continue;
        const { hi, lo } = stampOf(peer.acknowledged);
        for (const turn of ofThisRun) {
          if (compareStamp(turn.stamp.hi, turn.stamp.lo, hi, lo) > 0) continue;
          this.#checkAcknowledged(node, other, turn);
          shown.add(turn);
        }
      }
      if (shown.size > 0) returning.turns = turns.filter((turn) => !shown.has(turn));
    }
  }

  /** No stamps are further ahead than the fastest clock, and what a start skips. */
  #checkClock(node: SimulatedNode): void {
    const { hi, lo } = node.runtime!.keyspace.clock;
    const aheadMs = stampMs(hi, lo) - this.#site.trueMs;
    if (aheadMs > this.#aheadMsMax)
      throw new Violation(`the stamps of ${node.host} are ${aheadMs} ms ahead, and clocks are not`);
  }

  /** What a peer has acknowledged it holds, or something newer. */
  #checkAcknowledged(node: SimulatedNode, other: SimulatedNode, turn: Turn): void {
    const { keyspace } = other.runtime!;
    const holder: Holder = { dump: (database, key) => dumpKey(keyspace, database, key) };
    for (let index = 0; index < turn.records.length; index++) {
      if (turn.lost.has(index)) continue;
      const record = turn.records[index];
      const { key, deadlineMs, flags } = factsOf(record);
      const isRestless = deadlineMs > 0 || (flags & 1) !== 0 || restlessKeys.test(key.toString('latin1'));
      if (isRestless || this.#site.ledger.isHeld(record, holder)) continue;
      // Digests say nothing of what was removed, so that a repair need not bring it.
      if (this.#showsAsAnother(other, record) || this.#isBeginningOfNothing(record, holder)) continue;
      throw new Violation(
        `${other.host} has acknowledged what ${node.host} wrote to ${key.toString('latin1')}, and does not have it:\n` +
          `written ${describeRecords(record).join()}\nthere ${describeRecords(holder.dump(factsOf(record).database, key)).join('\n')}`,
      );
    }
  }

  /**
   * Whether it is the beginning of a collection of which the holder has nothing that shows. A repair may bring the removal of all that
   * the collection had, and not its beginning. The other nodes may show what was written there since, which is not acknowledged yet.
   */
  #isBeginningOfNothing(record: Buffer, holder: Holder): boolean {
    return isKeyKind(factsOf(record).kind) && !this.#site.ledger.wouldShow(record, holder);
  }

  /** Whether a node shows the same at the record's key as some other node does. */
  #showsAsAnother(node: SimulatedNode, record: Buffer): boolean {
    const { database, key } = factsOf(record);
    const own = digestOfKey(node.runtime!.keyspace, database, key);
    return this.#site.nodes.some(
      (other) => other !== node && other.runtime !== null && digestOfKey(other.runtime.keyspace, database, key) === own,
    );
  }
}

/** A node, as another one sees it. */
function peerOf(runtime: Runtime, { number }: SimulatedNode): PeerStatus | undefined {
  const id = formatNodeId(NODE_ID_HI, number);
  return runtime.replicator?.status().peers.find((peer) => peer.id === id);
}
