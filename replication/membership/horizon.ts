/**
 * What keeps the deleted deleted when a member was away for long, or comes with an old disk.
 *
 * A node that has dropped tombstones cannot tell a deleted register from one that it never had. So each keeps two stamps:
 * `held`, up to which it (and its store) has everything that its members have written, and `reaped`, up to which it may have
 * dropped tombstones. A node whose `held` is below another's `reaped` is behind it: it may hold what the other has forgotten to
 * have deleted. It takes the other's state before it says anything itself, and what it has alone it keeps only above a bound:
 * the other's `reaped`, or where the writer is known, how far the other had heard of that writer. docs/crdt.md tells the rule.
 */
import { PeerProtocolError, REFUSE_HORIZON } from '../../protocol/peer-frame.ts';
import type { Forget, Ping } from '../../protocol/peer-message.ts';
import type { RepairRule } from '../../protocol/peer-repair.ts';
import { compareStamp, formatNodeId, parseNodeId } from '../../protocol/stamp.ts';
import type { Member, Membership } from './membership.ts';
import type { Replica, Stamp, TakeRule } from '../replica.ts';

const none: Stamp = { hi: 0, lo: 0 };
export const always: Stamp = { hi: 0xffffffff, lo: 0xffffffff };
/** Nodes that are remembered after they have left, and orders to forget that are passed on. */
const FORMER_MAX = 1024;
const FORGETS_MAX = 256;

/** What a node has to know of itself and others after a restart; stamps and ids are 16 hex digits. */
export interface HorizonFacts {
  readonly held: string;
  readonly reaped: string;
  /** Nodes that have left, with the stamp up to which everything that they wrote is known. */
  readonly former: readonly { id: string; complete: string }[];
}

export function later(a: Stamp, b: Stamp): Stamp {
  return compareStamp(a.hi, a.lo, b.hi, b.lo) >= 0 ? a : b;
}

export function earlier(a: Stamp, b: Stamp): Stamp {
  return compareStamp(a.hi, a.lo, b.hi, b.lo) <= 0 ? a : b;
}

export function isAbove(a: Stamp, b: Stamp): boolean {
  return compareStamp(a.hi, a.lo, b.hi, b.lo) > 0;
}

/** A stamp as `HorizonFacts` keep it. */
export function stampText({ hi, lo }: Stamp): string {
  return formatNodeId(hi, lo);
}

/** Adds at the end of a map and drops the oldest entry past the bound. */
function keep<V>(map: Map<string, V>, key: string, value: V, sizeMax: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > sizeMax) map.delete(map.keys().next().value!);
}

/** What a peer says of its own stream holds here only when nothing of it is missing. */
export function noteCompleteness(member: Member, ping: Ping, isStreamWhole: boolean, isBroughtTold: boolean): void {
  member.held = later(member.held, ping.held);
  member.settled = later(member.settled, ping.held);
  // An older release says it only together with what it holds.
  if (!isBroughtTold) noteBrought(member, ping.held);
  const { progress } = member;
  const isWhole = isStreamWhole && !progress.hasGap && progress.has(ping.published);
  const complete = isWhole ? ping.complete : progress.applied;
  if (isAbove(complete, member.complete)) member.complete = complete;
  member.heardUpTo = later(member.heardUpTo, complete);
}

/** What a peer says that it has brought to a database. */
export function noteBrought(member: Member, brought: Stamp): void {
  member.brought = later(member.brought, brought);
}

/** @throws PeerProtocolError */
export function refusePush(): never {
  throw new PeerProtocolError(
    REFUSE_HORIZON,
    'the node was away for longer than the tombstone horizon and has to resynchronise before it may push',
  );
}

/** What of the options of replication counts here: see replication/settings.ts. */
interface HorizonSettings {
  readonly horizon: HorizonFacts | null;
  readonly writers: readonly Stamp[];
  readonly hasEvicted: () => boolean;
}

export class Horizon {
  /** This node, and its store, has everything that any member wrote up to here, or it has been deleted since. */
  held: Stamp = none;
  /** Nothing that came here up to this stamp is still to be brought to a database, where others may have forgotten its deletion. */
  brought: Stamp = none;
  /** Tombstones up to here may be gone. */
  reaped: Stamp = none;
  /** The state of a peer was taken that had dropped tombstones up to here. */
  takenUpTo: Stamp = none;
  readonly former = new Map<string, Stamp>();
  /** Orders to forget a node, to be passed on to whoever links later. */
  readonly forgets = new Map<string, Forget>();
  /** By members of which this node is behind: up to where they had dropped tombstones when they were met. */
  readonly #ahead = new Map<string, Stamp>();
  readonly #membership: Membership;
  readonly #ownWriters: ReadonlySet<string>;
  readonly #settings: HorizonSettings;
  readonly #replica: Pick<Replica, 'isSettled'>;

  constructor(membership: Membership, settings: HorizonSettings, replica: Pick<Replica, 'isSettled'>) {
    this.#membership = membership;
    this.#settings = settings;
    this.#replica = replica;
    const { horizon: facts, writers } = settings;
    this.#ownWriters = new Set([membership.selfId, ...writers.map(stampText)]);
    if (facts === null) return;
    this.held = parseNodeId(facts.held) ?? none;
    this.reaped = parseNodeId(facts.reaped) ?? none;
    for (const { id, complete } of facts.former) this.former.set(id, parseNodeId(complete) ?? none);
  }

  facts(): HorizonFacts {
    const former = [...this.former].map(([id, complete]) => ({ id, complete: stampText(complete) }));
    return { held: stampText(this.held), reaped: stampText(this.reaped), former };
  }

  /** A member has left the list. */
  left(member: Member): void {
    this.#ahead.delete(member.id);
    keep(this.former, member.id, member.heardUpTo, FORMER_MAX);
  }

  /** A node is a member from now on: what was known of it before it left still holds. */
  joined(member: Member): void {
    const complete = this.former.get(member.id);
    if (complete === undefined) return;
    this.former.delete(member.id);
    member.heardUpTo = later(member.heardUpTo, complete);
  }

  /** Keeps an order to forget. False when it is known. */
  order(forget: Forget): boolean {
    const id = stampText(forget.node);
    const known = this.forgets.get(id);
    if (known !== undefined && !isAbove(forget.stamp, known.stamp)) return false;
    keep(this.forgets, id, forget, FORGETS_MAX);
    return true;
  }

  /** A member was met anew that has dropped tombstones this node may lack, up to a stamp; 0 when it has not. */
  met(id: string, reaped: Stamp): void {
    if (!isAbove(reaped, none)) this.#ahead.delete(id);
    else this.#ahead.set(id, reaped);
  }

  /** This node has to take a member's state, or has not found all of what that one had deleted: it may hold that yet. */
  get isBehind(): boolean {
    return this.#ahead.size > 0 || !this.#replica.isSettled;
  }

  /** Everything that the peer had has been taken: its dropped tombstones are now as if dropped here. `held` follows when that is stored. */
  taken(reaped: Stamp): void {
    this.reaped = later(this.reaped, reaped);
    this.takenUpTo = later(this.takenUpTo, reaped);
    for (const [id, stamp] of this.#ahead) if (!isAbove(stamp, reaped)) this.#ahead.delete(id);
  }

  /** What a node that is behind this one may not keep. */
  rule(): RepairRule {
    const nodes: RepairRule['nodes'] = [];
    const tell = (node: Stamp, complete: Stamp): void =>
      void nodes.push({ hi: node.hi, lo: node.lo, completeHi: complete.hi, completeLo: complete.lo });
    tell(parseNodeId(this.#membership.selfId)!, always);
    for (const { node, heardUpTo } of this.#membership.members.values()) tell(node, heardUpTo);
    for (const [id, complete] of this.former) tell(parseNodeId(id)!, complete);
    return { reaped: this.reaped, isProof: !this.#settings.hasEvicted(), nodes };
  }

  /**
   * @param told the rule of the peer that this node is behind of
   * @param isMutual the peer is behind this node, too
   */
  takeRule(told: RepairRule, isMutual: boolean): TakeRule {
    return { boundOf: this.#bounds(told), ownBoundOf: isMutual ? this.#bounds(this.rule()) : null };
  }

  /** For an origin: the stamp up to which a register that one side lacks was deleted there. */
  #bounds({ reaped, isProof, nodes }: RepairRule): TakeRule['boundOf'] {
    const completes = new Map(
      nodes.map(({ hi, lo, completeHi, completeLo }) => [formatNodeId(hi, lo), { hi: completeHi, lo: completeLo }]),
    );
    const known = new Map<string, Stamp>();
    return (hi, lo) => {
      const origin = formatNodeId(hi, lo);
      let bound = known.get(origin);
      if (bound === undefined) {
        const node = this.#nodeOf(origin);
        // A node that was never met there: nothing of it was deleted there.
        if (!isProof) bound = none;
        else bound = node === null ? reaped : earlier(reaped, completes.get(node) ?? none);
        known.set(origin, bound);
      }
      return bound;
    };
  }

  /** The node whose writes carry this origin, or null. */
  #nodeOf(origin: string): string | null {
    if (this.#ownWriters.has(origin)) return this.#membership.selfId;
    for (const member of this.#membership.members.values()) {
      if (member.id === origin || member.writers.has(origin)) return member.id;
    }
    return this.former.has(origin) ? origin : null;
  }
}
