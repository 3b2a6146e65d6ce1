/**
 * Computing the digests of what is there, in steps between other work: a node that has never had a peer keeps none. The walk is in the
 * order of hashes; what it has not come to yet is left out of the digests whatever happens to it, and taken in as it is then.
 */
import { HIDDEN, OBJECT } from './block.ts';
import { recomputeElements } from './collections/element-writes.ts';
import type { Database } from './database.ts';
import type { UnfinishedDigests } from './digested-blocks.ts';
import type { Keyspace } from './keyspace.ts';

const HASH_END = 0x100000000;
const KEYS_A_STEP = 200;
/** How long the event loop may be held between other work. */
const SLICE_MS = 1;

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

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace;
    keyspace.digests.clear();
    for (const database of keyspace.databases) keyspace.toggleEvicted(database);
    keyspace.digesting = true;
    keyspace.digestStart = this;
  }

  /** Whether the walk has yet to come to the block's key. */
  isAhead(database: Database, ref: number): boolean {
    if (this.#isVisiting || database.number < this.#database) return false;
    if (database.number > this.#database) return true;
    const keyspace = this.#keyspace;
    keyspace.readKey(ref);
    return keyspace.hashOf(keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength) >>> 0 >= this.#at;
  }

  /** Takes in about 200 more keys; false when all are. */
  step(): boolean {
    const keyspace = this.#keyspace;
    const database = keyspace.databases[this.#database];
    this.#isVisiting = true;
    const next = database.index.visitRange(this.#at, KEYS_A_STEP, (ref) => {
      const flags = keyspace.flagsOf(ref);
      if ((flags & HIDDEN) !== 0) return;
      if ((flags & OBJECT) !== 0) recomputeElements(keyspace, keyspace.collectionAt(ref));
      keyspace.toggleDigest(database, ref);
    });
    this.#isVisiting = false;
    this.#at = next >= HASH_END ? 0 : next;
    if (next >= HASH_END) this.#database++;
    if (this.#database < keyspace.databases.length) return true;
    keyspace.digestStart = null;
    return false;
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
  while (keyspace.digestStart === start && time.monotonicMs() < endMs) start.step();
  if (keyspace.digestStart === start) time.defer(() => goOn(keyspace, start, time));
}

/** Ends here and now what was begun in steps. */
export function finishDigesting(keyspace: Keyspace): void {
  while (keyspace.digestStart?.step() === true);
}
