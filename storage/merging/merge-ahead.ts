/**
 * What look-ahead.ts does for pipelined requests, for records that are about to be merged: their keys are hashed, and their index slots and
 * blocks read, in loops that do little else, so that the processor waits for many of them at once.
 */
import { viewOf } from '../../protocol/byte-view.ts';
import {
  OFFSET_DATABASE,
  OFFSET_KEY_LENGTH,
  RECORD_HEADER_BYTES,
  type RecordReader,
} from '../../protocol/change-record.ts';
import { DigestsAhead } from '../digests/digests-ahead.ts';
import type { Keyspace } from '../keyspace.ts';

const RUN_MAX = 32;
/** Longer keys are rare, and hashing them twice costs more than waiting. */
const KEY_LENGTH_MAX = 256;
/** Words of a block that are read: in the header, and where a key of 16 bytes ends and a value of 64. */
const FIRST_WORD = 4;
const SECOND_WORD = 24;
const SEGMENT_WORD_MASK = (1 << 21) - 1;

export class MergeAhead {
  /** The sum of all that was read, so that the reads are not found to be useless and left out. */
  sum = 0;
  readonly #hashes = new Int32Array(RUN_MAX);
  readonly #refs = new Uint32Array(RUN_MAX);
  #count = 0;
  #isDigested = false;
  readonly #digests = new DigestsAhead(RUN_MAX);

  /** Looks at the next records of records[start, end), which have been checked. Returns where those begin that it has not looked at. */
  fetch(keyspace: Keyspace, records: Buffer, start: number, end: number): number {
    const view = viewOf(records);
    const { hasher, databases, digests, digesting } = keyspace;
    this.#count = 0;
    this.#isDigested = digesting;
    let at = start + view.getUint32(start, true);
    // One record alone would only wait here instead of there.
    if (at === end) return end;
    let count = 0;
    for (at = start; at < end && count < RUN_MAX; count++) {
      const keyLength = view.getUint32(at + OFFSET_KEY_LENGTH, true);
      const isShort = keyLength <= KEY_LENGTH_MAX;
      const keyStart = at + RECORD_HEADER_BYTES;
      const database = view.getUint16(at + OFFSET_DATABASE, true);
      const hash = isShort ? hasher.hash(records, keyStart, keyLength) : 0;
      this.#hashes[count] = hash;
      this.#refs[count] = isShort ? databases[database].index.probe(hash) : 0;
      if (digesting && isShort) this.#digests.hash(digests, count, database, view, keyStart, keyLength);
      at += view.getUint32(at, true);
    }
    this.#count = count;
    if (digesting) this.#digests.fetch(digests, count);
    this.#touch(keyspace);
    return at;
  }

  #touch({ arena }: Keyspace): void {
    const { words } = arena;
    const refs = this.#refs;
    let sum = 0;
    for (let index = 0; index < this.#count; index++) {
      const ref = refs[index];
      if (ref === 0) continue;
      const segment = words[ref >>> 20];
      const word = (ref & 0xfffff) << 1;
      sum ^= segment[word + FIRST_WORD] ^ segment[(word + SECOND_WORD) & SEGMENT_WORD_MASK];
    }
    this.sum = sum;
  }

  /** The bytes of the records may change from now on. */
  forget({ hasher, digests }: Keyspace): void {
    hasher.forget();
    digests.forget();
  }

  /** The record that is merged next is the `index`th that was looked at: the hashes of its key need not be computed again. */
  know(keyspace: Keyspace, index: number, { database, buffer, keyStart, keyLength }: RecordReader): void {
    if (index >= this.#count || keyLength > KEY_LENGTH_MAX) return;
    keyspace.hasher.know(buffer, keyStart, keyLength, this.#hashes[index]);
    if (this.#isDigested) this.#digests.know(keyspace.digests, index, database, buffer, keyStart, keyLength);
  }
}
