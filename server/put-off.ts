import type { Session } from './session.ts';
import { type Invocation, QueuedCommands } from './transaction.ts';

/** Keeps the command until its session is resumed. Nothing is run now: null, for whoever looks for the command to run. */
export function putOff(call: Invocation, session: Session): null {
  session.deferred = new QueuedCommands();
  session.deferred.push(call);
  session.held = true;
  return null;
}
