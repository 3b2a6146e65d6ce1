/**
 * Keys that were evicted, on their way back from the durable stores. What the stores give is merged, as from a peer: memory may
 * have got newer registers of the key meanwhile. Whoever asks for a key that is on its way waits with the others.
 */
import { strict as assert } from 'node:assert';
import {
  FLAG_DEAD,
  FLAG_HAS_DEADLINE,
  KIND_FLOOR,
  KIND_STRING,
  RecordError,
  RecordReader,
} from '../../protocol/change-record.ts';
import { StoreError } from '../backends/backend.ts';
import { type KeyName, packKeyNames } from '../backends/key-names.ts';
import { OBJECT, STORE } from '../arena/block.ts';
import { recomputeElements } from '../collections/element-writes.ts';
import type { Database } from '../database.ts';
import { endOfPiece, inPieces, type TurnTime } from '../merging/in-pieces.ts';
import type { Keyspace } from '../keyspace.ts';
import { applyRecords } from '../merging/merge.ts';
import { DoubtedKeys, nameOf } from './doubted-keys.ts';
import { EvictedSearch, type SearchedStore } from './evicted-search.ts';
import { PartReader } from './part-reader.ts';

/** The durable stores as they are read here. */
export interface KeySource extends Partial<SearchedStore> {
  fetch(keys: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void>;
}

const KEYS_A_READ = 64;
const READS_AT_ONCE = 4;
/** Keys on their way, with those that wait for a read to begin. */
const PENDING_MOST = 100_000;
/** Of keys that are read because a peer's state was taken: so many at once. */
const DOUBTED_A_READ = 256;
/** Elements of a collection that was evicted at the start which are freed with each key: more than most have. */
const ELEMENTS_FREED = 1000;

interface Pending extends KeyName {
  readonly name: string;
  /** Whether the stores have it. */
  readonly done: Promise<boolean>;
  resolve: (isStored: boolean) => void;
  reject: (error: unknown) => void;
  /** Whether memory had nothing of the key when the first records came; null before. */
  wasAbsent: boolean | null;
  /** What nobody may see before all of the key is here. */
  held: Buffer[];
}

export class ReadThrough {
  /** Called when keys have come back: memory may be over its bound. */
  onFetched: () => void = () => {};
  keysFetched = 0;
  /** Of those, keys that the stores do not have. */
  keysMissed = 0;
  /** Bytes of records that the stores have given, but for those of keys that were found to be deleted elsewhere. */
  bytesFetched = 0;
  readonly parts: PartReader;
  readonly doubted: DoubtedKeys;
  /** Null where the stores cannot be searched. */
  readonly search: EvictedSearch | null;
  readonly #keyspace: Keyspace;
  readonly #source: KeySource;
  readonly #pending = new Map<string, Pending>();
  #waiting: Pending[] = [];
  #reads = 0;
  #isReadingDoubted = false;
  readonly #reader = new RecordReader();

  constructor(keyspace: Keyspace, source: KeySource) {
    this.#keyspace = keyspace;
    this.#source = source;
    this.parts = new PartReader(keyspace, this);
    const { search } = source;
    const store = search === undefined ? null : { search: search.bind(source) };
    this.doubted = new DoubtedKeys(keyspace);
    this.search = store === null ? null : new EvictedSearch(keyspace, store, this, this.doubted);
    keyspace.onPart = (key) => this.parts.read(key);
  }

  /** Goes on with what nobody waits for. Called by the node's timer with a monotonic time. */
  tick(nowMs: number): void {
    this.parts.tick();
    this.search?.tick(nowMs);
    void this.#readDoubted();
  }

  /** Reads all that a peer's state was taken of without knowing what the stores have of it. */
  async #readDoubted(): Promise<void> {
    if (this.#isReadingDoubted) return;
    this.#isReadingDoubted = true;
    try {
      for (let names = this.doubted.unread(DOUBTED_A_READ); names.length > 0;) {
        await this.fetch(names);
        names = this.doubted.unread(DOUBTED_A_READ);
      }
    } catch (error) {
      // They are tried again at the next tick.
      if (!(error instanceof StoreError || error instanceof RecordError)) throw error;
    } finally {
      this.#isReadingDoubted = false;
    }
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Whether the block is of a key that is on its way: a part of it may be merged already, and must stay. */
  isPinned(database: Database, ref: number): boolean {
    if (this.#pending.size === 0) return false;
    const keyspace = this.#keyspace;
    keyspace.readKey(ref);
    const { keyBuffer, keyStart, keyLength } = keyspace;
    return this.#pending.has(nameOf(database.number, keyBuffer.subarray(keyStart, keyStart + keyLength)));
  }

  /**
   * Resolves when memory has all that the stores have of these keys, to the names of those that the stores do not have. Rejects
   * with a StoreError. The bytes must stay as they are.
   */
  async fetch(keys: readonly KeyName[]): Promise<ReadonlySet<string>> {
    const areStored = await Promise.all(keys.map((key) => this.#fetchOne(key)));
    return new Set(keys.filter((_, at) => !areStored[at]).map(({ database, key }) => nameOf(database, key)));
  }

  #fetchOne({ database, key }: KeyName): Promise<boolean> {
    const name = nameOf(database, key);
    const present = this.#pending.get(name);
    if (present !== undefined) return present.done;
    if (this.#pending.size >= PENDING_MOST) {
      return Promise.reject(new StoreError('unavailable', 'too many keys wait for the durable store'));
    }
    const { promise: done, resolve, reject } = Promise.withResolvers<boolean>();
    const pending: Pending = { database, key, name, done, resolve, reject, wasAbsent: null, held: [] };
    this.#pending.set(name, pending);
    this.#waiting.push(pending);
    // What else is asked for in this turn shares the read.
    if (this.#waiting.length === 1) queueMicrotask(() => this.#begin());
    return done;
  }

  #begin(): void {
    while (this.#reads < READS_AT_ONCE && this.#waiting.length > 0) {
      void this.#read(this.#waiting.splice(0, KEYS_A_READ));
    }
  }

  async #read(keys: Pending[]): Promise<void> {
    this.#reads++;
    try {
      await this.#source.fetch(packKeyNames(keys), (records) => Promise.resolve(this.#merge(records)));
      for (const pending of keys) this.#complete(pending);
    } catch (error) {
      for (const pending of keys) {
        this.#pending.delete(pending.name);
        pending.reject(error);
      }
    }
    this.#reads--;
    this.#begin();
    this.onFetched();
  }

  /** Merges packed records, one key's at a time. */
  #merge(records: Buffer): void {
    const reader = this.#reader;
    this.bytesFetched += records.length;
    this.#keyspace.clock.refresh();
    for (let at = 0; at < records.length;) {
      const from = at;
      at = reader.read(records, at);
      const { database, keyStart, keyLength } = reader;
      const key = records.subarray(keyStart, keyStart + keyLength);
      while (at < records.length) {
        const next = reader.read(records, at);
        if (reader.database !== database) break;
        if (key.compare(records, reader.keyStart, reader.keyStart + reader.keyLength) !== 0) break;
        at = next;
      }
      const pending = this.#pending.get(nameOf(database, key));
      assert(pending !== undefined, 'a store gives what it is asked for');
      this.#mergeKey(pending, records, from, at);
    }
  }

  #mergeKey(pending: Pending, records: Buffer, from: number, to: number): void {
    const keyspace = this.#keyspace;
    const { key } = pending;
    const ref = keyspace.find(keyspace.databases[pending.database], key, 0, key.length);
    pending.wasAbsent ??= ref === 0;
    this.doubted.arrived(pending);
    if (this.doubted.has(pending)) {
      pending.held.push(Buffer.from(records.subarray(from, to)));
      return;
    }
    this.#apply(ref, records, from, to);
  }

  /** This is no change: peers, watchers and the stores need not be told of it. `ref` is the key's block, or 0. */
  #apply(ref: number, records: Buffer, from: number, to: number): void {
    const keyspace = this.#keyspace;
    const { storing, hydrating, observer, changes, onPart } = keyspace;
    // What is still to be stored must stay so, and goes by the blocks' marks.
    keyspace.storing = ref !== 0 && (keyspace.flagsOf(ref) & STORE) !== 0;
    keyspace.hydrating = true;
    keyspace.observer = null;
    keyspace.onPart = null;
    try {
      applyRecords(keyspace, records, from, to);
    } finally {
      keyspace.storing = storing;
      keyspace.hydrating = hydrating;
      keyspace.observer = observer;
      keyspace.changes = changes;
      keyspace.onPart = onPart;
    }
  }

  #complete(pending: Pending): void {
    const keyspace = this.#keyspace;
    const { key } = pending;
    const database = keyspace.databases[pending.database];
    this.#pending.delete(pending.name);
    this.keysFetched++;
    if (pending.wasAbsent === null) this.keysMissed++;
    let heldBytes = 0;
    for (const records of pending.held) {
      heldBytes += records.length;
      this.#apply(keyspace.find(database, key, 0, key.length), records, 0, records.length);
    }
    const ref = keyspace.find(database, key, 0, key.length);
    if (ref !== 0) {
      // A key of which a part was in memory may owe that to another key of the same hash, which still is evicted.
      if (pending.wasAbsent === true) database.evicted.remove(keyspace.hash);
      keyspace.setWhole(ref);
    }
    this.doubted.judge(pending);
    if (keyspace.lookup(database, key, 0, key.length) === 0) this.bytesFetched -= heldBytes;
    pending.resolve(pending.wasAbsent !== null);
  }
}

/**
 * Merges what a store gives at the start as long as memory has less than `bytesMax`. Of what comes then only deletions, expired
 * keys and more of what is in memory are merged; the other keys are left to be read on demand.
 */
export function hydrateWithin(keyspace: Keyspace, records: Buffer, bytesMax: number, time: TurnTime): Promise<void> {
  return inPieces(records, time, (from) => {
    keyspace.clock.refresh();
    if (keyspace.readsThrough && keyspace.usedBytes >= bytesMax) return hydrateOutside(keyspace, records, from);
    const end = endOfPiece(records, from);
    applyRecords(keyspace, records, from, end);
    return end;
  });
}

/**
 * The same for rows of a table, which come in no order: elements of a collection that had lapsed may come before what revives it, and
 * are not taken then. All of it is read once more; so is that of which they leave a part, because memory has evicted the rest. A table that
 * is the only store is not asked for those: a collection's rows are all over it, and repair completes them.
 * @param given `kept` resolves, when the embedded store has them, to those that were new to it, to null when all were
 * @param stores `fetch` gives all that the stores have of keys (key-names.ts)
 */
export async function hydrateRows(
  keyspace: Keyspace,
  { rows, kept }: { readonly rows: Buffer; readonly kept: Promise<Buffer | null> },
  bytesMax: number,
  time: TurnTime,
  stores: KeySource & { readonly isEmbedded: boolean },
): Promise<void> {
  // What does not fit into memory is left to be read on demand: it has to be there then. What was there is known already.
  const taken = (keyspace.readsThrough ? await kept : null) ?? rows;
  const { onPart } = keyspace;
  const parts = new Map<string, KeyName>();
  keyspace.revived = [];
  // When MySQL answers only after the start, parts are read back as those of any merge.
  if (keyspace.hydrating && stores.isEmbedded)
    keyspace.onPart = (part) => void parts.set(nameOf(part.database, part.key), part);
  await hydrateWithin(keyspace, taken, bytesMax, time);
  const { revived } = keyspace;
  keyspace.revived = null;
  keyspace.onPart = onPart;
  if (parts.size + revived.length > 0) await kept;
  const hydrate = (names: readonly KeyName[], most: number): Promise<void> =>
    stores.fetch(packKeyNames(names), (records) => hydrateWithin(keyspace, records, most, time));
  if (parts.size > 0) await hydrate([...parts.values()], bytesMax);
  if (revived.length > 0) await hydrate(revived, Infinity);
}

/** Takes some keys, of which memory has no room for new ones; returns where the rest begins. */
function hydrateOutside(keyspace: Keyspace, records: Buffer, start: number): number {
  const reader = new RecordReader();
  const pieceEnd = endOfPiece(records, start);
  let lastHash = -1;
  let lastKey: Buffer = Buffer.alloc(0);
  for (let at = start; at < records.length;) {
    const from = at;
    at = reader.read(records, at);
    if (isMergedAnyway(keyspace, reader)) {
      applyRecords(keyspace, records, from, at);
      if (at >= pieceEnd) return at;
      continue;
    }
    if (keyspace.expectsPeers) {
      const { database, keyStart, keyLength } = reader;
      at = endOfKey(reader, records, at);
      const key = records.subarray(keyStart, keyStart + keyLength);
      passThrough(keyspace, database, key, records.subarray(from, at), at === records.length);
      if (at >= pieceEnd) return at;
      continue;
    }
    const { stampHi, stampLo, keyStart, keyLength } = reader;
    const database = keyspace.databases[reader.database];
    const hash = keyspace.hashOf(records, keyStart, keyLength);
    const isSame = hash === lastHash && lastKey.compare(records, keyStart, keyStart + keyLength) === 0;
    // All of a key at once: it is to be added once.
    if (!isSame && from >= pieceEnd) return from;
    keyspace.clock.observe(stampHi, stampLo);
    database.noteStamp(stampHi, stampLo);
    if (!isSame) database.evicted.add(hash);
    database.evictedStamps.note(hash, keyspace.clock);
    lastHash = hash;
    lastKey = records.subarray(keyStart, keyStart + keyLength);
  }
  return records.length;
}

/** Where the records of the key end of which the reader has read one. */
function endOfKey(reader: RecordReader, records: Buffer, from: number): number {
  const { database, keyStart, keyLength } = reader;
  const key = records.subarray(keyStart, keyStart + keyLength);
  let at = from;
  while (at < records.length) {
    const next = reader.read(records, at);
    if (reader.database !== database || reader.kind === KIND_FLOOR) break;
    if (key.compare(records, reader.keyStart, reader.keyStart + reader.keyLength) !== 0) break;
    at = next;
  }
  return at;
}

/** Merges records of one key, and evicts it: what they show is then known to the digests. */
function passThrough(keyspace: Keyspace, number: number, key: Buffer, records: Buffer, isLast: boolean): void {
  const database = keyspace.databases[number];
  applyRecords(keyspace, records, 0, records.length);
  const ref = keyspace.find(database, key, 0, key.length);
  // What comes next may be more of it. It stays in memory.
  if (ref === 0 || isLast) return;
  const { hash } = keyspace;
  if ((keyspace.flagsOf(ref) & OBJECT) !== 0) recomputeElements(keyspace, keyspace.collectionAt(ref));
  keyspace.evict(database, hash, ref);
  if (keyspace.objects.hasGarbage) keyspace.objects.freeSome(ELEMENTS_FREED);
}

function isMergedAnyway(keyspace: Keyspace, record: RecordReader): boolean {
  const { kind, database: number, buffer, keyStart, keyLength, flags, deadlineMs } = record;
  // Of a database that this node does not have: merging says so.
  if (kind === KIND_FLOOR || number >= keyspace.databases.length) return true;
  const hasExpired = (flags & FLAG_HAS_DEADLINE) !== 0 && deadlineMs > 0 && deadlineMs < keyspace.clock.nowMs;
  if (kind === KIND_STRING && ((flags & FLAG_DEAD) !== 0 || hasExpired)) return true;
  return keyspace.find(keyspace.databases[number], buffer, keyStart, keyLength) !== 0;
}
