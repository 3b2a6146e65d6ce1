/** A list against an array, with and without tombstones. */
import { describe, expect, it } from '@jest/globals';
import { TYPE_LIST } from '../../../storage/arena/block.ts';
import { Clock } from '../../../storage/clock.ts';
import type { ListCollection } from '../../../storage/collections/list-collection.ts';
import { ElementCursor } from '../../../storage/collections/collection.ts';
import { endChange, openCollection, removeElement } from '../../../storage/collections/local.ts';
import { Keyspace } from '../../../storage/keyspace.ts';
import { insertAt, pushLeft, pushRight, removeRange, setElement } from '../../../storage/types/list.ts';
import { SeededRandom, withSeed } from '../../support/seed.ts';

const thisFile = 'test/storage/types/list.test.ts';
const KEY = Buffer.from('list');

class TestList {
  readonly keyspace: Keyspace;

  constructor(storing: boolean) {
    const clock = new Clock(() => 1_700_000_000_000);
    this.keyspace = new Keyspace({ databases: 1, clock, nodeHi: 0, nodeLo: 1, hashKey0: 1, hashKey1: 2 });
    this.keyspace.storing = storing;
  }

  edit(change: (list: ListCollection) => void): void {
    const { keyspace } = this;
    const [database] = keyspace.databases;
    const ref = keyspace.lookup(database, KEY, 0, KEY.length);
    const list = openCollection(keyspace, database, ref, TYPE_LIST, KEY, 0, KEY.length) as ListCollection;
    change(list);
    endChange(keyspace, list, true);
  }

  get list(): ListCollection | null {
    const ref = this.keyspace.lookup(this.keyspace.databases[0], KEY, 0, KEY.length);
    return ref === 0 ? null : (this.keyspace.collectionAt(ref) as ListCollection);
  }

  valueOf(element: number): string {
    this.keyspace.elements.readValue(element);
    return this.valueRead;
  }

  get valueRead(): string {
    const { elements } = this.keyspace;
    return elements.valueBuffer.toString('latin1', elements.valueStart, elements.valueStart + elements.valueLength);
  }

  /** Every element, tombstones too, as all nodes must have it. */
  elements(): string[] {
    const found: string[] = [];
    const { elements } = this.keyspace;
    const cursor = new ElementCursor();
    const visit = (element: number): void => {
      elements.readName(element);
      const { nameBuffer, nameStart, nameLength } = elements;
      const name = nameBuffer.toString('hex', nameStart, nameStart + nameLength);
      const stamp = `${elements.stampHiOf(element)}.${elements.stampLoOf(element)}`;
      found.push(`${name} ${elements.flagsOf(element)} ${stamp} ${this.valueOf(element)}`);
    };
    while (this.list?.walk(cursor, 1000, visit) === true);
    return found;
  }

  values(): string[] {
    const found: string[] = [];
    const { list } = this;
    if (list === null) return found;
    list.seek(0);
    while (list.readNext()) found.push(this.valueRead);
    return found;
  }
}

function step(random: SeededRandom, subject: TestList, model: string[], shrinks: boolean): void {
  const { keyspace } = subject;
  const value = String(random.below(1000)).repeat(1 + random.below(3));
  const bytes = Buffer.from(value);
  const index = random.below(model.length + 1);
  const choice = random.below(shrinks ? 10 : 7);
  if (choice < 2) {
    subject.edit((list) => pushRight(keyspace, list, bytes, 0, bytes.length));
    model.push(value);
  } else if (choice < 4) {
    subject.edit((list) => pushLeft(keyspace, list, bytes, 0, bytes.length));
    model.unshift(value);
  } else if (choice === 4) {
    // Runs at the same place, where positions grow longest.
    for (let more = random.below(20); more >= 0; more--) {
      subject.edit((list) => insertAt(keyspace, list, index, bytes, 0, bytes.length));
      model.splice(index, 0, value);
    }
  } else if (model.length === 0 || index === model.length) {
    return;
  } else if (choice === 5) {
    subject.edit((list) => setElement(keyspace, list, list.at(index), bytes, 0, bytes.length));
    model[index] = value;
  } else if (choice === 6) {
    subject.edit((list) => removeElement(keyspace, list, list.at(index)));
    model.splice(index, 1);
  } else {
    const at = random.pick([0, index, Math.max(0, model.length - 5)]);
    const count = Math.min(random.below(40), model.length - at);
    subject.edit((list) => removeRange(keyspace, list, at, count));
    model.splice(at, count);
  }
}

describe('a list', () => {
  it.each([false, true])('is an array, tombstones kept: %s', (storing) =>
    withSeed(thisFile, (random) => {
      const subject = new TestList(storing);
      const model: string[] = [];
      for (let round = 0; round < 6000; round++) {
        step(random, subject, model, round % 2000 > 1200);
        if (round % 50 !== 0) continue;
        expect(subject.values()).toEqual(model);
        const { list } = subject;
        if (list === null) continue;
        const index = random.below(model.length);
        const count = random.below(model.length - index) + 1;
        const range: string[] = [];
        list.eachValue(index, count, (bytes, _view, at, length) =>
          range.push(bytes.toString('latin1', at, at + length)),
        );
        expect(range).toEqual(model.slice(index, index + count));
        list.seek(index);
        const backwards: string[] = [];
        while (backwards.length < 2 && list.readPrevious()) backwards.push(subject.valueRead);
        expect(backwards).toEqual(model.slice(Math.max(0, index - 1), index + 1).reverse());
      }
    }),
  );

  it('has the same elements whether its node keeps digests or not', () =>
    withSeed(thisFile, (random) => {
      const [plain, digesting] = [new TestList(true), new TestList(true)];
      digesting.keyspace.digesting = true;
      for (let round = 0; round < 3000; round++) {
        const seed = random.below(1 << 30);
        for (const subject of [plain, digesting])
          step(new SeededRandom(seed), subject, subject.values(), round % 800 > 500);
        if (round % 100 === 0) expect(plain.elements()).toEqual(digesting.elements());
      }
      expect(plain.elements()).toEqual(digesting.elements());
      const [one, other] = [plain.list, digesting.list];
      expect([one?.count, one?.longestBytes]).toEqual([other?.count, other?.longestBytes]);
    }));

  it('is walked in steps, tombstones too, while it changes', () =>
    withSeed(thisFile, (random) => {
      const subject = new TestList(true);
      const model: string[] = [];
      for (let round = 0; round < 3000; round++) step(random, subject, model, true);
      for (let round = 0; round < 500; round++) step(random, subject, model, false);
      const list = subject.list!;
      const { elements } = subject.keyspace;
      const seen = new Set<string>();
      const values: string[] = [];
      const cursor = new ElementCursor();
      const visit = (element: number): void => {
        elements.readName(element);
        seen.add(elements.nameBuffer.toString('hex', elements.nameStart, elements.nameStart + elements.nameLength));
        if (elements.isVisible(element)) values.push(subject.valueOf(element));
      };
      while (list.walk(cursor, 100, visit));
      expect(values).toEqual(model);
      expect(seen.size).toBeGreaterThan(list.count);
    }));

  it('forgets runs that are gone before stores were given them', () => {
    const subject = new TestList(true);
    const { keyspace } = subject;
    const bytes = Buffer.from('v');
    for (let count = 0; count < 20; count++) subject.edit((list) => pushRight(keyspace, list, bytes, 0, 1));
    for (let round = 0; round < 5000; round++) {
      subject.edit((list) => pushLeft(keyspace, list, bytes, 0, 1));
      subject.edit((list) => removeRange(keyspace, list, 0, 1));
    }
    expect(subject.values()).toHaveLength(20);
    expect(subject.list!.waitingRuns).toBeGreaterThan(0);
    expect(subject.list!.waitingRuns).toBeLessThan(2000);
  });

  it('keeps positions short at its ends and where one node inserts', () => {
    const subject = new TestList(false);
    const { keyspace } = subject;
    const bytes = Buffer.from('v');
    const lengthAt = (index: number): number => {
      keyspace.elements.readName(subject.list!.at(index));
      return keyspace.elements.nameLength;
    };
    for (let round = 0; round < 20_000; round++) {
      subject.edit((list) => pushRight(keyspace, list, bytes, 0, bytes.length));
      subject.edit((list) => pushLeft(keyspace, list, bytes, 0, bytes.length));
    }
    expect(lengthAt(0)).toBeLessThanOrEqual(10);
    expect(lengthAt(39_999)).toBeLessThanOrEqual(10);
    for (let round = 0; round < 5000; round++) {
      subject.edit((list) => insertAt(keyspace, list, 20_000 + round, bytes, 0, bytes.length));
    }
    expect(lengthAt(24_999)).toBeLessThanOrEqual(20);
  });
});
