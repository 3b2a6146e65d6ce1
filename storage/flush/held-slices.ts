/** Changes that are held for peers (backends/held-queue.ts) on a node without an embedded store: in memory, as many as fit. */
import {
  addSeen,
  describeGenerations,
  HELD_CLOSED_MAX,
  type HeldBatch,
  type HeldGeneration,
  type HeldQueue,
  type KeptGeneration,
} from '../backends/held-queue.ts';
import { StoreError } from '../backends/backend.ts';
import type { RelayedTurn } from './relayed-turns.ts';

const HELD_BYTES_MAX = 32 << 20;

interface Generation extends KeptGeneration {
  seen: Map<string, string>;
  begunAtMs: number;
  slices: Buffer[];
}

interface Waiter {
  resolve: () => void;
  reject: (error: Error) => void;
}

export class HeldSlices implements HeldQueue {
  readonly #monotonicMs: () => number;
  readonly #bytesMax: number;
  readonly #closed: Generation[] = [];
  #open: Generation = newGeneration(1);
  #bytes = 0;
  /** Slices that wait for room. */
  #waiting: Waiter[] = [];
  /** Those who wait until all that is held now has been dealt with. */
  #settling: { generation: number; waiter: Waiter }[] = [];

  constructor(monotonicMs: () => number, bytesMax = HELD_BYTES_MAX) {
    this.#monotonicMs = monotonicMs;
    this.#bytesMax = bytesMax;
  }

  /** There is no room for more: what is held is not to wait any longer. */
  get isFull(): boolean {
    return this.#waiting.length > 0;
  }

  /** Resolves when there is room for it. */
  async hold(records: Buffer, seen: readonly RelayedTurn[]): Promise<void> {
    while (this.#bytes > 0 && this.#bytes + records.length > this.#bytesMax) {
      await new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    }
    if (this.#open.slices.length === 0) this.#open.begunAtMs = this.#monotonicMs();
    addSeen(this.#open.seen, seen);
    this.#open.slices.push(records);
    this.#bytes += records.length;
  }

  heldGenerations(): Promise<HeldGeneration[]> {
    if (this.#open.slices.length > 0 && this.#closed.length < HELD_CLOSED_MAX) {
      this.#closed.push(this.#open);
      this.#open = newGeneration(this.#open.generation + 1);
    }
    return Promise.resolve(describeGenerations(this.#closed, this.#monotonicMs()));
  }

  /** One slice after the other; where the next one begins is its number in two bytes. */
  readHeld(generation: number, from: Buffer | null): Promise<HeldBatch> {
    const slices = this.#closed.find((closed) => closed.generation === generation)?.slices ?? [];
    const at = from === null ? 0 : from.readUInt32BE(0);
    let next: Buffer | null = null;
    if (at + 1 < slices.length) {
      next = Buffer.alloc(4);
      next.writeUInt32BE(at + 1, 0);
    }
    return Promise.resolve({ records: slices[at] ?? Buffer.alloc(0), next });
  }

  /** A register that MySQL refused is only in memory then, as one of the node's own is. */
  releaseHeld(generation: number): Promise<void> {
    const at = this.#closed.findIndex((closed) => closed.generation === generation);
    if (at >= 0) {
      const [{ slices }] = this.#closed.splice(at, 1);
      for (const { length } of slices) this.#bytes -= length;
    }
    for (const { resolve } of this.#waiting.splice(0)) resolve();
    const oldest = this.#closed[0]?.generation ?? this.#open.generation;
    const isSettled = (last: number): boolean => last < oldest || this.#bytes === 0;
    for (const { generation: last, waiter } of this.#settling) if (isSettled(last)) waiter.resolve();
    this.#settling = this.#settling.filter(({ generation: last }) => !isSettled(last));
    return Promise.resolve();
  }

  /** Resolves when all that is held at the call was released. */
  async settled(): Promise<void> {
    if (this.#bytes === 0) return;
    const { generation, slices } = this.#open;
    const last = slices.length > 0 ? generation : generation - 1;
    await new Promise<void>((resolve, reject) =>
      this.#settling.push({ generation: last, waiter: { resolve, reject } }),
    );
  }

  close(): void {
    const error = new StoreError('unavailable', 'closed before MySQL had everything');
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    for (const { waiter } of this.#settling.splice(0)) waiter.reject(error);
  }
}

function newGeneration(generation: number): Generation {
  return { generation, seen: new Map(), begunAtMs: 0, slices: [] };
}
