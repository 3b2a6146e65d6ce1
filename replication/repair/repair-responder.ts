/**
 * The following half of a repair: answers the leader's group digests with its bucket digests, takes the leader's summaries,
 * compares them with its own keys, sends what the leader lacks and says what it wants itself.
 */
import {
  FRAME_FLAG_MORE,
  FRAME_REPAIR_CELLS,
  FRAME_REPAIR_DONE,
  FRAME_REPAIR_GROUPS,
  FRAME_REPAIR_PLAN,
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
  REPAIR_GROUP_COUNT,
  SUMMARY_BYTES,
  decodeGroups,
  decodePlan,
  encodeBuckets,
  encodeEmpty,
  encodeWords,
  entryCount,
} from '../../protocol/peer-repair.ts';
import { ElementAsker } from './element-asker.ts';
import { Forsaking } from './forsaking.ts';
import { KeyTable } from './key-table.ts';
import { RecordSource } from './record-source.ts';
import type { RepairContext, RepairSide } from './repair.ts';
import { listedKeys, skipBucket, wholeBucket, type ReplicaScan, type Stamp } from '../replica.ts';

const WANTS_PER_FRAME = 256;
/** Own keys looked at in one slice, if time allows. */
const COMPARED_PER_SLICE = 8192;
/** The most summaries that any leader may send in a round. */
const REPAIR_SUMMARIES_LIMIT = 1 << 20;

type Phase = 'buckets' | 'plan' | 'summaries' | 'compare' | 'records' | 'elements' | 'last' | 'finished';

export class RepairResponder implements RepairSide {
  #context: RepairContext;
  #phase: Phase = 'buckets';
  #queue: Buffer[] = [];
  #peerCover: Stamp = { hi: 0, lo: 0 };
  #plan: Uint8Array = new Uint8Array(0);
  /** The buckets in which it has something to do, gone through a few times in a round. */
  #planned: readonly number[] = [];
  /** Groups of buckets in which the leader shows nothing. */
  #bareGroups = new Uint8Array(REPAIR_GROUP_COUNT);
  /** What the leader told of, and in which buckets. */
  #told: KeyTable;
  #toldBuckets: Uint8Array = new Uint8Array(0);
  /** Own keys that the leader lacks or has otherwise. */
  #sending: KeyTable;
  #compareBuckets: Uint8Array = new Uint8Array(0);
  #scan: ReplicaScan | null = null;
  /** Large collections that both sides have, but otherwise. */
  #elements: ElementAsker;
  /** Shards of `#told` whose wants have been sent. */
  #shardsWanted = 0;
  #source: RecordSource | null = null;
  /** Where this node resynchronises: what goes through its own keys that the leader lacks. */
  #forsaking: Forsaking | null = null;
  /** Buckets that the leader has sent whole. */
  #exchanged: Uint8Array | null = null;

  constructor(context: RepairContext) {
    this.#context = context;
    this.#told = new KeyTable(context.seed, true);
    this.#sending = new KeyTable(context.seed, false);
    this.#elements = new ElementAsker(context.replica, context.elementsMin, context.frames);
  }

  get isFinished(): boolean {
    return this.#phase === 'finished' && this.#queue.length === 0;
  }

  get isScanning(): boolean {
    const phase = this.#phase;
    return phase === 'compare' || phase === 'records' || phase === 'elements' || phase === 'last';
  }

  receive(type: number, buffer: Buffer, start: number, end: number, flags: number): void {
    if (type === FRAME_REPAIR_GROUPS && this.#phase === 'buckets') this.#receiveGroups(buffer, start, end);
    else if (this.#phase === 'plan' && this.#elements.isOpen) this.#receiveElements(type, flags, buffer, start, end);
    else if (type === FRAME_REPAIR_PLAN && (this.#phase === 'plan' || this.#phase === 'summaries'))
      this.#receivePlan(buffer, start, end);
    else if (type === FRAME_REPAIR_SUMMARIES && this.#phase === 'summaries')
      this.#receiveSummaries(flags, buffer, start, end);
    else if (type === FRAME_REPAIR_DONE && this.#phase === 'plan') this.#finish();
    else throw new PeerProtocolError(REFUSE_MALFORMED, `a repair frame of type ${type} out of turn`);
  }

  /** The leader answers what it was told of large collections. */
  #receiveElements(type: number, flags: number, buffer: Buffer, start: number, end: number): void {
    if (type === FRAME_REPAIR_CELLS) {
      this.#elements.receiveCells(flags, buffer, start, end);
    } else if (type === FRAME_REPAIR_TURN) {
      this.#elements.answered();
      this.#phase = 'elements';
    } else {
      throw new PeerProtocolError(REFUSE_MALFORMED, `a repair frame of type ${type} out of turn`);
    }
  }

  next(): Buffer | null {
    const queued = this.#queue.shift();
    if (queued !== undefined) return queued;
    if (this.#phase === 'compare') this.#compareSlice();
    else if (this.#phase === 'records') return this.#nextRecords();
    else if (this.#phase === 'elements') return this.#nextElements();
    else if (this.#phase === 'last' && !this.#forsaking!.step()) this.#end();
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

  #receiveGroups(buffer: Buffer, start: number, end: number): void {
    const message = decodeGroups(buffer, start, end);
    this.#peerCover = { hi: message.coverHi, lo: message.coverLo };
    const own = this.#context.replica.groupDigests();
    const differing: number[] = [];
    for (let group = 0; group < REPAIR_GROUP_COUNT; group++) {
      const hi = message.groups[group * 2];
      const lo = message.groups[group * 2 + 1];
      if (own[group * 2] !== hi || own[group * 2 + 1] !== lo) differing.push(group);
      if (hi === 0 && lo === 0) this.#bareGroups[group] = 1;
    }
    this.#queue.push(encodeBuckets(this.#context.ownCover(), differing, this.#context.replica.digests));
    this.#phase = 'plan';
  }

  #receivePlan(buffer: Buffer, start: number, end: number): void {
    this.#plan = decodePlan(buffer, start, end);
    this.#planned = plannedBuckets(this.#plan);
    this.#told = new KeyTable(this.#context.seed, true, this.#expectedKeys());
    this.#toldBuckets = new Uint8Array(REPAIR_BUCKET_COUNT);
    this.#phase = 'summaries';
  }

  /** The leader will tell of about as many keys as are here in the buckets that it compares. */
  #expectedKeys(): number {
    let compared = 0;
    for (const bucket of this.#planned)
      if (this.#plan[bucket] === PLAN_COMPARE && this.#bareGroups[bucket >>> 8] === 0) compared++;
    const keys = (this.#context.replica.keyCount() * compared) / REPAIR_BUCKET_COUNT;
    return Math.min(keys, REPAIR_SUMMARIES_LIMIT);
  }

  #receiveSummaries(flags: number, buffer: Buffer, start: number, end: number): void {
    const count = entryCount(start, end, SUMMARY_BYTES);
    for (let index = 0; index < count; index++) {
      const at = start + index * SUMMARY_BYTES;
      const hashHi = buffer.readUInt32BE(at);
      this.#toldBuckets[hashHi >>> 16] = 1;
      this.#told.set(hashHi, buffer.readUInt32BE(at + 4), buffer.readUInt32BE(at + 8), buffer.readUInt32BE(at + 12));
    }
    if (this.#told.size > REPAIR_SUMMARIES_LIMIT) {
      throw new PeerProtocolError(
        REFUSE_MALFORMED,
        `more than ${REPAIR_SUMMARIES_LIMIT} summaries in one round of repair`,
      );
    }
    if ((flags & FRAME_FLAG_MORE) === 0) this.#startCompare();
  }

  #startCompare(): void {
    this.#sending = new KeyTable(this.#context.seed, false);
    if (this.#context.take === null) this.#giveUntoldBuckets();
    this.#compareBuckets = this.#bucketsBy(0, 1, 0);
    this.#phase = 'compare';
    if (this.#planned.some((bucket) => this.#plan[bucket] === PLAN_COMPARE))
      this.#scan = this.#context.replica.startScan();
    else this.#startRecords();
  }

  /** Where the leader has no key at all, all that is here goes, and needs no list. */
  #giveUntoldBuckets(): void {
    for (const bucket of this.#planned)
      if (this.#plan[bucket] === PLAN_COMPARE && this.#toldBuckets[bucket] === 0) this.#plan[bucket] = PLAN_EXCHANGE;
  }

  /** What is to be done with each bucket, by its mode in the plan. */
  #bucketsBy(nothing: number, compare: number, exchange: number): Uint8Array {
    const buckets = new Uint8Array(REPAIR_BUCKET_COUNT);
    if (nothing !== 0) buckets.fill(nothing);
    for (const bucket of this.#planned) buckets[bucket] = this.#plan[bucket] === PLAN_COMPARE ? compare : exchange;
    return buckets;
  }

  /** One slice of going through the own keys of the buckets in question. */
  #compareSlice(): void {
    const sink = {
      key: (hashHi: number, hashLo: number, digestHi: number, digestLo: number): void => {
        const isSame = this.#told.match(hashHi, hashLo, digestHi, digestLo);
        // A node that resynchronises sends nothing, and what is not told goes in a pass of its own.
        if (isSame || this.#context.take !== null || this.#comparesElements(hashHi, hashLo)) return;
        this.#sending.set(hashHi, hashLo);
      },
    };
    const more = this.#scan!.summaries(this.#compareBuckets, sink, COMPARED_PER_SLICE);
    if (more && this.#sending.size <= REPAIR_SUMMARIES_LIMIT) return;
    if (more) this.#sendWholeBuckets();
    this.close();
    this.#startRecords();
  }

  /** Whether the key, which differs if the leader has it, is to be compared by its elements. */
  #comparesElements(hashHi: number, hashLo: number): boolean {
    if (!this.#told.has(hashHi, hashLo)) return false;
    const large = this.#scan!.largeKey(this.#context.elementsMin);
    if (large === null || !this.#elements.add(large)) return false;
    this.#context.counters.comparedKeys++;
    return this.#told.claim(hashHi, hashLo);
  }

  /** Far more keys here than there: sending those buckets whole costs less memory than a list. */
  #sendWholeBuckets(): void {
    for (const bucket of this.#planned) this.#plan[bucket] = PLAN_EXCHANGE;
    this.#sending = new KeyTable(this.#context.seed, false);
  }

  #startRecords(): void {
    this.#shardsWanted = 0;
    const buckets = this.#bucketsBy(skipBucket, listedKeys, wholeBucket);
    const sending = this.#sending;
    const isNeeded = sending.size > 0 || this.#planned.some((bucket) => buckets[bucket] === wholeBucket);
    this.#phase = 'records';
    const { replica, frames, take } = this.#context;
    if (take === null) {
      const selection = { buckets, has: (hi: number, lo: number) => sending.has(hi, lo) };
      this.#source = new RecordSource(replica.startScan(), selection, isNeeded, frames);
      return;
    }
    // What the leader sends of whole buckets is still to come.
    this.#exchanged ??= new Uint8Array(REPAIR_BUCKET_COUNT);
    for (const bucket of this.#planned) {
      if (this.#plan[bucket] !== PLAN_EXCHANGE) continue;
      this.#exchanged[bucket] = 1;
      buckets[bucket] = skipBucket;
    }
    const told = this.#told;
    this.#forsaking = new Forsaking(replica, { buckets, has: (hi, lo) => !told.has(hi, lo) }, take.rule);
  }

  #nextRecords(): Buffer | null {
    const wants = this.#nextWants();
    if (wants !== null) return wants;
    if (this.#forsaking !== null) {
      if (this.#forsaking.step()) return null;
      this.#endRound();
      return this.#queue.shift() ?? null;
    }
    const frame = this.#source!.next();
    if (this.#source!.isDone) this.#endRound();
    return frame ?? this.#queue.shift() ?? null;
  }

  #endRound(): void {
    this.close();
    this.#phase = 'elements';
    if (this.#elements.isDone) this.#endTurn();
  }

  #nextElements(): Buffer | null {
    const frame = this.#elements.next();
    if (this.#elements.isDone) this.#endTurn();
    return frame ?? this.#queue.shift() ?? null;
  }

  #endTurn(): void {
    this.#queue.push(encodeEmpty(FRAME_REPAIR_TURN));
    this.#phase = 'plan';
  }

  /** The keys that the leader has and this side lacks or has otherwise; some shards' in a frame. */
  #nextWants(): Buffer | null {
    const shards: Uint32Array[] = [];
    let wordCount = 0;
    while (this.#shardsWanted < KeyTable.shardCount && wordCount < WANTS_PER_FRAME * 2) {
      const shard = this.#told.unmatched(this.#shardsWanted++);
      if (shard.length > 0) shards.push(shard);
      wordCount += shard.length;
    }
    if (wordCount === 0) return null;
    const words = new Uint32Array(wordCount);
    let at = 0;
    for (const shard of shards) {
      words.set(shard, at);
      at += shard.length;
    }
    return encodeWords(FRAME_REPAIR_WANT, false, words, wordCount, this.#context.frames.take);
  }

  #finish(): void {
    const { replica, take } = this.#context;
    if (take === null) {
      this.#end();
      return;
    }
    const exchanged = this.#exchanged ?? new Uint8Array(REPAIR_BUCKET_COUNT);
    const buckets = exchanged.map((isExchanged) => (isExchanged === 1 ? listedKeys : skipBucket));
    const has = (hi: number, lo: number): boolean => !take.taking.sawKey(hi, lo);
    this.#forsaking = new Forsaking(replica, { buckets, has }, take.rule);
    this.#phase = 'last';
  }

  #end(): void {
    this.close();
    this.#phase = 'finished';
    this.#queue.push(encodeEmpty(FRAME_REPAIR_DONE));
    this.#context.covered(this.#peerCover);
  }
}

/** The buckets in which there is something to do. There are 65,536, and mostly few of those: four at a time are passed over. */
function plannedBuckets(plan: Uint8Array): number[] {
  const fours = new Uint32Array(plan.buffer, plan.byteOffset, plan.length / 4);
  const planned: number[] = [];
  for (let four = 0; four < fours.length; four++) {
    if (fours[four] === 0) continue;
    for (let bucket = four * 4; bucket < four * 4 + 4; bucket++)
      if (plan[bucket] !== PLAN_NOTHING) planned.push(bucket);
  }
  return planned;
}
