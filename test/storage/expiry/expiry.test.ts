import { describe, expect, it } from '@jest/globals';
import { EXPIRED, HIDDEN } from '../../../storage/arena/block.ts';
import { expireDue } from '../../../storage/expiry/expiry.ts';
import { withSeed } from '../../support/seed.ts';
import { Replica, type ReplicaOptions, START_MS } from '../replica.ts';

const FILE = 'test/storage/expiry/expiry.test.ts';
const ALONE: ReplicaOptions = { storing: false, digesting: false, feeding: false };

function expectKept(replica: Replica): void {
  const { kept, recomputed } = replica.bookkeeping();
  expect(kept).toEqual(recomputed);
}

describe("a key's deadline", () => {
  it.each([ALONE, {}])('hides it from the millisecond after it on, as soon as it is looked up: %j', (options) => {
    const replica = new Replica(options);
    for (const value of ['v', 'x'.repeat(5000)]) {
      replica.set('k', value, replica.wallMs + 10);
      replica.pass(10);
      expect(replica.get('k')).toBe(value);
      replica.pass(1);
      expect(replica.get('k')).toBeNull();
      expect([replica.database().keyCount, replica.database().deadlineCount]).toEqual([0, 0]);
      expectKept(replica);
    }
    expect(replica.keyspace.expiredKeys).toBe(2);
    expect(replica.database().index.count).toBe(options === ALONE ? 0 : 1);
    expect(replica.keyspace.arena.large.bytes).toBe(0);
  });

  it.each([ALONE, {}])('hides it without anybody looking, soonest first, in steps: %j', async (options) => {
    await withSeed(FILE, (random) => {
      const replica = new Replica(options);
      const deadlines = new Map<string, number>();
      for (let count = 0; count < 2000; count++) {
        const key = `key:${random.below(300)}`;
        const deadlineMs = START_MS + 1 + random.below(500);
        if (random.chance(0.5)) replica.set(key, random.bytes(random.below(100)), deadlineMs, 1);
        else if (!replica.expireAt(key, deadlineMs, 1)) continue;
        deadlines.set(key, deadlineMs);
        if (!random.chance(0.2)) continue;
        if (random.chance(0.5)) replica.set(key, 'stays', 0, 1);
        else replica.expireAt(key, 0, 1);
        deadlines.delete(key);
      }
      expect(replica.database(1).deadlineCount).toBe(deadlines.size);
      while (replica.wallMs < START_MS + 502) {
        replica.pass(random.below(30));
        let steps = 0;
        while (expireDue(replica.keyspace, 7)) steps++;
        expect(steps).toBeLessThan(500);
        const left = [...deadlines].filter(([, deadlineMs]) => replica.wallMs <= deadlineMs);
        expect(replica.database(1).deadlineCount).toBe(left.length);
      }
      expect(Object.values(replica.contents()).some((value) => value.includes('until'))).toBe(false);
      expect(replica.database(1).deadlines.length).toBe(0);
      expectKept(replica);
    });
  });

  it('that was set again and again costs no more memory than one', () => {
    const replica = new Replica(ALONE);
    for (let count = 0; count < 20_000; count++) {
      replica.set('k', 'v', START_MS + 1000);
      replica.expireAt('k', START_MS + 2000 + (count % 2));
    }
    expect(replica.database().deadlines.length).toBeLessThan(5000);
    replica.pass(2002);
    expireDue(replica.keyspace, 100_000);
    expect(replica.contents()).toEqual({});
  });

  it('that is put off again and again, as sessions do, keeps one entry and is still in time', () => {
    const replica = new Replica(ALONE);
    for (let round = 1; round <= 10; round++) {
      for (let count = 0; count < 500; count++)
        replica.set(`session:${count}`, 'v', START_MS + round * 100 + (count % 50));
    }
    expect(replica.database().deadlines.length).toBe(500);
    replica.pass(1020);
    while (expireDue(replica.keyspace, 100));
    expect(replica.database().deadlineCount).toBe(30 * 10);
    expect(replica.database().deadlines.length).toBe(30 * 10);
    replica.expireAt('session:49', replica.wallMs + 5);
    replica.expireAt('session:48', 0);
    replica.pass(30);
    while (expireDue(replica.keyspace, 100));
    expect(Object.keys(replica.contents())).toEqual(['0:session:48']);
    expect(replica.database().deadlines.length).toBe(0);
  });

  it('of a block whose memory another key has taken over does not hide that one', () => {
    const replica = new Replica(ALONE);
    for (let round = 0; round < 50; round++) {
      replica.set(`old:${round}`, 'v', START_MS + 10);
      replica.delete(`old:${round}`);
      // Same size, same deadline or none, this database or the other.
      replica.set(`new:${round}`, 'v', round % 2 === 0 ? 0 : START_MS + 10_000, round % 3 === 0 ? 1 : 0);
    }
    replica.pass(100);
    expireDue(replica.keyspace, 1000);
    expect(Object.keys(replica.contents())).toHaveLength(50);
    expectKept(replica);
  });

  it('in the past hides it at once', () => {
    const replica = new Replica();
    replica.set('k', 'v', 1);
    expect(replica.get('k')).toBeNull();
    replica.increment('k');
    expect(replica.get('k')).toBe('1');
    const peer = new Replica({ node: 2 });
    peer.apply(replica.takeFeed());
    expect(peer.get('k')).toBe('1');
  });

  it('of centuries ahead is kept', () => {
    const replica = new Replica();
    const peer = new Replica({ node: 2 });
    const deadlineMs = 2 ** 53 - 1;
    replica.set('k', 'v', deadlineMs);
    peer.apply(replica.takeFeed());
    for (const each of [replica, peer]) expect(each.contents()).toEqual({ '0:k': `v until ${deadlineMs}` });
  });
});

describe('an expired key', () => {
  it('keeps its stamp, so that no older value comes back', () => {
    const replica = new Replica();
    const peer = new Replica({ node: 2 });
    replica.set('k', 'older');
    const older = replica.takeFeed();
    replica.set('k', 'newer', START_MS + 10);
    peer.apply(replica.takeFeed());
    peer.pass(11);
    expect(peer.get('k')).toBeNull();
    peer.apply(older);
    expect(peer.get('k')).toBeNull();
  });

  it('comes back with a later deadline, or with PERSIST, from a node that set it in time', () => {
    for (const laterMs of [START_MS + 1000, 0]) {
      const replica = new Replica();
      const peer = new Replica({ node: 2 });
      replica.set('k', 'value', START_MS + 10);
      replica.increment('n');
      replica.expireAt('n', START_MS + 10);
      peer.apply(replica.takeFeed());
      replica.expireAt('k', laterMs);
      replica.expireAt('n', laterMs);
      peer.pass(11);
      expireDue(peer.keyspace, 10);
      expect(peer.contents()).toEqual({});
      peer.apply(replica.takeFeed());
      const suffix = laterMs === 0 ? '' : ` until ${laterMs}`;
      expect(peer.contents()).toEqual({ '0:k': `value${suffix}`, '0:n': `1${suffix}` });
      expectKept(peer);
    }
  });

  it('that arrives from a node with a faster clock is hidden at once, a counter as well', () => {
    const fast = new Replica();
    const slow = new Replica({ node: 2 });
    slow.increment('k');
    slow.pass(0);
    fast.apply(slow.takeFeed());
    fast.set('k', 'v', START_MS + 10);
    fast.pass(20);
    expect(fast.get('k')).toBeNull();
    slow.apply(fast.fullState());
    expect(slow.get('k')).toBeNull();
    expect(slow.keyspace.flagsOf(slow.find('k')) & (EXPIRED | HIDDEN)).toBe(EXPIRED | HIDDEN);
    expect(slow.increment('k')).toBe('1');
    fast.apply(slow.takeFeed());
    expect(fast.get('k')).toBe('1');
    expectKept(slow);
  });

  it('is sent with the changes of the turn in which it expired', () => {
    const replica = new Replica();
    const peer = new Replica({ node: 2 });
    replica.set('k', 'v', START_MS + 10);
    replica.pass(11);
    expect(replica.get('k')).toBeNull();
    peer.apply(replica.takeFeed());
    expect(peer.get('k')).toBeNull();
    expect(peer.find('k')).not.toBe(0);
  });
});
