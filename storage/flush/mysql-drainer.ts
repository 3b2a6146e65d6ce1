/**
 * Carries queued registers into MySQL, oldest first, for as long as the node runs. While MySQL is away it tries again with
 * jittered pauses and loses nothing: a batch stays in the queue until MySQL has it.
 */
import { StoreError } from '../backends/backend.ts';
import type { QueueBatch } from '../backends/level-queue.ts';
import type { MysqlStore, RefusedRow } from '../backends/mysql.ts';
import { collectLarge } from '../backends/large-garbage.ts';
import { Backoff } from './backoff.ts';
import type { StoreEnvironment } from '../environment.ts';
import type { DrainQueue, MysqlStatus } from './flush-types.ts';
import { reasonOf } from '../backends/reason.ts';

const ROWS_A_BATCH = 4000;
const BATCH_BYTES = 2 << 20;
/** Statements that run at the same time: one core of the server is busy with each. */
const CARRIERS = 2;
const RETRY_BASE_MS = 100;

interface Waiter {
  sequence: number;
  /** Batches or registers that were queued before the wait began, and are still to be done. */
  left: number;
  resolve: () => void;
}

export interface MysqlDrainerOptions {
  environment: StoreEnvironment;
  backoffMsMax: number;
  /** How a batch counts for drained(): its registers, or 1 where the queue counts slices. */
  weigh: (batch: QueueBatch) => number;
  onChange: () => void;
  /** The queue cannot be read any more. */
  onFatal: (error: Error) => void;
}

interface BatchUnderWay {
  weight: number;
  /** Milliseconds since 1970. */
  takenAtMs: number;
  /** The queue is being told that it is done, and may not count it any more. */
  isFinishing: boolean;
  isDone: boolean;
}

interface Taken {
  batch: QueueBatch | null;
  entry: BatchUnderWay;
  /** Waiters up to this one have nothing in the queue when there is no batch. */
  waiterSequence: number;
}

/** What the drainer needs of the MySQL store. */
export type DrainTarget = Pick<MysqlStore, 'server' | 'refused' | 'quarantine' | 'open' | 'writeRows' | 'close'>;

export class MysqlDrainer {
  readonly #store: DrainTarget;
  readonly #queue: DrainQueue;
  readonly #options: MysqlDrainerOptions;
  readonly #retry: Backoff;
  readonly #closing = new AbortController();
  #state: MysqlStatus['state'] = 'connecting';
  #rowsWritten = 0;
  #lastError: string | null = null;
  #lastErrorAtMs: number | null = null;
  #waiters: Waiter[] = [];
  #waiterSequence = 0;
  #lastTake: Promise<unknown> = Promise.resolve();
  /** Batches out of the queue, in its order. */
  #underWay: BatchUnderWay[] = [];
  /** Times that wake() was called. */
  #wakes = 0;
  #sleepers: (() => void)[] = [];
  #running: Promise<unknown> = Promise.resolve();

  constructor(store: DrainTarget, queue: DrainQueue, options: MysqlDrainerOptions) {
    this.#store = store;
    this.#queue = queue;
    this.#options = options;
    this.#retry = new Backoff(RETRY_BASE_MS, options.backoffMsMax, options.environment);
    this.#closing.signal.addEventListener('abort', () => this.wake(), { once: true });
  }

  /** What queues hold is left to whoever owns them. */
  get status(): Omit<MysqlStatus, 'queuedCount' | 'heldGenerations' | 'rowsTakenOver'> {
    const { refused, quarantine, server } = this.#store;
    return {
      server,
      state: this.#state,
      rowsWritten: this.#rowsWritten,
      lastError: this.#lastError,
      lastErrorAtMs: this.#lastErrorAtMs,
      waitingSinceMs: this.#underWay[0]?.takenAtMs ?? null,
      refusedCount: refused.count,
      refused: refused.samples,
      quarantinedCount: quarantine.count,
      quarantined: quarantine.samples,
    };
  }

  /** `isUp`: the store was opened already. */
  start(isUp: boolean): void {
    if (isUp) this.#state = 'up';
    this.#running = Promise.all(Array.from({ length: CARRIERS }, () => this.#carry()));
  }

  /** Something was queued. */
  wake(): void {
    this.#wakes++;
    for (const wakeUp of this.#sleepers.splice(0)) wakeUp();
  }

  /** Told by others who talk to MySQL that it did not answer. */
  noteFailure(error: unknown): void {
    this.#lastError = reasonOf(error);
    this.#lastErrorAtMs = this.#options.environment.nowMs();
    this.#state = 'down';
    this.#options.onChange();
    // Asleep it would not look for MySQL's return.
    this.wake();
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  get isDown(): boolean {
    return this.#state === 'down';
  }

  /** Resolves when MySQL has everything that was queued before the call. */
  async drained(): Promise<void> {
    let left = await this.#queue.count();
    // They are still to be settled, and would settle what came after them: rather too many than too few.
    for (const { weight, isFinishing } of this.#underWay) if (isFinishing) left += weight;
    if (left === 0) return;
    await new Promise<void>((resolve) => {
      this.#waiters.push({ sequence: ++this.#waiterSequence, left, resolve });
      this.wake();
    });
  }

  /** One of the carriers: takes a batch, writes it, and says so, over and over. */
  async #carry(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      const wakesBefore = this.#wakes;
      const taken = await this.#fromQueue(this.#take(), () => this.#take());
      if (taken === null) return;
      const { batch, entry } = taken;
      if (batch === null) {
        // What another carrier is writing is not in MySQL yet; that one will come here, too.
        if (this.#underWay.length === 0) this.#settle(Number.POSITIVE_INFINITY, taken.waiterSequence);
        await this.#sleep(wakesBefore);
        continue;
      }
      const refused = await this.#attempt(() => this.#write(batch));
      if (refused === null) return;
      entry.isFinishing = true;
      const done = (): Promise<void> => this.#queue.done(batch.ticket, refused);
      await this.#fromQueue(done(), done);
      entry.isDone = true;
      this.#settleOldest();
      collectLarge(batch.records.length);
    }
  }

  /** A waiter's registers lie in the oldest batches: a younger batch that is done first must not count for it. */
  #settleOldest(): void {
    while (this.#underWay[0]?.isDone === true) this.#settle(this.#underWay.shift()!.weight, Number.POSITIVE_INFINITY);
  }

  /** Takes the next batch, after those who are taking one. */
  #take(): Promise<Taken> {
    const taking = this.#lastTake.then(async () => {
      const waiterSequence = this.#waiterSequence;
      const batch = await this.#queue.take(ROWS_A_BATCH, BATCH_BYTES);
      const weight = batch === null ? 0 : this.#options.weigh(batch);
      const takenAtMs = this.#options.environment.nowMs();
      const entry = { weight, takenAtMs, isFinishing: false, isDone: false };
      if (batch !== null) {
        this.#underWay.push(entry);
        this.#options.onChange();
      }
      return { batch, entry, waiterSequence };
    });
    this.#lastTake = taking.catch(() => undefined);
    return taking;
  }

  /** The result of work on the queue, which may be closed for a moment when its disk was full; null once the drainer is closed. */
  async #fromQueue<T>(first: Promise<T>, again: () => Promise<T>): Promise<T | null> {
    for (let attempt = first; ; attempt = again()) {
      try {
        const result = await attempt;
        return this.#closing.signal.aborted ? null : result;
      } catch (error) {
        if (this.#closing.signal.aborted) return null;
        if (!(error instanceof StoreError) || error.kind === 'damaged') {
          this.#options.onFatal(error instanceof Error ? error : new Error(String(error)));
          return null;
        }
      }
      await this.#retry.pause(this.#closing.signal);
      if (this.#closing.signal.aborted) return null;
    }
  }

  async #write(batch: QueueBatch): Promise<RefusedRow[]> {
    if (this.#state !== 'up') await this.#store.open();
    const refused = await this.#store.writeRows(batch.records);
    this.#retry.reset();
    this.#rowsWritten += countRecords(batch.records) - refused.length;
    if (this.#state !== 'up' || refused.length > 0) {
      this.#state = 'up';
      this.#options.onChange();
    }
    return refused;
  }

  /** Repeats work on MySQL until it succeeds; null once the drainer is closed. */
  async #attempt<T>(work: () => Promise<T>): Promise<T | null> {
    while (!this.#closing.signal.aborted) {
      try {
        return await work();
      } catch (error) {
        if (this.#closing.signal.aborted) return null;
        this.noteFailure(error);
      }
      await this.#retry.pause(this.#closing.signal);
    }
    return null;
  }

  /** Waits for wake(); a MySQL that is away is looked for meanwhile, so that its return is noticed without a write. */
  async #sleep(wakesBefore: number): Promise<void> {
    if (this.#state !== 'up') {
      await this.#attempt(() => this.#store.open());
      if (this.#closing.signal.aborted) return;
      this.#state = 'up';
      this.#retry.reset();
      this.#options.onChange();
    }
    if (this.#wakes === wakesBefore && !this.#closing.signal.aborted) {
      await new Promise<void>((resolve) => void this.#sleepers.push(resolve));
    }
  }

  /** Counts what was done for the waiters up to one. */
  #settle(weight: number, waiterSequence: number): void {
    for (const waiter of this.#waiters) {
      if (waiter.sequence <= waiterSequence) waiter.left -= weight;
      if (waiter.left <= 0) waiter.resolve();
    }
    this.#waiters = this.#waiters.filter(({ left }) => left > 0);
    this.#options.onChange();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#store.close();
    await this.#running;
  }
}

export function countRecords(records: Buffer): number {
  let count = 0;
  for (let at = 0; at < records.length; at += records.readUInt32LE(at)) count++;
  return count;
}
