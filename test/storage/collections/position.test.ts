import { describe, expect, it } from '@jest/globals';
import { PositionMaker, makeAuthor } from '../../../storage/collections/position.ts';
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

  it('beyond one of its own differ in the last byte where they say so, and always after a few', () =>
    withSeed(thisFile, (random) => {
      const [maker, other] = [1, 2].map((node) => new PositionMaker(makeAuthor(0, node, 7, 0)));
      for (const lists of [1, 100]) {
        for (let begun = 0; begun < lists; begun++) maker.first();
        for (const step of [1, -1] as const) {
          let end = take(maker);
          let stepped = 0;
          for (let round = 0; round < 70_000; round++) {
            const view = new DataView(end.buffer, end.byteOffset, end.length);
            const lastByte = maker.lastByteBeyond(view, 0, end.length, step);
            const by = lastByte < 0 && random.below(100) === 0 ? other : maker;
            if (step === 1) by.after(end, 0, end.length);
            else by.before(end, 0, end.length);
            const next = take(by);
            if (lastByte >= 0) {
              stepped++;
              const expected = Buffer.from(end);
              expected[end.length - 1] = lastByte;
              if (!next.equals(expected)) throw new Error(`${end.toString('hex')}: ${next.toString('hex')}`);
            }
            end = next;
          }
          expect(stepped).toBeGreaterThan(69_000);
        }
      }
    }));

  it('that somebody else has made, or that lie between others, have none that differs in the last byte', () =>
    withSeed(thisFile, (random) => {
      const makers = [1, 2].map((node) => new PositionMaker(makeAuthor(0, node, 7, 0)));
      for (let round = 0; round < 300; round++) {
        const ordered: Buffer[] = [];
        fill(random, makers, ordered, 60);
        for (const position of ordered) {
          for (const maker of makers) {
            for (const step of [1, -1] as const) {
              const view = new DataView(position.buffer, position.byteOffset, position.length);
              const lastByte = maker.lastByteBeyond(view, 0, position.length, step);
              if (lastByte < 0) continue;
              if (step === 1) maker.after(position, 0, position.length);
              else maker.before(position, 0, position.length);
              const expected = Buffer.from(position);
              expected[position.length - 1] = lastByte;
              expect(take(maker)).toEqual(expected);
            }
          }
        }
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
