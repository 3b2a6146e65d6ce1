/** What docs/crdt.md promises of merging streams and their consumer groups, on three nodes. */
import { describe, expect, it } from '@jest/globals';
import { TYPE_STREAM } from '../../../storage/arena/block.ts';
import { nodeText, parseName, safeNumber } from '../../../storage/collections/stream-group.ts';
import {
  formatId,
  greaterId,
  LEAST_ID,
  parseFormattedId,
  readId,
  type StreamId,
} from '../../../storage/types/stream-id.ts';
import { Model } from './model.ts';
import { mergedInOrders, type Replica } from './replicas.ts';
import { deliverAll, history, NODES } from './three-nodes.ts';
import fc from '../../support/properties.ts';
import { editStream, type StreamEdit, type StreamView, viewStream } from './stream-edits.ts';

const KEYS = ['a', 'b'];
const ID_BYTES = 16;

type Step =
  | (StreamEdit & { node: number })
  | { do: 'delete' | 'string'; node: number; key: string }
  | { do: 'flush' | 'tick'; node: number }
  | { do: 'send'; node: number; to: number };

const edit = {
  node: fc.integer({ min: 0, max: NODES - 1 }),
  key: fc.constantFrom('a', 'a', 'a', 'b'),
  at: fc.integer({ min: 0, max: 9 }),
  group: fc.constantFrom('g', 'g', 'h'),
  consumer: fc.constantFrom('x', 'y'),
  value: fc.constantFrom('1:f,1:1,', '1:f,1:2,'),
};
const { node, key } = edit;
const groupWrites = ['group', 'group', 'consumer', 'deliver', 'deliver', 'acknowledge', 'dropGroup', 'dropConsumer'];

const step = fc.oneof(
  { weight: 7, arbitrary: fc.record({ do: fc.constant('add'), ...edit }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('remove', 'trim', 'setLast'), ...edit }) },
  { weight: 9, arbitrary: fc.record({ do: fc.constantFrom(...groupWrites), ...edit }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('delete', 'delete', 'string'), node, key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('flush', 'tick', 'tick', 'tick'), node }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('send'), node, to: node }) },
) as fc.Arbitrary<Step>;

// Longer than by default: a delivery comes after an entry of the same stream.
const steps = fc.array(step, { maxLength: 30, size: 'medium' });

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
      return editStream(replica, step);
  }
}

/** What a node shows of a stream, computed from every element that is left of it. */
function expectedStream(elements: Map<string, string> | null, node: number): StreamView | null {
  if (elements === null) return null;
  const own = nodeText(0, node);
  const idOf = (name: string): StreamId => readId(Buffer.from(name, 'latin1'), 0);
  const names = [...elements.keys()].sort();
  const entries = names.filter((name) => name.length === ID_BYTES);
  let lastId = entries.map(idOf).reduce(greaterId, LEAST_ID);
  let maxDeletedId = LEAST_ID;
  let removed = 0;
  const groups: StreamView['groups'] = {};
  const others = names.filter((name) => name.length !== ID_BYTES);
  for (const name of others) {
    const { what, node: by, group } = parseName(name)!;
    const words = elements.get(name)!.split(' ');
    if (what === 'meta') {
      lastId = greaterId(lastId, parseFormattedId(words[0]));
      removed += safeNumber(words[1]);
      maxDeletedId = greaterId(maxDeletedId, parseFormattedId(words[2]));
    } else if (what === 'group' && by === own) {
      groups[group] = { lastId: words[0], entriesRead: Number(words[1]), consumers: [], pending: [] };
    }
  }
  for (const name of others) {
    const { what, node: by, group, rest } = parseName(name)!;
    if (by !== own || groups[group] === undefined) continue;
    if (what === 'consumer') groups[group].consumers.push(`${rest} ${elements.get(name)!}`);
    if (what === 'pending') groups[group].pending.push(`${formatId(idOf(rest))} ${elements.get(name)!}`);
  }
  const shown = entries.map((name) => `${formatId(idOf(name))} ${elements.get(name)!}`);
  return { entries: shown, lastId: formatId(lastId), removed, maxDeletedId: formatId(maxDeletedId), groups };
}

describe('merging streams', () => {
  it('equals a slow model: entries, what is known of the stream, and on each node its own groups', () => {
    let groups = 0;
    let pending = 0;
    fc.assert(
      fc.property(steps, (steps) => {
        const past = history(steps, run);
        deliverAll(past);
        const model = new Model();
        for (const records of past.sent.flat()) model.apply(records);
        for (const [index, replica] of past.replicas.entries()) {
          expect(replica.view()).toEqual(model.view());
          expect(replica.digest()).toBe(past.replicas[0].digest());
          for (const key of KEYS) {
            const view = viewStream(replica, key);
            expect(view).toEqual(expectedStream(model.elementsOf(key, TYPE_STREAM), index + 1));
            for (const each of Object.values(view?.groups ?? {})) {
              groups++;
              pending += each.pending.length;
            }
          }
        }
        past.release();
      }),
      { numRuns: 1000 },
    );
    expect(groups).toBeGreaterThan(100);
    expect(pending).toBeGreaterThan(50);
  });

  it('is the same when streams are packed between all steps', () => {
    let packed = 0;
    fc.assert(
      fc.property(steps, (steps) => {
        const past = history(steps, run, { packs: true });
        deliverAll(past);
        const model = new Model();
        for (const records of past.sent.flat()) model.apply(records);
        for (const [index, replica] of past.replicas.entries()) {
          replica.pack();
          packed += replica.packedCount;
          replica.digest();
          for (const key of KEYS) {
            const view = viewStream(replica, key);
            expect(view).toEqual(expectedStream(model.elementsOf(key, TYPE_STREAM), index + 1));
          }
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
        const merged = mergedInOrders(replicas, () => fresh(2));
        for (const replica of merged) {
          expect(replica.view()).toEqual(merged[0].view());
          expect(replica.digest()).toBe(merged[0].digest());
          for (const key of KEYS) expect(viewStream(replica, key)).toEqual(viewStream(merged[0], key));
        }
        release();
      }),
      { numRuns: 1000 },
    );
  });

  it('gives stores what a node needs to come back as it was, its groups too', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 200 }), (steps, bytesMax) => {
        const { replicas, fresh, release } = history(steps, run);
        for (const [index, replica] of replicas.entries()) {
          const restored = fresh(index + 1);
          restored.apply(Buffer.from(replica.takeStore(bytesMax)));
          expect(restored.view()).toEqual(replica.view());
          expect(restored.digest()).toBe(replica.digest());
          for (const key of KEYS) expect(viewStream(restored, key)).toEqual(viewStream(replica, key));
        }
        release();
      }),
      { numRuns: 1000 },
    );
  });
});
