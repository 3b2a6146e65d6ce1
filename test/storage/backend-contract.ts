import { describe, expect, it } from '@jest/globals';
import { RecordError, RecordWriter } from '../../protocol/change-record.ts';
import type { DurableStore } from '../../storage/backends/backend.ts';
import { packKeyNames } from '../../storage/backends/key-names.ts';
import { withSeed } from '../support/seed.ts';
import { appendRecord, pack, randomRecord, RegisterModel, split } from './registers.ts';

export interface StoreUnderTest {
  store: DurableStore;
  /** The same content opened again, as after a restart. */
  reopen(): Promise<DurableStore>;
}

/** What a store gives when it is loaded; fails when it gives a register twice. */
export async function contentsOf(store: DurableStore): Promise<string[]> {
  const model = new RegisterModel();
  let lastDone = 0;
  await store.load((records, rowsDone, rowsTotal) => {
    expect(rowsDone).toBeGreaterThanOrEqual(lastDone);
    expect(rowsTotal).toBeGreaterThanOrEqual(rowsDone);
    lastDone = rowsDone;
    expect(model.merge(records, 'store')).toBe(split(records).length);
  });
  return model.contents();
}

/** The contract that every durable store keeps. `create` gives an open, empty store. */
export function describeBackend(name: string, create: () => Promise<StoreUnderTest>, testFile: string): void {
  describe(`${name} store`, () => {
    it('gives back what was written, byte for byte, after a restart too', async () => {
      const { store, reopen } = await create();
      const records = pack(
        { key: 'greeting', value: 'hello' },
        { key: 'a', value: '1' },
        { key: 'A', value: '2' },
        { key: 'a ', value: '3' },
        { key: 'a', database: 1, value: '4' },
        { key: 'a', kind: 2, element: Buffer.alloc(8, 1), value: 'sum' },
        { key: 'a', kind: 2, element: '', deadline: { ms: 5, step: 2 } },
        { key: '', kind: 3, step: 9 },
        { key: 'gone', dead: true },
        { key: 'kept', deadline: { ms: 1_700_000_000_123, step: 1 }, value: '\0\xff' },
        { key: 'persisted', deadline: { ms: 0, step: 2 } },
        { key: 'expired', expired: true, deadline: { ms: 5, step: 2 } },
        { key: Buffer.alloc(100_000, 'k'), value: Buffer.alloc(300_000, 'v') },
      );
      await store.write(records);
      const model = new RegisterModel();
      model.merge(records);
      const expected = model.contents();
      expect(expected).toHaveLength(13);
      expect(await contentsOf(store)).toEqual(expected);
      await store.close();
      const again = await reopen();
      expect(await contentsOf(again)).toEqual(expected);
      await again.close();
    });

    it('is empty at first, and takes nothing of an empty batch', async () => {
      const { store } = await create();
      await store.write(Buffer.alloc(0));
      expect(await contentsOf(store)).toEqual([]);
      await store.close();
    });

    it('keeps the greatest version of each register, in whatever order and however often versions come', async () => {
      await withSeed(testFile, async (random) => {
        const { store } = await create();
        const model = new RegisterModel();
        const all = Array.from({ length: 400 }, () => pack(randomRecord(random)));
        for (const record of all) model.merge(record);
        for (const order of [random.shuffle(all), random.shuffle(all)]) {
          for (let at = 0; at < order.length;) {
            const count = random.below(60) + 1;
            await store.write(Buffer.concat(order.slice(at, at + count)));
            at += count;
          }
        }
        expect(await contentsOf(store)).toEqual(model.contents());
        await store.close();
      });
    });

    it('refuses malformed records and applies nothing of their batch', async () => {
      const { store } = await create();
      const good = pack({ key: 'good' });
      await expect(store.write(Buffer.concat([good, good.subarray(0, 20)]))).rejects.toThrow(RecordError);
      expect(await contentsOf(store)).toEqual([]);
      await store.close();
    });

    it('keeps no batch flags', async () => {
      const { store } = await create();
      const records = pack({ key: 'a' });
      const flagged = Buffer.from(records);
      flagged[6] |= 8 | 16;
      await store.write(flagged);
      expect(await contentsOf(store)).toEqual([records.toString('hex')]);
      await store.close();
    });

    it('loads in slices', async () => {
      const { store } = await create();
      const writer = new RecordWriter();
      for (let index = 0; index < 6000; index++) {
        appendRecord(writer, { key: `key:${index}`, value: Buffer.alloc(400, index) });
      }
      await store.write(writer.take());
      const lengths: number[] = [];
      let isInside = false;
      await store.load(async (records) => {
        expect(isInside).toBe(false);
        isInside = true;
        lengths.push(records.length);
        await new Promise(setImmediate);
        isInside = false;
      });
      expect(lengths.length).toBeGreaterThanOrEqual(3);
      expect(Math.max(...lengths)).toBeLessThan(1_200_000);
      await store.close();
    });

    it('gives all registers of the keys that it is asked for, and nothing else', async () => {
      const { store } = await create();
      const large = Array.from({ length: 3000 }, (_, index) => ({
        key: 'large',
        kind: 4,
        element: `member:${index}`,
        value: Buffer.alloc(100, index),
      }));
      const wanted = pack(
        { key: 'a', value: '1' },
        { key: 'a', kind: 2, element: Buffer.alloc(8, 1), value: 'sum' },
        { key: 'a', database: 1, dead: true },
        { key: '', value: 'empty' },
        { key: Buffer.alloc(5000, 'k'), value: 'long' },
        ...large,
      );
      const others = [{ key: 'A' }, { key: 'a ' }, { key: 'ab' }, { key: 'b', database: 1 }, { key: 'a', database: 2 }];
      await store.write(Buffer.concat([wanted, pack(...others)]));
      const names = [
        ...['a', '', 'k'.repeat(5000), 'large', 'absent'].map((key) => ({ database: 0, key: Buffer.from(key) })),
        { database: 1, key: Buffer.from('a') },
      ];
      const given: string[] = [];
      let isInside = false;
      await store.fetch?.(packKeyNames(names), async (records) => {
        expect(isInside).toBe(false);
        isInside = true;
        expect(records.length).toBeLessThan(256 << 10);
        given.push(...split(records).map((record) => record.toString('hex')));
        await new Promise(setImmediate);
        isInside = false;
      });
      const expected = split(wanted).map((record) => record.toString('hex'));
      expect(given.sort()).toEqual(expected.sort());
      await store.fetch?.(Buffer.alloc(0), () => Promise.reject(new Error('nothing was asked for')));
      await store.close();
    });

    it('removes what is not newer than asked', async () => {
      const { store } = await create();
      const all = pack(
        { key: 'older', step: 1 },
        { key: 'same', step: 2, dead: true },
        { key: 'newer', step: 3 },
        { key: 'dying', step: 2, deadline: { ms: 5, step: 2 } },
        { key: 'other' },
      );
      await store.write(all);
      await store.remove?.(
        pack(
          { key: 'dying', step: 2, dead: true },
          { key: 'older', step: 2 },
          { key: 'same', step: 2, dead: true },
          { key: 'newer', step: 2 },
          { key: 'absent' },
        ),
      );
      const kept = pack({ key: 'newer', step: 3 }, { key: 'other' });
      // A store may keep everything.
      const expected = split(store.remove === undefined ? all : kept).map((record) => record.toString('hex'));
      expect(await contentsOf(store)).toEqual(expected.sort());
      await store.close();
    });

    it('can be closed twice', async () => {
      const { store } = await create();
      await store.close();
      await store.close();
    });
  });
}
