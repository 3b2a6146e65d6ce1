/** The journal's files on this machine's disk. Each append is one write that returns when it is durable (O_DSYNC). */
import { constants, write } from 'node:fs';
import { open, readdir, readFile, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { levelErrorOf } from '../backends/level-errors.ts';
import { makeFolder } from '../backends/make-folder.ts';
import { syncFolder } from '../backends/sync-folder.ts';
import type { JournalFile, JournalFolder } from './journal.ts';

/** Folder of the journal inside the data directory. */
export const JOURNAL_FOLDER = 'journal';

const { O_CREAT, O_DSYNC, O_EXCL, O_WRONLY } = constants;

export function journalFolder(path: string): JournalFolder {
  /** Turns the system's errors into StoreErrors that say what to do. */
  const guard = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw levelErrorOf(error, path) ?? error;
    }
  };
  return {
    path,
    list: () => guard(() => listFolder(path)),
    read: (name) => guard(() => readFile(join(path, name))),
    create: (name) =>
      guard(async () => {
        makeFolder(path);
        const file = await open(join(path, name), O_WRONLY | O_CREAT | O_EXCL | O_DSYNC, 0o644);
        await syncFolder(path);
        await syncFolder(join(path, '..'));
        return journalFile(file, guard);
      }),
    remove: (name) => guard(() => unlink(join(path, name))),
  };
}

function journalFile(file: FileHandle, guard: <T>(work: () => Promise<T>) => Promise<T>): JournalFile {
  return {
    append: (bytes) =>
      guard(async () => {
        for (let at = 0; at < bytes.length;) at += await writeSome(file.fd, bytes, at);
      }),
    close: () => guard(() => file.close()),
  };
}

/** As FileHandle.write, in fewer turns of the event loop's queues: every group of commits waits for it. */
function writeSome(descriptor: number, bytes: Buffer, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(descriptor, bytes, at, bytes.length - at, null, (error, written) => {
      if (error === null) resolve(written);
      else reject(error);
    });
  });
}

async function listFolder(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
