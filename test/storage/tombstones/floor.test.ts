import { describe, expect, it } from '@jest/globals';
import { flushDatabase } from '../../../storage/tombstones/floor.ts';
import { Replica, START_MS, splitRecords } from '../replica.ts';

function exchange(first: Replica, second: Replica): void {
  const records = first.takeFeed();
  first.apply(second.takeFeed());
  second.apply(records);
}

function expectAlike(first: Replica, second: Replica): void {
  expect(second.contents()).toEqual(first.contents());
  for (const replica of [first, second]) {
    const { kept, recomputed } = replica.bookkeeping();
    expect(kept).toEqual(recomputed);
  }
  expect(second.keyspace.digests.total()).toBe(first.keyspace.digests.total());
}

describe('FLUSHDB', () => {
  it('empties one database, here and at peers, and memory comes back', () => {
    const first = new Replica();
    const second = new Replica({ node: 2 });
    for (let count = 0; count < 3000; count++) {
      first.set(`key:${count}`, 'v'.repeat(count % 3000), START_MS + 1000);
      first.set(`key:${count}`, 'other', 0, 1);
    }
    exchange(first, second);
    flushDatabase(first.keyspace, first.database());
    exchange(first, second);
    for (const replica of [first, second]) {
      const database = replica.database();
      expect([database.keyCount, database.deadlineCount, database.index.count]).toEqual([0, 0, 0]);
      expect(database.deadlines.length).toBe(0);
      expect(replica.database(1).keyCount).toBe(3000);
    }
    expectAlike(first, second);
    flushDatabase(first.keyspace, first.database(1));
    exchange(first, second);
    for (const replica of [first, second]) expect(replica.keyspace.arena.usedBytes).toBe(0);
    first.set('k', 'after');
    exchange(first, second);
    expectAlike(first, second);
    expect(second.get('k')).toBe('after');
  });

  it('lets survive what others wrote at the same time with a later stamp', () => {
    const first = new Replica();
    const second = new Replica({ node: 2 });
    first.set('k', 'v');
    first.set('n', '10');
    exchange(first, second);
    second.pass(5);
    second.set('new', 'v');
    second.increment('n', 5);
    flushDatabase(first.keyspace, first.database());
    first.set('k', 'again');
    exchange(first, second);
    expectAlike(first, second);
    // The number itself was flushed; the increment that came later was not.
    expect(first.contents()).toEqual({ '0:k': 'again', '0:n': '5', '0:new': 'v' });
  });

  it('ends sums that others are still adding to, whatever arrives first', () => {
    const first = new Replica();
    const second = new Replica({ node: 2 });
    const third = new Replica({ node: 3 });
    second.increment('n', 100);
    first.set('m', '7');
    const early = [second.takeFeed(), first.takeFeed()];
    for (const replica of [first, second, third]) for (const records of early) replica.apply(records);
    second.pass(5);
    flushDatabase(first.keyspace, first.database());
    second.increment('n', 1);
    second.increment('m', 1);
    const late = [...splitRecords(first.takeFeed()), ...splitRecords(second.takeFeed())];
    for (const records of late) for (const replica of [first, second]) replica.apply(records);
    for (const records of late.reverse()) third.apply(records);
    expectAlike(first, second);
    expectAlike(first, third);
    expect(first.contents()).toEqual({ '0:m': '1' });
  });

  it('is known to a store, and holds when rows arrive after it', () => {
    const replica = new Replica();
    replica.set('k', 'v');
    replica.increment('n');
    const rows = replica.takeDirty();
    flushDatabase(replica.keyspace, replica.database());
    const floor = replica.takeDirty();
    for (const order of [
      [rows, floor],
      [floor, rows],
      [rows, floor, rows],
    ]) {
      const restored = new Replica();
      for (const records of order) restored.apply(records);
      expect(restored.contents()).toEqual({});
      expect(restored.database().index.count).toBe(0);
    }
  });

  it('ends a counter whose deadline has passed, also when the floor comes after the base that it covers', () => {
    const writer = new Replica();
    writer.set('n', '32');
    const base = Buffer.from(writer.takeFeed());
    flushDatabase(writer.keyspace, writer.database());
    const floor = Buffer.from(writer.takeFeed());
    writer.increment('n', 99);
    writer.expireAt('n', START_MS + 1);
    const sum = Buffer.from(writer.takeFeed());
    const loaded = new Replica({ node: 2 });
    loaded.pass(5);
    for (const records of [base, sum, floor]) loaded.apply(records);
    expect(loaded.database().keyCount).toBe(0);
    expect(loaded.contents()).toEqual({});
  });

  it('does nothing a second time', () => {
    const replica = new Replica();
    replica.set('k', 'v');
    flushDatabase(replica.keyspace, replica.database());
    replica.takeFeed();
    flushDatabase(replica.keyspace, replica.database());
    expect(replica.takeFeed()).toHaveLength(0);
  });

  it('tells the observer of every key that goes, and of no other', () => {
    const replica = new Replica();
    replica.set('a', 'v');
    replica.set('b', 'v');
    replica.delete('b');
    const seen: string[] = [];
    replica.keyspace.observer = {
      changed: (_database, key, start, length) => seen.push(key.toString('latin1', start, start + length)),
      expired: () => undefined,
    };
    flushDatabase(replica.keyspace, replica.database());
    expect(seen).toEqual(['a']);
  });
});
