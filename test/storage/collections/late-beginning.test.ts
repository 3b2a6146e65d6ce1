/** Elements that come before the beginning of their collection, to a node where a key of another type was deleted. */
import { describe, expect, it } from '@jest/globals';
import { TYPE_HASH, TYPE_SET } from '../../../storage/arena/block.ts';
import { Reaper } from '../../../storage/tombstones/reaper.ts';
import { Replica } from './replicas.ts';

/** What was at the key, and is deleted everywhere. */
const earlier: [string, (replica: Replica) => void][] = [
  ['a set', (replica) => replica.put(TYPE_SET, 'key', 'member', '')],
  ['a string', (replica) => replica.set('key', 'v')],
  ['a counter', (replica) => replica.increment('key', 5)],
];

class Three {
  nowMs = 1_700_000_000_000;
  readonly replicas = [10, 20, 30].map((node) => new Replica(node, () => this.nowMs));
  readonly #sent = this.replicas.map((): Buffer[] => []);
  readonly #heard = this.replicas.map(() => this.replicas.map(() => 0));

  write(node: number, change: (replica: Replica) => void): void {
    this.nowMs += 5;
    const replica = this.replicas[node];
    replica.keyspace.clock.refresh();
    change(replica);
    this.#sent[node].push(Buffer.from(replica.takeFeed()));
  }

  hear(to: number, from: number): void {
    while (this.#heard[to][from] < this.#sent[from].length)
      this.replicas[to].apply(this.#sent[from][this.#heard[to][from]++]);
  }

  meet(): void {
    for (const to of [0, 1, 2]) for (const from of [0, 1, 2]) if (to !== from) this.hear(to, from);
  }

  /** The first node has a field of the second one, whose hash the third one has begun. */
  hearEarly(before: (replica: Replica) => void): void {
    this.write(2, before);
    this.write(2, (replica) => replica.delete('key'));
    this.meet();
    this.write(2, (replica) => replica.put(TYPE_HASH, 'key', 'f', '5'));
    this.hear(1, 2);
    this.write(1, (replica) => replica.put(TYPE_HASH, 'key', 'g', '7'));
    this.hear(0, 1);
  }

  expectAll(view: string[]): void {
    this.meet();
    for (const replica of this.replicas) expect(replica.view()).toEqual(view);
    expect(new Set(this.replicas.map((replica) => replica.digest())).size).toBe(1);
  }
}

describe.each(earlier)('where there was %s', (_what, before) => {
  it('they are part of the collection that the node begins itself, and nothing of it is lost', () => {
    const three = new Three();
    three.hearEarly(before);
    expect(three.replicas[0].view()).toEqual([]);
    three.write(0, (replica) => replica.put(TYPE_HASH, 'key', 'h', '3'));
    three.expectAll(['key type 5: f=5 g=7 h=3']);
  });
});

it('what another type hides at a key ends with a DEL of the key on another node, and does not keep the key from being forgotten', () => {
  const three = new Three();
  three.write(2, (replica) => replica.put(TYPE_SET, 'key', 'a', ''));
  three.hear(1, 2);
  three.write(0, (replica) => replica.put(TYPE_HASH, 'key', 'f', '1'));
  three.write(1, (replica) => replica.put(TYPE_SET, 'key', 'b', ''));
  three.expectAll(['key type 5: f=1']);
  three.write(0, (replica) => replica.delete('key'));
  three.expectAll([]);
  for (const { database } of three.replicas) {
    expect(database.shadows.size).toBe(0);
    expect(database.index.count).toBe(1);
  }
  const [, second] = three.replicas;
  const reaper = new Reaper(second.keyspace);
  for (let round = 0; round < 2; round++) {
    three.nowMs += 5;
    second.keyspace.clock.refresh();
    second.takeStore(1 << 20);
    for (let step = 0; step < 4; step++) reaper.step(second.keyspace.clock, second.keyspace.clock);
  }
  expect(second.database.index.count).toBe(0);
  three.write(1, (replica) => replica.put(TYPE_SET, 'key', 'c', ''));
  three.expectAll(['key type 3: c=']);
});
