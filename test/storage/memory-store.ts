/** A durable store that is not durable: what a store has to do, at its plainest. A restart keeps the object. */
import {
  FLAG_BATCH_BEGIN,
  FLAG_BATCH_END,
  OFFSET_FLAGS,
  RecordReader,
  RecordWriter,
} from '../../protocol/change-record.ts';
import { compareVersions } from '../../protocol/register-order.ts';
import type { DurableStore, OnRecords } from '../../storage/backends/backend.ts';
import { keyNamesOf } from '../../storage/backends/key-names.ts';
import { registerKeyLength, writeRegisterKey } from '../../storage/backends/register-key.ts';

const LOAD_SLICE_BYTES = 1 << 20;
const FETCH_SLICE_BYTES = 128 << 10;

export class MemoryStore implements DurableStore {
  readonly name = 'memory';
  readonly #registers = new Map<string, Buffer>();
  readonly #given = new RecordReader();
  readonly #held = new RecordReader();

  async open(): Promise<void> {}

  async write(records: Buffer): Promise<void> {
    for (let at = 0; at < records.length;) at = this.#given.read(records, at);
    for (let at = 0; at < records.length;) {
      at = this.#given.read(records, at);
      const id = this.#id();
      if (!this.#isNewer(id)) continue;
      const copy = Buffer.from(records.subarray(this.#given.start, this.#given.end));
      copy[OFFSET_FLAGS] &= ~(FLAG_BATCH_BEGIN | FLAG_BATCH_END);
      this.#registers.set(id, copy);
    }
  }

  #id(): string {
    const key = Buffer.allocUnsafe(registerKeyLength(this.#given));
    writeRegisterKey(key, 0, this.#given);
    return key.toString('latin1');
  }

  #isNewer(id: string): boolean {
    const held = this.#registers.get(id);
    if (held === undefined) return true;
    this.#held.read(held, 0);
    return compareVersions(this.#given, this.#held) > 0;
  }

  async load(onRecords: OnRecords): Promise<void> {
    const writer = new RecordWriter();
    const total = this.#registers.size;
    let done = 0;
    for (const record of [...this.#registers.values()]) {
      writer.raw(record, 0, record.length);
      done++;
      if (writer.length >= LOAD_SLICE_BYTES) await onRecords(writer.take(), done, total);
    }
    if (writer.length > 0) await onRecords(writer.take(), done, total);
  }

  async fetch(keys: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    const writer = new RecordWriter();
    for (const { database, key } of keyNamesOf(keys)) {
      for (const record of [...this.#registers.values()]) {
        this.#held.read(record, 0);
        const { keyStart, keyLength } = this.#held;
        if (this.#held.database !== database || key.compare(record, keyStart, keyStart + keyLength) !== 0) continue;
        writer.raw(record, 0, record.length);
        if (writer.length >= FETCH_SLICE_BYTES) await onRecords(writer.take());
      }
    }
    if (writer.length > 0) await onRecords(writer.take());
  }

  async fetchSums(idPrefixes: readonly string[], onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    const found = [...this.#registers].filter(([id]) => idPrefixes.some((prefix) => id.startsWith(prefix)));
    if (found.length > 0) await onRecords(Buffer.concat(found.map(([, record]) => record)));
  }

  async remove(registers: Buffer): Promise<void> {
    for (let at = 0; at < registers.length;) {
      at = this.#given.read(registers, at);
      const id = this.#id();
      const held = this.#registers.get(id);
      if (held === undefined) continue;
      this.#held.read(held, 0);
      if (compareVersions(this.#held, this.#given) <= 0) this.#registers.delete(id);
    }
  }

  async close(): Promise<void> {}
}
