/** What a node tells its peers of itself at intervals. */
import { encodePing, encodePong, type MemberAddress } from '../../protocol/peer-message.ts';
import type { Outbox } from '../stream/outbox.ts';
import type { Replica, Stamp } from '../replica.ts';

export interface PingSource {
  readonly replica: Replica;
  readonly outbox: Outbox;
  /** The later turns of this node are stamped above this. */
  complete(): Stamp;
  /** Everything that any member wrote up to here is here, and in all stores of this node. */
  settled(): Stamp;
  members(): MemberAddress[];
}

/** A PING frame. `backlogBytes` is what this node has to keep because the peer has yet to be sent it. */
export function makePing(source: PingSource, token: number, backlogBytes: number): Buffer {
  const clock = source.replica.currentStamp();
  return encodePing({
    clockHi: clock.hi,
    clockLo: clock.lo,
    wallMs: source.replica.nowMs(),
    token,
    backlogBytes,
    published: source.outbox.last,
    complete: source.complete(),
    held: source.settled(),
    members: source.members(),
  });
}

/** The answer to the PING with this token. */
export function makePong(replica: Replica, token: number): Buffer {
  const clock = replica.currentStamp();
  return encodePong({ token, clockHi: clock.hi, clockLo: clock.lo, wallMs: replica.nowMs() });
}
