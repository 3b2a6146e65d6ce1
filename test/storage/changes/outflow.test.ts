import { describe, expect, it } from '@jest/globals';
import { FLAG_BATCH_BEGIN, FLAG_BATCH_END, RecordReader, RecordWriter } from '../../../protocol/change-record.ts';
import { flushDatabase } from '../../../storage/tombstones/floor.ts';
import {
  compactStoreRing,
  dirtyCount,
  drainDirty,
  drainFeed,
  markEverything,
  noteDirty,
} from '../../../storage/changes/outflow.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';
import { RegisterModel } from '../register-model.ts';
import { Replica, START_MS, splitRecords } from '../replica.ts';

const FILE = 'test/storage/changes/outflow.test.ts';

function keyOf(record: Buffer): string {
  const reader = new RecordReader();
  reader.read(record, 0);
  return `${reader.database}:${reader.kind}:${record.toString('latin1', reader.keyStart, reader.keyStart + reader.keyLength)}`;
}

function keysIn(records: Buffer): string[] {
  return splitRecords(records).map((record) => keyOf(record).slice('0:1:'.length));
}

function flagsOf(record: Buffer): number {
  const reader = new RecordReader();
  reader.read(record, 0);
  return reader.flags & (FLAG_BATCH_BEGIN | FLAG_BATCH_END);
}

/** Writes that move blocks about: other sizes, deadlines, two databases, keys that come and go. */
function churn(random: SeededRandom, replica: Replica, count: number): void {
  for (let left = count; left > 0; left--) {
    const key = `key:${random.below(200)}`;
    const database = random.below(2);
    const choice = random.below(100);
    if (choice < 55) replica.set(key, random.bytes(random.pick([0, 10, 60, 500, 4096, 4097])), 0, database);
    else if (choice < 70) replica.delete(key, database);
    else if (choice < 80) replica.expireAt(key, START_MS + 100_000, database);
    else if (choice < 99) replica.increment(`n${key}`, 1, database);
    else if (random.chance(0.2)) flushDatabase(replica.keyspace, replica.database(database));
  }
}

describe('the feed', () => {
  it('sends each key of a turn once, as it is in the end, as one batch', () => {
    const replica = new Replica();
    for (let count = 0; count < 10; count++) {
      replica.set('a', 'v'.repeat(count * 50));
      replica.increment('n');
      replica.set('b', 'v', 0, 1);
    }
    replica.delete('b', 1);
    const records = splitRecords(replica.takeFeed());
    expect(records.map(keyOf).sort()).toEqual(['0:1:a', '0:2:n', '1:1:b']);
    expect(records.map(flagsOf)).toEqual([FLAG_BATCH_BEGIN, 0, FLAG_BATCH_END]);
    expect(replica.takeFeed()).toHaveLength(0);
  });

  it('marks a batch of one record, and the last record of a key that is several', () => {
    const replica = new Replica();
    replica.set('a', 'v');
    expect(splitRecords(replica.takeFeed()).map(flagsOf)).toEqual([FLAG_BATCH_BEGIN | FLAG_BATCH_END]);
    replica.set('n', '5');
    replica.increment('n');
    const two = splitRecords(replica.takeFeed());
    expect(two.map(flagsOf)).toEqual([FLAG_BATCH_BEGIN, FLAG_BATCH_END]);
    flushDatabase(replica.keyspace, replica.database());
    expect(splitRecords(replica.takeFeed()).map(flagsOf)).toEqual([FLAG_BATCH_BEGIN | FLAG_BATCH_END]);
  });

  it('appends to what the writer holds already', () => {
    const replica = new Replica();
    const writer = new RecordWriter();
    replica.set('a', 'v');
    drainFeed(replica.keyspace, writer);
    replica.set('b', 'v');
    replica.set('c', 'v');
    expect(drainFeed(replica.keyspace, writer)).toBe(2);
    expect(splitRecords(writer.take()).map(flagsOf)).toEqual([
      FLAG_BATCH_BEGIN | FLAG_BATCH_END,
      FLAG_BATCH_BEGIN,
      FLAG_BATCH_END,
    ]);
  });

  it('is asked for once a turn', () => {
    const replica = new Replica();
    let asked = 0;
    replica.keyspace.onFeed = () => {
      asked++;
    };
    replica.set('a', 'v');
    replica.set('b', 'v');
    expect(asked).toBe(1);
    replica.takeFeed();
    replica.set('a', 'v');
    expect(asked).toBe(2);
  });

  it('does not send on what came from a peer', () => {
    const replica = new Replica();
    const peer = new Replica({ node: 2 });
    replica.set('a', 'v');
    peer.apply(replica.takeFeed());
    expect(peer.takeFeed()).toHaveLength(0);
    expect(splitRecords(peer.takeDirty())).toHaveLength(1);
  });

  it('brings a peer everything, whatever blocks did meanwhile', async () => {
    await withSeed(FILE, (random) => {
      const replica = new Replica();
      const peer = new Replica({ node: 2 });
      for (let turn = 0; turn < 60; turn++) {
        churn(random, replica, random.below(60));
        const records = replica.takeFeed();
        const keys = splitRecords(records)
          .map(keyOf)
          .filter((key) => key.includes(':1:'));
        expect(new Set(keys).size).toBe(keys.length);
        peer.apply(records);
      }
      expect(peer.contents()).toEqual(replica.contents());
      expect(peer.keyspace.digests.total()).toBe(replica.keyspace.digests.total());
    });
  });
});

describe('what the stores lack', () => {
  it('is all drained in the end, in slices, through moves and reused memory', async () => {
    await withSeed(FILE, (random) => {
      for (let round = 0; round < 3; round++) {
        const replica = new Replica({ feeding: false, digesting: random.chance(0.5) });
        const store = new RegisterModel();
        for (let turn = 0; turn < 40; turn++) {
          churn(random, replica, random.below(120));
          const writer = new RecordWriter();
          if (random.chance(0.3)) drainDirty(replica.keyspace, writer, random.below(5000));
          store.apply(writer.take());
          if (random.chance(0.1)) {
            for (const database of replica.keyspace.databases) compactStoreRing(replica.keyspace, database);
          }
        }
        store.apply(replica.takeDirty());
        expect(dirtyCount(replica.keyspace)).toBe(0);
        expect(store.contents(replica.wallMs)).toEqual(replica.contents());
      }
    });
  });

  it('survives the ring being full of stale entries', async () => {
    await withSeed(FILE, (random) => {
      const replica = new Replica({ feeding: false, digesting: false });
      const store = new RegisterModel();
      // What is being written while the ring is compacted is not written again.
      const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
      let compactions = 0;
      let present = '';
      replica.keyspace.onRingFull = (database) => {
        compactions++;
        keys.splice(keys.indexOf(present), 1);
        compactStoreRing(replica.keyspace, database);
      };
      // Every write moves the block.
      for (let count = 0; count < 150_000; count++) {
        present = keys[count % keys.length];
        replica.set(present, 'v'.repeat(random.below(2) * 100 + (count % 3) * 30));
      }
      expect(compactions).toBeGreaterThan(0);
      expect(dirtyCount(replica.keyspace)).toBeLessThan(70_000);
      store.apply(replica.takeDirty());
      expect(store.contents(replica.wallMs)).toEqual(replica.contents());
    });
  });

  it('takes at most 64 bytes a dirty key while no store takes it, however often the keys are written', () => {
    const keys = 20_000;
    const replica = new Replica();
    const { keyspace } = replica;
    keyspace.onRingFull = (database) => compactStoreRing(keyspace, database);
    for (let round = 0; round < 24; round++) {
      // Blocks of other sizes are others, and leave stale entries.
      for (let at = 0; at < keys; at++) replica.set(`key:${at}`, 'v'.repeat(10 + (round % 3) * 60));
    }
    expect(replica.database(0).storeRing.bytes / keys).toBeLessThanOrEqual(64);
    expect(splitRecords(replica.takeDirty(1 << 24))).toHaveLength(keys);
  });

  it('is everything once more when a store was emptied', async () => {
    await withSeed(FILE, (random) => {
      const replica = new Replica();
      churn(random, replica, 500);
      replica.takeDirty();
      markEverything(replica.keyspace);
      const store = new RegisterModel();
      store.apply(replica.takeDirty());
      expect(store.contents(replica.wallMs)).toEqual(replica.contents());
    });
  });
});

describe('what is drained for the stores', () => {
  it('is drained of every database in turn, and not said to be before, whatever comes meanwhile', () => {
    const replica = new Replica();
    const writer = new RecordWriter();
    for (const key of ['a', 'b', 'c']) replica.set(key, 'v'.repeat(100));
    replica.set('other', 'v', 0, 1);
    const isDrained = noteDirty(replica.keyspace);
    let drains = 0;
    for (; !isDrained(); drains++) {
      expect(drains).toBeLessThan(10);
      drainDirty(replica.keyspace, writer, writer.length + 50);
      // The first database is never without something new.
      replica.set(`more:${drains}`, 'v'.repeat(100));
    }
    expect(keysIn(writer.take())).toEqual(['a', 'other', 'b', 'c']);
  });

  it('is apart when only peers have changed it and bring it to MySQL', () => {
    const replica = new Replica();
    const { keyspace } = replica;
    const peer = new Replica({ node: 2 });
    for (const key of ['a', 'b', 'c']) peer.set(key, 'v'.repeat(30));
    const records = Buffer.from(peer.takeFeed());
    peer.pass(1);
    for (const key of ['a', 'b', 'c']) peer.set(key, 'w');
    const later = Buffer.from(peer.takeFeed());
    const relay = (bytes: Buffer): void => {
      keyspace.relaying = true;
      replica.apply(bytes);
      keyspace.relaying = false;
    };
    relay(records);
    replica.pass(1);
    replica.set('b', 'a longer value, in another block than before');
    relay(later);
    replica.apply(peer.takeFeed());
    const own = new RecordWriter();
    const relayed = new RecordWriter();
    drainDirty(keyspace, own, 1 << 20, relayed);
    expect(keysIn(own.take())).toEqual(['b']);
    expect(keysIn(relayed.take())).toEqual(['a', 'c']);
    relay(records);
    expect(dirtyCount(keyspace)).toBe(0);
    peer.set('a', 'x');
    relay(Buffer.from(peer.takeFeed()));
    compactStoreRing(keyspace, replica.database());
    drainDirty(keyspace, own, 1 << 20, relayed);
    expect([keysIn(own.take()), keysIn(relayed.take())]).toEqual([[], ['a']]);
  });
});
