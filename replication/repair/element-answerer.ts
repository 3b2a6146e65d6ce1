/**
 * The leading half of comparing large collections by their elements: tells the digests of the cells in ranges that differ, and
 * gives what is in the cells that the other side picks.
 */
import { FRAME_REPAIR_CELLS, PeerProtocolError, REFUSE_MALFORMED } from '../../protocol/peer-frame.ts';
import {
  decodeNumber,
  decodePick,
  decodeRanges,
  encodeAll,
  encodeCells,
  rangeDigests,
  type KeyRanges,
} from '../../protocol/peer-elements.ts';
import { CELLS_PER_TURN, KEYS_PER_TURN, NO_SELECTION } from './element-asker.ts';
import type { FrameScratch } from '../stream/frame-scratch.ts';
import { RecordSource } from './record-source.ts';
import type { CellScan, KeyPart, Replica } from '../replica.ts';

/** Ranges of one REPAIR_CELLS frame: about 128 KiB. */
const RANGES_PER_FRAME = 256;

export class ElementAnswerer {
  readonly #replica: Replica;
  readonly #scratch: FrameScratch;
  /** Told of in this turn, and how many of them have been answered. */
  #told: KeyRanges[] = [];
  #answered = 0;
  #cells = 0;
  /** Answered in the turn before, and what was picked of each; undefined where the other side has not said. */
  #before: KeyRanges[] = [];
  #parts: (KeyPart | undefined)[] = [];
  #source: RecordSource | null = null;
  #scan: CellScan | null = null;
  #frames: Buffer[] = [];

  constructor(replica: Replica, scratch: FrameScratch) {
    this.#replica = replica;
    this.#scratch = scratch;
  }

  /** A REPAIR_RANGES. @throws PeerProtocolError */
  receiveRanges(buffer: Buffer, start: number, end: number): void {
    const told = decodeRanges(buffer, start, end);
    this.#cells += 2 ** told.bits;
    if (this.#told.length === KEYS_PER_TURN || this.#cells > CELLS_PER_TURN)
      throw new PeerProtocolError(
        REFUSE_MALFORMED,
        `more than ${CELLS_PER_TURN} cells or ${KEYS_PER_TURN} keys in one turn`,
      );
    this.#told.push(told);
  }

  /** A REPAIR_PICK. @throws PeerProtocolError */
  receivePick(buffer: Buffer, start: number, end: number): void {
    const { number, isAll } = decodeNumber(buffer, start, end);
    const told = this.#before[number];
    if (told === undefined || this.#parts[number] !== undefined)
      throw new PeerProtocolError(REFUSE_MALFORMED, 'a pick among cells that were not told');
    const { database, key, kind, bits } = told;
    this.#parts[number] = { database, key, kind, bits, cells: isAll ? null : decodePick(buffer, start, end, bits) };
  }

  /** The other side's turn is over. @throws PeerProtocolError when it has not said what it picks of every key */
  turned(): void {
    for (let number = 0; number < this.#before.length; number++) {
      if (this.#parts[number] === undefined)
        throw new PeerProtocolError(REFUSE_MALFORMED, 'a turn that ends before all was picked');
    }
    this.#before = [];
    this.#answered = 0;
  }

  /** Whether this turn's frames have all been taken. */
  get isDone(): boolean {
    return this.#parts.length === 0 && this.#frames.length === 0 && this.#answered === this.#told.length;
  }

  /** Whether the other side owes a turn, in which it picks from what was told in this one. */
  get isOpen(): boolean {
    return this.#told.length > 0;
  }

  /** This turn is over. */
  endTurn(): void {
    this.#before = this.#told;
    this.#told = [];
    this.#cells = 0;
  }

  /** The next frame, after at most one slice of work. */
  next(): Buffer | null {
    const frame = this.#frames.shift();
    if (frame !== undefined) return frame;
    if (this.#parts.length > 0) return this.#nextRecords();
    return this.#answered < this.#told.length ? this.#nextCells() : null;
  }

  close(): void {
    this.#source?.close();
    this.#source = null;
  }

  #nextRecords(): Buffer | null {
    const parts = this.#parts as KeyPart[];
    this.#source ??= new RecordSource(this.#replica.startParts(parts), NO_SELECTION, true, this.#scratch);
    const frame = this.#source.next();
    if (this.#source.isDone) {
      this.close();
      this.#parts = [];
    }
    return frame;
  }

  #nextCells(): Buffer | null {
    const number = this.#answered;
    const told = this.#told[number];
    this.#scan ??= this.#replica.startCells(told, told.bits);
    if (this.#scan?.step() === true) return null;
    const words = this.#scan === null || this.#scan.isLost ? null : this.#scan.words;
    this.#scan = null;
    this.#answered++;
    if (words === null) return encodeAll(FRAME_REPAIR_CELLS, number);
    this.#tellCells(number, told, words);
    return this.#frames.shift()!;
  }

  /** One frame at least: also where nothing differs the key itself may. */
  #tellCells(number: number, { bits, ranges }: KeyRanges, words: Uint32Array): void {
    const own = rangeDigests(words, bits);
    const differing: number[] = [];
    for (let range = 0; range * 2 < own.length; range++) {
      if (own[range * 2] !== ranges[range * 2] || own[range * 2 + 1] !== ranges[range * 2 + 1]) differing.push(range);
    }
    do {
      const listed = differing.splice(0, RANGES_PER_FRAME);
      this.#frames.push(encodeCells(number, bits, listed, words, differing.length > 0));
    } while (differing.length > 0);
  }
}
