/** Making a folder with those above it. Node.js's own `recursive` tries for ever where the system makes none, as below /proc. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { isNativeError } from 'node:util/types';

function hasCode(error: unknown, code: string): boolean {
  return isNativeError(error) && 'code' in error && error.code === code;
}

/** Makes the folder unless it is there. Throws the system's error. */
export function makeFolder(path: string): void {
  try {
    makeOne(path);
  } catch (error) {
    const above = dirname(path);
    if (!hasCode(error, 'ENOENT') || above === path) throw error;
    makeFolder(above);
    makeOne(path);
  }
}

/** A file of that name passes: what is done in the folder then says that it is none. */
function makeOne(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
}
