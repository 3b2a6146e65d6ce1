/**
 * Compares memory with the durable stores, register by register, while the node serves. What was written since it began is left
 * out: it is on its way. A store may have more than memory, dead rows that wait for the vacuum; it is a difference when merging
 * them would change what memory shows. A store may lack what is dead in memory, when it never had what that buries.
 */
import { FLAG_DEAD, FLAG_EXPIRED, KIND_FLOOR, RecordReader, RecordWriter } from '../../protocol/change-record.ts';
import { KIND_KEY_FLOOR } from '../../protocol/collection-kinds.ts';
import { compareStamp, stampHiOf, stampLoOf } from '../../protocol/stamp.ts';
import { printableKey, type OnRecords } from '../backends/backend.ts';
import { OBJECT } from '../arena/block.ts';
import { ElementCursor } from '../collections/collection.ts';
import { installPacking } from '../collections/packing.ts';
import { encodeFloor, encodeKey } from '../changes/encode.ts';
import { Keyspace } from '../keyspace.ts';
import { applyRecords } from '../merging/merge.ts';
import { RegisterScan } from '../digests/register-scan.ts';
import { EQUAL, OTHER, RegisterSet, UNSEEN } from './register-set.ts';

export type StoreName = 'level' | 'mysql';

export interface StoreReport {
  name: StoreName;
  /** Registers that it gave. */
  registers: number;
  /** Registers of memory that it lacks. */
  missing: number;
  /** Registers that it has in another version. */
  other: number;
  /** Registers that memory lacks, or has in an older version. */
  newer: number;
  /** Registers beyond what is looked at one by one. */
  unexamined: number;
}

export interface Verification {
  /** Registers in memory. */
  registers: number;
  stores: StoreReport[];
  /** The first differences, a line each. */
  samples: string[];
  isRepaired: boolean;
}

/** The stores, as a verification reads them. */
export interface VerifiedStores {
  readonly names: readonly StoreName[];
  /** Resolves when they have everything that was written before the call. */
  settle(): Promise<void>;
  read(store: StoreName, onRecords: OnRecords): Promise<void>;
}

const SAMPLES_MAX = 20;
const SLICE_BYTES = 256 << 10;
/** Registers whose merging is tried out; each costs some microseconds to milliseconds. */
const TRIED_MAX = 100_000;

export class Verifier {
  readonly #keyspace: Keyspace;
  readonly #stores: VerifiedStores;
  readonly #onTaken: ((records: Buffer) => void) | null;
  readonly #defer: (callback: () => void) => void;
  readonly #samples: string[] = [];
  readonly #reader = new RecordReader();
  readonly #scratch: Keyspace;
  readonly #scratchWriter = new RecordWriter();
  #sinceHi = 0;
  #sinceLo = 0;

  /**
   * @param onTaken null to change nothing; else memory and the stores are repaired, and this is told of what memory takes from a
   * store before it does
   * @param defer calls back in a later turn of the event loop: a verification lets clients in between its slices
   */
  constructor(
    keyspace: Keyspace,
    stores: VerifiedStores,
    onTaken: ((records: Buffer) => void) | null,
    defer: (callback: () => void) => void,
  ) {
    this.#keyspace = keyspace;
    this.#stores = stores;
    this.#onTaken = onTaken;
    this.#defer = defer;
    this.#scratch = new Keyspace({
      databases: keyspace.databases.length,
      clock: keyspace.clock,
      nodeHi: keyspace.nodes.hi[0],
      nodeLo: keyspace.nodes.lo[0],
      hashKey0: 1,
      hashKey1: 2,
    });
    installPacking(this.#scratch);
    this.#scratch.hydrating = true;
    this.#scratch.digesting = true;
  }

  async run(): Promise<Verification> {
    // Nothing need have been written here, or been heard of, for long.
    const { clock } = this.#keyspace;
    const nowMs = clock.refresh();
    const isAhead = compareStamp(clock.hi, clock.lo, stampHiOf(nowMs), stampLoOf(nowMs, 0)) > 0;
    this.#sinceHi = isAhead ? clock.hi : stampHiOf(nowMs);
    this.#sinceLo = isAhead ? clock.lo : stampLoOf(nowMs, 0);
    await this.#stores.settle();
    const known = new RegisterSet();
    await this.#walk((record) => known.add(record));
    const stores: StoreReport[] = [];
    for (const name of this.#stores.names) stores.push(await this.#compare(name, known));
    const isDifferent = stores.some((store) => store.missing + store.other + store.newer > 0);
    const isRepaired = this.#onTaken !== null && isDifferent;
    if (isRepaired) await this.#stores.settle();
    return { registers: known.count, stores, samples: this.#samples, isRepaired };
  }

  /** Gives every register in memory, in slices that let others in between. */
  async #walk(visit: (record: RecordReader) => void): Promise<void> {
    const scan = new RegisterScan(this.#keyspace);
    const writer = new RecordWriter(SLICE_BYTES * 2);
    const reader = new RecordReader();
    scan.floors(writer);
    for (let more = true; more || scan.hasUnfinished;) {
      if (scan.hasUnfinished) scan.encodeUnfinished(writer, SLICE_BYTES, () => false);
      else more = scan.step((database, ref) => scan.encode(database, ref, writer));
      if (writer.length < SLICE_BYTES && (more || scan.hasUnfinished)) continue;
      for (let at = 0; at < writer.length;) {
        at = reader.read(writer.buffer, at, writer.length);
        visit(reader);
      }
      writer.reset();
      await new Promise<void>((resolve) => this.#defer(resolve));
    }
  }

  /** Written since the verification began: it need not be everywhere yet. */
  #isLate(record: RecordReader): boolean {
    if (compareStamp(record.stampHi, record.stampLo, this.#sinceHi, this.#sinceLo) > 0) return true;
    return compareStamp(record.deadlineStampHi, record.deadlineStampLo, this.#sinceHi, this.#sinceLo) > 0;
  }

  async #compare(name: StoreName, known: RegisterSet): Promise<StoreReport> {
    const report: StoreReport = { name, registers: 0, missing: 0, other: 0, newer: 0, unexamined: 0 };
    known.forgetMarks();
    let tried = 0;
    await this.#stores.read(name, (records) => {
      for (let at = 0; at < records.length;) {
        at = this.#reader.read(records, at);
        report.registers++;
        if (known.see(this.#reader) === EQUAL || this.#isLate(this.#reader)) continue;
        if (++tried > TRIED_MAX) report.unexamined++;
        else if (this.#wouldChange(records, this.#reader.start, this.#reader.end)) {
          report.newer++;
          this.#note(name, 'has what memory lacks', this.#reader);
          this.#take(records, this.#reader.start, this.#reader.end);
        }
      }
    });
    await this.#walk((record) => {
      const mark = known.markOf(record);
      if (mark === null || mark === EQUAL || this.#isLate(record)) return;
      if (mark === UNSEEN && isDead(record)) return;
      if (mark === OTHER) report.other++;
      else report.missing++;
      this.#note(name, mark === OTHER ? 'has another version' : 'lacks it', record);
      if (this.#onTaken !== null) this.#store(record);
    });
    return report;
  }

  #take(records: Buffer, start: number, end: number): void {
    if (this.#onTaken === null) return;
    this.#onTaken(records.subarray(start, end));
    applyRecords(this.#keyspace, records, start, end);
  }

  #note(name: StoreName, what: string, record: RecordReader): void {
    if (this.#samples.length >= SAMPLES_MAX) return;
    const { buffer, keyStart, keyLength, elementStart, elementLength, database, kind } = record;
    const key = printableKey(buffer.subarray(keyStart, keyStart + keyLength));
    const element =
      elementLength === 0
        ? ''
        : ` element ${printableKey(buffer.subarray(elementStart, elementStart + elementLength))}`;
    this.#samples.push(`${name} ${what}: database ${database} key ${key}${element} kind ${kind}`);
  }

  /** Tries out, on a copy of the key, whether merging a stored register would change what memory shows. */
  #wouldChange(records: Buffer, start: number, end: number): boolean {
    const keyspace = this.#keyspace;
    const scratch = this.#scratch;
    const writer = this.#scratchWriter;
    const { database: number, buffer, keyStart, keyLength, kind } = this.#reader;
    const database = keyspace.databases[number];
    if (database === undefined) return false;
    writer.reset();
    encodeFloor(keyspace, database, writer);
    if (kind !== KIND_FLOOR) {
      const ref = keyspace.find(database, buffer, keyStart, keyLength);
      // What was evicted is in the stores alone, as it should be.
      if (database.evicted.has(keyspace.hash)) return false;
      if (ref !== 0) encodeKey(keyspace, database, ref, writer);
    }
    applyRecords(scratch, writer.buffer, 0, writer.length);
    const before = scratch.digests.total();
    const { floorHi, floorLo } = scratch.databases[number];
    applyRecords(scratch, records, start, end);
    const after = scratch.databases[number];
    const isFloorRaised = compareStamp(after.floorHi, after.floorLo, floorHi, floorLo) !== 0;
    const isChanged = scratch.digests.total() !== before || isFloorRaised;
    clear(scratch);
    return isChanged;
  }

  /** Has the key of a register written to the stores once more. */
  #store(record: RecordReader): void {
    const keyspace = this.#keyspace;
    const { database: number, buffer, keyStart, keyLength, kind } = record;
    const database = keyspace.databases[number];
    if (kind === KIND_FLOOR) {
      database.floorStore = true;
      return;
    }
    const ref = keyspace.find(database, buffer, keyStart, keyLength);
    if (ref === 0) return;
    const flags = keyspace.flagsOf(ref);
    if ((flags & OBJECT) !== 0) keyspace.collectionAt(ref).storeWalk = new ElementCursor();
    keyspace.mark(database, ref, flags, false);
  }
}

/** Nothing is lost without it where there is nothing that it buries. */
function isDead({ flags, kind }: RecordReader): boolean {
  return (flags & (FLAG_DEAD | FLAG_EXPIRED)) !== 0 || kind === KIND_KEY_FLOOR;
}

function clear(keyspace: Keyspace): void {
  for (const database of keyspace.databases) {
    database.reset();
    Object.assign(database, { floorHi: 0, floorLo: 0, floorOrigin: 0, stampHi: 0, stampLo: 0 });
  }
  keyspace.arena.clear();
  keyspace.objects.clear();
  keyspace.digests.clear();
}
