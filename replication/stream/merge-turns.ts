/** The merging of long turns in steps between other work: the connection waits until all of one has been merged. */
import type { Connection, Time } from '../environment.ts';
import { SLICE_MS } from '../repair/pace.ts';
import type { LongTurns } from '../settings.ts';

/** A connection over which a long turn has come. */
export interface MergingSession {
  readonly link: { readonly isMerging: boolean; mergeSome(nowMs: number): void };
  readonly connection: Connection;
  isFinished: boolean;
  /** A long turn that has come over the connection is being merged. */
  isMerging: boolean;
}

export class MergeTurns<Session extends MergingSession> {
  readonly #time: Time;
  readonly #longTurns: LongTurns;
  readonly #merged: (session: Session) => void;

  /** @param merged called when a session's long turn has been merged, and its connection goes on */
  constructor(time: Time, longTurns: LongTurns, merged: (session: Session) => void) {
    this.#time = time;
    this.#longTurns = longTurns;
    this.#merged = merged;
  }

  /** Begins when a long turn has come. */
  received(session: Session): void {
    if (!session.link.isMerging || session.isMerging) return;
    session.isMerging = true;
    session.connection.hold();
    this.#later(session);
  }

  #later(session: Session): void {
    const { restMs } = this.#longTurns;
    if (restMs > 0) this.#time.setTimer(restMs, () => this.#turn(session));
    else this.#time.defer(() => this.#turn(session));
  }

  #turn(session: Session): void {
    if (session.isFinished) return;
    const { link } = session;
    const endMs = this.#time.monotonicMs() + SLICE_MS;
    let steps = 0;
    do link.mergeSome(this.#time.monotonicMs());
    while (link.isMerging && ++steps < this.#longTurns.stepsATurn && this.#time.monotonicMs() < endMs);
    if (link.isMerging) {
      this.#later(session);
      return;
    }
    session.isMerging = false;
    session.connection.release();
    this.#merged(session);
  }
}
