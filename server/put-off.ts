import type { Session } from './session.ts';
import { type Invocation, QueuedCommands } from './transaction.ts';

/** What a client may send while a blocking command of its own waits, before it is no longer read from. */
const KEPT_BYTES_MAX = 64 * 1024;
/** The same of one that has to take replies first, where `client-query-buffer-limit` allows as much. */
const UNRUN_BYTES_MAX = 1024 * 1024 * 1024;

/**
 * Puts aside what a session that waits has sent. One in a blocking command is read on, as long as that is little: a client that
 * leaves is only noticed while it is read from. One that has to take replies is read on up to `client-query-buffer-limit`:
 * clients send a whole pipeline before they read its first reply, and would wait for room to send as we would wait for them.
 */
export function putAside(session: Session, hasToRead: boolean): void {
  const { decoder, transport } = session;
  decoder.hold();
  if (hasToRead) {
    if (decoder.gatheredBytes > UNRUN_BYTES_MAX) transport.pause();
  } else if (session.held || decoder.pendingBytes > KEPT_BYTES_MAX) {
    transport.pause();
  }
}

/** Keeps the command until its session is resumed. Nothing is run now: null, for whoever looks for the command to run. */
export function putOff(call: Invocation, session: Session): null {
  session.deferred = new QueuedCommands();
  session.deferred.push(call);
  session.held = true;
  return null;
}
