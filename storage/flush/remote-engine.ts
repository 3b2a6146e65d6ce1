/** The engine of the flush worker, as the main thread calls it. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { StoreError, type OnRecords } from '../backends/backend.ts';
import type { HeldBatch, HeldGeneration } from '../backends/held-queue.ts';
import type { SearchStep } from '../backends/key-search.ts';
import type { QueueBatch } from '../backends/level-queue.ts';
import type { NodeProgress } from '../backends/mysql-progress.ts';
import type { RefusedRow } from '../backends/mysql.ts';
import type { TornTail } from '../backends/torn-tail.ts';
import type { BackupRequest, EngineEvents, EngineOptions, StoreEngine } from './flush-types.ts';
import type { RelayedTurn } from './relayed-turns.ts';
import type { TakeRecords } from '../tombstones/removals.ts';
import { errorOf, type EngineMethod, type FromWorker, type ToWorker } from './worker-messages.ts';

interface PendingCall {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
  onRecords: OnRecords | null;
  /** Slices are handed over one after the other, and before the load counts as done. */
  handedOver: Promise<void>;
}

/** This file's own extension: the worker is a source file when this is one, and built when this is. */
const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

export class RemoteEngine implements StoreEngine {
  readonly #worker: Worker;
  readonly #events: EngineEvents;
  readonly #pending = new Map<number, PendingCall>();
  #nextId = 1;
  #isClosed = false;

  constructor(options: EngineOptions, events: EngineEvents) {
    this.#events = events;
    this.#worker = new Worker(new URL(`./flush-worker${EXTENSION}`, import.meta.url), {
      workerData: options,
      name: 'mantis-flush',
      // An application's own flags, such as --input-type, may be wrong for a worker.
      execArgv: [],
    });
    this.#worker.on('message', (message: FromWorker) => this.#receive(message));
    this.#worker.on('error', (error) => this.#ended(error));
    this.#worker.on('exit', () => this.#ended(new Error('the flush worker has ended')));
  }

  #receive(message: FromWorker): void {
    if (message.type === 'status') {
      this.#events.onStatus(message.status);
      return;
    }
    if (message.type === 'emptied') {
      this.#events.onEmptied();
      return;
    }
    if (message.type === 'fatal') {
      this.#events.onFatal(errorOf(message.failure));
      return;
    }
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return;
    if (message.type === 'records') {
      this.#handOver(message, pending);
      return;
    }
    this.#pending.delete(message.id);
    if (message.type === 'failed') pending.reject(errorOf(message.failure));
    else pending.handedOver.then(() => pending.resolve(message.value), pending.reject);
  }

  #handOver(
    { id, records, rowsDone, rowsTotal }: Extract<FromWorker, { type: 'records' }>,
    pending: PendingCall,
  ): void {
    pending.handedOver = pending.handedOver.then(async () => {
      // Slices that have come together are merged in a turn of the event loop each.
      await nextTurn();
      await pending.onRecords?.(bufferOf(records), rowsDone, rowsTotal);
      this.#post({ type: 'credit', id });
    });
    pending.handedOver.catch((error: unknown) => {
      this.#pending.delete(id);
      pending.reject(error instanceof Error ? error : new Error(String(error)));
    });
  }

  #ended(error: unknown): void {
    const failure = this.#isClosed
      ? new StoreError('unavailable', 'the durable stores are closed')
      : new Error(String(error));
    for (const { reject } of this.#pending.values()) reject(failure);
    this.#pending.clear();
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#events.onFatal(failure);
  }

  #post(message: ToWorker, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #call(call: EngineMethod, onRecords: OnRecords | null = null, transfer: ArrayBuffer[] = []): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(new StoreError('unavailable', 'the durable stores are closed'));
        return;
      }
      const id = this.#nextId++;
      this.#pending.set(id, { resolve, reject, onRecords, handedOver: Promise.resolve() });
      this.#post({ type: 'call', id, call }, transfer);
    });
  }

  async open(): Promise<readonly TornTail[]> {
    return (await this.#call({ name: 'open' })) as readonly TornTail[];
  }

  async load(store: 'level' | 'mysql', stampMsMax: number, onRecords: OnRecords): Promise<void> {
    await this.#call({ name: 'load', store, stampMsMax }, onRecords);
  }

  /** Takes the buffer away from the caller; it must own its ArrayBuffer alone. */
  async write(records: Buffer, seen: readonly RelayedTurn[] | null = null, isGuarded = false): Promise<void> {
    await this.#call({ name: 'write', records, seen, isGuarded }, null, [records.buffer as ArrayBuffer]);
  }

  async backUp(request: BackupRequest): Promise<number> {
    return (await this.#call({ name: 'backUp', request })) as number;
  }

  async report(progress: NodeProgress): Promise<void> {
    await this.#call({ name: 'report', progress });
  }

  async leave(progress: NodeProgress | null): Promise<void> {
    await this.#call({ name: 'leave', progress });
  }

  async heldGenerations(): Promise<HeldGeneration[]> {
    return (await this.#call({ name: 'heldGenerations' })) as HeldGeneration[];
  }

  async readHeld(generation: number, from: Buffer | null): Promise<HeldBatch> {
    const { records, next } = (await this.#call({ name: 'readHeld', generation, from })) as {
      records: Uint8Array;
      next: Uint8Array | null;
    };
    return { records: bufferOf(records), next: next === null ? null : bufferOf(next) };
  }

  async releaseHeld(generation: number, refused: RefusedRow[]): Promise<void> {
    await this.#call({ name: 'releaseHeld', generation, refused });
  }

  async fetch(keys: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    await this.#call({ name: 'fetch', keys }, onRecords);
  }

  async search(hashes: Buffer, from: Buffer | null): Promise<SearchStep> {
    const { names, next } = (await this.#call({ name: 'search', hashes, from })) as {
      names: Uint8Array;
      next: Uint8Array | null;
    };
    return { names: bufferOf(names), next: next === null ? null : bufferOf(next) };
  }

  async merge(records: Buffer): Promise<Buffer | null> {
    const newer = (await this.#call({ name: 'merge', records })) as Uint8Array | null;
    return newer === null ? null : bufferOf(newer);
  }

  async remove(registers: Buffer, stampMsMax: number, onNewer: TakeRecords): Promise<Buffer> {
    return bufferOf((await this.#call({ name: 'remove', records: registers, stampMsMax }, onNewer)) as Uint8Array);
  }

  async outlived(registers: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void> {
    await this.#call({ name: 'outlived', records: registers }, onRecords);
  }

  async removeExactly(registers: Buffer): Promise<void> {
    await this.#call({ name: 'removeExactly', records: registers });
  }

  async drained(): Promise<void> {
    await this.#call({ name: 'drained' });
  }

  async refill(): Promise<void> {
    await this.#call({ name: 'refill' });
  }

  async readMeta(key: string): Promise<Buffer | null> {
    const bytes = (await this.#call({ name: 'readMeta', key })) as Uint8Array | null;
    return bytes === null ? null : bufferOf(bytes);
  }

  async writeMeta(key: string, bytes: Buffer): Promise<void> {
    await this.#call({ name: 'writeMeta', key, bytes });
  }

  async take(rowsMax: number, bytesMax: number): Promise<QueueBatch | null> {
    const batch = (await this.#call({ name: 'take', rowsMax, bytesMax })) as {
      ticket: number;
      records: Uint8Array;
    } | null;
    return batch === null ? null : { ticket: batch.ticket, records: bufferOf(batch.records) };
  }

  async done(ticket: number, refused: RefusedRow[]): Promise<void> {
    await this.#call({ name: 'done', ticket, refused });
  }

  async count(): Promise<number> {
    return (await this.#call({ name: 'count' })) as number;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    const closing = this.#call({ name: 'close' });
    this.#isClosed = true;
    try {
      await closing;
    } finally {
      await this.#worker.terminate();
    }
  }

  /** Ends the worker whatever it does; what is not durable yet is not kept. */
  async terminate(): Promise<void> {
    this.#isClosed = true;
    await this.#worker.terminate();
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
