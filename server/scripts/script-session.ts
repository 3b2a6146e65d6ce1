/** The session that a script's commands run in: it selects a database of its own, and nothing is ever sent to it. */
import { RequestDecoder } from '../../protocol/resp-request.ts';
import { Session, type Transport } from '../clients/session.ts';

const TRANSPORT: Transport = {
  send() {},
  pendingBytes: 0,
  close() {},
  destroy() {},
  pause() {},
  resume() {},
  // What MONITOR shows.
  remoteAddress: 'lua',
  localAddress: '',
  fileDescriptor: -1,
};

const NO_REQUESTS = { bulkLengthMax: 0, inlineLengthMax: 0, argumentsMax: 0 };

export function scriptSession(nowMs: number): Session {
  return new Session(0, TRANSPORT, new RequestDecoder(NO_REQUESTS), nowMs);
}

/** Makes it act for the session that called the script. */
export function actFor(session: Session, caller: Session): void {
  session.user = caller.user;
  // Of a client that need not authenticate, too.
  session.authenticated = true;
  session.database = caller.database;
  session.protocol = 2;
  session.noTouch = caller.noTouch;
  session.activeAtMs = caller.activeAtMs;
}
