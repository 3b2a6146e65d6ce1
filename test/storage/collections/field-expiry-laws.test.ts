/** What docs/crdt.md promises of the deadlines that fields of a hash have of their own. */
import { describe, expect, it } from '@jest/globals';
import { TYPE_HASH } from '../../../storage/arena/block.ts';
import { spentElements, dropElements } from '../../../storage/collections/reap.ts';
import { Model } from './model.ts';
import { mergedInOrders, readInOrders, Replica } from './replicas.ts';
import fc from '../../support/properties.ts';

const NODES = 3;
const START_MS = 1_700_000_000_000;
const RUNS = 1000;

type Step =
  | { do: 'put' | 'remove' | 'add' | 'persist'; node: number; key: string; name: string; value: number }
  | { do: 'expireField'; node: number; key: string; name: string; value: number }
  | { do: 'delete' | 'set' | 'flush' | 'tick'; node: number; key: string }
  | { do: 'send'; node: number; to: number };

const node = fc.integer({ min: 0, max: NODES - 1 });
const key = fc.constantFrom('a', 'b');
const name = fc.constantFrom('f', 'g');
const value = fc.integer({ min: 0, max: 9 });

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('put', 'add', 'add'), node, key, name, value }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('expireField'), node, key, name, value }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('remove', 'persist'), node, key, name, value }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('tick'), node, key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('delete', 'delete', 'set', 'flush'), node, key }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('send'), node, to: node }) },
);
const steps = fc.array(step, { minLength: 5, maxLength: 20 });

class World {
  nowMs = START_MS;
  readonly taken: Replica[] = [];
  readonly replicas: Replica[];
  readonly sent: Buffer[][];
  readonly heard: number[][];

  /** What the first node gave to its store now and then. */
  readonly stored: Buffer[] = [];

  constructor(all: readonly Step[], stepsToFlush: number) {
    // Apart, as random ids are: the id after one's is no other node's.
    this.replicas = Array.from({ length: NODES }, (_, index) => this.take(index * 10 + 10));
    this.sent = this.replicas.map(() => []);
    this.heard = this.replicas.map(() => this.replicas.map(() => 0));
    for (const [index, each] of all.entries()) {
      this.#run(each);
      if ((index + 1) % stepsToFlush === 0) this.stored.push(Buffer.from(this.replicas[0].takeStore(1000)));
    }
  }

  take(id: number): Replica {
    const replica = Replica.take(id, () => this.nowMs);
    replica.keyspace.storing = true;
    this.taken.push(replica);
    return replica;
  }

  #run(each: Step): void {
    const replica = this.replicas[each.node];
    // As before the commands of a turn; on some nodes nothing looks, so that commands find what is due by themselves.
    if (each.node > 0) replica.hideDue();
    replica.keyspace.clock.refresh();
    if (each.do === 'send') {
      for (; this.heard[each.to][each.node] < this.sent[each.node].length; this.heard[each.to][each.node]++) {
        if (each.to !== each.node) this.replicas[each.to].apply(this.sent[each.node][this.heard[each.to][each.node]]);
      }
      return;
    }
    this.#write(replica, each);
    this.sent[each.node].push(Buffer.from(replica.takeFeed()));
  }

  #write(replica: Replica, each: Exclude<Step, { do: 'send' }>): void {
    if (each.do === 'put') replica.put(TYPE_HASH, each.key, each.name, String(each.value));
    else if (each.do === 'add') replica.add(TYPE_HASH, each.key, each.name, each.value);
    else if (each.do === 'remove') replica.remove(TYPE_HASH, each.key, each.name);
    else if (each.do === 'persist') replica.fieldExpireAt(each.key, each.name, 0);
    else if (each.do === 'expireField') replica.fieldExpireAt(each.key, each.name, this.nowMs + 1 + each.value * 3);
    else if (each.do === 'delete') replica.delete(each.key);
    else if (each.do === 'set') replica.set(each.key, '5');
    else if (each.do === 'flush') replica.flush();
    else this.nowMs += 4;
  }

  deliverAll(): void {
    for (let to = 0; to < NODES; to++) {
      for (let from = 0; from < NODES; from++) {
        if (from === to) continue;
        for (let at = this.heard[to][from]; at < this.sent[from].length; at++) {
          this.replicas[to].apply(this.sent[from][at]);
        }
      }
    }
    for (const replica of this.replicas) replica.hideDue();
  }

  model(): string[] {
    const model = new Model();
    for (const records of this.sent.flat()) model.apply(records);
    return model.view(this.nowMs);
  }

  release(): void {
    for (const replica of this.taken) replica.release();
  }
}

function check(property: (world: World, seed: number) => void, stepsToFlush = Infinity): void {
  fc.assert(
    fc.property(steps, fc.nat(), (all, seed) => {
      const world = new World(all, stepsToFlush);
      property(world, seed);
      world.release();
    }),
    { numRuns: RUNS },
  );
}

describe('deadlines of fields', () => {
  it('equal a slow model that keeps every record it ever heard of, before and after they pass, with equal digests', () => {
    let hidden = 0;
    check((world) => {
      world.deliverAll();
      const before = world.model();
      for (const replica of world.replicas) expect(replica.view()).toEqual(before);
      expect(new Set(world.replicas.map((replica) => replica.digest())).size).toBe(1);
      world.nowMs += 30;
      for (const replica of world.replicas) replica.hideDue();
      const after = world.model();
      hidden += before.length - after.length;
      for (const replica of world.replicas) expect(replica.view()).toEqual(after);
      expect(new Set(world.replicas.map((replica) => replica.digest())).size).toBe(1);
    });
    // Hashes that went with their last field.
    expect(hidden > RUNS / 50).toBe(true);
  });

  it('are commutative, associative and idempotent over whole states', () => {
    check((world) => {
      for (const replica of world.replicas) replica.hideDue();
      const all = mergedInOrders(world.replicas, () => world.take(90));
      for (const replica of all) replica.hideDue();
      for (const replica of all) expect(replica.view()).toEqual(all[0].view());
      expect(new Set(all.map((replica) => replica.digest())).size).toBe(1);
    });
  });

  it('come back from the stores as they were', () => {
    check((world) => {
      for (const replica of world.replicas) {
        replica.hideDue();
        const restored = world.take(90);
        restored.apply(Buffer.from(replica.takeStore(100)));
        expect(restored.view()).toEqual(replica.view());
        expect(restored.digest()).toBe(replica.digest());
      }
    });
  });

  it('come back from stores that were flushed now and then, in whatever order they are read', () => {
    check((world, seed) => {
      world.deliverAll();
      const [replica] = world.replicas;
      world.stored.push(Buffer.from(replica.takeStore(1000)));
      for (const restored of readInOrders(world.stored, seed, () => world.take(90))) {
        restored.hideDue();
        expect(restored.view()).toEqual(replica.view());
        expect(restored.digest()).toBe(replica.digest());
      }
    }, 3);
  });

  it('let go of what has expired, when everybody has it, and show the same', () => {
    let dropped = 0;
    check((world) => {
      world.deliverAll();
      world.nowMs += 30;
      for (const replica of world.replicas) {
        replica.hideDue();
        replica.takeStore(1 << 20);
        const { keyspace } = replica;
        const view = replica.view();
        const nothing = { hi: 0, lo: 0 };
        for (let visit = 0; visit < 2; visit++) {
          replica.database.index.visitRange(0, Infinity, (ref) => {
            if (keyspace.typeOf(ref) !== TYPE_HASH) return;
            const collection = keyspace.collectionAt(ref);
            const spent = spentElements(keyspace, collection, nothing, keyspace.clock, 100);
            dropped += dropElements(keyspace, collection, spent);
          });
        }
        expect(replica.view()).toEqual(view);
        replica.digest();
      }
    });
    expect(dropped > RUNS / 20).toBe(true);
  });
});
