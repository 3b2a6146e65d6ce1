/** Makes a change of names in a folder durable, or a file. */
import { open } from 'node:fs/promises';

/** Resolves when what the folder, or the file, at this path holds is on disk. Rejects with the system's error. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
