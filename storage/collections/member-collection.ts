/**
 * A collection whose elements are found by name: hashes and sets as they are, sorted sets with an order beside it. Hashes and
 * sets are of one class, because code that meets up to four classes of objects is fast, and code that meets more is not.
 */
import { parseInteger } from '../../protocol/integer.ts';
import { TYPE_SET } from '../arena/block.ts';
import { Collection, type CollectionHome, type ElementCursor, UNSIGNED } from './collection.ts';
import { HASH_END } from '../index/key-index.ts';
import { MemberIndex } from './member-index.ts';

export class MemberCollection extends Collection {
  protected readonly index = new MemberIndex(this.elements, this);
  /** The hash of the name last looked for, −1 when it was not needed: `insert` follows `find`. */
  #hash = UNSIGNED;
  #freedTo = UNSIGNED;
  /** Every member of the set since the key was made is a 64-bit integer, as OBJECT ENCODING shows it. False for other types. */
  allIntegers = this.type === TYPE_SET;

  constructor(type: number, home: CollectionHome) {
    super(type, home);
    this.#freedTo = 0;
  }

  override began(): void {
    super.began();
    this.allIntegers = this.type === TYPE_SET;
  }

  override get packedExtra(): number {
    return this.allIntegers ? 1 : 0;
  }

  override set packedExtra(extra: number) {
    this.allIntegers = extra === 1;
  }

  override shown(ref: number): void {
    if (!this.allIntegers) return;
    const { elements } = this;
    elements.readName(ref);
    const value = parseInteger(elements.nameBuffer, elements.nameStart, elements.nameLength);
    if (value === undefined) this.allIntegers = false;
  }

  override createEmpty(): Collection {
    return new MemberCollection(this.type, this.home);
  }

  override get isPackable(): boolean {
    return true;
  }

  override find(name: Uint8Array, start: number, length: number): number {
    if (this.index.isListed) {
      this.#hash = -1;
      return this.index.findListed(name, start, length);
    }
    this.#hash = this.home.hashOf(name, start, length) >>> 0;
    return this.index.find(this.#hash, name, start, length);
  }

  override insert(ref: number): void {
    const isNeeded = this.#hash < 0 && !this.index.hasListRoom;
    this.index.insert(isNeeded ? this.hashOf(ref) : this.#hash, ref);
  }

  override replace(oldRef: number, newRef: number): void {
    this.index.replace(this.index.isListed ? 0 : this.hashOf(newRef), oldRef, newRef);
  }

  override remove(ref: number): void {
    const { index } = this;
    if (index.isListed) {
      index.remove(0, ref);
      return;
    }
    const sampled = index.hashOfSampled(ref);
    index.remove(sampled < 0 ? this.hashOf(ref) : sampled, ref);
  }

  /** The hash of an element's name, 32 bits unsigned. */
  hashOf(ref: number): number {
    const { elements, home } = this;
    elements.readName(ref);
    const { nameView, nameStart, nameLength } = elements;
    if (nameView === null) return home.hashOf(elements.nameBuffer, nameStart, nameLength) >>> 0;
    return home.hashViewed(nameView, nameStart, nameLength) >>> 0;
  }

  override walk(cursor: ElementCursor, limit: number, visit: (ref: number) => void): boolean {
    const all = cursor.hash === 0 && this.index.count <= limit ? this.index.inOrder() : null;
    if (all !== null) {
      for (const ref of all) visit(ref);
      return false;
    }
    cursor.hash = this.index.visitRange(cursor.hash, limit, visit);
    return cursor.hash < HASH_END;
  }

  override isAhead(cursor: ElementCursor, ref: number): boolean {
    return this.hashOf(ref) >= cursor.hash;
  }

  /** Visits visible elements from `cursor` (a position in hash order) on, about `count`; returns the position reached. */
  scan(cursor: number, count: number, visit: (ref: number) => void): number {
    return this.index.visitRange(cursor, count, (ref) => {
      if (this.elements.isVisible(ref)) visit(ref);
    });
  }

  /** Visits every visible element. `visit` may not write to this collection. */
  forEach(visit: (ref: number) => void): void {
    const { elements } = this;
    this.index.forEach((ref) => {
      if (elements.isVisible(ref)) visit(ref);
    });
  }

  /** A visible element, each as likely as another; 0 when there is none. */
  sample(random: () => number): number {
    return this.index.sample(random);
  }

  override freeElements(limit: number): boolean {
    this.#freedTo = this.index.visitRange(this.#freedTo, limit, (ref) => this.elements.free(ref));
    if (this.#freedTo < HASH_END) return false;
    this.index.discard();
    return true;
  }

  override get indexBytes(): number {
    return this.index.bytes;
  }
}
