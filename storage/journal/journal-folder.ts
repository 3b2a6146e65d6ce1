/** The journal's files on this machine's disk. Each append is one write that returns when it is durable (O_DSYNC). */
import { constants, write, writev } from 'node:fs';
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
    append: (pieces) => guard(() => writeAll(file.fd, pieces)),
    close: () => guard(() => file.close()),
  };
}

/** As FileHandle.writev, in fewer turns of the event loop's queues: every group of commits waits for it. */
function writeSome(descriptor: number, pieces: readonly Buffer[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const onWritten = (error: Error | null, written: number): void => {
      if (error === null) resolve(written);
      else reject(error);
    };
    if (pieces.length === 1) write(descriptor, pieces[0], 0, pieces[0].length, null, onWritten);
    else writev(descriptor, pieces, onWritten);
  });
}

async function writeAll(descriptor: number, pieces: readonly Buffer[]): Promise<void> {
  for (let left = pieces; left.length > 0;) left = behind(left, await writeSome(descriptor, left));
}

/** What is left of pieces of which so many bytes are written. */
function behind(pieces: readonly Buffer[], written: number): readonly Buffer[] {
  let bytes = written;
  const at = pieces.findIndex((piece) => {
    const isLeft = bytes < piece.length;
    if (!isLeft) bytes -= piece.length;
    return isLeft;
  });
  return at < 0 ? [] : [pieces[at].subarray(bytes), ...pieces.slice(at + 1)];
}

async function listFolder(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
