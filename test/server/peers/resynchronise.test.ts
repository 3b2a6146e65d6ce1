/** Nodes on real keyspaces, away beyond the tombstone horizon: every data type, through the links and the digests. */
import { describe, expect, it } from '@jest/globals';
import { RecordReader } from '../../../protocol/change-record.ts';
import { stampHiOf, stampLoOf } from '../../../protocol/stamp.ts';
import { ReplicaAdapter } from '../../../server/peers/replica-adapter.ts';
import { TYPE_HASH, TYPE_SET } from '../../../storage/arena/block.ts';
import { Reaper } from '../../../storage/tombstones/reaper.ts';
import { RelayedTurns } from '../../../storage/flush/relayed-turns.ts';
import type { VirtualWorld } from '../../replication/virtual-world.ts';
import { Replica } from '../../storage/collections/replicas.ts';
import { withSeed } from '../../support/seed.ts';
import { epochMs, KeyspaceCluster, KeyspaceNode, wallMs } from '../keyspace-cluster.ts';

const testFile = 'test/server/peers/resynchronise.test.ts';
const horizonMs = 20_000;

class Node extends KeyspaceNode {
  readonly #reaper: Reaper;
  readonly #world: VirtualWorld;

  constructor(world: VirtualWorld, number: number) {
    super(world, number, { tombstoneHorizonMs: horizonMs, repairIntervalMs: 5000 });
    this.#world = world;
    this.#reaper = new Reaper(this.replica.keyspace);
  }

  /** Stores what is dirty, and drops the tombstones that may go. */
  vacuum(): void {
    const { keyspace } = this.replica;
    keyspace.clock.refresh();
    this.store();
    const oldMs = wallMs(this.#world) - horizonMs;
    const bound = this.replicator.reapableStamp({ hi: stampHiOf(oldMs), lo: stampLoOf(oldMs, 0) }) ?? {
      hi: keyspace.clock.hi,
      lo: keyspace.clock.lo,
    };
    this.replicator.noteReaped(bound);
    for (let step = 0; step < 4; step++) this.#reaper.step(bound, bound);
  }

  get tombstones(): number {
    return this.replica.database.index.count - this.replica.database.keyCount;
  }
}

type Cluster = KeyspaceCluster<Node>;

/** Lets time go by in which tombstones are dropped. */
function pass(cluster: Cluster, durationMs: number): void {
  for (let passedMs = 0; passedMs < durationMs; passedMs += 1000) {
    cluster.world.time.run(1000);
    for (const node of cluster.nodes) node.vacuum();
  }
}

describe('a node that comes back after the others have dropped tombstones', () => {
  it('keeps none of what they deleted, and all that it wrote itself, of every kind', async () => {
    const cluster = await KeyspaceCluster.of(Node, 3, 1);
    const [first, second, third] = cluster.nodes;
    const a = first.replica;
    a.set('string', 'old');
    a.set('changed', 'old');
    a.increment('counter', 5);
    a.increment('counted on', 5);
    for (const field of ['f', 'g', 'h']) a.put(TYPE_HASH, 'hash', field, 'old');
    a.add(TYPE_HASH, 'hash', 'sum', 3);
    for (let member = 0; member < 200; member++) a.put(TYPE_SET, 'set', `member ${member}`, '');
    a.put(TYPE_HASH, 'gone', 'field', 'old');
    a.put(TYPE_HASH, 'gone, written again', 'field', 'old');
    a.put(TYPE_HASH, 'another type', 'field', 'old');
    first.publish();
    pass(cluster, 3000);
    expect(third.replica.view()).toEqual(a.view());
    third.replicator.pauseLinks();
    for (const key of ['string', 'counter', 'gone', 'gone, written again', 'another type']) a.delete(key);
    a.remove(TYPE_HASH, 'hash', 'f');
    a.remove(TYPE_HASH, 'hash', 'sum');
    for (let member = 0; member < 100; member++) a.remove(TYPE_SET, 'set', `member ${member}`);
    a.set('another type', 'a string now');
    first.publish();
    second.replica.set('changed', 'new');
    second.publish();
    const c = third.replica;
    c.increment('counted on', 2);
    c.put(TYPE_HASH, 'hash', 'mine', 'away');
    c.put(TYPE_HASH, 'gone, written again', 'other', 'away');
    c.set('my string', 'away');
    third.publish();
    pass(cluster, horizonMs * 2.5);
    expect([first.tombstones, second.tombstones]).toEqual([0, 0]);
    third.replicator.resumeLinks();
    cluster.settle();
    const members = Array.from({ length: 100 }, (_none, index) => `member ${index + 100}=`).sort();
    const expected = [
      'another type type 1: a string now',
      'changed type 1: new',
      'counted on type 1: 7',
      'gone, written again type 5: other=away',
      'hash type 5: g=old h=old mine=away',
      'my string type 1: away',
      `set type 3: ${members.join(' ')}`,
    ];
    for (const { replica } of cluster.nodes) expect(replica.view()).toEqual(expected);
    expect(third.log.has('it resynchronises before it may push')).toBe(true);
    pass(cluster, 15_000);
    cluster.settle();
    expect(cluster.nodes.map((node) => node.tombstones)).toEqual([0, 0, 0]);
    for (const { replica } of cluster.nodes) expect(replica.view()).toEqual(expected);
  });

  it('says that it has what others wrote when it has the last key of it, and not before', async () => {
    const cluster = await KeyspaceCluster.of(Node, 3, 2);
    const [first, , third] = cluster.nodes;
    first.replica.set('old', 'value');
    first.publish();
    pass(cluster, 3000);
    third.replicator.pauseLinks();
    first.replica.delete('old');
    first.publish();
    pass(cluster, horizonMs * 2.5);
    for (let key = 0; key < 5; key++) first.replica.set(`key ${key}`, 'new');
    first.publish();
    const written = first.replicator.applied.all();
    const { applied } = third.replicator;
    const note = applied.note.bind(applied);
    const shown: string[][] = [];
    applied.note = (entries) => {
      note(entries);
      if (shown.length === 0 && applied.covers(written)) shown.push(third.replica.view());
    };
    third.replicator.resumeLinks();
    cluster.settle();
    expect(third.log.has('it resynchronises before it may push')).toBe(true);
    expect(shown).toEqual([first.replica.view()]);
  });

  it('brings back nothing that was deleted, whatever it held (random)', async () => {
    await withSeed(testFile, async (random) => {
      const cluster = await KeyspaceCluster.of(Node, 3, random.uint32());
      const [first, second, third] = cluster.nodes;
      const types = [TYPE_HASH, TYPE_SET];
      const write = (node: Node, prefix: string): void => {
        const { replica } = node;
        const key = `${prefix}${random.below(30)}`;
        const name = `f${random.below(8)}`;
        const kind = random.below(6);
        if (kind === 0) replica.set(`s ${key}`, String(random.below(1000)));
        else if (kind === 1) replica.increment(`i ${key}`, 1);
        else if (kind === 2) replica.add(TYPE_HASH, `n ${key}`, name, 1);
        else replica.put(types[kind % 2], `${types[kind % 2]} ${key}`, name, '1');
        node.publish();
      };
      for (let round = 0; round < 400; round++) write(cluster.nodes[random.below(3)], '');
      pass(cluster, 4000);
      third.replicator.pauseLinks();
      cluster.world.time.run(100);
      const deleted: string[] = [];
      for (const line of first.replica.view()) {
        const [key] = line.split(' type ');
        if (random.below(2) === 0) continue;
        deleted.push(key);
        const node = random.below(2) === 0 ? first : second;
        node.replica.delete(key);
        node.publish();
      }
      for (let round = 0; round < 100; round++) {
        write(third, 'away ');
        write(first, 'here ');
        cluster.world.time.run(10);
      }
      const mine = third.replica.view().filter((line) => line.includes('away '));
      const kept = second.replica.view();
      pass(cluster, horizonMs * 2.5);
      expect(first.tombstones).toBe(0);
      third.replicator.resumeLinks();
      cluster.settle();
      const expected = [...kept, ...mine].sort();
      for (const { replica } of cluster.nodes) expect(replica.view()).toEqual(expected);
      expect(deleted.length).toBeGreaterThan(0);
    });
  });
});

describe('what a resynchronising node takes', () => {
  const nowMs = (): number => epochMs;
  const never = () => ({ hi: 0, lo: 0 });

  function hashOf(fields: number): { giver: Replica; records: Buffer } {
    const giver = new Replica(1, nowMs);
    for (let field = 0; field < fields; field++) giver.put(TYPE_HASH, 'hash', `field ${field}`, '1');
    return { giver, records: Buffer.from(giver.takeState()) };
  }

  function adapterOf(replica: Replica): ReplicaAdapter {
    return new ReplicaAdapter(replica.keyspace, new RelayedTurns(), () => 0);
  }

  it('of a large key that it lacks is there as it comes, not when all of it has come', () => {
    const { giver, records } = hashOf(300);
    const taker = new Replica(2, nowMs);
    const taking = adapterOf(taker).startTaking({ boundOf: never, ownBoundOf: null });
    const reader = new RecordReader();
    let at = 0;
    for (let count = 0; count < 100; count++) at = reader.read(records, at, records.length);
    taking.records(records, 0, at);
    expect(taker.view()[0].split(' field ').length).toBeGreaterThan(90);
    taking.records(records, at, records.length);
    taking.end();
    expect(taker.view()).toEqual(giver.view());
    expect(taker.digest()).toBe(giver.digest());
  });

  it('of a key that it lacks leaves out what it has itself deleted, in every part', () => {
    const { giver, records } = hashOf(20);
    const { hi, lo } = giver.keyspace.clock;
    giver.put(TYPE_HASH, 'hash', 'field 7', '2');
    giver.put(TYPE_HASH, 'hash', 'new', '1');
    const later = Buffer.from(giver.takeState());
    const taker = new Replica(2, nowMs);
    const taking = adapterOf(taker).startTaking({ boundOf: never, ownBoundOf: () => ({ hi, lo }) });
    taking.records(records, 0, records.length);
    taking.records(later, 0, later.length);
    taking.end();
    expect(taker.view()).toEqual(['hash type 5: field 7=2 new=1']);
  });
});

describe('Snapchat/KeyDB', () => {
  it('111: increments on three nodes add up, though one of them is cut off in the middle of them', async () => {
    const cluster = await KeyspaceCluster.of(Node, 3, 7);
    const third = cluster.nodes[2];
    for (let round = 0; round < 300; round++) {
      for (const node of cluster.nodes) {
        node.replica.increment('counter', 1);
        node.publish();
      }
      if (round === 100) third.replicator.pauseLinks();
      if (round === 200) third.replicator.resumeLinks();
      cluster.world.time.run(20);
    }
    cluster.settle();
    for (const { replica } of cluster.nodes) expect(replica.view()).toEqual(['counter type 1: 900']);
  });

  it.each([
    ['a short while', 1000],
    ['longer than tombstones are kept', horizonMs * 2.5],
  ])('961: a counter that both sides of a split counted on for %s never falls when they meet', async (_, awayMs) => {
    const cluster = await KeyspaceCluster.of(Node, 2, 8);
    const readings = cluster.nodes.map(() => 0);
    const read = (): void => {
      for (const [index, { replica }] of cluster.nodes.entries()) {
        const reading = Number(replica.view()[0].split(': ')[1]);
        expect(reading).toBeGreaterThanOrEqual(readings[index]);
        readings[index] = reading;
      }
    };
    const count = (times: number): void => {
      for (let time = 0; time < times; time++) {
        for (const node of cluster.nodes) {
          node.replica.increment('counter', 1);
          node.publish();
        }
        cluster.world.time.run(1);
        read();
      }
    };
    count(200);
    cluster.settle();
    for (const { replicator } of cluster.nodes) replicator.pauseLinks();
    count(100);
    pass(cluster, awayMs);
    count(100);
    for (const { replicator } of cluster.nodes) replicator.resumeLinks();
    for (let step = 0; step < 500; step++) {
      cluster.world.time.run(20);
      read();
    }
    cluster.settle();
    expect(cluster.nodes.flatMap(({ replica }) => replica.view())).toEqual(
      cluster.nodes.map(() => 'counter type 1: 800'),
    );
  });
});
