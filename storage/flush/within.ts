import { StoreError } from '../backends/backend.ts';
import type { FlushTime } from './flush-types.ts';

/** Resolves as `work` does, or rejects with a StoreError when that takes longer than `timeoutMs`. */
export async function within(time: Pick<FlushTime, 'setTimer'>, work: Promise<void>, timeoutMs: number): Promise<void> {
  if (timeoutMs === Number.POSITIVE_INFINITY) return work;
  let timer: { cancel(): void } | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    const error = new StoreError('unavailable', 'not everything was durable in time');
    timer = time.setTimer(Math.max(0, timeoutMs), () => reject(error));
  });
  work.catch(() => undefined);
  try {
    await Promise.race([work, timeout]);
  } finally {
    timer?.cancel();
  }
}
