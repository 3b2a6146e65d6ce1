/** What peers have sent of their own writes, and is on its way from memory to the stores. */
import { formatNodeId } from '../../protocol/stamp.ts';

/** Up to where a peer's stream was merged. Stamps are 16 hex digits, so that text compares as they do. */
export interface RelayedTurn {
  /** The run of the peer's process, 16 hex digits. */
  incarnation: string;
  stamp: string;
}

interface Half {
  readonly hi: number;
  readonly lo: number;
}

/**
 * Two rounds of draining are remembered: what was merged before a round began has left memory when the round is over, what was
 * merged during it may be dirty still. So a peer that sends nothing more is soon forgotten.
 */
export class RelayedTurns {
  #before = new Map<string, string>();
  #since = new Map<string, string>();

  note(incarnation: Half, stamp: Half): void {
    this.#since.set(formatNodeId(incarnation.hi, incarnation.lo), formatNodeId(stamp.hi, stamp.lo));
  }

  /** To be called when all that was dirty at the last call has been drained. */
  beginRound(): void {
    this.#before = this.#since;
    this.#since = new Map();
  }

  /** Of whom there may be something in what is drained now. */
  seen(): RelayedTurn[] {
    return [...new Map([...this.#before, ...this.#since])].map(([incarnation, stamp]) => ({ incarnation, stamp }));
  }
}
