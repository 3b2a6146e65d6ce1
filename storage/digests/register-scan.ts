/** Walks over everything in slices: for full state, for repair by digests, and for computing digests afresh. */
import type { RecordWriter } from '../../protocol/change-record.ts';
import { compareStamp } from '../../protocol/stamp.ts';
import { COUNTER, HIDDEN, OBJECT } from '../arena/block.ts';
import { type Collection, ElementCursor } from '../collections/collection.ts';
import { encodeCollection, encodeElement, encodeFloorRegister } from '../collections/encode.ts';
import { recomputeElements } from '../collections/element-writes.ts';
import { encodeFloor, encodeKey, encodeShadowAt } from '../changes/encode.ts';
import type { Keyspace } from '../keyspace.ts';
import { HASH_END } from '../index/key-index.ts';

const KEYS_A_STEP = 25;

/** Larger collections are encoded in slices. */
const ELEMENTS_AT_ONCE = 64;

/** A collection of which only a part was encoded. */
interface Unfinished {
  database: number;
  key: Buffer;
  cursor: ElementCursor;
  /** Only these, as far as they still are tombstones of that collection. */
  tombstones: { collection: Collection; refs: number[] } | null;
}

/** One pass over all keys of all databases; keys present throughout are visited at least once. */
export class RegisterScan {
  readonly #keyspace: Keyspace;
  #database = 0;
  #at = 0;
  #floorsSent = false;
  readonly #unfinished: Unfinished[] = [];

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace;
  }

  /** Visits some more keys; false when all were visited. `hi`, `lo`: the key's hash as in Digests. */
  step(visit: (database: number, ref: number, hi: number, lo: number) => void): boolean {
    const keyspace = this.#keyspace;
    const database = keyspace.databases[this.#database];
    if (database === undefined) return false;
    this.#at = database.index.visitRange(this.#at, KEYS_A_STEP, (ref) => {
      keyspace.hashForDigests(database, ref, keyspace.flagsOf(ref));
      visit(database.number, ref, keyspace.digests.keyHi, keyspace.digests.keyLo);
    });
    if (this.#at >= HASH_END) {
      this.#at = 0;
      this.#database++;
    }
    return this.#database < keyspace.databases.length;
  }

  /** Appends the floors of all databases, the first time it is called. */
  floors(writer: RecordWriter): void {
    if (this.#floorsSent) return;
    this.#floorsSent = true;
    for (const database of this.#keyspace.databases) encodeFloor(this.#keyspace, database, writer);
  }

  /** Appends every register of a key that `step` visited; of a large collection they follow through `encodeUnfinished`. */
  encode(database: number, ref: number, writer: RecordWriter): void {
    const keyspace = this.#keyspace;
    if ((keyspace.flagsOf(ref) & OBJECT) !== 0 && keyspace.isPacked(ref)) {
      const collection = keyspace.collectionAt(ref);
      encodeKey(keyspace, keyspace.databases[database], ref, writer);
      keyspace.objects.packNow(collection.slot);
      return;
    }
    if ((keyspace.flagsOf(ref) & OBJECT) !== 0 && keyspace.collectionAt(ref).count > ELEMENTS_AT_ONCE) {
      this.#postpone(database, ref, null);
      return;
    }
    encodeKey(keyspace, keyspace.databases[database], ref, writer);
  }

  #postpone(database: number, ref: number, tombstones: Unfinished['tombstones']): void {
    const keyspace = this.#keyspace;
    keyspace.readKey(ref);
    const key = Buffer.from(keyspace.keyBuffer.subarray(keyspace.keyStart, keyspace.keyStart + keyspace.keyLength));
    this.#unfinished.push({ database, key, cursor: new ElementCursor(), tombstones });
  }

  /** Appends what a key that `step` visited has of tombstones and floors made after a stamp; more than these does no harm. */
  encodeTombstones(database: number, ref: number, after: { hi: number; lo: number }, writer: RecordWriter): void {
    const keyspace = this.#keyspace;
    const flags = keyspace.flagsOf(ref);
    if ((flags & OBJECT) === 0) {
      if ((flags & HIDDEN) === 0) return;
      keyspace.readVersion(ref);
      const isNew = compareStamp(keyspace.stampHi, keyspace.stampLo, after.hi, after.lo) > 0;
      if (isNew || (flags & COUNTER) !== 0) encodeKey(keyspace, keyspace.databases[database], ref, writer);
      return;
    }
    // Nothing of a packed collection waits to be dropped.
    if (keyspace.isPacked(ref)) return;
    const collection = keyspace.glanceAt(ref);
    if (compareStamp(collection.touchedHi, collection.touchedLo, after.hi, after.lo) <= 0) return;
    encodeFloorRegister(keyspace, keyspace.databases[database], collection, writer);
    const refs = [...collection.tombstones, ...collection.sealed];
    if (refs.length > 0) this.#postpone(database, ref, { collection, refs });
  }

  /** Whether large collections have yet to be encoded, before the next step. */
  get hasUnfinished(): boolean {
    return this.#unfinished.length > 0;
  }

  /** Goes on with a large collection until the writer holds `bytesMax` or `isTimeUp`. */
  encodeUnfinished(writer: RecordWriter, bytesMax: number, isTimeUp: () => boolean): void {
    const keyspace = this.#keyspace;
    const { database: number, key, cursor, tombstones } = this.#unfinished.at(-1)!;
    const database = keyspace.databases[number];
    if (tombstones !== null) {
      const { collection, refs } = tombstones;
      if (!keyspace.objects.holds(collection)) refs.length = 0;
      for (let ref = refs.pop(); ref !== undefined; ref = refs.pop()) {
        if (keyspace.elements.isTombstone(ref, collection.slot))
          encodeElement(keyspace, database, collection, ref, writer);
        if (writer.length >= bytesMax || isTimeUp()) break;
      }
      if (refs.length === 0) this.#unfinished.pop();
      return;
    }
    const ref = keyspace.find(database, key, 0, key.length);
    let done = true;
    if (ref !== 0 && (keyspace.flagsOf(ref) & OBJECT) !== 0) {
      if (cursor.isFresh) encodeShadowAt(keyspace, database, ref, writer);
      done = encodeCollection(keyspace, database, ref, cursor, writer, bytesMax, isTimeUp);
    } else if (ref !== 0) {
      encodeKey(keyspace, database, ref, writer);
    }
    if (done) this.#unfinished.pop();
  }
}

/** Computes all digests from what is there, and from what is known of evicted keys. */
export function recomputeDigests(keyspace: Keyspace): void {
  keyspace.digests.clear();
  const scan = new RegisterScan(keyspace);
  const visit = (database: number, ref: number): void => {
    const flags = keyspace.flagsOf(ref);
    if ((flags & HIDDEN) !== 0) return;
    if ((flags & OBJECT) !== 0) recomputeElements(keyspace, keyspace.collectionAt(ref));
    keyspace.toggleDigest(keyspace.databases[database], ref);
  };
  while (scan.step(visit));
  for (const database of keyspace.databases) keyspace.toggleEvicted(database);
}
