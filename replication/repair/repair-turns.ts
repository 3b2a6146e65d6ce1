/** When a node's links repair: one after the other, some slices of work a turn of the event loop, as its pace allows. */
import type { Connection, Time } from '../environment.ts';
import type { Link } from '../links/link.ts';
import { Pace, SLICE_MS } from './pace.ts';

/** Frames of one turn; they are short, and a turn's are written together. */
const SLICES_A_TURN = 4;
/** A backlog takes half of the time that a repair may: it is there in seconds, and both nodes and their clients are awake for it. */
const BACKLOG_WEIGHT = 2;
/** How long a repair waits when the rate limit is reached. */
const RATE_WAIT_MS = 10;

export class RepairTurns<Session extends { readonly link: Link }> {
  readonly #time: Time;
  readonly #pace: Pace;
  readonly #live: Map<string, Session>;
  readonly #pump: (session: Session) => void;
  #slices = 0;
  /** No slice begins later in this turn: it would end too late. */
  #lastBeginMs = 0;
  #isScheduled = false;
  #isWaitingForRate = false;
  #isStopped = false;

  /**
   * @param live the links that may repair, by node id; the order is that of their turns
   * @param pump moves frames from a link to its connection
   */
  constructor(time: Time, commandCount: () => number, live: Map<string, Session>, pump: (session: Session) => void) {
    this.#time = time;
    this.#pace = new Pace(time, commandCount);
    this.#live = live;
    this.#pump = pump;
  }

  /** True when a slice of repair work may be done now. Where not, the link is asked again when it may. */
  takeSlice(): boolean {
    if (this.#slices > 0 && this.#time.monotonicMs() <= this.#lastBeginMs) {
      this.#slices--;
      return true;
    }
    this.#slices = 0;
    this.schedule();
    return false;
  }

  /** Some link has work to go on with. */
  schedule(): void {
    if (this.#isScheduled || this.#isStopped) return;
    this.#isScheduled = true;
    const restMs = this.#pace.restMs();
    if (restMs > 0) this.#time.setTimer(restMs, () => this.#turn());
    else this.#time.defer(() => this.#turn());
  }

  #turn(): void {
    this.#isScheduled = false;
    const beganMs = this.#time.monotonicMs();
    this.#slices = SLICES_A_TURN;
    this.#lastBeginMs = beganMs + SLICE_MS / 2;
    for (const [id, session] of [...this.#live]) {
      if (session.link.repair?.isScanning !== true) continue;
      if (this.#slices === 0) {
        this.schedule();
        break;
      }
      this.#live.delete(id);
      this.#live.set(id, session);
      this.#pump(session);
    }
    this.#slices = 0;
    this.#pace.worked(this.#time.monotonicMs() - beganMs);
  }

  /** Something of a repair, or of what a peer wrote while it was away, came over the connection, and it took since then to deal with: what follows may have to wait. */
  received(connection: Pick<Connection, 'rest'>, beganMs: number, isBacklog: boolean): void {
    const tookMs = this.#time.monotonicMs() - beganMs;
    this.#pace.worked(isBacklog ? tookMs * BACKLOG_WEIGHT : tookMs);
    const restMs = this.#pace.restMs();
    // A piece may take nearly as long as a slice: clients are read before the next one.
    if (restMs > 0 || (tookMs > 0 && this.#pace.hasClients)) connection.rest(restMs);
  }

  /** The rate of repairs is reached. */
  scheduleRate(): void {
    if (this.#isWaitingForRate || this.#isStopped) return;
    this.#isWaitingForRate = true;
    this.#time.setTimer(RATE_WAIT_MS, () => {
      this.#isWaitingForRate = false;
      for (const session of this.#live.values()) this.#pump(session);
    });
  }

  stop(): void {
    this.#isStopped = true;
  }
}
