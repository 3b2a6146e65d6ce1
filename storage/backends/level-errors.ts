/** LevelDB's failures, in terms of what the operator or the flusher has to do. */
import { isNativeError } from 'node:util/types';
import { StoreError } from './backend.ts';

function codeOf(error: unknown): string | undefined {
  const code = isNativeError(error) && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

function deepestCause(error: unknown): unknown {
  let deepest = error;
  while (isNativeError(deepest) && isNativeError(deepest.cause)) deepest = deepest.cause;
  return deepest;
}

/** Only the text of an I/O error tells what the operating system said. */
const FULL = /no space left|quota exceeded|file too large/i;
const NOT_WRITABLE = /permission denied|read-only file system|operation not permitted/i;
const NO_HANDLES = /too many open files/i;

/** The StoreError of what classic-level threw for a directory; null for an error that is not the disk's or LevelDB's. */
export function levelErrorOf(error: unknown, directory: string): StoreError | null {
  const cause = deepestCause(error);
  const code = codeOf(cause);
  if (error instanceof StoreError || code === undefined || !/^(LEVEL_|E[A-Z]+$)/.test(code)) return null;
  const text = isNativeError(cause) ? cause.message : String(cause);
  if (code === 'LEVEL_LOCKED') {
    return new StoreError(
      'refused',
      `${directory} is in use by another process: stop it, or name another --data-dir`,
      error,
    );
  }
  if (FULL.test(text) || code === 'ENOSPC' || code === 'EDQUOT') {
    return new StoreError('full', `no space left for ${directory}: make room on that disk (${text})`, error);
  }
  if (NOT_WRITABLE.test(text) || code === 'EACCES' || code === 'EROFS' || code === 'EPERM') {
    return new StoreError(
      'refused',
      `${directory} is not writable: change its permissions, or name another --data-dir (${text})`,
      error,
    );
  }
  if (isNativeError(cause) && 'syscall' in cause && cause.syscall === 'mkdir') {
    return new StoreError('refused', `${directory} cannot be made: name another --data-dir (${text})`, error);
  }
  if (NO_HANDLES.test(text)) {
    return new StoreError(
      'unavailable',
      `too many open files for ${directory}: raise the limit of open files (${text})`,
      error,
    );
  }
  const isClosed = code === 'LEVEL_DATABASE_NOT_OPEN' || code === 'LEVEL_ITERATOR_NOT_OPEN';
  if (isClosed && cause === error) {
    return new StoreError('unavailable', `${directory} is not open`, error);
  }
  return new StoreError(
    'damaged',
    `${directory} is damaged or its disk fails: restore a backup, or move it away so that MySQL or the peers fill a new one (${text})`,
    error,
  );
}
