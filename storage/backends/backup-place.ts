/** Where a copy of the embedded store may be made: nowhere that it would take part of, or take away, what is copied. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StoreError } from './backend.ts';

/** Names beside the copy's own: of one that is not whole yet, and of the one before while it is replaced. */
export interface BackupPlace {
  directory: string;
  partial: string;
  replaced: string;
}

export function backupPlace(directory: string): BackupPlace {
  return { directory, partial: `${directory}.partial`, replaced: `${directory}.replaced` };
}

/**
 * Rejects with a StoreError when a copy cannot be made there: in the data directory that is copied, over it or over a folder above it
 * (by whatever name, as by a symbolic link), or over files that are no copy.
 * @param storeFolder by which a copy that may be replaced is known; null when nothing may be
 */
export async function checkBackupPlace(place: BackupPlace, dataDir: string, storeFolder: string | null): Promise<void> {
  const { directory } = place;
  for (const path of Object.values(place) as string[]) {
    if (await isWithin(path, dataDir)) {
      throw new StoreError(
        'refused',
        `${directory} is in the data folder that is to be copied, ${dataDir}: name a folder outside of it for the backup`,
      );
    }
    if (existsSync(path) && (await isWithin(dataDir, path))) {
      throw new StoreError(
        'refused',
        `${path} has in it the data folder that is to be copied, ${dataDir}: name another folder for the backup`,
      );
    }
  }
  if (!existsSync(directory)) return;
  if (!statSync(directory).isDirectory())
    throw new StoreError('refused', `${directory} is a file: name another folder for the backup`);
  if (readdirSync(directory).length === 0) return;
  if (storeFolder === null)
    throw new StoreError('refused', `${directory} exists and is not empty: name another folder for the backup`);
  if (existsSync(join(directory, storeFolder, 'CURRENT'))) return;
  throw new StoreError(
    'refused',
    `${directory} has other files than those of a backup, which would be lost: name another folder for the backup`,
  );
}

/** Whether a path is, or would be when it is made, a folder or in it. Folders are told by what they are, not by their names. */
async function isWithin(path: string, folder: string): Promise<boolean> {
  for (let at = await nearestFolder(path); ; at = dirname(at)) {
    if (isSame(at, folder)) return true;
    if (at === dirname(at)) return false;
  }
}

async function nearestFolder(path: string): Promise<string> {
  let at = path;
  while (!existsSync(at) && at !== dirname(at)) at = dirname(at);
  return realpath(at);
}

function isSame(a: string, b: string): boolean {
  const [one, other] = [a, b].map((path) => statSync(path, { bigint: true }));
  return one.dev === other.dev && one.ino === other.ino;
}
