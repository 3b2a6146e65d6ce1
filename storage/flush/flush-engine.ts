/** The durable stores of a node, put together: the embedded store, MySQL, both, with MySQL behind the embedded store's queue. */
import { strict as assert } from 'node:assert';
import { StoreError, type OnRecords } from '../backends/backend.ts';
import type { HeldBatch, HeldGeneration } from '../backends/held-queue.ts';
import type { SearchStep } from '../backends/key-search.ts';
import type { QueueBatch } from '../backends/level-queue.ts';
import { LevelStore } from '../backends/level.ts';
import type { MysqlPool } from '../backends/mysql-connections.ts';
import type { NodeProgress } from '../backends/mysql-progress.ts';
import { MysqlStore, type MysqlStoreOptions, type RefusedRow } from '../backends/mysql.ts';
import { recordsOfKeys, recordsToRemove, sharedDeadlines, withoutKeys } from '../backends/outlived.ts';
import type { TornTail } from '../backends/torn-tail.ts';
import type { StoreEnvironment } from '../environment.ts';
import type { BackupRequest, EngineEvents, EngineOptions, EngineStatus, StoreEngine } from './flush-types.ts';
import { HeldSlices } from './held-slices.ts';
import { LevelEngine } from './level-engine.ts';
import { countRecords, type DrainTarget, MysqlDrainer } from './mysql-drainer.ts';
import type { RelayedTurn } from './relayed-turns.ts';
import type { TakeRecords } from '../tombstones/removals.ts';
import { SliceQueue } from './slice-queue.ts';
import { TableWatch, type WatchedTable } from './table-watch.ts';
import { type ProgressTarget, Takeover } from './takeover.ts';

/** The least time between two status messages that nothing urgent asks for. */
const STATUS_INTERVAL_MS = 100;
const NO_KEYS = Buffer.alloc(0);

/** An embedded store in this thread, or another thread's engine that has one. */
type EmbeddedPart = LevelEngine | StoreEngine;

/** The table of registers in MySQL, as the engine uses it. */
export type MysqlTable = DrainTarget &
  ProgressTarget &
  Pick<MysqlStore, 'load' | 'outlived' | 'remove' | 'isEmpty' | 'fetch'> &
  Partial<Pick<MysqlStore, 'newerThan' | 'findsSums' | 'search'>> &
  WatchedTable;

/** Makes the stores. */
export interface EngineStores {
  level(directory: string, bufferBytes?: number): LevelStore;
  mysql(options: MysqlStoreOptions): MysqlTable;
}

export const realStores: EngineStores = {
  level: (directory, bufferBytes) => new LevelStore({ directory, bufferBytes }),
  mysql: (options) => new MysqlStore(options),
};

export class FlushEngine implements StoreEngine {
  readonly #events: EngineEvents;
  readonly #level: EmbeddedPart | null;
  readonly #slices: SliceQueue | null;
  readonly #mysql: MysqlTable | null;
  readonly #environment: StoreEnvironment;
  readonly #drainer: MysqlDrainer | null;
  /** What peers bring to MySQL, on a node without an embedded store. */
  readonly #heldSlices: HeldSlices | null;
  readonly #takeover: Takeover | null;
  readonly #watch: TableWatch | null;
  #statusTimer: { cancel(): void } | null = null;
  #isClosed = false;

  /**
   * @param target the MySQL to write, when it is written in this thread
   * @param remote the engine that owns the embedded store, when that is another thread's
   */
  constructor(
    options: EngineOptions,
    target: string | MysqlPool | null,
    remote: StoreEngine | null,
    events: EngineEvents,
    environment: StoreEnvironment,
    stores: EngineStores = realStores,
  ) {
    this.#environment = environment;
    this.#events = events;
    const onChange = (): void => this.#noteChange();
    const onFatal = (error: Error): void => events.onFatal(error);
    const { directory, connectTimeoutMs, queryTimeoutMs, backoffMsMax } = options;
    if (remote !== null) this.#level = remote;
    else if (directory === null) this.#level = null;
    else {
      const isQueueing = target !== null || options.isQueueing;
      this.#level = new LevelEngine(stores.level(directory, options.bufferBytes), isQueueing, environment, {
        onChange,
        onQueued: () => this.wake(),
        onFatal,
      });
    }
    this.#mysql = target === null ? null : stores.mysql({ target, connectTimeoutMs, queryTimeoutMs, environment });
    this.#slices = this.#mysql !== null && this.#level === null ? new SliceQueue(() => this.wake()) : null;
    this.#heldSlices = this.#slices === null ? null : new HeldSlices(() => environment.monotonicMs());
    if (this.#mysql === null) {
      this.#drainer = null;
      this.#takeover = null;
      this.#watch = null;
    } else {
      const queue = this.#slices ?? this.#level;
      assert(queue !== null);
      const weigh = ({ records }: QueueBatch): number => (this.#slices === null ? countRecords(records) : 1);
      const drainer = new MysqlDrainer(this.#watched(this.#mysql), queue, {
        environment,
        backoffMsMax,
        weigh,
        onChange,
        onFatal,
      });
      this.#drainer = drainer;
      this.#watch = new TableWatch(this.#mysql, {
        environment,
        isUp: () => drainer.isUp,
        onLoss: () => this.#refillMysql(),
      });
      const held = this.#heldSlices ?? this.#level;
      assert(held !== null);
      this.#takeover = new Takeover(this.#mysql, held, {
        environment,
        afterMs: options.takeoverMs,
        isUp: () => drainer.isUp,
        isFull: () => this.#heldSlices?.isFull === true,
        onChange,
        onFatal,
      });
    }
  }

  /** The store for the drainer, which opens it each time that it is back: it may have lost everything meanwhile. */
  #watched(store: MysqlTable): DrainTarget {
    return {
      get server() {
        return store.server;
      },
      refused: store.refused,
      quarantine: store.quarantine,
      writeRows: async (records) => {
        const refused = await store.writeRows(records);
        if (refused.length === 0) this.#watch?.written(records);
        return refused;
      },
      close: () => store.close(),
      open: async () => {
        await store.open();
        if (await store.isEmpty()) this.#refillMysql();
      },
    };
  }

  /** MySQL has lost what it had. The embedded store has all of it, with what memory has evicted; without one memory has. */
  #refillMysql(): void {
    if (this.#level === null) {
      this.#events.onEmptied();
      return;
    }
    this.refill().catch((error: unknown) => {
      // A store that is closed meanwhile finds at its next start that this was begun.
      if (!(error instanceof StoreError)) this.#events.onFatal(error as Error);
    });
  }

  async refill(): Promise<void> {
    await this.#level?.refill();
    this.wake();
  }

  async open(): Promise<readonly TornTail[]> {
    const tornTails = (await this.#level?.open()) ?? [];
    if (this.#mysql === null || this.#drainer === null) return tornTails;
    let isUp = true;
    try {
      await this.#mysql.open();
      if (await this.#mysql.isEmpty()) this.#refillMysql();
    } catch (error) {
      if (!(error instanceof StoreError) || error.kind !== 'unavailable') {
        await this.#mysql.close();
        await this.#level?.close();
        throw error;
      }
      isUp = false;
      this.#drainer.noteFailure(error);
    }
    this.#drainer.start(isUp);
    this.#takeover?.start();
    this.#watch?.start();
    this.#noteChange();
    return tornTails;
  }

  async load(store: 'level' | 'mysql', stampMsMax: number, onRecords: OnRecords): Promise<void> {
    if (store === 'level') {
      if (this.#level instanceof LevelEngine) await this.#level.load(onRecords);
      else await this.#level?.load('level', stampMsMax, onRecords);
      return;
    }
    assert(this.#mysql !== null && this.#drainer !== null, 'there is no MySQL to load');
    // The drainer keeps looking for it; waiting for a second timeout here would only delay the start.
    if (this.#drainer.isDown)
      throw new StoreError('unavailable', this.#drainer.status.lastError ?? 'MySQL does not answer');
    try {
      await this.#mysql.load((records, rowsDone, rowsTotal) => {
        this.#watch?.loaded(records);
        return onRecords(records, rowsDone, rowsTotal);
      }, stampMsMax);
    } catch (error) {
      if (error instanceof StoreError && error.kind === 'unavailable') this.#drainer.noteFailure(error);
      throw error;
    }
  }

  async write(records: Buffer, seen: readonly RelayedTurn[] | null = null, isGuarded = false): Promise<void> {
    this.#watch?.stored(records);
    if (this.#level === null) {
      if (seen === null) await this.#slices?.write(records);
      else await this.#heldSlices?.hold(records, seen);
      return;
    }
    await this.#level.write(records, seen, isGuarded);
    // An embedded store in another thread does not say that its queue has grown.
    this.wake();
  }

  /** From the embedded store, which has all that this node ever merged, or from MySQL where there is none. */
  async fetch(keys: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    if (this.#level === null) await this.#drainer?.drained();
    await (this.#level ?? this.#mysql)?.fetch(keys, onRecords);
  }

  async search(hashes: Buffer, from: Buffer | null): Promise<SearchStep> {
    if (this.#level === null) await this.#drainer?.drained();
    const store = this.#level ?? this.#mysql;
    if (store?.search === undefined) throw new StoreError('refused', 'the store cannot be searched for keys');
    return store.search(hashes, from);
  }

  async merge(records: Buffer): Promise<Buffer | null> {
    return (await this.#level?.merge(records)) ?? null;
  }

  async remove(registers: Buffer, stampMsMax: number, onNewer: TakeRecords): Promise<Buffer> {
    await this.#drainer?.drained();
    await this.#heldSlices?.settled();
    const work = async (): Promise<Buffer> => {
      const deadlines = sharedDeadlines(registers);
      const moved = deadlines.length === 0 ? NO_KEYS : ((await this.#mysql?.newerThan?.(deadlines)) ?? NO_KEYS);
      const going = moved.length === 0 ? registers : withoutKeys(registers, moved);
      await this.outlived(going, (records) => this.removeExactly(records));
      const staying = Buffer.concat([moved, await this.#removeOutlivedRows(going)]);
      const rest = recordsToRemove(going, staying);
      if (rest.length > 0) await this.removeExactly(rest);
      if (staying.length > 0) await this.#mysql?.fetch(staying, onNewer, stampMsMax);
      return staying;
    };
    return this.#takeover === null ? work() : this.#takeover.exclusive(work);
  }

  async outlived(registers: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    await this.#level?.outlived(registers, onRecords);
  }

  /**
   * Others write the table, too: it may have rows of these keys that the embedded store never had, of a node that is gone. Beside an
   * embedded store it is not asked for FLOORs, what they cover stays dead under them; nor for elements where it would read all rows of
   * a collection for each few of them. Gives the keys that have to stay.
   */
  async #removeOutlivedRows(registers: Buffer): Promise<Buffer> {
    const asked = this.#level === null ? registers : recordsOfKeys(registers, this.#mysql?.findsSums === true);
    if (this.#mysql === null || asked.length === 0) return NO_KEYS;
    return this.#mysql.outlived(asked, (records) => this.removeExactly(records));
  }

  /** MySQL first: what is still in the embedded store is found there again. */
  async removeExactly(registers: Buffer): Promise<void> {
    this.#watch?.forget(registers);
    await this.#mysql?.remove(registers);
    await this.#level?.removeExactly(registers);
  }

  async drained(): Promise<void> {
    await this.#drainer?.drained();
  }

  async readMeta(name: string): Promise<Buffer | null> {
    return (await this.#level?.readMeta(name)) ?? null;
  }

  async writeMeta(name: string, bytes: Buffer): Promise<void> {
    await this.#level?.writeMeta(name, bytes);
  }

  async take(rowsMax: number, bytesMax: number): Promise<QueueBatch | null> {
    return (await this.#level?.take(rowsMax, bytesMax)) ?? null;
  }

  async done(ticket: number, refused: RefusedRow[]): Promise<void> {
    await this.#level?.done(ticket, refused);
  }

  async backUp(request: BackupRequest): Promise<number> {
    if (this.#level === null) throw new StoreError('refused', 'there is no embedded store to copy: data-dir is none');
    return this.#level.backUp(request);
  }

  report(progress: NodeProgress): Promise<void> {
    this.#takeover?.report(progress);
    return Promise.resolve();
  }

  async leave(progress: NodeProgress | null): Promise<void> {
    if (progress !== null) this.#takeover?.report(progress);
    await this.#takeover?.noteNow();
    if (this.#heldSlices !== null) await this.#takeover?.takeAll();
  }

  async heldGenerations(): Promise<HeldGeneration[]> {
    return (await (this.#heldSlices ?? this.#level)?.heldGenerations()) ?? [];
  }

  async readHeld(generation: number, from: Buffer | null): Promise<HeldBatch> {
    const queue = this.#heldSlices ?? this.#level;
    assert(queue !== null, 'nothing is held');
    return queue.readHeld(generation, from);
  }

  async releaseHeld(generation: number, refused: RefusedRow[]): Promise<void> {
    await (this.#heldSlices ?? this.#level)?.releaseHeld(generation, refused);
  }

  async count(): Promise<number> {
    return (await (this.#slices ?? this.#level)?.count()) ?? 0;
  }

  /** New markers wait for MySQL. */
  wake(): void {
    this.#drainer?.wake();
    this.#noteChange();
  }

  /** Status goes out in bundles: it changes with every batch. */
  #noteChange(): void {
    if (this.#statusTimer !== null || this.#isClosed) return;
    this.#statusTimer = this.#environment.setTimer(STATUS_INTERVAL_MS, () => {
      this.#statusTimer = null;
      void this.#sendStatus();
    });
  }

  async #sendStatus(): Promise<void> {
    const mysql =
      this.#drainer === null
        ? null
        : {
            ...this.#drainer.status,
            queuedCount: 0,
            heldGenerations: this.#takeover?.heldGenerations ?? 0,
            rowsTakenOver: this.#takeover?.rowsTakenOver ?? 0,
          };
    try {
      if (mysql !== null)
        mysql.queuedCount = this.#level instanceof LevelEngine ? this.#level.queuedCount : await this.count();
    } catch {
      // The queue's owner is closed, and with it the need for a count.
    }
    const level = this.#level instanceof LevelEngine ? this.#level.status : null;
    if (!this.#isClosed) this.#events.onStatus({ level, mysql } satisfies EngineStatus);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#statusTimer?.cancel();
    this.#watch?.close();
    this.#heldSlices?.close();
    // The drainer closes the connections, which is what ends work under way.
    await Promise.all([this.#takeover?.close(), this.#drainer?.close()]);
    this.#slices?.close();
    await this.#level?.close();
  }
}
