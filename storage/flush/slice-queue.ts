/** The queue of a node without an embedded store: slices wait in memory until MySQL has them. The flusher bounds how many. */
import { StoreError } from '../backends/backend.ts';
import type { QueueBatch } from '../backends/level-queue.ts';
import type { DrainQueue } from './flush-types.ts';

interface WaitingSlice {
  ticket: number;
  records: Buffer;
  isTaken: boolean;
  resolve: () => void;
  reject: (error: Error) => void;
}

export class SliceQueue implements DrainQueue {
  readonly #onQueued: () => void;
  #slices: WaitingSlice[] = [];
  #nextTicket = 1;

  constructor(onQueued: () => void) {
    this.#onQueued = onQueued;
  }

  /** Resolves when MySQL has the records. */
  write(records: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#slices.push({ ticket: this.#nextTicket++, records, isTaken: false, resolve, reject });
      this.#onQueued();
    });
  }

  /** Slices are taken whole. */
  take(): Promise<QueueBatch | null> {
    const slice = this.#slices.find(({ isTaken }) => !isTaken);
    if (slice === undefined) return Promise.resolve(null);
    slice.isTaken = true;
    return Promise.resolve({ ticket: slice.ticket, records: slice.records });
  }

  done(ticket: number): Promise<void> {
    const at = this.#slices.findIndex((slice) => slice.ticket === ticket);
    if (at >= 0) this.#slices.splice(at, 1)[0].resolve();
    return Promise.resolve();
  }

  /** Slices, not registers: all that the drainer needs is when they are gone. */
  count(): Promise<number> {
    return Promise.resolve(this.#slices.length);
  }

  get queuedCount(): number {
    return this.#slices.length;
  }

  close(): void {
    for (const { reject } of this.#slices.splice(0))
      reject(new StoreError('unavailable', 'closed before MySQL had everything'));
  }
}
