/**
 * One database under many nodes: every change is written by the node that made it, which notes in the database how far it is
 * (backends/mysql-progress.ts). This is the other side. What peers have made is held (backends/held-queue.ts) until they have
 * noted it. When a peer is silent for `afterMs`, whatever the reason, what it had not brought is written from here, unless
 * another survivor was faster: rows that the database has are left as they are.
 */
import { StoreError } from '../backends/backend.ts';
import type { HeldGeneration, HeldQueue } from '../backends/held-queue.ts';
import type { MysqlStore, RefusedRow } from '../backends/mysql.ts';
import type { NodeProgress, PeerProgress } from '../backends/mysql-progress.ts';
import type { StoreEnvironment } from '../environment.ts';
import type { FlushTime } from './flush-types.ts';

/** What the keeper needs of the MySQL store. */
export type ProgressTarget = Pick<MysqlStore, 'writeMissing' | 'noteProgress' | 'progressOf' | 'forgetOldProgress'>;

export interface TakeoverOptions {
  environment: StoreEnvironment;
  /** A peer that has noted nothing for so long is taken for gone. */
  afterMs: number;
  /** MySQL answers at the moment. */
  isUp(): boolean;
  /** There is no room to hold more: what is held is written without waiting. */
  isFull(): boolean;
  /** The figures have changed. */
  onChange(): void;
  /** The list cannot be read any more. */
  onFatal(error: Error): void;
}

/** How often a node notes that it is alive, and looks at what others have noted. */
const ROUND_MS = 500;
const ALIVE_EVERY_MS = 2000;
const FORGET_EVERY_MS = 3_600_000;
const LOOK_MS = 50;

export class Takeover {
  readonly #store: ProgressTarget;
  readonly #held: HeldQueue;
  readonly #options: TakeoverOptions;
  #own: NodeProgress | null = null;
  #noted = '';
  #notedAtMs = Number.NEGATIVE_INFINITY;
  #forgottenAtMs = Number.NEGATIVE_INFINITY;
  #timer: { cancel(): void } | null = null;
  #running: Promise<void> = Promise.resolve();
  #isStopping = false;
  #isClosed = false;
  /** Survivors wait differently long, so that mostly one of them writes. */
  #patienceMs: number;
  /** Removals and writes of held registers exclude each other. */
  #lock: Promise<unknown> = Promise.resolve();
  #heldCount = 0;
  #rowsTakenOver = 0;

  constructor(store: ProgressTarget, held: HeldQueue, options: TakeoverOptions) {
    this.#store = store;
    this.#held = held;
    this.#options = options;
    this.#patienceMs = this.#drawPatience();
  }

  #drawPatience(): number {
    return this.#options.afterMs * (1 + this.#options.environment.random());
  }

  start(): void {
    this.#timer = this.#options.environment.setTimer(ROUND_MS, () => {
      this.#running = this.#round().finally(() => {
        if (!this.#isClosed && !this.#isStopping) this.start();
      });
    });
  }

  /** Rows of other nodes that were written here. */
  get rowsTakenOver(): number {
    return this.#rowsTakenOver;
  }

  /** Lists of what peers are to bring, that wait for their word. */
  get heldGenerations(): number {
    return this.#heldCount;
  }

  /** This node's own progress, to be noted soon. */
  report(progress: NodeProgress): void {
    this.#own = progress;
  }

  /** Notes the own progress at once; a failure is only noted later. */
  async noteNow(): Promise<void> {
    const own = this.#own;
    if (own === null) return;
    await this.#store.noteProgress(own);
    this.#noted = own.stamp;
    this.#notedAtMs = this.#options.environment.monotonicMs();
  }

  /** Runs work during which no held register is written. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#lock.then(work);
    this.#lock = result.catch(() => undefined);
    return result;
  }

  async #round(): Promise<void> {
    try {
      if (this.#options.isUp()) {
        await this.#noteOwn();
        await this.#lookAfter();
      }
    } catch (error) {
      if (this.#isClosed) return;
      // MySQL away, or a full disk: both are told of elsewhere, and tried again.
      if (!(error instanceof StoreError) || error.kind === 'damaged')
        this.#options.onFatal(error instanceof Error ? error : new Error(String(error)));
    }
  }

  async #noteOwn(): Promise<void> {
    const own = this.#own;
    const nowMs = this.#options.environment.monotonicMs();
    if (own === null || (own.stamp === this.#noted && nowMs - this.#notedAtMs < ALIVE_EVERY_MS)) return;
    await this.noteNow();
    if (nowMs - this.#forgottenAtMs < FORGET_EVERY_MS) return;
    this.#forgottenAtMs = nowMs;
    await this.#store.forgetOldProgress();
  }

  async #lookAfter(): Promise<void> {
    const generations = await this.#held.heldGenerations();
    this.#setHeldCount(generations.length);
    if (generations.length === 0) return;
    const incarnations = new Set(generations.flatMap(({ seen }) => (seen ?? []).map(({ incarnation }) => incarnation)));
    const progress = incarnations.size === 0 ? new Map() : await this.#store.progressOf([...incarnations]);
    for (const generation of generations) {
      if (isBrought(generation, progress)) await this.#release(generation.generation, []);
      else if (this.#isToBeTaken(generation, progress)) await this.#take(generation.generation);
    }
    this.#setHeldCount((await this.#held.heldGenerations()).length);
  }

  #setHeldCount(count: number): void {
    if (count !== this.#heldCount) this.#options.onChange();
    this.#heldCount = count;
  }

  #isToBeTaken({ seen, ageMs }: HeldGeneration, progress: Map<string, PeerProgress>): boolean {
    if (this.#options.isFull()) return true;
    if (ageMs < this.#patienceMs) return false;
    if (seen === null) return true;
    return seen.some(({ incarnation, stamp }) => {
      const noted = progress.get(incarnation);
      return noted === undefined || (noted.stamp < stamp && noted.silentMs >= this.#patienceMs);
    });
  }

  /** Writes what MySQL lacks of a generation. */
  async #take(generation: number): Promise<void> {
    const refused: RefusedRow[] = [];
    let from: Buffer | null = null;
    do {
      from = await this.exclusive(async () => {
        const { records, next } = await this.#held.readHeld(generation, from);
        if (records.length === 0) return next;
        const written = await this.#store.writeMissing(records);
        refused.push(...written.refused);
        this.#rowsTakenOver += written.missingCount - written.refused.length;
        return next;
      });
    } while (from !== null && !this.#isClosed);
    if (this.#isClosed) return;
    await this.#release(generation, refused);
    this.#patienceMs = this.#drawPatience();
  }

  async #release(generation: number, refused: RefusedRow[]): Promise<void> {
    await this.#held.releaseHeld(generation, refused);
  }

  /** Writes everything that is held, for a node that forgets it when it stops. */
  async takeAll(): Promise<void> {
    this.#isStopping = true;
    this.#timer?.cancel();
    await this.#running;
    for (;;) {
      const generations = await this.#held.heldGenerations();
      if (generations.length === 0) return;
      for (const { generation } of generations) await this.#take(generation);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#running;
  }
}

function isBrought({ seen }: HeldGeneration, progress: Map<string, PeerProgress>): boolean {
  return seen?.every(({ incarnation, stamp }) => (progress.get(incarnation)?.stamp ?? '') >= stamp) === true;
}

/**
 * Waits until what is held at the call was brought to MySQL, by peers or from here.
 * @param timeoutMs infinite for one that goes on until it is closed, and need not know at once
 * @throws StoreError when that takes too long, or it is closed
 */
export async function untilBrought(
  queue: HeldQueue,
  time: FlushTime,
  timeoutMs: number,
  closing: AbortSignal,
): Promise<void> {
  const endMs = time.monotonicMs() + timeoutMs;
  const lookMs = timeoutMs === Number.POSITIVE_INFINITY ? ROUND_MS : LOOK_MS;
  // The lists that are closed, and after them the one that was open.
  for (let round = 0; round < 2; round++) {
    const last = Math.max(0, ...(await queue.heldGenerations()).map(({ generation }) => generation));
    while ((await queue.heldGenerations()).some(({ generation }) => generation <= last)) {
      if (time.monotonicMs() > endMs || closing.aborted)
        throw new StoreError('unavailable', 'peers have not brought their changes to MySQL in time');
      await new Promise<void>((resolve) => void time.setTimer(lookMs, resolve));
    }
  }
}
