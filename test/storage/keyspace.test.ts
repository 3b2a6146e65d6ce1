import { describe, expect, it } from '@jest/globals';
import { COUNTER_BASE_BYTES_MAX } from '../../storage/types/counter.ts';
import { freezeKey, thawKey } from '../../storage/changes/frozen-key.ts';
import { editString } from '../../storage/types/string.ts';
import { type SeededRandom, withSeed } from '../support/seed.ts';
import { Replica, type ReplicaOptions, START_MS } from './replica.ts';

const FILE = 'test/storage/keyspace.test.ts';
const KEY_LENGTHS = [0, 1, 2047, 2048, 2049, 100_000];
const VALUE_LENGTHS = [0, 1, 7, 100, 4095, 4096, 4097, 10_000, 300_000];

function expectKept(replica: Replica): void {
  const { kept, recomputed } = replica.bookkeeping();
  expect(kept).toEqual(recomputed);
}

/** APPEND. */
function append(replica: Replica, key: string, more: Buffer): void {
  const { keyspace } = replica;
  const bytes = Buffer.from(key);
  const oldLength = replica.getBytes(key)?.length ?? 0;
  editString(keyspace, replica.database(), bytes, 0, bytes.length, oldLength + more.length);
  more.copy(keyspace.valueBuffer, keyspace.valueStart + oldLength);
}

function copy(replica: Replica, from: string, to: string): void {
  const source = replica.lookup(from);
  if (source === 0) return;
  const bytes = Buffer.from(to);
  thawKey(replica.keyspace, replica.database(), bytes, 0, bytes.length, freezeKey(replica.keyspace, source));
}

describe('keys and values of every length', () => {
  it('are kept byte for byte, whatever was there before', async () => {
    await withSeed(FILE, (random) => {
      const replica = new Replica();
      for (const keyLength of KEY_LENGTHS) {
        const key = random.bytes(keyLength);
        for (const length of [...VALUE_LENGTHS, ...random.shuffle(VALUE_LENGTHS)]) {
          const value = random.bytes(length);
          replica.set(key, value, random.chance(0.3) ? START_MS + 1000 : 0);
          expect(replica.getBytes(key)!.equals(value)).toBe(true);
        }
      }
      expect(replica.database().keyCount).toBe(KEY_LENGTHS.length);
      expectKept(replica);
    });
  });

  it('reach a peer and a store as they are', async () => {
    await withSeed(FILE, (random) => {
      const replica = new Replica();
      const peer = new Replica({ node: 2 });
      const restored = new Replica({ node: 1 });
      for (const keyLength of KEY_LENGTHS) {
        for (const length of VALUE_LENGTHS)
          replica.set(random.bytes(keyLength), random.bytes(length), START_MS + length);
      }
      peer.apply(replica.takeFeed());
      restored.apply(replica.takeDirty());
      expect(peer.contents()).toEqual(replica.contents());
      expect(restored.contents()).toEqual(replica.contents());
    });
  });

  it('that name what JavaScript objects have are keys like any other', () => {
    const replica = new Replica();
    for (const key of ['__proto__', 'constructor', 'toString', '', '\0', '\xff\xfe']) {
      expect(replica.get(key)).toBeNull();
      replica.set(key, `value of ${key}`);
    }
    expect(replica.get('__proto__')).toBe('value of __proto__');
    expect(replica.get('\0')).toBe('value of \0');
    expect(replica.delete('__proto__')).toBe(true);
    expect(replica.get('__proto__')).toBeNull();
  });

  it('are counted in bytes, which all come back', async () => {
    await withSeed(FILE, (random) => {
      const replica = new Replica({ storing: false, digesting: false, feeding: false });
      const { keyspace } = replica;
      const keys = KEY_LENGTHS.map((length) => random.bytes(length));
      for (const key of keys) {
        for (const length of VALUE_LENGTHS) replica.set(key, random.bytes(length));
        replica.expireAt(key, START_MS + 5);
      }
      expect(keyspace.arena.large.bytes).toBe(2049 + 100_000 + keys.length * 300_000);
      for (const key of keys) expect(replica.delete(key)).toBe(true);
      expect([keyspace.arena.usedBytes, keyspace.arena.large.bytes, replica.database().index.count]).toEqual([0, 0, 0]);
    });
  });
});

describe('deadlines on values of every length', () => {
  it('leave the value as it is, first and later deadlines and PERSIST', async () => {
    await withSeed(FILE, (random) => {
      const replica = new Replica();
      for (const keyLength of KEY_LENGTHS) {
        for (const length of VALUE_LENGTHS) {
          const key = random.bytes(keyLength);
          const value = random.bytes(length);
          replica.set(key, value);
          for (const deadlineMs of [START_MS + 1000, START_MS + 2 ** 40, 0, START_MS + 1000]) {
            expect(replica.expireAt(key, deadlineMs)).toBe(true);
            expect(replica.getBytes(key)!.equals(value)).toBe(true);
            expect(replica.keyspace.deadlineOf(replica.lookup(key))).toBe(deadlineMs);
          }
        }
      }
      expectKept(replica);
    });
  });

  it('go with the old value when a value is set, and stay through an edit', () => {
    const replica = new Replica();
    replica.set('k', 'v', START_MS + 10);
    append(replica, 'k', Buffer.from('w'));
    expect(replica.contents()).toEqual({ '0:k': `vw until ${START_MS + 10}` });
    replica.set('k', 'v');
    expect(replica.contents()).toEqual({ '0:k': 'v' });
    expect(replica.database().deadlineCount).toBe(0);
  });
});

function operate(random: SeededRandom, replica: Replica, model: Map<string, string>): void {
  const key = random.pick(['a', 'b', 'c', `long${'g'.repeat(2100)}`, `key:${random.below(40)}`]);
  const choice = random.below(100);
  if (choice < 35) {
    const value = random.bytes(random.chance(0.1) ? random.pick([4096, 4097, 20_000]) : random.below(300));
    replica.set(key, value, random.chance(0.3) ? START_MS + 1_000_000 : 0);
    model.set(key, value.toString('latin1'));
  } else if (choice < 50) {
    expect(replica.delete(key)).toBe(model.delete(key));
  } else if (choice < 70) {
    const more = random.bytes(random.chance(0.1) ? 4000 : random.below(60));
    append(replica, key, more);
    model.set(key, (model.get(key) ?? '') + more.toString('latin1'));
  } else if (choice < 85) {
    const deadlineMs = random.chance(0.5) ? START_MS + 2_000_000 : 0;
    expect(replica.expireAt(key, deadlineMs)).toBe(model.has(key));
  } else if (choice < 95) {
    const to = random.pick(['a', 'b', `key:${random.below(40)}`]);
    copy(replica, key, to);
    if (model.has(key)) model.set(to, model.get(key)!);
  } else {
    replica.increment(key);
    const value = model.get(key) ?? '0';
    if (/^(0|-?[1-9]\d{0,10})$/.test(value)) model.set(key, String(Number(value) + 1));
  }
}

describe('a keyspace under random commands', () => {
  const setups: [string, ReplicaOptions][] = [
    ['alone', { storing: false, digesting: false, feeding: false }],
    ['with stores', { storing: true, digesting: false, feeding: false }],
    ['with peers and stores', {}],
  ];
  it.each(setups)('%s, is like a Map, and keeps its counts and digests right', async (_name, options) => {
    await withSeed(FILE, (random) => {
      const replica = new Replica(options);
      const model = new Map<string, string>();
      for (let step = 0; step < 2000; step++) {
        operate(random, replica, model);
        if (random.chance(0.05)) replica.takeFeed();
        if (random.chance(0.02)) replica.takeDirty(500);
        if (step % 500 === 0) expectKept(replica);
      }
      for (const [key, value] of model) expect(replica.get(key)).toBe(value);
      expect(replica.database().keyCount).toBe(model.size);
      expectKept(replica);
    });
  });

  it('is told of by the observer, each change with its key', () => {
    const replica = new Replica();
    const seen: string[] = [];
    replica.keyspace.observer = {
      changed: (database, key, start, length) =>
        seen.push(`${database} ${key.toString('latin1', start, start + length)}`),
      expired: (database, key, start, length) =>
        seen.push(`${database} -${key.toString('latin1', start, start + length)}`),
    };
    replica.set('a', '1');
    replica.set('b', '1', START_MS + 1, 1);
    replica.increment('a');
    replica.increment('a');
    replica.expireAt('a', START_MS + 5);
    append(replica, 'a', Buffer.from('!'));
    replica.delete('a');
    replica.pass(2);
    replica.get('b', 1);
    expect(seen).toEqual(['0 a', '1 b', '0 a', '0 a', '0 a', '0 a', '0 a', '1 -b']);
  });

  it('does not take an increment from a text that is longer than any number', () => {
    const replica = new Replica();
    replica.set('k', '1'.repeat(COUNTER_BASE_BYTES_MAX + 1));
    expect(replica.increment('k')).toBe('not an integer');
    expect(replica.incrementDecimal('k', '1')).toBe('not a float');
    expect(replica.get('k')).toBe('1'.repeat(COUNTER_BASE_BYTES_MAX + 1));
  });
});
