/**
 * The leading half of a repair (the node with the lower id leads): sends its group digests, learns where the buckets differ,
 * then in rounds sends summaries of its keys in those buckets and afterwards the records that the other side lacks.
 * docs/peer-protocol.md draws the conversation.
 */
import {
  FRAME_REPAIR_BUCKETS,
  FRAME_REPAIR_DONE,
  FRAME_REPAIR_PICK,
  FRAME_REPAIR_RANGES,
  FRAME_REPAIR_SUMMARIES,
  FRAME_REPAIR_TURN,
  FRAME_REPAIR_WANT,
  PeerProtocolError,
  REFUSE_MALFORMED,
} from '../../protocol/peer-frame.ts';
import {
  PLAN_COMPARE,
  PLAN_EXCHANGE,
  PLAN_NOTHING,
  REPAIR_BUCKET_COUNT,
  WANT_BYTES,
  decodeBuckets,
  encodeEmpty,
  encodeGroups,
  encodePlan,
  encodeWords,
  entryCount,
} from '../../protocol/peer-repair.ts';
import { ElementAnswerer } from './element-answerer.ts';
import { Forsaking } from './forsaking.ts';
import { KeyTable } from './key-table.ts';
import { RecordSource } from './record-source.ts';
import type { RepairContext, RepairSide } from './repair.ts';
import { listedKeys, skipBucket, wholeBucket, type ReplicaScan, type Stamp } from '../replica.ts';

/** Keys of one SUMMARIES frame: few, because the other side takes a frame in one go. */
const SUMMARIES_PER_FRAME = 256;

type Phase = 'groups' | 'summaries' | 'turn' | 'records' | 'elements' | 'done' | 'finished';

export class RepairLeader implements RepairSide {
  #context: RepairContext;
  #phase: Phase = 'groups';
  #queue: Buffer[] = [];
  #peerCover: Stamp = { hi: 0, lo: 0 };
  /** Buckets that are still to be compared key by key. */
  #remaining: number[] = [];
  #bucketsPerRound: number;
  #round: { compare: number[]; exchange: number[]; buckets: Uint8Array; count: number; hasGiven: boolean } | null =
    null;
  /** Large collections that both sides have, but otherwise. */
  #elements: ElementAnswerer;
  #scan: ReplicaScan | null = null;
  /** Grows as far as summaries need it: most comparisons find nothing. */
  #words = new Uint32Array(64);
  #wanted: KeyTable;
  #source: RecordSource | null = null;
  /** Where this node resynchronises: what goes through its own keys that the other side lacks. */
  #forsaking: Forsaking | null = null;

  constructor(context: RepairContext) {
    this.#context = context;
    this.#wanted = new KeyTable(context.seed, false);
    this.#elements = new ElementAnswerer(context.replica, context.frames);
    const keysPerBucket = Math.max(1, context.replica.keyCount() / REPAIR_BUCKET_COUNT);
    this.#bucketsPerRound = Math.max(1, Math.floor(context.summariesMax / 2 / keysPerBucket));
    const cover = context.ownCover();
    this.#queue.push(encodeGroups(cover, context.replica.groupDigests()));
  }

  get isFinished(): boolean {
    return this.#phase === 'finished';
  }

  get isScanning(): boolean {
    return this.#phase === 'summaries' || this.#phase === 'records' || this.#phase === 'elements';
  }

  receive(type: number, buffer: Buffer, start: number, end: number): void {
    if (type === FRAME_REPAIR_BUCKETS && this.#phase === 'groups') this.#receiveBuckets(buffer, start, end);
    else if (type === FRAME_REPAIR_WANT && this.#phase === 'turn') this.#receiveWant(buffer, start, end);
    else if (type === FRAME_REPAIR_RANGES && this.#phase === 'turn') this.#receiveRanges(buffer, start, end);
    else if (type === FRAME_REPAIR_PICK && this.#phase === 'turn') this.#elements.receivePick(buffer, start, end);
    else if (type === FRAME_REPAIR_TURN && this.#phase === 'turn') this.#receiveTurn();
    else if (type === FRAME_REPAIR_DONE && this.#phase === 'done') this.#finish();
    else throw new PeerProtocolError(REFUSE_MALFORMED, `a repair frame of type ${type} out of turn`);
  }

  next(): Buffer | null {
    const queued = this.#queue.shift();
    if (queued !== undefined) return queued;
    if (this.#phase === 'summaries') return this.#nextSummaries();
    if (this.#phase === 'records') return this.#nextRecords();
    if (this.#phase === 'elements') return this.#nextElements();
    return null;
  }

  close(): void {
    this.#scan?.close();
    this.#scan = null;
    this.#source?.close();
    this.#source = null;
    this.#forsaking?.close();
    this.#forsaking = null;
    this.#elements.close();
  }

  #receiveBuckets(buffer: Buffer, start: number, end: number): void {
    const digests = this.#context.replica.digests;
    const exchange: number[] = [];
    const message = decodeBuckets(buffer, start, end, digests, (bucket, hi, lo) => {
      const isBare = digests[bucket * 2] === 0 && digests[bucket * 2 + 1] === 0;
      const isPeerBare = hi === 0 && lo === 0;
      // The other side shows nothing there, though it may hold tombstones: comparing would save nothing. Where this side
      // shows nothing there is little to tell, and by the time it could give the bucket, it would give back what has come.
      (isPeerBare && !isBare ? exchange : this.#remaining).push(bucket);
    });
    this.#peerCover = { hi: message.coverHi, lo: message.coverLo };
    if (exchange.length === 0 && this.#remaining.length === 0) this.#sendDone();
    else this.#startRound(exchange);
  }

  #startRound(exchange: number[]): void {
    this.#beginRound(this.#remaining.splice(0, this.#bucketsPerRound), exchange);
  }

  /** Sends the plan and begins to tell of the keys in `compare`; those in `exchange` are sent whole by both sides. */
  #beginRound(compare: number[], exchange: number[]): void {
    const plan = new Uint8Array(REPAIR_BUCKET_COUNT).fill(PLAN_NOTHING);
    const buckets = new Uint8Array(REPAIR_BUCKET_COUNT);
    for (const bucket of compare) {
      plan[bucket] = PLAN_COMPARE;
      buckets[bucket] = 1;
    }
    for (const bucket of exchange) plan[bucket] = PLAN_EXCHANGE;
    this.#round = { compare, exchange, buckets, count: 0, hasGiven: false };
    this.#queue.push(encodePlan(plan));
    this.#wanted = new KeyTable(this.#context.seed, false);
    this.#phase = 'summaries';
    this.#scan = compare.length > 0 ? this.#context.replica.startScan() : null;
  }

  #nextSummaries(): Buffer | null {
    const round = this.#round!;
    let words = 0;
    let more = false;
    if (this.#scan !== null) {
      const sink = {
        key: (hashHi: number, hashLo: number, digestHi: number, digestLo: number): void => {
          if (words === this.#words.length) this.#growWords();
          this.#words[words++] = hashHi;
          this.#words[words++] = hashLo;
          this.#words[words++] = digestHi;
          this.#words[words++] = digestLo;
        },
      };
      more = this.#scan.summaries(round.buckets, sink, SUMMARIES_PER_FRAME);
    }
    round.count += words / 4;
    if (round.count > this.#context.summariesMax) {
      this.#halveRound(round.compare, round.exchange);
      return this.#queue.shift()!;
    }
    if (more && words === 0) return null;
    if (!more) {
      this.close();
      this.#phase = 'turn';
    }
    this.#context.counters.summaries += words / 4;
    return encodeWords(FRAME_REPAIR_SUMMARIES, more, this.#words, words, this.#context.frames.take);
  }

  #growWords(): void {
    const grown = new Uint32Array(this.#words.length * 2);
    grown.set(this.#words);
    this.#words = grown;
  }

  /** More keys than the other side will hold: begin the round again with half of its buckets, or without comparing. */
  #halveRound(compare: number[], exchange: number[]): void {
    this.close();
    if (compare.length === 1) {
      this.#beginRound([], [...exchange, ...compare]);
      return;
    }
    this.#bucketsPerRound = Math.max(1, Math.floor(compare.length / 2));
    this.#remaining.push(...compare.splice(this.#bucketsPerRound));
    this.#beginRound(compare, exchange);
  }

  #receiveWant(buffer: Buffer, start: number, end: number): void {
    const count = entryCount(start, end, WANT_BYTES);
    for (let index = 0; index < count; index++) {
      const at = start + index * WANT_BYTES;
      this.#wanted.set(buffer.readUInt32BE(at), buffer.readUInt32BE(at + 4));
    }
    if (this.#wanted.size > this.#context.summariesMax) {
      throw new PeerProtocolError(REFUSE_MALFORMED, 'the peer wants more keys than it was told of');
    }
  }

  #receiveRanges(buffer: Buffer, start: number, end: number): void {
    if (this.#context.elementsMin === Infinity)
      throw new PeerProtocolError(REFUSE_MALFORMED, 'ranges of elements in a repair of whole keys');
    this.#elements.receiveRanges(buffer, start, end);
  }

  #receiveTurn(): void {
    this.#elements.turned();
    if (this.#round!.hasGiven) this.#phase = 'elements';
    else this.#startRecords();
  }

  #startRecords(): void {
    const round = this.#round!;
    round.hasGiven = true;
    const isNeeded = round.exchange.length > 0 || this.#wanted.size > 0;
    const buckets = new Uint8Array(REPAIR_BUCKET_COUNT).fill(skipBucket);
    for (const bucket of round.exchange) buckets[bucket] = wholeBucket;
    if (this.#wanted.size > 0) for (const bucket of round.compare) buckets[bucket] = listedKeys;
    const wanted = this.#wanted;
    const { replica, frames, take } = this.#context;
    if (take === null) {
      const selection = { buckets, has: (hi: number, lo: number) => wanted.has(hi, lo) };
      this.#source = new RecordSource(replica.startScan(), selection, isNeeded, frames);
    } else {
      for (const bucket of round.exchange) buckets[bucket] = listedKeys;
      const isExchanged = new Uint8Array(REPAIR_BUCKET_COUNT);
      for (const bucket of round.exchange) isExchanged[bucket] = 1;
      const has = (hi: number, lo: number): boolean =>
        (isExchanged[hi >>> 16] === 1 || wanted.has(hi, lo)) && !take.taking.sawKey(hi, lo);
      this.#forsaking = new Forsaking(replica, { buckets, has }, take.rule);
    }
    this.#phase = 'records';
  }

  #nextRecords(): Buffer | null {
    if (this.#forsaking !== null) {
      if (!this.#forsaking.step()) this.#startElements();
      return this.#queue.shift() ?? null;
    }
    const frame = this.#source!.next();
    if (this.#source!.isDone) this.#startElements();
    return frame ?? this.#queue.shift() ?? null;
  }

  #startElements(): void {
    this.close();
    this.#phase = 'elements';
    if (this.#elements.isDone) this.#endTurn();
  }

  #nextElements(): Buffer | null {
    const frame = this.#elements.next();
    if (this.#elements.isDone) this.#endTurn();
    return frame ?? this.#queue.shift() ?? null;
  }

  /** What was told of elements in this turn the other side picks from in another one; without any the round is over. */
  #endTurn(): void {
    if (!this.#elements.isOpen) {
      this.#endRound();
      return;
    }
    this.#elements.endTurn();
    this.#queue.push(encodeEmpty(FRAME_REPAIR_TURN));
    this.#phase = 'turn';
  }

  #endRound(): void {
    this.close();
    this.#round = null;
    if (this.#remaining.length > 0) this.#startRound([]);
    else this.#sendDone();
  }

  #sendDone(): void {
    this.#queue.push(encodeEmpty(FRAME_REPAIR_DONE));
    this.#phase = 'done';
  }

  #finish(): void {
    this.#phase = 'finished';
    this.#context.covered(this.#peerCover);
  }
}
