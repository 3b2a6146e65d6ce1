/**
 * Tells a data directory from a copy of it by a file that is made anew at each clean stop: when a file was last changed as a file
 * nobody can set, so no copy of it, and no backup that was played back, has that of the original. To move the folder changes nothing.
 */
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Seal } from './identity.ts';

const NAME = 'stopped';
const TEXT = 'Says that this folder is no copy of another one. Without it the node begins a new writer.\n';

export function folderSeal(dataDir: string): Seal {
  const path = join(dataDir, NAME);
  const read = (): string => {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    return found === undefined ? '' : `${found.ino}-${found.ctimeNs}`;
  };
  return {
    read,
    make: () => {
      rmSync(path, { force: true });
      writeFileSync(path, TEXT);
      return read();
    },
  };
}
