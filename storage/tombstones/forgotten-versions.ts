/**
 * How new what has left memory for good may be, by the high bits of the keys' hashes in the digests: the greatest version of a floor or a
 * tombstone that this node has forgotten there. Another node may still remember it. 64 KiB a database, made with the first of them.
 */
import { compareStamp } from '../../protocol/stamp.ts';
import { ABOVE_EVERY_ORIGIN, type NodeTable } from '../arena/node-table.ts';

const BUCKETS = 4096;
const BUCKET_SHIFT = 20;
const WORDS = 4;

export class ForgottenVersions {
  /** What `read` has found: 0 for nothing. The origin is an index in the node table. */
  hi = 0;
  lo = 0;
  origin = 0;
  /** It was a floor: what is of the same version is dead. */
  isFloor = false;
  #words = new Uint32Array(0);
  #allHi = 0;
  #allLo = 0;

  /** Everything that was deleted up to the stamp may be forgotten, of whatever key: more is not known of it. */
  raise(hi: number, lo: number): void {
    if (compareStamp(hi, lo, this.#allHi, this.#allLo) <= 0) return;
    this.#allHi = hi;
    this.#allLo = lo;
  }

  /** A floor, or else a tombstone, of this version leaves memory. `keyHi` is the upper half of its key's hash in the digests. */
  note(nodes: NodeTable, keyHi: number, hi: number, lo: number, origin: number, isFloor: boolean): void {
    this.read(nodes, keyHi);
    if (this.#compare(nodes, hi, lo, origin, isFloor) <= 0) return;
    if (this.#words.length === 0) this.#words = new Uint32Array(BUCKETS * WORDS);
    const at = (keyHi >>> BUCKET_SHIFT) * WORDS;
    this.#words[at] = hi;
    this.#words[at + 1] = lo;
    this.#words[at + 2] = origin;
    this.#words[at + 3] = isFloor ? 1 : 0;
  }

  /** Leaves in the fields the greatest version that may have been forgotten at such a key. */
  read(nodes: NodeTable, keyHi: number): void {
    this.hi = this.#allHi;
    this.lo = this.#allLo;
    this.origin = ABOVE_EVERY_ORIGIN;
    this.isFloor = true;
    if (this.#words.length === 0) return;
    const words = this.#words;
    const at = (keyHi >>> BUCKET_SHIFT) * WORDS;
    const isFloor = words[at + 3] === 1;
    if (this.#compare(nodes, words[at], words[at + 1], words[at + 2], isFloor) <= 0) return;
    this.hi = words[at];
    this.lo = words[at + 1];
    this.origin = words[at + 2];
    this.isFloor = isFloor;
  }

  /** Orders a version against the one in the fields. */
  #compare(nodes: NodeTable, hi: number, lo: number, origin: number, isFloor: boolean): number {
    const order = compareStamp(hi, lo, this.hi, this.lo) || nodes.compare(origin, this.origin);
    return order || Number(isFloor) - Number(this.isFloor);
  }

  /** As on a node that has never forgotten anything. */
  clear(): void {
    this.#words = new Uint32Array(0);
    this.#allHi = 0;
    this.#allLo = 0;
  }
}
