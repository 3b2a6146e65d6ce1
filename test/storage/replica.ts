/** A keyspace with a wall clock that the test sets, and the few words that tests of the storage speak to it with. */
import { RecordReader, RecordWriter } from '../../protocol/change-record.ts';
import { HIDDEN } from '../../storage/arena/block.ts';
import { Clock } from '../../storage/clock.ts';
import { Keyspace } from '../../storage/keyspace.ts';
import { applyRecords } from '../../storage/merging/merge.ts';
import { compactStoreRing, drainDirty, drainFeed } from '../../storage/changes/outflow.ts';
import { RegisterScan, recomputeDigests } from '../../storage/digests/register-scan.ts';
import { incrementDecimal, incrementExactly, incrementFast } from '../../storage/types/counter.ts';
import { deleteKey, setDeadline, setString } from '../../storage/types/string.ts';

export const START_MS = 1_700_000_000_000;

export interface ReplicaOptions {
  node?: number;
  databases?: number;
  digesting?: boolean;
  feeding?: boolean;
  storing?: boolean;
}

function bytesOf(text: string | Buffer): Buffer {
  return typeof text === 'string' ? Buffer.from(text) : text;
}

export class Replica {
  wallMs = START_MS;
  readonly keyspace: Keyspace;
  readonly node: number;

  constructor(options: ReplicaOptions = {}) {
    this.node = options.node ?? 1;
    this.keyspace = new Keyspace({
      databases: options.databases ?? 2,
      clock: new Clock(() => this.wallMs),
      nodeHi: 0,
      nodeLo: this.node,
      hashKey0: this.node * 7919,
      hashKey1: 2,
    });
    this.keyspace.digesting = options.digesting ?? true;
    this.keyspace.feeding = options.feeding ?? true;
    this.keyspace.storing = options.storing ?? true;
    this.keyspace.onRingFull = (database) => {
      compactStoreRing(this.keyspace, database);
    };
  }

  database(number = 0) {
    return this.keyspace.databases[number];
  }

  /** Sets the wall clock forward, and reads it as the start of a turn does. */
  pass(ms: number): void {
    this.wallMs += ms;
    this.keyspace.clock.refresh();
  }

  set(key: string | Buffer, value: string | Buffer, deadlineMs = 0, database = 0): void {
    const keyBytes = bytesOf(key);
    const valueBytes = bytesOf(value);
    setString(
      this.keyspace,
      this.database(database),
      keyBytes,
      0,
      keyBytes.length,
      valueBytes,
      0,
      valueBytes.length,
      deadlineMs,
    );
  }

  /** The value that commands see, as latin1; null when there is none. */
  get(key: string | Buffer, database = 0): string | null {
    const bytes = this.getBytes(key, database);
    return bytes === null ? null : bytes.toString('latin1');
  }

  getBytes(key: string | Buffer, database = 0): Buffer | null {
    const ref = this.lookup(key, database);
    if (ref === 0) return null;
    const { keyspace } = this;
    keyspace.readValue(ref);
    return Buffer.from(keyspace.valueBuffer.subarray(keyspace.valueStart, keyspace.valueStart + keyspace.valueLength));
  }

  lookup(key: string | Buffer, database = 0): number {
    const bytes = bytesOf(key);
    return this.keyspace.lookup(this.database(database), bytes, 0, bytes.length);
  }

  find(key: string | Buffer, database = 0): number {
    const bytes = bytesOf(key);
    return this.keyspace.find(this.database(database), bytes, 0, bytes.length);
  }

  delete(key: string | Buffer, database = 0): boolean {
    const bytes = bytesOf(key);
    return deleteKey(this.keyspace, this.database(database), bytes, 0, bytes.length);
  }

  /** EXPIREAT in milliseconds; 0 is PERSIST. False when there is no such key. */
  expireAt(key: string | Buffer, deadlineMs: number, database = 0): boolean {
    const ref = this.lookup(key, database);
    if (ref === 0) return false;
    setDeadline(this.keyspace, this.database(database), this.keyspace.hash, ref, deadlineMs);
    return true;
  }

  /** As INCRBY does it: fast when that is known to be right, else exactly. The new value, or why it was refused. */
  increment(key: string | Buffer, delta: bigint | number = 1, database = 0): string {
    const bytes = bytesOf(key);
    const target = this.database(database);
    if (typeof delta === 'number' || (delta <= 2n ** 53n - 1n && delta > -(2n ** 53n))) {
      const fast = incrementFast(this.keyspace, target, bytes, 0, bytes.length, Number(delta));
      if (!Number.isNaN(fast)) return String(fast);
    }
    const exact = incrementExactly(this.keyspace, target, bytes, 0, bytes.length, String(delta));
    return typeof exact === 'string' ? exact : exact.refused;
  }

  /** INCRBYFLOAT. */
  incrementDecimal(key: string | Buffer, delta: string, database = 0): string {
    const bytes = bytesOf(key);
    const result = incrementDecimal(this.keyspace, this.database(database), bytes, 0, bytes.length, delta);
    return typeof result === 'string' ? result : result.refused;
  }

  /** The turn's local changes, as peers are sent them. */
  takeFeed(): Buffer {
    const writer = new RecordWriter();
    drainFeed(this.keyspace, writer);
    return writer.take();
  }

  /** Everything that the stores lack. */
  takeDirty(bytesMax = 1 << 20): Buffer {
    const writer = new RecordWriter();
    while (drainDirty(this.keyspace, writer, writer.length + bytesMax) > 0);
    return writer.take();
  }

  /** Every register that is in memory. */
  fullState(): Buffer {
    const { keyspace } = this;
    const writer = new RecordWriter();
    const scan = new RegisterScan(keyspace);
    scan.floors(writer);
    while (
      scan.step((database, ref) => {
        scan.encode(database, ref, writer);
      })
    );
    return writer.take();
  }

  apply(records: Buffer): void {
    applyRecords(this.keyspace, records, 0, records.length);
  }

  /** What commands see, by `database:key`, as `value` or `value until deadline`. */
  contents(): Record<string, string> {
    const { keyspace } = this;
    const found: [string, string][] = [];
    for (const database of keyspace.databases) {
      const refs: number[] = [];
      for (let at = 0; at < 0x100000000;) at = database.index.visitRange(at, 100, (ref) => refs.push(ref));
      for (const ref of refs) {
        if ((keyspace.flagsOf(ref) & HIDDEN) !== 0 || keyspace.isPastDeadline(ref)) continue;
        keyspace.readKey(ref);
        const key = keyspace.keyBuffer.toString('latin1', keyspace.keyStart, keyspace.keyStart + keyspace.keyLength);
        keyspace.readValue(ref);
        const { valueStart, valueLength } = keyspace;
        const value = keyspace.valueBuffer.toString('latin1', valueStart, valueStart + valueLength);
        const deadlineMs = keyspace.deadlineOf(ref);
        found.push([`${database.number}:${key}`, deadlineMs > 0 ? `${value} until ${deadlineMs}` : value]);
      }
    }
    found.sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(found);
  }

  /** What is counted and kept up to date at each change, and the same computed afresh. */
  bookkeeping(): { kept: object; recomputed: object } {
    const { keyspace } = this;
    const kept: object[] = [];
    const recomputed: object[] = [];
    for (const database of keyspace.databases) {
      let keyCount = 0;
      let deadlineCount = 0;
      let count = 0;
      for (let at = 0; at < 0x100000000;) {
        at = database.index.visitRange(at, 100, (ref) => {
          count++;
          if ((keyspace.flagsOf(ref) & HIDDEN) !== 0) return;
          keyCount++;
          if (keyspace.deadlineOf(ref) > 0) deadlineCount++;
        });
      }
      const { number } = database;
      kept.push({
        number,
        count: database.index.count,
        keyCount: database.keyCount,
        deadlineCount: database.deadlineCount,
      });
      recomputed.push({ number, count, keyCount, deadlineCount });
    }
    if (keyspace.digesting) {
      kept.push({ digest: keyspace.digests.total() });
      recomputeDigests(keyspace);
      recomputed.push({ digest: keyspace.digests.total() });
    }
    return { kept, recomputed };
  }
}

/** The records of a batch, apart. */
export function splitRecords(records: Buffer): Buffer[] {
  const reader = new RecordReader();
  const apart: Buffer[] = [];
  for (let at = 0; at < records.length;) {
    const next = reader.read(records, at);
    apart.push(records.subarray(at, next));
    at = next;
  }
  return apart;
}
