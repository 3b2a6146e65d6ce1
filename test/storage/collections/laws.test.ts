/** What docs/crdt.md promises of merging, for strings, counters, hashes and sets at once. */
import { describe, expect, it } from '@jest/globals';
import { TYPE_HASH, TYPE_SET } from '../../../storage/arena/block.ts';
import { Model } from './model.ts';
import { mergedInOrders, readInOrders, type Replica } from './replicas.ts';
import { deliverAll, history, NODES } from './three-nodes.ts';
import fc from '../../support/properties.ts';

type Step =
  | {
      do: 'set' | 'put' | 'putMember' | 'remove' | 'removeMember' | 'add' | 'increment';
      node: number;
      key: string;
      name: string;
      value: number;
    }
  | { do: 'delete' | 'expire' | 'persist'; node: number; key: string }
  | { do: 'flush' | 'tick'; node: number }
  | { do: 'send'; node: number; to: number };

const node = fc.integer({ min: 0, max: NODES - 1 });
const key = fc.constantFrom('a', 'b');
const name = fc.constantFrom('f', 'g', 'h');
const value = fc.integer({ min: 0, max: 9 });

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('put', 'putMember', 'add'), node, key, name, value }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('remove', 'removeMember'), node, key, name, value }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('set', 'increment'), node, key, name, value }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('delete', 'expire', 'persist'), node, key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('flush', 'tick', 'tick', 'tick'), node }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('send'), node, to: node }) },
);

const FAR_MS = 2_000_000_000_000;

function run(replica: Replica, step: Step, world: { nowMs: number }): void {
  switch (step.do) {
    case 'set':
      return replica.set(step.key, String(step.value));
    case 'increment':
      return replica.increment(step.key, step.value);
    case 'put':
      return replica.put(TYPE_HASH, step.key, step.name, String(step.value));
    case 'putMember':
      return replica.put(TYPE_SET, step.key, step.name, '');
    case 'remove':
      return replica.remove(TYPE_HASH, step.key, step.name);
    case 'removeMember':
      return replica.remove(TYPE_SET, step.key, step.name);
    case 'add':
      return replica.add(TYPE_HASH, step.key, step.name, step.value);
    case 'delete':
      return replica.delete(step.key);
    case 'expire':
      return replica.expireAt(step.key, FAR_MS + (world.nowMs % 1000));
    case 'persist':
      return replica.expireAt(step.key, 0);
    case 'flush':
      return replica.flush();
    case 'tick':
      world.nowMs += 3;
      return;
    case 'send':
      return;
  }
}

describe('merging', () => {
  it('equals a slow model that keeps every record it ever heard of', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const past = history(steps, run);
        const { replicas, release } = past;
        deliverAll(past);
        const model = new Model();
        for (const records of past.sent.flat()) model.apply(records);
        expect(replicas[0].view()).toEqual(model.view());
        release();
      }),
      { numRuns: 1000 },
    );
  });

  it('brings all nodes to the same state, whatever they heard of each other and when', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const past = history(steps, run);
        const { replicas, release } = past;
        deliverAll(past);
        const [first, ...others] = replicas.map((replica) => replica.view());
        for (const other of others) expect(other).toEqual(first);
        const digests = replicas.map((replica) => replica.digest());
        expect(new Set(digests).size).toBe(1);
        release();
      }),
      { numRuns: 1000 },
    );
  });

  it('is the same when small collections are packed between all steps', () => {
    let packed = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const past = history(steps, run, { packs: true });
        const { replicas, release } = past;
        deliverAll(past);
        const model = new Model();
        for (const records of past.sent.flat()) model.apply(records);
        for (const replica of replicas) {
          replica.pack();
          packed += replica.packedCount;
          replica.digest();
          replica.pack();
          expect(replica.view()).toEqual(model.view());
        }
        release();
      }),
      { numRuns: 1000 },
    );
    expect(packed > 500).toBe(true);
  });

  it('is commutative, associative and idempotent over whole states', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const { replicas, fresh, release } = history(steps, run);
        const all = mergedInOrders(replicas, () => fresh(9));
        for (const replica of all) expect(replica.view()).toEqual(all[0].view());
        expect(new Set(all.map((replica) => replica.digest())).size).toBe(1);
        release();
      }),
      { numRuns: 1000 },
    );
  });

  it('gives stores what a node needs to come back as it was', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), fc.integer({ min: 1, max: 200 }), (steps, bytesMax) => {
        const { replicas, fresh, release } = history(steps, run);
        for (const replica of replicas) {
          const restored = fresh(9);
          restored.apply(Buffer.from(replica.takeStore(bytesMax)));
          expect(restored.view()).toEqual(replica.view());
          expect(restored.digest()).toBe(replica.digest());
        }
        release();
      }),
      { numRuns: 1000 },
    );
  });

  it('gives stores that are flushed now and then what a node needs, in whatever order it is read', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 25 }),
        fc.infiniteStream(fc.boolean()),
        fc.nat(),
        (steps, flushes, seed) => {
          const stored: Buffer[] = [];
          const afterStep = (replica: Replica): void => {
            if (flushes.next().value === true) stored.push(Buffer.from(replica.takeStore(1000)));
          };
          const past = history(steps, run, { afterStep });
          const { replicas, fresh, release } = past;
          deliverAll(past);
          stored.push(Buffer.from(replicas[0].takeStore(1000)));
          for (const restored of readInOrders(stored, seed, () => fresh(9))) {
            expect(restored.view()).toEqual(replicas[0].view());
            expect(restored.digest()).toBe(replicas[0].digest());
          }
          release();
        },
      ),
      { numRuns: 1000 },
    );
  });
});
