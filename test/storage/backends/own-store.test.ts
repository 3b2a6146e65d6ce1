/** The store of docs/durable-stores.md: it keeps the contract, and a node that has no other comes back from it. */
import { describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { FileStore } from '../../../examples/own-store/file-store.ts';
import { OFFSET_STAMP } from '../../../protocol/change-record.ts';
import { Mantis } from '../../../server/mantis.ts';
import type { DurableStore } from '../../../storage/backends/backend.ts';
import { OwnTable } from '../../../storage/backends/own-table.ts';
import { FlushEngine, realStores } from '../../../storage/flush/flush-engine.ts';
import { storeEnvironment } from '../../support/store-environment.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait-for.ts';
import { contentsOf, describeBackend } from '../backend-contract.ts';
import { MemoryStore } from '../memory-store.ts';
import { pack, type RecordFields, RegisterModel } from '../registers.ts';

async function openStore(path: string): Promise<FileStore> {
  const store = new FileStore(path);
  await store.open();
  return store;
}

describeBackend(
  'file (the example of a store of one’s own)',
  async () => {
    const path = join(temporaryFolder('own-store'), 'registers');
    return { store: await openStore(path), reopen: () => openStore(path) };
  },
  'test/storage/backends/own-store.test.ts',
);

describe('a node on a store of the application’s own', () => {
  it('alone has after a restart what it had, and reads back what it evicts', async () => {
    const path = join(temporaryFolder('own-store'), 'registers');
    const options = { 'read-through': 'yes', maxmemory: '1mb', 'maxmemory-policy': 'allkeys-lru' };
    const start = (): Promise<Mantis> =>
      Mantis.start({ store: new FileStore(path), dataDir: null, flushIntervalMs: 20, options });
    const node = await start();
    for (let index = 0; index < 500; index++) await node.set(`key:${index}`, `value ${index}`);
    await node.increment('visits', 2);
    await node.delete('key:3');
    await node.flush();
    await node.stop();
    const again = await start();
    expect([again.get('key:1'), again.get('key:3'), again.get('visits')]).toEqual(['value 1', null, '2']);
    await again.stop();
    const small = await Mantis.start({
      store: new FileStore(path),
      dataDir: null,
      options: { ...options, maxmemory: '300kb' },
    });
    for (let index = 1000; index < 1500; index++) await small.set(`key:${index}`, 'x'.repeat(1000));
    const names = Array.from({ length: 500 }, (_, index) => `key:${index}`).filter((name) => name !== 'key:3');
    const [first, second, third] = await waitFor('what is evicted', () => {
      const gone = names.filter((name) => !small.has(name));
      return gone.length > 100 ? gone : null;
    });
    await small.load(first);
    expect(small.get(first)).toBe(first.replace('key:', 'value '));
    await Promise.all([small.load(second), small.load('never there')]);
    expect([small.get(second), small.get('never there')]).toEqual([second.replace('key:', 'value '), null]);
    expect([await small.increment('visits', 3), await small.delete(third)]).toEqual([5, true]);
    await small.stop();
  }, 60_000);

  it('behind the embedded store is given everything, also after it had failed', async () => {
    const folder = temporaryFolder('own-store');
    const store = new FileStore(join(folder, 'registers'));
    const write = store.write.bind(store);
    let failures = 3;
    store.write = async (records) => {
      if (failures-- > 0) throw new Error('not now');
      await write(records);
    };
    const node = await Mantis.start({ store, dataDir: join(folder, 'data'), flushIntervalMs: 20 });
    await node.set('key', 'value');
    await waitFor('the register', async () => (await contentsOf(store)).length === 1, { deadlineMs: 20_000 });
    expect(failures).toBeLessThan(1);
    await node.stop();
  }, 60_000);
});

describe('the sums of a deleted field in a store of the application’s own, beside an embedded one', () => {
  const nameOf = (field: string, origin: number): Buffer =>
    Buffer.concat([Buffer.from([field.length, 0, 0, 0]), Buffer.from(field), Buffer.alloc(8, origin)]);
  const valueFrom = (step: number): Buffer =>
    Buffer.concat([pack({ key: '', step }).subarray(OFFSET_STAMP, OFFSET_STAMP + 16), Buffer.alloc(16)]);
  const sum = (field: string, origin: number, begun: number): RecordFields => ({
    key: 'h',
    kind: 40,
    element: nameOf(field, origin),
    step: 9,
    value: valueFrom(begun),
  });
  const tombstone = { key: 'h', kind: 32, element: 'f', step: 5, dead: true };

  /** What is left in a store that another node, which is gone, has brought sums to, when this one forgets the tombstone. */
  async function leftBehind(store: DurableStore): Promise<string[]> {
    const directory = join(temporaryFolder('own-store'), 'registers');
    const failed = (error: Error): void => {
      throw error;
    };
    const options = { directory, mysqlUrl: null, isQueueing: true, connectTimeoutMs: 0, queryTimeoutMs: 0 };
    const events = { onStatus: () => undefined, onEmptied: () => undefined, onFatal: failed };
    const engine = new FlushEngine(
      { ...options, backoffMsMax: 100, takeoverMs: 10_000 },
      'own',
      null,
      events,
      storeEnvironment,
      { ...realStores, mysql: () => new OwnTable(store) },
    );
    await engine.open();
    await store.write(pack(sum('f', 1, 2), sum('f', 2, 6), sum('g', 1, 2), { key: 'h', kind: 32, element: 'g' }));
    await engine.write(pack(tombstone));
    const staying = await engine.remove(pack(tombstone), Infinity, () => Promise.resolve());
    expect(staying).toHaveLength(0);
    await engine.close();
    return contentsOf(store);
  }

  it('go with its tombstone where the store finds them', async () => {
    const expected = new RegisterModel();
    expected.merge(pack(sum('f', 2, 6), sum('g', 1, 2), { key: 'h', kind: 32, element: 'g' }));
    expect(await leftBehind(new MemoryStore())).toEqual(expected.contents());
  });

  it('stay where it does not', async () => {
    const store = Object.assign(new MemoryStore(), { fetchSums: undefined });
    expect(await leftBehind(store)).toHaveLength(4);
  });
});
