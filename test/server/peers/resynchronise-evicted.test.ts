/** Nodes that were away beyond the tombstone horizon, and of which most is in their stores alone. */
import { describe, expect, it } from '@jest/globals';
import { RecordReader, RecordWriter } from '../../../protocol/change-record.ts';
import { stampHiOf, stampLoOf } from '../../../protocol/stamp.ts';
import { TYPE_HASH, TYPE_SET } from '../../../storage/arena/block.ts';
import { type KeyName, packKeyNames } from '../../../storage/backends/key-names.ts';
import type { SearchStep } from '../../../storage/backends/key-search.ts';
import { drainDirty } from '../../../storage/changes/outflow.ts';
import { nameOf } from '../../../storage/eviction/doubted-keys.ts';
import { Eviction } from '../../../storage/eviction/eviction.ts';
import { Reaper } from '../../../storage/tombstones/reaper.ts';
import type { VirtualWorld } from '../../replication/virtual-world.ts';
import { Replica } from '../../storage/collections/replicas.ts';
import { MemoryStore } from '../../storage/memory-store.ts';
import { withSeed } from '../../support/seed.ts';
import { epochMs, KeyspaceCluster, KeyspaceNode, wallMs } from '../keyspace-cluster.ts';

const testFile = 'test/server/peers/resynchronise-evicted.test.ts';
const horizonMs = 20_000;

/** A store that can be gone through for the names of its keys. */
class SearchedStore extends MemoryStore {
  readonly #names = new Map<string, KeyName>();

  override async write(records: Buffer): Promise<void> {
    const reader = new RecordReader();
    for (let at = 0; at < records.length;) {
      at = reader.read(records, at);
      const { database, buffer, keyStart, keyLength } = reader;
      const key = Buffer.from(buffer.subarray(keyStart, keyStart + keyLength));
      this.#names.set(nameOf(database, key), { database, key });
    }
    await super.write(records);
  }

  async search(): Promise<SearchStep> {
    return { names: packKeyNames([...this.#names.values()]), next: null };
  }

  /** What a restart would show. */
  async view(): Promise<string[]> {
    const replica = new Replica(99, () => epochMs);
    replica.keyspace.hydrating = true;
    await this.load(async (records) => replica.apply(records));
    return replica.view();
  }
}

class Node extends KeyspaceNode {
  readonly stored: SearchedStore;
  readonly #reaper: Reaper;
  readonly #eviction: Eviction;
  readonly #world: VirtualWorld;
  readonly #writer = new RecordWriter();

  constructor(world: VirtualWorld, number: number) {
    const stored = new SearchedStore();
    super(world, number, { tombstoneHorizonMs: horizonMs, repairIntervalMs: 5000 }, stored);
    this.stored = stored;
    this.#world = world;
    const { keyspace } = this.replica;
    // The store keeps its tombstones: what they have outlived is there, too.
    const sink = { canRemove: true, remove: () => Promise.resolve(Buffer.alloc(0)) };
    this.#reaper = new Reaper(keyspace, sink);
    this.#eviction = new Eviction(keyspace, () => this.random.fraction());
    this.#eviction.isPinned = (database, ref) => this.readThrough!.isPinned(database, ref);
  }

  override store(): void {
    while (drainDirty(this.replica.keyspace, this.#writer, 1 << 20) > 0);
    const records = Buffer.from(this.#writer.take());
    // It takes what it is given before it returns.
    if (records.length > 0) void this.stored.write(records);
  }

  evictDownTo(keyCount: number): void {
    this.store();
    const { database } = this.replica;
    while (database.keyCount > keyCount && this.#eviction.evictOne('allkeys-random', 5) === 'yes');
  }

  /** One round of the node's timer: stores what is dirty, reads back what is sought, drops the tombstones that may go. */
  tick(): void {
    const { keyspace } = this.replica;
    keyspace.clock.refresh();
    this.store();
    this.readThrough!.tick(this.#world.time.monotonicMs());
    const oldMs = wallMs(this.#world) - horizonMs;
    const old = { hi: stampHiOf(oldMs), lo: stampLoOf(oldMs, 0) };
    const bound = this.replicator.reapableStamp(old) ?? { hi: keyspace.clock.hi, lo: keyspace.clock.lo };
    this.replicator.noteReaped(bound);
    this.#reaper.step(bound, bound);
  }

  async read(keys: Iterable<string>): Promise<void> {
    const names = [...keys].map((key) => ({ database: 0, key: Buffer.from(key) }));
    const partial = names.filter(({ key }) =>
      this.replica.keyspace.isPartial(this.replica.database, key, 0, key.length),
    );
    if (partial.length > 0) await this.readThrough!.fetch(partial);
  }

  get tombstones(): number {
    return this.replica.database.index.count - this.replica.database.keyCount;
  }
}

type Cluster = KeyspaceCluster<Node>;

/** Lets time go by in which what stores are asked for comes. */
async function pass(cluster: Cluster, durationMs: number, stepMs = 250): Promise<void> {
  for (let passedMs = 0; passedMs < durationMs; passedMs += stepMs) {
    cluster.world.time.run(stepMs);
    for (const node of cluster.nodes) node.tick();
    await new Promise(setImmediate);
  }
}

function keysOf(view: readonly string[]): string[] {
  return view.map((line) => line.split(' type ')[0]);
}

/** Reads back all of the keys on each node, and gives what it then shows, with what each store would show. */
async function everything(cluster: Cluster, keys: Iterable<string>): Promise<string[][]> {
  const views: string[][] = [];
  for (const node of cluster.nodes) {
    node.store();
    views.push(await node.stored.view());
    await node.read(keys);
    views.push(node.replica.view());
  }
  return views;
}

describe('a node that has evicted keys, and comes back after the others have dropped tombstones', () => {
  it.each([[2], [0]])(
    'brings nothing back from its store, and loses nothing that it wrote (number %i)',
    async (away) => {
      const cluster = await KeyspaceCluster.of(Node, 3, 1);
      const evicting = cluster.nodes[away];
      const [first, second] = cluster.nodes.filter((node) => node !== evicting);
      const a = first.replica;
      for (let key = 0; key < 40; key++) {
        a.set(`string ${key}`, 'old');
        for (const field of ['f', 'g']) a.put(TYPE_HASH, `hash ${key}`, field, 'old');
        a.add(TYPE_HASH, `hash ${key}`, 'sum', 3);
        a.increment(`counter ${key}`, 5);
      }
      first.publish();
      await pass(cluster, 3000);
      const names = keysOf(a.view());
      evicting.replicator.pauseLinks();
      evicting.evictDownTo(20);
      for (let key = 0; key < 20; key++) {
        a.delete(`string ${key}`);
        a.delete(`hash ${key}`);
        a.delete(`counter ${key}`);
        a.remove(TYPE_HASH, `hash ${key + 20}`, 'f');
        a.remove(TYPE_HASH, `hash ${key + 20}`, 'sum');
      }
      first.publish();
      cluster.world.time.run(10);
      evicting.replica.keyspace.clock.refresh();
      await evicting.read(['hash 1', 'hash 21']);
      evicting.replica.put(TYPE_HASH, 'hash 1', 'mine', 'away');
      evicting.replica.put(TYPE_HASH, 'hash 21', 'mine', 'away');
      evicting.replica.set('string 2', 'away');
      evicting.replica.set('mine', 'away');
      evicting.publish();
      evicting.evictDownTo(2);
      await pass(cluster, horizonMs * 2.5);
      expect([first.tombstones, second.tombstones]).toEqual([0, 0]);
      evicting.replicator.resumeLinks();
      await pass(cluster, 40_000);
      expect(evicting.log.has('it resynchronises before it may push')).toBe(true);
      const expected = [
        ...a.view().filter((line) => !/^(hash 1|hash 21|string 2|mine) /.test(line)),
        'hash 1 type 5: mine=away',
        'hash 21 type 5: g=old mine=away',
        'string 2 type 1: away',
        'mine type 1: away',
      ].sort();
      const views = await everything(cluster, [...names, 'mine']);
      for (const [at, view] of views.entries()) expect([at, view]).toEqual([at, expected]);
      expect(cluster.isEqual).toBe(true);
    },
  );

  it('brings nothing back, whatever is read and evicted meanwhile (random)', async () => {
    await withSeed(testFile, async (random) => {
      const cluster = await KeyspaceCluster.of(Node, 3, random.uint32());
      const evicting = cluster.nodes[random.below(3)];
      const [first, second] = cluster.nodes.filter((node) => node !== evicting);
      const write = (node: Node, prefix: string): void => {
        const { replica } = node;
        const key = `${prefix}${random.below(40)}`;
        const field = `f${random.below(6)}`;
        const kind = random.below(5);
        if (kind === 0) replica.set(`s ${key}`, String(random.below(1000)));
        else if (kind === 1) replica.increment(`i ${key}`, 1);
        else if (kind === 2) replica.add(TYPE_HASH, `h ${key}`, field, 1);
        else replica.put(kind === 3 ? TYPE_HASH : TYPE_SET, `${kind === 3 ? 'h' : 't'} ${key}`, field, '1');
        node.publish();
      };
      for (let round = 0; round < 500; round++) write(random.pick(cluster.nodes), '');
      await pass(cluster, 4000);
      evicting.replicator.pauseLinks();
      const names = keysOf(first.replica.view());
      evicting.evictDownTo(random.below(30));
      for (const key of names) {
        const { replica } = random.pick([first, second]);
        if (random.chance(0.4)) replica.delete(key);
        else if (key.startsWith('h ') && random.chance(0.6)) replica.remove(TYPE_HASH, key, `f${random.below(6)}`);
        else if (key.startsWith('t ') && random.chance(0.6)) replica.remove(TYPE_SET, key, `f${random.below(6)}`);
        else if (random.chance(0.2)) replica.put(TYPE_HASH, key, 'here', 'new');
      }
      first.publish();
      second.publish();
      for (let round = 0; round < 60; round++) {
        write(evicting, 'away ');
        write(first, 'here ');
        cluster.world.time.run(10);
      }
      const mine = evicting.replica.view().filter((line) => line.includes('away '));
      evicting.evictDownTo(random.below(10));
      await pass(cluster, horizonMs * 2.5);
      expect([first.tombstones, second.tombstones]).toEqual([0, 0]);
      const expected = [...second.replica.view(), ...mine].sort();
      evicting.replicator.resumeLinks();
      const keys = keysOf([...expected, ...names]);
      // Slices of what a repair does take no virtual time, and go one a turn of the event loop.
      for (let step = 0; step < 3000; step++) {
        cluster.world.time.run(random.below(3));
        if (random.chance(0.1)) void evicting.read([random.pick(keys), random.pick(keys)]);
        if (random.chance(0.05)) evicting.evictDownTo(random.below(40));
        if (random.chance(0.3)) await new Promise(setImmediate);
        if (step % 100 === 0) for (const node of cluster.nodes) node.tick();
      }
      await pass(cluster, 40_000);
      const views = await everything(cluster, keys);
      for (const [at, view] of views.entries()) expect([at, view]).toEqual([at, expected]);
      expect(evicting.readThrough!.doubted.isEmpty).toBe(true);
    });
  });
});
