/**
 * A replica outside of the cluster, which never crashes and never misses a message: what the cluster must have come to, and
 * the judge of what a node holds. Planted faults do not reach it: it always has the merge rules as they are.
 */
import { RecordReader, RecordWriter } from '../../protocol/change-record.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import { allCommands } from '../../server/commands/all.ts';
import { encodeFloor, encodeKey } from '../../storage/encode.ts';
import { expireDue } from '../../storage/expiry.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { applyRecords } from '../../storage/merge.ts';
import { RegisterScan, recomputeDigests } from '../../storage/register-scan.ts';
import { CommandHarness } from '../support/command-harness.ts';

/** Who may hold a record: all registers of a key, and its database's floor, as records. */
export interface Holder {
  dump(database: number, key: Buffer): Buffer;
}

/** Appends what a keyspace has at a key. */
export function dumpKey(keyspace: Keyspace, number: number, key: Buffer): Buffer {
  const database = keyspace.databases[number];
  const writer = new RecordWriter(512);
  encodeFloor(keyspace, database, writer);
  const ref = keyspace.find(database, key, 0, key.length);
  if (ref !== 0) encodeKey(keyspace, database, ref, writer);
  return writer.take();
}

/** The digest of what a keyspace shows at a key. */
export function digestOfKey(keyspace: Keyspace, number: number, key: Buffer): string {
  const ref = keyspace.find(keyspace.databases[number], key, 0, key.length);
  if (ref === 0) return '0:0';
  const scan = new RegisterScan(keyspace);
  scan.digestKey(number, ref);
  return `${scan.digestHi}:${scan.digestLo}`;
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

export class Reference implements Holder {
  readonly keyspace: Keyspace;
  readonly #harness: CommandHarness;
  #nowMs = 1;

  constructor() {
    this.#harness = new CommandHarness(allCommands, { wallClockMs: () => this.#nowMs, monotonicMs: () => 0 });
    this.keyspace = this.#harness.keyspace;
    // So that it keeps tombstones.
    this.keyspace.hydrating = true;
  }

  apply(records: Buffer): void {
    applyRecords(this.keyspace, records, 0, records.length);
  }

  dump(database: number, key: Buffer): Buffer {
    return dumpKey(this.keyspace, database, key);
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
    return this.#harness.client.send(Buffer.from(request, 'latin1'));
  }

  /** Whether what was dumped would become something else by this record. */
  wouldChange(dump: Buffer, record: Buffer): boolean {
    return this.#tryOut(dump, record, (number, key) => this.dump(number, key).toString('latin1'));
  }

  /** Whether what was dumped would show something else by this record. */
  wouldShow(dump: Buffer, record: Buffer): boolean {
    return this.#tryOut(dump, record, (number, key) => digestOfKey(this.keyspace, number, key));
  }

  #tryOut(dump: Buffer, record: Buffer, look: (number: number, key: Buffer) => string): boolean {
    const { keyspace } = this;
    const reader = new RecordReader();
    reader.read(record, 0);
    const number = reader.database;
    const database = keyspace.databases[number];
    const key = Buffer.from(record.subarray(reader.keyStart, reader.keyStart + reader.keyLength));
    this.apply(dump);
    const isUnderFloor = compareStamp(reader.stampHi, reader.stampLo, database.floorHi, database.floorLo) <= 0;
    const before = look(number, key);
    this.apply(record);
    const isChanged = !isUnderFloor && look(number, key) !== before;
    const ref = keyspace.find(database, key, 0, key.length);
    if (ref !== 0) keyspace.drop(database, keyspace.hash, ref);
    database.shadows.delete(key.toString('latin1'));
    database.floorHi = 0;
    database.floorLo = 0;
    return isChanged;
  }
}
