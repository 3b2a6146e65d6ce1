/**
 * The rules of docs/crdt.md, as slowly and plainly as can be: it keeps every record that it ever heard of and computes what is
 * visible from all of them each time. Nothing is ever dropped, so no order of arrival can matter.
 */
import {
  FLAG_DEAD,
  FLAG_HAS_DEADLINE,
  KIND_COUNTER,
  KIND_FLOOR,
  KIND_STRING,
  RecordReader,
} from '../../../protocol/change-record.ts';
import { KIND_KEY_FLOOR, isElementCounterKind, isElementKind, isKeyKind } from '../../../protocol/collection-kinds.ts';
import { TYPE_STRING } from '../../../storage/arena/block.ts';
import { typeOfKind } from '../../../storage/collections/kinds.ts';

/** A stamp and an origin as one number that orders as they do. */
type Version = bigint;

interface Entry {
  kind: number;
  key: string;
  element: string;
  version: Version;
  isDead: boolean;
  value: string;
  begin: Version;
  deadlineMs: number;
  deadlineVersion: Version;
}

function version(hi: number, lo: number, originHi: number, originLo: number): Version {
  return (BigInt(hi) << 96n) | (BigInt(lo) << 64n) | (BigInt(originHi) << 32n) | BigInt(originLo);
}

function greatest(versions: Version[]): Version {
  return versions.reduce((most, each) => (each > most ? each : most), 0n);
}

/** The last version of the register that this entry is a version of. */
function isNewer(a: Entry, b: Entry): boolean {
  if (a.version !== b.version) return a.version > b.version;
  if (a.isDead !== b.isDead) return a.isDead;
  return a.deadlineVersion > b.deadlineVersion;
}

export class Model {
  readonly #entries: Entry[] = [];

  apply(records: Buffer): void {
    const reader = new RecordReader();
    for (let at = 0; at < records.length;) {
      at = reader.read(records, at);
      this.#entries.push(readEntry(reader));
    }
  }

  view(nowMs = 0): string[] {
    const alive = this.#alive();
    const keys = [...new Set(alive.map(({ key }) => key))];
    return keys.flatMap((key) => viewOf(key, latest(alive.filter((entry) => entry.key === key)), nowMs)).sort();
  }

  /** The visible elements of a key that shows this type, by name; null when it does not. Values as latin1. */
  elementsOf(key: string, type: number): Map<string, string> | null {
    const entries = latest(this.#alive().filter((entry) => entry.key === key));
    if (!viewOf(key, entries, 0)[0]?.startsWith(`${key} type ${type}`)) return null;
    const visible = visibleElements(type, entries, elementFloor(type, entries, birthsOf(entries)), 0);
    return new Map(visible.map(([name, { value }]) => [name, value]));
  }

  /** What no FLUSHDB has reached. */
  #alive(): Entry[] {
    const floor = greatest(
      this.#entries.filter(({ kind }) => kind === KIND_FLOOR).map((entry) => entry.version >> 64n),
    );
    return this.#entries.filter((entry) => {
      const born = entry.begin === 0n ? entry.version : entry.begin;
      return entry.kind !== KIND_FLOOR && born >> 64n > floor;
    });
  }
}

function readEntry(reader: RecordReader): Entry {
  const { buffer, keyStart, keyLength, elementStart, elementLength, valueStart, valueLength, kind } = reader;
  const isSum = (kind === KIND_COUNTER && elementLength > 0) || isElementCounterKind(kind);
  const own = version(reader.stampHi, reader.stampLo, reader.originHi, reader.originLo);
  return {
    kind,
    key: buffer.toString('latin1', keyStart, keyStart + keyLength),
    element: buffer.toString('latin1', elementStart, elementStart + elementLength),
    version: own,
    isDead: (reader.flags & FLAG_DEAD) !== 0,
    value: buffer.toString('latin1', valueStart + (isSum ? 16 : 0), valueStart + valueLength),
    begin: isSum
      ? version(buffer.readUInt32BE(valueStart), buffer.readUInt32BE(valueStart + 4), reader.originHi, reader.originLo)
      : 0n,
    deadlineMs: reader.deadlineMs,
    deadlineVersion:
      (reader.flags & FLAG_HAS_DEADLINE) === 0
        ? 0n
        : version(reader.deadlineStampHi, reader.deadlineStampLo, reader.deadlineOriginHi, reader.deadlineOriginLo),
  };
}

function latest(entries: Entry[]): Entry[] {
  const registers = new Map<string, Entry>();
  for (const entry of entries) {
    const name = `${entry.kind}:${entry.element}`;
    const held = registers.get(name);
    if (held === undefined || isNewer(entry, held)) registers.set(name, entry);
  }
  return [...registers.values()];
}

function sumsOf(entries: Entry[]): Entry[] {
  return entries.filter(({ kind, element }) => kind === KIND_COUNTER && element !== '');
}

/** When each type that has registers at the key began. */
function birthsOf(entries: Entry[]): Map<number, Version> {
  const string = entries.find(({ kind }) => kind === KIND_STRING);
  const sums = sumsOf(entries);
  const births = new Map<number, Version>();
  const stringVersion = string?.version ?? 0n;
  births.set(TYPE_STRING, greatest([stringVersion, ...sums.map(({ begin }) => begin)]));
  for (const entry of entries) if (isKeyKind(entry.kind)) births.set(typeOfKind(entry.kind), entry.version);
  for (const entry of entries) {
    if (isElementKind(entry.kind) || isElementCounterKind(entry.kind)) {
      births.set(typeOfKind(entry.kind), births.get(typeOfKind(entry.kind)) ?? 0n);
    }
  }
  return births;
}

function othersBirth(type: number, births: Map<number, Version>): Version {
  return greatest([...births].filter(([other]) => other !== type).map(([, born]) => born));
}

function keyFloorOf(entries: Entry[]): Version {
  return greatest(entries.filter(({ kind }) => kind === KIND_KEY_FLOOR).map((entry) => entry.version));
}

/** What elements of the type have to be above. */
function elementFloor(type: number, entries: Entry[], births: Map<number, Version>): Version {
  return greatest([othersBirth(type, births), keyFloorOf(entries)]);
}

/** What commands see at one key: nothing or one line. */
function viewOf(key: string, entries: Entry[], nowMs: number): string[] {
  const string = entries.find(({ kind }) => kind === KIND_STRING);
  const sums = sumsOf(entries);
  const births = birthsOf(entries);
  const keyFloor = keyFloorOf(entries);
  const winning = greatest([...births.values()]);
  const candidates = [...births].filter(([, born]) => born === winning).map(([type]) => type);
  for (const type of candidates.sort((a, b) => kindOrder(a) - kindOrder(b))) {
    const line =
      type === TYPE_STRING
        ? viewString(string, sums, entries, othersBirth(type, births))
        : viewElements(type, entries, elementFloor(type, entries, births), nowMs);
    // Of types that were born at once the first one that has registers at all wins, be they of removed elements.
    if (line === null && !hasRegisters(type, entries, keyFloor)) continue;
    return line === null ? [] : [`${key} type ${type}${line}`];
  }
  return [];
}

function hasRegisters(type: number, entries: Entry[], floor: Version): boolean {
  return entries.some((entry) => {
    if (!isElementKind(entry.kind) && !isElementCounterKind(entry.kind)) return false;
    return typeOfKind(entry.kind) === type && (entry.begin === 0n ? entry.version : entry.begin) > floor;
  });
}

/** The order in which types of unknown birth win: a string last, then as their kinds are numbered. */
function kindOrder(type: number): number {
  return [0, 9, 3, 1, 2, 0, 4][type];
}

function until(deadlineMs: number): string {
  return deadlineMs > 0 ? ` until ${deadlineMs}` : '';
}

function fieldUntil(deadlineMs: number): string {
  return deadlineMs > 0 ? `@${deadlineMs}` : '';
}

function viewString(string: Entry | undefined, sums: Entry[], entries: Entry[], floor: Version): string | null {
  const isAlive = string !== undefined && !string.isDead && string.version > floor;
  const base = greatest([string?.version ?? 0n, floor]);
  const live = sums.filter(({ begin }) => begin > base);
  if (!isAlive && live.length === 0) return null;
  const total = live.reduce((sum, { value }) => sum + Number(value), isAlive ? Number(string.value) : 0);
  if (isAlive) return `${until(string.deadlineMs)}: ${total}`;
  const deadline = entries.find(({ kind, element }) => kind === KIND_COUNTER && element === '');
  // By stamps alone: a deadline is never set by the write that it is bound to.
  const isBound = deadline !== undefined && deadline.deadlineVersion >> 64n > base >> 64n;
  return `${until(isBound ? deadline.deadlineMs : 0)}: ${total}`;
}

interface Element {
  value: string;
  /** Null for a value that nobody has added to, NaN for none. */
  sum: number | null;
  base: Version;
  deadlineMs: number;
}

function visibleElements(type: number, entries: Entry[], floor: Version, nowMs: number): [string, Element][] {
  const own = entries.filter((entry) => typeOfKind(entry.kind) === type);
  const found = new Map<string, Element>();
  for (const entry of own) {
    if (!isElementKind(entry.kind)) continue;
    const isAlive = !entry.isDead && entry.version > floor;
    found.set(entry.element, {
      value: isAlive ? entry.value : '',
      sum: isAlive ? null : NaN,
      base: entry.version > floor ? entry.version : floor,
      deadlineMs: entry.version > floor ? entry.deadlineMs : 0,
    });
  }
  for (const entry of own) {
    if (!isElementCounterKind(entry.kind)) continue;
    const name = entry.element.slice(4, -8);
    const held = found.get(name) ?? { value: '', sum: NaN, base: floor, deadlineMs: 0 };
    if (entry.begin <= held.base) continue;
    const before = held.sum === null ? Number(held.value) : Number.isNaN(held.sum) ? 0 : held.sum;
    found.set(name, { ...held, sum: before + Number(entry.value) });
  }
  return [...found].filter(
    ([, { sum, deadlineMs }]) => (sum === null || !Number.isNaN(sum)) && (deadlineMs === 0 || nowMs <= deadlineMs),
  );
}

function viewElements(type: number, entries: Entry[], floor: Version, nowMs: number): string | null {
  const visible = visibleElements(type, entries, floor, nowMs);
  if (visible.length === 0) return null;
  const key = entries.find(({ kind }) => isKeyKind(kind) && typeOfKind(kind) === type);
  const content = visible
    .map(([name, { value, sum, deadlineMs }]) => `${name}=${sum === null ? value : sum}${fieldUntil(deadlineMs)}`)
    .sort()
    .join(' ');
  return `${until(key?.deadlineMs ?? 0)}: ${content}`;
}
