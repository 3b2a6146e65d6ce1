/** The turns of a script that takes long: while there is one, the node stands still around it. */
import type { Time } from '../../replication/environment.ts';

/** What stands still. */
interface World {
  hold(): void;
  goOn(): void;
}

/** The node whose script it is. */
export interface BusyNode {
  readonly dispatcher: {
    onSuspended: () => void;
    onConcluded: () => void;
    goOn(): boolean;
  };
  readonly scripting: { canTakeOut: boolean; readonly busy: { endedBy: string | null; hasWritten: boolean } | null };
  readonly keyspace: { readonly clock: { isHeld: boolean; refresh(): number } };
}

/** A stop gives a script that has written so long to come to its end. */
const STOP_MS = 2000;
const STOPPED = 'ERR the script was stopped because the node stops';
const STOPPED_HALFWAY = `${STOPPED}; what it has written stays`;

export class ScriptTurns {
  readonly #node: BusyNode;
  readonly #world: World;
  readonly #time: Time;
  #isScheduled = false;
  #isAbandoned = false;
  #end: () => void = () => {};
  /** Resolves when the script has ended; null while there is none. */
  untilEnd: Promise<void> | null = null;

  /** @param time the clock of the world outside, which goes on */
  constructor(node: BusyNode, world: World, time: Time) {
    this.#node = node;
    this.#world = world;
    this.#time = time;
    node.scripting.canTakeOut = true;
    node.dispatcher.onSuspended = () => this.#begin();
    node.dispatcher.onConcluded = () => this.#conclude();
  }

  #begin(): void {
    this.untilEnd ??= new Promise((resolve) => (this.#end = resolve));
    this.#node.keyspace.clock.isHeld = true;
    this.#world.hold();
    this.#schedule();
  }

  /** In a later turn: clients are answered before. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#time.defer(() => {
      this.#isScheduled = false;
      if (!this.#isAbandoned && this.#node.dispatcher.goOn()) this.#schedule();
    });
  }

  #conclude(): void {
    const { clock } = this.#node.keyspace;
    clock.isHeld = false;
    clock.refresh();
    this.untilEnd = null;
    this.#end();
    this.#world.goOn();
  }

  /**
   * The node stops: resolves when no script runs. One that has not ended soon is stopped; what it has written stays. Where nothing
   * is to be saved it just goes no further, and what it has written is never whole.
   */
  async stop(isSaving: boolean): Promise<void> {
    const { scripting } = this.#node;
    if (this.untilEnd === null) return;
    if (!isSaving) {
      this.#isAbandoned = true;
      this.#world.goOn();
      return;
    }
    const end = (): void => {
      const { busy } = scripting;
      if (busy !== null) busy.endedBy ??= busy.hasWritten ? STOPPED_HALFWAY : STOPPED;
    };
    if (scripting.busy?.hasWritten !== true) end();
    const timer = this.#time.setTimer(STOP_MS, end);
    while (this.untilEnd !== null) await this.untilEnd;
    timer.cancel();
  }
}
