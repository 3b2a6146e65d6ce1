/**
 * Copies of the embedded store. LevelDB has no checkpoint of its own: an iterator sees the store as it was when the iterator was
 * made, whatever is written meanwhile, and what it gives is written into a new store beside the place that was named. That one
 * is moved there when it is whole, so that a copy that was cut short is never taken for one.
 */
import { ClassicLevel } from 'classic-level';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type BackupPlace, backupPlace, checkBackupPlace } from './backup-place.ts';
import { META_PREFIX } from './level.ts';
import { levelErrorOf } from './level-errors.ts';
import { makeFolder } from './make-folder.ts';
import { syncFolder } from './sync-folder.ts';

const ENTRIES_A_READ = 4096;
const BATCH_BYTES = 1 << 20;

export interface BackupPlan {
  /** The new data directory. */
  directory: string;
  /** The data directory that is copied. */
  dataDir: string;
  /** Folder of the store inside a data directory. */
  storeFolder: string;
  /** A copy that is there already is replaced; otherwise the directory must be absent or empty. */
  isReplacing: boolean;
  /** Small facts that the copy is not to have. */
  withoutMeta: readonly string[];
  /** The journal of a node that was killed: what it has and the store lacks belongs to the copy. */
  journal?: { from: string; folder: string };
}

/** Copies an open store into a new data directory; returns the number of entries. Throws a StoreError. */
export async function backUp(source: ClassicLevel<Buffer, Buffer>, plan: BackupPlan): Promise<number> {
  const { storeFolder, isReplacing, dataDir } = plan;
  const place = backupPlace(resolve(plan.directory));
  const { directory, partial } = place;
  let isChecked = false;
  try {
    await checkBackupPlace(place, dataDir, isReplacing ? storeFolder : null);
    isChecked = true;
    await rm(partial, { recursive: true, force: true });
    makeFolder(partial);
    const without = plan.withoutMeta.map((name) => Buffer.from(META_PREFIX + name));
    const count = await copyInto(source, join(partial, storeFolder), without);
    const { journal } = plan;
    if (journal !== undefined && existsSync(journal.from))
      await copySynced(journal.from, join(partial, journal.folder));
    await putInPlace(place);
    return count;
  } catch (error) {
    if (isChecked) await rm(partial, { recursive: true, force: true }).catch(() => undefined);
    throw levelErrorOf(error, directory) ?? error;
  }
}

async function copyInto(
  source: ClassicLevel<Buffer, Buffer>,
  directory: string,
  without: readonly Buffer[],
): Promise<number> {
  const copy = new ClassicLevel<Buffer, Buffer>(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    errorIfExists: true,
  });
  const iterator = source.iterator({ fillCache: false, highWaterMarkBytes: BATCH_BYTES });
  let count = 0;
  try {
    await copy.open();
    for (;;) {
      const entries = await iterator.nextv(ENTRIES_A_READ);
      const batch = copy.batch();
      for (const [key, value] of entries) {
        if (without.some((other) => other.equals(key))) continue;
        batch.put(key, value);
        count++;
      }
      // The last batch is synced, and with it LevelDB's log of those before.
      await batch.write({ sync: entries.length === 0 });
      if (entries.length === 0) return count;
    }
  } finally {
    await iterator.close();
    await copy.close();
  }
}

/** Copies a folder's files. */
async function copySynced(from: string, to: string): Promise<void> {
  await mkdir(to);
  for (const name of await readdir(from)) {
    await copyFile(join(from, name), join(to, name));
    await syncFolder(join(to, name));
  }
  await syncFolder(to);
}

/** Moves the copy to its place, over what is there, in steps that leave one whole copy at any instant. */
async function putInPlace({ directory, partial, replaced }: BackupPlace): Promise<void> {
  await rm(replaced, { recursive: true, force: true });
  if (existsSync(directory)) await rename(directory, replaced);
  await rename(partial, directory);
  await syncFolder(dirname(directory));
  await rm(replaced, { recursive: true, force: true });
}
