import { describe, expect, it } from '@jest/globals';
import { Arena } from '../../../storage/arena/arena.ts';
import { HEADER_BYTES, TYPE_STRING } from '../../../storage/arena/block.ts';
import { KeyHasher } from '../../../storage/index/key-hash.ts';
import { KeyIndex } from '../../../storage/index/key-index.ts';
import { withSeed } from '../../support/seed.ts';

const FILE = 'test/storage/index/key-index.test.ts';
const END = 0x100000000;

/** An index whose keys get whatever hash the test says. */
class Keys {
  readonly arena = new Arena();
  readonly index = new KeyIndex(this.arena);
  readonly refs = new Map<string, { ref: number; hash: number }>();

  insert(key: string, hash: number): void {
    const bytes = Buffer.from(key);
    const ref = this.arena.allocate(HEADER_BYTES + bytes.length);
    const base = (ref & 0xfffff) * 8;
    this.arena.words[ref >>> 20].fill(0, base / 4, base / 4 + HEADER_BYTES / 4);
    this.arena.words[ref >>> 20][base / 4] = TYPE_STRING;
    this.arena.words[ref >>> 20][base / 4 + 4] = bytes.length;
    bytes.copy(this.arena.bytes[ref >>> 20], base + HEADER_BYTES);
    this.index.insert(hash, ref);
    this.refs.set(key, { ref, hash });
  }

  remove(key: string): void {
    const { ref, hash } = this.refs.get(key)!;
    this.index.remove(hash, ref);
    this.arena.free(ref);
    this.refs.delete(key);
  }

  find(key: string, hash: number): number {
    const bytes = Buffer.from(key);
    return this.index.find(hash, bytes, 0, bytes.length);
  }

  keyOf(ref: number): string {
    const base = (ref & 0xfffff) * 8;
    const length = this.arena.words[ref >>> 20][base / 4 + 4];
    return this.arena.bytes[ref >>> 20].toString('utf8', base + HEADER_BYTES, base + HEADER_BYTES + length);
  }

  walk(count: number, between: () => void = () => undefined): string[] {
    const visited: string[] = [];
    for (let at = 0; at < END;) {
      const end = this.index.visitRange(at, count, (ref, hash) => {
        const key = this.keyOf(ref);
        if (hash < at) throw new Error(`${key} lies before the range`);
        visited.push(key);
      });
      expect(end).toBeGreaterThan(at);
      at = end;
      between();
    }
    return visited;
  }
}

const EDGES = [0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

describe('the key index', () => {
  it('holds keys at the ends of the hash range, and several of one hash', () => {
    const keys = new Keys();
    for (const hash of EDGES) for (let copy = 0; copy < 5; copy++) keys.insert(`${hash}/${copy}`, hash);
    for (const [key, { ref, hash }] of keys.refs) expect(keys.find(key, hash)).toBe(ref);
    expect(keys.find('0/9', 0)).toBe(0);
    expect(keys.walk(1).sort()).toEqual([...keys.refs.keys()].sort());
    for (const key of [...keys.refs.keys()]) {
      keys.remove(key);
      for (const [other, { ref, hash }] of keys.refs) expect(keys.find(other, hash)).toBe(ref);
    }
    expect(keys.index.count).toBe(0);
    expect(keys.walk(10)).toEqual([]);
  });

  it('wraps runs around the end of a segment when slots are taken out', () => {
    const keys = new Keys();
    // All of them want the last slots of the first segment.
    for (let count = 0; count < 40; count++) keys.insert(`k${count}`, (count * 1024 + 1023 - (count % 3)) >>> 0);
    for (let count = 0; count < 40; count += 2) keys.remove(`k${count}`);
    for (const [key, { ref, hash }] of keys.refs) expect(keys.find(key, hash)).toBe(ref);
    for (let count = 0; count < 40; count += 2) expect(keys.find(`k${count}`, 1023)).toBe(0);
  });

  it('finds everything through splits and removals, like a Map', async () => {
    await withSeed(FILE, (random) => {
      const keys = new Keys();
      // Few high bits: some segments split again and again while others stay.
      const hashes = (): number => (random.chance(0.5) ? random.uint32() : random.below(1 << 20) >>> 0);
      let next = 0;
      for (let step = 0; step < 30_000; step++) {
        if (keys.refs.size === 0 || random.chance(0.7)) keys.insert(`key:${next++}`, hashes());
        else keys.remove(keys.refs.keys().next().value!);
      }
      expect(keys.index.count).toBe(keys.refs.size);
      for (const [key, { ref, hash }] of keys.refs) expect(keys.find(key, hash)).toBe(ref);
      expect(keys.walk(100).sort()).toEqual([...keys.refs.keys()].sort());
    });
  });

  it('points a slot at the block that its key moved to', () => {
    const keys = new Keys();
    for (const copy of ['a', 'b', 'c']) keys.insert(copy, 77);
    const { ref } = keys.refs.get('b')!;
    const moved = keys.arena.allocate(64);
    const words = keys.arena.words[0];
    words.copyWithin((moved & 0xfffff) * 2, (ref & 0xfffff) * 2, (ref & 0xfffff) * 2 + 8);
    keys.index.replace(77, ref, moved);
    keys.arena.free(ref);
    expect(keys.find('b', 77)).toBe(moved);
  });

  it('shows every key that stays exactly once in a walk while others come and go and segments split', async () => {
    await withSeed(FILE, (random) => {
      const keys = new Keys();
      const staying = new Set<string>();
      for (let count = 0; count < 3000; count++) {
        keys.insert(`stays:${count}`, random.chance(0.05) ? random.pick(EDGES) : random.uint32());
        staying.add(`stays:${count}`);
      }
      const passing: string[] = [];
      let next = 0;
      const visited = keys.walk(7, () => {
        for (let count = 0; count < 40; count++) {
          const key = `passes:${next++}`;
          keys.insert(key, random.uint32());
          passing.push(key);
        }
        for (let count = 0; count < 20; count++) keys.remove(passing.splice(random.below(passing.length), 1)[0]);
      });
      const stayed = visited.filter((key) => staying.has(key));
      expect(stayed.length).toBe(staying.size);
      expect(new Set(stayed)).toEqual(staying);
    });
  });

  it('visits about as many keys as it was asked for', () => {
    const keys = new Keys();
    const hasher = new KeyHasher(1, 2);
    for (let count = 0; count < 20_000; count++) {
      const key = Buffer.from(`key:${count}`);
      keys.insert(`key:${count}`, hasher.hash(key, 0, key.length));
    }
    for (const count of [1, 10, 100, 1000]) {
      let visited = 0;
      let calls = 0;
      for (let at = 0; at < END; calls++) {
        at = keys.index.visitRange(at, count, () => {
          visited++;
        });
      }
      expect(visited / calls).toBeGreaterThan(count / 3);
      expect(visited / calls).toBeLessThan(count * 3 + 2);
    }
  });

  it('samples keys all over, and none from an empty index', () => {
    const keys = new Keys();
    expect(keys.index.sample(0.5)).toBe(0);
    const hasher = new KeyHasher(3, 4);
    for (let count = 0; count < 2000; count++) {
      const key = Buffer.from(`${count}`);
      keys.insert(`${count}`, hasher.hash(key, 0, key.length));
    }
    const sampled = new Set<number>();
    for (let step = 0; step < 5000; step++) sampled.add(keys.index.sample(step / 5000));
    expect(sampled.has(0)).toBe(false);
    expect(sampled.size).toBeGreaterThan(800);
    expect(keys.index.sample(0.999999999)).not.toBe(0);
  });
});

describe('the hash of keys', () => {
  it('depends on the secret, on every byte, on the length and on nothing else', () => {
    const hasher = new KeyHasher(0x01020304, 0x05060708);
    const other = new KeyHasher(0x01020304, 0x05060709);
    const seen = new Set<number>();
    for (let length = 0; length <= 64; length++) {
      const key = Buffer.alloc(length + 8, 0x61);
      const hash = hasher.hash(key, 0, length);
      expect(hasher.hash(key, 3, length)).toBe(hash);
      expect(hash | 0).toBe(hash);
      expect(other.hash(key, 0, length)).not.toBe(hash);
      seen.add(hash);
      for (let at = 0; at < length; at++) {
        key[at] ^= 0x80;
        seen.add(hasher.hash(key, 0, length));
        key[at] ^= 0x80;
      }
    }
    expect(seen.size).toBe(65 + (64 * 65) / 2);
  });

  it('spreads similar keys evenly over the high and the low bits', () => {
    const hasher = new KeyHasher(11, 12);
    const high = new Array<number>(64).fill(0);
    const low = new Array<number>(64).fill(0);
    for (let count = 0; count < 64_000; count++) {
      const key = Buffer.from(`user:${count}:name`);
      const hash = hasher.hash(key, 0, key.length);
      high[hash >>> 26]++;
      low[hash & 63]++;
    }
    for (const bucket of [...high, ...low]) {
      expect(bucket).toBeGreaterThan(800);
      expect(bucket).toBeLessThan(1200);
    }
  });

  it('tells keys of every length apart by any of their bytes', () => {
    for (let length = 1; length <= 40; length++) {
      const keys = new Keys();
      const key = Buffer.alloc(length, 'abcdefghijklmnopqrstuvwxyz');
      keys.insert(key.toString(), 7);
      expect(keys.find(key.toString(), 7)).not.toBe(0);
      for (let at = 0; at < length; at++) {
        const other = Buffer.from(key);
        other[at] ^= 1;
        expect([length, at, keys.find(other.toString(), 7)]).toEqual([length, at, 0]);
      }
    }
  });

  it('hashes as it always has', () => {
    const hasher = new KeyHasher(0x03020100, 0x07060504);
    const bytes = Buffer.from(Array.from({ length: 64 }, (_, index) => index));
    const known = [
      [0, 0x5814c896],
      [1, 0xe7e864ca],
      [3, 0x01539939],
      [4, 0x7e059ea6],
      [5, 0x88e3d89b],
      [8, 0x577999b1],
      [15, 0xd0257b04],
      [20, 0x911bb605],
      [63, 0x87178304],
    ];
    for (const [length, hash] of known) expect([length, hasher.hash(bytes, 0, length) >>> 0]).toEqual([length, hash]);
  });
});
