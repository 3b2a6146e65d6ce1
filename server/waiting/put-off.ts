import type { Session } from '../clients/session.ts';
import { type Invocation, QueuedCommands } from '../transactions/transaction.ts';

/** What a client may send while a blocking command of its own waits, before it is no longer read from. */
const KEPT_BYTES_MAX = 64 * 1024;
/** The same of one that has to take replies first, where `client-query-buffer-limit` allows as much. */
const UNRUN_BYTES_MAX = 1024 * 1024 * 1024;

/**
 * Keeps what a waiting session has sent. A session in a blocking command is still read from while it sends little: only so is it
 * noticed when the client leaves. A session that has to take replies first is read from up to `client-query-buffer-limit`: many
 * clients send a whole pipeline before they read the first reply. If we stopped reading, each side would wait for the other.
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

/** Keeps the command until its session is resumed. Returns null: there is no command to run now. */
export function putOff(call: Invocation, session: Session): null {
  session.deferred = new QueuedCommands();
  session.deferred.push(call);
  session.held = true;
  return null;
}
