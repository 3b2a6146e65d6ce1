/**
 * Notices that the table has lost its rows while the connection to it lives on: by TRUNCATE, by DELETE, by a dump of earlier days
 * that was played in. A few registers that have rows are looked for now and then: when all of them are missing, nearly everything is.
 * Those that are deleted, or may lapse, are no longer looked for from the moment that this node stores as much, whoever did it:
 * a vacuum, this node's or another's, takes out no row before that.
 */
import {
  FLAG_DEAD,
  FLAG_HAS_DEADLINE,
  KIND_COUNTER,
  KIND_FLOOR,
  KIND_STRING,
  OFFSET_KEY_LENGTH,
  OFFSET_KIND,
  RECORD_HEADER_BYTES,
  RecordReader,
} from '../../protocol/change-record.ts';
import { isElementCounterKind, isElementKind } from '../../protocol/collection-kinds.ts';
import { StoreError } from '../backends/backend.ts';
import { registerId } from '../backends/register-key.ts';
import type { MysqlStore } from '../backends/mysql.ts';
import type { StoreEnvironment } from '../environment.ts';

/** A store without `hasAny` is not watched. */
export type WatchedTable = Partial<Pick<MysqlStore, 'hasAny'>>;

const CHECK_MS = 2000;
const KNOWN_MAX = 8;
const CANDIDATES_MAX = 16;
const KNOWN_BYTES_MAX = 1024;
/** Checks for which a register may be without a row: who took the change brings it, perhaps later. */
const TRIES_MAX = 100;
const SLOTS = 4096;
const SLOT_KEY_BYTES = 6;

export interface TableWatchOptions {
  environment: StoreEnvironment;
  /** MySQL answers at the moment. */
  isUp(): boolean;
  /** Rows were there, and are not any more. */
  onLoss(): void;
}

interface Watched {
  /** One record. */
  record: Buffer;
  database: number;
  key: Buffer;
  /** This node has written its row. */
  isWritten: boolean;
  tries: number;
}

export class TableWatch {
  readonly #table: WatchedTable;
  readonly #options: TableWatchOptions;
  readonly #reader = new RecordReader();
  /** Registers that had rows when they were looked for, the oldest first. */
  readonly #known = new Map<string, Watched>();
  /** Those that are to become known when they have a row. */
  readonly #candidates = new Map<string, Watched>();
  /** How many of both have a key of this slot: most records are passed by with one look here. */
  readonly #slots = new Uint8Array(SLOTS);
  #timer: { cancel(): void } | null = null;
  #isClosed = false;

  constructor(table: WatchedTable, options: TableWatchOptions) {
    this.#table = table;
    this.#options = options;
  }

  start(): void {
    if (this.#isClosed || this.#table.hasAny === undefined) return;
    this.#timer = this.#options.environment.setTimer(CHECK_MS, () => void this.#check().finally(() => this.start()));
  }

  /** These packed records are in the table. */
  loaded(records: Buffer): void {
    this.#choose(records, CANDIDATES_MAX);
  }

  /** These packed records, of this node or of others, are being stored. One of them may be looked for later; what they end is not. */
  stored(records: Buffer): void {
    if (this.#table.hasAny === undefined) return;
    if (this.#known.size + this.#candidates.size > 0) this.#drop(records);
    this.#choose(records, this.#known.size === 0 ? CANDIDATES_MAX : 1);
  }

  /** These packed records have rows now. Whether those of the last check are still there is asked before these are looked for, too. */
  written(records: Buffer): void {
    if (this.#candidates.size === 0) return;
    for (let at = 0; at < records.length; at += records.readUInt32LE(at)) {
      if (!this.#isWatched(records, at)) continue;
      this.#reader.read(records, at);
      const candidate = this.#candidates.get(registerId(this.#reader));
      if (candidate !== undefined) candidate.isWritten = true;
    }
  }

  /** The rows of these packed records are taken out of the table: that they are missing says nothing. */
  forget(records: Buffer): void {
    if (this.#known.size + this.#candidates.size === 0) return;
    const reader = this.#reader;
    for (let at = 0; at < records.length;) {
      at = reader.read(records, at);
      this.#forget(registerId(reader));
    }
  }

  #choose(records: Buffer, candidatesMax: number): void {
    const reader = this.#reader;
    for (let at = 0; at < records.length && this.#candidates.size < candidatesMax;) {
      at = reader.read(records, at);
      if (!isLasting(reader) || reader.end - reader.start > KNOWN_BYTES_MAX) continue;
      const id = registerId(reader);
      if (this.#known.has(id) || this.#candidates.has(id)) continue;
      const record = Buffer.from(records.subarray(reader.start, reader.end));
      const key = record.subarray(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + reader.keyLength);
      this.#candidates.set(id, { record, database: reader.database, key, isWritten: false, tries: 0 });
      this.#slots[slotOf(key, 0, key.length)]++;
    }
  }

  /** Forgets what these records may end. */
  #drop(records: Buffer): void {
    for (let at = 0; at < records.length; at += records.readUInt32LE(at)) {
      if (records[at + OFFSET_KIND] !== KIND_FLOOR && !this.#isWatched(records, at)) continue;
      this.#reader.read(records, at);
      for (const map of [this.#known, this.#candidates]) {
        for (const [id, watched] of map) if (isEndedBy(this.#reader, id, watched)) this.#forget(id);
      }
    }
  }

  /** False when certainly no register of this record's key is watched. */
  #isWatched(records: Buffer, at: number): boolean {
    return this.#slots[slotOf(records, at + RECORD_HEADER_BYTES, records.readUInt32LE(at + OFFSET_KEY_LENGTH))] > 0;
  }

  #know(id: string): void {
    this.#known.set(id, this.#candidates.get(id)!);
    this.#candidates.delete(id);
    if (this.#known.size > KNOWN_MAX) this.#forget(this.#known.keys().next().value!);
  }

  #forget(id: string): void {
    const watched = this.#known.get(id) ?? this.#candidates.get(id);
    if (watched === undefined) return;
    this.#known.delete(id);
    this.#candidates.delete(id);
    this.#slots[slotOf(watched.key, 0, watched.key.length)]--;
  }
  async #check(): Promise<void> {
    if (!this.#options.isUp()) return;
    const asked = new Map(this.#known);
    const candidates = [...this.#candidates];
    try {
      if (asked.size > 0 && !(await this.#hasAny(asked.values()))) this.#miss(asked);
      for (const candidate of candidates) await this.#prove(...candidate);
    } catch (error) {
      // Away, which others notice and tell of.
      if (!(error instanceof StoreError)) throw error;
    }
  }

  #hasAny(all: Iterable<Watched>): Promise<boolean> {
    return this.#table.hasAny!(Buffer.concat([...all].map(({ record }) => record)));
  }

  /** None of these has a row. It is a loss as far as nothing has ended them while they were asked for. */
  #miss(asked: ReadonlyMap<string, Watched>): void {
    const isLost = [...asked.keys()].some((id) => this.#known.has(id));
    for (const [id, watched] of asked) {
      // They are written again, and looked for then.
      if (this.#known.delete(id)) this.#candidates.set(id, { ...watched, isWritten: false, tries: 0 });
    }
    if (isLost && !this.#isClosed) this.#options.onLoss();
  }

  /** A candidate that has a row, and was not ended meanwhile, is known from now on. */
  async #prove(id: string, candidate: Watched): Promise<void> {
    const hasRow = candidate.isWritten || (await this.#hasAny([candidate]));
    if (this.#candidates.get(id) !== candidate) return;
    if (hasRow) this.#know(id);
    else if (++candidate.tries >= TRIES_MAX) this.#forget(id);
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }
}

/** Where a key is counted, by its length and its last bytes: keys are often the same but for a number at their end. */
function slotOf(bytes: Buffer, start: number, length: number): number {
  let hash = length;
  const end = start + length;
  for (let at = Math.max(start, end - SLOT_KEY_BYTES); at < end; at++) hash = (hash * 31 + bytes[at]) | 0;
  return hash & (SLOTS - 1);
}

/** Of what is to be looked for: it stays until its own register or its key is changed. */
function isLasting({ kind, flags }: RecordReader): boolean {
  return (kind === KIND_STRING || isElementKind(kind)) && (flags & (FLAG_DEAD | FLAG_HAS_DEADLINE)) === 0;
}

function isEndedBy(record: RecordReader, id: string, { database, key }: Watched): boolean {
  const { kind, buffer, keyStart, keyLength } = record;
  if (record.database !== database) return false;
  if (kind === KIND_FLOOR) return true;
  if (key.compare(buffer, keyStart, keyStart + keyLength) !== 0) return false;
  if (registerId(record) === id) return !isLasting(record);
  // Another element, or what is added to one, ends none.
  return !isElementKind(kind) && !isElementCounterKind(kind) && kind !== KIND_COUNTER;
}
