/**
 * Commands that wait: WAIT, and later the blocking pops and reads. A session that waits runs nothing else; its further
 * requests stay in its decoder, and other sessions go on.
 */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import type { Blocked, Session } from '../clients/session.ts';

/** What ends a wait: the dispatcher. */
export interface Waker {
  sendTo(session: Session, write: (reply: ReplyWriter) => void): void;
  /** The same for a reply to a write: it leaves when the write is as durable as it has to be. */
  sendWritten(session: Session, write: (reply: ReplyWriter) => void): void;
  resume(session: Session): void;
}

export class Blocking {
  readonly #waiting = new Set<Session>();
  readonly #waker: Waker;
  readonly #monotonicMs: () => number;
  /** Called when a wait with a timeout begins: the timer may have to come sooner. */
  onBlock: () => void = () => {};

  constructor(waker: Waker, monotonicMs: () => number) {
    this.#waker = waker;
    this.#monotonicMs = monotonicMs;
  }

  get count(): number {
    return this.#waiting.size;
  }

  /** Makes the session wait. `timeoutMs` 0 waits for ever. */
  block(session: Session, timeoutMs: number, blocked: Omit<Blocked, 'deadlineMs' | 'onServed'>): void {
    const deadlineMs = timeoutMs === 0 ? Infinity : this.#monotonicMs() + timeoutMs;
    session.blocked = {
      commandName: blocked.commandName,
      deadlineMs,
      onTimeout: (reply) => blocked.onTimeout(reply),
      onCancel: () => blocked.onCancel(),
      onServed: null,
    };
    this.#waiting.add(session);
    if (timeoutMs !== 0) this.onBlock();
  }

  /**
   * Ends the wait with the reply that `write` writes; the session's further requests run then. `hasWritten`: the reply tells of
   * a write that was just made.
   */
  wake(session: Session, write: (reply: ReplyWriter) => void, hasWritten = false): void {
    const { blocked } = session;
    if (blocked === null) return;
    session.blocked = null;
    this.#waiting.delete(session);
    blocked.onServed?.();
    if (hasWritten) this.#waker.sendWritten(session, write);
    else this.#waker.sendTo(session, write);
    this.#waker.resume(session);
  }

  /** Ends the wait without a reply: the client is gone. */
  cancel(session: Session): void {
    const { blocked } = session;
    if (blocked === null) return;
    session.blocked = null;
    this.#waiting.delete(session);
    blocked.onCancel();
  }

  /** CLIENT UNBLOCK, and the timeout. */
  timeOut(session: Session): void {
    const { blocked } = session;
    if (blocked === null) return;
    blocked.onCancel();
    this.wake(session, (reply) => blocked.onTimeout(reply));
  }

  /** Called by the node's timer: ends the waits that are over. */
  tick(): void {
    if (this.#waiting.size === 0) return;
    const nowMs = this.#monotonicMs();
    for (const session of this.#waiting) {
      if (session.blocked !== null && session.blocked.deadlineMs <= nowMs) this.timeOut(session);
    }
  }

  /** Milliseconds until the next wait is over; Infinity when none is. */
  nextTimeoutMs(): number {
    let soonest = Infinity;
    for (const session of this.#waiting) soonest = Math.min(soonest, session.blocked?.deadlineMs ?? Infinity);
    return soonest === Infinity ? Infinity : Math.max(0, soonest - this.#monotonicMs());
  }
}
