/**
 * The following half of comparing large collections by their elements: tells the digests of ranges of elements, compares the
 * cells of those that differ, and gives and picks what is in the cells that differ. docs/peer-protocol.md draws the conversation.
 */
import { strict as assert } from 'node:assert';
import { FRAME_FLAG_MORE, FRAME_REPAIR_PICK, PeerProtocolError, REFUSE_MALFORMED } from '../../protocol/peer-frame.ts';
import {
  CELL_BITS_LEAST,
  CELL_BITS_MOST,
  decodeCells,
  decodeNumber,
  encodeAll,
  encodePick,
  encodeRanges,
  rangeCount,
  rangeDigests,
} from '../../protocol/peer-elements.ts';
import type { FrameScratch } from '../stream/frame-scratch.ts';
import { RecordSource } from './record-source.ts';
import type { CellScan, LargeKey, Replica } from '../replica.ts';

/** Cells of all keys that are compared in one turn, and those keys. */
export const CELLS_PER_TURN = 2 ** CELL_BITS_MOST;
export const KEYS_PER_TURN = 256;
/** Keys that wait to be compared, and bytes of their names; what is more is sent whole. */
const WAITING_KEYS_MAX = 16_384;
const WAITING_BYTES_MAX = 4 << 20;
/** A cell has this share of the least number of elements that are compared: 32 of 256. */
const CELLS_OF_THE_LEAST = 8;
/** Nothing is selected by bucket. */
export const NO_SELECTION = { buckets: new Uint8Array(0), has: () => false };

/** A key whose ranges the leader has been told of. */
interface Asked {
  readonly name: LargeKey;
  readonly bits: number;
  /** The digests of its cells; null when it was lost while they were computed, and is given whole. */
  readonly words: Uint32Array | null;
  /** A byte for each cell, 1 where the leader has another digest. */
  readonly differing: Uint8Array;
  isAll: boolean;
  isAnswered: boolean;
}

function bitsFor(elementCount: number, elementsMin: number): number {
  const cells = (elementCount * CELLS_OF_THE_LEAST) / Math.max(1, elementsMin);
  return Math.min(CELL_BITS_MOST, Math.max(CELL_BITS_LEAST, Math.ceil(Math.log2(cells))));
}

export class ElementAsker {
  readonly #replica: Replica;
  readonly #elementsMin: number;
  readonly #scratch: FrameScratch;
  #waiting: LargeKey[] = [];
  #waitingBytes = 0;
  #asked: Asked[] = [];
  /** Asked in the turn before: to be given now. */
  #given: Asked[] = [];
  #picked = 0;
  #source: RecordSource | null = null;
  #scan: CellScan | null = null;
  #cells = 0;

  /** @param elementsMin collections of more elements are compared */
  constructor(replica: Replica, elementsMin: number, scratch: FrameScratch) {
    this.#replica = replica;
    this.#scratch = scratch;
    this.#elementsMin = elementsMin;
  }

  /** Takes a key to compare; false when there are too many. */
  add(name: LargeKey): boolean {
    const isFull = this.#waiting.length === WAITING_KEYS_MAX || this.#waitingBytes > WAITING_BYTES_MAX;
    if (isFull) return false;
    this.#waiting.push(name);
    this.#waitingBytes += name.key.length;
    return true;
  }

  /** Whether the leader owes an answer. */
  get isOpen(): boolean {
    return this.#asked.length > 0;
  }

  /** A REPAIR_CELLS. @throws PeerProtocolError */
  receiveCells(flags: number, buffer: Buffer, start: number, end: number): void {
    const { number, isAll } = decodeNumber(buffer, start, end);
    const asked = this.#asked[number];
    if (asked === undefined || asked.isAnswered) throw new PeerProtocolError(REFUSE_MALFORMED, 'cells not asked for');
    const { words, differing, bits } = asked;
    asked.isAll ||= isAll;
    asked.isAnswered = (flags & FRAME_FLAG_MORE) === 0;
    if (isAll) return;
    decodeCells(buffer, start, end, bits, (cell, hi, lo) => {
      if (words === null || words[cell * 2] !== hi || words[cell * 2 + 1] !== lo) differing[cell] = 1;
    });
  }

  /** The leader's turn is over. @throws PeerProtocolError when it has not answered all */
  answered(): void {
    if (!this.#asked.every(({ isAnswered }) => isAnswered))
      throw new PeerProtocolError(REFUSE_MALFORMED, 'a turn that ends before all cells were told');
    this.#given = this.#asked;
    this.#asked = [];
    this.#picked = 0;
    this.#cells = 0;
  }

  /** Whether this turn's frames have all been taken. */
  get isDone(): boolean {
    return this.#given.length === 0 && !this.#mayAskMore;
  }

  get #mayAskMore(): boolean {
    if (this.#scan !== null) return true;
    if (this.#waiting.length === 0 || this.#asked.length === KEYS_PER_TURN) return false;
    return this.#asked.length === 0 || this.#cells + 2 ** this.#bitsOfNext() <= CELLS_PER_TURN;
  }

  #bitsOfNext(): number {
    return bitsFor(this.#waiting.at(-1)!.elementCount, this.#elementsMin);
  }

  /** The next frame, after at most one slice of work. */
  next(): Buffer | null {
    if (this.#picked < this.#given.length) return this.#nextPick();
    if (this.#given.length > 0) return this.#nextRecords();
    return this.#mayAskMore ? this.#nextRanges() : null;
  }

  close(): void {
    this.#source?.close();
    this.#source = null;
  }

  #nextPick(): Buffer {
    const number = this.#picked++;
    const { isAll, bits, differing, words } = this.#given[number];
    return isAll || words === null ? encodeAll(FRAME_REPAIR_PICK, number) : encodePick(number, bits, differing);
  }

  #nextRecords(): Buffer | null {
    this.#source ??= new RecordSource(
      this.#replica.startParts(this.#given.map(partOf)),
      NO_SELECTION,
      true,
      this.#scratch,
    );
    const frame = this.#source.next();
    if (this.#source.isDone) {
      this.close();
      this.#given = [];
    }
    return frame;
  }

  #nextRanges(): Buffer | null {
    const bits = this.#bitsOfNext();
    const name = this.#waiting.at(-1)!;
    this.#scan ??= this.#replica.startCells(name, bits);
    if (this.#scan?.step() === true) return null;
    const words = this.#scan === null || this.#scan.isLost ? null : this.#scan.words;
    this.#scan = null;
    this.#waiting.pop();
    this.#waitingBytes -= name.key.length;
    this.#cells += 2 ** bits;
    assert(words === null || words.length === 2 ** bits * 2, 'a scan has two words for each cell');
    this.#asked.push({ name, bits, words, differing: new Uint8Array(2 ** bits), isAll: false, isAnswered: false });
    const ranges = words === null ? new Uint32Array(rangeCount(bits) * 2) : rangeDigests(words, bits);
    return encodeRanges({ database: name.database, key: name.key, kind: name.kind, bits, ranges });
  }
}

function partOf({ name, bits, differing, isAll, words }: Asked): LargeKey & { bits: number; cells: Uint8Array | null } {
  return { ...name, bits, cells: isAll || words === null ? null : differing };
}
