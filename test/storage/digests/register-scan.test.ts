import { describe, expect, it } from '@jest/globals';
import { Digests } from '../../../storage/digests/digests.ts';
import { expireDue } from '../../../storage/expiry/expiry.ts';
import { Reaper } from '../../../storage/tombstones/reaper.ts';
import { TYPE_HASH } from '../../../storage/arena/block.ts';
import { startDigesting } from '../../../storage/digests/digest-start.ts';
import { RegisterScan } from '../../../storage/digests/register-scan.ts';
import { withSeed } from '../../support/seed.ts';
import { Replica as Collections } from '../collections/replicas.ts';
import { Replica, START_MS } from '../replica.ts';

const FILE = 'test/storage/digests/register-scan.test.ts';

describe('digests', () => {
  it('do not depend on the order in which registers came, and change with each of their parts', () => {
    const parts = [1, 2, 3, 4, 5, 6, 7];
    const register = (words: number[], key = 'k', database = 0): [number, number, number] => {
      const digests = new Digests();
      const bytes = Buffer.from(key);
      digests.hashKey(database, bytes, 0, bytes.length);
      digests.hashRegister(words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
      return [digests.keyHi, digests.registerHi, digests.registerLo];
    };
    const seen = new Set([register(parts).join()]);
    for (let part = 0; part < parts.length; part++) {
      const changed = [...parts];
      changed[part] += 8;
      seen.add(register(changed).join());
    }
    seen.add(register(parts, 'l').join());
    seen.add(register(parts, 'k', 1).join());
    expect(seen.size).toBe(parts.length + 3);
    const both = new Digests();
    const bytes = Buffer.from('k');
    both.hashKey(0, bytes, 0, 1);
    both.hashRegister(1, 2, 3, 4, 5, 0, 0);
    both.toggle();
    expect(both.total()).not.toBe(new Digests().total());
    both.toggle();
    expect(both.total()).toBe(new Digests().total());
  });

  it('differ in both halves for keys that differ in one byte, at any length', () => {
    const digests = new Digests();
    for (let length = 1; length < 40; length++) {
      const key = Buffer.alloc(length, 0x61);
      digests.hashKey(0, key, 0, length);
      const { keyHi, keyLo } = digests;
      for (let at = 0; at < length; at++) {
        key[at] ^= 1;
        digests.hashKey(0, key, 0, length);
        expect(digests.keyHi).not.toBe(keyHi);
        expect(digests.keyLo).not.toBe(keyLo);
        key[at] ^= 1;
      }
    }
  });

  it('begin at any time, with what is there', () => {
    const late = new Replica({ digesting: false });
    const early = new Replica();
    for (const replica of [late, early]) {
      replica.set('a', 'v');
      replica.increment('n');
      replica.set('gone', 'v');
      replica.delete('gone');
    }
    startDigesting(late.keyspace);
    startDigesting(late.keyspace);
    expect(late.keyspace.digests.total()).toBe(early.keyspace.digests.total());
    for (const replica of [late, early]) replica.set('b', 'v');
    expect(late.keyspace.digests.total()).toBe(early.keyspace.digests.total());
  });

  it('begin in steps, while others write (random)', async () => {
    await withSeed(FILE, (random) => {
      const replica = new Collections(1, () => 1_700_000_000_000);
      const { keyspace } = replica;
      keyspace.digesting = false;
      const write = (): void => {
        const key = `key ${random.below(3000)}`;
        const what = random.below(20);
        if (what < 8) replica.set(key, String(random.uint32()));
        else if (what < 12) replica.put(TYPE_HASH, `hash ${key}`, `f${random.below(5)}`, String(random.uint32()));
        else if (what === 12) replica.remove(TYPE_HASH, `hash ${key}`, `f${random.below(5)}`);
        else if (what === 13) replica.add(TYPE_HASH, `hash ${key}`, `f${random.below(5)}`, 1);
        else if (what < 16) replica.increment(`counter ${key}`, 1);
        else if (what < 18) replica.delete(random.chance(0.5) ? key : `hash ${key}`);
        else replica.expireAt(key, 1_800_000_000_000);
      };
      for (let count = 0; count < 8000; count++) write();
      const waiting: (() => void)[] = [];
      let steps = 0;
      // A clock by which each look at it takes half a slice.
      const time = { monotonicMs: () => (steps += 0.5), defer: (work: () => void) => void waiting.push(work) };
      startDigesting(keyspace, time);
      let turns = 0;
      for (let work = waiting.shift(); work !== undefined; work = waiting.shift(), turns++) {
        work();
        for (let writes = random.below(60); writes > 0; writes--) write();
        if (turns === 20 && random.chance(0.2)) replica.flush();
      }
      expect(turns).toBeGreaterThan(10);
      expect(keyspace.digestStart).toBeNull();
      // It compares what was kept with what a walk over everything finds.
      replica.digest();
      for (let count = 0; count < 500; count++) write();
      replica.digest();
    });
  });
});

describe('a scan over all registers', () => {
  it('makes a copy that is alike, while others write', async () => {
    await withSeed(FILE, (random) => {
      const replica = new Replica();
      for (let count = 0; count < 3000; count++) replica.set(`key:${count}`, random.bytes(20), 0, count % 2);
      replica.takeFeed();
      const copy = new Replica({ node: 2 });
      const scan = new RegisterScan(replica.keyspace);
      const keys: Buffer[] = [];
      let more = true;
      while (more) {
        more = scan.step((_database, ref) => {
          const { keyspace } = replica;
          keyspace.readKey(ref);
          keys.push(
            Buffer.from(keyspace.keyBuffer.subarray(keyspace.keyStart, keyspace.keyStart + keyspace.keyLength)),
          );
        });
        replica.set(`key:${random.below(3000)}`, random.bytes(500), 0, random.below(2));
        replica.delete(`key:${random.below(3000)}`);
      }
      expect(new Set(keys.map(String)).size).toBe(3000);
      copy.apply(replica.fullState());
      expect(copy.contents()).toEqual(replica.contents());
      expect(copy.keyspace.digests.total()).toBe(replica.keyspace.digests.total());
    });
  });

  it('gives each key its own digest, of which a bucket is the sum', () => {
    const replica = new Replica();
    for (let count = 0; count < 300; count++) replica.set(`key:${count}`, 'v');
    replica.increment('n');
    replica.delete('key:7');
    const { keyspace } = replica;
    const before = keyspace.digests.total();
    const sums = new Digests();
    const scan = new RegisterScan(keyspace);
    while (
      scan.step((database, ref, hi) => {
        keyspace.digestOf(keyspace.databases[database], ref);
        sums.words[(hi >>> 16) * 2] ^= keyspace.keyDigestHi;
        sums.words[(hi >>> 16) * 2 + 1] ^= keyspace.keyDigestLo;
      })
    );
    expect(sums.total()).toBe(before);
    expect(keyspace.digests.total()).toBe(before);
  });
});

describe('the reaper', () => {
  function reapAll(replica: Replica): number {
    const { hi, lo } = replica.keyspace.clock;
    const reaper = new Reaper(replica.keyspace);
    let dropped = 0;
    for (let step = 0; step < 10; step++) dropped += reaper.step({ hi, lo }, { hi, lo });
    return dropped;
  }

  function settle(replica: Replica): void {
    replica.takeFeed();
    replica.takeDirty();
  }

  it('takes tombstones and expired keys, counters too, and nothing that commands see', () => {
    const replica = new Replica();
    replica.set('deleted', 'v');
    replica.delete('deleted');
    replica.set('expired', 'v', START_MS + 1, 1);
    replica.increment('counted');
    replica.expireAt('counted', START_MS + 1);
    replica.increment('counter deleted');
    replica.delete('counter deleted');
    replica.set('stays', 'v');
    replica.increment('counts');
    replica.pass(5);
    expireDue(replica.keyspace, 100);
    settle(replica);
    const before = replica.keyspace.digests.total();
    expect(reapAll(replica)).toBe(4);
    for (const key of ['counted', 'counter deleted', 'deleted', 'expired']) expect(replica.find(key)).toBe(0);
    expect(replica.database().index.count + replica.database(1).index.count).toBe(2);
    expect(replica.keyspace.digests.total()).toBe(before);
    const { kept, recomputed } = replica.bookkeeping();
    expect(kept).toEqual(recomputed);
  });

  it('leaves what has yet to be sent or stored, and what others have yet to see', () => {
    const replica = new Replica();
    replica.set('k', 'v');
    replica.delete('k');
    expect(reapAll(replica)).toBe(0);
    replica.takeFeed();
    expect(reapAll(replica)).toBe(0);
    replica.takeDirty();
    const seenByAll = { hi: replica.keyspace.clock.hi, lo: replica.keyspace.clock.lo };
    replica.increment('n');
    replica.pass(5);
    replica.expireAt('n', START_MS + 6);
    replica.pass(5);
    expireDue(replica.keyspace, 100);
    settle(replica);
    const reaper = new Reaper(replica.keyspace);
    let dropped = 0;
    for (let step = 0; step < 10; step++) dropped += reaper.step(seenByAll, seenByAll);
    // The counter's deadline came after what the others have seen: without it the counter would come back.
    expect(dropped).toBe(1);
    expect(replica.find('n')).not.toBe(0);
    expect(reapAll(replica)).toBe(1);
  });
});
