/** How far the members are with each other: what is everywhere, who is away for too long, and who has to resynchronise. */
import { formatPeerAddress } from '../links/address.ts';
import type { Log } from '../environment.ts';
import { always, type Horizon, earlier, isAbove, later } from './horizon.ts';
import type { Member, Membership } from './membership.ts';
import type { Stamp } from '../replica.ts';
import type { ReplicatorSettings } from '../settings.ts';

const none: Stamp = { hi: 0, lo: 0 };
/** Why tombstones beyond the horizon wait for a member, and what an operator can do. */
const APART = [
  'has had no link to this node for longer than tombstone-horizon, and others have links to it',
  'let the two nodes reach each other, or remove it with MANTIS FORGET',
] as const;
const UNBROUGHT = [
  'has not brought to its database what came to it more than tombstone-horizon ago',
  'let it reach the database, or start it without mysql',
] as const;

export class Standing {
  readonly #settings: ReplicatorSettings;
  readonly #membership: Membership;
  readonly #horizon: Horizon;
  readonly #log: Log;
  readonly #hasStrangers: () => boolean;
  /** What is beyond the horizon, as it was asked for last. */
  #old = none;
  #beganMs: number | null = null;
  /** The members of which the operator was told that tombstones wait for them. */
  #toldOf = new Set<string>();

  constructor(
    settings: ReplicatorSettings,
    membership: Membership,
    horizon: Horizon,
    log: Log,
    hasStrangers: () => boolean,
  ) {
    this.#settings = settings;
    this.#membership = membership;
    this.#horizon = horizon;
    this.#log = log;
    this.#hasStrangers = hasStrangers;
  }

  /**
   * Everything that any member wrote up to here is in this node's memory, or has been deleted. A node that has to resynchronise may
   * hear the streams of members meanwhile: as long as that is not over, it knows no more than before, also after a crash.
   */
  merged(): Stamp {
    const { held, takenUpTo, isBehind } = this.#horizon;
    if (isBehind) return held;
    const merged = this.#hasStrangers() ? none : (this.#membership.held() ?? none);
    return later(later(merged, takenUpTo), held);
  }

  /**
   * The same, and it stays there over a crash. What has been said is not taken back when a stranger turns up: the others may have
   * dropped tombstones since, and this node would have to resynchronise.
   */
  held(): Stamp {
    if (!this.#settings.isDurabilityTold) this.#horizon.held = this.merged();
    return this.#horizon.held;
  }

  /** What others may rely upon when they drop tombstones: also this node's stores bring nothing any more that is older. */
  settled(): Stamp {
    return earlier(this.held(), this.brought());
  }

  /** This node brings nothing to a database any more that came to it up to here. */
  brought(): Stamp {
    return this.#settings.isBroughtTold ? this.#horizon.brought : always;
  }

  /** Everything that anyone wrote up to here is on every member; null when there is none but those set aside. */
  stable(): Stamp | null {
    return this.#hasStrangers() ? none : this.#membership.stable();
  }

  /** Up to where tombstones may go, `old` being what is beyond the horizon; null when no other node counts. */
  reapable(old: Stamp): Stamp | null {
    this.#old = old;
    const stable = this.stable();
    if (stable === null) return null;
    const compared = this.#membership.leastCompared();
    const everywhere = earlier(stable, compared ?? none);
    // One that is old goes without asking what members say that they hold, but for those that are away and may have written before it. Whom
    // it has not been compared with may still have what it has removed: such a member is compared, or set aside when it is away. And what
    // somebody has yet to bring to a database, with what it removed, would come there after it.
    const brought = this.#membership.leastBrought() ?? old;
    return later(
      everywhere,
      earlier(earlier(old, brought), earlier(compared ?? old, this.#membership.leastHeard() ?? old)),
    );
  }

  /** The members for which tombstones wait that are beyond the horizon: others are linked to them, and this node has not compared digests. */
  waitedFor(nowMs: number): Member[] {
    this.#beganMs ??= nowMs;
    if (nowMs - this.#beganMs < this.#settings.tombstoneHorizonMs) return [];
    const old = this.#old;
    const counting = [...this.#membership.members.values()].filter(
      ({ isSetAside, metAt }) => !isSetAside && isAbove(old, metAt),
    );
    const unheard = counting.filter(({ heardUpTo }) => isAbove(old, heardUpTo));
    // A comparison with one member counts only as far as all others have been heard.
    if (unheard.length > 0) return unheard;
    return counting.filter(({ compared, brought }) => isAbove(old, compared.before) || isAbove(old, brought));
  }

  #tellWhomTombstonesWaitFor(nowMs: number): void {
    const waitedFor = this.waitedFor(nowMs).filter(({ isLinked, brought }) => !isLinked || isAbove(this.#old, brought));
    for (const { id, host, port, isLinked } of waitedFor) {
      if (this.#toldOf.has(id)) continue;
      const [what, mend] = isLinked ? UNBROUGHT : APART;
      this.#log.warn(
        `node ${id} at ${formatPeerAddress(host, port)} ${what}: no deletion since can be forgotten, and memory fills with them; ${mend}`,
      );
    }
    this.#toldOf = new Set(waitedFor.map(({ id }) => id));
  }

  /** Sets aside and drops members that have been away for too long. @returns those that were dropped */
  reapMembers(nowMs: number): Member[] {
    this.#tellWhomTombstonesWaitFor(nowMs);
    for (const { id, host, port } of this.#membership.setAside(nowMs)) {
      this.#log.warn(
        `node ${id} at ${formatPeerAddress(host, port)} has been away for longer than tombstone-horizon: it is set aside, ` +
          'and has to resynchronise before it may push; MANTIS FORGET removes it',
      );
    }
    const dropped = this.#membership.reap(nowMs);
    for (const gone of dropped) this.#horizon.left(gone);
    return dropped;
  }

  /** Says that this node, or the peer of the link, has to resynchronise. */
  setBehind(
    link: { readonly member: Member | null; readonly remoteHost: string },
    isOwn: boolean,
    reaped: Stamp,
  ): void {
    const member = link.member!;
    const peer = `node ${member.id} at ${link.remoteHost}`;
    const how = isOwn ? `this node takes the state of ${peer} first` : `${peer} takes this node's state first`;
    // What was heard of up to there was linked: others were away, or the two have just met. One that holds what is stamped up to the first stamp of
    // clocks has told no more yet.
    if (!isAbove(reaped, member.heardUpTo) || (isOwn ? this.held() : member.held).hi <= 1) this.#log.debug(how);
    else if (isOwn)
      this.#log.warn(
        `this node was away for longer than tombstones are kept: it resynchronises before it may push: ${how}`,
      );
    else
      this.#log.warn(
        `${peer} was away for longer than tombstones are kept: it has to resynchronise before it may push`,
      );
  }
}
