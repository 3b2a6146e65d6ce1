/** Time and randomness of a real node. */
import { randomBytes } from 'node:crypto';
import type { Random, Time } from './environment.ts';

export const systemTime: Time = {
  monotonicMs: () => performance.now(),
  setTimer(delayMs, callback) {
    const handle = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
  defer(callback) {
    setImmediate(callback);
  },
};

export const systemRandom: Random = {
  fraction: () => Math.random(),
  bytes: (length) => randomBytes(length),
};
