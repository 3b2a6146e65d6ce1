/**
 * Keeps over a restart what replication/membership/horizon.ts needs: up to which stamp everything is on this disk (`held`), up to which
 * tombstones may be gone (`reaped`), and who the members are. `held` is told to nobody before it is true of the disk, and no
 * tombstone is dropped before `reaped` says so there.
 */
import { FLAG_DEAD, FLAG_HAS_DEADLINE, RecordReader } from '../../protocol/change-record.ts';
import { isKeyKind } from '../../protocol/collection-kinds.ts';
import { compareStamp, formatNodeId, parseNodeId, stampHiOf, stampLoOf } from '../../protocol/stamp.ts';
import { type HorizonFacts, earlier, isAbove, later, stampText } from '../../replication/membership/horizon.ts';
import type { Stamp } from '../../replication/replica.ts';
import type { KnownMember } from '../../replication/settings.ts';
import type { Flusher } from '../../storage/flush/flusher.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { endOfPiece, inPieces, type TurnTime } from '../../storage/merging/in-pieces.ts';
import { missesRegister } from '../../storage/tombstones/forsake.ts';
import type { Identity } from './identity.ts';
import type { Runtime } from '../runtime/runtime-view.ts';

const HORIZON = 'horizon';
const MEMBERS = 'members';
/** While there are changes the facts are written this often, else as often as they are not to grow old. */
const WRITE_EVERY_MS = 1000;
const WRITE_IDLE_MS = 15_000;
const WRITERS_MAX = 64;
const none: Stamp = { hi: 0, lo: 0 };

interface StoredHorizon extends HorizonFacts {
  /** The origins that this node's writes have carried, 16 hex digits each. */
  readonly writers: readonly string[];
}

/** Who and where a member is, and the origins that its writes have carried. */
type MemberName = Pick<KnownMember, 'id' | 'host' | 'port'> & { readonly writers?: Iterable<string> };

function copyOf({ id, host, port, writers = [] }: MemberName): MemberName {
  return { id, host, port, writers: [...writers] };
}

/** @param kept a copy */
function isSameMember(member: MemberName, kept: MemberName): boolean {
  if (member.id !== kept.id || member.host !== kept.host || member.port !== kept.port) return false;
  const known = kept.writers as readonly string[];
  let count = 0;
  for (const writer of member.writers ?? []) if (known[count++] !== writer) return false;
  return count === known.length;
}

function parse(text: string): Stamp {
  return parseNodeId(text) ?? none;
}

/** What was deleted up to the stamp is not known here, and others may remember it. */
function raiseForgotten({ databases }: Keyspace, { hi, lo }: Stamp): void {
  for (const { forgotten } of databases) forgotten.raise(hi, lo);
}

export class HorizonKeeper {
  readonly members: readonly KnownMember[];
  readonly facts: HorizonFacts | null;
  readonly writers: readonly Stamp[];
  /** Tombstones up to here may be dropped. */
  reaped: Stamp;
  readonly #flusher: Flusher | null;
  #runtime: Runtime | null = null;
  #isWriting = false;
  #isBringing = false;
  #writtenAtMs = 0;
  #membersKept: readonly MemberName[] = [];
  #changes = 0;
  #changedAt = none;
  /** What had been merged at some moment, and how many flushes were complete then. */
  #sample: { merged: Stamp; flushes: number } | null = null;
  #stored = none;
  /** What had been stored when all that was in the embedded store then had come to MySQL. */
  #brought = none;
  #broughtTold = none;
  #heldWritten = none;
  /** What was forgotten up to here by nodes whose state was taken is noted. */
  #raised = none;

  private constructor(
    flusher: Flusher | null,
    stored: StoredHorizon | null,
    members: readonly KnownMember[],
    { node, writer, isRenamed }: Identity,
  ) {
    this.#flusher = flusher;
    this.facts = stored;
    this.members = members;
    // What a node of another id wrote is not this one's, whose peers have never heard of it.
    const own = isRenamed ? [] : (stored?.writers ?? [stampText(node)]);
    const earlierWriters = own.filter((text) => text !== stampText(writer));
    this.writers = [...earlierWriters.slice(1 - WRITERS_MAX).map(parse), writer];
    this.reaped = parse(stored?.reaped ?? '');
  }

  /** @param identity whose writer is the origin that this node's writes carry from now on; it is kept before the first of them */
  static async load(flusher: Flusher | null, identity: Identity): Promise<HorizonKeeper> {
    const read = async (name: string): Promise<string | null> => {
      const bytes = (await flusher?.meta.get(name)) ?? null;
      return bytes === null || bytes.length === 0 ? null : bytes.toString('utf8');
    };
    const horizon = await read(HORIZON);
    const members = await read(MEMBERS);
    const keeper = new HorizonKeeper(
      flusher,
      horizon === null ? null : (JSON.parse(horizon) as StoredHorizon),
      members === null ? [] : (JSON.parse(members) as KnownMember[]),
      identity,
    );
    await keeper.#write(keeper.facts ?? { held: '', reaped: '', former: [] });
    return keeper;
  }

  attach(runtime: Runtime): void {
    this.#runtime = runtime;
    runtime.keyspace.expectsPeers = this.members.length > 0 || runtime.config.values.peers.length > 0;
    // Not beyond what this node had heard of: a member that was set aside may have counted on meanwhile.
    raiseForgotten(runtime.keyspace, earlier(this.reaped, parse(this.facts?.held ?? '')));
  }

  /**
   * Gives of rows of a store, which others may have restored or written, those that count: without what this node, and so
   * everybody, has deleted and forgotten.
   */
  async withoutForgotten(keyspace: Keyspace, records: Buffer, time: TurnTime): Promise<Buffer> {
    if (this.reaped.hi === 0) return records;
    const bounds = this.#bounds();
    const reader = new RecordReader();
    const kept: Buffer[] = [];
    let from = 0;
    await inPieces(records, time, (start) => {
      const end = endOfPiece(records, start);
      for (let at = start; at < end;) {
        const next = reader.read(records, at);
        if (isForgotten(keyspace, reader, bounds)) {
          kept.push(records.subarray(from, at));
          from = next;
        }
        at = next;
      }
      return end;
    });
    return from === 0 ? records : Buffer.concat([...kept, records.subarray(from)]);
  }

  /** For each known origin: up to where all of its writes have been here. */
  #bounds(): Map<string, Stamp> {
    const bounds = new Map<string, Stamp>();
    const replicator = this.#runtime?.replicator ?? null;
    // Rows of those who have left the list stay, too.
    for (const { id, complete } of (replicator?.horizonFacts() ?? this.facts)?.former ?? [])
      bounds.set(id, earlier(this.reaped, parse(complete)));
    const members = replicator?.knownMembers() ?? this.members;
    for (const { id, complete = '', writers = [] } of members) {
      for (const origin of [id, ...writers]) bounds.set(origin, earlier(this.reaped, parse(complete)));
    }
    for (const writer of this.writers) bounds.set(stampText(writer), this.reaped);
    return bounds;
  }

  /** Called a few times a second. Rejects when the store cannot keep the facts; they stay as they were then. */
  async tick(nowMs: number): Promise<void> {
    if (this.#isWriting || this.#runtime === null) return;
    const { replicator, keyspace, config } = this.#runtime;
    const monotonicMs = this.#runtime.monotonicMs();
    if (keyspace.changes !== this.#changes) {
      this.#changes = keyspace.changes;
      this.#changedAt = { hi: keyspace.clock.hi, lo: keyspace.clock.lo };
    }
    const oldMs = Math.max(0, nowMs - config.values['tombstone-horizon']);
    const now = { hi: keyspace.clock.hi, lo: keyspace.clock.lo };
    const reapable = replicator?.reapableStamp({ hi: stampHiOf(oldMs), lo: stampLoOf(oldMs, 0) }) ?? now;
    const reaped = later(this.reaped, replicator?.reapedStamp ?? none);
    // The state of a node was taken that had forgotten more.
    const taken = replicator?.takenStamp ?? none;
    if (isAbove(taken, this.#raised)) raiseForgotten(keyspace, (this.#raised = taken));
    if (this.#flusher === null) {
      this.#allow(later(reaped, reapable));
      return;
    }
    this.#noteStored();
    this.#bring();
    const hasMembers = replicator?.hasMembers === true;
    const isBehind =
      isAbove(this.#changedAt, reaped) ||
      isAbove(taken, this.#heldWritten) ||
      (hasMembers && (isAbove(this.#changedAt, this.#stored) || isAbove(this.#brought, this.#broughtTold)));
    const pauseMs = isBehind ? WRITE_EVERY_MS : hasMembers ? WRITE_IDLE_MS : Number.POSITIVE_INFINITY;
    if (monotonicMs - this.#writtenAtMs < pauseMs && !this.#hasNewMembers()) return;
    this.#writtenAtMs = monotonicMs;
    const stored = this.#stored;
    const facts = replicator?.horizonFacts() ?? { held: '', reaped: '', former: [] };
    const held = later(stored, parse(facts.held));
    const bound = later(reaped, reapable);
    const brought = this.#brought;
    // It is synced, and with it that the lists of what was to be brought are gone: after a power cut they would be brought once more.
    await this.#write({ ...facts, held: stampText(held), reaped: stampText(bound) });
    this.#heldWritten = held;
    replicator?.noteDurable(stored);
    replicator?.noteBrought(brought);
    this.#broughtTold = brought;
    this.#allow(bound);
  }

  /**
   * What is in the embedded store may be waiting to be brought to MySQL, or be held for a peer that brings it. Were a deletion forgotten
   * meanwhile, what it had removed would come to the table after it.
   */
  #bring(): void {
    const stored = this.#stored;
    if (this.#isBringing || this.#flusher?.hasDatabase !== true || !isAbove(stored, this.#brought)) return;
    this.#isBringing = true;
    this.#flusher
      .brought()
      .then(() => (this.#brought = stored))
      // Closed, or failed, which is told elsewhere.
      .catch(() => undefined)
      .finally(() => (this.#isBringing = false));
  }

  #allow(bound: Stamp): void {
    this.reaped = bound;
    this.#runtime?.replicator?.noteReaped(bound);
  }

  /** What had been merged when a flush began is on the disk when it has ended. */
  #noteStored(): void {
    const { replicator } = this.#runtime!;
    if (replicator === null) return;
    const { dirtyCount, registersInFlight, flushesCompleted } = this.#flusher!.status();
    this.#sample ??= { merged: replicator.mergedStamp(), flushes: flushesCompleted };
    // The flush that was under way may have begun before the sample: the one after it has not.
    const isClean = dirtyCount === 0 && registersInFlight === 0;
    if (!isClean && flushesCompleted < this.#sample.flushes + 2) return;
    this.#stored = later(this.#stored, this.#sample.merged);
    this.#sample = null;
  }

  /** The members without what changes all the time. */
  get #memberNames(): Iterable<MemberName> {
    return this.#runtime?.replicator?.memberNames ?? this.members;
  }

  /** Asked a few times a second: nothing is put together for it. */
  #hasNewMembers(): boolean {
    let count = 0;
    for (const member of this.#memberNames) {
      const kept = this.#membersKept[count++];
      if (kept === undefined || !isSameMember(member, kept)) return true;
    }
    return count !== this.#membersKept.length;
  }

  async #write(facts: HorizonFacts): Promise<void> {
    if (this.#flusher === null) return;
    this.#isWriting = true;
    try {
      const { meta } = this.#flusher;
      const stored: StoredHorizon = { ...facts, writers: this.writers.map(stampText) };
      const replicator = this.#runtime?.replicator ?? null;
      const names = Array.from(this.#memberNames, copyOf);
      if (replicator !== null) await meta.set(MEMBERS, Buffer.from(JSON.stringify(replicator.knownMembers()), 'utf8'));
      this.#membersKept = names;
      await meta.set(HORIZON, Buffer.from(JSON.stringify(stored), 'utf8'));
    } finally {
      this.#isWriting = false;
    }
  }
}

function isForgotten(keyspace: Keyspace, record: RecordReader, bounds: ReadonlyMap<string, Stamp>): boolean {
  const { stampHi, stampLo, originHi, originLo, flags, kind } = record;
  const bound = bounds.get(formatNodeId(originHi, originLo)) ?? none;
  if (compareStamp(stampHi, stampLo, bound.hi, bound.lo) > 0 || (flags & FLAG_DEAD) !== 0) return false;
  // A deadline hides what somebody has added to the key since, and shows nothing itself.
  if (isKeyKind(kind) && (flags & FLAG_HAS_DEADLINE) !== 0) return false;
  return missesRegister(keyspace, record);
}
