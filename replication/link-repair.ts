/** When a link repairs: who leads, when one begins, and how its frames share the link. */
import {
  FRAME_REPAIR_ASK,
  FRAME_REPAIR_BUCKETS,
  FRAME_REPAIR_GROUPS,
  FRAME_REPAIR_RECORDS,
  PeerProtocolError,
  REFUSE_MALFORMED,
} from '../protocol/peer-frame.ts';
import { encodeEmpty } from '../protocol/peer-repair.ts';
import { compareStamp } from '../protocol/stamp.ts';
import type { Written } from '../protocol/written.ts';
import type { RepairContext, RepairOwner, RepairSide } from './repair.ts';
import { RepairLeader } from './repair-leader.ts';
import { RepairResponder } from './repair-responder.ts';
import type { Stamp } from './replica.ts';
import type { StreamReceiver, StreamSender } from './stream.ts';

/** A repair in which nothing has moved for this long is given up, with its link. */
const REPAIR_STALLED_MS = 120_000;
/** How much more often a link repairs that stands in for a link this node does not have. */
const RELAY_FACTOR = 12;

export class LinkRepair {
  /** Called when a repair has brought everything up to its cover. */
  onCovered: () => void = () => undefined;
  /** Repairs that ran to their end. */
  finished = 0;
  recordBytesIn = 0;
  recordBytesOut = 0;
  readonly counters = { summaries: 0 };
  /** True when a repair waits for the rate limit. */
  isWaitingForRate = false;
  /** What the peer has of all writers, as it said last. */
  seen: readonly Written[] = [];
  #owner: RepairOwner;
  #receiver: StreamReceiver;
  #sender: StreamSender;
  #leads: boolean;
  #side: RepairSide | null = null;
  #isWanted = false;
  #askPending = false;
  /** The leader has been asked and has not begun since. */
  #hasAsked = false;
  #nextAtMs: number;
  #isRelaying = false;
  #lastTickMs: number;
  #movedAtMs = 0;
  /** What the peer had when it told its digests: all of it is here when the repair is done. */
  #seenAtDigests: readonly Written[] = [];
  #leftOutBefore = 0;

  constructor(owner: RepairOwner, receiver: StreamReceiver, sender: StreamSender, peer: Stamp, nowMs: number) {
    this.#owner = owner;
    this.#receiver = receiver;
    this.#sender = sender;
    const { nodeId } = owner.settings;
    this.#leads = compareStamp(nodeId.hi, nodeId.lo, peer.hi, peer.lo) < 0;
    this.#lastTickMs = nowMs;
    this.#nextAtMs = nowMs + this.#jitteredInterval();
  }

  get isActive(): boolean {
    return this.#side !== null;
  }

  /** True while a repair has been asked for or runs. */
  get isDue(): boolean {
    return this.#isWanted || this.#side !== null || this.#hasAsked;
  }

  /** True while a pass over the keys should go on in the next turn of the event loop. */
  get isScanning(): boolean {
    return this.#side?.isScanning ?? false;
  }

  /** The leader notes that a repair is needed; the other side leaves it to the leader, who has seen the same. */
  want(): void {
    this.#isWanted = this.#leads;
  }

  /** Something is missing here that only this side has noticed. */
  ask(): void {
    if (this.#leads) this.#isWanted = true;
    else if (!this.#hasAsked && this.#side === null) this.#hasAsked = this.#askPending = true;
  }

  /** Something may be missing at other nodes: repair within `delayMs`. */
  soon(nowMs: number, delayMs: number): void {
    this.#nextAtMs = Math.min(this.#nextAtMs, nowMs + delayMs * this.#owner.random.fraction());
  }

  /** The peer is linked to a node that this one cannot see: what that node writes comes by repair, so repair more often. */
  set isRelaying(relaying: boolean) {
    const wasRelaying = this.#isRelaying;
    this.#isRelaying = relaying;
    if (relaying && !wasRelaying)
      this.#nextAtMs = Math.min(this.#nextAtMs, this.#lastTickMs + this.#jitteredInterval());
  }

  /** Time has passed. Returns why the link must be closed, or null. */
  tick(nowMs: number): string | null {
    this.#lastTickMs = nowMs;
    if (this.#side !== null && nowMs - this.#movedAtMs > REPAIR_STALLED_MS) {
      return `a repair has not moved for ${REPAIR_STALLED_MS} ms`;
    }
    if (nowMs >= this.#nextAtMs) {
      this.#nextAtMs = nowMs + this.#jitteredInterval();
      if (this.#isRelaying) this.ask();
      else this.want();
    }
    this.begin(nowMs);
    return null;
  }

  /** Begins a repair if this side leads, one is wanted, and both streams are in place. */
  begin(nowMs: number): void {
    if (!this.#isWanted || this.#side !== null || !this.#sender.positioned || !this.#receiver.started) return;
    this.#isWanted = false;
    this.#movedAtMs = nowMs;
    this.#side = new RepairLeader(this.#context());
  }

  receive(type: number, buffer: Buffer, start: number, end: number, flags: number, nowMs: number): void {
    this.#movedAtMs = nowMs;
    if (type === FRAME_REPAIR_GROUPS || type === FRAME_REPAIR_BUCKETS) this.#noteDigests();
    if (type === FRAME_REPAIR_ASK) {
      if (!this.#leads) throw new PeerProtocolError(REFUSE_MALFORMED, 'the leader of repairs asked for one');
      this.#isWanted = true;
    } else if (type === FRAME_REPAIR_RECORDS && this.#side !== null) {
      this.recordBytesIn += end - start;
      this.#receiver.repairRecords(flags, buffer, start, end);
    } else if (type === FRAME_REPAIR_GROUPS && !this.#leads && (this.#side === null || this.#side.isFinished)) {
      this.#hasAsked = false;
      this.#side = new RepairResponder(this.#context());
      this.#side.receive(type, buffer, start, end, flags);
    } else if (this.#side !== null) {
      this.#side.receive(type, buffer, start, end, flags);
      this.#retire();
    } else {
      throw new PeerProtocolError(REFUSE_MALFORMED, `a frame of type ${type} that was not expected`);
    }
  }

  /** The next frame of the repair; does at most one slice of work. */
  next(nowMs: number): Buffer | null {
    this.isWaitingForRate = false;
    if (this.#askPending) {
      this.#askPending = false;
      return encodeEmpty(FRAME_REPAIR_ASK);
    }
    if (this.#side === null) return null;
    if (!this.#owner.repairRate.isReady(nowMs)) {
      this.isWaitingForRate = true;
      return null;
    }
    if (this.#side.isScanning) {
      this.#movedAtMs = nowMs;
      if (!this.#owner.takeSlice()) return null;
    }
    const frame = this.#side.next();
    if (frame !== null) {
      this.#owner.repairRate.spend(frame.length);
      if (frame[8] === FRAME_REPAIR_RECORDS) this.recordBytesOut += frame.length;
    }
    this.#retire();
    return frame;
  }

  #noteDigests(): void {
    this.#seenAtDigests = this.seen;
    this.#leftOutBefore = this.#receiver.futureRecords;
  }

  /** A repair has brought everything of the peer up to `cover`, and what the peer had of others. */
  #covered(cover: Stamp): void {
    this.#receiver.progress.cover(cover);
    const isWhole = this.#receiver.futureRecords === this.#leftOutBefore;
    this.#owner.applied.note(isWhole ? this.#seenAtDigests : []);
    this.onCovered();
  }

  close(): void {
    this.#side?.close();
    this.#side = null;
  }

  #retire(): void {
    if (this.#side === null || !this.#side.isFinished) return;
    this.#side = null;
    this.finished++;
    if (this.#receiver.progress.hasGap) this.ask();
  }

  #context(): RepairContext {
    const { replica, settings, outbox, random } = this.#owner;
    return {
      replica,
      summariesMax: settings.repairSummariesMax,
      seed: random.bytes(4).readInt32LE(0),
      counters: this.counters,
      ownCover: () => {
        this.#sender.covered(outbox.last);
        return outbox.last;
      },
      covered: (cover) => this.#covered(cover),
    };
  }

  #jitteredInterval(): number {
    const interval = this.#owner.settings.repairIntervalMs / (this.#isRelaying ? RELAY_FACTOR : 1);
    return interval * (0.75 + this.#owner.random.fraction() * 0.5);
  }
}
