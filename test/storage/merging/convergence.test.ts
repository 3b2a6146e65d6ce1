import { describe, expect, it } from '@jest/globals';
import { expireDue } from '../../../storage/expiry/expiry.ts';
import { flushDatabase } from '../../../storage/tombstones/floor.ts';
import { type SeededRandom, withSeed } from '../../support/seed.ts';
import { RegisterModel } from '../register-model.ts';
import { Replica, splitRecords } from '../replica.ts';

const FILE = 'test/storage/merging/convergence.test.ts';

interface Delivery {
  to: number;
  records: Buffer;
}

interface World {
  random: SeededRandom;
  replicas: Replica[];
  /** What the stores of each node were given. */
  stores: RegisterModel[];
  model: RegisterModel;
  pending: Delivery[];
  /** Records travel one by one, not with their batch. */
  apart: boolean;
}

const KEYS = ['a', 'b', '__proto__', 'k'.repeat(2048), 'k'.repeat(2049)];
const NUMBERS = ['0', '10', '-7', '9007199254740990', '0.25', '1e3'];

function randomValue(random: SeededRandom): string {
  if (random.chance(0.7)) return random.pick(NUMBERS);
  return 'x'.repeat(random.pick([0, 1, 30, 500]));
}

function randomOperation({ random }: World, replica: Replica): void {
  const key = random.pick(KEYS);
  const database = random.below(2);
  const deadlineMs = replica.wallMs + random.pick([1, 5, 50, 5000]);
  const choice = random.below(100);
  if (choice < 20) replica.set(key, randomValue(random), 0, database);
  else if (choice < 30) replica.set(key, randomValue(random), deadlineMs, database);
  else if (choice < 42) replica.delete(key, database);
  else if (choice < 65) replica.increment(key, random.pick([1, -1, 5, 2 ** 52]), database);
  else if (choice < 72) replica.incrementDecimal(key, random.pick(['0.1', '-2.5', '3', '1e15']), database);
  else if (choice < 88) replica.expireAt(key, deadlineMs, database);
  else if (choice < 96) replica.expireAt(key, 0, database);
  else if (choice < 98) flushDatabase(replica.keyspace, replica.database(database));
  else replica.get(key, database);
}

function send(world: World, from: number): void {
  const records = world.replicas[from].takeFeed();
  if (records.length === 0) return;
  world.model.apply(records);
  const pieces = world.apart ? splitRecords(records) : [records];
  for (let to = 0; to < world.replicas.length; to++) {
    if (to !== from) for (const piece of pieces) world.pending.push({ to, records: piece });
  }
}

function deliver(world: World, count: number): void {
  const { random, pending, replicas } = world;
  for (let left = Math.min(count, pending.length); left > 0; left--) {
    const at = random.below(pending.length);
    const { to, records } = pending[at];
    replicas[to].apply(records);
    // Now and then it arrives once more, later.
    if (!random.chance(0.1)) pending.splice(at, 1);
    if (random.chance(0.2)) send(world, to);
  }
}

function turn(world: World): void {
  const { random, replicas } = world;
  const at = random.below(replicas.length);
  for (let count = 1 + random.below(3); count > 0; count--) randomOperation(world, replicas[at]);
  send(world, at);
  if (random.chance(0.3)) for (const replica of replicas) replica.pass(random.below(8));
  if (random.chance(0.2)) expireDue(random.pick(replicas).keyspace, 100);
  if (random.chance(0.2)) world.stores[at].apply(replicas[at].takeDirty());
  deliver(world, random.below(5));
}

function settle(world: World): void {
  while (world.pending.length > 0) {
    deliver(world, world.pending.length);
    for (let from = 0; from < world.replicas.length; from++) send(world, from);
  }
  for (const [at, replica] of world.replicas.entries()) {
    replica.keyspace.clock.refresh();
    while (expireDue(replica.keyspace, 100));
    world.stores[at].apply(replica.takeDirty());
  }
}

function checkSettled(world: World): void {
  const [first] = world.replicas;
  const expected = world.model.contents(first.wallMs);
  for (const [at, replica] of world.replicas.entries()) {
    expect(replica.contents()).toEqual(expected);
    expect(world.stores[at].contents(first.wallMs)).toEqual(expected);
    expect(replica.keyspace.digests.total()).toBe(first.keyspace.digests.total());
    const { kept, recomputed } = replica.bookkeeping();
    expect(kept).toEqual(recomputed);
  }
}

function makeWorld(random: SeededRandom, apart: boolean, skewed: boolean): World {
  const replicas = [1, 2, 3].map((node) => new Replica({ node }));
  if (skewed) for (const replica of replicas) replica.pass(random.below(40));
  const stores = replicas.map(() => new RegisterModel());
  return { random, replicas, stores, model: new RegisterModel(), pending: [], apart };
}

function run(random: SeededRandom, apart: boolean, skewed: boolean, turns: number): World {
  const world = makeWorld(random, apart, skewed);
  for (let count = 0; count < turns; count++) turn(world);
  const latestMs = Math.max(...world.replicas.map(({ wallMs }) => wallMs));
  for (const replica of world.replicas) replica.pass(latestMs - replica.wallMs);
  settle(world);
  return world;
}

describe('three replicas', () => {
  it('end up alike, and as the plain model says, whatever the order in which batches arrive', async () => {
    await withSeed(FILE, (random) => {
      for (let round = 0; round < 25; round++) checkSettled(run(random, false, false, 40));
    });
  });

  it('end up alike when the records of a batch arrive one by one, in any order', async () => {
    await withSeed(FILE, (random) => {
      for (let round = 0; round < 25; round++) checkSettled(run(random, true, false, 40));
    });
  });

  it('end up alike when their wall clocks differ', async () => {
    await withSeed(FILE, (random) => {
      for (let round = 0; round < 25; round++) {
        const world = run(random, false, true, 40);
        for (const replica of world.replicas) replica.pass(10_000);
        settle(world);
        const [first, ...others] = world.replicas;
        for (const other of others) {
          expect(other.contents()).toEqual(first.contents());
          expect(other.keyspace.digests.total()).toBe(first.keyspace.digests.total());
        }
      }
    });
  });

  it("learn nothing more from each other's full state once they are alike", async () => {
    await withSeed(FILE, (random) => {
      for (let round = 0; round < 10; round++) {
        const world = run(random, false, false, 60);
        const before = world.replicas[0].keyspace.digests.total();
        for (const from of world.replicas) for (const to of world.replicas) to.apply(from.fullState());
        checkSettled(world);
        expect(world.replicas[0].keyspace.digests.total()).toBe(before);
      }
    });
  });

  it('are made anew from what a store was given', async () => {
    await withSeed(FILE, (random) => {
      for (let round = 0; round < 10; round++) {
        const world = makeWorld(random, false, false);
        const rows: Buffer[] = [];
        for (let count = 0; count < 40; count++) {
          turn(world);
          rows.push(...splitRecords(world.replicas[0].takeDirty(64)));
        }
        settle(world);
        rows.push(...splitRecords(world.replicas[0].takeDirty()));
        rows.push(...splitRecords(world.replicas[0].fullState()));
        const restored = new Replica({ node: 1 });
        restored.pass(world.replicas[0].wallMs - restored.wallMs);
        for (const row of random.shuffle(rows)) restored.apply(row);
        while (expireDue(restored.keyspace, 100));
        expect(restored.contents()).toEqual(world.replicas[0].contents());
        expect(restored.keyspace.digests.total()).toBe(world.replicas[0].keyspace.digests.total());
      }
    });
  });
});
