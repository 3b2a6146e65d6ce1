import { hash } from 'node:crypto';
import { FLAG_DEAD, FLAG_EXPIRED, RecordReader, RecordWriter } from '../../protocol/change-record.ts';
import { compareVersions } from '../../protocol/register-order.ts';
import { stampHiOf, stampLoOf } from '../../protocol/stamp.ts';
import { registerKeyLength, writeRegisterKey } from '../../storage/backends/register-key.ts';
import type { SeededRandom } from '../support/seed.ts';

/** A stamp of today, so that stores do not take it for one of the future; `step` orders stamps of one test. */
const baseMs = Date.now() - 1_000_000;

export interface RecordFields {
  kind?: number;
  dead?: boolean;
  expired?: boolean;
  /** Milliseconds after the base of all stamps. */
  step?: number;
  counter?: number;
  origin?: number;
  database?: number;
  key: Buffer | string;
  element?: Buffer | string | null;
  deadline?: { ms: number; step: number; origin?: number } | null;
  value?: Buffer | string;
}

const bytesOf = (part: Buffer | string): Buffer => (typeof part === 'string' ? Buffer.from(part) : part);

export function appendRecord(writer: RecordWriter, fields: RecordFields): void {
  const {
    kind = 1,
    dead = false,
    expired = false,
    step = 1,
    counter = 0,
    origin = 1,
    database = 0,
    element = null,
    deadline = null,
  } = fields;
  const key = bytesOf(fields.key);
  const ms = baseMs + step;
  writer.begin(
    kind,
    (dead ? FLAG_DEAD : 0) | (expired ? FLAG_EXPIRED : 0),
    stampHiOf(ms),
    stampLoOf(ms, counter),
    0,
    origin,
    database,
    key,
    0,
    key.length,
  );
  if (element !== null) writer.element(bytesOf(element), 0, element.length);
  if (deadline !== null) {
    const deadlineMs = baseMs + deadline.step;
    writer.deadline(deadline.ms, stampHiOf(deadlineMs), stampLoOf(deadlineMs, 0), 0, deadline.origin ?? 1);
  }
  const value = bytesOf(fields.value ?? '');
  writer.value(value, 0, value.length);
  writer.end();
}

export function pack(...all: RecordFields[]): Buffer {
  const writer = new RecordWriter(1024);
  for (const fields of all) appendRecord(writer, fields);
  return writer.take();
}

/** Where each record of a batch begins and ends. */
export function split(records: Buffer): Buffer[] {
  const reader = new RecordReader();
  const parts: Buffer[] = [];
  for (let at = 0; at < records.length;) {
    const from = at;
    at = reader.read(records, at);
    parts.push(records.subarray(from, at));
  }
  return parts;
}

/**
 * A keyspace of nothing but the register order: merges records, remembers which registers are dirty, and drains them oldest
 * first. What the stores hold must in the end be equal to it.
 */
export class RegisterModel {
  readonly registers = new Map<string, Buffer>();
  readonly #dirty = new Set<string>();
  #drained = 0;
  readonly #given = new RecordReader();
  readonly #held = new RecordReader();

  get dirtyCount(): number {
    return this.#dirty.size;
  }

  /** Merges packed records; returns how many changed anything. Those become dirty unless they come from a store. */
  merge(records: Buffer, from: 'client' | 'store' = 'client'): number {
    let changed = 0;
    for (let at = 0; at < records.length;) {
      at = this.#given.read(records, at);
      const key = Buffer.allocUnsafe(registerKeyLength(this.#given));
      writeRegisterKey(key, 0, this.#given);
      const id = key.toString('latin1');
      const held = this.registers.get(id);
      if (held !== undefined) {
        this.#held.read(held, 0);
        if (compareVersions(this.#given, this.#held) <= 0) continue;
      }
      this.registers.set(id, Buffer.from(records.subarray(this.#given.start, this.#given.end)));
      if (from === 'client') this.#dirty.add(id);
      changed++;
    }
    return changed;
  }

  noteDirty(): () => boolean {
    const end = this.#drained + this.#dirty.size;
    return () => this.#drained >= end;
  }

  markEverything(): void {
    for (const id of this.registers.keys()) this.#dirty.add(id);
  }

  drainDirty(writer: RecordWriter, maxBytes: number): number {
    let count = 0;
    for (const id of this.#dirty) {
      const record = this.registers.get(id)!;
      writer.raw(record, 0, record.length);
      this.#dirty.delete(id);
      this.#drained++;
      count++;
      if (writer.length >= maxBytes) break;
    }
    return count;
  }

  /** All registers in one order, to compare two models: as hex, or as a hash when they are long. */
  contents(): string[] {
    return [...this.registers.values()]
      .map((record) => (record.length > 1000 ? hash('sha256', record) : record.toString('hex')))
      .sort();
  }
}

const hardKeys = ['a', 'A', 'a ', 'ä', '', '\0', 'a\0', '__proto__', '%_\\\'"', 'k'.repeat(4000)];

/** Records that meet each other: few keys, few stamps, every kind of part. */
export function randomRecord(random: SeededRandom): RecordFields {
  const kind = random.pick([1, 1, 2, 3, 17]);
  const value = random.bytes(random.below(3));
  const deadline = random.chance(0.4) ? randomDeadline(random) : null;
  return {
    kind,
    dead: random.chance(0.3),
    // Whatever is not in the register order follows from what is.
    expired: deadline !== null && value.length === 0,
    step: random.below(4) + 1,
    counter: random.below(2),
    origin: random.below(2) + 1,
    database: random.below(3),
    key: random.chance(0.5) ? random.pick(hardKeys) : random.bytes(random.below(3)),
    element: kind === 2 || kind === 17 ? random.bytes(random.below(2)) : null,
    deadline,
    value,
  };
}

function randomDeadline(random: SeededRandom): { ms: number; step: number; origin: number } {
  const step = random.below(3);
  const origin = random.below(2);
  const ms = [0, 1, 1_700_000_000_123, 253_402_300_800_000, Number.MAX_SAFE_INTEGER, 12_345][step * 2 + origin];
  return { ms, step: step + 1, origin };
}
