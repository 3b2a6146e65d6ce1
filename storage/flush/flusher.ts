/**
 * The flusher: what is dirty in memory goes to the durable stores, every `flushIntervalMs` and at close, in slices that never
 * hold the event loop. The stores are owned by a worker thread; only an application's own mysql2 pool, which cannot
 * cross threads, is used in this one.
 */
import { join } from 'node:path';
import { RecordWriter } from '../../protocol/change-record.ts';
import { StoreError, type OnRecords } from '../backends/backend.ts';
import type { SearchStep } from '../backends/key-search.ts';
import { isDurableStore, OwnTable } from '../backends/own-table.ts';
import type { TornTail } from '../backends/torn-tail.ts';
import { Backoff } from './backoff.ts';
import type { NodeProgress } from '../backends/mysql-progress.ts';
import { FlushEngine, realStores } from './flush-engine.ts';
import type { FlusherOptions } from './flusher-options.ts';
import type {
  BackupRequest,
  EngineEvents,
  EngineOptions,
  EngineStatus,
  FlusherStatus,
  FlushSource,
  FlushTime,
  LevelStatus,
  MysqlStatus,
  SmallFacts,
  StoreEngine,
  TakeRows,
} from './flush-types.ts';
import { InFlight } from './in-flight.ts';
import type { RelayedTurn } from './relayed-turns.ts';
import { RemoteEngine } from './remote-engine.ts';
import type { TakeRecords } from '../tombstones/removals.ts';
import { untilBrought } from './takeover.ts';
import type { StoreName, VerifiedStores } from '../verification/verification.ts';
import { within } from './within.ts';

export type { FlusherStatus, FlushSource, FlushTime, LevelStatus, MysqlStatus } from './flush-types.ts';

/** Folder of LevelDB inside the data directory, so that other things have room beside it. */
export const LEVEL_FOLDER = 'registers';
/** Encoding this much takes a quarter to half a millisecond, the longest that the event loop is held. */
const SLICE_BYTES = 64 << 10;
/** Without an embedded store, which gathers slices, each one is a transaction of MySQL's: then they are larger, and take 2 to 4 ms. */
const MYSQL_SLICE_BYTES = 512 << 10;
/** The last record of a slice goes beyond its bytes. */
const SLICE_ROOM_BYTES = 8 << 10;
/** A group commit of a few writes must not cost a large buffer. */
const SLICE_BYTES_MIN = 4 << 10;
const RECORD_BYTES_GUESS = 160;
const REPORT_MS_MIN = 500;
const TAKEOVER_MS = 10_000;
const BYTES_IN_FLIGHT_MAX = 3 << 20;
const TICK_MS_MAX = 100;
const LOAD_RETRY_BASE_MS = 200;
const LOAD_RETRY_MS_MAX = 5_000;
/** Part of the shutdown timeout that is kept for closing the stores. */
const CLOSE_RESERVE_MS = 300;

export class Flusher {
  /** Told of what no retry can mend: the stores must not be relied upon any more. */
  onError: (error: Error) => void = () => undefined;
  /** Called when a flush begins; what it gives back is called when all that was dirty then is durable. */
  onFlush: () => (() => void) | null = () => null;
  /** What was left out at the end of the embedded store's logs when it was opened. */
  tornTails: readonly TornTail[] = [];
  /** Small facts that survive a restart in the embedded store; without one they are not kept. */
  readonly meta: SmallFacts;
  /** May be changed at any time. */
  flushIntervalMs: number;
  readonly #options: FlusherOptions;
  readonly #source: FlushSource;
  readonly #time: FlushTime;
  readonly #engine: StoreEngine;
  readonly #worker: RemoteEngine | null;
  readonly #closing = new AbortController();
  readonly #inFlight = new InFlight();
  #level: LevelStatus | null = null;
  #mysql: MysqlStatus | null = null;
  #isMysqlLoadPending = false;
  #timer: { cancel(): void } | null = null;
  #pulling: Promise<void> | null = null;
  #flushedTotal = 0;
  #flushesCompleted = 0;
  #lastFlushStartMs = 0;
  #lastFlushAtMs: number | null = null;
  #lastFlushDurationMs = 0;
  #failure: Error | null = null;
  #isStarted = false;
  #isRefillDue = false;
  #isReporting = false;
  #lastReportMs = 0;
  #reported = '';

  constructor(options: FlusherOptions, source: FlushSource, time: FlushTime) {
    this.#options = options;
    this.flushIntervalMs = options.flushIntervalMs;
    this.#source = source;
    this.#time = time;
    const { dataDir, mysql } = options;
    const url = typeof mysql === 'string' ? mysql : null;
    const pool = typeof mysql === 'string' ? null : mysql;
    const engineOptions: EngineOptions = {
      directory: dataDir === null ? null : join(dataDir, LEVEL_FOLDER),
      bufferBytes: options.bufferBytes,
      mysqlUrl: url,
      isQueueing: pool !== null,
      connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
      queryTimeoutMs: options.queryTimeoutMs ?? 60_000,
      backoffMsMax: options.backoffMsMax ?? 10_000,
      takeoverMs: options.takeoverMs ?? TAKEOVER_MS,
    };
    const events: EngineEvents = {
      onStatus: (status) => this.#noteStatus(status),
      onEmptied: () => this.#refill(),
      onFatal: (error) => this.#fail(error),
    };
    const { makeEngine, environment } = options;
    if (makeEngine !== undefined) {
      this.#worker = null;
      this.#engine = makeEngine(engineOptions, events, environment);
    } else {
      this.#worker = dataDir === null && url === null ? null : new RemoteEngine(engineOptions, events);
      // Either the worker has it all, or MySQL is written here, in front of what the worker has.
      this.#engine = pool === null && this.#worker !== null ? this.#worker : this.#engineHere(engineOptions, events);
    }
    const engine = this.#engine;
    this.meta = {
      get: (name) => engine.readMeta(name),
      set: (name, bytes) => engine.writeMeta(name, bytes),
    };
  }

  /** An engine in this thread, with a pool or a store of the application's own, in front of the embedded store. */
  #engineHere(options: EngineOptions, events: EngineEvents): StoreEngine {
    const { mysql, environment } = this.#options;
    const here = { ...options, directory: null };
    if (mysql === null || typeof mysql === 'string' || !isDurableStore(mysql)) {
      const pool = typeof mysql === 'string' ? null : mysql;
      return new FlushEngine(here, pool, this.#worker, events, environment);
    }
    const stores = { ...realStores, mysql: () => new OwnTable(mysql) };
    return new FlushEngine(here, mysql.name, this.#worker, events, environment, stores);
  }

  /** Whether peers bring their own changes to the database that all share. */
  get #isShared(): boolean {
    const { mysql } = this.#options;
    return mysql !== null && (typeof mysql === 'string' || !isDurableStore(mysql));
  }

  /** Opens the stores. Rejects with a StoreError that says what to do; MySQL that does not answer is no reason to. */
  async open(): Promise<void> {
    try {
      this.tornTails = await this.#engine.open();
    } catch (error) {
      this.#closing.abort();
      await this.#worker?.terminate();
      throw error;
    }
  }

  /**
   * Gives all that the stores hold, the embedded store first, for merging into memory. When MySQL does not answer: with an
   * embedded store that was served, its rows are given later, when it does; without one, this waits for it, and rejects when the
   * flusher is closed first.
   * @param onProgress registers so far and (about) in all, of the store that is being read
   * @param takeRows takes what MySQL holds, where it is not to be merged like the rest: others write and restore it, too
   */
  async hydrate(
    onRecords: OnRecords,
    onProgress: (done: number, total: number) => void = () => undefined,
    takeRows: TakeRows = (records, keep, ...rows) => (keep(records), onRecords(records, ...rows)),
  ): Promise<void> {
    const { dataDir, mysql } = this.#options;
    if (dataDir !== null) {
      await this.#engine.load('level', this.#stampMsMax(), async (records, rowsDone, rowsTotal) => {
        await onRecords(records, rowsDone, rowsTotal);
        onProgress(rowsDone, rowsTotal);
      });
    }
    if (mysql === null) return;
    const hand: TakeRows = async (records, keep, rowsDone, rowsTotal) => {
      await takeRows(records, keep, rowsDone, rowsTotal);
      onProgress(rowsDone, rowsTotal);
    };
    const isLoaded = await this.#loadMysql(hand, dataDir === null);
    if (isLoaded) return;
    if (dataDir === null) throw new StoreError('unavailable', 'closed before MySQL answered');
    this.#isMysqlLoadPending = true;
    this.#loadMysql(hand, true).then(
      () => (this.#isMysqlLoadPending = false),
      (error: unknown) => this.#fail(error),
    );
  }

  #stampMsMax(): number {
    return this.#options.environment.nowMs() + (this.#options.futureMsMax?.() ?? 3_600_000);
  }

  /** False when MySQL does not answer, and nobody wants to wait until it does or the flusher is closed. */
  async #loadMysql(takeRows: TakeRows, isPatient: boolean): Promise<boolean> {
    const retry = new Backoff(LOAD_RETRY_BASE_MS, LOAD_RETRY_MS_MAX, this.#options.environment);
    while (!this.#closing.signal.aborted) {
      let keeping = Promise.resolve();
      const keep = (records: Buffer): Promise<Buffer | null> => {
        const kept = this.#engine.merge(records);
        // Without what they resolve to, which would be held until all is loaded.
        keeping = Promise.all([keeping, kept]).then(() => undefined);
        // A failure is met with the next rows, or behind the last.
        keeping.catch(() => undefined);
        return kept;
      };
      try {
        await this.#engine.load('mysql', this.#stampMsMax(), async (records, rowsDone, rowsTotal) => {
          await keeping;
          await takeRows(records, keep, rowsDone, rowsTotal);
        });
        await keeping;
        return true;
      } catch (error) {
        if (!(error instanceof StoreError) || error.kind === 'damaged') throw error;
        if (!isPatient) return false;
      }
      await retry.pause(this.#closing.signal);
    }
    return false;
  }

  /** Begins to flush: after hydrate(), because only then memory is at least as new as the embedded store. */
  start(): void {
    this.#isStarted = true;
    if (this.#isRefillDue) this.#refill();
    this.#schedule();
  }

  /** MySQL has nothing: everything that memory has is for it. */
  #refill(): void {
    this.#isRefillDue = !this.#isStarted;
    if (this.#isStarted) this.#source.markEverything?.();
  }

  #schedule(): void {
    if (this.#closing.signal.aborted) return;
    const tickMs = Math.max(1, Math.min(this.flushIntervalMs / 4, TICK_MS_MAX));
    this.#timer = this.#time.setTimer(tickMs, () => {
      this.#flushWhenDue();
      this.#reportWhenDue();
      this.#schedule();
    });
  }

  #flushWhenDue(): void {
    const { dirtyCount } = this.#source;
    if (dirtyCount === 0 || this.#pulling !== null) return;
    const { dirtyCountMax = 200_000 } = this.#options;
    // Begun at half the interval, and earlier when the last one took long, so that it is done within what was promised.
    const delayMs = Math.max(this.flushIntervalMs / 8, this.flushIntervalMs / 2 - this.#lastFlushDurationMs);
    const isDue = this.#time.monotonicMs() - this.#lastFlushStartMs >= delayMs;
    // A failure was told to onError already.
    if (isDue || dirtyCount >= dirtyCountMax) this.flushNow().catch(() => undefined);
  }

  #reportWhenDue(): void {
    const nowMs = this.#time.monotonicMs();
    if (this.#options.mysql === null || this.#isReporting) return;
    if (nowMs - this.#lastReportMs < Math.max(this.flushIntervalMs, REPORT_MS_MIN)) return;
    const progress = this.#source.published?.() ?? null;
    if (progress === null) return;
    this.#isReporting = true;
    this.#lastReportMs = nowMs;
    // Closed or failed meanwhile there is nothing to be told.
    this.#report(progress)
      .catch(() => undefined)
      .finally(() => (this.#isReporting = false));
  }

  /** What was published was dirty before: once that is in MySQL, the others need not bring it. */
  async #report(progress: NodeProgress): Promise<void> {
    if (progress.stamp !== this.#reported) {
      await this.flushNow();
      await this.#engine.drained();
    }
    this.#reported = progress.stamp;
    await this.#engine.report(progress);
  }

  /**
   * Resolves when all that was dirty at the call is durable: in the embedded store, or in MySQL where there is no embedded one.
   * Waits as long as a store is full or away. Rejects when the stores cannot be relied upon any more, or are closed first.
   */
  async flushNow(): Promise<void> {
    const startedMs = this.#time.monotonicMs();
    this.#lastFlushStartMs = startedMs;
    const onDurable = this.onFlush();
    const isDrained = this.#source.noteDirty();
    while (!isDrained() && this.#source.dirtyCount > 0) await this.#pull();
    await this.#inFlight.all();
    if (this.#failure !== null) throw this.#failure;
    onDurable?.();
    this.#flushesCompleted++;
    this.#lastFlushAtMs = this.#options.environment.nowMs();
    this.#lastFlushDurationMs = this.#time.monotonicMs() - startedMs;
  }

  /** Whether all that memory has is durable, as flushNow() makes it. */
  get isClean(): boolean {
    return this.#source.dirtyCount === 0 && this.#inFlight.size === 0 && this.#failure === null;
  }

  /** Whether there is a MySQL, or another store in its place. */
  get hasDatabase(): boolean {
    return this.#options.mysql !== null;
  }

  /** Whether registers can be taken out of the stores: not before all of them were merged, nor when they fail. */
  get canRemove(): boolean {
    return !this.#isMysqlLoadPending && this.#failure === null && !this.#closing.signal.aborted;
  }

  /**
   * Takes registers, whose versions were drained and handed over, out of the stores, with what they have outlived there (see
   * StoreEngine). Resolves when they are gone, which may take as long as MySQL is away, to the keys (key-names.ts) that had to stay;
   * rejects when it is to be tried again.
   */
  async remove(registers: Buffer, onNewer: TakeRecords): Promise<Buffer> {
    await this.#inFlight.all();
    if (!this.canRemove) throw new StoreError('unavailable', 'the durable stores are not ready');
    return this.#engine.remove(registers, this.#stampMsMax(), onNewer);
  }

  /**
   * Gives all that the stores have of keys (see DurableStore), with everything that was drained before the call. Rejects with a
   * StoreError; does not answer as long as a store is full or away.
   */
  async fetch(keys: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    await this.#engine.fetch(keys, onRecords);
  }

  /** A step of a search for keys by their hashes: see StoreEngine. */
  async search(hashes: Buffer, from: Buffer | null): Promise<SearchStep> {
    if (this.#failure !== null) throw this.#failure;
    return this.#engine.search(hashes, from);
  }

  /** Hands dirty registers to the engine until what was dirty has been pulled; calls at the same time share one round. */
  #pull(): Promise<void> {
    this.#pulling ??= this.#pullSlices().finally(() => (this.#pulling = null));
    return this.#pulling;
  }

  async #pullSlices(): Promise<void> {
    const isDrained = this.#source.noteDirty();
    // Without MySQL nobody brings anything there.
    const relayedTurns = this.#isShared ? (this.#source.relayed ?? null) : null;
    relayedTurns?.beginRound();
    const expectedBytes = this.#source.dirtyCount * RECORD_BYTES_GUESS;
    const sliceBytes = this.#options.dataDir === null ? MYSQL_SLICE_BYTES : SLICE_BYTES;
    const inFlightMax = BYTES_IN_FLIGHT_MAX / sliceBytes;
    const writer = new RecordWriter(Math.min(Math.max(expectedBytes, SLICE_BYTES_MIN), sliceBytes + SLICE_ROOM_BYTES));
    const relayed = relayedTurns === null ? writer : new RecordWriter(SLICE_BYTES_MIN);
    while (!isDrained()) {
      // A store that does not keep up stops the pulling; what is dirty meanwhile coalesces in memory.
      while (this.#inFlight.size >= inFlightMax || this.#inFlight.bytes >= BYTES_IN_FLIGHT_MAX)
        await this.#inFlight.one();
      if (this.#source.untilWhole) await this.#source.untilWhole;
      if (this.#failure !== null) throw this.#failure;
      const count = this.#source.drainDirty(writer, sliceBytes, relayed);
      if (count === 0) return;
      const isGuarded = this.#source.drainedOutdated === true;
      if (relayed !== writer && relayed.length > 0) this.#send(relayed.take(), 0, relayedTurns?.seen(), isGuarded);
      if (writer.length > 0) this.#send(writer.take(), count, null, isGuarded);
      await new Promise<void>((resolve) => this.#time.defer(resolve));
    }
  }

  #send(records: Buffer, count: number, seen: readonly RelayedTurn[] | null = null, isGuarded: boolean): void {
    const { length } = records;
    const sent = this.#engine.write(records, seen, isGuarded).then(
      () => void (this.#flushedTotal += count),
      (error: unknown) => this.#fail(error),
    );
    this.#inFlight.add(sent, count, length);
  }

  #fail(error: unknown): void {
    if (this.#failure !== null) return;
    this.#failure = error instanceof Error ? error : new Error(String(error));
    // Whoever closes the flusher early knows that something was left over.
    if (!this.#closing.signal.aborted) this.onError(this.#failure);
  }

  /** The stores for a verification. @throws StoreError while their content is not merged, or while MySQL does not answer */
  verified(): VerifiedStores {
    const { dataDir, mysql, takeoverMs = TAKEOVER_MS } = this.#options;
    if (this.#isMysqlLoadPending || this.#mysql?.state === 'down')
      throw new StoreError('unavailable', `MySQL does not answer: ${this.#mysql?.lastError ?? 'not yet'}`);
    const names: StoreName[] = [
      ...(dataDir === null ? [] : ['level' as const]),
      ...(mysql === null ? [] : ['mysql' as const]),
    ];
    return {
      names,
      settle: async () => {
        await this.flushMysqlNow();
        if (mysql !== null) await untilBrought(this.#engine, this.#time, 3 * takeoverMs, this.#closing.signal);
      },
      read: (store, onRecords) => this.#engine.load(store, this.#stampMsMax(), onRecords),
    };
  }

  /** Copies the embedded store, with all that was dirty at the call, into a new data directory; resolves to the number of entries. */
  async backUp(request: BackupRequest): Promise<number> {
    await this.flushNow();
    return this.#engine.backUp(request);
  }

  /** Resolves when MySQL has all that was dirty at the call; at once without MySQL. Rejects with a StoreError after timeoutMs. */
  async flushMysqlNow(timeoutMs = Number.POSITIVE_INFINITY): Promise<void> {
    const startedMs = this.#time.monotonicMs();
    await within(this.#time, this.flushNow(), timeoutMs);
    if (this.#options.mysql === null) return;
    await within(this.#time, this.#engine.drained(), timeoutMs - (this.#time.monotonicMs() - startedMs));
  }

  /** Resolves when MySQL has all that the stores had at the call, also what peers were to bring there. Rejects when it is closed. */
  async brought(): Promise<void> {
    await this.#engine.drained();
    await untilBrought(this.#engine, this.#time, Number.POSITIVE_INFINITY, this.#closing.signal);
  }

  /**
   * Flushes a last time and closes the stores, within timeoutMs whatever they do; 0 = without flushing. Resolves to whether
   * everything was durable. What MySQL has not got yet stays queued in the embedded store.
   * @param onDurable called in between, when everything is durable: what it notes holds only then
   */
  async close(timeoutMs: number, onDurable?: (meta: SmallFacts) => Promise<void>): Promise<boolean> {
    if (this.#closing.signal.aborted) return this.#source.dirtyCount === 0;
    const endMs = this.#time.monotonicMs() + timeoutMs;
    const leftMs = (): number => Math.max(0, endMs - CLOSE_RESERVE_MS - this.#time.monotonicMs());
    this.#timer?.cancel();
    let isDurable = false;
    if (timeoutMs > 0) {
      try {
        await within(this.#time, this.flushNow(), leftMs());
        isDurable = true;
        if (onDurable !== undefined) await within(this.#time, onDurable(this.meta), leftMs());
        // A MySQL that is away is not waited for when the embedded store has everything.
        const isWorthWaiting =
          this.#options.mysql !== null && (this.#options.dataDir === null || this.#mysql?.state === 'up');
        const published = this.#source.published?.() ?? null;
        if (isWorthWaiting) {
          await within(this.#time, this.#engine.drained(), leftMs());
          await within(this.#time, this.#engine.leave(published), leftMs());
        }
      } catch {
        // Not in time, or not at all; the result says so, and status() why.
      }
    }
    this.#closing.abort();
    this.#timer?.cancel();
    try {
      await within(this.#time, this.#engine.close(), Math.max(CLOSE_RESERVE_MS, endMs - this.#time.monotonicMs()));
    } catch {
      // The stores hang: the worker is ended as it is. A synced batch stays, a half-written one was never acknowledged.
      await this.#worker?.terminate();
    }
    return isDurable;
  }

  #noteStatus(status: EngineStatus): void {
    if (status.level !== null) this.#level = status.level;
    if (status.mysql !== null) this.#mysql = status.mysql;
  }

  /** For INFO, metrics and the decision to refuse writes; the stores' part is at most about 100 ms old. */
  status(): FlusherStatus {
    return {
      dirtyCount: this.#source.dirtyCount,
      registersInFlight: this.#inFlight.registers,
      registersFlushed: this.#flushedTotal,
      flushesCompleted: this.#flushesCompleted,
      lastFlushAtMs: this.#lastFlushAtMs,
      lastFlushDurationMs: this.#lastFlushDurationMs,
      writeError: this.#level?.writeError ?? null,
      level: this.#level,
      mysql: this.#mysql,
      isMysqlLoadPending: this.#isMysqlLoadPending,
    };
  }
}
