/** Keyspaces that exchange change records, and what can be seen of them. */
import { RecordReader, RecordWriter } from '../../../protocol/change-record.ts';
import { newestOf } from '../../../storage/backends/register-key.ts';
import { COUNTER, HIDDEN, OBJECT, TYPE_HASH, TYPE_STRING } from '../../../storage/arena/block.ts';
import { Clock } from '../../../storage/clock.ts';
import { ElementCursor } from '../../../storage/collections/collection.ts';
import { expireDueElements, setElementDeadline } from '../../../storage/collections/element-expiry.ts';
import { putElement, endChange, openCollection, removeElement } from '../../../storage/collections/local.ts';
import { installPacking } from '../../../storage/collections/packing.ts';
import { Digests } from '../../../storage/digests/digests.ts';
import { encodeFloor, encodeKey } from '../../../storage/changes/encode.ts';
import { EvictedDigests } from '../../../storage/digests/evicted-digests.ts';
import { flushDatabase } from '../../../storage/tombstones/floor.ts';
import { Keyspace } from '../../../storage/keyspace.ts';
import { applyRecords } from '../../../storage/merging/merge.ts';
import { drainDirty, drainFeed } from '../../../storage/changes/outflow.ts';
import { recomputeDigests } from '../../../storage/digests/register-scan.ts';
import { incrementExactly } from '../../../storage/types/counter.ts';
import {
  createEmpty,
  denseSet,
  isHyperLogLog,
  raiseRegisters,
  REGISTERS,
  toDense,
} from '../../../storage/types/hyperloglog.ts';
import { hyperLogLogAt, putOwnPart, readOwnPart } from '../../../storage/types/hyperloglog-write.ts';
import { addToElement, findVisible } from '../../../storage/types/hash.ts';
import { deleteKey, setDeadline, setString } from '../../../storage/types/string.ts';
import { SeededRandom } from '../../support/seed.ts';

/** One node's keyspace, with operations by text on database 0. */
export class Replica {
  readonly keyspace: Keyspace;
  readonly #writer = new RecordWriter();

  static readonly #idle: Replica[] = [];
  /** Used again and again: the digests are half a megabyte. */
  static readonly #kept = Buffer.alloc(new Digests().words.byteLength);
  #nowMs: () => number;

  /** A replica without content; its memory is used again after `release`, which many short runs need. */
  static take(node: number, nowMs: () => number): Replica {
    const at = Replica.#idle.findIndex(({ keyspace }) => keyspace.nodes.lo[0] === node);
    if (at < 0) return new Replica(node, nowMs);
    const [replica] = Replica.#idle.splice(at, 1);
    replica.#nowMs = nowMs;
    replica.keyspace.clock.refresh();
    return replica;
  }

  /** Packs every collection that can be. */
  pack(): void {
    this.keyspace.objects.packSome(Infinity);
    this.keyspace.objects.packSome(Infinity);
  }

  /** Keys whose collection is packed. */
  get packedCount(): number {
    const { keyspace } = this;
    let packed = 0;
    this.database.index.visitRange(0, Infinity, (ref) => {
      if ((keyspace.flagsOf(ref) & OBJECT) !== 0 && keyspace.isPacked(ref)) packed++;
    });
    return packed;
  }

  /** Empties the replica and keeps it for another run. */
  release(): void {
    const { keyspace } = this;
    for (const database of keyspace.databases) {
      database.reset();
      database.forgotten.clear();
      database.lapsedSums.clear();
      Object.assign(database, { floorHi: 0, floorLo: 0, floorOrigin: 0, floorFeed: false, floorStore: false });
      Object.assign(database, { stampHi: 0, stampLo: 0 });
    }
    keyspace.arena.clear();
    keyspace.objects.clear();
    keyspace.elementDeadlines.clear();
    keyspace.digests.clear();
    Object.assign(keyspace.clock, { hi: 0, lo: 0 });
    keyspace.feedSent();
    Replica.#idle.push(this);
  }

  constructor(node: number, nowMs: () => number) {
    this.#nowMs = nowMs;
    const clock = new Clock(() => this.#nowMs());
    this.keyspace = new Keyspace({ databases: 2, clock, nodeHi: 0, nodeLo: node, hashKey0: node, hashKey1: 7 });
    this.keyspace.digesting = true;
    this.keyspace.feeding = true;
    this.keyspace.storing = true;
    installPacking(this.keyspace);
  }

  get database() {
    return this.keyspace.databases[0];
  }

  #ref(key: Buffer): number {
    return this.keyspace.lookup(this.database, key, 0, key.length);
  }

  set(key: string, value: string): void {
    const bytes = Buffer.from(key);
    const text = Buffer.from(value);
    setString(this.keyspace, this.database, bytes, 0, bytes.length, text, 0, text.length, 0);
  }

  increment(key: string, by: number): void {
    const bytes = Buffer.from(key);
    const ref = this.#ref(bytes);
    if (ref !== 0 && this.keyspace.typeOf(ref) !== TYPE_STRING) return;
    incrementExactly(this.keyspace, this.database, bytes, 0, bytes.length, String(by));
  }

  delete(key: string): void {
    const bytes = Buffer.from(key);
    deleteKey(this.keyspace, this.database, bytes, 0, bytes.length);
  }

  expireAt(key: string, deadlineMs: number): void {
    const bytes = Buffer.from(key);
    const ref = this.#ref(bytes);
    if (ref !== 0) setDeadline(this.keyspace, this.database, this.keyspace.hash, ref, deadlineMs);
  }

  flush(): void {
    flushDatabase(this.keyspace, this.database);
  }

  /** HSET or SADD; nothing when the key is of another type. */
  put(type: number, key: string, name: string, value: string): void {
    const { keyspace } = this;
    const bytes = Buffer.from(key);
    const ref = this.#ref(bytes);
    if (ref !== 0 && keyspace.typeOf(ref) !== type) return;
    const collection = openCollection(keyspace, this.database, ref, type, bytes, 0, bytes.length);
    const field = Buffer.from(name);
    const text = Buffer.from(value);
    putElement(
      keyspace,
      collection,
      collection.find(field, 0, field.length),
      field,
      0,
      field.length,
      text,
      0,
      text.length,
    );
    endChange(keyspace, collection, true);
  }

  /** HDEL or SREM. */
  remove(type: number, key: string, name: string): void {
    const { keyspace } = this;
    const bytes = Buffer.from(key);
    const ref = this.#ref(bytes);
    if (ref === 0 || keyspace.typeOf(ref) !== type) return;
    const field = Buffer.from(name);
    const found = findVisible(keyspace, keyspace.collectionAt(ref), field, 0, field.length);
    if (found === 0) return;
    const collection = openCollection(keyspace, this.database, ref, type, bytes, 0, bytes.length);
    removeElement(keyspace, collection, found);
    endChange(keyspace, collection, true);
  }

  /** HINCRBY. */
  add(type: number, key: string, name: string, by: number): void {
    const { keyspace } = this;
    const bytes = Buffer.from(key);
    const ref = this.#ref(bytes);
    if (ref !== 0 && keyspace.typeOf(ref) !== type) return;
    const collection = openCollection(keyspace, this.database, ref, type, bytes, 0, bytes.length);
    const field = Buffer.from(name);
    addToElement(keyspace, collection, field, 0, field.length, String(by));
    endChange(keyspace, collection, true);
  }

  /** HPEXPIREAT, or with 0 HPERSIST, of a field that is there. */
  fieldExpireAt(key: string, name: string, deadlineMs: number): void {
    const { keyspace } = this;
    const bytes = Buffer.from(key);
    const ref = this.#ref(bytes);
    if (ref === 0 || keyspace.typeOf(ref) !== TYPE_HASH) return;
    const field = Buffer.from(name);
    const found = findVisible(keyspace, keyspace.collectionAt(ref), field, 0, field.length);
    if (found === 0) return;
    const collection = openCollection(keyspace, this.database, ref, TYPE_HASH, bytes, 0, bytes.length);
    setElementDeadline(keyspace, collection, found, deadlineMs);
    endChange(keyspace, collection, true);
  }

  /** Hides the fields whose deadline has passed. */
  hideDue(): void {
    this.keyspace.clock.refresh();
    while (expireDueElements(this.keyspace, 3));
  }

  /** This turn's changes, as peers are sent them. */
  takeFeed(): Buffer {
    drainFeed(this.keyspace, this.#writer);
    return this.#writer.take();
  }

  /** What the stores lack, in pieces of at most about `bytesMax`. */
  takeStore(bytesMax: number): Buffer {
    const pieces: Buffer[] = [];
    while (drainDirty(this.keyspace, this.#writer, bytesMax) > 0) pieces.push(Buffer.from(this.#writer.take()));
    this.#writer.reset();
    return Buffer.concat(pieces);
  }

  /** Everything, as a full state or a repair sends it. */
  takeState(): Buffer {
    encodeFloor(this.keyspace, this.database, this.#writer);
    this.database.index.visitRange(0, Infinity, (ref) => encodeKey(this.keyspace, this.database, ref, this.#writer));
    return this.#writer.take();
  }

  apply(records: Buffer): void {
    applyRecords(this.keyspace, records, 0, records.length);
  }

  /** The digests of the buckets that have any, after checking that they and the counts are what a walk over everything finds. */
  digest(): string {
    const { keyspace } = this;
    const { digests } = keyspace;
    const { words } = digests;
    const bytes = Buffer.from(words.buffer, words.byteOffset, words.byteLength);
    const kept = Replica.#kept;
    bytes.copy(kept);
    recomputeDigests(keyspace);
    if (!kept.equals(bytes)) throw new Error('the digest that was kept is not what there is');
    let count = 0;
    const buckets = new Set<string>();
    const addBucket = (hashHi: number): void => {
      const bucket = hashHi >>> 16;
      const [hi, lo] = [words[bucket * 2], words[bucket * 2 + 1]];
      if ((hi | lo) !== 0) buckets.add(`${bucket}:${hi}:${lo}`);
    };
    this.database.index.visitRange(0, Infinity, (ref) => {
      if ((keyspace.flagsOf(ref) & HIDDEN) === 0) count++;
      keyspace.readKey(ref);
      digests.hashKey(this.database.number, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
      addBucket(digests.keyHi);
    });
    for (let at = 0; at < EvictedDigests.tableCount; at++) this.database.evictedDigests.visit(at, addBucket);
    if (count !== this.database.keyCount)
      throw new Error(`${this.database.keyCount} keys were counted, ${count} are there`);
    return [...buckets].sort().join(' ');
  }

  /** What commands see: every key with its type, deadline and content, in order. */
  view(): string[] {
    const { keyspace } = this;
    const lines: string[] = [];
    this.database.index.visitRange(0, Infinity, (ref) => {
      const flags = keyspace.flagsOf(ref);
      if ((flags & HIDDEN) !== 0) return;
      keyspace.readKey(ref);
      const key = keyspace.keyBuffer.toString('latin1', keyspace.keyStart, keyspace.keyStart + keyspace.keyLength);
      const deadline = Math.max(0, keyspace.deadlineOf(ref));
      const content = (flags & OBJECT) !== 0 ? this.#elements(ref) : this.#value(ref);
      lines.push(`${key} type ${keyspace.typeOf(ref)}${deadline > 0 ? ` until ${deadline}` : ''}: ${content}`);
    });
    return lines.sort();
  }

  #value(ref: number): string {
    const { keyspace } = this;
    keyspace.readValue(ref);
    const text = keyspace.valueBuffer.toString(
      'latin1',
      keyspace.valueStart,
      keyspace.valueStart + keyspace.valueLength,
    );
    return (keyspace.flagsOf(ref) & COUNTER) !== 0 ? `${text}` : text;
  }

  /** PFADD of an element that raises this register to this value; nothing when the key holds another type or string. */
  addToHyperLogLog(key: string, register: number, value: number): void {
    const { keyspace, database } = this;
    const bytes = Buffer.from(key);
    const ref = this.#ref(bytes);
    if (ref !== 0 && keyspace.typeOf(ref) !== TYPE_STRING) return;
    const collection = ref === 0 ? null : hyperLogLogAt(keyspace, ref);
    if (ref !== 0 && collection === null) keyspace.readValue(ref);
    const hasOwn = ref !== 0 && (collection === null || readOwnPart(keyspace, collection));
    const empty = createEmpty();
    const { valueBuffer, valueStart, valueLength } = keyspace;
    if (hasOwn && !isHyperLogLog(valueBuffer, valueStart, valueLength)) return;
    const dense = hasOwn ? toDense(valueBuffer, valueStart, valueLength) : toDense(empty, 0, empty.length);
    denseSet(dense!, 0, register, value);
    putOwnPart(keyspace, database, ref, bytes, 0, bytes.length, dense!);
  }

  /** The registers that are not 0, of the HyperLogLog in the block. */
  #registers(ref: number): string {
    const { keyspace } = this;
    keyspace.readValue(ref);
    const registers = new Uint8Array(REGISTERS);
    raiseRegisters(keyspace.valueBuffer, keyspace.valueStart, keyspace.valueLength, registers);
    return [...registers].flatMap((value, register) => (value === 0 ? [] : [`${register}:${value}`])).join(' ');
  }

  #elements(ref: number): string {
    const { elements } = this.keyspace;
    if (this.keyspace.typeOf(ref) === TYPE_STRING) return this.#registers(ref);
    const collection = this.keyspace.collectionAt(ref);
    const found: string[] = [];
    const visit = (element: number): void => {
      if (!elements.isVisible(element)) return;
      elements.readName(element);
      const name = elements.nameBuffer.toString('latin1', elements.nameStart, elements.nameStart + elements.nameLength);
      elements.readValue(element);
      const value = elements.valueBuffer.toString(
        'latin1',
        elements.valueStart,
        elements.valueStart + elements.valueLength,
      );
      const deadlineMs = elements.deadlineOf(element);
      found.push(`${name}=${value}${deadlineMs > 0 ? `@${deadlineMs}` : ''}`);
    };
    const cursor = new ElementCursor();
    while (collection.walk(cursor, 10, visit));
    if (found.length !== collection.count)
      throw new Error(`${collection.count} elements were counted, ${found.length} are there`);
    return found.sort().join(' ');
  }
}

/** The rows of a store that all of this was written to: what newer ones keep dead is still there. */
export function newestRecords(records: Buffer): Buffer[] {
  const reader = new RecordReader();
  return [...newestOf(records).values()].map((at) => records.subarray(at, reader.read(records, at)));
}

/** Nodes that come back from a store that was flushed now and then, each reading its rows in another order. */
export function readInOrders(stored: readonly Buffer[], seed: number, fresh: () => Replica): Replica[] {
  const rows = newestRecords(Buffer.concat(stored));
  const random = new SeededRandom(seed);
  return [0, 1, 2].map(() => {
    const restored = fresh();
    for (const row of random.shuffle([...rows])) restored.apply(row);
    return restored;
  });
}

/** Nodes that merged the states of three in several orders, one of them twice, and one that was passed on already merged. */
export function mergedInOrders(replicas: readonly Replica[], fresh: () => Replica): Replica[] {
  const states = replicas.map((replica) => Buffer.from(replica.takeState()));
  const merge = (parts: readonly Buffer[]): Replica => {
    const replica = fresh();
    for (const part of parts) replica.apply(part);
    return replica;
  };
  const [first, second, third] = states;
  const inner = Buffer.from(merge([second, third]).takeState());
  return [
    merge(states),
    merge([third, second, first]),
    merge([second, third, first, second, third]),
    // first ⊔ (second ⊔ third), where the first of these is (first ⊔ second) ⊔ third.
    merge([first, inner]),
  ];
}
