/** When what clients write is sent to the peers: at the end of the turn of the event loop, and under load once a millisecond. */
import type { Time } from '../../replication/environment.ts';

/**
 * A turn that ends within this of the last one that was sent waits for those that follow: each frame costs both sides a system call and a
 * wakeup, as much as the writing of ten keys.
 */
const GATHER_MS = 1;

/**
 * @param publish sends all that has changed
 * @returns to be called at the first change after each `publish`
 */
export function gatherTurns(time: Time, publish: () => void): () => void {
  let sentAtMs = -Infinity;
  let isScheduled = false;
  const send = (): void => {
    isScheduled = false;
    sentAtMs = time.monotonicMs();
    publish();
  };
  return () => {
    if (isScheduled) return;
    isScheduled = true;
    const waitMs = sentAtMs + GATHER_MS - time.monotonicMs();
    if (waitMs > 0) time.setTimer(waitMs, send);
    else time.defer(send);
  };
}
