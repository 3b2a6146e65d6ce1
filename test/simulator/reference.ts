/**
 * A replica outside of the cluster, which never crashes and never misses a message: what the cluster must have come to, and
 * the judge of what a node holds. Planted faults do not reach it: it always has the merge rules as they are.
 */
import { KIND_FLOOR, RecordReader, RecordWriter } from '../../protocol/change-record.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import { CommandTable } from '../../server/definitions/command-table.ts';
import { allCommands } from '../../server/commands/all.ts';
import { Clock } from '../../storage/clock.ts';
import { EXPIRED, OBJECT } from '../../storage/arena/block.ts';
import { recomputeElements } from '../../storage/collections/element-writes.ts';
import { encodeFloor, encodeKey } from '../../storage/changes/encode.ts';
import { expireDue } from '../../storage/expiry/expiry.ts';
import { Keyspace } from '../../storage/keyspace.ts';
import { applyRecords } from '../../storage/merging/merge.ts';
import { RegisterScan, recomputeDigests } from '../../storage/digests/register-scan.ts';
import { CommandHarness } from '../support/command-harness.ts';

/** Who may hold a record: all registers of a key, and its database's floor, as records. */
export interface Holder {
  dump(database: number, key: Buffer): Buffer;
}

const dumped = new RecordWriter(64 << 10);

/** What a keyspace has at a key. */
export function dumpKey(keyspace: Keyspace, number: number, key: Buffer): Buffer {
  const database = keyspace.databases[number];
  // Thousands are made in a simulation: a copy costs less than a buffer of its own for each.
  dumped.reset();
  encodeFloor(keyspace, database, dumped);
  const ref = keyspace.find(database, key, 0, key.length);
  if (ref !== 0) encodeKey(keyspace, database, ref, dumped);
  return Buffer.from(dumped.buffer.subarray(0, dumped.length));
}

/** The digest of what a keyspace shows at a key. */
export function digestOfKey(keyspace: Keyspace, number: number, key: Buffer): string {
  const ref = keyspace.find(keyspace.databases[number], key, 0, key.length);
  if (ref === 0) return '0:0';
  // Digests of elements are only kept where all digests are.
  if (!keyspace.digesting && (keyspace.flagsOf(ref) & OBJECT) !== 0)
    recomputeElements(keyspace, keyspace.collectionAt(ref));
  keyspace.digestOf(keyspace.databases[number], ref);
  return `${keyspace.keyDigestHi}:${keyspace.keyDigestLo}`;
}

/** Every register of a keyspace, hidden ones and floors included, for comparing. */
export function dumpAll(keyspace: Keyspace): string[] {
  const scan = new RegisterScan(keyspace);
  const writer = new RecordWriter();
  scan.floors(writer);
  while (scan.step((database, ref) => encodeKey(keyspace, keyspace.databases[database], ref, writer)));
  return describeRecords(writer.take());
}

/** Records as text, in no order. */
export function describeRecords(records: Buffer): string[] {
  const reader = new RecordReader();
  const lines: string[] = [];
  for (let at = 0; at < records.length;) {
    at = reader.read(records, at);
    const text = (start: number, length: number): string => records.toString('latin1', start, start + length);
    lines.push(
      `${reader.database}/${text(reader.keyStart, reader.keyLength)} kind ${reader.kind} flags ${reader.flags & ~24} ` +
        `at ${reader.stampHi.toString(16)}:${reader.stampLo.toString(16)} by ${reader.originHi.toString(16)}:${reader.originLo.toString(16)} ` +
        `[${Buffer.from(text(reader.elementStart, reader.elementLength), 'latin1').toString('hex').slice(0, 24)}] ` +
        `${reader.deadlineMs} ${reader.deadlineStampHi.toString(16)}:${reader.deadlineStampLo.toString(16)} ` +
        JSON.stringify(text(reader.valueStart, Math.min(reader.valueLength, 40))),
    );
  }
  return lines;
}

/** Packed records, each with what it is about. */
function* eachRecord(records: Buffer): Generator<{ record: Buffer; isFloor: boolean; name: string }> {
  const reader = new RecordReader();
  for (let at = 0; at < records.length;) {
    const end = reader.read(records, at);
    const key = records.toString('latin1', reader.keyStart, reader.keyStart + reader.keyLength);
    const isFloor = reader.kind === KIND_FLOOR;
    yield {
      record: records.subarray(at, end),
      isFloor,
      name: isFloor ? `${reader.database}` : `${reader.database}/${key}`,
    };
    at = end;
  }
}

/** Records that lie about unmerged, as in a store. */
export class RecordHeap implements Holder {
  readonly #byName = new Map<string, Buffer[]>();

  add(records: Buffer): void {
    for (const { record, name } of eachRecord(records)) {
      const same = this.#byName.get(name);
      if (same === undefined) this.#byName.set(name, [record]);
      else same.push(record);
    }
  }

  dump(database: number, key: Buffer): Buffer {
    const floors = this.#byName.get(`${database}`) ?? [];
    return Buffer.concat([...floors, ...(this.#byName.get(`${database}/${key.toString('latin1')}`) ?? [])]);
  }
}

/** Of all references: what it counts of each command nobody asks for. */
const commands = new CommandTable(allCommands);

export class Reference implements Holder {
  readonly keyspace: Keyspace;
  readonly #harness: CommandHarness | null;
  #nowMs = 1;

  /** @param canAsk whether it takes commands */
  constructor(canAsk: boolean) {
    const wallClockMs = (): number => this.#nowMs;
    const options = { wallClockMs, monotonicMs: () => 0, commands, databases: 2 };
    this.#harness = canAsk ? new CommandHarness(allCommands, options) : null;
    const clock = new Clock(wallClockMs);
    this.keyspace =
      this.#harness?.keyspace ?? new Keyspace({ databases: 2, clock, nodeHi: 1, nodeLo: 1, hashKey0: 1, hashKey1: 2 });
    // So that it keeps tombstones.
    this.keyspace.hydrating = true;
  }

  apply(records: Buffer): void {
    applyRecords(this.keyspace, records, 0, records.length);
  }

  dump(database: number, key: Buffer): Buffer {
    return dumpKey(this.keyspace, database, key);
  }

  /** Forgets the key of a record if it is past its deadline, as nodes do after a while. */
  forgetExpired(record: Buffer): void {
    const { keyspace } = this;
    const reader = new RecordReader();
    reader.read(record, 0);
    const database = keyspace.databases[reader.database];
    const ref = keyspace.find(database, reader.buffer, reader.keyStart, reader.keyLength);
    if (ref !== 0 && (keyspace.flagsOf(ref) & EXPIRED) !== 0) keyspace.drop(database, keyspace.hash, ref);
  }

  /** Time passes. */
  lapse(nowMs: number): void {
    this.#nowMs = nowMs;
    this.keyspace.clock.refresh();
    while (expireDue(this.keyspace, 10_000));
  }

  digestAt(nowMs: number): string {
    this.lapse(nowMs);
    recomputeDigests(this.keyspace);
    return this.keyspace.digests.total();
  }

  /** Runs one request, given as it comes from a client, and gives its reply as it is sent. */
  askRaw(request: string): Buffer {
    return this.#harness!.client.send(Buffer.from(request, 'latin1'));
  }

  /** Whether what was dumped would become something else by this record. */
  wouldChange(dump: Buffer, record: Buffer): boolean {
    return this.changing(dump, [record]).length > 0;
  }

  /** Which of the records, all of one key, what was dumped of it would become something else by. */
  changing<T extends Buffer>(dump: Buffer, records: readonly T[]): T[] {
    const { keyspace } = this;
    const reader = new RecordReader();
    const left = records.filter((record) => !dump.includes(withoutBatchFlags(record)));
    if (left.length === 0) return left;
    reader.read(left[0], 0);
    const number = reader.database;
    const key = Buffer.from(left[0].subarray(reader.keyStart, reader.keyStart + reader.keyLength));
    this.apply(dump);
    const before = this.dump(number, key);
    const changing = left.filter((record) => {
      reader.read(record, 0);
      const { floorHi, floorLo } = keyspace.databases[number];
      if (compareStamp(reader.stampHi, reader.stampLo, floorHi, floorLo) <= 0) return false;
      this.apply(record);
      if (this.dump(number, key).equals(before)) return false;
      this.#forget(number, key);
      this.apply(dump);
      return true;
    });
    this.#forget(number, key);
    return changing;
  }

  /** Whether what was dumped would show something else by this record. */
  wouldShow(dump: Buffer, record: Buffer): boolean {
    const { keyspace } = this;
    const reader = new RecordReader();
    reader.read(record, 0);
    const number = reader.database;
    const database = keyspace.databases[number];
    const key = Buffer.from(record.subarray(reader.keyStart, reader.keyStart + reader.keyLength));
    this.apply(dump);
    const isUnderFloor = compareStamp(reader.stampHi, reader.stampLo, database.floorHi, database.floorLo) <= 0;
    const before = digestOfKey(keyspace, number, key);
    this.apply(record);
    const isChanged = !isUnderFloor && digestOfKey(keyspace, number, key) !== before;
    this.#forget(number, key);
    return isChanged;
  }

  /** As if neither the key nor the database's floor had ever been there. */
  #forget(number: number, key: Buffer): void {
    const { keyspace } = this;
    const database = keyspace.databases[number];
    const ref = keyspace.find(database, key, 0, key.length);
    if (ref !== 0) keyspace.drop(database, keyspace.hash, ref);
    database.shadows.delete(key.toString('latin1'));
    database.floorHi = 0;
    database.floorLo = 0;
  }
}

const bareKnown = new WeakMap<Buffer, Buffer>();

/**
 * The batch's flags say nothing of the register.
 * @param record never changes
 */
export function withoutBatchFlags(record: Buffer): Buffer {
  const known = bareKnown.get(record);
  if (known !== undefined) return known;
  const copy = Buffer.from(record);
  copy[6] &= ~24;
  bareKnown.set(record, copy);
  return copy;
}
