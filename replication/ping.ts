/** What a node tells its peers of itself at intervals. */
import { encodePing, encodePong, type MemberAddress, type Ping } from '../protocol/peer-message.ts';
import { isAbove, later } from './horizon.ts';
import type { Member } from './membership.ts';
import type { Outbox } from './outbox.ts';
import type { Replica, Stamp } from './replica.ts';

export interface PingSource {
  readonly replica: Replica;
  readonly outbox: Outbox;
  /** The later turns of this node are stamped above this. */
  complete(): Stamp;
  /** Everything that any member wrote up to here is here. */
  held(): Stamp;
  members(): MemberAddress[];
}

/** A PING frame. `backlogBytes` is what the peer has yet to be sent. */
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
    held: source.held(),
    members: source.members(),
  });
}

/** What the peer says of its own stream holds here only when nothing of it is missing: `isStreamWhole`, and no gap. */
export function noteCompleteness(member: Member, ping: Ping, isStreamWhole: boolean): void {
  member.held = later(member.held, ping.held);
  const { progress } = member;
  const isWhole = isStreamWhole && !progress.hasGap && progress.has(ping.published);
  const complete = isWhole ? ping.complete : progress.applied;
  if (isAbove(complete, member.complete)) member.complete = complete;
  member.heardUpTo = later(member.heardUpTo, complete);
}

/** The answer to the PING with this token. */
export function makePong(replica: Replica, token: number): Buffer {
  const clock = replica.currentStamp();
  return encodePong({ token, clockHi: clock.hi, clockLo: clock.lo, wallMs: replica.nowMs() });
}
