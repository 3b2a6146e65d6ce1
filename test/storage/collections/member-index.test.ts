import { describe, expect, it } from '@jest/globals';
import { Arena } from '../../../storage/arena/arena.ts';
import { Elements } from '../../../storage/collections/element.ts';
import { viewOf } from '../../../protocol/byte-view.ts';
import { MemberIndex } from '../../../storage/collections/member-index.ts';
import { HASH_END } from '../../../storage/index/key-index.ts';
import { withSeed } from '../../support/seed.ts';

const thisFile = 'test/storage/collections/member-index.test.ts';
/** Bytes of a slot; the index has at most 4,096 in a segment. */
const SEGMENT_BYTES_MOST = 4096 * 8 + 1024;

/** An index of elements that are named by numbers, whose hashes are spread by a multiplication. */
class Fixture {
  readonly elements = new Elements(new Arena());
  readonly hashes = new Map<number, number>();
  readonly refs = new Map<number, number>();
  readonly index = new MemberIndex(this.elements, { hashOf: (ref) => this.hashes.get(ref)! });

  static nameOf(number: number): Buffer {
    return Buffer.from(`member:${number}`);
  }

  static hashOf(number: number): number {
    return Math.imul(number + 1, 0x9e3779b1) >>> 0;
  }

  insert(number: number): void {
    const name = Fixture.nameOf(number);
    const ref = this.elements.allocatePlain(33, 1, 1, 1, name, 0, name.length, name, 0, 0);
    this.hashes.set(ref, Fixture.hashOf(number));
    this.refs.set(number, ref);
    this.index.insert(Fixture.hashOf(number), ref);
  }

  remove(number: number): void {
    const ref = this.refs.get(number)!;
    this.index.remove(Fixture.hashOf(number), ref);
    this.refs.delete(number);
    this.hashes.delete(ref);
    this.elements.free(ref);
  }

  find(number: number): number {
    const name = Fixture.nameOf(number);
    return this.index.find(Fixture.hashOf(number), name, 0, name.length);
  }

  check(): void {
    const seen: number[] = [];
    let at = 0;
    while (at < HASH_END) at = this.index.visitRange(at, 1000, (ref) => seen.push(ref));
    const size = this.refs.size;
    expect([this.index.count, seen.length, new Set(seen).size]).toEqual([size, size, size]);
    expect(seen.every((ref) => this.hashes.has(ref))).toBe(true);
    for (const [number, ref] of this.refs) if (this.find(number) !== ref) throw new Error(`lost member ${number}`);
  }
}

describe('the index of members', () => {
  it('finds and walks over the same members while it grows and shrinks', () =>
    withSeed(thisFile, (random) => {
      const fixture = new Fixture();
      const target = [20_000, 2000, 12_000, 9, 600, 0];
      let next = 0;
      for (const count of target) {
        while (fixture.refs.size < count) fixture.insert(next++);
        const numbers = [...fixture.refs.keys()];
        while (fixture.refs.size > count) {
          const at = random.below(numbers.length);
          fixture.remove(numbers[at]);
          numbers[at] = numbers[numbers.length - 1];
          numbers.pop();
        }
        fixture.check();
        expect(fixture.find(next)).toBe(0);
      }
    }));

  it('gives back the segments of members that were removed, so that a sample finds one soon', () => {
    const fixture = new Fixture();
    for (let number = 0; number < 40_000; number++) fixture.insert(number);
    const full = fixture.index.bytes;
    for (let number = 0; number < 39_000; number++) fixture.remove(number);
    expect(fixture.index.bytes).toBeLessThan(full / 8);
    fixture.check();
  });

  it('does the work of two segments at most for one insertion or removal, however many members there are', () => {
    const fixture = new Fixture();
    let most = 0;
    let before = fixture.index.bytes;
    const step = (change: () => void): void => {
      change();
      const after = fixture.index.bytes;
      most = Math.max(most, Math.abs(after - before));
      before = after;
    };
    for (let number = 0; number < 60_000; number++) step(() => fixture.insert(number));
    for (let number = 0; number < 60_000; number++) step(() => fixture.remove(number));
    expect(most).toBeLessThanOrEqual(2 * SEGMENT_BYTES_MOST);
  });

  it('samples members alone, each as often as another, while members come and go and other indexes are sampled too', () =>
    withSeed(thisFile, (random) => {
      const fixture = new Fixture();
      const other = new Fixture();
      const fraction = (): number => random.fraction();
      for (let number = 0; number < 20_000; number++) fixture.insert(number);
      for (let number = 0; number < 12_000; number++) other.insert(number);
      const numbers = new Map([...fixture.refs].map(([number, ref]) => [ref, number]));
      let next = 20_000;
      for (let step = 0; step < 30_000; step++) {
        const ref = fixture.index.sample(fraction);
        const number = numbers.get(ref);
        if (number === undefined) throw new Error(`step ${step} sampled what is no member`);
        if (fixture.index.hashOfSampled(ref) !== Fixture.hashOf(number)) throw new Error(`step ${step}: a wrong hash`);
        if (step % 7 === 0 && !other.hashes.has(other.index.sample(fraction)))
          throw new Error(`step ${step}: no member`);
        if (step % 3 !== 0) continue;
        numbers.delete(ref);
        fixture.remove(number);
        if (step % 2 === 0) continue;
        fixture.insert(next);
        numbers.set(fixture.refs.get(next)!, next++);
      }
      fixture.check();
      const counts = new Map<number, number>();
      const draws = 20 * fixture.refs.size;
      for (let draw = 0; draw < draws; draw++) {
        const ref = fixture.index.sample(fraction);
        counts.set(ref, (counts.get(ref) ?? 0) + 1);
      }
      expect(counts.size).toBe(fixture.refs.size);
      expect(Math.max(...counts.values())).toBeLessThan(70);
    }));

  it('knows no hash of what was sampled and is gone', () => {
    const fixture = new Fixture();
    for (let number = 0; number < 1000; number++) fixture.insert(number);
    const ref = fixture.index.sample(() => 0.5);
    const [number] = [...fixture.refs].find(([, each]) => each === ref)!;
    const [another] = [...fixture.refs.values()].filter((each) => each !== ref);
    expect(fixture.index.hashOfSampled(another)).toBe(-1);
    fixture.remove(number);
    expect(fixture.index.hashOfSampled(ref)).toBe(-1);
  });
});

describe('names', () => {
  it('of every length are told apart by any of their bytes, in a buffer with a view and without', () => {
    const elements = new Elements(new Arena());
    for (let length = 0; length <= 40; length++) {
      const name = Buffer.alloc(length, 'abcdefghijklmnopqrstuvwxyz');
      const ref = elements.allocatePlain(33, 1, 1, 1, name, 0, length, name, 0, 0);
      const asked = Buffer.concat([Buffer.from('...'), name, Buffer.from('...')]);
      for (const see of [(): unknown => viewOf(Buffer.alloc(1)), (): unknown => viewOf(asked)]) {
        see();
        expect(elements.nameEquals(ref, asked, 3, length)).toBe(true);
        expect(elements.nameEquals(ref, asked, 3, length + 1)).toBe(false);
        for (let at = 0; at < length; at++) {
          asked[at + 3] ^= 0x80;
          expect([length, at, elements.nameEquals(ref, asked, 3, length)]).toEqual([length, at, false]);
          asked[at + 3] ^= 0x80;
        }
      }
    }
  });
});
