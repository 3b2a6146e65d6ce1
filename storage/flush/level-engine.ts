/**
 * Writes slices of records into the embedded store: what has gathered while a batch was being synced becomes the next batch.
 * A slice stays here until it is durable; a full disk only makes it wait.
 */
import { basename, dirname } from 'node:path';
import { StoreError, type OnRecords } from '../backends/backend.ts';
import { LevelQueue, type QueueBatch } from '../backends/level-queue.ts';
import type { HeldBatch, HeldGeneration, HeldQueue } from '../backends/held-queue.ts';
import { backUp } from '../backends/level-backup.ts';
import type { SearchStep } from '../backends/key-search.ts';
import { LevelHeld } from '../backends/level-held.ts';
import type { HeldPart } from '../backends/batch-queue.ts';
import type { LevelStore } from '../backends/level.ts';
import { collectLarge } from '../backends/large-garbage.ts';
import type { RefusedRow } from '../backends/mysql.ts';
import type { TornTail } from '../backends/torn-tail.ts';
import { Backoff } from './backoff.ts';
import type { StoreEnvironment } from '../environment.ts';
import type { BackupRequest, DrainQueue, LevelStatus } from './flush-types.ts';
import type { RelayedTurn } from './relayed-turns.ts';

/** Slices that one batch takes together. */
const BATCH_BYTES_MAX = 8 << 20;
const RETRY_BASE_MS = 100;
const RETRY_MS_MAX = 5_000;

interface Slice {
  records: Buffer;
  /** What peers bring to MySQL: up to where their streams may be in it. */
  seen: readonly RelayedTurn[] | null;
  /** The store may have newer versions. */
  isGuarded: boolean;
  resolve: () => void;
  reject: (error: Error) => void;
}

export interface LevelEngineEvents {
  onChange(): void;
  /** New markers wait in the queue. */
  onQueued(): void;
  onFatal(error: Error): void;
}

export class LevelEngine implements DrainQueue, HeldQueue {
  readonly #store: LevelStore;
  readonly #queue: LevelQueue | null;
  readonly #held: LevelHeld | null;
  readonly #events: LevelEngineEvents;
  readonly #closing = new AbortController();
  readonly #retry: Backoff;
  #slices: Slice[] = [];
  /** Reads that wait until a slice is written. */
  readonly #readers: { behind: Slice; resolve: () => void }[] = [];
  #isWriting = false;
  #writing: Promise<void> = Promise.resolve();
  #registersWritten = 0;
  #registersLoaded = 0;
  #writeError: string | null = null;
  #isBackingUp = false;
  #refilling: Promise<void> = Promise.resolve();

  /** `isQueueing`: registers are also marked for MySQL. */
  constructor(store: LevelStore, isQueueing: boolean, environment: StoreEnvironment, events: LevelEngineEvents) {
    this.#retry = new Backoff(RETRY_BASE_MS, RETRY_MS_MAX, environment);
    this.#store = store;
    this.#queue = isQueueing ? new LevelQueue(store) : null;
    this.#held = isQueueing ? new LevelHeld(store, () => environment.monotonicMs()) : null;
    this.#events = events;
  }

  async open(): Promise<readonly TornTail[]> {
    await this.#store.open();
    await this.#queue?.open();
    await this.#held?.open();
    // A failure was told of; what it left is found again.
    if ((await this.#queue?.isRefilling()) === true) this.refill().catch(() => undefined);
    return this.#store.tornTails;
  }

  /** See StoreEngine. */
  async refill(): Promise<void> {
    const queue = this.#queue;
    if (queue === null) return;
    // One that was asked for during another begins anew behind it.
    const refilling = this.#refilling.then(() =>
      this.#watch(queue.requeueAll(this.#closing.signal, () => this.#events.onQueued())),
    );
    this.#refilling = refilling.catch(() => undefined);
    await refilling;
  }

  get status(): LevelStatus {
    return {
      directory: this.#store.directory,
      registersWritten: this.#registersWritten,
      writeError: this.#writeError,
      quarantinedCount: this.#store.quarantine.count,
      quarantined: this.#store.quarantine.samples,
    };
  }

  get queuedCount(): number {
    return this.#queue?.queuedCount ?? 0;
  }

  async load(onRecords: OnRecords): Promise<void> {
    await this.#store.load((records, rowsDone, rowsTotal) => {
      this.#registersLoaded = rowsDone;
      return onRecords(records, rowsDone, rowsTotal);
    });
    this.#events.onChange();
  }

  /**
   * Resolves when the records are synced to disk.
   * @param seen of records that peers bring to MySQL: up to where their streams may be in them
   * @param isGuarded the store may have newer versions, which stay
   */
  write(records: Buffer, seen: readonly RelayedTurn[] | null = null, isGuarded = false): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closing.signal.aborted) {
        reject(closedError());
        return;
      }
      this.#slices.push({ records, seen, isGuarded, resolve, reject });
      if (!this.#isWriting) this.#writing = this.#writeSlices();
    });
  }

  async #writeSlices(): Promise<void> {
    this.#isWriting = true;
    try {
      while (this.#slices.length > 0) {
        const batch = this.#nextBatch();
        await this.#writeBatch(batch);
        for (const { resolve } of batch) resolve();
        this.#slices.splice(0, batch.length);
        this.#settle();
        collectLarge(batch.reduce((bytes, { records }) => bytes + records.length, 0));
      }
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      for (const { reject } of this.#slices.splice(0)) reject(failure);
      this.#settle();
      if (!this.#closing.signal.aborted) this.#events.onFatal(failure);
    } finally {
      this.#isWriting = false;
    }
  }

  #nextBatch(): Slice[] {
    let bytes = 0;
    const count = this.#slices.findIndex(({ records }, index) => {
      bytes += records.length;
      return bytes > BATCH_BYTES_MAX && index > 0;
    });
    return this.#slices.slice(0, count < 0 ? this.#slices.length : count);
  }

  async #writeBatch(batch: Slice[]): Promise<void> {
    const queue = this.#queue;
    const slices = batch.map(({ records }) => records);
    const held = this.#heldPart(batch);
    const isGuarded = batch.some((slice) => slice.isGuarded);
    for (;;) {
      try {
        const count = await this.#store.putNewest(slices, queue, held, isGuarded);
        this.#registersWritten += count;
        this.#setWriteError(null);
        if (queue !== null) this.#events.onQueued();
        return;
      } catch (error) {
        const isTemporary = error instanceof StoreError && (error.kind === 'full' || error.kind === 'unavailable');
        if (!isTemporary) throw error;
        this.#setWriteError(error.message);
      }
      await this.#retry.pause(this.#closing.signal);
      if (this.#closing.signal.aborted) throw closedError();
    }
  }

  #heldPart(batch: Slice[]): HeldPart | null {
    const relayed = batch.filter(({ seen }) => seen !== null);
    const held = this.#held;
    if (held === null || relayed.length === 0) return null;
    const seen = relayed.flatMap((slice) => slice.seen ?? []);
    return { slices: new Set(relayed.map(({ records }) => records)), begin: () => held.beginBatch(seen) };
  }

  heldGenerations(): Promise<HeldGeneration[]> {
    return this.#held?.heldGenerations() ?? Promise.resolve([]);
  }

  readHeld(generation: number, from: Buffer | null): Promise<HeldBatch> {
    return this.#held?.readHeld(generation, from) ?? Promise.resolve({ records: Buffer.alloc(0), next: null });
  }

  async releaseHeld(generation: number, refused: RefusedRow[]): Promise<void> {
    await this.#held?.releaseHeld(generation, refused);
  }

  /** Those who wait for slices that are no longer there go on. */
  #settle(): void {
    for (const waiter of this.#readers.splice(0)) {
      if (this.#slices.includes(waiter.behind)) this.#readers.push(waiter);
      else waiter.resolve();
    }
  }

  /** Gives the registers of keys, as of all writes before the call. */
  async fetch(keys: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    await this.#written();
    await this.#watch(this.#store.fetch(keys, onRecords));
  }

  /** See StoreEngine. */
  async search(hashes: Buffer, from: Buffer | null): Promise<SearchStep> {
    await this.#written();
    return this.#watch(this.#store.search(hashes, from));
  }

  /** Resolves when what was handed to write() before is in the store, or never will be. */
  async #written(): Promise<void> {
    const behind = this.#slices.at(-1);
    if (behind !== undefined) await new Promise<void>((resolve) => void this.#readers.push({ behind, resolve }));
  }

  #setWriteError(message: string | null): void {
    if (message === null) this.#retry.reset();
    const isChanged = this.#writeError !== message;
    this.#writeError = message;
    if (isChanged) this.#events.onChange();
  }

  /** Takes what MySQL gave: newer versions only, and not marked for MySQL. Resolves to those, null when all were. */
  async merge(records: Buffer): Promise<Buffer | null> {
    // Into an empty store everything is newer; looking would cost more than writing.
    const isEmpty = this.#registersLoaded === 0 && this.#registersWritten === 0 && this.#slices.length === 0;
    if (!isEmpty) return this.#store.writeNewer(records);
    await this.#store.putNewest([records], null);
    return null;
  }

  /** Gives what the registers have outlived in the store: see LevelStore. */
  outlived(registers: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    return this.#watch(this.#store.outlived(registers, onRecords));
  }

  /** What was handed to write() before must be durable. */
  removeExactly(registers: Buffer): Promise<void> {
    return this.#watch(this.#store.remove(registers));
  }

  /** A disk that fails is told of; what is full or closed is only the caller's failure. */
  async #watch<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof StoreError && error.kind === 'damaged') this.#events.onFatal(error);
      throw error;
    }
  }

  take(rowsMax: number, bytesMax: number): Promise<QueueBatch | null> {
    return this.#queue?.take(rowsMax, bytesMax) ?? Promise.resolve(null);
  }

  async done(ticket: number, refused: RefusedRow[]): Promise<void> {
    await this.#queue?.done(ticket, refused);
  }

  count(): Promise<number> {
    return Promise.resolve(this.#queue?.countAtMost ?? 0);
  }

  /** Copies the store while it is written; see level-backup.ts. One copy at a time. */
  async backUp(request: BackupRequest): Promise<number> {
    if (this.#isBackingUp) throw new StoreError('unavailable', 'a backup is under way');
    this.#isBackingUp = true;
    try {
      const { directory } = this.#store;
      const folders = { dataDir: dirname(directory), storeFolder: basename(directory) };
      return await backUp(this.#store.database, { ...request, ...folders });
    } finally {
      this.#isBackingUp = false;
    }
  }

  readMeta(name: string): Promise<Buffer | null> {
    return this.#store.readMeta(name);
  }

  writeMeta(name: string, bytes: Buffer): Promise<void> {
    return this.#store.writeMeta(name, bytes);
  }

  /** Finishes the batch under way; slices behind it are rejected. */
  async close(): Promise<void> {
    this.#closing.abort();
    const waiting = this.#slices.splice(this.#isWriting ? this.#nextBatch().length : 0);
    for (const { reject } of waiting) reject(closedError());
    this.#settle();
    await this.#writing;
    await this.#refilling;
    await this.#store.close();
  }
}

function closedError(): StoreError {
  return new StoreError('unavailable', 'the embedded store is closed');
}
