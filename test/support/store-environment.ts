/** Time and chance of this machine, for stores under test. */
export const storeEnvironment = { nowMs: () => Date.now(), random: () => Math.random() };
