/** Time and chance of this machine, for stores under test. */
export const storeEnvironment = {
  nowMs: (): number => Date.now(),
  monotonicMs: (): number => performance.now(),
  random: (): number => Math.random(),
  setTimer(delayMs: number, callback: () => void): { cancel(): void } {
    const timer = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
};
