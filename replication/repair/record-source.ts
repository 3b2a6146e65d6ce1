/** Turns a pass over the replica into REPAIR_RECORDS or REPAIR_TOMBSTONES frames, one slice at a time. */
import { RecordWriter } from '../../protocol/change-record.ts';
import { FRAME_PART_BYTES, FRAME_REPAIR_RECORDS } from '../../protocol/peer-frame.ts';
import { encodeRepairRecords } from '../../protocol/peer-repair.ts';
import type { FrameScratch } from '../stream/frame-scratch.ts';
import type { KeySelection, RecordScan } from '../replica.ts';

/** Aim of one frame; small enough that merging it does not hold up the other side's clients. */
const FRAME_RECORDS_BYTES = 4 * 1024;

export class RecordSource {
  #scan: RecordScan | null;
  #selection: KeySelection;
  #writer = new RecordWriter(FRAME_RECORDS_BYTES + 4096);
  /** Encoded records that did not fit one frame, and how much of them has been sent. */
  #long: Buffer | null = null;
  #longSent = 0;
  #isWholePass: boolean;
  #frameType: number;
  #frames: FrameScratch;

  /** @param isWholePass false = no key is selected, and only what belongs to no key is sent */
  constructor(
    scan: RecordScan,
    selection: KeySelection,
    isWholePass: boolean,
    frames: FrameScratch,
    frameType = FRAME_REPAIR_RECORDS,
  ) {
    this.#frames = frames;
    this.#frameType = frameType;
    this.#scan = scan;
    this.#selection = selection;
    this.#isWholePass = isWholePass;
  }

  get isDone(): boolean {
    return this.#scan === null && this.#long === null;
  }

  /** Does one slice; null when it found nothing. The frame is valid until the scratch is reset. */
  next(): Buffer | null {
    if (this.#long !== null) return this.#nextPart(this.#long);
    if (this.#scan === null) return null;
    const more = this.#scan.records(this.#selection, this.#writer, FRAME_RECORDS_BYTES);
    if (!more || !this.#isWholePass) this.close();
    if (this.#writer.length === 0) return null;
    if (this.#writer.length <= FRAME_PART_BYTES) {
      const frame = this.#encode(false, this.#writer.buffer, 0, this.#writer.length);
      this.#writer.reset();
      return frame;
    }
    this.#long = this.#writer.take();
    this.#longSent = 0;
    return this.#nextPart(this.#long);
  }

  close(): void {
    this.#scan?.close();
    this.#scan = null;
  }

  #nextPart(long: Buffer): Buffer {
    const start = this.#longSent;
    const end = Math.min(start + FRAME_PART_BYTES, long.length);
    this.#longSent = end;
    if (end === long.length) this.#long = null;
    return this.#encode(end < long.length, long, start, end);
  }

  #encode(more: boolean, records: Buffer, start: number, end: number): Buffer {
    return encodeRepairRecords(more, records, start, end, this.#frameType, this.#frames.take);
  }
}
