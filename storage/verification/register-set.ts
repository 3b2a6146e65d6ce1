/** Versions of many registers in little memory: 17 bytes for each, by hashes of the register and of its version. */
import { hash } from 'node:crypto';
import type { RecordReader } from '../../protocol/change-record.ts';
import { registerKeyLength, writeRegisterKey } from '../backends/register-key.ts';

export const UNSEEN = 0;
export const EQUAL = 1;
export const OTHER = 2;

const SCRATCH_BYTES = 1 << 16;
const VERSION_BYTES = 50;
const FULL_SHARE = 0.7;
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
const version = Buffer.allocUnsafeSlow(VERSION_BYTES);

function versionHash(record: RecordReader): number {
  const words = [
    record.stampHi,
    record.stampLo,
    record.originHi,
    record.originLo,
    record.flags & 1,
    record.deadlineStampHi,
    record.deadlineStampLo,
    record.deadlineOriginHi,
    record.deadlineOriginLo,
  ];
  words.forEach((word, index) => version.writeUInt32LE(word >>> 0, 4 * index));
  return hash('sha1', version.subarray(0, 4 * words.length), 'buffer').readUInt32LE(0);
}

export class RegisterSet {
  /** Three words for each register: two of its hash (both 0 for a free place), one of its version's. */
  #words = new Uint32Array(3 * 1024);
  #marks = new Uint8Array(1024);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Leaves the place of the record's register in the table; free when it is not there. */
  #find(hi: number, lo: number): number {
    const places = this.#marks.length;
    for (let place = lo % places; ; place = (place + 1) % places) {
      const at = 3 * place;
      const isFree = this.#words[at] === 0 && this.#words[at + 1] === 0;
      if (isFree || (this.#words[at] === hi && this.#words[at + 1] === lo)) return place;
    }
  }

  #findRecord(record: RecordReader): { place: number; hi: number; lo: number } {
    const length = registerKeyLength(record);
    const bytes = length <= SCRATCH_BYTES ? scratch : Buffer.allocUnsafeSlow(length);
    writeRegisterKey(bytes, 0, record);
    const digest = hash('sha1', bytes.subarray(0, length), 'buffer');
    const hi = digest.readUInt32LE(0) | 1;
    const lo = digest.readUInt32LE(4);
    return { place: this.#find(hi >>> 0, lo), hi: hi >>> 0, lo };
  }

  add(record: RecordReader): void {
    if (this.#count >= FULL_SHARE * this.#marks.length) this.#grow();
    const { place, hi, lo } = this.#findRecord(record);
    if (this.#words[3 * place] === 0) this.#count++;
    this.#words.set([hi, lo, versionHash(record)], 3 * place);
  }

  /** Marks the record's register, when it is in the set, as seen in this version or in another one. */
  see(record: RecordReader): number {
    const { place } = this.#findRecord(record);
    if (this.#words[3 * place] === 0) return UNSEEN;
    const mark = this.#words[3 * place + 2] === versionHash(record) ? EQUAL : OTHER;
    this.#marks[place] = mark;
    return mark;
  }

  /** As what the record's register was seen; null when it is not in the set, or is there in another version. */
  markOf(record: RecordReader): number | null {
    const { place } = this.#findRecord(record);
    if (this.#words[3 * place] === 0 || this.#words[3 * place + 2] !== versionHash(record)) return null;
    return this.#marks[place];
  }

  forgetMarks(): void {
    this.#marks.fill(UNSEEN);
  }

  #grow(): void {
    const words = this.#words;
    this.#words = new Uint32Array(words.length * 2);
    this.#marks = new Uint8Array(this.#marks.length * 2);
    for (let at = 0; at < words.length; at += 3) {
      if (words[at] === 0) continue;
      this.#words.set(words.subarray(at, at + 3), 3 * this.#find(words[at], words[at + 1]));
    }
  }
}
