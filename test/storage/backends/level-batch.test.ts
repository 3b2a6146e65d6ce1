import { describe, expect, it } from '@jest/globals';
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
