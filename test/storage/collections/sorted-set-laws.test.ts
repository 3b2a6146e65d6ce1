/** What docs/crdt.md promises of merging sorted sets. */
import { describe, expect, it } from '@jest/globals';
import { TYPE_SORTED_SET } from '../../../storage/arena/block.ts';
import { endChange, openCollection } from '../../../storage/collections/local.ts';
import { addToSum, exactSum, totalScore } from '../../../storage/collections/score.ts';
import type { SortedSet } from '../../../storage/collections/sorted-set.ts';
import { addScore, putScore } from '../../../storage/types/sorted-set.ts';
import { Model } from './model.ts';
import { Replica } from './replicas.ts';
import fc from '../../support/properties.ts';

const NODES = 3;
const FAR_MS = 2_000_000_000_000;

type Step =
  | { do: 'put' | 'add'; node: number; key: string; name: string; score: number }
  | { do: 'remove'; node: number; key: string; name: string }
  | { do: 'delete' | 'string' | 'expire'; node: number; key: string }
  | { do: 'flush' | 'tick'; node: number }
  | { do: 'send'; node: number; to: number };

const node = fc.integer({ min: 0, max: NODES - 1 });
const key = fc.constantFrom('a', 'b');
const name = fc.constantFrom('m', 'n', 'o', 'p');
const score = fc.constantFrom(0, 1, 2, 2.5, -1, 0.1, 1e18, Infinity, -Infinity);

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('put', 'add', 'add'), node, key, name, score }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('remove'), node, key, name }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('delete', 'string', 'expire'), node, key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('flush', 'tick', 'tick'), node }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('send'), node, to: node }) },
) as fc.Arbitrary<Step>;

/** ZADD, or ZINCRBY. */
function write(replica: Replica, by: 'put' | 'add', key: string, name: string, value: number): void {
  const { keyspace } = replica;
  const bytes = Buffer.from(key);
  const ref = keyspace.lookup(replica.database, bytes, 0, bytes.length);
  if (ref !== 0 && keyspace.typeOf(ref) !== TYPE_SORTED_SET) return;
  const member = Buffer.from(name);
  const before = scoreOf(replica, key, name);
  const total = before === undefined ? value : before + value;
  if (by === 'add' && Number.isNaN(total)) return;
  const set = openCollection(keyspace, replica.database, ref, TYPE_SORTED_SET, bytes, 0, bytes.length) as SortedSet;
  const element = set.find(member, 0, member.length);
  if (by === 'put') putScore(keyspace, set, element, member, 0, member.length, value);
  else addScore(keyspace, set, element, member, 0, member.length, value, total);
  endChange(keyspace, set, true);
}

function setAt(replica: Replica, key: string): SortedSet | null {
  const { keyspace } = replica;
  const bytes = Buffer.from(key);
  const ref = keyspace.lookup(replica.database, bytes, 0, bytes.length);
  return ref === 0 || keyspace.typeOf(ref) !== TYPE_SORTED_SET ? null : (keyspace.collectionAt(ref) as SortedSet);
}

function scoreOf(replica: Replica, key: string, name: string): number | undefined {
  const set = setAt(replica, key);
  const member = Buffer.from(name);
  const element = set === null ? 0 : set.find(member, 0, member.length);
  return element === 0 || !replica.keyspace.elements.isVisible(element) ? undefined : set!.scoreOf(element);
}

/** The members in order, each where its rank says. */
function ordered(replica: Replica, key: string): string[] {
  const set = setAt(replica, key);
  const found: string[] = [];
  set?.order.visit(0, set.count, false, (ref, score) => {
    expect(set.scoreOf(ref)).toBe(score);
    found.push(`${set.memberOf(ref).toString()} ${score}`);
  });
  for (let rank = 0; rank < found.length; rank++) expect(set!.rankOf(set!.order.at(rank))).toBe(rank);
  return found;
}

function run(replica: Replica, step: Step, world: { nowMs: number }): void {
  switch (step.do) {
    case 'put':
    case 'add':
      return write(replica, step.do, step.key, step.name, step.score);
    case 'remove':
      return replica.remove(TYPE_SORTED_SET, step.key, step.name);
    case 'delete':
      return replica.delete(step.key);
    case 'string':
      return replica.set(step.key, '7');
    case 'expire':
      return replica.expireAt(step.key, FAR_MS);
    case 'flush':
      return replica.flush();
    case 'tick':
      world.nowMs += 3;
      return;
    case 'send':
      return;
  }
}

/** Runs the steps on three nodes that hear of each other where a step says so, and then of everything. */
function converge(
  steps: Step[],
  check: (replicas: Replica[], fresh: (id: number) => Replica, sent: Buffer[]) => void,
): void {
  const world = { nowMs: 1_700_000_000_000 };
  const replicas = Array.from({ length: NODES }, (_, index) => Replica.take(index + 1, () => world.nowMs));
  const taken = [...replicas];
  const sent: Buffer[][] = replicas.map(() => []);
  const heard = replicas.map(() => replicas.map(() => 0));
  const deliver = (from: number, to: number): void => {
    if (from === to) return;
    while (heard[to][from] < sent[from].length) replicas[to].apply(sent[from][heard[to][from]++]);
  };
  for (const step of steps) {
    if (step.do === 'send') deliver(step.node, step.to);
    else {
      run(replicas[step.node], step, world);
      sent[step.node].push(Buffer.from(replicas[step.node].takeFeed()));
    }
  }
  const states = replicas.map((replica) => Buffer.from(replica.takeState()));
  for (let to = 0; to < NODES; to++) for (let from = 0; from < NODES; from++) deliver(from, to);
  const fresh = (id: number): Replica => {
    const replica = Replica.take(id, () => world.nowMs);
    taken.push(replica);
    return replica;
  };
  const inOrder = fresh(9);
  for (const state of states) inOrder.apply(state);
  const inReverse = fresh(9);
  for (const state of [...states, ...states].reverse()) inReverse.apply(state);
  check([...replicas, inOrder, inReverse], fresh, sent.flat());
  for (const replica of taken) replica.release();
}

describe('merging sorted sets', () => {
  it('brings all nodes to the same members, scores and order, by changes and by states', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        converge(steps, (replicas) => {
          const views = replicas.map((replica) => replica.view());
          for (const view of views) expect(view).toEqual(views[0]);
          expect(new Set(replicas.map((replica) => replica.digest())).size).toBe(1);
          for (const key of ['a', 'b']) {
            for (const replica of replicas) expect(ordered(replica, key)).toEqual(ordered(replicas[0], key));
          }
        });
      }),
      { numRuns: 1000 },
    );
  });

  it('equals a slow model that keeps every record it ever heard of', () => {
    // Whole numbers: the model adds as doubles do.
    const whole = step.map((each) => ('score' in each ? { ...each, score: Math.round(each.score) % 1000 || 0 } : each));
    fc.assert(
      fc.property(fc.array(whole, { maxLength: 30 }), (steps) => {
        converge(steps, (replicas, _fresh, sent) => {
          const model = new Model();
          for (const records of sent) model.apply(records);
          expect(replicas[0].view()).toEqual(model.view());
        });
      }),
      { numRuns: 1000 },
    );
  });

  it('gives stores what a node needs to come back as it was', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), fc.integer({ min: 1, max: 200 }), (steps, bytesMax) => {
        converge(steps, ([first], fresh) => {
          const restored = fresh(8);
          restored.apply(Buffer.from(first.takeStore(bytesMax)));
          expect(restored.view()).toEqual(first.view());
        });
      }),
      { numRuns: 1000 },
    );
  });

  it('loses no increment', () => {
    const delta = fc.oneof(fc.integer({ min: -1000, max: 1000 }), fc.constantFrom(0.5, 0.25, -0.125));
    fc.assert(
      fc.property(
        fc.array(fc.record({ node, delta }), { maxLength: 40 }),
        fc.array(fc.record({ node, to: node })),
        (adds, sends) => {
          const steps: Step[] = adds.map((add) => ({
            do: 'add',
            node: add.node,
            key: 'a',
            name: 'm',
            score: add.delta,
          }));
          sends.forEach((send, at) => steps.splice((at * 7) % (steps.length + 1), 0, { do: 'send', ...send }));
          converge(steps, (replicas) => {
            const expected = adds.length === 0 ? undefined : adds.reduce((sum, add) => sum + add.delta, 0);
            for (const replica of replicas) expect(scoreOf(replica, 'a', 'm')).toBe(expected);
          });
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('counts on one node as repeated addition of doubles does', () => {
    const double = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e307, max: 1e307 });
    const world = { nowMs: 1_700_000_000_000 };
    fc.assert(
      fc.property(double, fc.array(double, { maxLength: 12 }), (first, deltas) => {
        const replica = Replica.take(1, () => world.nowMs);
        write(replica, 'put', 'a', 'm', first);
        let expected = first;
        for (const delta of deltas) {
          if (Number.isNaN(expected + delta)) continue;
          expected += delta;
          write(replica, 'add', 'a', 'm', delta);
          expect(scoreOf(replica, 'a', 'm')! + 0).toBe(expected + 0);
        }
        replica.release();
      }),
      { numRuns: 1000 },
    );
  });
});

describe('scores', () => {
  it('are added exactly, in whatever order', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: -1e300, max: 1e300 })), (values) => {
        expect(exactSum([...values].reverse()) + 0).toBe(exactSum(values) + 0);
      }),
      { numRuns: 1000 },
    );
    expect(exactSum([1e16, 1, -1e16])).toBe(1);
    expect(exactSum([0.1, 0.2, -0.3])).toBe(2.7755575615628914e-17);
    expect(exactSum([Infinity, -Infinity])).toBe(0);
  });

  it('show sums of two parts', () => {
    expect(addToSum('1', '0', true, 0.1, 1.1)).toBe('0.10000000000000009');
    expect(totalScore('1', ['0.10000000000000009'])).toBe('1.1');
    expect(totalScore('0', ['0.5 1e-17', '0.25'])).toBe('0.75');
    expect(addToSum('inf', '0', true, 5, Infinity)).toBe('5');
    expect(addToSum('0', '2', false, 3, 10)).toBe('5');
  });
});
