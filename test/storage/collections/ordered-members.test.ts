import { describe, expect, it } from '@jest/globals';
import { Arena } from '../../../storage/arena/arena.ts';
import { Elements } from '../../../storage/collections/element.ts';
import { OrderedMembers } from '../../../storage/collections/ordered-members.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';

const thisFile = 'test/storage/collections/ordered-members.test.ts';

interface Entry {
  name: string;
  score: number;
  ref: number;
}

/** The order beside a sorted array of the same. */
class Model {
  readonly arena = new Arena();
  readonly elements = new Elements(this.arena);
  readonly order = new OrderedMembers(this.elements);
  readonly entries: Entry[] = [];
  appended = 0;

  static before(a: Entry, score: number, name: string): boolean {
    return a.score < score || (a.score === score && a.name < name);
  }

  insert(name: string, score: number): void {
    const bytes = Buffer.from(name, 'latin1');
    this.elements.deadlineMs = -1;
    const ref = this.elements.allocate(34, 0, 0, 1, 1, 0, bytes, 0, bytes.length, bytes, 0, 0);
    this.order.insert(score, ref);
    this.entries.splice(this.rank(score, name), 0, { name, score, ref });
  }

  /** Behind all others. */
  append(score: number): void {
    const atLeast = Math.max(score, this.entries.at(-1)?.score ?? score);
    const name = `~${String(this.appended++).padStart(6, '0')}`;
    const bytes = Buffer.from(name, 'latin1');
    const ref = this.elements.allocate(34, 0, 0, 1, 1, 0, bytes, 0, bytes.length, bytes, 0, 0);
    this.order.append(atLeast, ref);
    this.entries.push({ name, score: atLeast, ref });
  }

  removeAt(rank: number): void {
    const [{ score, ref }] = this.entries.splice(rank, 1) as [Entry];
    this.order.remove(score, ref);
    this.elements.free(ref);
  }

  moveTo(rank: number, score: number): void {
    const [{ name, score: from, ref }] = this.entries.splice(rank, 1) as [Entry];
    this.order.move(from, score, ref);
    this.entries.splice(this.rank(score, name), 0, { name, score, ref });
  }

  rank(score: number, name: string): number {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Model.before(this.entries[middle], score, name)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  check(random: SeededRandom, scoreOf: () => number, nameOf: () => string): void {
    const { order, entries } = this;
    expect(order.count).toBe(entries.length);
    const score = scoreOf();
    const name = Buffer.from(nameOf(), 'latin1');
    expect(order.rank(score, name, 0, name.length)).toBe(this.rank(score, name.toString('latin1')));
    expect(order.countBelow(score, false)).toBe(entries.filter((entry) => entry.score < score).length);
    expect(order.countBelow(score, true)).toBe(entries.filter((entry) => entry.score <= score).length);
    if (entries.length === 0) return;
    const rank = random.below(entries.length);
    expect(order.at(rank)).toBe(entries[rank].ref);
    expect(order.foundScore).toBe(entries[rank].score);
    expect(order.rankOf(entries[rank].score, entries[rank].ref)).toBe(rank);
    const count = random.below(entries.length - rank + 1);
    const up: number[] = [];
    order.visit(rank, count, false, (ref) => up.push(ref));
    expect(up).toEqual(entries.slice(rank, rank + count).map((entry) => entry.ref));
    const down: number[] = [];
    order.visit(rank, Math.min(count, rank + 1), true, (_ref, at) => down.push(at));
    expect(down).toEqual(
      entries
        .slice(0, rank + 1)
        .reverse()
        .slice(0, count)
        .map((entry) => entry.score),
    );
  }
}

/** Names with much in common, and now and then one that begins otherwise, or is the beginning of others. */
function similarName(random: SeededRandom, number: number): string {
  if (random.chance(0.002)) return `mem${'xyz'.slice(0, random.below(3))}${number}`;
  if (random.chance(0.002)) return `member:00000${number}\u0000`;
  return `member:00000${random.below(1000)}:${number}`;
}

function run(
  random: SeededRandom,
  steps: number,
  scores: number,
  growth: (step: number) => number,
  hasSimilarNames = false,
): void {
  const model = new Model();
  const scoreOf = (): number => (random.chance(0.01) ? -Infinity : random.below(scores) - 3);
  let names = 0;
  const nameOf = (): string => (hasSimilarNames ? similarName(random, names++) : `${random.below(100_000)}:${names++}`);
  for (let step = 0; step < steps; step++) {
    if (model.entries.length === 0 || random.chance(growth(step))) model.insert(nameOf(), scoreOf());
    else if (random.chance(0.1)) model.append(scoreOf());
    else if (random.chance(0.3)) model.moveTo(random.below(model.entries.length), scoreOf());
    else model.removeAt(random.chance(0.3) ? 0 : random.below(model.entries.length));
    if (step % 97 === 0) model.check(random, scoreOf, nameOf);
  }
  const names1: number[] = [];
  model.order.visit(0, model.order.count, false, (ref) => names1.push(ref));
  expect(names1).toEqual(model.entries.map((entry) => entry.ref));
  while (model.entries.length > 0) model.removeAt(random.below(model.entries.length));
  expect(model.order.count).toBe(0);
  expect(model.order.nodeBytes).toBe(0);
  expect(model.arena.usedBytes).toBe(0);
}

describe('the order of a sorted set', () => {
  it('is that of a sorted array, while it grows and shrinks', async () => {
    await withSeed(thisFile, (random) => {
      // Enough for inner nodes of inner nodes, and down to nothing.
      run(random, 10_000, 3, (step) => (step < 5500 ? 0.99 : 0.02));
      run(random, 12_000, 5, (step) => (Math.floor(step / 3000) % 2 === 0 ? 0.9 : 0.25));
      run(random, 12_000, 1_000_000, (step) => (Math.floor(step / 3000) % 2 === 0 ? 0.9 : 0.25));
      run(random, 6_000, 1, () => 0.7);
      run(random, 9_000, 2, (step) => (Math.floor(step / 3000) % 2 === 0 ? 0.9 : 0.25), true);
      run(random, 9_000, 1, (step) => (step < 6000 ? 0.9 : 0.25), true);
    });
  });

  it('gives all its memory back, step by step', () => {
    const model = new Model();
    for (let at = 0; at < 9000; at++) model.insert(String((at * 7919) % 10_007), at % 5);
    const { ref } = model.entries[0];
    const elementsBytes = model.entries.length * model.arena.capacity(ref);
    expect(model.arena.usedBytes).toBe(elementsBytes + model.order.nodeBytes);
    let steps = 0;
    while (!model.order.freeNodes(10)) steps++;
    expect(steps).toBeGreaterThan(10);
    expect(model.order.nodeBytes).toBe(0);
    expect(model.arena.usedBytes).toBe(elementsBytes);
    model.order.insert(1, ref);
    expect(model.order.at(0)).toBe(ref);
  });

  it('takes elements that are known to be the last', async () => {
    await withSeed(thisFile, (random) => {
      const model = new Model();
      for (let at = 0; at < 10_000; at++) {
        model.append(Math.floor(at / 150));
        if (random.chance(0.01)) model.removeAt(random.below(model.entries.length));
        if (random.chance(0.01)) {
          model.check(
            random,
            () => random.below(80),
            () => `~${random.below(10_000)}`,
          );
        }
      }
      while (model.entries.length > 0) model.removeAt(model.entries.length - 1);
      expect(model.arena.usedBytes).toBe(0);
    });
  });

  it('takes elements in order, and finds names among equal scores', () => {
    const model = new Model();
    const name = (at: number): string => String(at).padStart(6, '0');
    for (let at = 0; at < 20_000; at += 2) model.insert(name(at), 0);
    for (let at = 19_999; at > 0; at -= 2) model.insert(name(at), 0);
    for (const at of [0, 1, 63, 64, 65, 4095, 4096, 4097, 10_000, 19_999]) {
      const bytes = Buffer.from(name(at));
      expect(model.order.countBelowName(bytes, false)).toBe(at);
      expect(model.order.countBelowName(bytes, true)).toBe(at + 1);
      expect(model.order.rank(0, bytes, 0, bytes.length)).toBe(at);
    }
  });
});
