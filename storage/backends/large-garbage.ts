/** Memory of large values that V8 does not know of, or is in no hurry to give back. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread } from 'node:worker_threads';

/** A collection of the flush worker's few megabytes of objects takes some milliseconds, less than writing so much. */
const LARGE_BYTES = 32 << 20;

let collect: (() => void) | null = null;

/**
 * To be called when so many bytes were written that nobody needs any more: what held them is collected in a later turn. Not among the
 * clients' data.
 */
export function collectLarge(bytes: number): void {
  if (bytes < LARGE_BYTES || isMainThread) return;
  if (collect === null) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  setImmediate(collect);
}
