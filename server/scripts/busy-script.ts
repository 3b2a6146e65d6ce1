/** A script that has run for longer than `busy-reply-threshold`: it was taken out of its turn, and runs on in slices between others. */
import { CommandError } from '../definitions/command-error.ts';
import type { Order } from './script-order.ts';

/** Thrown through the command that has called the script: it is answered later. */
export const SCRIPT_TAKEN_OUT = new Error('a script was taken out of its turn');

const KILLED = 'ERR Script killed by user with SCRIPT KILL...';
const NOT_BUSY = 'NOTBUSY No scripts in execution right now.';
const UNKILLABLE =
  'UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script ' +
  'termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.';

export class BusyScript {
  readonly order: Order;
  /** The command that has called it. */
  readonly words: readonly Buffer[];
  /** By the node's monotonic clock. */
  readonly startedAtMs: number;
  hasWritten: boolean;
  /** Where it is, as in `user_script:3`. */
  place: string;
  /** Why it is not to go on; null while it is. */
  endedBy: string | null = null;
  /** What it has failed with, once it has ended. */
  failure: string | null = null;

  constructor(order: Order, words: readonly Buffer[], startedAtMs: number, hasWritten: boolean, place: string) {
    this.order = order;
    this.words = words;
    this.startedAtMs = startedAtMs;
    this.hasWritten = hasWritten;
    this.place = place;
  }

  get isFunction(): boolean {
    return this.order.text.startsWith('f');
  }

  /** What others are told. */
  get refusal(): string {
    const kill = this.isFunction ? 'FUNCTION KILL' : 'SCRIPT KILL';
    return `BUSY Redis is busy running a script. You can only call ${kill} or SHUTDOWN NOSAVE.`;
  }
}

/** SCRIPT KILL and FUNCTION KILL. @throws CommandError when there is no such script, or it has written */
export function killScript(busy: BusyScript | null, isFunction: boolean): void {
  if (busy === null) throw new CommandError(NOT_BUSY);
  if (busy.hasWritten) throw new CommandError(UNKILLABLE);
  if (busy.isFunction !== isFunction) throw new CommandError(busy.refusal);
  busy.endedBy = KILLED;
}
