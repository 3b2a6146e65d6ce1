/**
 * Computing the digests of what is there, in steps between other work: a node that has never had a peer keeps none. The walk is in the
 * order of hashes; what it has not come to yet is left out of the digests whatever happens to it, and taken in as it is then.
 */
import { HIDDEN, OBJECT } from '../arena/block.ts';
import { type Collection, ElementCursor } from '../collections/collection.ts';
import { recomputeElements, recomputeSome } from '../collections/element-writes.ts';
import type { Database } from '../database.ts';
import type { UnfinishedDigests } from './digested-blocks.ts';
import type { Keyspace } from '../keyspace.ts';
import { HASH_END } from '../index/key-index.ts';

const KEYS_A_STEP = 25;
/** Larger collections are gone through in steps of so many elements. */
const ELEMENTS_A_STEP = 100;
/** How long the event loop may be held between other work. */
const SLICE_MS = 0.25;

/** What it takes to work between other work. */
interface Pacer {
  monotonicMs(): number;
  /** Runs work after what the event loop has to do now. */
  defer(work: () => void): void;
}

class DigestStart implements UnfinishedDigests {
  readonly #keyspace: Keyspace;
  #database = 0;
  #at = 0;
  #isVisiting = false;
  /** Large collections that the walk over the keys has left behind. */
  readonly #within = new Map<Collection, ElementCursor>();
  readonly #waiting: (() => void)[] = [];

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace;
    keyspace.digests.clear();
    for (const database of keyspace.databases) keyspace.toggleEvicted(database);
    keyspace.digesting = true;
    keyspace.digestStart = this;
  }

  isAhead(database: Database, ref: number): boolean {
    if (this.#isVisiting) return false;
    return this.#isKeyAhead(database, ref) || this.#isWithinKey(ref);
  }

  /** Whether the walk over the keys has yet to come to the block's. */
  #isKeyAhead(database: Database, ref: number): boolean {
    if (database.number < this.#database) return false;
    if (database.number > this.#database) return true;
    const keyspace = this.#keyspace;
    keyspace.readKey(ref);
    return keyspace.hashOf(keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength) >>> 0 >= this.#at;
  }

  #isWithinKey(ref: number): boolean {
    const keyspace = this.#keyspace;
    if (this.#within.size === 0 || (keyspace.flagsOf(ref) & OBJECT) === 0 || keyspace.isPacked(ref)) return false;
    return this.#within.has(keyspace.glanceAt(ref));
  }

  isElementAhead(collection: Collection, ref: number): boolean {
    if (this.#isVisiting) return false;
    const cursor = this.#within.get(collection);
    return cursor !== undefined && collection.isAhead(cursor, ref);
  }

  isWithin(collection: Collection): boolean {
    return this.#within.has(collection);
  }

  asIfTakenIn(database: Database, ref: number, work: () => void): void {
    const keyspace = this.#keyspace;
    const isAhead = this.isAhead(database, ref);
    this.#isVisiting = true;
    if (isAhead && (keyspace.flagsOf(ref) & OBJECT) !== 0) recomputeElements(keyspace, keyspace.collectionAt(ref));
    work();
    this.#isVisiting = false;
  }

  step(): boolean {
    const keyspace = this.#keyspace;
    const [within] = this.#within;
    if (within === undefined) this.#stepKeys();
    else this.#stepWithin(...within);
    if (this.#database < keyspace.databases.length || this.#within.size > 0) return true;
    keyspace.digestStart = null;
    for (const callback of this.#waiting.splice(0)) callback();
    return false;
  }

  whenDone(callback: () => void): void {
    this.#waiting.push(callback);
  }

  /** Takes in about 25 more keys, but for large collections. */
  #stepKeys(): void {
    const keyspace = this.#keyspace;
    const database = keyspace.databases[this.#database];
    const next = database.index.visitRange(this.#at, KEYS_A_STEP, (ref) => {
      const flags = keyspace.flagsOf(ref);
      if ((flags & OBJECT) !== 0 && !this.#beginCollection(ref)) return;
      if ((flags & HIDDEN) !== 0) return;
      this.#isVisiting = true;
      keyspace.toggleDigest(database, ref);
      this.#isVisiting = false;
    });
    this.#at = next >= HASH_END ? 0 : next;
    if (next >= HASH_END) this.#database++;
  }

  /** Computes the digest of a key's elements, hidden or not: it may be shown again. False when that is to go in steps. */
  #beginCollection(ref: number): boolean {
    const keyspace = this.#keyspace;
    const collection = keyspace.collectionAt(ref);
    if (collection.count > ELEMENTS_A_STEP) {
      this.#within.set(collection, new ElementCursor());
      return false;
    }
    if (collection.count === 0) {
      // There may be many tombstones.
      collection.digestHi = 0;
      collection.digestLo = 0;
      return true;
    }
    this.#isVisiting = true;
    recomputeElements(keyspace, collection);
    this.#isVisiting = false;
    return true;
  }

  #stepWithin(collection: Collection, cursor: ElementCursor): void {
    const keyspace = this.#keyspace;
    // Nothing is left of it when its key was deleted meanwhile, or written over.
    const isThere = keyspace.objects.holds(collection);
    this.#isVisiting = true;
    if (!isThere || !recomputeSome(keyspace, collection, cursor, ELEMENTS_A_STEP)) {
      this.#within.delete(collection);
      const isShown = isThere && (keyspace.flagsOf(collection.ref) & HIDDEN) === 0;
      if (isShown) keyspace.toggleDigest(keyspace.databases[collection.database], collection.ref);
    }
    this.#isVisiting = false;
  }
}

/**
 * Computes all digests from what is there; from then on they are kept up to date at each change.
 * @param time has it done between other work; null = before this returns
 */
export function startDigesting(keyspace: Keyspace, time: Pacer | null = null): void {
  if (!keyspace.digesting) new DigestStart(keyspace);
  const start = keyspace.digestStart;
  if (time === null) finishDigesting(keyspace);
  else if (start !== null) time.defer(() => goOn(keyspace, start, time));
}

function goOn(keyspace: Keyspace, start: UnfinishedDigests, time: Pacer): void {
  const endMs = time.monotonicMs() + SLICE_MS;
  while (keyspace.digestStart === start && start.step() && time.monotonicMs() < endMs);
  if (keyspace.digestStart === start) time.defer(() => goOn(keyspace, start, time));
}

/** Ends here and now what was begun in steps. */
export function finishDigesting(keyspace: Keyspace): void {
  while (keyspace.digestStart?.step() === true);
}
