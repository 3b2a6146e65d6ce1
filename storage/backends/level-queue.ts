/**
 * The registers that MySQL has not got yet, kept inside the embedded store so that a backlog survives a restart and costs
 * no memory. A marker is written in the same atomic batch as the register it is for.
 *
 * Markers carry a generation. While MySQL is behind, new ones go to the open generation; draining walks the closed ones, oldest
 * first, and when they are used up the open one is closed. So a register that changes again while its old marker waits gets a
 * second marker in the open generation and never a third: deleting a drained marker cannot lose a change, and the backlog is
 * bounded by twice the registers, however long MySQL is away.
 *
 * While MySQL keeps up, a batch also stays in memory (the lane, bounded in bytes), so that its registers need not be read back;
 * it then has a generation of its own, whose markers only this batch's draining deletes.
 */
import { strict as assert } from 'node:assert';
import { RecordReader, RecordWriter } from '../../protocol/change-record.ts';
import type { LevelBatch } from './level-batch.ts';
import type { LevelStore } from './level.ts';
import { REGISTERS_FROM, REGISTERS_TO } from './level-ranges.ts';
import { registerKeyLength, writeRegisterKey } from './register-key.ts';

const QUEUE_TAG = 0x71; // 'q'
const REGISTER_TAG = 0x72; // 'r'
const ASIDE_TAG = 0x78; // 'x'
const QUEUE_FROM = Buffer.from('q');
const QUEUE_TO = Buffer.from('r');
const ASIDE_FROM = Buffer.from('x');
const ASIDE_TO = Buffer.from('y');
const HEAD_BYTES = 5;
const MARKER_BYTES = 4096;
const NO_BYTES = Buffer.alloc(0);

/** Markers counted one by one at open; past it the count is extrapolated from the space they take. */
const COUNTED_MAX = 200_000;
/** Records kept in memory for a MySQL that keeps up; reading them back costs more than writing them did. */
const LANE_BYTES_MAX = 32 << 20;
const KEYS_A_READ = 4096;
const MOVED_A_BATCH = 1000;
/** A small fact of the store: all registers are being marked. */
const REFILL_NAME = 'refill-mysql';

/** Registers taken from the queue: `done(ticket)` once they are in MySQL. */
export interface QueueBatch {
  ticket: number;
  /** Packed records, the newest versions. */
  records: Buffer;
}

/** One batch, whose markers are those of its registers in its generation. */
interface LaneBatch {
  generation: number;
  slices: readonly Buffer[];
  /** Slices that MySQL has not got. A register may be in several, so the markers go when all are done. */
  slicesLeft: number;
}

interface LaneSlice {
  batch: LaneBatch;
  records: Buffer;
}

export class LevelQueue {
  readonly #store: LevelStore;
  readonly #taken = new Map<number, LaneSlice | Buffer[]>();
  readonly #writer = new RecordWriter(1 << 16);
  readonly #laneBytesMax: number;
  #lane: LaneSlice[] = [];
  #laneBytes = 0;
  /** Markers already taken end here; markers beyond it and below the open generation are to be drained. */
  #cursor: Buffer = QUEUE_FROM;
  #openGeneration = 1;
  #isOpenUsed = false;
  /** Markers may wait that the lane does not cover; they are all newer than the lane. */
  #hasBacklog = false;
  #count = 0;
  /** The count was extrapolated. */
  #isEstimate = false;
  #nextTicket = 1;
  #recordBytesGuess = 1024;

  /** @param laneBytesMax records kept in memory while MySQL keeps up */
  constructor(store: LevelStore, laneBytesMax = LANE_BYTES_MAX) {
    this.#store = store;
    this.#laneBytesMax = laneBytesMax;
  }

  /** Generation for the markers of a batch; to be asked for inside that batch's exclusive work. */
  beginBatch(bytes: number): number {
    if (this.#hasBacklog || this.#laneBytes + bytes > this.#laneBytesMax) {
      this.#hasBacklog = true;
      this.#isOpenUsed = true;
      return this.#openGeneration;
    }
    const generation = this.#openGeneration;
    this.#openGeneration += 1;
    return generation;
  }

  /** Tells that a batch of so many registers is durable under this generation. */
  endBatch(generation: number, slices: readonly Buffer[], count: number): void {
    this.#count += count;
    if (generation === this.#openGeneration) return;
    const batch = { generation, slices, slicesLeft: slices.length };
    for (const records of slices) {
      this.#lane.push({ batch, records });
      this.#laneBytes += records.length;
    }
  }

  /** About how many markers wait; a register that changed again since its marker was written may count twice. */
  get queuedCount(): number {
    return Math.max(0, this.#count);
  }

  /** As queuedCount, but never too few. */
  get countAtMost(): number {
    return this.#isEstimate ? 2 * this.queuedCount + COUNTED_MAX : this.queuedCount;
  }

  /** Finds what an earlier run left, and gives what MySQL refused another try. */
  async open(): Promise<void> {
    await this.#store.exclusive(async () => {
      const database = this.#store.database;
      const [last] = await database.keys({ gte: QUEUE_FROM, lt: QUEUE_TO, reverse: true, limit: 1 }).all();
      if (last !== undefined) this.#openGeneration = Math.max(this.#openGeneration, last.readUInt32BE(1));
      await this.#requeueAside();
      this.#count = await this.#countMarkers();
      this.#isOpenUsed = this.#count > 0;
      this.#hasBacklog = this.#isOpenUsed;
    });
  }

  async #requeueAside(): Promise<void> {
    const database = this.#store.database;
    for (;;) {
      const aside = await database.keys({ gte: ASIDE_FROM, lt: ASIDE_TO, limit: MOVED_A_BATCH }).all();
      if (aside.length === 0) return;
      const batch = database.batch();
      for (const key of aside) batch.del(key).put(this.#markerOf(key.subarray(1)), NO_BYTES);
      await batch.write({ sync: true });
    }
  }

  /** Whether an earlier run has begun to mark all registers, and did not come to the end. */
  async isRefilling(): Promise<boolean> {
    return (await this.#store.readMeta(REFILL_NAME)) !== null;
  }

  /** Marks every register, because MySQL has lost what it had; until it is done that is noted on disk. */
  async requeueAll(closing: AbortSignal, onQueued: () => void): Promise<void> {
    await this.#store.writeMeta(REFILL_NAME, NO_BYTES);
    for (let from: Buffer | null = REGISTERS_FROM; from !== null && !closing.aborted;) {
      from = await this.#requeueFrom(from);
      onQueued();
    }
    if (!closing.aborted) await this.#store.removeMeta(REFILL_NAME);
  }

  /** Marks some registers; returns where the next begin, or null. */
  #requeueFrom(from: Buffer): Promise<Buffer | null> {
    return this.#store.exclusive(async () => {
      const database = this.#store.database;
      const keys = await database.keys({ gte: from, lt: REGISTERS_TO, limit: MOVED_A_BATCH }).all();
      if (keys.length === 0) return null;
      const batch = database.batch();
      for (const key of keys) batch.put(this.#markerOf(key.subarray(1)), NO_BYTES);
      await batch.write();
      this.#hasBacklog = true;
      this.#isOpenUsed = true;
      this.#count += keys.length;
      return Buffer.concat([keys.at(-1)!, Buffer.alloc(1)]);
    });
  }

  #markerOf(registerKey: Buffer): Buffer {
    const marker = Buffer.allocUnsafe(HEAD_BYTES + registerKey.length);
    marker[0] = QUEUE_TAG;
    marker.writeUInt32BE(this.#openGeneration, 1);
    registerKey.copy(marker, HEAD_BYTES);
    return marker;
  }

  async #countMarkers(): Promise<number> {
    const database = this.#store.database;
    const keys = database.keys({ gte: QUEUE_FROM, lt: QUEUE_TO });
    let count = 0;
    let last = QUEUE_FROM;
    try {
      while (count < COUNTED_MAX) {
        const read = await keys.nextv(KEYS_A_READ);
        if (read.length === 0) return count;
        count += read.length;
        this.#isEstimate = count >= COUNTED_MAX;
        last = read.at(-1)!;
      }
    } finally {
      await keys.close();
    }
    const bytesCounted = await database.approximateSize(QUEUE_FROM, last);
    const bytesTotal = await database.approximateSize(QUEUE_FROM, QUEUE_TO);
    return bytesCounted === 0 ? count : Math.max(count, Math.round((count * bytesTotal) / bytesCounted));
  }

  /**
   * Takes the oldest waiting registers, up to a number of rows and about a number of bytes; null when none waits.
   * Several batches may be out at a time.
   */
  async take(rowsMax: number, bytesMax: number): Promise<QueueBatch | null> {
    const slice = this.#lane.shift();
    if (slice !== undefined) {
      this.#laneBytes -= slice.records.length;
      // All that is older is taken too; what the walk would find there is under way.
      this.#cursor = generationStart(slice.batch.generation + 1);
      const ticket = this.#nextTicket++;
      this.#taken.set(ticket, slice);
      return { ticket, records: slice.records };
    }
    for (;;) {
      const markers = await this.#store.exclusive(() => this.#takeMarkers(rowsMax));
      if (markers.length === 0) return null;
      const used = await this.#readInto(markers, bytesMax);
      if (used.length < markers.length) this.#cursor = used.at(-1)!;
      const ticket = this.#nextTicket++;
      this.#taken.set(ticket, used);
      const records = this.#writer.take();
      if (records.length > 0) return { ticket, records };
      await this.done(ticket, []);
    }
  }

  async #takeMarkers(rowsMax: number): Promise<Buffer[]> {
    if (!this.#hasBacklog) return this.#nothingWaits();
    const database = this.#store.database;
    for (;;) {
      const range = { gt: this.#cursor, lt: generationStart(this.#openGeneration), limit: rowsMax };
      const markers = await database.keys(range).all();
      if (markers.length > 0) {
        this.#cursor = markers.at(-1)!;
        return markers;
      }
      if (!this.#isOpenUsed) {
        this.#hasBacklog = false;
        return this.#nothingWaits();
      }
      this.#openGeneration++;
      this.#isOpenUsed = false;
    }
  }

  /** The count drifts where registers changed while they waited; now it is known, unless a batch has come to the lane meanwhile. */
  #nothingWaits(): Buffer[] {
    if (this.#taken.size === 0 && this.#lane.length === 0) {
      this.#count = 0;
      this.#isEstimate = false;
    }
    return [];
  }

  /** Reads the registers of markers into the writer until they are enough bytes; returns the markers that were used. */
  async #readInto(markers: Buffer[], bytesMax: number): Promise<Buffer[]> {
    let used = 0;
    while (used < markers.length && this.#writer.length < bytesMax) {
      // Big values are read few at a time: a read gives all its values at once.
      const count = Math.max(1, Math.min(1024, Math.floor((bytesMax - this.#writer.length) / this.#recordBytesGuess)));
      const slice = markers.slice(used, used + count);
      const before = this.#writer.length;
      await this.#store.readRegisters(slice.map(registerKeyOf), this.#writer);
      used += slice.length;
      const average = (this.#writer.length - before) / slice.length;
      this.#recordBytesGuess = Math.max(64, average, this.#recordBytesGuess / 2);
    }
    return used === markers.length ? markers : markers.slice(0, used);
  }

  /**
   * Forgets the markers of a batch. Registers that MySQL refused are kept aside, and tried again at the next open.
   * Not synced: a marker that comes back after a power cut only costs one more write to MySQL.
   */
  async done(ticket: number, refused: { records: Buffer; reason: string }[]): Promise<void> {
    const taken = this.#taken.get(ticket);
    assert(taken !== undefined, `ticket ${ticket} is not out`);
    const reader = new RecordReader();
    let count = 0;
    await this.#store.exclusive(async () => {
      const batch = this.#store.database.batch();
      count = Array.isArray(taken) ? deleteMarkers(batch, taken) : deleteMarkersOf(batch, taken.batch, reader);
      for (const { records, reason } of refused) {
        reader.read(records, 0);
        batch.put(asideKey(reader), Buffer.from(reason));
      }
      await batch.write();
      // Only now: a delete that failed for want of space is tried again.
      if (!Array.isArray(taken)) taken.batch.slicesLeft--;
    });
    this.#taken.delete(ticket);
    this.#count -= count;
  }
}

/** Where a register that MySQL refused is kept. */
export function asideKey(record: RecordReader): Buffer {
  const key = Buffer.allocUnsafe(1 + registerKeyLength(record));
  key[0] = ASIDE_TAG;
  writeRegisterKey(key, 1, record);
  return key;
}

function generationStart(generation: number): Buffer {
  const key = Buffer.from([QUEUE_TAG, 0, 0, 0, 0]);
  key.writeUInt32BE(generation, 1);
  return key;
}

function deleteMarkers(batch: LevelBatch, markers: Buffer[]): number {
  for (const marker of markers) batch.del(marker);
  return markers.length;
}

/** Deletes a lane batch's markers after its last slice; returns how many. */
function deleteMarkersOf(batch: LevelBatch, laneBatch: LaneBatch, reader: RecordReader): number {
  if (laneBatch.slicesLeft > 1) return 0;
  // The batch copies its keys, so one buffer serves them all; large enough for nearly every one.
  let marker = Buffer.allocUnsafeSlow(MARKER_BYTES);
  marker[0] = QUEUE_TAG;
  marker.writeUInt32BE(laneBatch.generation, 1);
  let count = 0;
  for (const records of laneBatch.slices) {
    for (let at = 0; at < records.length; count++) {
      at = reader.read(records, at);
      const length = HEAD_BYTES + registerKeyLength(reader);
      if (length > marker.length) marker = Buffer.concat([marker.subarray(0, HEAD_BYTES)], length);
      writeRegisterKey(marker, HEAD_BYTES, reader);
      batch.del(marker.subarray(0, length));
    }
  }
  return count;
}

function registerKeyOf(marker: Buffer): Buffer {
  const key = Buffer.from(marker.subarray(HEAD_BYTES - 1));
  key[0] = REGISTER_TAG;
  return key;
}
