/**
 * The live stream over one link: `StreamSender` walks the shared outbox, `StreamReceiver` merges the peer's turns, each when
 * its last part is in, and follows the chain of stamps.
 */
import {
  FRAME_FLAG_MORE,
  PeerProtocolError,
  REFUSE_ACK,
  REFUSE_CLOCK,
  REFUSE_MALFORMED,
  REFUSE_RECORDS,
  REFUSE_STAMP,
} from '../../protocol/peer-frame.ts';
import { RECORDS_PREFIX_BYTES, encodeStream, type Position } from '../../protocol/peer-message.ts';
import { RecordError } from '../../protocol/change-record.ts';
import { compareStamp, formatStamp } from '../../protocol/stamp.ts';
import type { MergeSource } from '../../storage/merging/conflicts.ts';
import type { LongTurnLimits } from '../../storage/merging/long-turn.ts';
import type { Outbox } from './outbox.ts';
import type { StreamProgress } from './progress.ts';
import { StampLimit, findFutureRecords, isImpossibleStamp, oldestRemoval, withoutRanges } from './record-guard.ts';
import { Parts, RecordParts } from './parts.ts';
import type { LongTurn, Replica, Stamp, StreamTurn, Taking } from '../replica.ts';

export class StreamSender {
  /** True once the peer has said where to go on. */
  positioned = false;
  /** The peer was not sent all of the stream, or it is not known yet whether: it may lack tombstones. */
  isOwing = true;
  #outbox: Outbox;
  #cursor = 0;
  /** The newest stamp that the peer can have from this node. */
  #sent: Stamp = { hi: 0, lo: 0 };
  #fellOff: () => void;

  /** `fellOff` is called when the outbox no longer holds what the peer needs next. */
  constructor(outbox: Outbox, fellOff: () => void) {
    this.#outbox = outbox;
    this.#fellOff = fellOff;
  }

  /** Answers the peer's RESUME: the position for the STREAM frame. */
  resume(known: Position): Position {
    const last = this.#outbox.last;
    if (compareStamp(known.hi, known.lo, last.hi, last.lo) > 0) {
      throw new PeerProtocolError(
        REFUSE_ACK,
        `the peer says it has ${formatStamp(known.hi, known.lo)}, which was never sent`,
      );
    }
    this.positioned = true;
    this.covered(known);
    const sequence = known.flag ? this.#outbox.sequenceAfter(known) : -1;
    if (sequence >= 0) {
      this.isOwing = false;
      this.#cursor = sequence;
      return { flag: true, hi: known.hi, lo: known.lo };
    }
    this.#cursor = this.#outbox.nextSequence;
    return { flag: false, hi: last.hi, lo: last.lo };
  }

  /** The outbox's frames below this have been sent, or will not be. */
  get sequence(): number {
    return this.positioned ? this.#cursor : -1;
  }

  /** Bytes of the backlog that this link has not sent. */
  backlogBytes(): number {
    return this.#outbox.bytesFrom(Math.max(this.#cursor, this.#outbox.firstSequence));
  }

  /** What it takes of the outbox: small frames cost more than their bytes. 0 before the peer has said where to go on. */
  heldBytes(): number {
    if (!this.positioned) return 0;
    return this.#outbox.heldBytesFrom(Math.max(this.#cursor, this.#outbox.firstSequence));
  }

  /** The next frame of the stream, or null. */
  next(): Buffer | null {
    if (!this.positioned || this.#cursor === this.#outbox.nextSequence) return null;
    if (this.#cursor < this.#outbox.firstSequence) {
      this.#cursor = this.#outbox.nextSequence;
      this.isOwing = true;
      this.#fellOff();
      return encodeStream({ flag: false, hi: this.#outbox.last.hi, lo: this.#outbox.last.lo });
    }
    const frame = this.#outbox.frameAt(this.#cursor);
    const isLastPart = (frame[10] & FRAME_FLAG_MORE) === 0;
    if (isLastPart) this.covered(this.#outbox.stampAt(this.#cursor));
    this.#cursor++;
    return frame;
  }

  /** The peer has, or is about to get by repair, everything up to `stamp`. */
  covered(stamp: Stamp): void {
    if (compareStamp(stamp.hi, stamp.lo, this.#sent.hi, this.#sent.lo) > 0) this.#sent = { hi: stamp.hi, lo: stamp.lo };
  }

  /** The peer has acknowledged; frames up to there need not be sent any more. */
  acknowledged(stamp: Stamp): void {
    if (compareStamp(stamp.hi, stamp.lo, this.#sent.hi, this.#sent.lo) > 0) {
      throw new PeerProtocolError(
        REFUSE_ACK,
        `an acknowledgement of ${formatStamp(stamp.hi, stamp.lo)}, which was never sent`,
      );
    }
    this.#cursor = Math.max(this.#cursor, this.#outbox.sequenceAfter(stamp));
  }
}

/** Of the outbox: a peer is told of a backlog of more than this before its first frame, and one of nearly all of it does not wait for clients. */
const LONG_SHARE = 1 / 4;
const URGENT_SHARE = 7 / 8;

interface Bounded {
  readonly outboxBytesMax: number;
}

export function isLong(backlogBytes: number, { outboxBytesMax }: Bounded): boolean {
  return backlogBytes > LONG_SHARE * outboxBytesMax;
}

/**
 * Whether a sender with this backlog may soon lose the first of it.
 * @param heldBytes what the backlog takes of the outbox
 */
export function isUrgent(heldBytes: number, { outboxBytesMax }: Bounded): boolean {
  return heldBytes > URGENT_SHARE * outboxBytesMax;
}

/** What a receiver needs to know beside the stream. */
export interface ReceiverSettings {
  readonly maxClockDriftMs: number;
  readonly turnBytesMax: number;
  readonly longTurns: Pick<LongTurnLimits, 'elementsMin' | 'elementsAStep'>;
}

function clockError(maxClockDriftMs: number): PeerProtocolError {
  const message = `its clock is more than max-clock-drift (${maxClockDriftMs} ms) ahead of the other node's`;
  return new PeerProtocolError(REFUSE_CLOCK, message);
}

/** @throws PeerProtocolError when a peer's clock reading is further ahead than is allowed */
export function checkClock(hi: number, lo: number, replica: Replica, maxClockDriftMs: number): void {
  const limit = new StampLimit();
  limit.set(replica.nowMs() + maxClockDriftMs);
  if (limit.isPast(hi, lo)) throw clockError(maxClockDriftMs);
}

export class StreamReceiver {
  /** True once the peer has said where its stream begins. */
  started = false;
  /** RECORDS frames of what the peer wrote before the link, and had to wait for it. */
  oldFrames = 0;
  /** What it has to send is so much that it should not wait. */
  isUrgent = false;
  /** Records from other origins that were left out of a repair because of their stamps. */
  futureRecords = 0;
  readonly progress: StreamProgress;
  #replica: Replica;
  #settings: ReceiverSettings;
  #source: MergeSource;
  #peerHi: number;
  #peerLo: number;
  #incarnation: Stamp;
  #begunAt: Stamp;
  #limit = new StampLimit();
  /** Parts of a turn, and of a repair's long record, that are not complete. */
  #turn: { stamp: Stamp; previous: Stamp; parts: RecordParts } | null = null;
  #repairParts: Parts | null = null;
  /** A whole turn that is merged in steps. */
  #long: { stamp: Stamp; previous: Stamp; turn: LongTurn } | null = null;

  /**
   * @param source what tells whether a write and one of this node's knew of each other
   * @param begunAt the peer's clock when the link began
   */
  constructor(
    replica: Replica,
    progress: StreamProgress,
    settings: ReceiverSettings,
    peer: Stamp,
    incarnation: Stamp,
    source: MergeSource,
    begunAt: Stamp,
  ) {
    this.#begunAt = begunAt;
    this.#incarnation = incarnation;
    this.#replica = replica;
    this.progress = progress;
    this.#settings = settings;
    this.#source = source;
    this.#peerHi = peer.hi;
    this.#peerLo = peer.lo;
  }

  /** The peer's STREAM. */
  start(position: Position): void {
    this.started = true;
    this.#turn = null;
    if (!position.flag) this.progress.startAt(position);
  }

  /** A RECORDS frame. Returns true when a whole turn is in and the stream went on. */
  records(flags: number, buffer: Buffer, start: number, end: number): boolean {
    if (!this.started) throw new PeerProtocolError(REFUSE_MALFORMED, 'a RECORDS frame before STREAM');
    if (end - start < RECORDS_PREFIX_BYTES) throw new PeerProtocolError(REFUSE_MALFORMED, 'a malformed RECORDS frame');
    const stamp = { hi: buffer.readUInt32BE(start), lo: buffer.readUInt32BE(start + 4) };
    const previous = { hi: buffer.readUInt32BE(start + 8), lo: buffer.readUInt32BE(start + 12) };
    this.#checkStamps(stamp, previous);
    if (!this.isUrgent && compareStamp(stamp.hi, stamp.lo, this.#begunAt.hi, this.#begunAt.lo) <= 0) this.oldFrames++;
    const from = start + RECORDS_PREFIX_BYTES;
    const isContinued =
      this.#turn !== null && compareStamp(this.#turn.stamp.hi, this.#turn.stamp.lo, stamp.hi, stamp.lo) === 0;
    if (!isContinued) this.#turn = null;
    if ((flags & FRAME_FLAG_MORE) !== 0) {
      this.#turn ??= { stamp, previous, parts: new RecordParts(this.#settings.turnBytesMax) };
      this.#turn.parts.add(buffer, from, end);
      return false;
    }
    if (this.#turn === null) return this.#finishTurn(stamp, previous, [buffer], from, end);
    this.#turn.parts.add(buffer, from, end);
    const pieces = this.#turn.parts.take();
    this.#turn = null;
    return this.#finishTurn(stamp, previous, pieces, 0, pieces[0].length);
  }

  get isMerging(): boolean {
    return this.#long !== null;
  }

  /** Goes on with a turn that is merged in steps; false when it has been merged. */
  mergeSome(): boolean {
    const { stamp, previous, turn } = this.#long!;
    if (this.#trying(() => turn.step())) return true;
    this.#long = null;
    this.#replica.observeStamp(stamp.hi, stamp.lo);
    turn.finish({ incarnation: this.#incarnation, stamp }, this.#source);
    this.progress.advance(previous, stamp);
    return false;
  }

  close(): void {
    this.#long?.turn.close();
    this.#long = null;
  }

  /** A REPAIR_RECORDS frame: records of any origin; `taking` when this node resynchronises. */
  repairRecords(flags: number, buffer: Buffer, start: number, end: number, taking: Taking | null): Stamp | null {
    if ((flags & FRAME_FLAG_MORE) !== 0 || this.#repairParts !== null) {
      this.#repairParts ??= new Parts(this.#settings.turnBytesMax);
      this.#repairParts.add(buffer, start, end);
      if ((flags & FRAME_FLAG_MORE) !== 0) return null;
      buffer = this.#repairParts.join();
      start = 0;
      end = buffer.length;
      this.#repairParts = null;
    }
    const future = this.#findFuture(buffer, start, end);
    if (future === null) {
      this.#apply(buffer, start, end, null, taking);
      return oldestRemoval(buffer, start, end);
    }
    if (future.byOrigin) throw clockError(this.#settings.maxClockDriftMs);
    // Another node's clock is fast, not this peer's: the rest is taken, those come with a later repair.
    this.futureRecords += future.ranges.length / 2;
    const kept = withoutRanges(buffer, start, end, future.ranges);
    this.#apply(kept, 0, kept.length, null, taking);
    return oldestRemoval(kept, 0, kept.length);
  }

  /** Takes the peer's clock reading into the own clock, if it is inside the bound. */
  observeClock(hi: number, lo: number): void {
    if (hi === 0 && lo === 0) return;
    checkClock(hi, lo, this.#replica, this.#settings.maxClockDriftMs);
    this.#replica.observeStamp(hi, lo);
  }

  #setLimit(): void {
    this.#limit.set(this.#replica.nowMs() + this.#settings.maxClockDriftMs);
  }

  #checkStamps(stamp: Stamp, previous: Stamp): void {
    if (isImpossibleStamp(stamp.hi, stamp.lo) || compareStamp(previous.hi, previous.lo, stamp.hi, stamp.lo) >= 0) {
      throw new PeerProtocolError(
        REFUSE_STAMP,
        `a turn stamped ${formatStamp(stamp.hi, stamp.lo)} after ${formatStamp(previous.hi, previous.lo)}, which cannot be`,
      );
    }
    this.#setLimit();
    if (this.#limit.isPast(stamp.hi, stamp.lo)) throw clockError(this.#settings.maxClockDriftMs);
  }

  #findFuture(buffer: Buffer, start: number, end: number): { ranges: number[]; byOrigin: boolean } | null {
    this.#setLimit();
    return findFutureRecords(buffer, start, end, this.#limit, this.#peerHi, this.#peerLo);
  }

  #checkFuture(buffer: Buffer, start: number, end: number): void {
    if (this.#findFuture(buffer, start, end) !== null) throw clockError(this.#settings.maxClockDriftMs);
  }

  /** @param pieces of records; of a single one those from `start` to `end` */
  #finishTurn(stamp: Stamp, previous: Stamp, pieces: readonly Buffer[], start: number, end: number): boolean {
    if (this.progress.has(stamp)) return false;
    const check = (records: Buffer, from: number, to: number): void => this.#checkFuture(records, from, to);
    const turn = this.#replica.startTurn(pieces, start, end, { ...this.#settings.longTurns, check });
    if (turn !== null) {
      this.#long = { stamp, previous, turn };
      return false;
    }
    const records = pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
    const to = pieces.length === 1 ? end : records.length;
    this.#checkFuture(records, start, to);
    // Before the records: a removal carries an earlier stamp than its own, and must not be forgotten on account of that one.
    this.#replica.observeStamp(stamp.hi, stamp.lo);
    this.#apply(records, start, to, { incarnation: this.#incarnation, stamp }, null);
    this.progress.advance(previous, stamp);
    return true;
  }

  #apply(buffer: Buffer, start: number, end: number, turn: StreamTurn | null, taking: Taking | null): void {
    this.#trying(() => {
      if (taking === null) this.#replica.applyRecords(buffer, start, end, turn, this.#source);
      else taking.records(buffer, start, end);
    });
  }

  #trying<T>(work: () => T): T {
    try {
      return work();
    } catch (problem) {
      if (problem instanceof RecordError) throw new PeerProtocolError(REFUSE_RECORDS, problem.message);
      throw problem;
    }
  }
}
