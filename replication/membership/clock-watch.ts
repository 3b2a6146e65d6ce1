/**
 * Whether the peers would take this node's stamps. They refuse what is stamped further ahead of their own clock than
 * `max-clock-drift`; a node of which most peers would say so must not acknowledge writes, for nobody else will have them.
 *
 * A peer's clock is noted with the monotonic time of the reading, so that it goes on here at the right rate: when this node's wall
 * clock is set right, that shows at once, without a word from anybody.
 */
import { stampMs } from '../../protocol/stamp.ts';
import type { Replica } from '../replica.ts';

/** Peers that have not been heard of for longer do not count. */
const FRESH_MS = 600_000;
/** What took longer to come tells too little of the clock. */
const TRAVEL_MS_MAX = 5_000;
const PEERS_MAX = 256;

interface Reading {
  wallMs: number;
  atMs: number;
}

/** How this node's clock stands against its peers'. */
export interface ClockStanding {
  /** How far its stamps are ahead of the median peer's clock; less than 0 when they are behind, 0 when no peer is known. */
  readonly aheadMs: number;
  /** True when most peers would refuse its stamps. */
  readonly isRefused: boolean;
  /** True when it would refuse the stamps that most peers make by their clocks. */
  readonly isBehind: boolean;
  readonly peers: number;
}

export class ClockWatch {
  readonly #replica: Replica;
  readonly #settings: { readonly maxClockDriftMs: number };
  readonly #readings = new Map<string, Reading>();

  constructor(replica: Replica, settings: { readonly maxClockDriftMs: number }) {
    this.#replica = replica;
    this.#settings = settings;
  }

  /**
   * Notes what an authenticated peer's wall clock said.
   * @param travelMs how long the reading may have been on its way
   * @param nowMs monotonic
   */
  note(peerId: string, wallMs: number, travelMs: number, nowMs: number): void {
    if (travelMs > TRAVEL_MS_MAX) return;
    this.#readings.delete(peerId);
    this.#readings.set(peerId, { wallMs: wallMs + travelMs / 2, atMs: nowMs });
    if (this.#readings.size > PEERS_MAX) this.#readings.delete(this.#readings.keys().next().value!);
  }

  forget(peerId: string): void {
    this.#readings.delete(peerId);
  }

  /** @param nowMs monotonic */
  standing(nowMs: number): ClockStanding {
    const { hi, lo } = this.#replica.currentStamp();
    const ownMs = Math.max(this.#replica.nowMs(), stampMs(hi, lo));
    const ahead: number[] = [];
    for (const { wallMs, atMs } of this.#readings.values()) {
      if (nowMs - atMs <= FRESH_MS) ahead.push(ownMs - (wallMs + nowMs - atMs));
    }
    ahead.sort((a, b) => a - b);
    // Of an even number the lesser one in the middle: more than half have to agree.
    const median = ahead[(ahead.length - 1) >> 1] ?? 0;
    // And so have they here.
    const lesser = -(ahead[ahead.length >> 1] ?? 0);
    const { maxClockDriftMs } = this.#settings;
    return {
      aheadMs: Math.round(median),
      isRefused: median > maxClockDriftMs,
      isBehind: lesser > maxClockDriftMs,
      peers: ahead.length,
    };
  }
}
