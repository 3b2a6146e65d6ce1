/**
 * A list: elements named by their positions. Those that commands see are in one order, tombstones in another, so that an index
 * counts only the former, and a queue's past does not stand in its way. Most elements are in runs, without a block of their own
 * (list-run.ts); what takes or gives references deals with those that have one, and breaks up a run where it has to.
 */
import { Collection, type CollectionHome, type ElementCursor } from './collection.ts';
import { ListOrder } from './list-order.ts';
import { ListRun, RUN_VALUE_MAX } from './list-run.ts';
import { readRunValue, type ValueVisitor } from './list-run-reader.ts';
import { ListRuns, nameBefore } from './list-runs.ts';
import { NUMBER_BYTES_MAX, PREFIX_BYTES_MAX, prefixBytesOf, readNumber } from './position.ts';

/** The stages of a walk, in `cursor.hash`. */
const WALK_TOMBSTONES = 1;
const WALK_DONE = 2;
/** A run that has ended with fewer elements was no use: the next elements get blocks. */
const RUN_SIZE_LEAST = 8;

/** The name that a run's element has. */
const runName = Buffer.alloc(PREFIX_BYTES_MAX + NUMBER_BYTES_MAX);

export class ListCollection extends Collection {
  readonly #live: ListOrder;
  readonly #dead: ListOrder;
  /** Said to be hidden, and still among the visible ones: what comes next tells what becomes of it. */
  #leaving = 0;
  /** Put among the visible ones by `insert`, and not yet said to be shown. */
  #entering = 0;
  /** Where the element that is inserted next belongs: before all others (−1), after them (1), or wherever its name says (0). */
  nextAtEnd: -1 | 0 | 1 = 0;
  /** Elements with blocks that were put at the end (at the start, when negative) one after the other, as in a run. */
  streak = 0;
  readonly #runs: ListRuns;

  constructor(type: number, home: CollectionHome) {
    super(type, home);
    this.#runs = new ListRuns(this, home);
    const breakUp = (run: ListRun): Uint32Array => this.#runs.breakUp(run);
    this.#live = new ListOrder(home.elements, breakUp);
    this.#dead = new ListOrder(home.elements, breakUp);
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

  /** The first element, in a block of its own, or 0. */
  get first(): number {
    this.#settle();
    return this.#live.first;
  }

  get last(): number {
    this.#settle();
    return this.#live.last;
  }

  /** Leaves the value of the first element (`end` −1), or the last one (1), in the elements' fields; there is one. */
  readEnd(end: -1 | 1): void {
    const run = this.runAtEnd(end);
    if (run === null) this.elements.readValue(end === 1 ? this.#live.last : this.#live.first);
    else readRunValue(this.elements, run, end === run.step ? run.end - 1 : run.start);
  }

  /** Leaves the name of the first (−1) or last (1) element, tombstones too, in the elements' fields; false when there is none. */
  readEndName(end: -1 | 1): boolean {
    const run = this.runAtEnd(end);
    const { elements } = this;
    const dead = end === 1 ? this.#dead.last : this.#dead.first;
    if (run !== null) {
      elements.nameBuffer = runName;
      elements.nameView = null;
      elements.nameStart = 0;
      elements.nameLength = run.writeName(end === run.step ? run.lastNumber : run.firstNumber, runName);
    } else {
      const live = end === 1 ? this.#live.last : this.#live.first;
      if (live === 0 && dead === 0) return false;
      elements.readName(live === 0 ? dead : live);
      if (live === 0) return true;
    }
    if (dead === 0) return true;
    const { nameBuffer, nameView, nameStart, nameLength } = elements;
    // Comparing leaves the tombstone's name.
    if (elements.compareName(dead, nameBuffer, nameStart, nameLength) * end > 0) return true;
    elements.nameBuffer = nameBuffer;
    elements.nameView = nameView;
    elements.nameStart = nameStart;
    elements.nameLength = nameLength;
    return true;
  }

  /** The element at an index from 0 to `count` − 1, in a block of its own. */
  at(index: number): number {
    this.#settle();
    return this.#live.at(index);
  }

  /** Stands at an index that is there; `readNext` and `readPrevious` give the element there and go on. No writes in between. */
  seek(index: number): void {
    this.#settle();
    this.#live.seek(index);
  }

  /** Visits the values of `count` elements from an index on, which are there. `visit` may not write to this list. */
  eachValue(index: number, count: number, visit: ValueVisitor): void {
    this.#settle();
    this.#live.eachValue(index, count, visit);
  }

  /** Leaves the value of the element here in the elements' fields; false after the last one. */
  readNext(): boolean {
    if (!this.#live.forward()) return false;
    this.#live.readPassed();
    return true;
  }

  /** The same backwards; false before the first one. */
  readPrevious(): boolean {
    if (!this.#live.back()) return false;
    this.#live.readPassed();
    return true;
  }

  /** The element that was read last, in a block of its own. */
  ownRead(): number {
    return this.#live.ownPassed();
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

  // ---- runs ----

  /** The run before all elements (`end` −1) or behind them (1) that can go on there, or null. */
  runToGrow(end: -1 | 1): ListRun | null {
    this.#settle();
    const run = this.#live.runAt(end);
    if (run === null || run.step === end) return run;
    if (run.size > 1) return null;
    run.step = end;
    return run;
  }

  /** The number that a new element has beyond the run at an end; NaN when others' tombstones lie there. */
  numberBeyond(run: ListRun, end: -1 | 1): number {
    if (this.#dead.length === 0) return run.lastNumber + end;
    const { elements } = this;
    elements.readName(end === 1 ? this.#dead.last : this.#dead.first);
    const { nameBuffer, nameStart, nameLength } = elements;
    const prefixBytes = prefixBytesOf(nameBuffer, nameStart, nameLength);
    if (run.hasPrefix(nameBuffer, nameStart, prefixBytes)) {
      const number = readNumber(nameBuffer, nameStart + prefixBytes, nameLength - prefixBytes);
      return ((number - run.lastNumber) * end > 0 ? number : run.lastNumber) + end;
    }
    return this.#live.sideOf(nameBuffer, nameStart, nameLength) === end ? NaN : run.lastNumber + end;
  }

  /** Puts an element into the run at an end, in the run that it goes on with when that one is full; returns the one that it is in. */
  growRun(
    run: ListRun,
    end: -1 | 1,
    number: number,
    hi: number,
    lo: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
  ): ListRun {
    if (run.append(hi, lo, number, value, valueStart, valueLength)) {
      this.#live.noteAppended();
      return run;
    }
    const { bytes, prefixEnd, prefixBytes, origin } = run;
    const prefixStart = prefixEnd - prefixBytes;
    const next = new ListRun(
      this.home.arena,
      this.slot,
      end,
      origin,
      bytes,
      prefixStart,
      prefixBytes,
      number,
      hi,
      lo,
      value,
      valueStart,
      valueLength,
    );
    this.#live.addRun(next, end);
    return next;
  }

  /**
   * Begins a run at an end with an element that belongs there, by the position given; null when it is to have a block of its own.
   * The value is a short one.
   */
  beginRun(
    end: -1 | 1,
    origin: number,
    name: Uint8Array,
    nameStart: number,
    nameLength: number,
    hi: number,
    lo: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
  ): ListRun | null {
    this.#settle();
    this.streak = Math.sign(this.streak) === end ? this.streak + end : end;
    const isUse = Math.abs(this.streak) > RUN_SIZE_LEAST;
    if (!isUse && !this.#live.mayBeginRun(end, RUN_SIZE_LEAST)) return null;
    const prefixBytes = prefixBytesOf(name, nameStart, nameLength);
    if (prefixBytes === 0) return null;
    this.streak = 0;
    const number = readNumber(name, nameStart + prefixBytes, nameLength - prefixBytes);
    const run = new ListRun(
      this.home.arena,
      this.slot,
      end,
      origin,
      name,
      nameStart,
      prefixBytes,
      number,
      hi,
      lo,
      value,
      valueStart,
      valueLength,
    );
    this.#live.addRun(run, end);
    return run;
  }

  /** Puts a live element whose name is not there into a run at the end where it belongs; null when it is to have a block of its own. */
  absorb(
    hi: number,
    lo: number,
    origin: number,
    name: Uint8Array,
    nameStart: number,
    nameLength: number,
    value: Uint8Array,
    valueStart: number,
    valueLength: number,
  ): ListRun | null {
    const prefixBytes = prefixBytesOf(name, nameStart, nameLength);
    if (prefixBytes === 0 || valueLength > RUN_VALUE_MAX) return null;
    this.#settle();
    const end = this.#live.length === 0 ? 1 : this.#live.sideOf(name, nameStart, nameLength);
    if (end === 0) return null;
    const run = this.runToGrow(end);
    if (run !== null && run.origin === origin && run.hasPrefix(name, nameStart, prefixBytes)) {
      const number = readNumber(name, nameStart + prefixBytes, nameLength - prefixBytes);
      return this.growRun(run, end, number, hi, lo, value, valueStart, valueLength);
    }
    return this.beginRun(end, origin, name, nameStart, nameLength, hi, lo, value, valueStart, valueLength);
  }

  /** The run at an end, or null. */
  runAtEnd(end: -1 | 1): ListRun | null {
    this.#settle();
    return this.#live.runAt(end);
  }

  /** Takes the element at an end off the run that is there. */
  dropFromRun(end: -1 | 1): void {
    this.#live.dropFromRun(end);
  }

  /** Notes the newest element of a run as one that peers, or stores, have yet to be given. */
  markNewest(run: ListRun, isUnsent: boolean, isUnstored: boolean): void {
    this.#runs.markNewest(run, isUnsent, isUnstored);
  }

  override takeUnsent(visit: (ref: number) => void): void {
    this.#runs.takeUnsent(visit);
  }

  override takeUnstored(visit: (ref: number) => void, isFull: () => boolean): boolean {
    return this.#runs.takeUnstored(visit, isFull);
  }

  override get waitingRuns(): number {
    return this.#runs.waiting;
  }

  override bytesOf(ref: number): number {
    return this.#runs.visitedBytes || super.bytesOf(ref);
  }

  // ---- the container ----

  override walk(cursor: ElementCursor, limit: number, visit: (ref: number) => void, writes = false): boolean {
    this.#settle();
    const order = cursor.hash === WALK_TOMBSTONES ? this.#dead : this.#live;
    if (this.#walkChunk(order, cursor, limit, visit, writes)) {
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

  /** Visits what is left of one chunk, or a part of it; true when that was the last one. */
  #walkChunk(
    order: ListOrder,
    cursor: ElementCursor,
    limit: number,
    visit: (ref: number) => void,
    writes: boolean,
  ): boolean {
    if (order.length === 0) return true;
    const { name } = cursor;
    if (name === null) order.seek(0);
    else order.standAfter(name);
    const run = order.runHere;
    const from = order.placeHere;
    const isLast = order.isInLastChunk;
    if (run !== null && !(writes && this.#runs.isReached(run))) {
      const to = Math.min(run.size, from + limit);
      cursor.name = nameBefore(run, to);
      if (!writes) this.#runs.visit(run, from, to, visit);
      return isLast && to === run.size;
    }
    const chunk = order.ownHere();
    const refs = chunk.slice(from, from + limit);
    if (refs.length > 0) {
      this.elements.readName(refs[refs.length - 1]);
      const { nameBuffer, nameStart, nameLength } = this.elements;
      cursor.name = Buffer.from(nameBuffer.subarray(nameStart, nameStart + nameLength));
    }
    const isDone = isLast && from + refs.length === chunk.length;
    for (const ref of refs) visit(ref);
    return isDone;
  }

  override freeElements(limit: number): boolean {
    this.#settle();
    for (let left = limit; left > 0;) {
      const chunk = this.#live.takeChunk() ?? this.#dead.takeChunk();
      if (chunk === null) return true;
      if (chunk instanceof ListRun) {
        left -= chunk.size;
        chunk.free();
        continue;
      }
      left -= chunk.length;
      for (const ref of chunk) this.elements.free(ref);
    }
    return this.#live.length + this.#dead.length === 0;
  }

  override get indexBytes(): number {
    return 200 + this.#live.bytes + this.#dead.bytes;
  }
}
