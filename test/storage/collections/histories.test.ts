/** Histories that the random laws have met: what is left has to be the same however it is heard of, and read again. */
import { describe, expect, it } from '@jest/globals';
import { TYPE_HASH, TYPE_SET } from '../../../storage/arena/block.ts';
import { Model } from './model.ts';
import { newestRecords, Replica } from './replicas.ts';

/** What a node does before it has heard of any other, all of it within one millisecond. */
type History = readonly (readonly [node: 0 | 1 | 2, act: (replica: Replica) => void])[];

/** Runs the history, and gives what each node sent and what it has. */
function run(history: History): { replicas: Replica[]; sent: Buffer[]; states: Buffer[]; release: () => void } {
  const replicas = [1, 2, 3].map((id) => Replica.take(id, () => 1_700_000_000_000));
  const sent: Buffer[][] = replicas.map(() => []);
  for (const [node, act] of history) {
    replicas[node].keyspace.clock.refresh();
    act(replicas[node]);
    sent[node].push(Buffer.from(replicas[node].takeFeed()));
  }
  const states = replicas.map((replica) => Buffer.from(replica.takeState()));
  const release = (): void => replicas.forEach((replica) => replica.release());
  return { replicas, sent: sent.map((parts) => Buffer.concat(parts)), states, release };
}

function expectAgreement(history: History, expected: string[]): void {
  const { replicas, sent, states, release } = run(history);
  const model = new Model();
  for (const records of sent) model.apply(records);
  expect(model.view()).toEqual(expected);
  replicas.forEach((replica, node) => {
    for (let from = 0; from < sent.length; from++) if (from !== node) replica.apply(sent[from]);
  });
  const merged = [
    [0, 1, 2],
    [2, 1, 0],
    [1, 0, 2],
  ].map((order) => {
    const replica = Replica.take(9, () => 1_700_000_000_000);
    for (const node of order) replica.apply(states[node]);
    return replica;
  });
  const all = [...replicas, ...merged];
  for (const replica of all) expect(replica.view()).toEqual(expected);
  expect(new Set(all.map((replica) => replica.digest())).size).toBe(1);
  for (const replica of merged) replica.release();
  release();
}

describe('after a FLUSHDB', () => {
  it('a field is shown though a deadline of sums, whose sums are gone, came first', () => {
    expectAgreement(
      [
        [1, (node) => node.increment('a', 0)],
        [1, (node) => node.expireAt('a', 0)],
        [0, (node) => node.put(TYPE_HASH, 'a', 'f', '0')],
        [2, (node) => node.set('a', '0')],
        [2, (node) => node.flush()],
        [0, (node) => node.put(TYPE_HASH, 'a', 'f', '0')],
      ],
      ['a type 5: f=0'],
    );
  });

  it('a DEL that came later than it covers elements that are heard of later still', () => {
    expectAgreement(
      [
        [2, (node) => node.put(TYPE_SET, 'a', 'f', '')],
        [2, (node) => node.put(TYPE_SET, 'a', 'f', '')],
        [2, (node) => node.delete('a')],
        [0, (node) => node.set('a', '0')],
        [0, (node) => node.flush()],
        [0, (node) => node.put(TYPE_HASH, 'a', 'f', '0')],
      ],
      [],
    );
  });

  it('a deadline that a collection hid is in force for the sums that begin the key anew', () => {
    expectAgreement(
      [
        [1, (node) => node.put(TYPE_HASH, 'a', 'f', '0')],
        [1, (node) => node.flush()],
        [0, (node) => node.increment('a', 0)],
        [1, (node) => node.increment('a', 0)],
        [0, (node) => node.expireAt('a', 2_000_000_000_000)],
      ],
      ['a type 1 until 2000000000000: 0'],
    );
  });
});

describe('a store that is read in any order', () => {
  it('gives sums their deadline though a hash had the key meanwhile', () => {
    const { replicas, sent, release } = run([
      [0, (node) => node.put(TYPE_HASH, 'a', 'f', '0')],
      [2, (node) => node.increment('a', 0)],
      [2, (node) => node.expireAt('a', 2_000_000_000_000)],
    ]);
    const [node] = replicas;
    // What was flushed before the merge is still in the store after it.
    const before = Buffer.from(node.takeStore(1000));
    node.apply(sent[2]);
    const rows = newestRecords(Buffer.concat([before, node.takeStore(1000)]));
    expect(rows).toHaveLength(5);
    for (const order of permutations(rows)) {
      const restored = Replica.take(9, () => 1_700_000_000_000);
      for (const row of order) restored.apply(row);
      expect(restored.view()).toEqual(['a type 1 until 2000000000000: 0']);
      expect(restored.digest()).toBe(node.digest());
      restored.release();
    }
    release();
  });
});

function* permutations<Item>(items: readonly Item[]): Generator<Item[]> {
  if (items.length === 0) yield [];
  for (const [at, item] of items.entries()) {
    for (const rest of permutations(items.toSpliced(at, 1))) yield [item, ...rest];
  }
}
