/** Tombstones on their way out of the durable stores, one bounded batch at a time, and out of memory behind it. */
import { FLAG_DEAD, RecordReader, RecordWriter } from '../../protocol/change-record.ts';
import { KIND_KEY_FLOOR } from '../../protocol/collection-kinds.ts';
import { OBJECT } from '../arena/block.ts';
import { type Collection, compareVersion, ElementCursor } from '../collections/collection.ts';
import { encodeCollection, encodeElement } from '../collections/encode.ts';
import { dropElements, keepElement } from '../collections/reap.ts';
import { keyId, keyIdsOf } from '../backends/key-names.ts';
import type { Database } from '../database.ts';
import { encodeFloor, encodeKey } from '../changes/encode.ts';
import type { Keyspace } from '../keyspace.ts';
import { forgetKey } from './forget.ts';
import { StayingKeys } from './staying-keys.ts';

export type TakeRecords = (records: Buffer) => Promise<void>;

/** The durable stores as the reaper sees them. */
export interface RemovalSink {
  /** Whether registers can be removed at all at the moment. */
  readonly canRemove: boolean;
  /**
   * Resolves when the registers, and what they have outlived, are gone, to the keys (key-names.ts) that had to stay; rejects when it
   * is to be tried again later.
   * @param onNewer takes what a database that others write has of the keys that stay
   */
  remove(registers: Buffer, onNewer: TakeRecords): Promise<Buffer>;
}

const BATCH_BYTES_MAX = 256 << 10;
/** Steps without a removal after one that failed, or that had to leave all of its keys: that will be so for a while. */
const STEPS_AFTER_FAILURE = 20;

interface Candidate {
  database: Database;
  /** Where the key's records lie in the batch. */
  offset: number;
  end: number;
}

interface Elements {
  collection: Collection;
  refs: number[];
}

export class Removals {
  readonly #keyspace: Keyspace;
  readonly #sink: RemovalSink;
  readonly #isReapable: (keyspace: Keyspace, ref: number, bound: { hi: number; lo: number }) => boolean;
  readonly #onNewer: TakeRecords;
  readonly #staying = new StayingKeys();
  readonly #writer = new RecordWriter(1 << 16);
  /** Floors whose dead registers are gone from the stores. */
  readonly #swept = new Map<number, { hi: number; lo: number }>();
  #keys: Candidate[] = [];
  #elements: Elements[] = [];
  #floor: { database: number; hi: number; lo: number } | null = null;
  #isUnderWay = false;
  #pause = 0;
  #dropped = 0;

  /** @param onNewer merges what others have written of a key that this node would forget, and has not heard of */
  constructor(
    keyspace: Keyspace,
    sink: RemovalSink,
    isReapable: (keyspace: Keyspace, ref: number, bound: { hi: number; lo: number }) => boolean,
    onNewer: TakeRecords,
  ) {
    this.#keyspace = keyspace;
    this.#sink = sink;
    this.#isReapable = isReapable;
    this.#onNewer = onNewer;
  }

  /** Whether a batch can be begun now. Asked once a step. */
  get isReady(): boolean {
    if (this.#pause > 0) this.#pause--;
    return !this.#isUnderWay && this.#pause === 0 && this.#sink.canRemove;
  }

  /** The batch takes no more; what was not added comes with the next sweep. */
  get isFull(): boolean {
    return this.#writer.length >= BATCH_BYTES_MAX;
  }

  /** Keys and elements dropped since the last call. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  /** Begins a batch; a FLUSHDB of the database whose keys are still in the stores comes with it. */
  begin(number: number): void {
    const keyspace = this.#keyspace;
    const database = keyspace.databases[number];
    const { floorHi: hi, floorLo: lo, floorStore } = database;
    const swept = this.#swept.get(number);
    if (hi === 0 || floorStore || (swept?.hi === hi && swept.lo === lo)) return;
    this.#floor = { database: number, hi, lo };
    encodeFloor(keyspace, database, this.#writer);
  }

  /** Adds a key that nobody needs, unless the batch is full. */
  addKey(database: Database, ref: number): void {
    if (this.isFull) return;
    const keyspace = this.#keyspace;
    const writer = this.#writer;
    keyspace.readKey(ref);
    const offset = writer.length;
    if ((keyspace.flagsOf(ref) & OBJECT) === 0) {
      encodeKey(keyspace, database, ref, writer);
    } else {
      const collection = keyspace.collectionAt(ref);
      encodeTop(keyspace, database, collection, writer);
      const isWhole = encodeCollection(keyspace, database, ref, new ElementCursor(), writer, offset + BATCH_BYTES_MAX);
      // Its elements' tombstones go first, a part at a time.
      if (!isWhole) writer.length = offset;
    }
    if (writer.length === offset || this.#hasToStay(database, offset)) return;
    this.#keys.push({ database, offset, end: writer.length });
  }

  /** Whether it was in vain with the key that was added last; it is taken back then. */
  #hasToStay({ number }: Database, offset: number): boolean {
    const { keyBuffer, keyStart, keyLength, clock } = this.#keyspace;
    const writer = this.#writer;
    const name = (): string => keyId(number, keyBuffer.subarray(keyStart, keyStart + keyLength));
    if (!this.#staying.has(name, writer.buffer.subarray(offset, writer.length), clock.nowMs)) return false;
    writer.length = offset;
    return true;
  }

  /** Adds elements' tombstones that nobody needs. */
  addElements(database: Database, collection: Collection, refs: number[]): void {
    if (refs.length === 0) return;
    let count = 0;
    for (; count < refs.length && !this.isFull; count++) {
      encodeElement(this.#keyspace, database, collection, refs[count], this.#writer);
    }
    for (const ref of refs.slice(count)) keepElement(this.#keyspace, collection, ref);
    this.#elements.push({ collection, refs: refs.slice(0, count) });
  }

  /** Hands the batch to the stores. */
  send(): void {
    const records = this.#writer.take();
    if (records.length === 0) return;
    const keys = this.#keys;
    const elements = this.#elements;
    const floor = this.#floor;
    this.#keys = [];
    this.#elements = [];
    this.#floor = null;
    const { clock } = this.#keyspace;
    const bound = { hi: clock.hi, lo: clock.lo };
    this.#isUnderWay = true;
    // The records are looked at again when they are gone, so the stores get their own.
    this.#sink.remove(Buffer.from(records), this.#onNewer).then(
      (staying) => {
        this.#isUnderWay = false;
        if (floor !== null) this.#swept.set(floor.database, { hi: floor.hi, lo: floor.lo });
        this.#dropElements(elements);
        this.#dropKeys(keys, records, bound, keyIdsOf(staying));
        if (staying.length > 0 && this.#dropped === 0) this.#pause = STEPS_AFTER_FAILURE;
      },
      () => {
        this.#isUnderWay = false;
        this.#pause = STEPS_AFTER_FAILURE;
        for (const { collection, refs } of elements) {
          for (const ref of refs) keepElement(this.#keyspace, collection, ref);
        }
      },
    );
  }

  #dropElements(all: Elements[]): void {
    for (const { collection, refs } of all) {
      // An emptied or dropped collection has left its slot to another.
      if (!this.#keyspace.objects.holds(collection)) continue;
      this.#dropped += dropElements(this.#keyspace, collection, refs);
    }
  }

  /** Drops the keys that are still what they were: written again they have registers stamped after the bound. */
  #dropKeys(keys: Candidate[], records: Buffer, bound: { hi: number; lo: number }, staying: ReadonlySet<string>): void {
    const keyspace = this.#keyspace;
    const reader = new RecordReader();
    for (const { database, offset, end } of keys) {
      reader.read(records, offset);
      const key = records.subarray(reader.keyStart, reader.keyStart + reader.keyLength);
      if (staying.size > 0 && staying.has(keyId(database.number, key))) {
        this.#staying.note(keyId(database.number, key), records.subarray(offset, end), keyspace.clock.nowMs);
        continue;
      }
      const ref = keyspace.find(database, records, reader.keyStart, reader.keyLength);
      if (ref === 0 || !this.#isReapable(keyspace, ref, bound)) continue;
      forgetKey(keyspace, database, keyspace.hash, ref);
      this.#dropped++;
    }
  }
}

/** Appends a floor over everything that the collection ever had: the stores may have more of it than memory. */
function encodeTop(keyspace: Keyspace, database: Database, collection: Collection, writer: RecordWriter): void {
  const { nodes } = keyspace;
  keyspace.readVersion(collection.ref);
  let { stampHi: hi, stampLo: lo, origin } = keyspace;
  const { maxHi, maxLo, maxOrigin, floorHi, floorLo, floorOrigin } = collection;
  if (compareVersion(nodes, maxHi, maxLo, maxOrigin, hi, lo, origin) > 0) [hi, lo, origin] = [maxHi, maxLo, maxOrigin];
  if (compareVersion(nodes, floorHi, floorLo, floorOrigin, hi, lo, origin) > 0)
    [hi, lo, origin] = [floorHi, floorLo, floorOrigin];
  if (hi === 0) return;
  keyspace.readKey(collection.ref);
  const { keyBuffer, keyStart, keyLength } = keyspace;
  writer.begin(
    KIND_KEY_FLOOR,
    FLAG_DEAD,
    hi,
    lo,
    nodes.hi[origin],
    nodes.lo[origin],
    database.number,
    keyBuffer,
    keyStart,
    keyLength,
  );
  writer.end();
}
