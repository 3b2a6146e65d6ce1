/** The state of replication for MANTIS PEERS, INFO replication and the dashboard. */
import { REFUSE_CLOCK } from '../protocol/peer-frame.ts';
import { formatStamp } from '../protocol/stamp.ts';
import { formatPeerAddress } from './links/address.ts';
import type { ClockStanding } from './membership/clock-watch.ts';
import type { DialStatus } from './links/dialer.ts';
import type { LinkRepair } from './repair/link-repair.ts';
import type { Member } from './membership/membership.ts';
import type { Mesh } from './links/mesh.ts';
import type { Stamp } from './replica.ts';

/**
 * `repairing` links stream too. `resynchronising`: one of the two has to take the other's state before it may push.
 * `quarantined`: refused because of its clock. `down`: no link. `set-aside`: no link for longer than the tombstone horizon.
 */
export type PeerState = 'streaming' | 'repairing' | 'resynchronising' | 'quarantined' | 'down' | 'set-aside';

export interface PeerStatus {
  /** 16 hex digits. */
  readonly id: string;
  readonly address: string;
  readonly state: PeerState;
  /** Who dialed the link; null when there is none. */
  readonly direction: 'outgoing' | 'incoming' | null;
  /** What the peer has applied of this node's stream, and this node of the peer's: `milliseconds-counter`. */
  readonly acknowledged: string;
  readonly applied: string;
  /** True while something of the peer's stream is missing here. */
  readonly hasGap: boolean;
  /** Bytes still to be sent to the peer, or kept for one without a link; what it says it has still to send. */
  readonly lagBytes: number;
  readonly peerLagBytes: number;
  /** Milliseconds since the last sign of life. */
  readonly heardAgoMs: number;
  readonly roundTripMs: number | null;
  readonly clockOffsetMs: number | null;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly repairs: number;
  /** Links there have been, the present one included. */
  readonly links: number;
  readonly lastError: string | null;
  /** Deletions that are older than the horizon cannot be forgotten because of it. */
  readonly isWaitedFor: boolean;
}

export interface ReplicationStatus {
  readonly nodeId: string;
  readonly port: number;
  readonly isPaused: boolean;
  readonly peers: readonly PeerStatus[];
  readonly dialing: readonly DialStatus[];
  /** Stamp of the last turn published: `milliseconds-counter`. */
  readonly lastPublished: string;
  readonly outboxBytes: number;
  readonly outboxBytesMax: number;
  readonly outboxDroppedFrames: number;
  /** Everything that any member wrote up to here is on this node's disk; tombstones up to here may be gone. */
  readonly held: string;
  readonly reaped: string;
  /** How this node's clock stands against its peers'. */
  readonly clock: ClockStanding;
  /** How often a peer has refused this node because its clock is ahead. */
  readonly clockRefusals: number;
  /** Records left out of repairs because they come from the future. */
  readonly futureRecords: number;
}

export function replicationStatus(mesh: Mesh): ReplicationStatus {
  const nowMs = mesh.nowMs();
  const waitedFor = mesh.standing.waitedFor(nowMs);
  let futureRecords = mesh.pastFutureRecords;
  for (const { link } of mesh.live.values()) futureRecords += link.futureRecords;
  return {
    nodeId: mesh.membership.selfId,
    port: mesh.port,
    isPaused: mesh.isPaused,
    peers: [...mesh.membership.members.values()].map((member) => peerStatus(mesh, member, waitedFor, nowMs)),
    dialing: mesh.dialer.status(),
    lastPublished: formatStamp(mesh.outbox.last.hi, mesh.outbox.last.lo),
    outboxBytes: mesh.outbox.bytes,
    outboxBytesMax: mesh.outbox.bytesMax,
    outboxDroppedFrames: mesh.outbox.droppedFrames,
    held: formatted(mesh.held()),
    reaped: formatted(mesh.horizon.reaped),
    clock: mesh.clocks.standing(nowMs),
    clockRefusals: mesh.clockRefusals,
    futureRecords,
  };
}

function formatted({ hi, lo }: Stamp): string {
  return formatStamp(hi, lo);
}

function peerStatus(mesh: Mesh, member: Member, waitedFor: readonly Member[], nowMs: number): PeerStatus {
  const link = mesh.live.get(member.id)?.link ?? null;
  const { past } = member;
  return {
    id: member.id,
    address: formatPeerAddress(member.host, member.port),
    state: peerState(member, link?.repair ?? null),
    direction: link === null ? null : link.role === 'dial' ? 'outgoing' : 'incoming',
    acknowledged: formatStamp(member.acknowledged.hi, member.acknowledged.lo),
    applied: formatStamp(member.progress.applied.hi, member.progress.applied.lo),
    hasGap: member.progress.hasGap,
    lagBytes: link?.backlogBytes() ?? mesh.outbox.bytesAfter(member.acknowledged),
    peerLagBytes: link?.peerBacklogBytes ?? 0,
    heardAgoMs: Math.round(nowMs - (link?.heardAtMs ?? member.lastSeenMs)),
    roundTripMs: link?.roundTripMs ?? null,
    clockOffsetMs: link?.clockOffsetMs ?? null,
    bytesIn: past.bytesIn + (link?.bytesIn ?? 0),
    bytesOut: past.bytesOut + (link?.bytesOut ?? 0),
    repairs: past.repairs + (link?.repair?.finished ?? 0),
    links: past.links + (link === null ? 0 : 1),
    // Why there is no link now is more than why the last one ended.
    lastError: (link === null ? mesh.dialer.lastErrorOf(member.id) : null) ?? member.lastEnding?.message ?? null,
    isWaitedFor: waitedFor.includes(member),
  };
}

function peerState(member: Member, repair: LinkRepair | null): PeerState {
  if (member.isLinked) {
    if (repair?.isTaking === true || repair?.isGiving === true) return 'resynchronising';
    return repair?.isDue === true ? 'repairing' : 'streaming';
  }
  if (member.isSetAside) return 'set-aside';
  return member.lastEnding?.code === REFUSE_CLOCK ? 'quarantined' : 'down';
}
