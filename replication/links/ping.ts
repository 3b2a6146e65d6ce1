/** What a node tells its peers of itself at intervals: PING, and with it SEEN and BROUGHT, and the answers to theirs. */
import { PEER_VERSION_BROUGHT, PEER_VERSION_SEEN } from '../../protocol/peer-frame.ts';
import {
  encodeBrought,
  encodePing,
  encodePong,
  type Hello,
  type MemberAddress,
  type Pong,
} from '../../protocol/peer-message.ts';
import { encodeSeen } from '../../protocol/written.ts';
import type { Applied } from '../stream/applied.ts';
import type { Standing } from '../membership/standing.ts';
import type { Outbox } from '../stream/outbox.ts';
import type { Replica, Stamp } from '../replica.ts';

export interface PingSource {
  readonly replica: Replica;
  readonly outbox: Outbox;
  readonly applied: Applied;
  /** The later turns of this node are stamped above this. */
  complete(): Stamp;
  readonly standing: Pick<Standing, 'settled' | 'brought'>;
  members(): MemberAddress[];
}

export class Pings {
  readonly #source: PingSource;
  /** The highest version that the peer and this node both speak. */
  readonly #version: number;
  /** When the last one was sent, or became due. */
  sentAtMs: number;
  #token = 0;
  #isPending = false;
  #isSeenPending = false;
  #isBroughtPending = false;
  #answerToken: number | null = null;

  constructor(source: PingSource, peer: Pick<Hello, 'versionHighest'>, versionHighest: number, nowMs: number) {
    this.#source = source;
    this.#version = Math.min(peer.versionHighest, versionHighest);
    this.sentAtMs = nowMs;
  }

  /** Whether the peer says by itself what it has brought to a database. */
  get isBroughtTold(): boolean {
    return this.#version >= PEER_VERSION_BROUGHT;
  }

  /** A PING is due, with all that goes before it. */
  due(nowMs: number): void {
    this.sentAtMs = nowMs;
    this.#isPending = true;
    this.#isSeenPending = this.#version >= PEER_VERSION_SEEN;
    this.#isBroughtPending = this.isBroughtTold;
  }

  /** A PING is to tell what has changed, and no more. */
  hasten(): void {
    this.#isPending = true;
  }

  /** The peer's PING is to be answered. */
  came(token: number): void {
    this.#answerToken = token;
  }

  /** How long the peer took to answer, in milliseconds; null when it is not the last PING that it answers. */
  answered({ token }: Pong, nowMs: number): number | null {
    return token === this.#token ? nowMs - this.sentAtMs : null;
  }

  /** The next frame to send. @param backlogBytes what this node has to keep because the peer has yet to be sent it */
  next(nowMs: number, backlogBytes: () => number): Buffer | null {
    const source = this.#source;
    if (this.#answerToken !== null) {
      const token = this.#answerToken;
      this.#answerToken = null;
      const clock = source.replica.currentStamp();
      return encodePong({ token, clockHi: clock.hi, clockLo: clock.lo, wallMs: source.replica.nowMs() });
    }
    if (this.#isSeenPending) {
      this.#isSeenPending = false;
      return encodeSeen(source.applied.all());
    }
    if (this.#isBroughtPending) {
      this.#isBroughtPending = false;
      return encodeBrought(source.standing.brought());
    }
    if (!this.#isPending) return null;
    this.#isPending = false;
    this.sentAtMs = nowMs;
    this.#token = (this.#token + 1) >>> 0;
    return this.#ping(backlogBytes());
  }

  #ping(backlogBytes: number): Buffer {
    const source = this.#source;
    const clock = source.replica.currentStamp();
    return encodePing({
      clockHi: clock.hi,
      clockLo: clock.lo,
      wallMs: source.replica.nowMs(),
      token: this.#token,
      backlogBytes,
      published: source.outbox.last,
      complete: source.complete(),
      held: source.standing.settled(),
      members: source.members(),
    });
  }
}
