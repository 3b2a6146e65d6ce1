/**
 * The disk of one node, as LevelDB presents it: an ordered map written in atomic batches. What was not synced is lost at a
 * crash from some batch on; a batch that was being synced is there whole or not at all, because LevelDB's log is checksummed.
 */
import type { LevelBatch } from '../../storage/backends/level-batch.ts';
import type { LevelDatabase } from '../../storage/backends/level-database.ts';
import { SeededRandom } from '../replication/virtual-world.ts';
import { SimulatedJournal } from './simulated-journal.ts';

/** Null deletes. */
type Change = readonly [key: string, value: Buffer | null];

/** How an incarnation of a node reaches its disk: nothing is called back after its end. */
export interface DiskUser {
  isAlive(): boolean;
  monotonicMs(): number;
  setTimer(delayMs: number, callback: () => void): void;
}

export interface Range {
  gt?: Buffer;
  gte?: Buffer;
  lt?: Buffer;
  limit?: number;
  reverse?: boolean;
}

const NO_BYTES = Buffer.alloc(0);

function diskFull(): Error {
  return Object.assign(new Error('IO error: No space left on device'), { code: 'LEVEL_IO_ERROR' });
}

export class SimulatedDisk {
  /** What reads see. */
  #view = new Map<string, Buffer>();
  #durable = new Map<string, Buffer>();
  /** Batches since the last sync. */
  #unsynced: Change[][] = [];
  /** The keys that begin with a letter, in order, where they were asked for; '' stands for all keys. */
  readonly #sorted = new Map<string, string[]>();
  readonly #random: SeededRandom;
  /** A sync takes up to this long. */
  syncMsMax = 2;
  isFull = false;
  readonly journal: SimulatedJournal;
  /** Told of every batch and sync. */
  onEvent: (text: string) => void = () => undefined;
  readonly done = { syncs: 0, full: 0, lostBatches: 0, keptBatches: 0 };

  constructor(random: SeededRandom) {
    this.#random = random;
    this.journal = new SimulatedJournal(this, new SeededRandom(random.below(2 ** 32)));
  }

  /** The machine has stopped without notice. */
  crash(): void {
    this.journal.crash();
    const kept = this.#random.below(this.#unsynced.length + 1);
    this.done.lostBatches += this.#unsynced.length - kept;
    this.done.keptBatches += kept;
    for (const batch of this.#unsynced.slice(0, kept)) apply(this.#durable, batch);
    this.#unsynced = [];
    this.#view = new Map(this.#durable);
    this.#sorted.clear();
  }

  /** The disk is gone, and a new one is in its place. */
  erase(): void {
    this.journal.erase();
    this.#view.clear();
    this.#durable.clear();
    this.#unsynced = [];
    this.#sorted.clear();
  }

  /** All registers that a start would find after a crash, in the order in which it would. */
  durableRecords(): Buffer[] {
    const keys = [...this.#durable.keys()].filter((key) => key.startsWith('r')).sort();
    return [...keys.map((key) => this.#durable.get(key)!.subarray(4)), ...this.journal.records()];
  }

  /** What would still be there of an entry after a crash. */
  durableValue(key: string): Buffer | undefined {
    return this.#durable.get(key);
  }

  /** Whether an entry would still be there after a crash. */
  isDurable(key: string): boolean {
    return this.#durable.has(key);
  }

  open(user: DiskUser): Promise<LevelDatabase> {
    const handle = new SimulatedLevel(this, user);
    return Promise.resolve(handle as unknown as LevelDatabase);
  }

  get(key: Buffer): Buffer | undefined {
    return this.#view.get(key.toString('latin1'));
  }

  range({ gt, gte, lt, limit = Infinity, reverse = false }: Range): [Buffer, Buffer][] {
    const sorted = this.#sortedWith(latin1(gte ?? gt ?? NO_BYTES)[0] ?? '');
    const from =
      gt !== undefined ? firstFrom(sorted, `${latin1(gt)}\0`) : gte !== undefined ? firstFrom(sorted, latin1(gte)) : 0;
    const to = lt === undefined ? sorted.length : firstFrom(sorted, latin1(lt));
    const count = Math.max(0, Math.min(limit, to - from));
    const keys = reverse ? sorted.slice(to - count, to).reverse() : sorted.slice(from, from + count);
    return keys.map((key) => [Buffer.from(key, 'latin1'), this.#view.get(key)!]);
  }

  /** Keys of different tables begin with different letters; a range is of one table. */
  #sortedWith(letter: string): string[] {
    const known = this.#sorted.get(letter);
    if (known !== undefined) return known;
    const sorted = [...this.#view.keys()].filter((key) => key.startsWith(letter)).sort();
    this.#sorted.set(letter, sorted);
    return sorted;
  }

  /** A key has come or gone. */
  #resort(key: string): void {
    this.#sorted.delete('');
    const sorted = this.#sorted.get(key[0]);
    if (sorted === undefined) return;
    const at = firstFrom(sorted, key);
    if (sorted[at] === key) sorted.splice(at, 1);
    else sorted.splice(at, 0, key);
  }

  write(user: DiskUser, changes: Change[], isSynced: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!user.isAlive()) return;
      if (this.isFull) {
        this.done.full++;
        user.setTimer(0.1, () => reject(diskFull()));
        return;
      }
      apply(this.#view, changes, (key) => this.#resort(key));
      this.#unsynced.push(changes);
      if (!isSynced) {
        resolve();
        return;
      }
      const count = this.#unsynced.length;
      const batches = this.#unsynced.slice(0, count);
      user.setTimer(0.2 + this.#random.fraction() * this.syncMsMax, () => {
        this.#sync(batches);
        resolve();
      });
    });
  }

  #sync(batches: Change[][]): void {
    // An earlier sync may have taken some of them.
    while (batches.length > 0 && this.#unsynced[0] !== batches[0]) batches.shift();
    for (const batch of batches) apply(this.#durable, batch);
    this.#unsynced.splice(0, batches.length);
    this.done.syncs++;
    this.onEvent(`synced ${batches.length} batches`);
  }
}

function latin1(bytes: Buffer): string {
  return bytes.toString('latin1');
}

/** @param onKey told of each key that comes or goes */
function apply(map: Map<string, Buffer>, changes: readonly Change[], onKey: (key: string) => void = ignored): void {
  for (const [key, value] of changes) {
    // Looking for the key beforehand would cost as much as writing it.
    const { size } = map;
    if (value === null) map.delete(key);
    else map.set(key, value);
    if (map.size !== size) onKey(key);
  }
}

function ignored(): void {}

function firstFrom(sorted: readonly string[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The part of classic-level's interface that the store uses. */
class SimulatedLevel {
  readonly #disk: SimulatedDisk;
  readonly #user: DiskUser;

  constructor(disk: SimulatedDisk, user: DiskUser) {
    this.#disk = disk;
    this.#user = user;
  }

  get(key: Buffer): Promise<Buffer | undefined> {
    return Promise.resolve(this.#disk.get(key));
  }

  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    return Promise.resolve(keys.map((key) => this.#disk.get(key)));
  }

  put(key: Buffer, value: Buffer, options?: { sync?: boolean }): Promise<void> {
    return this.batch().put(key, value).write(options);
  }

  clear(range: Range): Promise<void> {
    const gone = this.#disk.range(range).map(([key]): Change => [latin1(key), null]);
    return this.#disk.write(this.#user, gone, false);
  }

  batch(): SimulatedBatch {
    return new SimulatedBatch((changes, isSynced) => this.#disk.write(this.#user, changes, isSynced));
  }

  keys(range: Range): { all(): Promise<Buffer[]>; nextv(size: number): Promise<Buffer[]>; close(): Promise<void> } {
    const keys = this.#disk.range(range).map(([key]) => key);
    return {
      all: () => Promise.resolve(keys.splice(0)),
      nextv: (size) => Promise.resolve(keys.splice(0, size)),
      close: () => Promise.resolve(),
    };
  }

  iterator(range: Range): { nextv(size: number): Promise<[Buffer, Buffer][]>; close(): Promise<void> } {
    const entries = this.#disk.range(range);
    return { nextv: (size) => Promise.resolve(entries.splice(0, size)), close: () => Promise.resolve() };
  }

  approximateSize(from: Buffer, to: Buffer): Promise<number> {
    return Promise.resolve(this.#disk.range({ gte: from, lt: to }).length * 64);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

class SimulatedBatch implements Pick<LevelBatch, 'put' | 'del'> {
  readonly #changes: Change[] = [];
  readonly #write: (changes: Change[], isSynced: boolean) => Promise<void>;

  constructor(write: (changes: Change[], isSynced: boolean) => Promise<void>) {
    this.#write = write;
  }

  // Both copy, as LevelDB's batch does: the caller uses its buffers again.
  put(key: Buffer, value: Buffer): this & LevelBatch {
    this.#changes.push([latin1(key), Buffer.from(value)]);
    return this as this & LevelBatch;
  }

  del(key: Buffer): this & LevelBatch {
    this.#changes.push([latin1(key), null]);
    return this as this & LevelBatch;
  }

  write(options?: { sync?: boolean }): Promise<void> {
    return this.#write(this.#changes, options?.sync === true);
  }
}
