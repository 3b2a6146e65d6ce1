import { describe, expect, it } from '@jest/globals';
import { KIND_COUNTER, RecordError, RecordWriter } from '../../../protocol/change-record.ts';
import { stampHiOf, stampLoOf } from '../../../protocol/stamp.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';
import { scaled, unscaled } from '../register-model.ts';
import { Replica, START_MS } from '../replica.ts';

const FILE = 'test/storage/types/counter.test.ts';
const MAX = 2n ** 63n - 1n;
const MIN = -(2n ** 63n);
const DELTAS = [
  1n,
  -1n,
  7n,
  -100n,
  2n ** 31n,
  2n ** 32n + 5n,
  2n ** 53n - 1n,
  -(2n ** 53n),
  2n ** 62n,
  MAX,
  MIN + 1n,
  MIN,
];

/** A record of a node's sum: stamp 5, begun then too unless told otherwise. */
function writeSum(writer: RecordWriter, key: Buffer, node: number, sum: string, begin = 5, elementNode = node): void {
  writer.begin(KIND_COUNTER, 0, 100, 5, 0, node, 0, key, 0, key.length);
  const element = Buffer.alloc(8);
  element.writeUInt32BE(elementNode, 4);
  writer.element(element, 0, 8);
  const value = Buffer.alloc(16 + sum.length);
  value.writeUInt32BE(100, 0);
  value.writeUInt32BE(begin, 4);
  value.writeUInt32BE(node, 12);
  value.write(sum, 16, 'latin1');
  writer.value(value, 0, value.length);
  writer.end();
}

function exchange(replicas: readonly Replica[]): void {
  for (let round = 0; round < 2; round++) {
    for (const from of replicas) {
      const records = from.takeFeed();
      for (const to of replicas) if (to !== from) to.apply(records);
    }
  }
}

function expectAlike(replicas: readonly Replica[]): void {
  const [first, ...others] = replicas;
  for (const other of others) {
    expect(other.contents()).toEqual(first.contents());
    expect(other.keyspace.digests.total()).toBe(first.keyspace.digests.total());
  }
  for (const replica of replicas) {
    const { kept, recomputed } = replica.bookkeeping();
    expect(kept).toEqual(recomputed);
  }
}

/** Increments that hover around the bounds of 64 bits, against a BigInt. */
function walkIntegers(random: SeededRandom, replica: Replica, key: string): void {
  let value = 0n;
  replica.delete(key);
  for (let steps = key.length < 10_000 ? 300 : 30; steps > 0; steps--) {
    if (random.chance(0.02)) {
      value = random.pick([0n, MAX, MIN, 2n ** 53n, -(2n ** 53n) - 1n, 41n]);
      replica.set(key, String(value), random.chance(0.3) ? START_MS + 1000 : 0);
    }
    const delta = random.chance(0.3) ? BigInt(random.below(1000) - 500) : random.pick(DELTAS);
    const expected = value + delta;
    if (expected > MAX || expected < MIN) {
      expect(replica.increment(key, delta)).toBe('overflow');
    } else {
      value = expected;
      expect(replica.increment(key, delta)).toBe(String(value));
    }
    expect(replica.get(key) ?? '0').toBe(String(value));
    if (random.chance(0.1)) replica.expireAt(key, START_MS + 5000);
  }
}

describe('counters of one node', () => {
  it('add integers as a BigInt does, with errors at 64 bits, for keys of every length', async () => {
    await withSeed(FILE, (random) => {
      const replica = new Replica();
      for (const key of ['', 'k', 'k'.repeat(2048), 'k'.repeat(2049), 'k'.repeat(100_000)]) {
        walkIntegers(random, replica, key);
        if (key.length < 10) for (let round = 0; round < 5; round++) walkIntegers(random, replica, key);
      }
      expectAlike([replica]);
    });
  });

  it('add decimals exactly', async () => {
    await withSeed(FILE, (random) => {
      const replica = new Replica();
      let value = 0n;
      for (let step = 0; step < 500; step++) {
        const delta = random.pick(['0.1', '-0.2', '1e15', '-1000000000000000', '3', '12345678901234567890.5', '5e-3']);
        value += scaled(delta)!;
        expect(replica.incrementDecimal('k', delta)).toBe(unscaled(value));
        expect(replica.get('k')).toBe(unscaled(value));
      }
      expectAlike([replica]);
    });
  });

  it('go from integers to decimals and back', () => {
    const replica = new Replica();
    expect(replica.increment('k', 5)).toBe('5');
    expect(replica.incrementDecimal('k', '0.5')).toBe('5.5');
    expect(replica.increment('k', 1)).toBe('not an integer');
    expect(replica.incrementDecimal('k', '0.5')).toBe('6');
    expect(replica.increment('k', 1)).toBe('7');
    expect(replica.increment('k', 1)).toBe('8');
  });

  it.each(['', ' 1', '1 ', '+1', '01', '-0', '1.0', 'abc', '9223372036854775808', '1e3', '0x10', '\u0661'])(
    'do not begin from %j',
    (text) => {
      const replica = new Replica();
      replica.set('k', text);
      expect(replica.increment('k')).toBe('not an integer');
      expect(replica.getBytes('k')!.toString()).toBe(text);
    },
  );

  it('refuse a decimal that is longer than peers and stores would take', () => {
    const replica = new Replica();
    replica.set('k', '1');
    expect(replica.incrementDecimal('k', '9'.repeat(500))).toBe('not finite');
    expect(replica.incrementDecimal('k', '1'.repeat(100_000))).not.toMatch(/^\d/);
    expect(replica.get('k')).toBe('1');
    const peer = new Replica({ node: 2 });
    expect(replica.incrementDecimal('k', `${'9'.repeat(50)}e380`)).toMatch(/^9{50}0{379}1$/);
    peer.apply(replica.takeFeed());
    expectAlike([replica, peer]);
  });

  it('sum past 64 bits where the base makes up for it', () => {
    const replica = new Replica();
    replica.set('k', String(MIN));
    expect(replica.increment('k', MAX)).toBe('-1');
    expect(replica.increment('k', MAX)).toBe(String(MAX - 1n));
    expect(replica.increment('k', 1)).toBe(String(MAX));
    expect(replica.increment('k', 1)).toBe('overflow');
    const peer = new Replica({ node: 2 });
    peer.apply(replica.takeFeed());
    expect(peer.get('k')).toBe(String(MAX));
  });
});

describe("a counter's deadline", () => {
  it('stays while it counts, ends it, and is not taken over by the next one', () => {
    const replica = new Replica();
    const peer = new Replica({ node: 2 });
    replica.increment('k', 5);
    replica.expireAt('k', START_MS + 10);
    replica.increment('k', 5);
    exchange([replica, peer]);
    expect(peer.contents()).toEqual({ '0:k': `10 until ${START_MS + 10}` });
    for (const each of [replica, peer]) each.pass(11);
    expect(replica.increment('k')).toBe('1');
    expect(peer.increment('k')).toBe('1');
    exchange([replica, peer]);
    expect(peer.contents()).toEqual({ '0:k': '2' });
    expectAlike([replica, peer]);
  });

  it('that a SET has covered comes back for nobody', () => {
    const replica = new Replica();
    const peer = new Replica({ node: 2 });
    replica.increment('k');
    exchange([replica, peer]);
    peer.expireAt('k', START_MS + 10);
    replica.set('k', '7');
    exchange([replica, peer]);
    expectAlike([replica, peer]);
    replica.increment('k');
    peer.increment('k');
    for (const each of [replica, peer]) each.pass(20);
    exchange([replica, peer]);
    expect(replica.get('k')).toBe('9');
    expectAlike([replica, peer]);
  });

  it('does not survive a DEL that it has not seen, for the counter that comes next', () => {
    const replica = new Replica();
    const peer = new Replica({ node: 2 });
    replica.increment('k');
    exchange([replica, peer]);
    replica.delete('k');
    peer.pass(1);
    peer.expireAt('k', START_MS + 10);
    exchange([replica, peer]);
    expectAlike([replica, peer]);
    expect(replica.get('k')).toBeNull();
    replica.pass(2);
    replica.increment('k');
    exchange([replica, peer]);
    for (const each of [replica, peer]) each.pass(20);
    expect(replica.contents()).toEqual({ '0:k': '1' });
    expectAlike([replica, peer]);
  });

  it('that passed on a node whose clock ran ahead buries what it was set on, on all nodes', () => {
    const fast = new Replica();
    const slow = new Replica({ node: 2 });
    fast.pass(10_000);
    fast.increment('k', 5);
    exchange([fast, slow]);
    slow.increment('k', 5);
    slow.expireAt('k', START_MS + 10);
    exchange([fast, slow]);
    slow.pass(11);
    expect(slow.increment('k')).toBe('1');
    exchange([fast, slow]);
    expect(fast.get('k')).toBe('1');
    expectAlike([fast, slow]);
  });

  it('buries what a node whose clock runs ahead added before it passed', () => {
    const fast = new Replica();
    const slow = new Replica({ node: 2 });
    slow.increment('k', 5);
    slow.expireAt('k', START_MS + 10);
    exchange([fast, slow]);
    fast.wallMs += 10_000;
    // Only its stamps are ahead: the deadline has not passed.
    fast.keyspace.clock.observe(stampHiOf(fast.wallMs), stampLoOf(fast.wallMs, 0));
    fast.increment('k', 5);
    exchange([fast, slow]);
    slow.pass(11);
    expect(slow.increment('k')).toBe('1');
    exchange([fast, slow]);
    expect(fast.get('k')).toBe('1');
    expectAlike([fast, slow]);
  });

  it('shows in the digest', () => {
    const replica = new Replica();
    replica.increment('k');
    const before = replica.keyspace.digests.total();
    replica.expireAt('k', START_MS + 10);
    expect(replica.keyspace.digests.total()).not.toBe(before);
  });
});

describe('counters of three nodes', () => {
  it('lose no increment that no SET, DEL or deadline has ended', async () => {
    await withSeed(FILE, (random) => {
      for (let round = 0; round < 10; round++) {
        const replicas = [1, 2, 3].map((node) => new Replica({ node }));
        let expected = 0n;
        for (let era = 0; era < 5; era++) {
          // What ends the counter is seen by all before they go on.
          const ender = random.pick(replicas);
          const start = random.pick(['none', 'set', 'delete', 'expire']);
          if (start === 'set') {
            expected = BigInt(random.below(1000));
            ender.set('k', String(expected));
          } else if (start !== 'none') {
            expected = 0n;
            if (start === 'delete') ender.delete('k');
            else ender.expireAt('k', ender.wallMs + 5);
          }
          exchange(replicas);
          if (start === 'expire') for (const replica of replicas) replica.pass(6);
          for (let count = 0; count < 30; count++) {
            const delta = BigInt(random.below(100) - 50);
            random.pick(replicas).increment('k', delta);
            expected += delta;
            if (random.chance(0.1)) exchange(random.shuffle(replicas).slice(0, 2));
          }
          // What two of them exchanged has not gone to the third one.
          for (const from of replicas) for (const to of replicas) if (from !== to) to.apply(from.fullState());
          exchange(replicas);
          for (const replica of replicas) expect(replica.get('k')).toBe(String(expected));
          expectAlike(replicas);
        }
      }
    });
  });

  it('may pass 64 bits together, and come back', () => {
    const replicas = [1, 2].map((node) => new Replica({ node }));
    const [first, second] = replicas;
    first.set('k', String(MAX - 1n));
    exchange(replicas);
    first.increment('k', 1);
    second.increment('k', 1);
    exchange(replicas);
    for (const replica of replicas) expect(replica.get('k')).toBe(String(MAX + 1n));
    expect(first.increment('k')).not.toMatch(/\d/);
    expect(first.increment('k', -3)).toBe(String(MAX - 2n));
    exchange(replicas);
    expectAlike(replicas);
  });

  it('count on from a text that is a number only later', () => {
    const replicas = [1, 2].map((node) => new Replica({ node }));
    const [first, second] = replicas;
    first.set('k', 'text');
    second.pass(1);
    second.increment('k', 5);
    exchange(replicas);
    expectAlike(replicas);
    expect(first.get('k')).toBe('text');
  });

  it('leave a long text alone, its deadline too', () => {
    const replicas = [1, 2].map((node) => new Replica({ node }));
    const [first, second] = replicas;
    const text = 'x'.repeat(5000);
    first.set('k', text);
    second.pass(1);
    second.increment('k', 5);
    second.expireAt('k', START_MS + 50);
    const records = [first.takeFeed(), second.takeFeed()];
    first.apply(records[1]);
    second.apply(records[0]);
    exchange(replicas);
    for (const replica of replicas) expect(replica.get('k')).toBe(text);
    expectAlike(replicas);
  });

  it('of hundreds of nodes fit, and of far more nodes leave the others be', () => {
    const replica = new Replica();
    const key = Buffer.alloc(2048, 0x6b);
    const writer = new RecordWriter();
    for (let node = 2; node <= 1000; node++) writeSum(writer, key, node, '1');
    replica.apply(writer.buffer.subarray(0, writer.length));
    const total = Number(replica.get(key));
    expect(total).toBeGreaterThan(800);
    expect(replica.increment(key)).toBe(String(total + 1));
    expect(replica.incrementDecimal(key, '1')).toBe(String(total + 2));
    expectAlike([replica]);
  });

  it("are refused when they could outlive every SET, or are another node's than they say", () => {
    const replica = new Replica();
    const key = Buffer.from('k');
    for (const [begin, element] of [
      [6, 2],
      [5, 3],
    ]) {
      const writer = new RecordWriter();
      writeSum(writer, key, 2, '1', begin, element);
      expect(() => {
        replica.apply(writer.buffer.subarray(0, writer.length));
      }).toThrow(RecordError);
    }
    expect(replica.get('k')).toBeNull();
  });
});
