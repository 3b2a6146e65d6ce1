/**
 * Group commit: in the durability modes `always`, `mysql` and `replicas=N` the replies to writes wait until the mode's
 * promise holds. A session whose replies wait runs nothing further, so its replies stay in order; other sessions go on,
 * and everything that was written while one commit was under way shares the next one.
 */
import type { Session } from '../clients/session.ts';

/** Makes everything written so far as durable as the mode promises; rejects when that cannot be. */
export type Commit = () => Promise<void>;

interface Waiting {
  session: Session;
  replies: Buffer;
}

export class CommitGate {
  readonly #commit: Commit;
  readonly #release: (session: Session, replies: Buffer) => void;
  readonly #refuse: (session: Session, reason: unknown) => void;
  readonly #defer: (callback: () => void) => void;
  #waiting: Waiting[] = [];
  #running = false;

  /**
   * @param release called with a session and its replies once they may be sent
   * @param refuse called when the commit failed: what the replies say must not be said
   * @param defer calls back in a later turn of the event loop
   */
  constructor(
    commit: Commit,
    release: (session: Session, replies: Buffer) => void,
    refuse: (session: Session, reason: unknown) => void,
    defer: (callback: () => void) => void,
  ) {
    this.#defer = defer;
    this.#commit = commit;
    this.#release = release;
    this.#refuse = refuse;
  }

  /** Keeps a session's replies until a commit that begins from now on is done. */
  hold(session: Session, replies: Buffer): void {
    this.#waiting.push({ session, replies });
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    // Everything of this turn shares the first commit.
    await new Promise<void>((resolve) => this.#defer(resolve));
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      let failure: { reason: unknown } | null = null;
      try {
        await this.#commit();
      } catch (reason) {
        failure = { reason };
      }
      for (const { session, replies } of group) {
        if (failure === null) this.#release(session, replies);
        else this.#refuse(session, failure.reason);
      }
    }
    this.#running = false;
  }
}
