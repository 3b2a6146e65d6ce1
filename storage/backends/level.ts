/**
 * The embedded durable store: LevelDB through classic-level, one entry per register.
 *
 *   'f'                  → "mantis-level <format>"               what wrote this directory
 *   'm' name             → bytes                                  small facts of the node (node id, clock bound …)
 *   'r' register key     → u32le CRC-32C of the record | record   the registers (register-key.ts)
 *   'q' u32be generation | register key → nothing                 registers that MySQL has not got yet (level-queue.ts)
 *   'o' u32be generation | register key → nothing                 registers that a peer brings to MySQL (level-held.ts)
 *   'x' register key     → why MySQL refused the register
 *
 * LevelDB does not check, by default, what it reads back, and leaves out of its log what is damaged: both are looked through before they
 * are opened (level-files.ts), and the checksum per record notices a bit that flips later.
 */
import { RecordError, RecordReader, RecordWriter } from '../../protocol/change-record.ts';
import { crc32c } from '../../protocol/crc32c.ts';
import { compareIgnoringValues, compareVersions } from '../../protocol/register-order.ts';
import type { BatchQueue, HeldPart } from './batch-queue.ts';
import { Quarantine, StoreError, type DurableStore, type OnRecords } from './backend.ts';
import { type ChangeBatch, ReusedBatch } from './level-batch.ts';
import { CHECKSUM_BYTES, EntryWriter } from './level-entry.ts';
import { levelErrorOf } from './level-errors.ts';
import { BUFFER_BYTES, type LevelDatabase, openLevelDatabase } from './level-database.ts';
import { rangeOf, REGISTER_TAG, REGISTERS_FROM, REGISTERS_TO } from './level-ranges.ts';
import { canBeOutlived, isOutlived, outlivedOf, type Outlived } from './outlived.ts';
import { type KeyName, keyNamesOf } from './key-names.ts';
import { searchLevel, type SearchStep } from './key-search.ts';
import { keyOfRegisterKey, newestOf, registerKeyLength, writeRegisterKey } from './register-key.ts';
import type { TornTail } from './torn-tail.ts';

const FORMAT = 1;
const FORMAT_KEY = Buffer.from('f');
const FORMAT_TEXT = 'mantis-level ';
export const META_PREFIX = 'm';
const QUEUE_TAG = 0x71; // 'q'
const HELD_TAG = 0x6f; // 'o'
const NO_BYTES = Buffer.alloc(0);

const LOAD_SLICE_BYTES = 128 << 10;
const LOAD_AHEAD_BYTES = 1 << 20;
const LOAD_ENTRIES_A_READ = 4096;
const GUARD_KEYS_A_READ = 512;
/** Looking for what is outlived at a key waits for the disk; so many are looked at together. */
const RANGES_AT_ONCE = 32;
const OUTLIVED_ENTRIES_A_READ = 1000;
const OUTLIVED_BYTES = 64 << 10;
const FETCH_SLICE_BYTES = 128 << 10;
/** Keys and values up to this length share one scratch buffer; LevelDB's batch copies them. */
const SCRATCH_BYTES = 1 << 16;

export interface LevelStoreOptions {
  /** Made when it does not exist. */
  directory: string;
  /** As levelBufferBytes() gives it; as without `maxmemory` unless it is given. */
  bufferBytes?: number | undefined;
  /** Opens the database; replaced by tests of a failing disk. */
  openDatabase?: (directory: string) => Promise<LevelDatabase>;
}

export class LevelStore implements DurableStore {
  readonly name = 'level';
  readonly directory: string;
  readonly quarantine = new Quarantine('level');
  /** What was left out at the last open. */
  tornTails: readonly TornTail[] = [];
  readonly #openDatabase: (directory: string) => Promise<LevelDatabase>;
  readonly #scratchKey = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  readonly #entries = new EntryWriter();
  readonly #given = new RecordReader();
  readonly #held = new RecordReader();
  #database: LevelDatabase | null = null;
  #batch: ReusedBatch | null = null;
  #isInDoubt = false;
  /** A register was stored that another one at its key may have outlived. */
  #hasOutlived = false;
  #lastWork: Promise<unknown> = Promise.resolve();

  constructor(options: LevelStoreOptions) {
    this.directory = options.directory;
    const { bufferBytes = BUFFER_BYTES } = options;
    const onTorn = (tails: readonly TornTail[]): void => void (this.tornTails = tails);
    this.#openDatabase = options.openDatabase ?? ((directory) => openLevelDatabase(directory, bufferBytes, onTorn));
  }

  /** The open database, for the queue that lives beside the registers. */
  get database(): LevelDatabase {
    if (this.#database === null) throw new StoreError('unavailable', `${this.directory} is not open`);
    return this.#database;
  }

  async open(): Promise<void> {
    await this.#openNow();
    try {
      await this.#checkFormat();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #openNow(): Promise<void> {
    await this.guard(async () => {
      this.#database = await this.#openDatabase(this.directory);
      this.#isInDoubt = false;
    });
  }

  async #checkFormat(): Promise<void> {
    const marker = await this.guard(() => this.database.get(FORMAT_KEY));
    if (marker === undefined) {
      const others = await this.guard(() => this.database.keys({ limit: 1 }).all());
      if (others.length > 0) {
        throw new StoreError(
          'refused',
          `${this.directory} holds a LevelDB that Mantis did not write: name another --data-dir`,
        );
      }
      await this.guard(() => this.database.put(FORMAT_KEY, Buffer.from(FORMAT_TEXT + FORMAT), { sync: true }));
      return;
    }
    const text = marker.toString('latin1');
    const format = text.startsWith(FORMAT_TEXT) ? Number(text.slice(FORMAT_TEXT.length)) : NaN;
    if (!Number.isInteger(format) || format < 1) {
      throw new StoreError(
        'refused',
        `${this.directory} has an unreadable format marker: restore a backup, or name another --data-dir`,
      );
    }
    if (format > FORMAT) {
      throw new StoreError(
        'refused',
        `${this.directory} was written in format ${format} by a newer release; this one reads up to ${FORMAT}: ` +
          'start the newer release, or name another --data-dir',
      );
    }
  }

  /** Runs database work, and turns LevelDB's errors into StoreErrors that say what to do. */
  async guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw levelErrorOf(error, this.directory) ?? error;
    }
  }

  /**
   * Runs work that no other exclusive work of this store overlaps: whatever writes, with the reads that decide what is written.
   * After a write that failed for want of space LevelDB's log is in doubt; it is opened anew, which repairs it, before the next.
   */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#lastWork.then(async () => {
      if (this.#isInDoubt) await this.#reopen();
      try {
        return await this.guard(work);
      } catch (error) {
        if (error instanceof StoreError && error.kind === 'full') this.#isInDoubt = true;
        throw error;
      }
    });
    this.#lastWork = result.catch(() => undefined);
    return result;
  }

  async #reopen(): Promise<void> {
    const database = this.#database;
    this.#database = null;
    if (database !== null) await this.guard(() => database.close());
    await this.#openNow();
  }

  /** For exclusive work. */
  #newBatch(): ChangeBatch {
    if (this.#batch?.database !== this.database) this.#batch = new ReusedBatch(this.database);
    return this.#batch.begin();
  }

  async write(records: Buffer): Promise<void> {
    await this.#writeNewer(records, () => undefined);
  }

  /** The same; resolves to the records that were newer than what was stored, null when all were. */
  async writeNewer(records: Buffer): Promise<Buffer | null> {
    const written: Buffer[] = [];
    const count = await this.#writeNewer(records, ({ start, end }) => written.push(records.subarray(start, end)));
    return written.length === count ? null : Buffer.concat(written);
  }

  /** Resolves to how many registers the records are of; `onWritten` is given each that is written. */
  #writeNewer(records: Buffer, onWritten: (record: RecordReader) => void): Promise<number> {
    return this.exclusive(async () => {
      const newest = newestOf(records);
      const offsets = [...newest.values()];
      const keys = [...newest.keys()].map((id) => Buffer.from(`r${id}`, 'latin1'));
      const batch = this.#newBatch();
      for (let from = 0; from < keys.length; from += GUARD_KEYS_A_READ) {
        const held = await this.database.getMany(keys.slice(from, from + GUARD_KEYS_A_READ));
        for (let index = 0; index < held.length; index++) {
          this.#given.read(records, offsets[from + index]);
          const entry = held[index];
          const isDamaged = entry !== undefined && this.checkEntry(keys[from + index], entry) !== null;
          if (entry !== undefined && !isDamaged && compareVersions(this.#given, this.#held) <= 0) continue;
          this.#put(batch, this.#given, null);
          onWritten(this.#given);
        }
      }
      this.#given.release();
      await batch.write({ sync: true });
      return keys.length;
    });
  }

  /**
   * Writes records without looking at what is stored, in one atomic synced batch. The caller promises that every record is
   * at least as new as the stored one, and that later slices are newer than earlier ones; the flusher can, because the memory it
   * drains has merged this store first. With a queue each register is also marked for MySQL, those of held slices as what a
   * peer brings there. Returns the number of records.
   * @param isGuarded newer versions may be stored, of keys that memory had evicted: they are looked for, and stay
   */
  putNewest(
    slices: readonly Buffer[],
    queue: BatchQueue | null,
    held: HeldPart | null = null,
    isGuarded = false,
  ): Promise<number> {
    return this.exclusive(async () => {
      const batch = this.#newBatch();
      const owed = held === null ? slices : slices.filter((records) => !held.slices.has(records));
      const bytes = owed.reduce((sum, records) => sum + records.length, 0);
      const generation = owed.length === 0 ? null : (queue?.beginBatch(bytes) ?? null);
      const heldGeneration = held?.begin() ?? 0;
      let count = 0;
      let heldCount = 0;
      for (const records of slices) {
        const isHeld = held?.slices.has(records) === true;
        const older = isGuarded ? await this.#olderThanStored(records) : null;
        for (let at = 0; at < records.length; count++) {
          const isNewest = older?.has(at) !== true;
          at = this.#given.read(records, at);
          if (isHeld) heldCount++;
          const tag = isHeld ? HELD_TAG : QUEUE_TAG;
          this.#put(batch, this.#given, isHeld ? heldGeneration : generation, tag, isNewest);
        }
      }
      this.#given.release();
      await batch.write({ sync: true });
      if (generation !== null) queue?.endBatch(generation, owed, count - heldCount);
      return count;
    });
  }

  /** The offsets of packed records that are not newer than what is stored. */
  async #olderThanStored(records: Buffer): Promise<Set<number>> {
    const older = new Set<number>();
    const offsets: number[] = [];
    const keys: Buffer[] = [];
    for (let at = 0; at < records.length;) {
      offsets.push(at);
      at = this.#given.read(records, at);
      const key = Buffer.allocUnsafe(1 + registerKeyLength(this.#given));
      key[0] = REGISTER_TAG;
      writeRegisterKey(key, 1, this.#given);
      keys.push(key);
    }
    for (let from = 0; from < keys.length; from += GUARD_KEYS_A_READ) {
      const held = await this.database.getMany(keys.slice(from, from + GUARD_KEYS_A_READ));
      for (const [index, entry] of held.entries()) {
        if (entry === undefined || this.checkEntry(keys[from + index], entry) !== null) continue;
        this.#given.read(records, offsets[from + index]);
        if (compareVersions(this.#given, this.#held) <= 0) older.add(offsets[from + index]);
      }
    }
    return older;
  }

  /** `isNewest` false only marks the register, which is stored in a newer version. */
  #put(
    batch: ChangeBatch,
    record: RecordReader,
    queueGeneration: number | null,
    tag = QUEUE_TAG,
    isNewest = true,
  ): void {
    this.#hasOutlived ||= canBeOutlived(record.kind);
    const keyLength = registerKeyLength(record);
    // One scratch holds the queue's key, 'q' generation register-key; the register's own, 'r' register-key, is its tail.
    const keys = keyLength + 5 <= SCRATCH_BYTES ? this.#scratchKey : Buffer.allocUnsafeSlow(keyLength + 5);
    writeRegisterKey(keys, 5, record);
    keys[4] = REGISTER_TAG;
    if (isNewest) this.#entries.put(batch, keys.subarray(4, 5 + keyLength), record);
    if (queueGeneration === null) return;
    keys[0] = tag;
    keys.writeUInt32BE(queueGeneration, 1);
    batch.put(keys.subarray(0, 5 + keyLength), NO_BYTES);
  }

  /** Null when an entry of the registers is whole (its record is then in the reader), else what is wrong with it. */
  checkEntry(key: Buffer, value: Buffer, reader: RecordReader = this.#held): string | null {
    if (value.length < CHECKSUM_BYTES) return 'too short for a checksum';
    if (value.readUInt32LE(0) !== crc32c(value, CHECKSUM_BYTES, value.length)) return 'checksum does not match';
    try {
      if (reader.read(value, CHECKSUM_BYTES) !== value.length) return 'bytes after the record';
    } catch (error) {
      if (error instanceof RecordError) return error.message;
      throw error;
    }
    const length = registerKeyLength(reader);
    if (length !== key.length - 1) return 'the record is of another register';
    const expected = length <= SCRATCH_BYTES ? this.#scratchKey : Buffer.allocUnsafeSlow(length);
    writeRegisterKey(expected, 0, reader);
    return key.compare(expected, 0, length, 1) === 0 ? null : 'the record is of another register';
  }

  async load(onRecords: OnRecords): Promise<void> {
    this.quarantine.clear();
    const database = this.database;
    const bytesTotal = await this.guard(() => database.approximateSize(REGISTERS_FROM, REGISTERS_TO));
    const iterator = database.iterator({ gte: REGISTERS_FROM, lt: REGISTERS_TO, highWaterMarkBytes: LOAD_AHEAD_BYTES });
    const writer = new RecordWriter(LOAD_SLICE_BYTES + SCRATCH_BYTES);
    const reader = new RecordReader();
    let done = 0;
    try {
      for (;;) {
        const entries = await this.guard(() => iterator.nextv(LOAD_ENTRIES_A_READ));
        for (const [key, value] of entries) {
          done++;
          const reason = this.checkEntry(key, value, reader);
          this.#hasOutlived ||= reason === null && canBeOutlived(reader.kind);
          if (reason === null) writer.raw(value, CHECKSUM_BYTES, value.length - CHECKSUM_BYTES);
          else this.quarantine.add(keyOfRegisterKey(key, 1), reason);
          if (writer.length < LOAD_SLICE_BYTES) continue;
          await onRecords(writer.take(), done, await this.#rowsTotal(done, key, bytesTotal));
        }
        if (entries.length === 0) break;
      }
    } finally {
      await iterator.close();
    }
    if (writer.length > 0) await onRecords(writer.take(), done, done);
  }

  /** LevelDB keeps no count; the share of bytes read so far gives a good guess. */
  async #rowsTotal(done: number, key: Buffer, bytesTotal: number): Promise<number> {
    const bytesDone = await this.guard(() => this.database.approximateSize(REGISTERS_FROM, key));
    if (bytesDone === 0 || bytesTotal === 0) return done;
    return Math.max(done, Math.round((done * bytesTotal) / bytesDone));
  }

  /**
   * Appends the records of registers to a writer, in the keys' order; what is gone or damaged is left out (and damage counted).
   * `registerKeys` are whole keys of the 'r' space.
   */
  async readRegisters(registerKeys: Buffer[], writer: RecordWriter): Promise<void> {
    const values = await this.guard(() => this.database.getMany(registerKeys, { fillCache: false }));
    for (let index = 0; index < values.length; index++) {
      const value = values[index];
      if (value === undefined) continue;
      const key = registerKeys[index];
      const reason = this.checkEntry(key, value);
      if (reason === null) writer.raw(value, CHECKSUM_BYTES, value.length - CHECKSUM_BYTES);
      else this.quarantine.add(keyOfRegisterKey(key, 1), reason);
    }
  }

  remove(registers: Buffer): Promise<void> {
    return this.exclusive(async () => {
      const newest = newestOf(registers);
      const offsets = [...newest.values()];
      const keys = [...newest.keys()].map((id) => Buffer.from(`r${id}`, 'latin1'));
      const batch = this.database.batch();
      for (let from = 0; from < keys.length; from += GUARD_KEYS_A_READ) {
        const slice = keys.slice(from, from + GUARD_KEYS_A_READ);
        const held = await this.database.getMany(slice, { fillCache: false });
        for (let index = 0; index < held.length; index++) {
          const entry = held[index];
          if (entry === undefined || this.checkEntry(slice[index], entry) !== null) continue;
          this.#given.read(registers, offsets[from + index]);
          if (compareIgnoringValues(this.#held, this.#given) <= 0) batch.del(slice[index]);
        }
      }
      await batch.write({ sync: true });
    });
  }

  /**
   * Gives what is stored at the keys of these registers, or under a FLOOR, and outlived by them; most of it memory has long
   * forgotten. Nothing may be removed meanwhile but what was given.
   */
  async outlived(registers: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    const all = outlivedOf(registers, new RecordReader());
    const wanted = this.#hasOutlived ? all : all.filter(({ key }) => key === null);
    const given = wanted.length === 0 ? new Map<string, number>() : newestOf(registers);
    const writer = new RecordWriter();
    const handOver = async (bytesMin: number): Promise<void> => {
      if (writer.length >= bytesMin) await onRecords(writer.take());
    };
    for (let from = 0; from < wanted.length; from += RANGES_AT_ONCE) {
      const ranges = wanted.slice(from, from + RANGES_AT_ONCE);
      await Promise.all(ranges.map((range) => this.#outlivedIn(range, given, writer, handOver)));
    }
    await handOver(1);
  }

  /** Appends what one range has of outlived registers that were not given. */
  async #outlivedIn(
    outlived: Outlived,
    given: Map<string, number>,
    writer: RecordWriter,
    handOver: (bytesMin: number) => Promise<void>,
  ): Promise<void> {
    const reader = new RecordReader();
    const visit = (key: Buffer, value: Buffer): void => {
      if (given.has(key.toString('latin1', 1))) return;
      if (this.checkEntry(key, value, reader) !== null || !isOutlived(reader, outlived)) return;
      writer.raw(value, CHECKSUM_BYTES, value.length - CHECKSUM_BYTES);
    };
    await this.#walk({ ...rangeOf(outlived), fillCache: false }, visit, () => handOver(OUTLIVED_BYTES));
  }

  /** Visits the entries of a range in pages, and waits after each page. */
  async #walk(
    { from, to, fillCache }: { from: Buffer; to: Buffer; fillCache: boolean },
    visit: (key: Buffer, value: Buffer) => void,
    onPage: () => Promise<void>,
  ): Promise<void> {
    const iterator = this.database.iterator({ gte: from, lt: to, fillCache, highWaterMarkBytes: OUTLIVED_BYTES });
    try {
      for (;;) {
        const entries = await this.guard(() => iterator.nextv(OUTLIVED_ENTRIES_A_READ));
        if (entries.length === 0) return;
        for (const [key, value] of entries) visit(key, value);
        await onPage();
      }
    } finally {
      await iterator.close();
    }
  }

  async fetch(keys: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    const names = keyNamesOf(keys);
    const writer = new RecordWriter();
    let last = Promise.resolve();
    const handOver = (records: Buffer): Promise<void> => (last = last.then(() => onRecords(records)));
    for (let from = 0; from < names.length; from += RANGES_AT_ONCE) {
      const some = names.slice(from, from + RANGES_AT_ONCE);
      await Promise.all(some.map((name) => this.#fetchOne(name, writer, handOver)));
    }
    if (writer.length > 0) await onRecords(writer.take());
  }

  async #fetchOne(name: KeyName, writer: RecordWriter, onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    const reader = new RecordReader();
    const visit = (key: Buffer, value: Buffer): void => {
      const reason = this.checkEntry(key, value, reader);
      if (reason === null) writer.raw(value, CHECKSUM_BYTES, value.length - CHECKSUM_BYTES);
      else this.quarantine.add(keyOfRegisterKey(key, 1), reason);
    };
    await this.#walk({ ...rangeOf(name), fillCache: true }, visit, async () => {
      if (writer.length >= FETCH_SLICE_BYTES) await onRecords(writer.take());
    });
  }

  /** A step of a search: see key-search.ts. */
  search(hashes: Buffer, from: Buffer | null): Promise<SearchStep> {
    return this.guard(() => searchLevel(this.database, hashes, from));
  }

  async readMeta(name: string): Promise<Buffer | null> {
    return (await this.guard(() => this.database.get(Buffer.from(META_PREFIX + name)))) ?? null;
  }

  writeMeta(name: string, bytes: Buffer): Promise<void> {
    return this.exclusive(() => this.database.put(Buffer.from(META_PREFIX + name), bytes, { sync: true }));
  }

  /** Synced, with everything that was written before. */
  removeMeta(name: string): Promise<void> {
    const key = Buffer.from(META_PREFIX + name);
    return this.exclusive(() => this.database.batch().del(key).write({ sync: true }));
  }

  async close(): Promise<void> {
    await this.#lastWork;
    const database = this.#database;
    this.#database = this.#batch = null;
    this.#isInDoubt = false;
    if (database !== null) await this.guard(() => database.close());
  }
}
