/** What is written where a deletion has left memory holds where it has not yet. */
import { describe, expect, it } from '@jest/globals';
import { TYPE_HASH, TYPE_SET } from '../../../storage/arena/block.ts';
import { expireDue } from '../../../storage/expiry/expiry.ts';
import { Reaper } from '../../../storage/tombstones/reaper.ts';
import { Replica } from '../collections/replicas.ts';

const START_MS = 1_700_000_000_000;
const FAR_MS = 2_000_000_000_000;

class Pair {
  nowMs = START_MS;
  readonly early = new Replica(10, () => this.nowMs);
  readonly late = new Replica(20, () => this.nowMs);

  /** Time passes; both have what was written by either. */
  pass(ms = 5): void {
    this.nowMs += ms;
    for (const { keyspace } of [this.early, this.late]) keyspace.clock.refresh();
    const [a, b] = [this.early, this.late].map((replica) => Buffer.from(replica.takeFeed()));
    this.late.apply(a);
    this.early.apply(b);
    for (const replica of [this.early, this.late]) {
      replica.hideDue();
      expireDue(replica.keyspace, 10);
    }
  }

  /** One of the two forgets what was deleted. */
  forget(replica: Replica): void {
    const { keyspace } = replica;
    const reaper = new Reaper(keyspace);
    for (let round = 0; round < 3; round++) {
      this.pass();
      replica.takeStore(1 << 20);
      for (let step = 0; step < 4; step++) reaper.step(keyspace.clock, keyspace.clock);
    }
  }

  /** Each is given all that the other has, as a repair does. */
  repair(): void {
    const [a, b] = [this.early, this.late].map((replica) => Buffer.from(replica.takeState()));
    this.late.apply(a);
    this.early.apply(b);
  }

  expectBoth(view: string[]): void {
    this.pass();
    this.repair();
    for (const replica of [this.early, this.late]) expect(replica.view()).toEqual(view);
    expect(this.early.digest()).toBe(this.late.digest());
  }
}

/** What was there, and was removed. */
const removals: [string, (pair: Pair) => void][] = [
  [
    'a DEL of the hash',
    ({ early }) => {
      early.put(TYPE_HASH, 'h', 'f', '1');
      early.delete('h');
    },
  ],
  [
    'an HDEL of the field',
    ({ early }) => {
      early.put(TYPE_HASH, 'h', 'f', '1');
      early.put(TYPE_HASH, 'h', 'kept', '1');
      early.remove(TYPE_HASH, 'h', 'f');
    },
  ],
  [
    'an HDEL of the field, counted by both',
    (pair) => {
      pair.early.put(TYPE_HASH, 'h', 'kept', '1');
      for (const replica of [pair.early, pair.late]) {
        replica.add(TYPE_HASH, 'h', 'f', 1);
        pair.pass();
      }
      pair.early.remove(TYPE_HASH, 'h', 'f');
    },
  ],
  [
    'the field and its sums, which lapsed',
    (pair) => {
      pair.early.put(TYPE_HASH, 'h', 'kept', '1');
      pair.early.put(TYPE_HASH, 'h', 'f', '1');
      pair.pass();
      pair.late.add(TYPE_HASH, 'h', 'f', 5);
      pair.pass();
      pair.early.fieldExpireAt('h', 'f', pair.nowMs + 1);
    },
  ],
  [
    'the hash, which lapsed',
    (pair) => {
      pair.late.add(TYPE_HASH, 'h', 'f', 5);
      pair.pass();
      pair.early.expireAt('h', pair.nowMs + 1);
    },
  ],
  [
    'a DEL of a set',
    ({ early }) => {
      early.put(TYPE_SET, 'h', 'f', '');
      early.delete('h');
    },
  ],
  [
    'a DEL of a string',
    ({ early }) => {
      early.set('h', 'v');
      early.delete('h');
    },
  ],
  [
    'a DEL of a counter',
    ({ early }) => {
      early.increment('h', 3);
      early.delete('h');
    },
  ],
];

describe('the deadline of a field that was only counted up', () => {
  it.each(removals)('stays when its node has forgotten %s, and another one has not', (_what, remove) => {
    const pair = new Pair();
    remove(pair);
    pair.forget(pair.early);
    pair.early.add(TYPE_HASH, 'h', 'f', 1);
    pair.early.fieldExpireAt('h', 'f', FAR_MS);
    const view = pair.early.view();
    expect(view[0]).toContain(`f=1@${FAR_MS}`);
    pair.expectBoth(view);
  });

  it.each(removals)('stays when its node remembers %s, and another one has forgotten it', (_what, remove) => {
    const pair = new Pair();
    remove(pair);
    pair.forget(pair.early);
    pair.late.add(TYPE_HASH, 'h', 'f', 1);
    pair.late.fieldExpireAt('h', 'f', FAR_MS);
    const view = pair.late.view();
    expect(view[0]).toContain(`f=1@${FAR_MS}`);
    pair.expectBoth(view);
  });

  it.each(removals)('takes no increment away that its node has not heard of, after %s', (_what, remove) => {
    const pair = new Pair();
    remove(pair);
    pair.forget(pair.early);
    pair.forget(pair.late);
    pair.late.add(TYPE_HASH, 'h', 'f', 2);
    const unheard = Buffer.from(pair.late.takeFeed());
    pair.nowMs += 5;
    pair.early.keyspace.clock.refresh();
    pair.early.add(TYPE_HASH, 'h', 'f', 1);
    pair.early.fieldExpireAt('h', 'f', FAR_MS);
    pair.early.apply(unheard);
    const view = pair.early.view();
    expect(view[0]).toContain(`f=3@${FAR_MS}`);
    pair.expectBoth(view);
  });

  it.each(removals)('is the one that was set last, of two that were set at once after %s', (_what, remove) => {
    for (const isFirst of [true, false]) {
      const pair = new Pair();
      remove(pair);
      pair.forget(pair.early);
      const [first, last] = isFirst ? [pair.early, pair.late] : [pair.late, pair.early];
      for (const replica of [first, last]) replica.add(TYPE_HASH, 'h', 'f', 1);
      first.fieldExpireAt('h', 'f', FAR_MS);
      pair.nowMs += 5;
      last.keyspace.clock.refresh();
      last.fieldExpireAt('h', 'f', FAR_MS + 1);
      pair.pass();
      expect(last.view()[0]).toContain(`@${FAR_MS + 1}`);
      pair.expectBoth(last.view());
    }
  });

  it('is set below the increments that are there, however new what was forgotten may be', () => {
    const pair = new Pair();
    for (const replica of [pair.early, pair.late]) {
      replica.add(TYPE_HASH, 'h', 'f', 1);
      pair.pass();
    }
    const { hi, lo } = pair.early.keyspace.clock;
    pair.early.database.forgotten.raise(hi, lo);
    pair.early.fieldExpireAt('h', 'f', FAR_MS);
    const view = pair.early.view();
    expect(view[0]).toContain(`f=2@${FAR_MS}`);
    pair.expectBoth(view);
  });
});

/** Increments of what had lapsed, and how it was before. */
const counted: [string, (replica: Replica) => void, (replica: Replica, deadlineMs: number) => void, string][] = [
  ['a counter', (replica) => replica.increment('c', 2), (replica, at) => replica.expireAt('c', at), 'c type 1: 4'],
  [
    'a number that was set',
    (replica) => {
      replica.increment('c', 2);
    },
    (replica, at) => {
      replica.set('c', '7');
      replica.expireAt('c', at);
    },
    'c type 1: 4',
  ],
  [
    'a field, with another one beside it',
    (replica) => {
      replica.put(TYPE_HASH, 'c', 'kept', '1');
      replica.add(TYPE_HASH, 'c', 'f', 2);
    },
    (replica, at) => replica.fieldExpireAt('c', 'f', at),
    'c type 5: f=4 kept=1',
  ],
  [
    'the only field of a hash',
    (replica) => replica.add(TYPE_HASH, 'c', 'f', 2),
    (replica, at) => replica.fieldExpireAt('c', 'f', at),
    'c type 5: f=4',
  ],
];

describe.each(counted)('%s that has lapsed', (_what, add, lapse, view) => {
  it.each([
    ['one node has forgotten it', ['early']],
    ['both nodes have forgotten it', ['early', 'late']],
  ] as const)('is counted anew without loss where %s', (_where, forgetful) => {
    const pair = new Pair();
    for (const replica of [pair.early, pair.late]) {
      add(replica);
      pair.pass();
    }
    lapse(pair.early, pair.nowMs + 2);
    pair.pass(1);
    pair.pass(10);
    for (const name of forgetful) pair.forget(pair[name]);
    add(pair.early);
    const once = pair.early.view();
    expect(once).toEqual([view.replace('4', '2')]);
    pair.expectBoth(once);
    add(pair.late);
    pair.expectBoth([view]);
  });
});
