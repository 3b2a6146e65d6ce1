/** Who is let in: what a HELLO must say, and which of two links to one node stays. */
import {
  REFUSE_CLUSTER,
  REFUSE_FORGOTTEN,
  REFUSE_NODE_ID,
  REFUSE_SECOND_LINK,
  REFUSE_SELF,
  REFUSE_VERSION,
  PeerProtocolError,
} from '../../protocol/peer-frame.ts';
import type { Hello } from '../../protocol/peer-message.ts';
import { compareStamp, formatNodeId } from '../../protocol/stamp.ts';
import { stampText } from '../membership/horizon.ts';
import type { Link } from './link.ts';
import type { Member, Membership } from '../membership/membership.ts';
import type { Stamp } from '../replica.ts';
import type { ReplicatorSettings } from '../settings.ts';

/** Origins that are remembered of one member. */
const WRITERS_MAX = 64;

/** Whom a HELLO is of. */
interface Candidate {
  readonly id: string;
  readonly node: Stamp;
  readonly incarnation: Stamp;
}

export function isSame(a: Stamp, b: Stamp): boolean {
  return compareStamp(a.hi, a.lo, b.hi, b.lo) === 0;
}

/**
 * @param reaped tombstones up to here may be gone
 * @throws PeerProtocolError for a node that cannot be a member
 */
export function checkHello(
  settings: ReplicatorSettings,
  membership: Membership,
  hello: Hello,
  reaped: Stamp,
  nowMs: number,
): Candidate {
  const node = { hi: hello.nodeHi, lo: hello.nodeLo };
  const incarnation = { hi: hello.incarnationHi, lo: hello.incarnationLo };
  const id = formatNodeId(node.hi, node.lo);
  if (hello.clusterId !== settings.clusterId) {
    throw new PeerProtocolError(
      REFUSE_CLUSTER,
      `different clusters: '${printable(hello.clusterId)}' and '${settings.clusterId}'`,
    );
  }
  if (id === membership.selfId) {
    if (isSame(incarnation, settings.incarnation))
      throw new PeerProtocolError(REFUSE_SELF, 'this address is the node itself');
    throw new PeerProtocolError(REFUSE_NODE_ID, clonedMessage(id));
  }
  if (hello.horizon === null && (reaped.hi !== 0 || reaped.lo !== 0)) {
    const message =
      'its release knows nothing of the tombstone horizon, and cannot be told what has been deleted: upgrade it';
    throw new PeerProtocolError(REFUSE_VERSION, message);
  }
  if (membership.isBanned(id, nowMs)) throw new PeerProtocolError(REFUSE_FORGOTTEN, `node ${id} has been forgotten`);
  return { id, node, incarnation };
}

/**
 * There is a link to this node already: one of the two stays, and the same one on both sides.
 * @throws PeerProtocolError when it is the older one
 */
export function checkRival(
  link: Link,
  rival: Link,
  { selfId, id, incarnation }: { selfId: string; id: string; incarnation: Stamp },
  settings: ReplicatorSettings,
  nowMs: number,
): void {
  if (!isSame(rival.member!.incarnation, incarnation)) {
    // A restarted node's old connection is closed or silent; one that still speaks is another node with the same id.
    if (nowMs - rival.heardAtMs > settings.pingIntervalMs * 1.5) return;
    throw new PeerProtocolError(REFUSE_NODE_ID, `${clonedMessage(id)}; the other one is at ${rival.remoteHost}`);
  }
  // Of two links that both sides have dialed, the one dialed by the node with the lower id stays.
  const isPreferred = (rival.role === 'dial') === selfId < id;
  if (rival.role !== link.role && isPreferred)
    throw new PeerProtocolError(REFUSE_SECOND_LINK, 'there is a link already');
}

/** Notes the origin that the peer's writes carry; after many crashes only the last ones. */
export function noteWriter(member: Member, { horizon }: Hello): void {
  if (horizon === null) return;
  const writer = stampText(horizon.writer);
  member.writers.delete(writer);
  member.writers.add(writer);
  if (member.writers.size > WRITERS_MAX) member.writers.delete(member.writers.values().next().value!);
}

function clonedMessage(id: string): string {
  return `node id ${id} is in use by two nodes, probably a copied data directory; give one of them its own node-id`;
}

function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ');
}
