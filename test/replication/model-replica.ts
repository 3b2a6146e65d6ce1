/** A replica for tests: registers in a Map, merged by the order of register-order.ts. */
import { FLAG_DEAD, FLAG_HAS_ELEMENT, KIND_STRING, RecordReader, RecordWriter } from '../../protocol/change-record.ts';
import { groupDigests, REPAIR_BUCKET_COUNT } from '../../protocol/peer-repair.ts';
import { compareVersions } from '../../protocol/register-order.ts';
import { compareStamp, stampHiOf, stampLoOf } from '../../protocol/stamp.ts';
import {
  listedKeys,
  wholeBucket,
  type CellScan,
  type KeyPart,
  type KeySelection,
  type RecordScan,
  type Replica,
  type ReplicaScan,
  type Stamp,
  type SummarySink,
  type TakeRule,
  type Taking,
} from '../../replication/replica.ts';

const WORD = 0x1_0000_0000;
/** A local name, because looking up a global in jest's module context is slow. */
const { imul } = Math;

/** 64 bits over bytes: two differently seeded multiply-and-rotate hashes. Good enough for a model. */
function hash64(bytes: Buffer): { hi: number; lo: number } {
  let hi = 0x9e3779b9;
  let lo = 0x7f4a7c15;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index];
    hi = imul(hi ^ byte, 0x85ebca6b);
    hi ^= hi >>> 13;
    lo = imul(lo ^ byte, 0xc2b2ae35);
    lo ^= lo >>> 15;
  }
  hi = imul(hi ^ (lo >>> 16), 0x27d4eb2f);
  lo = imul(lo ^ (hi >>> 15), 0x165667b1);
  return { hi: (hi ^ (hi >>> 15)) >>> 0, lo: (lo ^ (lo >>> 13)) >>> 0 };
}

interface ModelKey {
  hashHi: number;
  hashLo: number;
  digestHi: number;
  digestLo: number;
  /** Encoded winning version by (kind, element). */
  registers: Map<string, Buffer>;
}

function read(record: Buffer): RecordReader {
  const reader = new RecordReader();
  reader.read(record, 0);
  return reader;
}

function isAbove(view: RecordReader, { hi, lo }: Stamp): boolean {
  return compareStamp(view.stampHi, view.stampLo, hi, lo) > 0;
}

class ModelScan implements ReplicaScan {
  isClosed = false;
  #replica: ModelReplica;
  #keys: Iterator<ModelKey>;
  #sliceKeys: number;
  constructor(replica: ModelReplica, sliceKeys: number) {
    this.#replica = replica;
    this.#keys = replica.keys.values();
    this.#sliceKeys = sliceKeys;
  }
  summaries(buckets: Uint8Array, sink: SummarySink, maxKeys: number): boolean {
    let delivered = 0;
    for (let looked = 0; looked < this.#sliceKeys && delivered < maxKeys; looked++) {
      const { done, value } = this.#keys.next();
      if (done === true) return false;
      if (buckets[value.hashHi >>> 16] === 0) continue;
      sink.key(value.hashHi, value.hashLo, value.digestHi, value.digestLo);
      delivered++;
    }
    return true;
  }
  /** A model's keys hold one register each. */
  largeKey(): null {
    return null;
  }
  records(selection: KeySelection, writer: RecordWriter, maxBytes: number): boolean {
    for (let looked = 0; looked < this.#sliceKeys && writer.length < maxBytes; looked++) {
      const { done, value } = this.#keys.next();
      if (done === true) return false;
      const { tombstonesAbove } = selection;
      const isWanted = isSelected(selection, value);
      for (const record of value.registers.values()) {
        const view = read(record);
        const isTold =
          tombstonesAbove !== undefined && (view.flags & FLAG_DEAD) !== 0 && isAbove(view, tombstonesAbove);
        if (isWanted || isTold) writer.raw(record, 0, record.length);
      }
    }
    return true;
  }
  forsake(selection: KeySelection, rule: TakeRule): boolean {
    for (let looked = 0; looked < this.#sliceKeys; looked++) {
      const { done, value } = this.#keys.next();
      if (done === true) return false;
      if (!isSelected(selection, value)) continue;
      for (const record of [...value.registers.values()]) this.#replica.bury(record, rule.boundOf);
    }
    return true;
  }
  close(): void {
    if (this.isClosed) throw new Error('a scan closed twice');
    this.isClosed = true;
  }
}

function isSelected(selection: KeySelection, { hashHi, hashLo }: ModelKey): boolean {
  const mode = selection.buckets[hashHi >>> 16];
  return mode === wholeBucket || (mode === listedKeys && selection.has(hashHi, hashLo));
}

/** A model's keys hold one register each, so that a key is complete with its record. */
class ModelTaking implements Taking {
  #replica: ModelReplica;
  #rule: TakeRule;
  #seen = new Set<string>();
  constructor(replica: ModelReplica, rule: TakeRule) {
    this.#replica = replica;
    this.#rule = rule;
  }
  records(records: Buffer, start: number, end: number): void {
    const view = new RecordReader();
    for (let at = start; at < end;) {
      const next = view.read(records, at, end);
      const key = `${view.database}:${records.toString('latin1', view.keyStart, view.keyStart + view.keyLength)}`;
      const { hi, lo } = hash64(Buffer.from(key, 'latin1'));
      this.#seen.add(`${hi}:${lo}`);
      const { ownBoundOf } = this.#rule;
      const isDropped =
        ownBoundOf !== null &&
        (view.flags & FLAG_DEAD) === 0 &&
        !this.#replica.keys.has(key) &&
        !isAbove(view, ownBoundOf(view.originHi, view.originLo));
      if (!isDropped) this.#replica.applyRecords(records, at, next);
      at = next;
    }
  }
  sawKey(hashHi: number, hashLo: number): boolean {
    return this.#seen.has(`${hashHi}:${hashLo}`);
  }
  end(): void {}
}

export class ModelReplica implements Replica {
  readonly digests = new Uint32Array(REPAIR_BUCKET_COUNT * 2);
  isDigested = true;
  isSettled = true;
  readonly node: Stamp;
  keys = new Map<string, ModelKey>();
  /** Keys looked at in one slice. */
  sliceKeys = 1000;
  /** Whether tombstones count in the digests; must be the same on all nodes. */
  digestsTombstones = true;
  appliedRecords = 0;
  #nowMs: () => number;
  #clock: Stamp = { hi: 0, lo: 0 };
  #writer = new RecordWriter();
  #turn: RecordWriter = new RecordWriter();
  #reader = new RecordReader();

  constructor(node: Stamp, nowMs: () => number) {
    this.node = node;
    this.#nowMs = nowMs;
  }

  groupDigests(): Uint32Array {
    return groupDigests(this.digests);
  }
  nowMs(): number {
    return this.#nowMs();
  }
  currentStamp(): Stamp {
    const now = { hi: stampHiOf(this.#nowMs()), lo: stampLoOf(this.#nowMs(), 0) };
    return compareStamp(now.hi, now.lo, this.#clock.hi, this.#clock.lo) > 0 ? now : this.#clock;
  }
  observeStamp(hi: number, lo: number): void {
    if (compareStamp(hi, lo, this.#clock.hi, this.#clock.lo) > 0) this.#clock = { hi, lo };
  }
  nextStamp(): Stamp {
    const now = this.currentStamp();
    const lo = (now.lo + 1) % WORD;
    this.#clock = { hi: lo === 0 ? now.hi + 1 : now.hi, lo };
    return this.#clock;
  }

  keyCount(): number {
    return this.keys.size;
  }
  startScan(): ReplicaScan {
    return new ModelScan(this, this.sliceKeys);
  }
  startCells(): CellScan | null {
    return null;
  }
  startParts(parts: readonly KeyPart[]): RecordScan {
    const records: RecordScan['records'] = (_selection, writer) => {
      for (const { database, key } of parts) {
        const found = this.keys.get(`${database}:${key.toString('latin1')}`);
        for (const record of found?.registers.values() ?? []) writer.raw(record, 0, record.length);
      }
      return false;
    };
    return { records, close: () => undefined };
  }
  startTaking(rule: TakeRule): Taking {
    return new ModelTaking(this, rule);
  }

  /** Puts a tombstone over a version, if it is up to the bound. */
  bury(record: Buffer, boundOf: TakeRule['boundOf']): void {
    const view = read(record);
    if ((view.flags & FLAG_DEAD) !== 0 || isAbove(view, boundOf(view.originHi, view.originLo))) return;
    const { kind, stampHi, stampLo, originHi, originLo, keyStart, keyLength } = view;
    this.#writer.reset();
    this.#writer.begin(kind, FLAG_DEAD, stampHi, stampLo, originHi, originLo, 0, record, keyStart, keyLength);
    this.#writer.end();
    this.applyRecords(Buffer.from(this.#writer.buffer.subarray(0, this.#writer.length)), 0, this.#writer.length);
  }

  /** Drops the tombstones up to a stamp, as a node does when they have been everywhere. Returns how many. */
  reap(bound: Stamp): number {
    let dropped = 0;
    for (const [name, key] of this.keys) {
      for (const [slot, record] of key.registers) {
        const view = read(record);
        if ((view.flags & FLAG_DEAD) === 0 || isAbove(view, bound)) continue;
        this.#toggle(key, record);
        key.registers.delete(slot);
        dropped++;
      }
      if (key.registers.size === 0) this.keys.delete(name);
    }
    return dropped;
  }

  startTurn(): null {
    return null;
  }

  applyRecords(records: Buffer, start: number, end: number): void {
    for (let at = start; at < end;) at = this.#reader.read(records, at, end);
    for (let at = start; at < end;) {
      const next = this.#reader.read(records, at, end);
      this.#merge(Buffer.from(records.subarray(at, next)));
      at = next;
    }
  }

  #merge(record: Buffer): void {
    const incoming = read(record);
    this.appliedRecords++;
    this.observeStamp(incoming.stampHi, incoming.stampLo);
    const keyBytes = record.subarray(incoming.keyStart, incoming.keyStart + incoming.keyLength);
    const name = `${incoming.database}:${keyBytes.toString('latin1')}`;
    let key = this.keys.get(name);
    if (key === undefined) {
      const hash = hash64(Buffer.from(name, 'latin1'));
      key = { hashHi: hash.hi, hashLo: hash.lo, digestHi: 0, digestLo: 0, registers: new Map() };
      this.keys.set(name, key);
    }
    const hasElement = (incoming.flags & FLAG_HAS_ELEMENT) !== 0;
    const element = hasElement
      ? record.toString('latin1', incoming.elementStart, incoming.elementStart + incoming.elementLength)
      : '';
    const slot = `${incoming.kind}:${hasElement}:${element}`;
    const known = key.registers.get(slot);
    if (known !== undefined) {
      if (compareVersions(incoming, read(known)) <= 0) return;
      this.#toggle(key, known);
    }
    key.registers.set(slot, record);
    this.#toggle(key, record);
  }

  #toggle(key: ModelKey, record: Buffer): void {
    if (!this.digestsTombstones && (read(record).flags & FLAG_DEAD) !== 0) return;
    const hash = hash64(record);
    key.digestHi = (key.digestHi ^ hash.hi) >>> 0;
    key.digestLo = (key.digestLo ^ hash.lo) >>> 0;
    const bucket = (key.hashHi >>> 16) * 2;
    this.digests[bucket] ^= hash.hi;
    this.digests[bucket + 1] ^= hash.lo;
  }

  /** Writes a string locally; null = deletes it. The record joins the turn. */
  set(keyText: string, value: string | null): Stamp {
    const stamp = this.nextStamp();
    const key = Buffer.from(keyText);
    const bytes = Buffer.from(value ?? '');
    this.#writer.reset();
    this.#writer.begin(
      KIND_STRING,
      value === null ? FLAG_DEAD : 0,
      stamp.hi,
      stamp.lo,
      this.node.hi,
      this.node.lo,
      0,
      key,
      0,
      key.length,
    );
    this.#writer.value(bytes, 0, bytes.length);
    this.#writer.end();
    this.applyRecords(this.#writer.buffer, 0, this.#writer.length);
    this.#turn.raw(this.#writer.buffer, 0, this.#writer.length);
    return stamp;
  }

  get(keyText: string): string | null {
    const record = this.keys.get(`0:${keyText}`)?.registers.get(`${KIND_STRING}:false:`);
    if (record === undefined) return null;
    const view = read(record);
    return (view.flags & FLAG_DEAD) !== 0 ? null : record.toString('utf8', view.valueStart, view.end);
  }

  /** Stamp of a string's winning version; 0 when there is none. */
  stampOf(keyText: string): Stamp {
    const record = this.keys.get(`0:${keyText}`)?.registers.get(`${KIND_STRING}:false:`);
    if (record === undefined) return { hi: 0, lo: 0 };
    const view = read(record);
    return { hi: view.stampHi, lo: view.stampLo };
  }

  /** The records written since the last call. */
  takeTurn(): Buffer {
    return this.#turn.take();
  }

  digest(): string {
    let hi = 0;
    let lo = 0;
    for (let word = 0; word < this.digests.length; word += 2) {
      hi ^= this.digests[word];
      lo ^= this.digests[word + 1];
    }
    return (hi >>> 0).toString(16).padStart(8, '0') + (lo >>> 0).toString(16).padStart(8, '0');
  }
}
