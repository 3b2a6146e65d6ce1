/** The rules of merging as slowly and plainly as they can be said: keep every register's greatest version, look at it. */
import { FLAG_DEAD, KIND_COUNTER, KIND_FLOOR, RecordReader } from '../../protocol/change-record.ts';
import { compareVersions } from '../../protocol/register-order.ts';
import { compareStamp } from '../../protocol/stamp.ts';

/** A decimal as an integer number of 10^-20. */
const SCALE = 20;

interface Key {
  database: number;
  string: RecordReader | null;
  /** Sums by their node's id. */
  sums: Map<string, RecordReader>;
  deadline: RecordReader | null;
}

function greater(ours: RecordReader | null, theirs: RecordReader): RecordReader {
  return ours === null || compareVersions(theirs, ours) > 0 ? theirs : ours;
}

/** The decimal as a bigint of 10^-20, null when the text is no number. */
export function scaled(text: string): bigint | null {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (match === null || (match[2] + (match[3] ?? '')).length === 0) return null;
  const shift = SCALE - (match[3] ?? '').length + Number(match[4] ?? 0);
  const digits = BigInt(match[2] + (match[3] ?? ''));
  const value = shift >= 0 ? digits * 10n ** BigInt(shift) : digits / 10n ** BigInt(-shift);
  return match[1] === '-' ? -value : value;
}

export function unscaled(value: bigint): string {
  const negative = value < 0n;
  const digits = (negative ? -value : value).toString().padStart(SCALE + 1, '0');
  const fraction = digits.slice(-SCALE).replace(/0+$/, '');
  return (negative ? '-' : '') + digits.slice(0, -SCALE) + (fraction === '' ? '' : `.${fraction}`);
}

export class RegisterModel {
  readonly #keys = new Map<string, Key>();
  readonly #floors = new Map<number, RecordReader>();

  apply(records: Buffer): void {
    const copy = Buffer.from(records);
    for (let at = 0; at < copy.length;) {
      const record = new RecordReader();
      at = record.read(copy, at);
      this.#applyRecord(record);
    }
  }

  #applyRecord(record: RecordReader): void {
    const { buffer, database, keyStart, keyLength, kind } = record;
    if (kind === KIND_FLOOR) {
      this.#floors.set(database, greater(this.#floors.get(database) ?? null, record));
      return;
    }
    const name = `${database}:${buffer.toString('latin1', keyStart, keyStart + keyLength)}`;
    let key = this.#keys.get(name);
    if (key === undefined) this.#keys.set(name, (key = { database, string: null, sums: new Map(), deadline: null }));
    if (kind !== KIND_COUNTER) {
      key.string = greater(key.string, record);
    } else if (record.elementLength === 0) {
      key.deadline = greater(key.deadline, record);
    } else {
      const node = `${record.originHi}:${record.originLo}`;
      key.sums.set(node, greater(key.sums.get(node) ?? null, record));
    }
  }

  /** What commands see at a time, in the form of `Replica.contents`. */
  contents(nowMs: number): Record<string, string> {
    const found: [string, string][] = [];
    for (const [name, key] of this.#keys) {
      const shown = this.#show(key, nowMs);
      if (shown !== null) found.push([name, shown]);
    }
    found.sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(found);
  }

  #show(key: Key, nowMs: number): string | null {
    const floor = this.#floors.get(key.database);
    const isAbove = (hi: number, lo: number): boolean =>
      floor === undefined || compareStamp(hi, lo, floor.stampHi, floor.stampLo) > 0;
    const string = key.string !== null && isAbove(key.string.stampHi, key.string.stampLo) ? key.string : null;
    const dead = string === null || (string.flags & FLAG_DEAD) !== 0;
    const sums = [...key.sums.values()].filter((sum) => {
      const beginHi = sum.buffer.readUInt32BE(sum.valueStart);
      const beginLo = sum.buffer.readUInt32BE(sum.valueStart + 4);
      if (!isAbove(beginHi, beginLo)) return false;
      if (string === null) return true;
      const order = compareStamp(beginHi, beginLo, string.stampHi, string.stampLo);
      return (
        order > 0 || (order === 0 && compareStamp(sum.originHi, sum.originLo, string.originHi, string.originLo) > 0)
      );
    });
    if (dead && sums.length === 0) return null;
    let deadlineMs = dead ? 0 : string.deadlineMs;
    if (dead && key.deadline !== null && isAbove(key.deadline.stampHi, key.deadline.stampLo)) {
      const { stampHi, stampLo } = key.deadline;
      const isBound = string === null || compareStamp(stampHi, stampLo, string.stampHi, string.stampLo) > 0;
      if (isBound) deadlineMs = key.deadline.deadlineMs;
    }
    if (deadlineMs > 0 && nowMs > deadlineMs) return null;
    const value = total(dead ? '0' : textOf(string), sums);
    return deadlineMs > 0 ? `${value} until ${deadlineMs}` : value;
  }
}

function textOf(record: RecordReader): string {
  return record.buffer.toString('latin1', record.valueStart, record.valueStart + record.valueLength);
}

function total(base: string, sums: readonly RecordReader[]): string {
  const number = scaled(base);
  if (sums.length === 0 || number === null || base.length > 512) return base;
  let value = number;
  for (const sum of sums) value += scaled(textOf(sum).slice(16)) ?? 0n;
  return unscaled(value);
}
