import { describe, expect, it } from '@jest/globals';
import { Arena, BLOCK_BYTES_MAX, FREE_MARK, blockBytesFor } from '../../../storage/arena/arena.ts';
import { LargeValues } from '../../../storage/arena/large-values.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';

const FILE = 'test/storage/arena/arena.test.ts';
const SEGMENT_BYTES = 8 * 1024 * 1024;

function offsetOf(ref: number): number {
  return (ref & 0xfffff) * 8;
}

/** Fills a block so that whoever else writes into it is found out; the first byte is a type. */
function fill(arena: Arena, ref: number, bytes: number, seal: number): void {
  const at = offsetOf(ref);
  arena.bytes[ref >>> 20].fill(seal, at, at + bytes);
}

function isIntact(arena: Arena, ref: number, bytes: number, seal: number): boolean {
  const at = offsetOf(ref);
  return arena.bytes[ref >>> 20].subarray(at, at + bytes).every((byte) => byte === seal);
}

interface Held {
  ref: number;
  bytes: number;
  seal: number;
}

function allocate(arena: Arena, bytes: number, seal: number): Held {
  const ref = arena.allocate(bytes);
  fill(arena, ref, arena.capacity(ref), seal);
  return { ref, bytes, seal };
}

function randomSteps(random: SeededRandom, arena: Arena, held: Held[], everFreed: Set<number>, steps: number): void {
  for (let step = 0; step < steps; step++) {
    if (held.length === 0 || random.chance(0.55)) {
      const bytes = 1 + random.below(random.chance(0.02) ? BLOCK_BYTES_MAX : 300);
      held.push(allocate(arena, bytes, random.below(255)));
      everFreed.delete(held[held.length - 1].ref);
    } else {
      const [{ ref }] = held.splice(random.below(held.length), 1);
      arena.free(ref);
      everFreed.add(ref);
    }
  }
}

describe('the arena', () => {
  it('gives every size a block that is large enough and not far too large', () => {
    const arena = new Arena();
    for (let bytes = 1; bytes <= BLOCK_BYTES_MAX; bytes += bytes < 5000 ? 1 : 37) {
      const size = blockBytesFor(bytes);
      expect(size).toBeGreaterThanOrEqual(bytes);
      expect(size - bytes).toBeLessThanOrEqual(Math.max(32, bytes / 8));
      if (bytes % 97 === 0) expect(arena.capacity(arena.allocate(bytes))).toBe(size);
    }
  });

  it('never gives out ref 0', () => {
    const arena = new Arena();
    for (let count = 0; count < 3000; count++) expect(arena.allocate(32)).not.toBe(0);
  });

  it('keeps blocks apart, says which are in use, and counts their bytes', async () => {
    await withSeed(FILE, (random) => {
      const arena = new Arena();
      const held: Held[] = [];
      const everFreed = new Set<number>();
      for (let round = 0; round < 4; round++) {
        randomSteps(random, arena, held, everFreed, 2000);
        const live = new Set(held.map(({ ref }) => ref));
        expect(live.size).toBe(held.length);
        const broken = held.filter(
          ({ ref, seal }) => !arena.isLive(ref) || !isIntact(arena, ref, arena.capacity(ref), seal),
        );
        expect(broken).toEqual([]);
        expect(arena.usedBytes).toBe(held.reduce((sum, { ref }) => sum + arena.capacity(ref), 0));
        expect([...everFreed].filter((ref) => arena.isLive(ref) !== live.has(ref))).toEqual([]);
      }
      for (const { ref } of held.splice(0)) arena.free(ref);
      expect(arena.usedBytes).toBe(0);
    });
  });

  it('does not take what lies inside a block of another size for a block', () => {
    const arena = new Arena();
    const small: number[] = [];
    for (let count = 0; count < 1024; count++) small.push(arena.allocate(64));
    for (const ref of small) arena.free(ref);
    // The pages are used again, for blocks whose content looks like anything but a free block.
    const large = new Set<number>();
    for (let count = 0; count < 64; count++) large.add(allocate(arena, 4096, 1).ref);
    for (const ref of small) expect(arena.isLive(ref)).toBe(large.has(ref));
  });

  it('does not take a place for a block that its page has not given out yet', () => {
    const arena = new Arena();
    const first: Held[] = [];
    for (let count = 0; count < 2048; count++) first.push(allocate(arena, 128, 7));
    for (const { ref } of first) arena.free(ref);
    const again = new Set<number>();
    for (let count = 0; count < 3; count++) again.add(allocate(arena, 32, 7).ref);
    for (const { ref } of first) expect(arena.isLive(ref)).toBe(again.has(ref));
  });

  it('does not take what the last user of a page left behind for a block', () => {
    const arena = new Arena();
    const first: Held[] = [];
    for (let count = 0; count < 5120; count++) first.push(allocate(arena, 128, 7));
    for (const { ref } of first) arena.free(ref);
    const second: Held[] = [];
    for (let count = 0; count < 160; count++) second.push(allocate(arena, 4096, 7));
    for (const { ref } of second) arena.free(ref);
    // Blocks of the first size again, far fewer of them.
    const third = new Set<number>();
    for (let count = 0; count < 3; count++) third.add(allocate(arena, 128, 7).ref);
    expect([...first, ...second].filter(({ ref }) => arena.isLive(ref) !== third.has(ref))).toEqual([]);
  });

  it('asserts that a block is freed once', () => {
    const arena = new Arena();
    const ref = arena.allocate(40);
    arena.allocate(40);
    arena.free(ref);
    expect(() => {
      arena.free(ref);
    }).toThrow('a block is freed once');
  });

  it('gives segments back and takes them again, the first one and clear included', () => {
    const arena = new Arena();
    for (let round = 0; round < 3; round++) {
      const held: Held[] = [];
      for (let count = 0; count < 4000; count++) held.push(allocate(arena, 8000, count % 251));
      expect(arena.residentBytes).toBeGreaterThanOrEqual(4000 * 8000);
      // Oldest first, so that the first segment empties while the others are in use.
      for (const { ref } of held) arena.free(ref);
      expect(arena.residentBytes).toBeLessThanOrEqual(3 * SEGMENT_BYTES);
      expect(arena.usedBytes).toBe(0);
      arena.clear();
      expect(arena.residentBytes).toBeLessThanOrEqual(SEGMENT_BYTES);
      const after: Held[] = [];
      for (let count = 0; count < 2000; count++) after.push(allocate(arena, 8000, count % 251));
      expect(after.filter(({ ref, seal }) => !isIntact(arena, ref, 8000, seal))).toEqual([]);
      for (const { ref } of after) arena.free(ref);
    }
  });

  it('marks freed blocks, also in the page that it has given back', () => {
    const arena = new Arena();
    const ref = arena.allocate(100);
    arena.free(ref);
    expect(arena.isLive(ref)).toBe(false);
    expect(arena.bytes[ref >>> 20][offsetOf(ref)]).toBe(FREE_MARK);
  });
});

describe('large values', () => {
  it('count their bytes and use their slots again', () => {
    const large = new LargeValues();
    const first = large.add(Buffer.alloc(5000), 4200);
    const second = large.add(Buffer.alloc(100), 100);
    expect([first, second, large.bytes]).toEqual([0, 1, 5100]);
    large.replace(first, Buffer.alloc(9000), 9000);
    expect(large.bytes).toBe(9100);
    large.remove(first);
    expect([large.bytes, large.add(Buffer.alloc(3), 3)]).toEqual([100, first]);
    large.clear();
    expect([large.bytes, large.add(Buffer.alloc(1), 1)]).toEqual([0, 0]);
  });
});
