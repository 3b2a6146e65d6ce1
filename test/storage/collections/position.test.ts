import { describe, expect, it } from '@jest/globals';
import {
  PositionMaker,
  makeAuthor,
  prefixBytesOf,
  readNumber,
  writeNumber,
} from '../../../storage/collections/position.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';

const thisFile = 'test/storage/collections/position.test.ts';

function take(maker: PositionMaker): Buffer {
  return Buffer.from(maker.bytes.subarray(0, maker.length));
}

/** A new position at an index of an ordered array. */
function positionAt(maker: PositionMaker, ordered: readonly Buffer[], index: number): Buffer {
  const left = ordered[index - 1];
  const right = ordered[index];
  if (ordered.length === 0) maker.first();
  else if (index === 0) maker.before(right, 0, right.length);
  else if (index === ordered.length) maker.after(left, 0, left.length);
  else maker.between(left, 0, left.length, right, 0, right.length);
  return take(maker);
}

function fill(random: SeededRandom, makers: readonly PositionMaker[], ordered: Buffer[], count: number): void {
  let index = 0;
  for (let round = 0; round < count; round++) {
    // Now anywhere, now again and again at one place.
    if (random.below(4) === 0) index = random.pick([0, ordered.length, random.below(ordered.length + 1)]);
    index = Math.min(index, ordered.length);
    ordered.splice(index, 0, positionAt(random.pick(makers), ordered, index));
    index += random.below(2);
  }
}

describe('positions', () => {
  it('have the bytes of the worked example', () => {
    const maker = new PositionMaker(Uint8Array.from([1, 2, 3, 4, 5, 6]));
    const ordered: Buffer[] = [];
    for (let round = 0; round < 3; round++) ordered.push(positionAt(maker, ordered, round));
    expect(ordered.map((position) => position.toString('hex'))).toEqual([
      '8001020304050680',
      '8001020304050681',
      '8001020304050682',
    ]);
  });

  it('lie where they are asked for, whoever made their neighbours, and are never the same', () =>
    withSeed(thisFile, (random) => {
      for (let round = 0; round < 40; round++) {
        const makers = [1, 2, 3].map((node) => new PositionMaker(makeAuthor(0, node, 7, 0)));
        const ordered: Buffer[] = [];
        fill(random, makers, ordered, 400);
        for (let index = 1; index < ordered.length; index++) {
          expect(Buffer.compare(ordered[index - 1], ordered[index])).toBeLessThan(0);
        }
      }
    }));

  it('of several nodes between the same neighbours differ, and lie between them', () =>
    withSeed(thisFile, (random) => {
      const makers = [1, 2, 3].map((node) => new PositionMaker(makeAuthor(0, node, 7, 0)));
      for (let round = 0; round < 500; round++) {
        const ordered: Buffer[] = [];
        fill(random, makers, ordered, 1 + random.below(30));
        const index = random.below(ordered.length + 1);
        const made = makers.map((maker) => positionAt(maker, ordered, index));
        expect(new Set(made.map(String)).size).toBe(3);
        for (const position of made) {
          if (index > 0) expect(Buffer.compare(ordered[index - 1], position)).toBeLessThan(0);
          if (index < ordered.length) expect(Buffer.compare(position, ordered[index])).toBeLessThan(0);
        }
      }
    }));

  it('beyond one of its own are the same place and author with the next number', () =>
    withSeed(thisFile, (random) => {
      const [maker, other] = [1, 2].map((node) => new PositionMaker(makeAuthor(0, node, 7, 0)));
      for (const lists of [1, 100]) {
        for (let begun = 0; begun < lists; begun++) maker.first();
        for (const step of [1, -1] as const) {
          let end = take(maker);
          let stepped = 0;
          for (let round = 0; round < 70_000; round++) {
            const prefix = prefixBytesOf(end, 0, end.length);
            const bytes = Buffer.concat([end.subarray(0, prefix), Buffer.alloc(7)]);
            const view = new DataView(end.buffer, end.byteOffset, end.length);
            const isOwn = prefix > 0 && maker.isAuthorBefore(view, prefix);
            const number = isOwn ? readNumber(end, prefix, end.length - prefix) : 0;
            const by = random.below(100) === 0 ? other : maker;
            if (step === 1) by.after(end, 0, end.length);
            else by.before(end, 0, end.length);
            end = take(by);
            if (!isOwn || by === other) continue;
            stepped++;
            const length = writeNumber(number + step, bytes, prefix);
            if (!end.equals(bytes.subarray(0, length)))
              throw new Error(`${end.toString('hex')} ${bytes.toString('hex')}`);
          }
          expect(stepped).toBeGreaterThan(65_000);
        }
      }
    }));

  it('that end with a number are what that number makes of them', () =>
    withSeed(thisFile, (random) => {
      const makers = [1, 2].map((node) => new PositionMaker(makeAuthor(0, node, 7, 0)));
      let found = 0;
      const check = (position: Buffer): void => {
        const prefix = prefixBytesOf(position, 0, position.length);
        if (prefix === 0) return;
        found++;
        const number = readNumber(position, prefix, position.length - prefix);
        const bytes = Buffer.alloc(prefix + 7);
        position.copy(bytes, 0, 0, prefix);
        expect(bytes.subarray(0, writeNumber(number, bytes, prefix))).toEqual(position);
      };
      for (let round = 0; round < 100; round++) {
        const ordered: Buffer[] = [];
        fill(random, makers, ordered, 60);
        ordered.forEach(check);
      }
      expect(found).toBeGreaterThan(100);
      // What no list of ours has: numbers in more bytes than they need, for one.
      for (let round = 0; round < 20_000; round++) {
        const bytes = random.bytes(8 + random.below(4));
        bytes[0] = 0x80;
        check(bytes);
      }
    }));

  it('are made beside bytes that no list of ours has, too', () =>
    withSeed(thisFile, (random) => {
      const maker = new PositionMaker(makeAuthor(0, 1, 7, 0));
      for (let round = 0; round < 20_000; round++) {
        const [left, right] = [random.bytes(1 + random.below(4)), random.bytes(1 + random.below(4))].sort(
          Buffer.compare,
        );
        maker.after(left, 0, left.length);
        expect(Buffer.compare(left, take(maker))).toBeLessThan(0);
        if (left.equals(right) || right[right.length - 1] === 0) continue;
        maker.between(left, 0, left.length, right, 0, right.length);
        const made = take(maker);
        expect([Buffer.compare(left, made), Buffer.compare(made, right)]).toEqual([-1, -1]);
      }
    }));
});
