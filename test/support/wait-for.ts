import { setTimeout as delay } from 'node:timers/promises';

export interface WaitOptions {
  /** Milliseconds after which the wait fails. */
  deadlineMs?: number;
  /** Milliseconds between two looks. */
  intervalMs?: number;
}

/**
 * Looks again and again until the condition gives something truthy, and gives that back. A condition that throws counts as not yet
 * met; the error at the deadline names what was waited for and what was last seen.
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  { deadlineMs = 10_000, intervalMs = 10 }: WaitOptions = {},
): Promise<NonNullable<T>> {
  const startedAt = performance.now();
  let last: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() - startedAt > deadlineMs) {
      throw new Error(`waited ${deadlineMs} ms in vain for ${what}; last seen: ${String(last)}`, { cause: last });
    }
    await delay(intervalMs);
  }
}
