/** When a link repairs: who leads, when one begins, and how its frames share the link. */
import {
  FRAME_REPAIR_ASK,
  FRAME_REPAIR_BUCKETS,
  FRAME_REPAIR_GROUPS,
  FRAME_REPAIR_RECORDS,
  FRAME_REPAIR_RULE,
  FRAME_REPAIR_TOMBSTONES,
  PEER_VERSION_ELEMENTS,
  PeerProtocolError,
  REFUSE_HORIZON,
  REFUSE_MALFORMED,
} from '../../protocol/peer-frame.ts';
import type { Hello } from '../../protocol/peer-message.ts';
import {
  REPAIR_BUCKET_COUNT,
  decodeRule,
  encodeEmpty,
  encodeRule,
  type RepairRule,
} from '../../protocol/peer-repair.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import type { Written } from '../../protocol/written.ts';
import type { Take } from './forsaking.ts';
import { earlier } from '../membership/horizon.ts';
import type { Member } from '../membership/membership.ts';
import { RecordSource } from './record-source.ts';
import type { RepairContext, RepairOwner, RepairSide } from './repair.ts';
import { RepairLeader } from './repair-leader.ts';
import { RepairResponder } from './repair-responder.ts';
import type { Stamp, Taking } from '../replica.ts';
import type { StreamReceiver, StreamSender } from '../stream/stream.ts';

/** A repair in which nothing has moved for this long is given up, with its link. */
const REPAIR_STALLED_MS = 120_000;
const NONE: Stamp = { hi: 0, lo: 0 };
/** How much more often a link repairs that stands in for a link this node does not have. */
const RELAY_FACTOR = 12;
/** Comparisons within `tombstone-horizon`, however seldom they are otherwise: two that were begun after a removal came, and have ended. */
const COMPARED_IN_HORIZON = 3;

export class LinkRepair {
  /** Called when a repair has brought everything up to its cover. */
  onCovered: () => void = () => undefined;
  /** Called when this node has resynchronised, or need not. */
  onTaken: () => void = () => undefined;
  /** True once this node has resynchronised with the peer. */
  hasTaken = false;
  /** False for a peer whose release takes tombstones for records like others. */
  #peerKnowsTombstones = false;
  /** False for a peer whose release takes large collections only whole. */
  #peerComparesElements = false;
  /** Repairs that ran to their end. */
  finished = 0;
  /** Frames of repairs that have come. */
  framesIn = 0;
  recordBytesIn = 0;
  recordBytesOut = 0;
  readonly counters = { summaries: 0, comparedKeys: 0 };
  /** True when a repair waits for the rate limit. */
  isWaitingForRate = false;
  /** What the peer has of all writers, as it said last. */
  seen: readonly Written[] = [];
  #owner: RepairOwner;
  #receiver: StreamReceiver;
  #sender: StreamSender;
  #member: Member;
  #leads: boolean;
  /** Repairs in which one side resynchronises, to be done before any other: true = this one. */
  #takes: boolean[] = [];
  #told: RepairRule | null = null;
  #taking: Taking | null = null;
  #isMutual = false;
  #ruleSent = false;
  /** Tombstones that the peer may lack: they go between this side's first frame of the repair and all others. */
  #tombstones: RecordSource | null = null;
  #hasOpened = false;
  #side: RepairSide | null = null;
  /** The leader's digests, which came before this side had any. */
  #groupsHeld: Buffer | null = null;
  #isWanted = false;
  #askPending = false;
  /** The leader has been asked and has not begun since. */
  #hasAsked = false;
  #nextAtMs: number;
  #isRelaying = false;
  #lastTickMs: number;
  #movedAtMs = 0;
  #comparedAtMs: number;
  /** What the peer had when it told its digests: all of it is here when the repair is done. */
  #seenAtDigests: readonly Written[] = [];
  #leftOutBefore = 0;

  constructor(owner: RepairOwner, receiver: StreamReceiver, sender: StreamSender, member: Member, nowMs: number) {
    this.#owner = owner;
    this.#member = member;
    this.#receiver = receiver;
    this.#sender = sender;
    const { nodeId } = owner.settings;
    this.#leads = compareStamp(nodeId.hi, nodeId.lo, member.node.hi, member.node.lo) < 0;
    this.#lastTickMs = nowMs;
    this.#comparedAtMs = nowMs;
    this.#nextAtMs = nowMs + this.#jitteredInterval();
  }

  get isActive(): boolean {
    return this.#side !== null;
  }

  /** True while a repair has been asked for or runs. */
  get isDue(): boolean {
    if (this.#isWanted || this.#side !== null || this.#hasAsked) return true;
    return this.#groupsHeld !== null || this.#takes.length > 0;
  }

  /** This node has yet to resynchronise with the peer. */
  get isTaking(): boolean {
    return this.#takes.includes(true);
  }

  /** The peer has yet to resynchronise with this node: it may not push. */
  get isGiving(): boolean {
    return this.#takes.includes(false);
  }

  /** What the peer's release knows. */
  knows({ horizon, versionHighest }: Hello): void {
    this.#peerKnowsTombstones = horizon !== null;
    this.#peerComparesElements = versionHighest >= PEER_VERSION_ELEMENTS;
  }

  /** Which of the two has to resynchronise before anything else, as both have found. The side that does not lead goes first. */
  resynchronise(isBehind: boolean, isPeerBehind: boolean): void {
    const [leader, other] = this.#leads ? [isBehind, isPeerBehind] : [isPeerBehind, isBehind];
    if (other) this.#takes.push(!this.#leads);
    if (leader) this.#takes.push(this.#leads);
    this.#isMutual = leader && other;
  }

  /** True while a pass over the keys should go on in the next turn of the event loop. */
  get isScanning(): boolean {
    return this.#isTelling || (this.#side?.isScanning ?? false);
  }

  get #isTelling(): boolean {
    return this.#tombstones !== null && this.#hasOpened;
  }

  /** The leader notes that a repair is needed; the other side leaves it to the leader, who has seen the same. */
  want(): void {
    this.#isWanted = this.#leads;
  }

  /** Something is missing here that only this side has noticed. */
  ask(): void {
    if (this.#leads) this.#isWanted = true;
    else if (!this.#hasAsked && this.#side === null) this.#hasAsked = this.#askPending = true;
  }

  /** Something may be missing at other nodes: repair within `delayMs`. */
  soon(nowMs: number, delayMs: number): void {
    this.#nextAtMs = Math.min(this.#nextAtMs, nowMs + delayMs * this.#owner.random.fraction());
  }

  /** The peer is linked to a node that this one cannot see: what that node writes comes by repair, so repair more often. */
  set isRelaying(relaying: boolean) {
    const wasRelaying = this.#isRelaying;
    this.#isRelaying = relaying;
    if (relaying && !wasRelaying)
      this.#nextAtMs = Math.min(this.#nextAtMs, this.#lastTickMs + this.#jitteredInterval());
  }

  /** Time has passed. Returns why the link must be closed, or null. */
  tick(nowMs: number): string | null {
    this.#lastTickMs = nowMs;
    if (this.#side !== null && nowMs - this.#movedAtMs > REPAIR_STALLED_MS) {
      return `a repair has not moved for ${REPAIR_STALLED_MS} ms`;
    }
    if (nowMs >= this.#nextAtMs) {
      this.#nextAtMs = nowMs + this.#jitteredInterval();
      if (this.#isRelaying) this.ask();
      else this.want();
    }
    // Until they are compared no tombstone is forgotten, however old it is.
    if (!this.isDue && nowMs - this.#comparedAtMs > this.#owner.settings.tombstoneHorizonMs / COMPARED_IN_HORIZON)
      this.ask();
    this.begin(nowMs);
    return null;
  }

  /** Begins a repair if this side leads, one is wanted, and both streams are in place or one side resynchronises. */
  begin(nowMs: number): void {
    if (this.#side !== null || !this.#owner.replica.isDigested) return;
    if (this.#takes.length > 0) {
      if (!this.#leads || (this.#takes[0] === true && this.#told === null)) return;
    } else if (!this.#isWanted || !this.#sender.positioned || !this.#receiver.started) {
      return;
    } else {
      this.#isWanted = false;
    }
    this.#movedAtMs = nowMs;
    this.#side = new RepairLeader(this.#context());
  }

  receive(type: number, buffer: Buffer, start: number, end: number, flags: number, nowMs: number): void {
    this.#movedAtMs = nowMs;
    this.framesIn++;
    if (type === FRAME_REPAIR_GROUPS || type === FRAME_REPAIR_BUCKETS) this.#noteDigests();
    if (type === FRAME_REPAIR_ASK) {
      if (!this.#leads) throw new PeerProtocolError(REFUSE_MALFORMED, 'the leader of repairs asked for one');
      this.#isWanted = true;
    } else if (type === FRAME_REPAIR_RULE && this.#takes[0] === true && this.#side === null) {
      this.#told = decodeRule(buffer, start, end);
    } else if ((type === FRAME_REPAIR_RECORDS || type === FRAME_REPAIR_TOMBSTONES) && this.#side !== null) {
      this.#receiveRecords(buffer, start, end, flags, type === FRAME_REPAIR_RECORDS ? this.#taking : null);
    } else if (type === FRAME_REPAIR_GROUPS && !this.#leads && (this.#side === null || this.#side.isFinished)) {
      this.#hasAsked = false;
      this.#groupsHeld = Buffer.from(buffer.subarray(start, end));
      this.#respond();
    } else if (this.#side !== null) {
      this.#side.receive(type, buffer, start, end, flags);
      this.#retire();
    } else {
      throw new PeerProtocolError(REFUSE_MALFORMED, `a frame of type ${type} that was not expected`);
    }
  }

  #respond(): void {
    const groups = this.#groupsHeld;
    if (groups === null || !this.#owner.replica.isDigested) return;
    this.#groupsHeld = null;
    this.#side = new RepairResponder(this.#context());
    this.#side.receive(FRAME_REPAIR_GROUPS, groups, 0, groups.length, 0);
  }

  #receiveRecords(buffer: Buffer, start: number, end: number, flags: number, taking: Taking | null): void {
    if (this.#takes[0] === false) {
      throw new PeerProtocolError(REFUSE_HORIZON, 'records of a node that has to resynchronise before it may push');
    }
    this.recordBytesIn += end - start;
    const oldest = this.#receiver.repairRecords(flags, buffer, start, end, taking);
    if (oldest !== null) this.#owner.membership.removalsCame(this.#member, oldest);
  }

  /** The next frame of the repair; does at most one slice of work. */
  next(nowMs: number): Buffer | null {
    this.isWaitingForRate = false;
    if (this.#askPending) {
      this.#askPending = false;
      return encodeEmpty(FRAME_REPAIR_ASK);
    }
    if (this.#takes[0] === false && !this.#ruleSent) {
      this.#ruleSent = true;
      return encodeRule(this.#owner.horizon.rule());
    }
    this.#respond();
    if (this.#side === null) return null;
    if (!this.#owner.repairRate.isReady(nowMs)) {
      this.isWaitingForRate = true;
      return null;
    }
    if (this.isScanning) {
      this.#movedAtMs = nowMs;
      if (!this.#owner.takeSlice()) return null;
    }
    const frame = this.#isTelling ? this.#nextTombstones() : this.#side.next();
    if (frame !== null) {
      this.#hasOpened = true;
      this.#owner.repairRate.spend(frame.length);
      if (frame[8] === FRAME_REPAIR_RECORDS) this.recordBytesOut += frame.length;
    }
    this.#retire();
    return frame;
  }

  #noteDigests(): void {
    this.#seenAtDigests = this.seen;
    this.#leftOutBefore = this.#receiver.futureRecords;
  }

  /** A repair has brought everything of the peer up to `cover`, and what the peer had of others. */
  #covered(cover: Stamp): void {
    this.#receiver.progress.cover(cover);
    const isWhole = this.#receiver.futureRecords === this.#leftOutBefore;
    this.#owner.applied.note(isWhole ? this.#seenAtDigests : []);
    this.onCovered();
  }

  #nextTombstones(): Buffer | null {
    const frame = this.#tombstones!.next();
    if (this.#tombstones!.isDone) {
      this.#tombstones!.close();
      this.#tombstones = null;
    }
    return frame;
  }

  close(): void {
    this.#groupsHeld = null;
    this.#side?.close();
    this.#side = null;
    this.#tombstones?.close();
    this.#tombstones = null;
  }

  #retire(): void {
    if (this.#side === null || !this.#side.isFinished) return;
    this.#side = null;
    this.finished++;
    this.#comparedAtMs = this.#lastTickMs;
    const { running, last } = this.#member.compared;
    if (running !== null) this.#member.compared = { running: null, last: running, before: last };
    if (this.#receiver.progress.hasGap) this.ask();
    const hasTaken = this.#takes.shift();
    if (hasTaken === true) {
      this.#taking = null;
      this.hasTaken = true;
      this.#owner.horizon.taken(this.#told!.reaped);
      this.#told = null;
    }
    this.#ruleSent = false;
    if (hasTaken === true) this.onTaken();
  }

  #context(): RepairContext {
    const { replica, settings, outbox, random, horizon, repairFrames } = this.#owner;
    const isTaking = this.#takes[0] === true;
    const isGiving = this.#takes[0] === false;
    let take: Take | null = null;
    if (isTaking) {
      if (this.#told === null) throw new PeerProtocolError(REFUSE_MALFORMED, 'a repair without its rule');
      const rule = horizon.takeRule(this.#told, this.#isMutual && this.#takes.length > 1);
      this.#taking = replica.startTaking(rule);
      take = { rule, taking: this.#taking };
    }
    const isOwnVersion = settings.peerVersionHighest >= PEER_VERSION_ELEMENTS;
    // What is missing in a key that is taken has been deleted: that shows only where all of it is sent.
    const comparesElements = this.#peerComparesElements && isOwnVersion && !isTaking && !isGiving;
    this.#hasOpened = false;
    this.#member.compared = { ...this.#member.compared, running: this.#removalsHeardOf() };
    this.#tellTombstones(isTaking);
    return {
      replica,
      frames: repairFrames,
      summariesMax: settings.repairSummariesMax,
      elementsMin: comparesElements ? settings.repairElementsMin : Infinity,
      seed: random.bytes(4).readInt32LE(0),
      counters: this.counters,
      take,
      ownCover: () => {
        // What this node wrote is told when it has resynchronised.
        if (isTaking) return NONE;
        this.#sender.covered(outbox.last);
        return outbox.last;
      },
      covered: (cover) => {
        // The last key's records wait for the next one's beginning.
        if (isTaking) this.#taking!.end();
        if (!isGiving) this.#covered(cover);
      },
    };
  }

  /**
   * Digests say nothing of tombstones. So a peer that was not sent all of the stream is first told of every one that it may
   * lack, and has them all when the repair is over.
   */
  #tellTombstones(isTaking: boolean): void {
    if (!this.#sender.isOwing || isTaking) return;
    this.#sender.isOwing = false;
    const selection = {
      buckets: new Uint8Array(REPAIR_BUCKET_COUNT),
      has: () => false,
      tombstonesAbove: this.#member.held,
    };
    const type = this.#peerKnowsTombstones ? FRAME_REPAIR_TOMBSTONES : FRAME_REPAIR_RECORDS;
    const { replica, repairFrames } = this.#owner;
    this.#tombstones = new RecordSource(replica.startScan(), selection, true, repairFrames, type);
  }

  /** Removals up to there are here; later ones of members that were cut off until now may be on their way. */
  #removalsHeardOf(): Stamp {
    const { replica, membership } = this.#owner;
    const now = replica.currentStamp();
    return earlier(now, membership.leastComplete() ?? now);
  }

  #jitteredInterval(): number {
    const interval = this.#owner.settings.repairIntervalMs / (this.#isRelaying ? RELAY_FACTOR : 1);
    return interval * (0.75 + this.#owner.random.fraction() * 0.5);
  }
}
