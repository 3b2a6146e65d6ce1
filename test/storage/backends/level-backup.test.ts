import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { backUp } from '../../../storage/backends/level-backup.ts';
import { LevelStore } from '../../../storage/backends/level.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const STORE_FOLDER = 'registers';

describe('a backup of an embedded store', () => {
  const outside = temporaryFolder('backup-place');
  const above = join(outside, 'above');
  const dataDir = join(above, 'data');
  let store: LevelStore;

  beforeAll(async () => {
    mkdirSync(dataDir, { recursive: true });
    symlinkSync(dataDir, join(outside, 'link'));
    store = new LevelStore({ directory: join(dataDir, STORE_FOLDER) });
    await store.open();
    await store.writeMeta('name', Buffer.from('value'));
  });
  afterAll(() => store.close());

  const copyTo = (directory: string, isReplacing: boolean): Promise<number> =>
    backUp(store.database, { directory, dataDir, storeFolder: STORE_FOLDER, isReplacing, withoutMeta: [] });

  it.each([
    ['the data folder', dataDir],
    ['a folder in it', join(dataDir, 'copy')],
    ['a folder deep in it', join(dataDir, 'a', 'b', 'copy')],
    ['the folder of its store', join(dataDir, STORE_FOLDER)],
    ['a link to it', join(outside, 'link')],
    ['a folder behind a link to it', join(outside, 'link', 'copy')],
    ['a path with dots', `${outside}/nowhere/../link/copy/`],
    ['the folder above it', above],
    ['a folder far above it', outside],
  ])('is not made in the place of %s, nor over it', async (_what, directory) => {
    const before = readdirSync(outside, { recursive: true }).length;
    for (const isReplacing of [true, false]) {
      await expect(copyTo(directory, isReplacing)).rejects.toThrow(
        /is to be copied.*: name (another folder|a folder outside of it) for the backup/,
      );
    }
    expect(readdirSync(outside, { recursive: true })).toHaveLength(before);
    expect(existsSync(join(dataDir, STORE_FOLDER, 'CURRENT'))).toBe(true);
  });

  it.each(['partial', 'replaced'])('does not take the data folder for a left over .%s', async (ending) => {
    const named = join(above, `named.${ending}`);
    await store.close();
    renameSync(dataDir, named);
    const other = new LevelStore({ directory: join(named, STORE_FOLDER) });
    await other.open();
    try {
      const plan = { dataDir: named, storeFolder: STORE_FOLDER, isReplacing: true, withoutMeta: [] };
      const copying = backUp(other.database, { ...plan, directory: join(above, 'named') });
      await expect(copying).rejects.toThrow(/is to be copied/);
    } finally {
      await other.close();
      renameSync(named, dataDir);
      await store.open();
    }
    expect((await store.readMeta('name'))?.toString()).toBe('value');
  });

  it('replaces a copy, and nothing else', async () => {
    const directory = join(outside, 'copy');
    expect(await copyTo(`${directory}/`, true)).toBe(2);
    expect(await copyTo(directory, true)).toBe(2);
    await expect(copyTo(directory, false)).rejects.toThrow(/exists and is not empty: name another folder/);
    const letters = join(outside, 'letters');
    mkdirSync(letters);
    expect(await copyTo(letters, true)).toBe(2);
    mkdirSync(`${letters}-2`);
    writeFileSync(join(`${letters}-2`, 'a'), 'dear');
    await expect(copyTo(`${letters}-2`, true)).rejects.toThrow(
      /other files than those of a backup, which would be lost/,
    );
    await expect(copyTo(join(`${letters}-2`, 'a'), true)).rejects.toThrow(/is a file: name another folder/);
    expect(readdirSync(outside).sort()).toEqual(['above', 'copy', 'letters', 'letters-2', 'link']);
  });
});
