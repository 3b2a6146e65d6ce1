/** What docs/crdt.md promises of HyperLogLogs, and of strings that are written over them. */
import { describe, expect, it } from '@jest/globals';
import { FLAG_DEAD, KIND_STRING, RecordReader } from '../../../protocol/change-record.ts';
import {
  COLLECTION_HYPERLOGLOG,
  KIND_ELEMENT_FIRST,
  KIND_KEY_FIRST,
  KIND_KEY_FLOOR,
} from '../../../protocol/collection-kinds.ts';
import { raiseRegisters, REGISTERS } from '../../../storage/types/hyperloglog.ts';
import { mergedInOrders, readInOrders, Replica } from './replicas.ts';
import fc from '../../support/properties.ts';

const NODES = 3;
const RUNS = 1000;
const KIND_KEY = KIND_KEY_FIRST + COLLECTION_HYPERLOGLOG;
const KIND_ELEMENT = KIND_ELEMENT_FIRST + COLLECTION_HYPERLOGLOG;

type Step =
  | { do: 'add'; node: number; register: number; value: number }
  | { do: 'delete' | 'set' | 'tick'; node: number }
  | { do: 'send'; node: number; to: number };

const node = fc.integer({ min: 0, max: NODES - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('add'),
      node,
      register: fc.constantFrom(0, 7, REGISTERS - 1),
      value: fc.integer({ min: 1, max: 9 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('delete', 'delete', 'set', 'tick', 'tick', 'tick'), node }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('send'), node, to: node }) },
);
const steps = fc.array(step, { maxLength: 15 });

interface Entry {
  kind: number;
  element: string;
  version: bigint;
  isDead: boolean;
  value: Buffer;
}

/** The rules, from every record there ever was. */
function modelOf(records: readonly Buffer[]): string[] {
  const registers = new Map<string, Entry>();
  const reader = new RecordReader();
  for (const bytes of records) {
    for (let at = 0; at < bytes.length;) {
      at = reader.read(bytes, at);
      const entry = entryOf(reader);
      const name = `${entry.kind}:${entry.element}`;
      const held = registers.get(name);
      if (held === undefined || entry.version > held.version) registers.set(name, entry);
    }
  }
  const all = [...registers.values()];
  const string = all.find(({ kind }) => kind === KIND_STRING);
  const born = all.find(({ kind }) => kind === KIND_KEY)?.version ?? 0n;
  const stringBorn = string?.version ?? 0n;
  if (stringBorn > born) return string!.isDead ? [] : [`k type 1: ${string!.value.toString('latin1')}`];
  const keyFloor = all.find(({ kind }) => kind === KIND_KEY_FLOOR)?.version ?? 0n;
  const floor = keyFloor > stringBorn ? keyFloor : stringBorn;
  const parts = all.filter(({ kind, version, isDead }) => kind === KIND_ELEMENT && version > floor && !isDead);
  if (parts.length === 0) return [];
  const joined = new Uint8Array(REGISTERS);
  for (const { value } of parts) raiseRegisters(value, 0, value.length, joined);
  return [`k type 1: ${[...joined].flatMap((value, at) => (value === 0 ? [] : [`${at}:${value}`])).join(' ')}`];
}

function entryOf(reader: RecordReader): Entry {
  const { buffer, elementStart, elementLength, valueStart, valueLength } = reader;
  const stamp = (BigInt(reader.stampHi) << 32n) | BigInt(reader.stampLo);
  const origin = (BigInt(reader.originHi) << 32n) | BigInt(reader.originLo);
  return {
    kind: reader.kind,
    element: buffer.toString('latin1', elementStart, elementStart + elementLength),
    version: (stamp << 64n) | origin,
    isDead: (reader.flags & FLAG_DEAD) !== 0,
    value: Buffer.from(buffer.subarray(valueStart, valueStart + valueLength)),
  };
}

class World {
  nowMs = 1_700_000_000_000;
  readonly taken: Replica[] = [];
  readonly replicas = Array.from({ length: NODES }, (_, index) => this.take(index + 1));
  readonly sent: Buffer[][] = this.replicas.map(() => []);
  readonly #heard = this.replicas.map(() => this.replicas.map(() => 0));

  /** What the first node gave to its store now and then. */
  readonly stored: Buffer[] = [];

  constructor(all: readonly Step[], stepsToFlush: number) {
    for (const [index, each] of all.entries()) {
      const replica = this.replicas[each.node];
      replica.keyspace.clock.refresh();
      if (each.do === 'send') this.#deliver(each.node, each.to);
      else if (each.do === 'add') replica.addToHyperLogLog('k', each.register, each.value);
      else if (each.do === 'delete') replica.delete('k');
      else if (each.do === 'set') replica.set('k', 'text');
      else this.nowMs += 3;
      const feed = Buffer.from(replica.takeFeed());
      if (feed.length > 0) this.sent[each.node].push(feed);
      if ((index + 1) % stepsToFlush === 0) this.stored.push(Buffer.from(this.replicas[0].takeStore(1000)));
    }
  }

  take(id: number): Replica {
    const replica = Replica.take(id, () => this.nowMs);
    replica.keyspace.storing = true;
    this.taken.push(replica);
    return replica;
  }

  #deliver(from: number, to: number): void {
    for (; this.#heard[to][from] < this.sent[from].length; this.#heard[to][from]++) {
      if (to !== from) this.replicas[to].apply(this.sent[from][this.#heard[to][from]]);
    }
  }

  deliverAll(): void {
    for (let to = 0; to < NODES; to++) for (let from = 0; from < NODES; from++) this.#deliver(from, to);
  }
}

function check(property: (world: World, seed: number) => void, stepsToFlush = Infinity): void {
  fc.assert(
    fc.property(steps, fc.nat(), (all, seed) => {
      const world = new World(all, stepsToFlush);
      property(world, seed);
      for (const replica of world.taken) replica.release();
    }),
    { numRuns: RUNS },
  );
}

describe('HyperLogLogs of several nodes', () => {
  it('equal a slow model on every node, with equal digests', () => {
    check((world) => {
      world.deliverAll();
      const expected = modelOf(world.sent.flat());
      for (const replica of world.replicas) expect(replica.view()).toEqual(expected);
      expect(new Set(world.replicas.map((replica) => replica.digest())).size).toBe(1);
    });
  });

  it('are commutative, associative and idempotent over whole states, and come back from the stores', () => {
    check((world) => {
      const all = mergedInOrders(world.replicas, () => world.take(9));
      for (const replica of all) expect(replica.view()).toEqual(all[0].view());
      expect(new Set(all.map((replica) => replica.digest())).size).toBe(1);
      const restored = world.take(9);
      restored.apply(Buffer.from(world.replicas[0].takeStore(100)));
      expect(restored.view()).toEqual(world.replicas[0].view());
      expect(restored.digest()).toBe(world.replicas[0].digest());
    });
  });

  it('come back from stores that were flushed now and then, in whatever order they are read', () => {
    check((world, seed) => {
      world.deliverAll();
      const [replica] = world.replicas;
      world.stored.push(Buffer.from(replica.takeStore(1000)));
      for (const restored of readInOrders(world.stored, seed, () => world.take(9))) {
        expect(restored.view()).toEqual(replica.view());
        expect(restored.digest()).toBe(replica.digest());
      }
    }, 3);
  });
});
