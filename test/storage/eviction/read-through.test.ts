import { describe, expect, it } from '@jest/globals';
import { RecordReader, RecordWriter } from '../../../protocol/change-record.ts';
import { StoreError } from '../../../storage/backends/backend.ts';
import { keyNamesOf } from '../../../storage/backends/key-names.ts';
import { LevelStore } from '../../../storage/backends/level.ts';
import { MemoryStore } from '../memory-store.ts';
import { TYPE_HASH, TYPE_SET } from '../../../storage/arena/block.ts';
import { nameOf } from '../../../storage/eviction/doubted-keys.ts';
import { EvictedKeys } from '../../../storage/eviction/evicted-keys.ts';
import { Eviction } from '../../../storage/eviction/eviction.ts';
import { startDigesting } from '../../../storage/digests/digest-start.ts';
import { drainDirty } from '../../../storage/changes/outflow.ts';
import { hydrateRows, hydrateWithin, type KeySource, ReadThrough } from '../../../storage/eviction/read-through.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { Replica } from '../collections/replicas.ts';

const testFile = 'test/storage/eviction/read-through.test.ts';
const START_MS = 1_700_000_000_000;

/** As the keys of a large database: of these few hashes many keys share one. */
class CrowdedKeys extends EvictedKeys {
  override has(hash: number): boolean {
    return super.has((hash >>> 29) << 29);
  }

  override add(hash: number, isUncertain?: boolean): void {
    super.add((hash >>> 29) << 29, isUncertain);
  }

  override remove(hash: number): void {
    super.remove((hash >>> 29) << 29);
  }
}

/** A node that keeps little in memory, and what it has written. */
class SmallNode {
  readonly replica: Replica;
  readonly readThrough: ReadThrough;
  readonly #eviction: Eviction;

  constructor(nowMs: () => number, source: KeySource, random: SeededRandom) {
    this.replica = new Replica(1, nowMs);
    const { keyspace } = this.replica;
    keyspace.readsThrough = true;
    this.readThrough = new ReadThrough(keyspace, source);
    this.#eviction = new Eviction(keyspace, () => random.fraction());
    this.#eviction.isPinned = (database, ref) => this.readThrough.isPinned(database, ref);
  }

  isPartial(key: string): boolean {
    const bytes = Buffer.from(key);
    return this.replica.keyspace.isPartial(this.replica.database, bytes, 0, bytes.length);
  }

  async fetch(...keys: string[]): Promise<void> {
    const missing = keys.filter((key) => this.isPartial(key));
    await this.readThrough.fetch(missing.map((key) => ({ database: 0, key: Buffer.from(key) })));
  }

  evict(): string {
    return this.#eviction.evictOne('allkeys-random', 5);
  }

  /** What the stores lack, and whether they may have newer versions of it. */
  drain(): { records: Buffer; isGuarded: boolean } {
    const { keyspace } = this.replica;
    const writer = new RecordWriter();
    keyspace.drainedOutdated = false;
    while (drainDirty(keyspace, writer, Infinity) > 0);
    return { records: writer.take(), isGuarded: keyspace.drainedOutdated };
  }
}

const keys = Array.from({ length: 24 }, (_, index) => `key:${index}`);

function writeSomething(replica: Replica, key: string, random: SeededRandom, nowMs: number): void {
  const field = `f${random.below(4)}`;
  const value = `v${random.below(1000)}`;
  const writes = [
    () => replica.put(TYPE_HASH, key, field, value),
    () => replica.put(TYPE_SET, key, field, ''),
    () => replica.remove(TYPE_HASH, key, field),
    () => replica.add(TYPE_HASH, key, field, random.below(9)),
    () => replica.increment(key, random.below(9)),
    () => replica.delete(key),
    () => replica.expireAt(key, nowMs + 1 + random.below(40)),
  ];
  random.pick(writes)();
}

describe('a key that was evicted', () => {
  it('comes back as it would be, whatever peers have sent meanwhile, and whoever shares its hash', async () => {
    await withSeed(testFile, async (random) => {
      for (let run = 0; run < 12; run++) {
        let nowMs = START_MS;
        const store = new LevelStore({ directory: temporaryFolder('level') });
        await store.open();
        const small = new SmallNode(() => nowMs, store, random);
        const { replica } = small;
        if (run % 2 === 1) Object.defineProperty(replica.database, 'evicted', { value: new CrowdedKeys() });
        const peer = new Replica(2, () => nowMs);
        const outbox: Buffer[] = [];
        const inbox: Buffer[] = [];
        for (let step = 0; step < 400; step++) {
          nowMs += random.below(3);
          replica.keyspace.clock.refresh();
          peer.keyspace.clock.refresh();
          const key = random.pick(keys);
          const what = random.below(10);
          if (what < 3) {
            await small.fetch(key);
            writeSomething(replica, key, random, nowMs);
          } else if (what === 3) {
            // SET need not know what is there.
            replica.set(key, `set ${step}`);
          } else if (what < 6) {
            if (random.chance(0.3)) peer.set(key, `peer ${step}`);
            else writeSomething(peer, key, random, nowMs);
          } else if (what === 6) {
            if (random.chance(0.02)) (random.chance(0.5) ? replica : peer).flush();
            outbox.push(replica.takeFeed());
            inbox.push(peer.takeFeed());
          } else if (what === 7) {
            for (const records of outbox.splice(0)) peer.apply(records);
            // Repair sends what it has at any time.
            if (random.chance(0.2)) inbox.push(peer.takeState());
            if (random.chance(0.7)) for (const records of inbox.splice(0)) replica.apply(records);
          } else {
            outbox.push(replica.takeFeed());
            const { records, isGuarded } = small.drain();
            if (records.length > 0) await store.putNewest([records], null, null, isGuarded);
            for (let count = random.below(20); count > 0; count--) small.evict();
          }
        }
        outbox.push(replica.takeFeed());
        inbox.push(peer.takeFeed());
        for (const records of outbox) peer.apply(records);
        for (const records of inbox) replica.apply(records);
        expect(replica.keyspace.evictedKeys).toBeGreaterThan(50);
        await small.fetch(...keys);
        expect(
          keys.filter((key) => small.isPartial(key) && replica.view().some((line) => line.startsWith(`${key} `))),
        ).toEqual([]);
        // Both have seen the same time now.
        nowMs += 1000;
        for (const each of [replica, peer]) {
          each.keyspace.clock.refresh();
          for (const key of keys) each.keyspace.lookup(each.database, Buffer.from(key), 0, Buffer.byteLength(key));
        }
        expect(replica.view()).toEqual(peer.view());
        // What came back is no change: nothing of it is sent, or stored, again.
        const { records } = small.drain();
        if (records.length > 0) await store.putNewest([records], null, null, true);
        expect(replica.takeFeed()).toHaveLength(0);
        await store.close();
      }
    });
  }, 120_000);

  it('is read once, however many ask for it, and one that never was there not at all', async () => {
    await withSeed(testFile, async (random) => {
      const store = new MemoryStore();
      const asked: number[] = [];
      let failure: StoreError | null = null;
      const source: KeySource = {
        fetch: async (packed, onRecords) => {
          asked.push(packed.length);
          await new Promise(setImmediate);
          if (failure !== null) throw failure;
          await store.fetch(packed, onRecords);
        },
      };
      const small = new SmallNode(() => START_MS, source, random);
      const { replica, readThrough } = small;
      replica.keyspace.feeding = false;
      replica.keyspace.digesting = false;
      for (const key of keys) replica.set(key, `value of ${key}`);
      // What is not stored yet stays.
      expect(small.evict()).toBe('waits');
      await store.write(small.drain().records);
      for (let left = keys.length; left > 0; left--) expect(small.evict()).toBe('yes');
      expect([small.evict(), replica.database.keyCount, replica.database.evicted.count]).toEqual(['none', 0, 24]);
      const all = Promise.all(Array.from({ length: 50 }, () => small.fetch('key:3', 'key:4')));
      expect(readThrough.pendingCount).toBe(2);
      await all;
      expect(asked).toHaveLength(1);
      expect(replica.view()).toEqual(['key:3 type 1: value of key:3', 'key:4 type 1: value of key:4']);
      expect([small.isPartial('key:3'), small.isPartial('never'), replica.database.evicted.count]).toEqual([
        false,
        false,
        22,
      ]);
      await small.fetch('never', 'key:3');
      expect(asked).toHaveLength(1);
      // A store that fails is asked again by the next one.
      failure = new StoreError('unavailable', 'away');
      await expect(small.fetch('key:5')).rejects.toThrow('away');
      failure = null;
      await small.fetch('key:5');
      expect(small.isPartial('key:5')).toBe(false);
      // FLUSHDB ends what was evicted, too.
      replica.flush();
      expect([small.isPartial('key:6'), replica.view()]).toEqual([false, []]);
    });
  });

  it('has expired when its deadline has passed in the store', async () => {
    await withSeed(testFile, async (random) => {
      let nowMs = START_MS;
      const store = new MemoryStore();
      const small = new SmallNode(() => nowMs, store, random);
      const { replica } = small;
      replica.keyspace.feeding = false;
      replica.set('short', 'lived');
      replica.expireAt('short', START_MS + 100);
      await store.write(small.drain().records);
      expect(small.evict()).toBe('yes');
      nowMs += 1000;
      replica.keyspace.clock.refresh();
      expect(small.isPartial('short')).toBe(true);
      await small.fetch('short');
      expect([small.isPartial('short'), replica.view()]).toEqual([false, []]);
    });
  });

  it.each([
    ['alone', false],
    ['with peers, whose digests it goes on having', true],
  ])('stays evicted after a restart %s, and memory is not filled beyond its bound', async (_name, expectsPeers) => {
    await withSeed(testFile, async (random) => {
      const store = new MemoryStore();
      const first = new SmallNode(() => START_MS, store, random);
      first.replica.keyspace.feeding = false;
      for (let index = 0; index < 5000; index++) first.replica.set(`key:${index}`, `value ${index}`.padEnd(100));
      for (let index = 0; index < 500; index++)
        first.replica.put(TYPE_HASH, `hash:${index}`, 'field', `value ${index}`);
      first.replica.delete('key:7');
      await store.write(first.drain().records);
      const again = new SmallNode(() => START_MS, store, random);
      const { keyspace, database } = again.replica;
      Object.assign(keyspace, { storing: false, hydrating: true, digesting: false, expectsPeers });
      const writer = new RecordWriter();
      // A turn for each piece.
      let nowMs = 0;
      const time = { monotonicMs: () => (nowMs += 1), defer: (work: () => void) => setImmediate(work) };
      const hand = (): Promise<void> => hydrateWithin(keyspace, writer.take(), 300_000, time);
      await store.load(async (records) => {
        // In slices as other stores give them.
        for (let at = 0; at < records.length;) {
          const length = records.readUInt32LE(at);
          writer.raw(records, at, length);
          at += length;
          if (writer.length > 16_000) await hand();
        }
        if (writer.length > 0) await hand();
      });
      keyspace.storing = true;
      keyspace.hydrating = false;
      expect(database.keyCount).toBeGreaterThan(100);
      expect(database.keyCount).toBeLessThan(4000);
      expect(database.keyCount + database.evicted.count).toBe(5499);
      expect(keyspace.usedBytes).toBeLessThan(600_000);
      startDigesting(keyspace);
      if (expectsPeers) expect(again.replica.digest()).toBe(first.replica.digest());
      await again.fetch('key:4999', 'hash:499', 'key:7');
      const view = again.replica.view();
      expect(view).toContain(`key:4999 type 1: ${'value 4999'.padEnd(100)}`);
      expect(view).toContain('hash:499 type 5: field=value 499');
      expect(view.filter((line) => line.startsWith('key:7 '))).toEqual([]);
      // What it writes is newer than all that it has not read.
      again.replica.set('key:4998', 'new');
      await store.write(again.drain().records);
      await again.fetch('key:4998');
      expect(again.replica.view()).toContain('key:4998 type 1: new');
    });
  });
});

/** A node that has written what no peer was told of, has it in its store alone, and was killed: as it is after its start. */
async function withUntold(
  random: SeededRandom,
  write: (replica: Replica) => void,
  fetches: (fetch: KeySource['fetch']) => KeySource['fetch'] = (fetch) => fetch,
) {
  let nowMs = START_MS;
  const peer = new Replica(2, () => nowMs);
  peer.set('string', 'older');
  peer.put(TYPE_HASH, 'hash', 'told', '1');
  const told = Buffer.from(peer.takeFeed());
  nowMs += 1000;
  const store = new MemoryStore();
  const source = { fetch: fetches((packed, onRecords) => store.fetch(packed, onRecords)) };
  const small = new SmallNode(() => nowMs, source, random);
  small.replica.apply(told);
  small.replica.keyspace.clock.refresh();
  write(small.replica);
  small.replica.takeFeed();
  await store.write(small.drain().records);
  while (small.evict() === 'yes');
  expect(small.replica.view()).toEqual([]);
  return { small, peer };
}

/** Packed records, one of each key, by the keys' names. */
function keysOf(records: Buffer): { name: string; record: Buffer }[] {
  const reader = new RecordReader();
  const found: { name: string; record: Buffer }[] = [];
  for (let at = 0; at < records.length;) {
    at = reader.read(records, at);
    const { database, keyStart, keyLength, start, end } = reader;
    const name = nameOf(database, records.subarray(keyStart, keyStart + keyLength));
    found.push({ name, record: records.subarray(start, end) });
  }
  return found;
}

/** What reading back was begun on this node's own account has come. */
async function readBack({ readThrough }: SmallNode): Promise<void> {
  while (readThrough.pendingCount > 0) await new Promise(setImmediate);
}

describe('what a peer sends of an evicted key', () => {
  it.each([
    ['a string', (replica: Replica) => replica.set('string', 'newer')],
    ['a hash', (replica: Replica) => replica.put(TYPE_HASH, 'hash', 'untold', '2')],
    [
      'a key that was deleted and made anew',
      (replica: Replica) => {
        replica.delete('hash');
        replica.set('hash', 'anew');
      },
    ],
  ])('does not pass for all that there is of it where the store has newer: %s', async (_name, write) => {
    await withSeed(testFile, async (random) => {
      const { small, peer } = await withUntold(random, write);
      expect(small.replica.digest()).not.toBe(peer.digest());
      // A repair: the peer has another version, and this node nothing to give.
      small.replica.apply(Buffer.from(peer.takeState()));
      await readBack(small);
      expect(small.replica.digest()).not.toBe(peer.digest());
      peer.apply(Buffer.from(small.replica.takeState()));
      expect([small.replica.digest(), small.replica.view()]).toEqual([peer.digest(), peer.view()]);
    });
  });

  it('is not counted while the store does not answer, and completed when it does', async () => {
    await withSeed(testFile, async (random) => {
      let isAway = true;
      const { small, peer } = await withUntold(
        random,
        (replica) => replica.set('string', 'newer'),
        (fetch) => (packed, onRecords) =>
          isAway ? Promise.reject(new StoreError('unavailable', 'away')) : fetch(packed, onRecords),
      );
      const { keyspace } = small.replica;
      const repair = async (): Promise<void> => {
        small.replica.apply(Buffer.from(peer.takeState()));
        await readBack(small);
        small.drain();
      };
      await repair();
      expect([small.evict(), small.evict(), small.evict()]).toEqual(['yes', 'yes', 'none']);
      // So the next repair sends it again.
      expect([small.replica.database.evictedDigests.count, small.replica.digest()]).toEqual([0, '']);
      await repair();
      isAway = false;
      for (let databases = keyspace.databases.length; databases > 0; databases--) small.readThrough.parts.tick();
      await readBack(small);
      expect(small.replica.view()).toContain('string type 1: newer');
      // Those that the last walk found on their way might have failed: it takes one more to know.
      for (let databases = keyspace.databases.length; databases > 0; databases--) small.readThrough.parts.tick();
      expect(keyspace.hasUnreadParts).toBe(false);
    });
  });

  it('is read back bit by bit where much of it comes at once', async () => {
    await withSeed(testFile, async (random) => {
      const keyCount = 10_500;
      let nowMs = START_MS;
      const peer = new Replica(2, () => nowMs);
      let isHeldUp = true;
      let release: () => void = () => undefined;
      const held = new Promise<void>((resolve) => (release = resolve));
      let asked = 0;
      const source: KeySource = {
        fetch: async (packed, onRecords) => {
          asked += keyNamesOf(packed).length;
          if (isHeldUp) await held;
          // As a store with an index.
          for (const { database, key } of keyNamesOf(packed)) {
            const records = stored.get(nameOf(database, key));
            if (records !== undefined) await onRecords(Buffer.from(records));
          }
        },
      };
      const stored = new Map<string, Buffer>();
      const small = new SmallNode(() => nowMs, source, random);
      const { replica, readThrough } = small;
      const { keyspace } = replica;
      for (let index = 0; index < keyCount; index++) peer.set(`key:${index}`, 'older');
      replica.apply(Buffer.from(peer.takeFeed()));
      nowMs += 1000;
      keyspace.clock.refresh();
      for (let index = 0; index < keyCount; index++) replica.set(`key:${index}`, 'newer');
      replica.takeFeed();
      const { records } = small.drain();
      for (const { name, record } of keysOf(records)) stored.set(name, record);
      while (small.evict() === 'yes');
      expect(replica.database.keyCount).toBe(0);
      replica.apply(Buffer.from(peer.takeState()));
      expect([readThrough.pendingCount, keyspace.hasUnreadParts]).toEqual([10_000, true]);
      // While so many are on their way no more are begun.
      const walk = (): void => {
        // Each database takes several looks.
        for (let looks = 100; looks > 0; looks--) readThrough.parts.tick();
      };
      walk();
      expect(readThrough.pendingCount).toBe(10_000);
      isHeldUp = false;
      release();
      await readBack(small);
      expect(replica.view().filter((line) => line.endsWith(': older'))).toHaveLength(500);
      expect(keyspace.hasUnreadParts).toBe(true);
      walk();
      await readBack(small);
      walk();
      expect([keyspace.hasUnreadParts, asked]).toEqual([false, keyCount]);
      expect(replica.view().filter((line) => !line.endsWith(': newer'))).toEqual([]);
      expect(replica.view()).toHaveLength(keyCount);
    });
  });

  it('is not read back where a string is newer than all that was evicted', async () => {
    await withSeed(testFile, async (random) => {
      let fetched = 0;
      const { small, peer } = await withUntold(
        random,
        (replica) => replica.set('string', 'newer'),
        (fetch) => (packed, onRecords) => (fetched++, fetch(packed, onRecords)),
      );
      peer.keyspace.clock.observe(small.replica.keyspace.clock.hi, small.replica.keyspace.clock.lo);
      peer.set('string', 'newest');
      small.replica.apply(Buffer.from(peer.takeFeed()));
      await readBack(small);
      expect([fetched, small.replica.digest()]).toEqual([0, peer.digest()]);
    });
  });
});

describe('rows of a table, at the start, of keys that the embedded store gave and memory has evicted', () => {
  it('leave the digests those of the newest versions', async () => {
    await withSeed(testFile, async (random) => {
      let nowMs = START_MS;
      const [older, other] = [new Replica(2, () => nowMs), new Replica(3, () => nowMs)];
      older.set('string', 'older');
      older.set('deleted before', 'once');
      older.delete('deleted before');
      const stale = Buffer.from(older.takeFeed());
      nowMs += 1000;
      const whole = new Replica(1, () => nowMs);
      whole.apply(stale);
      for (const key of ['string', 'deleted before', 'filler', 'other filler']) whole.set(key, 'newer');
      whole.put(TYPE_HASH, 'hash', 'here', '1');
      const store = new MemoryStore();
      await store.write(Buffer.from(whole.takeState()));
      other.apply(Buffer.from(whole.takeState()));
      nowMs += 1000;
      other.keyspace.clock.refresh();
      other.put(TYPE_HASH, 'hash', 'of another', '2');
      other.set('other filler', 'newest');
      const rows = Buffer.concat([stale, Buffer.from(other.takeFeed())]);
      whole.apply(rows);
      const { replica } = new SmallNode(() => nowMs, store, random);
      const { keyspace } = replica;
      Object.assign(keyspace, { storing: false, hydrating: true, digesting: false, expectsPeers: true });
      const time = { monotonicMs: () => 0, defer: (work: () => void) => setImmediate(work) };
      await store.load((records) => hydrateWithin(keyspace, records, 0, time));
      const kept = store.write(rows).then(() => rows);
      const fetch: KeySource['fetch'] = (packed, onRecords) => store.fetch(packed, onRecords);
      await hydrateRows(keyspace, { rows, kept }, 0, time, { fetch, isEmbedded: true });
      Object.assign(keyspace, { storing: true, hydrating: false });
      startDigesting(keyspace);
      expect(replica.database.evicted.count).toBeGreaterThan(1);
      expect(replica.digest()).toBe(whole.digest());
    });
  });
});
