import { describe, expect, it } from '@jest/globals';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ReusedBatch } from '../../../storage/backends/level-batch.ts';
import { levelBufferBytes, openLevelDatabase } from '../../../storage/backends/level-database.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const MEBIBYTE = 1 << 20;

describe('the batch that is used again', () => {
  it('writes what was put since it was begun, also after one that was given up and one too large to be kept', async () => {
    const database = await openLevelDatabase(temporaryFolder('level'), 2 * MEBIBYTE);
    const reused = new ReusedBatch(database);
    // Buffers are used again as soon as they were put.
    const key = Buffer.alloc(1);
    const put = (name: string, value: string): void => {
      key.write(name);
      batch.put(key, Buffer.from(value));
    };
    let batch = reused.begin();
    put('a', 'first');
    put('b', 'first');
    await batch.write({ sync: true });
    batch = reused.begin();
    put('a', 'given up');
    batch = reused.begin();
    put('c', 'x'.repeat(9 * MEBIBYTE));
    await batch.write({ sync: true });
    expect((await database.get(Buffer.from('a')))?.toString()).toBe('first');
    await database.put(Buffer.from('b'), Buffer.from('by another'));
    batch = reused.begin();
    put('a', 'second');
    await batch.write({ sync: true });
    const entries = (await database.iterator().all()).map(([name, value]) => [`${name}`, `${value}`.slice(0, 10)]);
    expect(entries).toEqual([
      ['a', 'second'],
      ['b', 'by another'],
      ['c', 'xxxxxxxxxx'],
    ]);
    await database.close();
  });
});

it('lets go of a batch that was too large to be kept', async () => {
  const database = await openLevelDatabase(temporaryFolder('level'), 2 * MEBIBYTE);
  const made: WeakRef<object>[] = [];
  const { batch } = database;
  database.batch = ((...args: []) => {
    const one = batch.apply(database, args);
    made.push(new WeakRef(one));
    return one;
  }) as typeof batch;
  const reused = new ReusedBatch(database);
  for (const name of ['a', 'b', 'c', 'd']) {
    const changes = reused.begin();
    changes.put(Buffer.from(name), Buffer.alloc(9 * MEBIBYTE));
    await changes.write({ sync: false });
  }
  expect(made).toHaveLength(4);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // A weak reference holds what it was asked for until the turn is over.
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  expect(made.filter((one) => one.deref() !== undefined).length).toBeLessThan(2);
  await database.close();
});

describe("LevelDB's buffers", () => {
  it.each([
    [0, 16],
    [1024, 16],
    [256, 16],
    [128, 8],
    [8, 2],
  ])('of a node with %d MiB of maxmemory have %d MiB', (mebibytes, expected) => {
    expect(levelBufferBytes(mebibytes * MEBIBYTE)).toBe(expected * MEBIBYTE);
  });
});
