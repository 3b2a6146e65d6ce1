/** What the two halves of a repair have in common, and the rate at which a node repairs. */
import type { Applied } from '../stream/applied.ts';
import type { Random } from '../environment.ts';
import type { FrameScratch } from '../stream/frame-scratch.ts';
import type { Take } from './forsaking.ts';
import type { Horizon } from '../membership/horizon.ts';
import type { Membership } from '../membership/membership.ts';
import type { Outbox } from '../stream/outbox.ts';
import type { Replica, Stamp } from '../replica.ts';
import type { ReplicatorSettings } from '../settings.ts';

/** What a link's repairs ask of the node. */
export interface RepairOwner {
  readonly settings: ReplicatorSettings;
  readonly replica: Replica;
  readonly outbox: Outbox;
  readonly random: Random;
  readonly repairRate: RepairRate;
  readonly repairFrames: FrameScratch;
  readonly applied: Applied;
  readonly horizon: Horizon;
  readonly membership: Membership;
  /** True when a slice of repair work may be done now; at most one in a turn of the event loop, lest clients wait. */
  takeSlice(): boolean;
}

/** What a repair needs of its link. */
export interface RepairContext {
  readonly replica: Replica;
  /** Key summaries of one round; more buckets than that wait for the next round. */
  readonly summariesMax: number;
  /** Collections of more elements than this are compared by their elements; infinite where that cannot be. */
  readonly elementsMin: number;
  /** Where frames are made that leave at once. */
  readonly frames: FrameScratch;
  /** Random 32 bits for the key tables. */
  readonly seed: number;
  readonly counters: { summaries: number; comparedKeys: number };
  /** The stamp up to which this node's own writes are in its digests now; the peer may acknowledge it from now on. */
  ownCover(): Stamp;
  /** Everything that the peer wrote up to `cover` is here. */
  covered(cover: Stamp): void;
  /** Set where this node resynchronises: it sends nothing of its own, and deletes what the peer lacks by the rule. */
  readonly take: Take | null;
}

/** One half of a running repair. */
export interface RepairSide {
  readonly isFinished: boolean;
  /** True while `next` has work that takes a slice of time and may yield nothing at first. */
  readonly isScanning: boolean;
  /** @throws PeerProtocolError for a frame that is malformed or out of turn */
  receive(type: number, buffer: Buffer, start: number, end: number, flags: number): void;
  /** The next frame to send, after at most one slice of work; it may lie in `frames`. */
  next(): Buffer | null;
  close(): void;
}

/** A token bucket over bytes, shared by all repairs of a node. It may go into debt by one frame. */
export class RepairRate {
  bytesPerSecond: number;
  #tokens: number;
  #filledAtMs: number;

  /** 0 bytes per second = no limit. */
  constructor(bytesPerSecond: number, nowMs: number) {
    this.bytesPerSecond = bytesPerSecond;
    this.#tokens = bytesPerSecond / 10;
    this.#filledAtMs = nowMs;
  }

  isReady(nowMs: number): boolean {
    if (this.bytesPerSecond === 0) return true;
    const gained = ((nowMs - this.#filledAtMs) * this.bytesPerSecond) / 1000;
    this.#tokens = Math.min(this.#tokens + gained, this.bytesPerSecond / 10);
    this.#filledAtMs = nowMs;
    return this.#tokens > 0;
  }

  spend(bytes: number): void {
    if (this.bytesPerSecond !== 0) this.#tokens -= bytes;
  }
}
