/** Where the collections are, by the slot that their keys' blocks carry; and the freeing of large ones in small steps. */
import assert from 'node:assert';
import type { Collection } from './collection.ts';

/** Elements that are freed at once; what is larger is freed step by step. */
const FREE_AT_ONCE = 512;

/** In the last of the free slots. */
const NO_NEXT = ~0;

/** So many changes of a collection are not looked at for what they cost besides blocks: a few bytes each. */
const CHANGES_UNCOUNTED = 16;

export class ObjectTable {
  /** By slot. Of a packed collection the number of its block; of a free slot, below 0, the number of the next one (`~next`). */
  readonly #collections: (Collection | number)[] = [NO_NEXT];
  /** 0 for none: slot 0 is never given. With a list of their own free slots took twice the memory of the keys that had gone. */
  #firstFree = 0;
  /** Collections that are not packed, those looked at last behind; some of them are in no slot any more. */
  readonly #unpacked: Collection[] = [];
  readonly #garbage: Collection[] = [];
  /**
   * An empty collection of each type that there has been. Without any object of a class the compiler's notes of it go with the next garbage
   * collection, and the code that has met it stays slow when there are new ones.
   */
  readonly #examples: (Collection | undefined)[] = [];
  /** Bytes of collections besides their elements' blocks, as of each one's last change. */
  bytes = 0;
  /** Packs a collection into a block, or gives 0; and makes one again of a block, which it frees. See packing.ts. */
  packer: ((collection: Collection) => number) | null = null;
  unpacker: (packed: number, slot: number) => Collection = () => {
    throw new Error('a packed collection without an unpacker');
  };
  /** Frees a packed collection's block. */
  freePacked: (packed: number) => void = () => {};
  /** Collections that were freed in steps. */
  lazilyFreed = 0;
  /** Called when something is left to be freed. */
  onGarbage: () => void = () => {};
  /** With more collections than this unpacked those in use are packed too. */
  unpackedMost = Infinity;
  /** Called when there are. */
  onCrowded: () => void = () => {};

  get(slot: number): Collection {
    const found = this.#collections[slot];
    if (typeof found === 'number') return this.#unpack(found, slot);
    found.isWarm = true;
    return found;
  }

  /** A collection that is known not to be packed; this does not count as a use. */
  glance(slot: number): Collection {
    return this.#collections[slot] as Collection;
  }

  /** The collection in a slot that may hold none, or a packed one: then null. This does not count as a use. */
  unpackedAt(slot: number): Collection | null {
    const found = this.#collections[slot];
    return typeof found === 'object' ? found : null;
  }

  /** Whether the collection is in its slot still: not released, not emptied, not packed since. */
  holds(collection: Collection): boolean {
    return this.#collections[collection.slot] === collection;
  }

  /** The block of the collection in the slot when it is packed, else 0. */
  packedAt(slot: number): number {
    const found = this.#collections[slot];
    return typeof found === 'number' && found > 0 ? found : 0;
  }

  /** The packed collection in the slot is in another block from now on. */
  movePacked(slot: number, packed: number): void {
    this.#collections[slot] = packed;
  }

  #unpack(packed: number, slot: number): Collection {
    const collection = this.unpacker(packed, slot);
    this.#collections[slot] = collection;
    this.#addUnpacked(collection);
    return collection;
  }

  #addUnpacked(collection: Collection): void {
    this.#unpacked.push(collection);
    this.recount(collection);
    if (this.#unpacked.length > this.unpackedMost) this.onCrowded();
  }

  /** How many collections may be looked at for packing. */
  get unpackedCount(): number {
    return this.#unpacked.length;
  }

  /**
   * Looks at up to `limit` of the collections that are not packed: one that was not used since the last look is packed when
   * it can be, and while there are more than `unpackedMost` also one that was. No collection may be in use.
   */
  packSome(limit: number): void {
    if (this.packer === null) return;
    const isCrowded = this.#unpacked.length > this.unpackedMost;
    for (const collection of this.#unpacked.splice(0, limit)) {
      if (this.#collections[collection.slot] !== collection) continue;
      if ((collection.isWarm && !isCrowded) || !this.#pack(collection)) this.#unpacked.push(collection);
      collection.isWarm = false;
    }
  }

  /** Packs the collection in the slot again, that was unpacked only to be read. */
  packNow(slot: number): void {
    const collection = this.#collections[slot];
    if (typeof collection === 'object') this.#pack(collection);
  }

  #pack(collection: Collection): boolean {
    const packed = this.packer === null ? 0 : this.packer(collection);
    if (packed === 0) return false;
    this.bytes -= collection.countedBytes;
    collection.countedBytes = 0;
    this.#collections[collection.slot] = packed;
    return true;
  }

  add(collection: Collection): number {
    const slot = this.#firstFree === 0 ? this.#collections.length : this.#firstFree;
    if (this.#firstFree !== 0) this.#firstFree = ~(this.#collections[slot] as number);
    this.#collections[slot] = collection;
    collection.slot = slot;
    this.#examples[collection.type] ??= collection.createEmpty();
    this.#addUnpacked(collection);
    return slot;
  }

  /** The collection has changed: it is counted anew when that can be much, by its elements or by what is yet to be sent. */
  touched(collection: Collection): void {
    const grown = collection.count - collection.countedCount;
    if (++collection.uncounted >= CHANGES_UNCOUNTED || grown > CHANGES_UNCOUNTED || grown < -CHANGES_UNCOUNTED) {
      this.recount(collection);
    }
  }

  /** The collection's size may have changed. */
  recount(collection: Collection): void {
    const { bytes } = collection;
    collection.countedCount = collection.count;
    collection.uncounted = 0;
    this.bytes += bytes - collection.countedBytes;
    collection.countedBytes = bytes;
  }

  /** Takes a collection out; its elements are freed now or soon. */
  release(slot: number): void {
    const found = this.#collections[slot];
    assert(typeof found === 'object' || found > 0, 'a slot is released once');
    this.#collections[slot] = ~this.#firstFree;
    this.#firstFree = slot;
    if (typeof found === 'number') this.freePacked(found);
    else this.#discard(found);
  }

  /** Puts an empty collection of the same type in the slot, which keeps floor and marks. */
  empty(slot: number): Collection {
    const old = this.get(slot);
    const fresh = old.createEmpty();
    fresh.slot = slot;
    fresh.inherit(old);
    this.#collections[slot] = fresh;
    this.#unpacked.push(fresh);
    this.recount(fresh);
    this.#discard(old);
    return fresh;
  }

  #discard(collection: Collection): void {
    this.bytes -= collection.countedBytes;
    collection.countedBytes = 0;
    if (collection.freeElements(FREE_AT_ONCE)) return;
    this.#garbage.push(collection);
    this.onGarbage();
  }

  /** Whether elements are waiting to be freed. */
  get hasGarbage(): boolean {
    return this.#garbage.length > 0;
  }

  /** Collections whose elements are waiting to be freed. */
  get garbageCount(): number {
    return this.#garbage.length;
  }

  /** Frees about `limit` elements of released collections; true when nothing is left. */
  freeSome(limit: number): boolean {
    const collection = this.#garbage.at(-1);
    if (collection !== undefined && collection.freeElements(limit)) {
      this.#garbage.pop();
      this.lazilyFreed++;
    }
    return this.#garbage.length === 0;
  }

  /** Forgets everything; the arena was cleared. */
  clear(): void {
    this.#collections.length = 1;
    this.#unpacked.length = 0;
    this.bytes = 0;
    this.#firstFree = 0;
    this.#garbage.length = 0;
  }
}
