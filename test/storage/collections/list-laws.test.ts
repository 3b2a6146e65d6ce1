/** What docs/crdt.md promises of merging lists, on three nodes. */
import { describe, expect, it } from '@jest/globals';
import { editList, valuesOfList } from './list-edits.ts';
import { Model } from './model.ts';
import { mergedInOrders, readInOrders, type Replica } from './replicas.ts';
import { deliverAll, history, NODES } from './three-nodes.ts';
import fc from '../../support/properties.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';

const thisFile = 'test/storage/collections/list-laws.test.ts';

interface Edit {
  do: 'rpush' | 'lpush' | 'insert' | 'set' | 'remove';
  node: number;
  key: string;
  at: number;
  value: number;
}

type Step =
  | Edit
  | { do: 'delete' | 'string'; node: number; key: string }
  | { do: 'flush' | 'tick'; node: number }
  | { do: 'send'; node: number; to: number };

const node = fc.integer({ min: 0, max: NODES - 1 });
const key = fc.constantFrom('a', 'b');
const at = fc.integer({ min: 0, max: 12 });
const value = fc.integer({ min: 0, max: 99 });

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('rpush', 'lpush', 'insert', 'set'), node, key, at, value }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('remove'), node, key, at, value }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('delete', 'string'), node, key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('flush', 'tick', 'tick', 'tick'), node }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('send'), node, to: node }) },
);

function run(replica: Replica, step: Step, world: { nowMs: number }): void {
  switch (step.do) {
    case 'flush':
      return replica.flush();
    case 'delete':
      return replica.delete(step.key);
    case 'string':
      return replica.set(step.key, '7');
    case 'tick':
      world.nowMs += 3;
      return;
    case 'send':
      return;
    default:
      return editList(replica, { ...step, value: String(step.value) });
  }
}

const steps = fc.array(step, { maxLength: 30 });

/** Bursts of pushes and pops, which make runs of many elements, and edits in between that break them up. */
function burst(random: SeededRandom): Step[] {
  const node = random.below(NODES);
  const edit = (what: Edit['do'], at: number): Step => {
    const value = random.pick([random.below(1000), 10 ** random.below(16)]);
    return { do: what, node, key: random.below(5) === 0 ? 'b' : 'a', at, value };
  };
  const choice = random.below(40);
  if (choice < 14) {
    const end = random.pick(['rpush', 'lpush'] as const);
    return Array.from({ length: 1 + random.below(40) }, () => edit(end, 0));
  }
  // 720,719 divides by every length up to 12, less one: the last one of most short lists.
  if (choice < 22) return Array.from({ length: 1 + random.below(30) }, () => edit('remove', random.below(2) * 720_719));
  if (choice < 25) return [edit(random.pick(['insert', 'set', 'remove']), random.below(300))];
  if (choice === 25) return [{ do: random.pick(['delete', 'string', 'flush']), node, key: 'a' }];
  if (choice < 32) return [{ do: 'tick', node }];
  return [{ do: 'send', node, to: random.below(NODES) }];
}

describe('merging lists', () => {
  it('equals a slow model, on all nodes, in the same order', () => {
    fc.assert(
      fc.property(steps, (steps) => {
        const past = history(steps, run);
        deliverAll(past);
        const model = new Model();
        for (const records of past.sent.flat()) model.apply(records);
        const [first, ...others] = past.replicas;
        expect(first.view()).toEqual(model.view());
        for (const other of others) {
          expect(other.view()).toEqual(first.view());
          expect(other.digest()).toBe(first.digest());
          for (const key of ['a', 'b']) expect(valuesOfList(other, key)).toEqual(valuesOfList(first, key));
        }
        past.release();
      }),
      { numRuns: 1000 },
    );
  });

  it.each([false, true])('equals a slow model with runs of many elements, packed between steps: %s', (packs) =>
    withSeed(thisFile, (random) => {
      for (let round = 0; round < 8; round++) {
        const past = history(Array.from({ length: 80 }, () => burst(random)).flat(), run, { packs });
        deliverAll(past);
        const model = new Model();
        for (const records of past.sent.flat()) model.apply(records);
        const [first] = past.replicas;
        const values = ['a', 'b'].map((key) => valuesOfList(first, key));
        for (const replica of past.replicas) {
          const copies = [replica, past.fresh(9), past.fresh(9)];
          if (!packs) copies[1].apply(Buffer.from(replica.takeStore(1 + random.below(2000))));
          else copies[1].apply(Buffer.from(replica.takeState()));
          copies[2].apply(Buffer.from(replica.takeState()));
          for (const copy of copies) {
            expect(copy.view()).toEqual(model.view());
            expect(copy.digest()).toBe(first.digest());
            expect(['a', 'b'].map((key) => valuesOfList(copy, key))).toEqual(values);
          }
        }
        past.release();
      }
    }),
  );

  it('is the same when lists are packed between all steps', () => {
    let packed = 0;
    fc.assert(
      fc.property(steps, (steps) => {
        const past = history(steps, run, { packs: true });
        deliverAll(past);
        const model = new Model();
        for (const records of past.sent.flat()) model.apply(records);
        const values = ['a', 'b'].map((key) => valuesOfList(past.replicas[0], key));
        for (const replica of past.replicas) {
          replica.pack();
          packed += replica.packedCount;
          replica.digest();
          expect(replica.view()).toEqual(model.view());
          expect(['a', 'b'].map((key) => valuesOfList(replica, key))).toEqual(values);
        }
        past.release();
      }),
      { numRuns: 1000 },
    );
    expect(packed).toBeGreaterThan(300);
  });

  it('is commutative, associative and idempotent over whole states', () => {
    fc.assert(
      fc.property(steps, (steps) => {
        const { replicas, fresh, release } = history(steps, run);
        const merged = mergedInOrders(replicas, () => fresh(9));
        for (const replica of merged) {
          expect(replica.view()).toEqual(merged[0].view());
          expect(replica.digest()).toBe(merged[0].digest());
        }
        release();
      }),
      { numRuns: 1000 },
    );
  });

  it('gives stores what a node needs to come back as it was', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 200 }), (steps, bytesMax) => {
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

  it('gives stores that are flushed now and then what a node needs, in whatever order they are read', () => {
    fc.assert(
      fc.property(steps, fc.nat(), (steps, seed) => {
        const stored: Buffer[] = [];
        const beforeStep = (first: Replica, index: number): void => {
          if ((index + 1) % 3 === 0) stored.push(Buffer.from(first.takeStore(1000)));
        };
        const past = history(steps, run, { beforeStep });
        const { replicas, fresh, release } = past;
        deliverAll(past);
        stored.push(Buffer.from(replicas[0].takeStore(1000)));
        for (const restored of readInOrders(stored, seed, () => fresh(9))) {
          expect(restored.view()).toEqual(replicas[0].view());
          expect(restored.digest()).toBe(replicas[0].digest());
        }
        release();
      }),
      { numRuns: 1000 },
    );
  });

  it('keeps together what one node pushes in a row', () => {
    const push = (node: number, value: number): Step => ({ do: 'rpush', node, key: 'a', at: 0, value });
    const steps: Step[] = [
      push(0, 0),
      { do: 'send', node: 0, to: 1 },
      ...[1, 2, 3].map((value) => push(0, value)),
      ...[11, 12, 13].map((value) => push(1, value)),
    ];
    const past = history(steps, run);
    deliverAll(past);
    const values = valuesOfList(past.replicas[2], 'a').join(' ');
    expect(['0 1 2 3 11 12 13', '0 11 12 13 1 2 3']).toContain(values);
    past.release();
  });

  it('keeps what one node pushes while another pops', () => {
    const steps: Step[] = [
      { do: 'rpush', node: 0, key: 'a', at: 0, value: 1 },
      { do: 'send', node: 0, to: 1 },
      { do: 'remove', node: 0, key: 'a', at: 0, value: 0 },
      { do: 'remove', node: 1, key: 'a', at: 0, value: 0 },
      { do: 'rpush', node: 1, key: 'a', at: 0, value: 2 },
    ];
    const past = history(steps, run);
    deliverAll(past);
    for (const replica of past.replicas) expect(valuesOfList(replica, 'a')).toEqual(['2']);
    past.release();
  });
});
