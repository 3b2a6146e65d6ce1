/** Reading of runs (list-run.ts), and ordering of their elements' names. */
import type { Elements } from './element.ts';
import type { ListRun } from './list-run.ts';
import { RunStep, stepLength } from './list-run-step.ts';
import { NUMBER_BYTES_MAX, PREFIX_BYTES_MAX } from './position.ts';

const scratchName = Buffer.alloc(PREFIX_BYTES_MAX + NUMBER_BYTES_MAX);

/** Goes through a run in the order in which its elements came, or backwards, with their stamps and numbers. */
export class RunReader {
  readonly #run: ListRun;
  readonly #step = new RunStep();
  /** The element at which it stands. */
  index = 0;
  hi = 0;
  lo = 0;
  number = 0;

  /** Stands at the element that came first. */
  constructor(run: ListRun) {
    this.#run = run;
    this.index = run.start;
    this.hi = run.firstHi;
    this.lo = run.firstLo;
    this.number = run.firstNumber;
  }

  /** Stands at the element that the list has first. */
  static inListOrder(run: ListRun): RunReader {
    const reader = new RunReader(run);
    if (run.step === 1) return reader;
    reader.index = run.end - 1;
    reader.hi = run.lastHi;
    reader.lo = run.lastLo;
    reader.number = run.lastNumber;
    return reader;
  }

  /** Goes on to the one that came next, which has to be there. */
  forward(): void {
    const run = this.#run;
    this.index++;
    this.#take(false);
    this.number += run.step * (1 + this.#step.gap);
  }

  /** Goes on to the one that the list has next, which has to be there. */
  next(): void {
    const run = this.#run;
    if (run.step === 1) {
      this.forward();
      return;
    }
    this.#take(true);
    this.index--;
    this.number -= run.step * (1 + this.#step.gap);
  }

  /** Follows the step of the element at `index`. */
  #take(backwards: boolean): void {
    const step = this.#step;
    step.read(this.#run.bytes, this.#run.base + this.#run.offsetOf(this.index));
    step.apply(this.hi, this.lo, backwards);
    this.hi = step.hi;
    this.lo = step.lo;
  }
}

/** Leaves the value of a run's element in the elements' fields. */
export function readRunValue(elements: Elements, run: ListRun, index: number): void {
  elements.valueBuffer = run.bytes;
  elements.valueView = run.view;
  elements.valueStart = run.valueAt(index);
  elements.valueLength = run.valueEndAt(index) - elements.valueStart;
}

/** Takes a value: bytes, and a view of the same when it lies in a block. */
export type ValueVisitor = (bytes: Buffer, view: DataView | null, start: number, length: number) => void;

/** Visits the values of a run's elements at places from `from` to `to`. */
export function eachRunValue(run: ListRun, from: number, to: number, visit: ValueVisitor): void {
  const { bytes, view, base, step } = run;
  let index = run.indexAt(from);
  for (let left = to - from; left > 0; left--) {
    const at = base + run.offsetOf(index);
    const start = at + stepLength(bytes, at);
    visit(bytes, view, start, base + run.offsetOf(index + 1) - start);
    index += step;
  }
}

/** Orders the position of a run's element with this number, and bytes, as memcmp does. */
export function compareRunName(run: ListRun, number: number, name: Uint8Array, start: number, length: number): number {
  const ourLength = run.writeName(number, scratchName);
  const shorter = Math.min(length, ourLength);
  for (let at = 0; at < shorter; at++) {
    const difference = scratchName[at] - name[start + at];
    if (difference !== 0) return difference;
  }
  return ourLength - length;
}

/** How many elements of the run, from the list's first one here, do not come after the name. */
export function placeBehind(run: ListRun, name: Uint8Array): number {
  const reader = RunReader.inListOrder(run);
  const { size } = run;
  let place = 0;
  while (compareRunName(run, reader.number, name, 0, name.length) <= 0) {
    if (++place === size) break;
    reader.next();
  }
  return place;
}
