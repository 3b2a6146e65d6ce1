import type { Forget, Hello, MemberAddress } from '../../protocol/peer-message.ts';
import type { Published } from '../../protocol/peer-publish.ts';
import type { ClockWatch } from '../membership/clock-watch.ts';
import type { Member } from '../membership/membership.ts';
import type { PingSource } from './ping.ts';
import type { RepairOwner } from '../repair/repair.ts';
import type { Stamp } from '../replica.ts';

/** What a link asks of the node that it belongs to. */
export interface LinkOwner<Link> extends RepairOwner, PingSource {
  readonly clocks: ClockWatch;
  /** The port that others can dial, or 0. */
  advertisedPort(): number;
  /** Everything that any member wrote up to here is here, over a crash. */
  held(): Stamp;
  /** The peer has authenticated. Registers the link, or throws PeerProtocolError to refuse it. */
  admit(link: Link, hello: Hello, nowMs: number): Member;
  /** Both sides take each other for members now: the accepting one knows that from the dialing one's RESUME. */
  linked(link: Link): void;
  learn(link: Link, members: readonly MemberAddress[]): void;
  /** The peer has acknowledged more of this node's stream. */
  acknowledged(link: Link): void;
  /** The peer has said what it has of all writers. */
  seen(link: Link): void;
  /** The peer passes on the order to forget a node. */
  forgetTold(forget: Forget): void;
  /** One of the two has to resynchronise: this node, or the peer. */
  setBehind(link: Link, isOwn: boolean, reaped: Stamp): void;
  published(messages: readonly Published[]): void;
}
