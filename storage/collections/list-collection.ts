/**
 * A list: elements named by their positions. Those that commands see are in one order, tombstones in another, so that an index
 * counts only the former, and a queue's past does not stand in its way.
 */
import { Collection, type CollectionHome, type ElementCursor } from './collection.ts';
import { RefOrder } from './ref-order.ts';

/** The stages of a walk, in `cursor.hash`. */
const WALK_TOMBSTONES = 1;
const WALK_DONE = 2;

export class ListCollection extends Collection {
  readonly #live: RefOrder;
  readonly #dead: RefOrder;
  /** Said to be hidden, and still among the visible ones: what comes next tells what becomes of it. */
  #leaving = 0;
  /** Put among the visible ones by `insert`, and not yet said to be shown. */
  #entering = 0;
  /** Where the element that is inserted next belongs: before all others (−1), after them (1), or wherever its name says (0). */
  nextAtEnd: -1 | 0 | 1 = 0;

  constructor(type: number, home: CollectionHome) {
    super(type, home);
    this.#live = new RefOrder(home.elements);
    this.#dead = new RefOrder(home.elements);
  }

  override createEmpty(): Collection {
    return new ListCollection(this.type, this.home);
  }

  override get isPackable(): boolean {
    return true;
  }

  /** What was hidden and neither shown again nor taken away is a tombstone. */
  #settle(): void {
    if (this.#leaving !== 0) this.#bury(this.#leaving);
  }

  #bury(ref: number): void {
    this.#leaving = 0;
    this.#live.remove(ref);
    this.#dead.insert(ref);
  }

  override find(name: Uint8Array, start: number, length: number): number {
    this.#settle();
    return this.#live.locate(name, start, length) || this.#dead.locate(name, start, length);
  }

  override insert(ref: number): void {
    this.#settle();
    if (this.nextAtEnd !== 0) {
      if (this.nextAtEnd === 1) this.#live.push(ref);
      else this.#live.unshift(ref);
      this.nextAtEnd = 0;
      this.#entering = ref;
    } else if (this.elements.isVisible(ref)) {
      this.#live.insert(ref);
      this.#entering = ref;
    } else {
      this.#dead.insert(ref);
    }
  }

  /** Takes in a visible element that belongs before all others (−1) or after them (1). */
  insertAtEnd(ref: number, end: -1 | 1): void {
    this.#settle();
    if (end === 1) this.#live.push(ref);
    else this.#live.unshift(ref);
  }

  override shown(ref: number): void {
    if (ref === this.#leaving) {
      this.#leaving = 0;
    } else if (ref === this.#entering) {
      this.#entering = 0;
    } else {
      this.#settle();
      this.#dead.remove(ref);
      this.#live.insert(ref);
    }
  }

  override hidden(ref: number): void {
    this.#settle();
    this.#leaving = ref;
  }

  override replace(oldRef: number, newRef: number): void {
    if (oldRef === this.#leaving) {
      this.#live.replace(oldRef, newRef);
      this.#leaving = newRef;
    } else {
      this.#settle();
      this.#dead.replace(oldRef, newRef);
    }
  }

  override remove(ref: number): void {
    if (ref === this.#leaving) {
      this.#leaving = 0;
      this.#live.remove(ref);
    } else {
      this.#settle();
      this.#dead.remove(ref);
    }
  }

  // ---- reading ----

  /** The first element, or 0. */
  get first(): number {
    this.#settle();
    return this.#live.first;
  }

  get last(): number {
    this.#settle();
    return this.#live.last;
  }

  /** The element at an index from 0 to `count` − 1. */
  at(index: number): number {
    this.#settle();
    return this.#live.at(index);
  }

  /** Stands at an index that is there; `next` and `previous` give the element there and go on. No writes in between. */
  seek(index: number): void {
    this.#settle();
    this.#live.seek(index);
  }

  /** 0 after the last one. */
  next(): number {
    return this.#live.next();
  }

  /** 0 before the first one. */
  previous(): number {
    return this.#live.previous();
  }

  /** Visits every visible element in order. `visit` may not write to this list. */
  forEach(visit: (ref: number) => void): void {
    if (this.count === 0) return;
    this.seek(0);
    for (let ref = this.next(); ref !== 0; ref = this.next()) visit(ref);
  }

  /** The tombstone or visible element that is the last one, or 0: where pushes go on from. */
  get lastOfAll(): number {
    const { last } = this;
    if (this.#dead.length === 0) return last;
    const dead = this.#dead.last;
    return last === 0 || (dead !== 0 && this.#compare(last, dead) < 0) ? dead : last;
  }

  get firstOfAll(): number {
    const { first } = this;
    if (this.#dead.length === 0) return first;
    const dead = this.#dead.first;
    return first === 0 || (dead !== 0 && this.#compare(first, dead) > 0) ? dead : first;
  }

  #compare(ref: number, other: number): number {
    this.elements.readName(other);
    const { nameBuffer, nameStart, nameLength } = this.elements;
    return this.elements.compareName(ref, nameBuffer, nameStart, nameLength);
  }

  /** The nearest tombstone between two neighbours, of which the one given is the left one; 0 when there is none. */
  tombstoneBetween(left: number, right: number): number {
    this.#settle();
    if (this.#dead.length === 0) return 0;
    this.elements.readName(left);
    const { nameBuffer, nameStart, nameLength } = this.elements;
    this.#dead.locate(nameBuffer, nameStart, nameLength);
    const dead = this.#dead.next();
    return dead !== 0 && this.#compare(dead, right) < 0 ? dead : 0;
  }

  // ---- the container ----

  override walk(cursor: ElementCursor, limit: number, visit: (ref: number) => void): boolean {
    this.#settle();
    const order = cursor.hash === WALK_TOMBSTONES ? this.#dead : this.#live;
    const refs: number[] = [];
    this.#standAfter(order, cursor.name);
    for (let ref = order.next(); ref !== 0 && refs.length < limit; ref = order.next()) refs.push(ref);
    const isDone = refs.length < limit;
    for (const ref of refs) {
      this.elements.readName(ref);
      const { nameBuffer, nameStart, nameLength } = this.elements;
      cursor.name = Buffer.from(nameBuffer.subarray(nameStart, nameStart + nameLength));
      visit(ref);
    }
    if (isDone) {
      cursor.hash = cursor.hash === WALK_TOMBSTONES ? WALK_DONE : WALK_TOMBSTONES;
      cursor.name = null;
    }
    return cursor.hash !== WALK_DONE;
  }

  override isAhead(cursor: ElementCursor, ref: number): boolean {
    // The visible ones come first.
    if (cursor.hash !== 0) return false;
    return cursor.name === null || this.elements.compareName(ref, cursor.name, 0, cursor.name.length) > 0;
  }

  #standAfter(order: RefOrder, name: Buffer | null): void {
    if (order.length === 0) return;
    if (name === null) order.seek(0);
    else if (order.locate(name, 0, name.length) !== 0) order.next();
  }

  override freeElements(limit: number): boolean {
    this.#settle();
    for (let left = limit; left > 0; left--) {
      const order = this.#live.length > 0 ? this.#live : this.#dead;
      if (order.length === 0) return true;
      const ref = order.last;
      order.remove(ref);
      this.elements.free(ref);
    }
    return this.#live.length + this.#dead.length === 0;
  }

  override get indexBytes(): number {
    return 200 + this.#live.bytes + this.#dead.bytes;
  }
}
