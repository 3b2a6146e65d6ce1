import { describe, expect, it } from '@jest/globals';
import { RecordWriter } from '../../../protocol/change-record.ts';
import { keyNamesOf } from '../../../storage/backends/key-names.ts';
import type { SearchStep } from '../../../storage/backends/key-search.ts';
import { LevelStore } from '../../../storage/backends/level.ts';
import { TYPE_HASH } from '../../../storage/arena/block.ts';
import { drainDirty } from '../../../storage/changes/outflow.ts';
import { Digests } from '../../../storage/digests/digests.ts';
import { KeyHashes } from '../../../storage/digests/key-hashes.ts';
import { withSeed } from '../../support/seed.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { Replica } from '../collections/replicas.ts';

const testFile = 'test/storage/eviction/evicted-search.test.ts';

/** What all steps of a search find, in order, and how many steps there were. */
async function foundIn(store: LevelStore, hashes: KeyHashes): Promise<{ names: string[]; steps: number }> {
  const names: string[] = [];
  let steps = 0;
  for (let from: Buffer | null = null; ;) {
    const step: SearchStep = await store.search(hashes.bytes, from);
    for (const { database, key } of keyNamesOf(step.names)) names.push(`${database}:${String(key)}`);
    steps++;
    if (step.next === null) return { names: names.sort(), steps };
    from = step.next;
  }
}

describe('hashes of keys', () => {
  it('are a set, also where it was sent', async () => {
    await withSeed(testFile, (random) => {
      const hashes = KeyHashes.empty(random.uint32());
      const model = new Set<string>();
      const drawn = Array.from({ length: 3000 }, () => [random.below(50), random.below(50)]);
      for (const [hi, lo] of drawn) {
        if (hi + lo === 0) continue;
        hashes.add(hi, lo);
        model.add(`${hi}.${lo}`);
      }
      for (const set of [hashes, KeyHashes.of(hashes.bytes)]) {
        expect(set.count).toBe(model.size);
        const found: string[] = [];
        for (let slot = 0; slot < set.slotCount; slot += 100)
          set.visit(slot, slot + 100, (hi, lo) => found.push(`${hi}.${lo}`));
        expect(found.sort()).toEqual([...model].sort());
        for (const [hi, lo] of drawn) expect(set.has(hi, lo)).toBe(model.has(`${hi}.${lo}`));
      }
    });
  });
});

describe('LevelDB', () => {
  it('is searched for keys by their hashes in steps, and large collections are passed over', async () => {
    const store = new LevelStore({ directory: temporaryFolder('level') });
    await store.open();
    const replica = new Replica(1, () => 1_700_000_000_000);
    for (let field = 0; field < 20_000; field++) replica.put(TYPE_HASH, 'm large', `field ${field}`, '1');
    for (let key = 0; key < 3000; key++) replica.set(`key:${key}`, 'value');
    replica.set('z', 'last');
    replica.set('', 'no name');
    const writer = new RecordWriter();
    while (drainDirty(replica.keyspace, writer, Infinity) > 0);
    await store.putNewest([writer.take()], null);
    const digests = new Digests();
    const hashes = KeyHashes.empty(7);
    const wanted = ['m large', 'z', '', 'never', ...Array.from({ length: 1500 }, (_, at) => `key:${at * 2}`)];
    for (const name of wanted) {
      digests.hashKey(0, Buffer.from(name), 0, name.length);
      hashes.add(digests.keyHi, digests.keyLo);
    }
    const { names, steps } = await foundIn(store, hashes);
    expect(names).toEqual(
      wanted
        .filter((name) => name !== 'never')
        .map((name) => `0:${name}`)
        .sort(),
    );
    expect(steps).toBeGreaterThan(1);
    await store.close();
  });
});
