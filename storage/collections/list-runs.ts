/** What a list does with the elements of its runs (list-run.ts) one by one: each is given a block, for a visit or for good. */
import { TYPE_LIST } from '../arena/block.ts';
import type { Collection, CollectionHome } from './collection.ts';
import { ELEMENT_FEED, ELEMENT_STORE } from './element-layout.ts';
import { elementKindOf } from './kinds.ts';
import type { ListRun } from './list-run.ts';
import { RunReader } from './list-run-reader.ts';
import { NUMBER_BYTES_MAX, PREFIX_BYTES_MAX } from './position.ts';

const LIST_ELEMENT = elementKindOf(TYPE_LIST);
/** Of the runs that stores have not been given so many may be gone. */
const GONE_RUNS_MAX = 1024;
/** The name that a run's element has. */
const runName = Buffer.alloc(PREFIX_BYTES_MAX + NUMBER_BYTES_MAX);

export class ListRuns {
  readonly #list: Collection;
  readonly #home: CollectionHome;
  /** Runs of which some elements have yet to be sent, and to be stored; some are gone since. */
  #unsent: ListRun[] = [];
  #unstored: ListRun[] = [];
  #unstoredMost = GONE_RUNS_MAX;
  /** What the element takes that is visited, while that is one of a run; else 0. */
  visitedBytes = 0;

  constructor(list: Collection, home: CollectionHome) {
    this.#list = list;
    this.#home = home;
  }

  /** Notes the newest element of a run as one that peers, or stores, have yet to be given. */
  markNewest(run: ListRun, isUnsent: boolean, isUnstored: boolean): void {
    if (isUnsent && !run.isUnsent) {
      run.isUnsent = true;
      run.unsentFrom = run.end - 1;
      this.#unsent.push(run);
    }
    if (isUnstored && !run.isUnstored) {
      run.isUnstored = true;
      run.unstoredFrom = run.end - 1;
      if (this.#unstored.push(run) >= this.#unstoredMost) this.#forgetGone();
    }
  }

  /** The stores may be away for long. */
  #forgetGone(): void {
    this.#unstored = this.#unstored.filter(({ size }) => size > 0);
    this.#unstoredMost = 2 * this.#unstored.length + GONE_RUNS_MAX;
  }

  takeUnsent(visit: (ref: number) => void): void {
    const runs = this.#unsent;
    if (runs.length === 0) return;
    this.#unsent = [];
    for (const run of runs) {
      run.isUnsent = false;
      const reader = new RunReader(run);
      for (let index = run.start; index < run.end; index++) {
        if (index > run.start) reader.forward();
        if (index >= run.unsentFrom) this.#visitBlock(run, reader, visit);
      }
    }
  }

  takeUnstored(visit: (ref: number) => void, isFull: () => boolean): boolean {
    const runs = this.#unstored;
    for (let run = runs.at(-1); run !== undefined; run = runs.at(-1)) {
      const reader = new RunReader(run);
      for (let index = run.start; index < run.end; index++) {
        if (index > run.start) reader.forward();
        if (index < run.unstoredFrom) continue;
        if (isFull()) {
          run.unstoredFrom = index;
          return false;
        }
        this.#visitBlock(run, reader, visit);
      }
      run.isUnstored = false;
      runs.pop();
    }
    return true;
  }

  /** About how many runs have elements to be sent or stored; 0 when none has. */
  get waiting(): number {
    return this.#unsent.length + this.#unstored.length;
  }

  /** Visits an element of a run in a block that it has for as long. */
  #visitBlock(run: ListRun, reader: RunReader, visit: (ref: number) => void): void {
    const ref = this.#blockFor(run, reader);
    this.visitedBytes = run.bytesEach;
    visit(ref);
    this.visitedBytes = 0;
    this.#home.elements.free(ref);
  }

  /** Visits the elements at places from `from` to `to` of a run, in the order of the list. `visit` may not write to this list. */
  visit(run: ListRun, from: number, to: number, visit: (ref: number) => void): void {
    const reader = RunReader.inListOrder(run);
    for (let place = 0; place < to; place++) {
      if (place > 0) reader.next();
      if (place >= from) this.#visitBlock(run, reader, visit);
    }
  }

  #blockFor(run: ListRun, { index, hi, lo, number }: RunReader): number {
    const { elements } = this.#home;
    const nameLength = run.writeName(number, runName);
    const valueStart = run.valueAt(index);
    const valueLength = run.valueEndAt(index) - valueStart;
    const { bytes, origin } = run;
    const ref = elements.allocatePlain(
      LIST_ELEMENT,
      this.#list.slot,
      hi,
      lo,
      runName,
      0,
      nameLength,
      bytes,
      valueStart,
      valueLength,
    );
    if (origin !== 0) elements.setOrigin(ref, origin);
    return ref;
  }

  /** Gives each element of a run a block for good, with the marks that it has; the references in the order of the list. */
  breakUp(run: ListRun): Uint32Array {
    const { size, step, isUnsent, isUnstored, unsentFrom, unstoredFrom } = run;
    const { elements } = this.#home;
    const { feed, store } = this.#list;
    const refs = new Uint32Array(size);
    const reader = new RunReader(run);
    for (let count = 0; count < size; count++) {
      if (count > 0) reader.forward();
      const ref = this.#blockFor(run, reader);
      refs[step === 1 ? count : size - 1 - count] = ref;
      let marks = 0;
      if (isUnsent && reader.index >= unsentFrom) {
        marks = ELEMENT_FEED;
        feed.push(ref);
      }
      if (isUnstored && reader.index >= unstoredFrom) {
        marks |= ELEMENT_STORE;
        store.push(ref);
      }
      if (marks !== 0) elements.setFlags(ref, marks);
    }
    run.free();
    return refs;
  }

  /** Whether the list's floor has reached an element of the run. */
  isReached(run: ListRun): boolean {
    const reader = new RunReader(run);
    for (let left = run.size; left > 0; left--) {
      if (this.#list.isUnderFloor(reader.hi, reader.lo, run.origin)) return true;
      if (left > 1) reader.forward();
    }
    return false;
  }
}

/** The name of the element before the one at a place of a run. */
export function nameBefore(run: ListRun, place: number): Buffer {
  const reader = RunReader.inListOrder(run);
  for (let left = place - 1; left > 0; left--) reader.next();
  return Buffer.from(runName.subarray(0, run.writeName(reader.number, runName)));
}
