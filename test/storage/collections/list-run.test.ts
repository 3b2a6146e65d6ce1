/** Runs of a list's elements against an array. */
import { describe, expect, it } from '@jest/globals';
import { Arena } from '../../../storage/arena/arena.ts';
import { RunReader } from '../../../storage/collections/list-run-reader.ts';
import { ListRun, RUN_VALUE_MAX } from '../../../storage/collections/list-run.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';

const thisFile = 'test/storage/collections/list-run.test.ts';
const PREFIX = Buffer.from('80010203040506', 'hex');

interface Element {
  stamp: bigint;
  number: number;
  value: Buffer;
}

const textOf = ({ stamp, number, value }: Element): string =>
  `${stamp.toString(16)} ${number} ${value.toString('hex')}`;

/** A run, and the same as an array in the order in which the elements came. */
class TestRun {
  readonly elements: Element[];
  readonly run: ListRun;
  readonly step: 1 | -1;

  constructor(arena: Arena, step: 1 | -1, first: Element) {
    this.step = step;
    this.elements = [first];
    const { stamp, number, value } = first;
    this.run = new ListRun(
      arena,
      1,
      step,
      0,
      PREFIX,
      0,
      PREFIX.length,
      number,
      Number(stamp >> 32n),
      Number(stamp & 0xffffffffn),
      value,
      0,
      value.length,
    );
  }

  get last(): Element {
    return this.elements.at(-1)!;
  }

  append(element: Element): boolean {
    const { stamp, number, value } = element;
    const hi = Number(stamp >> 32n);
    const lo = Number(stamp & 0xffffffffn);
    const isTaken = this.run.append(hi, lo, number, value, 0, value.length);
    if (isTaken) this.elements.push(element);
    return isTaken;
  }

  drop(atStart: boolean): void {
    this.run.drop(atStart);
    if (atStart === (this.step === 1)) this.elements.shift();
    else this.elements.pop();
  }

  /** What `reader` tells at each element. */
  read(reader: RunReader, goOn: () => void): string[] {
    const { run } = this;
    const found: string[] = [];
    for (let left = run.size; left > 0; left--) {
      const value = Buffer.from(run.bytes.subarray(run.valueAt(reader.index), run.valueEndAt(reader.index)));
      const stamp = (BigInt(reader.hi) << 32n) | BigInt(reader.lo);
      found.push(textOf({ stamp, number: reader.number, value }));
      if (left > 1) goOn();
    }
    return found;
  }

  check(): void {
    const { run, elements } = this;
    const texts = elements.map(textOf);
    const forward = new RunReader(run);
    expect(this.read(forward, () => forward.forward())).toEqual(texts);
    const inOrder = RunReader.inListOrder(run);
    expect(this.read(inOrder, () => inOrder.next())).toEqual(this.step === 1 ? texts : texts.reverse());
    expect(run.size).toBe(elements.length);
    expect([run.firstNumber, run.lastNumber]).toEqual([elements[0].number, this.last.number]);
  }
}

/** An element that may follow; some lie so far from the one before that a run does not take them. */
function following(random: SeededRandom, { last, step }: TestRun): Element {
  const distance = BigInt(random.pick([0, 1, 127, 128, 2 ** 20, 2 ** 31, 2 ** 32, 2 ** 44, 2 ** 52]) + random.below(3));
  const far = random.below(200) === 0 ? distance << 20n : distance;
  const isEarlier = random.below(10) === 0 && last.stamp > far;
  const gap = random.below(8) === 0 ? random.pick([1, 2, 255, 256]) : 0;
  return {
    stamp: (last.stamp + (isEarlier ? -far : far)) & 0xffffffffffffffffn,
    number: last.number + step * (1 + gap),
    value: random.bytes(random.below(30) === 0 ? RUN_VALUE_MAX : random.below(20)),
  };
}

function isWithinReach(before: Element, after: Element): boolean {
  const distance = after.stamp > before.stamp ? after.stamp - before.stamp : before.stamp - after.stamp;
  return distance < 1n << 56n && Math.abs(after.number - before.number) <= 256;
}

describe('a run', () => {
  it.each([1, -1] as const)('is an array that takes at one end and gives at both, step %s', (step) =>
    withSeed(thisFile, (random) => {
      const arena = new Arena();
      for (let round = 0; round < 12; round++) {
        const run = new TestRun(arena, step, { stamp: 1n << 58n, number: random.below(100), value: random.bytes(5) });
        const grows = 2 + random.below(6);
        let refused = 0;
        for (let edit = 0; edit < 1200 && refused < 3; edit++) {
          if (random.below(8) < grows) {
            const element = following(random, run);
            const { last } = run;
            if (run.append(element)) expect(isWithinReach(last, element)).toBe(true);
            // It is full: then there is much in it.
            else if (isWithinReach(last, element) && ++refused > 0) expect(run.run.size).toBeGreaterThan(6);
          } else if (run.elements.length > 1) {
            run.drop(random.below(2) === 0);
          }
          if (edit % 100 === 0) run.check();
        }
        run.check();
        run.run.free();
      }
      expect(arena.usedBytes).toBe(0);
    }),
  );

  it('takes as many short elements as a chunk of references could', () => {
    const arena = new Arena();
    const run = new TestRun(arena, 1, { stamp: 1n << 58n, number: 0, value: Buffer.from('xxx') });
    for (let number = 1; number < 512; number++) {
      expect(run.append({ stamp: run.last.stamp + 1n, number, value: Buffer.from('xxx') })).toBe(true);
    }
    expect(run.append({ stamp: run.last.stamp + 1n, number: 512, value: Buffer.from('xxx') })).toBe(false);
    run.check();
    expect(arena.usedBytes).toBeLessThanOrEqual(512 * 8);
  });

  it('has the bytes of the worked example', () => {
    const arena = new Arena();
    const run = new TestRun(arena, 1, { stamp: 1n << 58n, number: 0, value: Buffer.from('a') });
    run.append({ stamp: (1n << 58n) + 0x100001n, number: 1, value: Buffer.from('b') });
    run.append({ stamp: (1n << 58n) + 0x100002n, number: 2, value: Buffer.from('c') });
    const { base, bytes } = run.run;
    expect(bytes.toString('hex', base + 40, run.run.valueEndAt(2))).toBe('0061' + '8301001062' + '0163');
  });
});
