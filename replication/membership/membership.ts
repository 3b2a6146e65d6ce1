/** The other nodes of the cluster: who and where they are, how far each has followed this node's stream, and this node theirs. */
import type { MemberAddress } from '../../protocol/peer-message.ts';
import { compareStamp, formatNodeId } from '../../protocol/stamp.ts';
import type { Written } from '../../protocol/written.ts';
import { StreamProgress } from '../stream/progress.ts';
import type { Stamp } from '../replica.ts';

/** What a peer had of this node's writes when a link to it began. */
export interface LinkBeginning {
  /** The peer's clock: what it had written by then is stamped up to here. */
  readonly clock: Stamp;
  /** How far it had this node's stream, and this node's writes by whatever way; null until it has said so. */
  resumedAt: Stamp | null;
  told: Stamp | null;
}

/** One other node. */
export interface Member {
  /** 16 hex digits. */
  readonly id: string;
  readonly node: Stamp;
  incarnation: Stamp;
  /** The origin of what it writes now; null until it has said so. */
  writer: Stamp | null;
  /** Where it can be dialed; port 0 = nowhere. */
  host: string;
  port: number;
  isLinked: boolean;
  /** How far this node has applied its stream. */
  progress: StreamProgress;
  /** How far it has applied this node's stream. */
  acknowledged: Stamp;
  /** Its links of which it may have written before they began what is not here yet, the first one first. */
  beginnings: readonly LinkBeginning[];
  /** Everything that it wrote up to here is here. */
  complete: Stamp;
  /** Everything that any member it knows wrote up to here is there, as it said last. */
  held: Stamp;
  /** The same without what its stores may bring to a database yet: this is told in PINGs only, and never taken back by one run of it. */
  settled: Stamp;
  /** It brings nothing to a database any more that came to it up to here, as this run of it has said. */
  brought: Stamp;
  /** Removals up to there were here at the beginning of the comparison of digests that is under way, of the last one, and of the one before. */
  compared: { running: Stamp | null; last: Stamp; before: Stamp };
  /** As `complete`, also from before the member or this node was restarted. */
  heardUpTo: Stamp;
  /** The origins that its writes have carried, as far as they are known. */
  readonly writers: Set<string>;
  /** Away for longer than the tombstone horizon: nobody waits for it, and it has to resynchronise. */
  isSetAside: boolean;
  /** This node's clock when the member was let in last. */
  metAt: Stamp;
  /** Monotonic time of the last sign of life, told by itself or by a node linked to it. */
  lastSeenMs: number;
  /** How the last link ended; null while there was none. */
  lastEnding: { code: number; message: string; by: string } | null;
  /** Sums over the links that have ended. */
  readonly past: { bytesIn: number; bytesOut: number; repairs: number; links: number };
}

const none: Stamp = { hi: 0, lo: 0 };

function notCompared(): Member['compared'] {
  return { running: null, last: none, before: none };
}

export interface MembershipSettings {
  readonly nodeId: Stamp;
  readonly membersMax: number;
  readonly tombstoneHorizonMs: number;
  readonly memberReapMs: number;
  readonly forgetBanMs: number;
}

export class Membership {
  readonly members = new Map<string, Member>();
  readonly selfId: string;
  #settings: MembershipSettings;
  #bannedUntilMs = new Map<string, number>();

  constructor(settings: MembershipSettings) {
    this.#settings = settings;
    this.selfId = formatNodeId(settings.nodeId.hi, settings.nodeId.lo);
  }

  /**
   * A node has authenticated: its member, with everything forgotten that an earlier incarnation had.
   * Null when there are too many members.
   */
  meet(node: Stamp, incarnation: Stamp, host: string, port: number, nowMs: number): Member | null {
    const member = this.#find(node, nowMs);
    if (member === null) return null;
    if (compareStamp(member.incarnation.hi, member.incarnation.lo, incarnation.hi, incarnation.lo) !== 0) {
      member.incarnation = incarnation;
      member.writer = null;
      member.progress = new StreamProgress();
      member.acknowledged = none;
      member.complete = none;
      member.held = none;
      member.settled = none;
      member.brought = none;
      member.compared = notCompared();
      member.beginnings = [];
    }
    member.host = host;
    member.port = port;
    member.lastSeenMs = nowMs;
    member.isSetAside = false;
    return member;
  }

  /** A linked node has told of others. Returns those that are new here. */
  learn(told: readonly MemberAddress[], nowMs: number): Member[] {
    const fresh: Member[] = [];
    for (const address of told) {
      const node = { hi: address.nodeHi, lo: address.nodeLo };
      const id = formatNodeId(node.hi, node.lo);
      // Only of nodes that the teller is linked to, or the dead would be told of for ever.
      if (!address.linked || id === this.selfId || this.isBanned(id, nowMs)) continue;
      const isKnown = this.members.has(id);
      const member = this.#find(node, nowMs);
      if (member === null) continue;
      member.lastSeenMs = nowMs;
      member.isSetAside = false;
      if (!member.isLinked && address.port !== 0) {
        member.host = address.host;
        member.port = address.port;
      }
      if (!isKnown) fresh.push(member);
    }
    return fresh;
  }

  /** A member from before a restart. Null when it cannot be one. */
  recall(node: Stamp, host: string, port: number, nowMs: number): Member | null {
    if (formatNodeId(node.hi, node.lo) === this.selfId) return null;
    const member = this.#find(node, nowMs);
    if (member === null) return null;
    member.host = host;
    member.port = port;
    return member;
  }

  #find(node: Stamp, nowMs: number): Member | null {
    const id = formatNodeId(node.hi, node.lo);
    const known = this.members.get(id);
    if (known !== undefined) return known;
    if (this.members.size >= this.#settings.membersMax) return null;
    const member: Member = {
      id,
      node,
      incarnation: none,
      writer: null,
      host: '',
      port: 0,
      isLinked: false,
      progress: new StreamProgress(),
      acknowledged: none,
      beginnings: [],
      complete: none,
      held: none,
      settled: none,
      brought: none,
      compared: notCompared(),
      heardUpTo: none,
      writers: new Set(),
      isSetAside: false,
      metAt: none,
      lastSeenMs: nowMs,
      lastEnding: null,
      past: { bytesIn: 0, bytesOut: 0, repairs: 0, links: 0 },
    };
    this.members.set(id, member);
    return member;
  }

  /** What a ping tells of the members. */
  addresses(): MemberAddress[] {
    return [...this.members.values()].map((member) => ({
      nodeHi: member.node.hi,
      nodeLo: member.node.lo,
      incarnationHi: member.incarnation.hi,
      incarnationLo: member.incarnation.lo,
      linked: member.isLinked,
      port: member.port,
      host: member.host,
    }));
  }

  /** Removes a member and keeps it out for a while. False when it was not known. */
  forget(id: string, nowMs: number): boolean {
    this.#bannedUntilMs.set(id, nowMs + this.#settings.forgetBanMs);
    return this.members.delete(id);
  }

  isBanned(id: string, nowMs: number): boolean {
    const until = this.#bannedUntilMs.get(id);
    if (until === undefined) return false;
    if (nowMs < until) return true;
    this.#bannedUntilMs.delete(id);
    return false;
  }

  /** Sets aside the members that nobody has been linked to for longer than the horizon; returns those that were not yet. */
  setAside(nowMs: number): Member[] {
    const away = [...this.members.values()].filter(
      (member) =>
        !member.isLinked && !member.isSetAside && nowMs - member.lastSeenMs > this.#settings.tombstoneHorizonMs,
    );
    for (const member of away) member.isSetAside = true;
    return away;
  }

  /** Drops members that nobody has been linked to for long; returns them. */
  reap(nowMs: number): Member[] {
    const reaped = [...this.members.values()].filter(
      (member) => !member.isLinked && nowMs - member.lastSeenMs > this.#settings.memberReapMs,
    );
    for (const member of reaped) this.members.delete(member.id);
    return reaped;
  }

  /** What the members' streams have brought of their writers. */
  *streams(): Iterable<Written> {
    for (const member of this.members.values()) yield* streamOf(member);
  }

  /** How many members have applied this node's stream up to `stamp`. */
  acknowledgedCount(stamp: Stamp): number {
    let count = 0;
    for (const { acknowledged } of this.members.values()) {
      if (compareStamp(acknowledged.hi, acknowledged.lo, stamp.hi, stamp.lo) >= 0) count++;
    }
    return count;
  }

  /** What every known member has applied of this node's stream; null when there is no member. */
  leastAcknowledged(): Stamp | null {
    return this.#least((member) => member.acknowledged);
  }

  /** Everything that any known member wrote up to here is here, those set aside among them; null when there is none. */
  held(): Stamp | null {
    let least: Stamp | null = null;
    for (const { complete } of this.members.values()) least = least === null ? complete : lesser(least, complete);
    return least;
  }

  /** Everything that anyone wrote up to here is everywhere, as far as is known; null when there is no member but those set aside. */
  stable(): Stamp | null {
    return this.#least((member) => lesser(member.settled, member.complete));
  }

  /**
   * Removals up to here were here when each member's digests were compared with this node's, and the members have had another
   * comparison's time to store them. A member that came back after a crash may say that it has what others still have to give
   * back to it; its digests do not. Null when there is no member.
   */
  leastCompared(): Stamp | null {
    return this.#least((member) => member.compared.before);
  }

  /** No member brings to a database what came to it up to here; null when there is no member but those set aside. */
  leastBrought(): Stamp | null {
    return this.#least((member) => member.brought);
  }

  /** Everything that any known member wrote up to here has come to this run of this node, but for those set aside; null when there is none. */
  leastComplete(): Stamp | null {
    return this.#least((member) => member.complete);
  }

  /** A repair, or null for a database, has brought removals from this stamp on: the comparisons with others knew nothing of them. */
  removalsCame(from: Member | null, stamp: Stamp): void {
    for (const member of this.members.values()) {
      if (member === from) continue;
      const { running, last, before } = member.compared;
      member.compared = {
        running: running === null ? null : below(running, stamp),
        last: below(last, stamp),
        before: below(before, stamp),
      };
    }
  }

  /** The same without asking the others what they have. */
  leastHeard(): Stamp | null {
    return this.#least((member) => member.heardUpTo);
  }

  #least(of: (member: Member) => Stamp): Stamp | null {
    let least: Stamp | null = null;
    for (const member of this.members.values()) {
      if (!member.isSetAside) least = least === null ? of(member) : lesser(least, of(member));
    }
    return least;
  }
}

/** The stamp, or where it is not below the other one, the next lower one than that. */
function below(stamp: Stamp, other: Stamp): Stamp {
  if (compareStamp(stamp.hi, stamp.lo, other.hi, other.lo) < 0) return stamp;
  return other.lo > 0 ? { hi: other.hi, lo: other.lo - 1 } : { hi: Math.max(0, other.hi - 1), lo: 0xffffffff };
}

/** What the member's stream has brought of its writer; nothing while that is not known. */
export function streamOf({ writer, progress, complete }: Member): Written[] {
  const { applied } = progress;
  // An idle node has written nothing after its last turn.
  const { hi, lo } = lesser(applied, complete) === applied ? complete : applied;
  if (writer === null || (hi === 0 && lo === 0)) return [];
  return [{ writerHi: writer.hi, writerLo: writer.lo, stampHi: hi, stampLo: lo }];
}

function lesser(a: Stamp, b: Stamp): Stamp {
  return compareStamp(a.hi, a.lo, b.hi, b.lo) <= 0 ? a : b;
}
