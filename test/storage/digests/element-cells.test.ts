/** The cells of collections: alike on all nodes that show the same, and what is in those that differ makes them so. */
import { describe, expect, it } from '@jest/globals';
import { RecordWriter } from '../../../protocol/change-record.ts';
import { OBJECT, PARTIAL, TYPE_HASH, TYPE_SET } from '../../../storage/arena/block.ts';
import type { Collection } from '../../../storage/collections/collection.ts';
import { keyKindOf } from '../../../storage/collections/kinds.ts';
import { CellDigests, CellRecords, comparableAt } from '../../../storage/digests/element-cells.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';
import { Replica } from '../collections/replicas.ts';

const testFile = 'test/storage/digests/element-cells.test.ts';
const epochMs = 1_700_000_000_000;
const key = Buffer.from('key');
const BITS = 4;
const RUNS = 20;

function refOf({ keyspace, database }: Replica): number {
  return keyspace.find(database, key, 0, key.length);
}

function collectionOf(replica: Replica): Collection | null {
  return comparableAt(replica.keyspace, refOf(replica));
}

/** Two words for each cell; the collection's own digest stays what it was. */
function cellsOf(replica: Replica, bits = BITS): Uint32Array {
  const collection = collectionOf(replica);
  if (collection === null) return new Uint32Array(2 ** bits * 2);
  const before = [collection.digestHi, collection.digestLo];
  const digests = new CellDigests(replica.keyspace, collection, bits);
  while (digests.step());
  expect(digests.isLost).toBe(false);
  expect([collection.digestHi, collection.digestLo]).toEqual(before);
  return digests.words;
}

function recordsOf(replica: Replica, cells: Uint8Array | null, type = TYPE_HASH): Buffer {
  const kind = keyKindOf(type);
  const records = new CellRecords(replica.keyspace, [{ database: 0, key, kind, bits: BITS, cells }]);
  const writer = new RecordWriter();
  // One element at a time.
  while (records.step(writer, writer.length + 1, () => false));
  return writer.take();
}

/** A write to the hash. */
function write(random: SeededRandom, replica: Replica, nowMs: number): void {
  const field = `f${random.below(40)}`;
  const what = random.below(20);
  if (what < 9) replica.put(TYPE_HASH, 'key', field, `${random.uint32()}`);
  else if (what < 13) replica.remove(TYPE_HASH, 'key', field);
  else if (what < 16) replica.add(TYPE_HASH, 'key', field, 1 + random.below(5));
  else if (what < 18) replica.fieldExpireAt('key', field, nowMs + 1_000_000 + random.below(1000));
  else if (what === 18) replica.expireAt('key', nowMs + 1_000_000 + random.below(1000));
  else if (random.chance(0.3)) replica.delete('key');
}

describe('the cells of a collection', () => {
  it('are alike wherever the same is shown, in whatever order it came (random)', async () => {
    await withSeed(testFile, (random) => {
      for (let run = 0; run < RUNS; run++) {
        let nowMs = epochMs;
        const replicas = [1, 2, 3].map((node) => Replica.take(node, () => nowMs));
        const feeds: Buffer[] = [];
        for (let round = 0; round < 40; round++) {
          nowMs += random.below(50);
          const replica = random.pick(replicas);
          for (let writes = random.below(6); writes >= 0; writes--) write(random, replica, nowMs);
          feeds.push(replica.takeFeed());
          if (random.chance(0.3)) random.pick(replicas).apply(random.pick(feeds));
        }
        for (const replica of replicas) for (const feed of random.shuffle(feeds)) replica.apply(feed);
        const [first, ...others] = replicas;
        for (const other of others) {
          expect(other.view()).toEqual(first.view());
          for (const bits of [2, BITS, 9]) expect(cellsOf(other, bits)).toEqual(cellsOf(first, bits));
        }
        for (const replica of replicas) replica.release();
      }
    });
  });

  it('have digests that every release computes alike', () => {
    const replica = Replica.take(1, () => epochMs);
    for (let number = 0; number < 5; number++) replica.put(TYPE_HASH, 'key', `field ${number}`, 'value');
    replica.add(TYPE_HASH, 'key', 'field 1', 3);
    replica.fieldExpireAt('key', 'field 2', epochMs + 1000);
    replica.remove(TYPE_HASH, 'key', 'field 3');
    const words = [...cellsOf(replica, 2)].map((word) => word.toString(16).padStart(8, '0'));
    expect(words.join(' ')).toBe('11c44133 fce0864a e5bff062 e28cd62b 00000000 00000000 257adcd7 149a554f');
    replica.release();
  });

  it('make two nodes equal when those that differ are exchanged (random)', async () => {
    await withSeed(testFile, (random) => {
      for (let run = 0; run < RUNS; run++) {
        let nowMs = epochMs;
        const replicas = [1, 2].map((node) => Replica.take(node, () => nowMs));
        for (let round = 0; round < 30; round++) {
          nowMs += random.below(50);
          const replica = random.pick(replicas);
          for (let writes = random.below(6); writes >= 0; writes--) write(random, replica, nowMs);
          const feed = replica.takeFeed();
          if (random.chance(0.6)) for (const other of replicas) other.apply(feed);
        }
        const [a, b] = replicas.map((replica) => cellsOf(replica));
        const cells = Uint8Array.from({ length: 2 ** BITS }, (_none, cell) =>
          a[cell * 2] === b[cell * 2] && a[cell * 2 + 1] === b[cell * 2 + 1] ? 0 : 1,
        );
        const isWhole = replicas.some((replica) => collectionOf(replica) === null);
        const given = replicas.map((replica) => recordsOf(replica, isWhole ? null : cells));
        replicas[0].apply(given[1]);
        replicas[1].apply(given[0]);
        expect(replicas[0].view()).toEqual(replicas[1].view());
        expect(replicas[0].digest()).toEqual(replicas[1].digest());
        for (const replica of replicas) replica.release();
      }
    });
  });

  it('are given with what belongs to all of the key, and nothing else where none is wanted', () => {
    const [from, to] = [1, 2].map((node) => Replica.take(node, () => epochMs));
    for (let number = 0; number < 50; number++) from.put(TYPE_HASH, 'key', `f${number}`, 'value');
    from.expireAt('key', epochMs + 1000);
    to.apply(recordsOf(from, new Uint8Array(2 ** BITS)));
    expect(to.keyspace.deadlineOf(refOf(to))).toBe(epochMs + 1000);
    expect(to.keyspace.collectionAt(refOf(to)).count).toBe(0);
    const one = new Uint8Array(2 ** BITS);
    one[5] = 1;
    to.apply(recordsOf(from, one));
    expect(to.keyspace.collectionAt(refOf(to)).count).toBeGreaterThan(0);
    expect(to.keyspace.collectionAt(refOf(to)).count).toBeLessThan(20);
    // Of a key that was compared as another type all is given.
    to.apply(recordsOf(from, new Uint8Array(2 ** BITS), TYPE_SET));
    expect(to.view()).toEqual(from.view());
    for (const replica of [from, to]) replica.release();
  });

  it('are not told of a collection that is packed, hidden, not whole or another type', () => {
    const replica = Replica.take(1, () => epochMs);
    expect(collectionOf(replica)).toBeNull();
    replica.put(TYPE_HASH, 'key', 'f', 'value');
    expect(collectionOf(replica)?.count).toBe(1);
    replica.takeFeed();
    replica.takeStore(1 << 20);
    replica.pack();
    expect(replica.packedCount).toBe(1);
    expect(collectionOf(replica)).toBeNull();
    replica.put(TYPE_HASH, 'key', 'f', 'value');
    const { keyspace } = replica;
    keyspace.arena.words[refOf(replica) >>> 20][(refOf(replica) & 0xfffff) << 1] |= PARTIAL << 16;
    expect(keyspace.flagsOf(refOf(replica)) & OBJECT).toBe(OBJECT);
    expect(collectionOf(replica)).toBeNull();
    keyspace.setWhole(refOf(replica));
    expect(collectionOf(replica)).not.toBeNull();
    replica.remove(TYPE_HASH, 'key', 'f');
    expect(collectionOf(replica)).toBeNull();
    replica.set('key', 'text');
    expect(collectionOf(replica)).toBeNull();
    replica.release();
  });

  it('are lost when the collection is deleted or replaced meanwhile', () => {
    for (const end of ['delete', 'set'] as const) {
      const replica = Replica.take(1, () => epochMs);
      for (let number = 0; number < 3000; number++) replica.put(TYPE_HASH, 'key', `f${number}`, 'value');
      const digests = new CellDigests(replica.keyspace, collectionOf(replica)!, BITS);
      expect(digests.step()).toBe(true);
      if (end === 'delete') replica.delete('key');
      else replica.set('key', 'text');
      expect(digests.step()).toBe(false);
      expect(digests.isLost).toBe(true);
      replica.release();
    }
  });
});
