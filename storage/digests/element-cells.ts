/**
 * Collections in parts, for repair: an element is in the cell that the first bits of its name's hash say, alike on every node. The
 * digest of a cell is the XOR of what its visible elements add to their collection's digest, each mixed with a second hash of its name.
 */
import type { RecordWriter } from '../../protocol/change-record.ts';
import { HIDDEN, OBJECT, PARTIAL } from '../arena/block.ts';
import { type Collection, ElementCursor } from '../collections/collection.ts';
import { encodeCollection, encodeKeyRegisters } from '../collections/encode.ts';
import { toggleElement } from '../collections/element-writes.ts';
import { elementKindOf, keyKindOf } from '../collections/kinds.ts';
import type { Database } from '../database.ts';
import { encodeKey, encodeShadowAt } from '../changes/encode.ts';
import type { Keyspace } from '../keyspace.ts';

/** Elements between two looks at the clock. */
const ELEMENTS_A_STEP = 256;

/** The collection of a block whose elements can be compared: it is shown, and all of it is here and not packed. Else null. */
export function comparableAt(keyspace: Keyspace, ref: number): Collection | null {
  if (ref === 0 || (keyspace.flagsOf(ref) & (OBJECT | HIDDEN | PARTIAL)) !== OBJECT) return null;
  return keyspace.isPacked(ref) ? null : keyspace.glanceAt(ref);
}

/** Computes the digests of a collection's cells in steps. What changes meanwhile is counted as it was or as it is. */
export class CellDigests {
  /** Two words for each cell, high then low. */
  readonly words: Uint32Array;
  /** The collection was emptied, replaced, evicted or packed meanwhile. */
  isLost = false;
  readonly #keyspace: Keyspace;
  readonly #collection: Collection;
  readonly #bits: number;
  readonly #cursor = new ElementCursor();

  constructor(keyspace: Keyspace, collection: Collection, bits: number) {
    this.#keyspace = keyspace;
    this.#collection = collection;
    this.#bits = bits;
    this.words = new Uint32Array(2 ** bits * 2);
  }

  /** Takes in some more elements; false when all are, or the collection is lost. */
  step(): boolean {
    const collection = this.#collection;
    const keyspace = this.#keyspace;
    const { digests, elements } = keyspace;
    if (!keyspace.objects.holds(collection)) {
      this.isLost = true;
      return false;
    }
    keyspace.readKey(collection.ref);
    digests.hashKey(collection.database, keyspace.keyBuffer, keyspace.keyStart, keyspace.keyLength);
    return collection.walk(this.#cursor, ELEMENTS_A_STEP, (ref) => {
      if (elements.isVisible(ref)) this.#add(ref);
    });
  }

  /** What the element adds to its collection's digest goes into its cell's instead. */
  #add(ref: number): void {
    const collection = this.#collection;
    const { digests, elements } = this.#keyspace;
    const { digestHi, digestLo } = collection;
    const hash = toggleElement(this.#keyspace, collection, ref);
    elements.readName(ref);
    const again = digests.hashNameAgain(elements.nameBuffer, elements.nameStart, elements.nameLength);
    const word = (hash >>> (32 - this.#bits)) * 2;
    this.words[word] ^= digests.mix(collection.digestHi ^ digestHi, again);
    this.words[word + 1] ^= digests.mix(again, collection.digestLo ^ digestLo);
    collection.digestHi = digestHi;
    collection.digestLo = digestLo;
  }
}

/** A key, or what is in some cells of one, with what belongs to all of it: its creation, deadline and floor, and what it hides. */
export interface CellSelection {
  readonly database: number;
  readonly key: Buffer;
  /** The kind of its KEY register; of a key of another kind everything is wanted. */
  readonly kind: number;
  readonly bits: number;
  /** A byte for each cell, not 0 for those wanted; null = all of the key. */
  readonly cells: Uint8Array | null;
}

/** Writes the registers of some keys, or of some of their cells, in slices. */
export class CellRecords {
  readonly #keyspace: Keyspace;
  readonly #selections: readonly CellSelection[];
  #at = 0;
  #cursor = new ElementCursor();
  /** The type of the collection that the cursor is in. */
  #type = -1;

  constructor(keyspace: Keyspace, selections: readonly CellSelection[]) {
    this.#keyspace = keyspace;
    this.#selections = selections;
  }

  /** Goes on until the writer holds `bytesMax` or `isTimeUp`; false when everything was written. */
  step(writer: RecordWriter, bytesMax: number, isTimeUp: () => boolean): boolean {
    while (this.#at < this.#selections.length) {
      if (!this.#encode(this.#selections[this.#at], writer, bytesMax, isTimeUp)) {
        this.#at++;
        this.#cursor = new ElementCursor();
        this.#type = -1;
      }
      if (writer.length >= bytesMax || isTimeUp()) break;
    }
    return this.#at < this.#selections.length;
  }

  /** Returns whether there is more of this key. */
  #encode(selection: CellSelection, writer: RecordWriter, bytesMax: number, isTimeUp: () => boolean): boolean {
    const keyspace = this.#keyspace;
    const { key } = selection;
    const database = keyspace.databases[selection.database];
    if (database === undefined) return false;
    const ref = keyspace.find(database, key, 0, key.length);
    if (ref === 0) return false;
    if ((keyspace.flagsOf(ref) & OBJECT) === 0) {
      encodeKey(keyspace, database, ref, writer);
      return false;
    }
    if (keyspace.isPacked(ref)) {
      const { slot } = keyspace.collectionAt(ref);
      encodeKey(keyspace, database, ref, writer);
      keyspace.objects.packNow(slot);
      return false;
    }
    return this.#encodeElements(database, ref, selection, writer, bytesMax, isTimeUp);
  }

  #encodeElements(
    database: Database,
    ref: number,
    { kind, bits, cells }: CellSelection,
    writer: RecordWriter,
    bytesMax: number,
    isTimeUp: () => boolean,
  ): boolean {
    const keyspace = this.#keyspace;
    const collection = keyspace.glanceAt(ref);
    // Another type has taken the key meanwhile.
    if (this.#type !== collection.type) this.#cursor = new ElementCursor();
    this.#type = collection.type;
    if (this.#cursor.isFresh) encodeShadowAt(keyspace, database, ref, writer);
    const wanted = keyKindOf(collection.type) === kind ? cells : null;
    if (wanted !== null && !wanted.includes(1)) {
      encodeKeyRegisters(keyspace, database, collection, writer);
      return false;
    }
    const { digests, elements } = keyspace;
    const elementKind = elementKindOf(collection.type);
    const isWanted = (element: number): boolean => {
      elements.readName(element);
      const { nameBuffer, nameStart, nameLength } = elements;
      return wanted![digests.hashElement(elementKind, nameBuffer, nameStart, nameLength) >>> (32 - bits)] !== 0;
    };
    const filter = wanted === null ? null : isWanted;
    return !encodeCollection(keyspace, database, ref, this.#cursor, writer, bytesMax, isTimeUp, filter);
  }
}
