/**
 * The held changes of a node with an embedded store: markers inside it, written in the same atomic batch as the register that
 * they are for, so that the list survives a restart and costs no memory.
 *
 *   'o' u32be generation | register key → nothing
 */
import { RecordReader, RecordWriter } from '../../protocol/change-record.ts';
import type { RelayedTurn } from '../flush/relayed-turns.ts';
import {
  addSeen,
  describeGenerations,
  HELD_CLOSED_MAX,
  type HeldBatch,
  type HeldGeneration,
  type HeldQueue,
  type KeptGeneration,
} from './held-queue.ts';
import { asideKey } from './level-queue.ts';
import type { LevelStore } from './level.ts';
import type { RefusedRow } from './mysql.ts';

const HELD_TAG = 0x6f; // 'o'
const REGISTER_TAG = 0x72; // 'r'
const HELD_FROM = Buffer.from('o');
const HELD_TO = Buffer.from('p');
const HEAD_BYTES = 5;
const MARKERS_A_READ = 1000;
const MARKERS_AT_FIRST = 16;
const BATCH_BYTES = 1 << 20;

interface OpenGeneration extends KeptGeneration {
  seen: Map<string, string> | null;
  begunAtMs: number;
  isUsed: boolean;
}

export class LevelHeld implements HeldQueue {
  readonly #store: LevelStore;
  readonly #monotonicMs: () => number;
  readonly #writer = new RecordWriter(1 << 16);
  readonly #closed: OpenGeneration[] = [];
  #open: OpenGeneration = newGeneration(1);

  constructor(store: LevelStore, monotonicMs: () => number) {
    this.#store = store;
    this.#monotonicMs = monotonicMs;
  }

  /** Finds what an earlier run left. */
  async open(): Promise<void> {
    const { database } = this.#store;
    for (let from: Buffer = HELD_FROM; ;) {
      const [first] = await database.keys({ gte: from, lt: HELD_TO, limit: 1 }).all();
      if (first === undefined) return;
      const generation = first.readUInt32BE(1);
      this.#closed.push({ generation, seen: null, begunAtMs: this.#monotonicMs(), isUsed: true });
      this.#open = newGeneration(generation + 1);
      from = startOf(generation + 1);
    }
  }

  /** The generation for the markers of a batch; to be asked for inside that batch's exclusive work. */
  beginBatch(seen: readonly RelayedTurn[]): number {
    if (!this.#open.isUsed) this.#open.begunAtMs = this.#monotonicMs();
    this.#open.isUsed = true;
    addSeen(this.#open.seen!, seen);
    return this.#open.generation;
  }

  heldGenerations(): Promise<HeldGeneration[]> {
    if (this.#open.isUsed && this.#closed.length < HELD_CLOSED_MAX) {
      this.#closed.push(this.#open);
      this.#open = newGeneration(this.#open.generation + 1);
    }
    return Promise.resolve(describeGenerations(this.#closed, this.#monotonicMs()));
  }

  async readHeld(generation: number, from: Buffer | null): Promise<HeldBatch> {
    const range = { gte: from ?? startOf(generation), lt: startOf(generation + 1), limit: MARKERS_A_READ + 1 };
    const markers = await this.#store.guard(() => this.#store.database.keys(range).all());
    let used = 0;
    // A read gives all its values at once, and they may be large.
    for (let count = MARKERS_AT_FIRST; used < markers.length && used < MARKERS_A_READ; count *= 2) {
      const part = markers.slice(used, Math.min(used + count, MARKERS_A_READ));
      await this.#store.readRegisters(part.map(registerKeyOf), this.#writer);
      used += part.length;
      if (this.#writer.length >= BATCH_BYTES) break;
    }
    return { records: this.#writer.take(), next: markers[used] ?? null };
  }

  async releaseHeld(generation: number, refused: RefusedRow[]): Promise<void> {
    const reader = new RecordReader();
    await this.#store.exclusive(async () => {
      const { database } = this.#store;
      const batch = database.batch();
      for (const { records, reason } of refused) {
        reader.read(records, 0);
        batch.put(asideKey(reader), Buffer.from(reason));
      }
      await batch.write();
      await database.clear({ gte: startOf(generation), lt: startOf(generation + 1) });
    });
    const at = this.#closed.findIndex((closed) => closed.generation === generation);
    if (at >= 0) this.#closed.splice(at, 1);
  }
}

function newGeneration(generation: number): OpenGeneration {
  return { generation, seen: new Map(), begunAtMs: 0, isUsed: false };
}

function startOf(generation: number): Buffer {
  const key = Buffer.from([HELD_TAG, 0, 0, 0, 0]);
  key.writeUInt32BE(generation, 1);
  return key;
}

function registerKeyOf(marker: Buffer): Buffer {
  const key = Buffer.from(marker.subarray(HEAD_BYTES - 1));
  key[0] = REGISTER_TAG;
  return key;
}
