import { describe, expect, it } from '@jest/globals';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { LevelHeld } from '../../storage/backends/level-held.ts';
import { LevelQueue } from '../../storage/backends/level-queue.ts';
import { LevelStore } from '../../storage/backends/level.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { contentOf, expectedContent, fixtureFolder, fixtureRecords } from './fixtures.ts';
import { storeEnvironment } from '../support/store-environment.ts';

describe('what an earlier commit wrote', () => {
  it('is read as change records', async () => {
    const records = fixtureRecords();
    const content = await contentOf((onRecords) => Promise.resolve(onRecords(records)));
    expect(content).toEqual(expectedContent());
  });

  it('is read from a data directory, with its small facts and its queues', async () => {
    const directory = join(temporaryFolder('fixture'), 'registers');
    cpSync(join(fixtureFolder, 'data-dir/registers'), directory, { recursive: true });
    const store = new LevelStore({ directory });
    await store.open();
    expect(await contentOf((onRecords) => store.load(onRecords))).toEqual(expectedContent());
    expect(store.quarantine.count).toBe(0);
    expect((await store.readMeta('node-id'))?.toString()).toBe('00000000000000a1');
    const queue = new LevelQueue(store);
    await queue.open();
    expect(queue.queuedCount).toBeGreaterThan(0);
    const batch = await queue.take(1000, 1 << 20);
    const held = new LevelHeld(store, storeEnvironment.monotonicMs);
    await held.open();
    expect(await held.heldGenerations()).toMatchObject([{ generation: 1, seen: null }]);
    expect((await held.readHeld(1, null)).records).toEqual(batch?.records);
    await store.close();
  });
});
