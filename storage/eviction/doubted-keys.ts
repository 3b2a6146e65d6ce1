/**
 * Evicted keys of which the stores may have what a peer has deleted: this node was away for longer than tombstones are kept, took the
 * peer's state, and could compare no more than the digests of such keys. What was deleted is taken out where they are read back, before
 * anybody sees it; and all of them are read back, so that the stores lose it, too. Until then the node does not count as one that has
 * resynchronised.
 */
import type { KeyName } from '../backends/key-names.ts';
import { KeyHashes } from '../digests/key-hashes.ts';
import type { Keyspace } from '../keyspace.ts';
import { forsakeKey, forsakeLacking, type OriginBound } from '../tombstones/forsake.ts';

/** Of a set that one pass over the stores is to find; about 3 MiB. */
const LACKED_MOST = 131_072;

/** What an entry costs beside the peer's records. */
const TAKEN_BYTES_EACH = 400;

/** Keys that the peer does not have: all of them up to the bound was deleted there. */
interface Lacked {
  readonly hashes: KeyHashes;
  readonly boundOf: OriginBound;
  isSealed: boolean;
}

/** What the peer has of a key: what is not among it, up to the bound, was deleted there. */
interface Taken extends KeyName {
  readonly states: { readonly records: Buffer; readonly boundOf: OriginBound }[];
}

/** A pass over the keys that deletes what the peer lacks. */
export interface ForsakingPass {
  readonly boundOf: OriginBound;
  isLacked(hashHi: number, hashLo: number): boolean;
}

/** A key's name in sets of keys. */
export function nameOf(database: number, key: Buffer): string {
  return `${database}:${key.toString('latin1')}`;
}

export class DoubtedKeys {
  /** What peers have of keys that are to be read, in bytes. */
  takenBytes = 0;
  readonly #keyspace: Keyspace;
  #lacked: Lacked[] = [];
  readonly #taken = new Map<string, Taken>();
  readonly #passes = new Set<ForsakingPass>();
  readonly #arrivals = new Set<Map<string, KeyName>>();
  #isSearchable = true;

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace;
  }

  get isEmpty(): boolean {
    return this.#lacked.length + this.#taken.size + this.#passes.size === 0;
  }

  /** Keys that are to be found yet; one that two peers had deleted counts twice. */
  get count(): number {
    return this.#lacked.reduce((total, { hashes }) => total + hashes.count, this.#taken.size);
  }

  /** The stores, or what is on its way there, have nothing any more that was deleted elsewhere, as far as they can be gone through. */
  get isSettled(): boolean {
    return this.isEmpty || (!this.#isSearchable && this.#taken.size + this.#passes.size === 0);
  }

  /** A peer does not have an evicted key; memory may have a part of it. */
  addLacked(hashHi: number, hashLo: number, boundOf: OriginBound): void {
    let last = this.#lacked.at(-1);
    if (last?.boundOf !== boundOf || last.isSealed || last.hashes.count >= LACKED_MOST) {
      last = { hashes: KeyHashes.empty(this.#keyspace.clock.lo), boundOf, isSealed: false };
      this.#lacked.push(last);
    }
    last.hashes.add(hashHi, hashLo);
  }

  /** All that a peer has of a key that memory has only a part of, or nothing. The records are kept. */
  addTaken({ database, key }: KeyName, records: Buffer, boundOf: OriginBound): void {
    const name = nameOf(database, key);
    const taken = this.#taken.get(name) ?? { database, key, states: [] };
    taken.states.push({ records, boundOf });
    this.#taken.set(name, taken);
    this.takenBytes += records.length + TAKEN_BYTES_EACH;
  }

  /** Begins to note keys that come back, until `endArrivals`: a walk may have passed where they are now, and not come to where they were. */
  beginArrivals(): Map<string, KeyName> {
    const arrivals = new Map<string, KeyName>();
    this.#arrivals.add(arrivals);
    return arrivals;
  }

  endArrivals(arrivals: Map<string, KeyName>): void {
    this.#arrivals.delete(arrivals);
  }

  /** Something of a key comes from the stores. */
  arrived({ database, key }: KeyName): void {
    for (const arrivals of this.#arrivals) arrivals.set(nameOf(database, key), { database, key });
  }

  /** What is read back from now on may come behind the pass. It is over when `endPass` was called. */
  beginPass(pass: ForsakingPass): void {
    this.#passes.add(pass);
  }

  endPass(pass: ForsakingPass): void {
    this.#passes.delete(pass);
  }

  /** Whether what the stores have of a key is not to be seen before `judge` was called. Asked when something of it comes. */
  has({ database, key }: KeyName): boolean {
    if (this.isEmpty) return false;
    const { digests } = this.#keyspace;
    digests.hashKey(database, key, 0, key.length);
    const { keyHi, keyLo } = digests;
    for (const pass of this.#passes) if (pass.isLacked(keyHi, keyLo)) this.addLacked(keyHi, keyLo, pass.boundOf);
    return this.isLacked(keyHi, keyLo) || this.#taken.has(nameOf(database, key));
  }

  isLacked(hashHi: number, hashLo: number): boolean {
    return this.#lacked.some(({ hashes }) => hashes.has(hashHi, hashLo));
  }

  /** Memory has all of a key: what was deleted at a peer goes, and is to be stored so. */
  judge({ database: number, key }: KeyName): void {
    if (this.isEmpty) return;
    const keyspace = this.#keyspace;
    const database = keyspace.databases[number];
    const { digests } = keyspace;
    digests.hashKey(number, key, 0, key.length);
    const { keyHi, keyLo } = digests;
    for (const { hashes, boundOf } of this.#lacked) {
      if (!hashes.has(keyHi, keyLo)) continue;
      const ref = keyspace.find(database, key, 0, key.length);
      if (ref !== 0) forsakeKey(keyspace, database, ref, boundOf);
    }
    const name = nameOf(number, key);
    const taken = this.#taken.get(name);
    if (taken === undefined) return;
    this.#taken.delete(name);
    for (const { records, boundOf } of taken.states) {
      this.takenBytes -= records.length + TAKEN_BYTES_EACH;
      forsakeLacking(keyspace, records, boundOf);
    }
  }

  /** Some of the keys that are to be read: a read may have failed, or not have begun. */
  unread(most: number): KeyName[] {
    const names: KeyName[] = [];
    for (const taken of this.#taken.values()) {
      if (names.length >= most) break;
      names.push(taken);
    }
    return names;
  }

  get hasToFind(): boolean {
    return this.#isSearchable && this.#passes.size === 0 && this.#lacked.length > 0;
  }

  /** What a pass over the stores is to find now: nothing is added to it any more. Null for nothing. */
  beginFinding(): KeyHashes | null {
    if (!this.hasToFind) return null;
    const [first] = this.#lacked;
    first.isSealed = true;
    return first.hashes;
  }

  /** All that the stores have of these keys was read back; or, without `isWhole`, they cannot be gone through. */
  endFinding(hashes: KeyHashes, isWhole: boolean): void {
    if (isWhole) this.#lacked = this.#lacked.filter((lacked) => lacked.hashes !== hashes);
    else this.#isSearchable = false;
  }
}
