/**
 * What merging has decided, counted, and the conflicts among it, the latest of them with names. A conflict is a write of this
 * node and one of another node, made without knowledge of each other, of which only one stays. Of two other nodes' writes
 * this node cannot tell; they can. docs/crdt.md says what is decided how.
 */
import type { RecordReader } from '../../protocol/change-record.ts';
import { isElementCounterKind } from '../../protocol/collection-kinds.ts';

/** What is known of the way on which changes have come. */
export interface MergeSource {
  /** Whether the record's writer may have seen this node's write of that stamp when it made the record. */
  mayHaveSeen(
    writerHi: number,
    writerLo: number,
    recordHi: number,
    recordLo: number,
    ownHi: number,
    ownLo: number,
  ): boolean;
  /** Whether this node had the record before, so that what it wrote later was written with knowledge of it. */
  isKnown(writerHi: number, writerLo: number, recordHi: number, recordLo: number): boolean;
}

/** What was contested: the value of a string, an element of a collection, what an increment added to, or the type of a key. */
export type ConflictKind = 'value' | 'element' | 'increment' | 'type';

/** One side of a conflict. */
export interface ContestedWrite {
  readonly stampHi: number;
  readonly stampLo: number;
  readonly writerHi: number;
  readonly writerLo: number;
  /** It was a removal. */
  readonly isRemoval: boolean;
}

export interface Conflict {
  /** Milliseconds since 1970 when this node found out. */
  readonly atMs: number;
  readonly kind: ConflictKind;
  readonly database: number;
  /** At most the first NAME_BYTES_MAX bytes. */
  readonly key: Buffer;
  readonly keyLength: number;
  /** Null for the whole key; else at most its first NAME_BYTES_MAX bytes. */
  readonly element: Buffer | null;
  readonly elementLength: number;
  readonly winner: ContestedWrite;
  readonly loser: ContestedWrite;
}

/** Names are kept up to here. */
const NAME_BYTES_MAX = 1024;
/** How many of the newest are looked through for one that comes again. */
const RECENT = 32;

/** The latest conflicts, the newest last. */
export class ConflictLog {
  #lengthMax: number;
  #entries: Conflict[] = [];
  /** Where the oldest entry is once the log is full. */
  #start = 0;

  constructor(lengthMax = 128) {
    this.#lengthMax = lengthMax;
  }

  set lengthMax(lengthMax: number) {
    this.#entries = this.newest(lengthMax).reverse();
    this.#start = 0;
    this.#lengthMax = lengthMax;
  }

  push(conflict: Conflict): void {
    if (this.#lengthMax === 0) return;
    if (this.#entries.length < this.#lengthMax) {
      this.#entries.push(conflict);
      return;
    }
    this.#entries[this.#start] = conflict;
    this.#start = (this.#start + 1) % this.#lengthMax;
  }

  /** Whether this was noted a moment ago: a change may come by several ways. */
  has(winner: ContestedWrite, loser: ContestedWrite): boolean {
    const length = this.#entries.length;
    for (let back = 1; back <= Math.min(length, RECENT); back++) {
      const entry = this.#entries[(this.#start + length - back) % length];
      if (isSame(entry.winner, winner) && isSame(entry.loser, loser)) return true;
    }
    return false;
  }

  /** The newest first. */
  newest(count: number): Conflict[] {
    const ordered = [...this.#entries.slice(this.#start), ...this.#entries.slice(0, this.#start)];
    return ordered.reverse().slice(0, count);
  }

  /** Those of a key, or of an element of it; the newest first. */
  of(database: number, key: Buffer, element: Buffer | null): Conflict[] {
    return this.newest(Infinity).filter(
      (conflict) =>
        conflict.database === database &&
        isName(key, conflict.key, conflict.keyLength) &&
        (element === null || (conflict.element !== null && isName(element, conflict.element, conflict.elementLength))),
    );
  }
}

function isSame(one: ContestedWrite, other: ContestedWrite): boolean {
  return (
    one.stampLo === other.stampLo &&
    one.stampHi === other.stampHi &&
    one.writerLo === other.writerLo &&
    one.writerHi === other.writerHi
  );
}

function isName(asked: Buffer, kept: Buffer, length: number): boolean {
  return asked.length === length && asked.subarray(0, NAME_BYTES_MAX).equals(kept);
}

function nameOf(buffer: Buffer, start: number, length: number): Buffer {
  return Buffer.from(buffer.subarray(start, start + Math.min(length, NAME_BYTES_MAX)));
}

export class Merges {
  /** Changes of peers that were merged, and how many of them were older than, or the same as, what was here. */
  merged = 0;
  lost = 0;
  equal = 0;
  /** Conflicts in which this node's write stayed, and in which it went. */
  conflictsWon = 0;
  conflictsLost = 0;
  readonly log = new ConflictLog();
  readonly #nowMs: () => number;
  /** Set while changes of a peer are merged. */
  source: MergeSource | null = null;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get won(): number {
    return this.merged - this.lost - this.equal;
  }

  reset(): void {
    this.merged = this.lost = this.equal = this.conflictsWon = this.conflictsLost = 0;
  }

  /** A record has come that is older (`order` < 0) than what is here, or the same. */
  refused(order: number): void {
    if (order === 0) this.equal++;
    else this.lost++;
  }

  /**
   * A record has met a write that this node made: a conflict when neither knew of the other.
   * @param order positive when the record wins
   * @param own this node's write
   */
  contest(kind: ConflictKind, order: number, record: RecordReader, isRemoval: boolean, own: ContestedWrite): void {
    const { source } = this;
    const { originHi: writerHi, originLo: writerLo, stampHi, stampLo } = record;
    if (source === null || order === 0 || (writerHi === own.writerHi && writerLo === own.writerLo)) return;
    if ((isRemoval && own.isRemoval) || (own.stampHi === 0 && own.stampLo === 0)) return;
    if (order > 0) {
      if (source.mayHaveSeen(writerHi, writerLo, stampHi, stampLo, own.stampHi, own.stampLo)) return;
    } else if (source.isKnown(writerHi, writerLo, stampHi, stampLo)) return;
    const other = { stampHi, stampLo, writerHi, writerLo, isRemoval };
    const winner = order > 0 ? other : own;
    const loser = order > 0 ? own : other;
    if (this.log.has(winner, loser)) return;
    if (order > 0) this.conflictsLost++;
    else this.conflictsWon++;
    this.#note(kind, record, winner, loser);
  }

  #note(kind: ConflictKind, record: RecordReader, winner: ContestedWrite, loser: ContestedWrite): void {
    const { buffer, elementStart, elementLength } = record;
    const isWhole = kind === 'value' || kind === 'type' || elementLength === 0;
    // A sum in a collection has the element's name in a frame of its own; a string's sum names its writer only.
    const isSum = isElementCounterKind(record.kind);
    const isNamed = !isWhole && (kind !== 'increment' || isSum);
    const start = isSum ? elementStart + 4 : elementStart;
    const length = isSum ? elementLength - 12 : elementLength;
    this.log.push({
      atMs: this.#nowMs(),
      kind,
      database: record.database,
      key: nameOf(buffer, record.keyStart, record.keyLength),
      keyLength: record.keyLength,
      element: isNamed ? nameOf(buffer, start, length) : null,
      elementLength: isNamed ? length : 0,
      winner,
      loser,
    });
  }
}
