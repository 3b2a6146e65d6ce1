import { isLoopback } from '../../replication/links/address.ts';
import type { Session } from './session.ts';

/** Whether the client runs on this machine: connected over the loopback, a Unix socket, or from within the process. */
export function isLocalClient(session: Session): boolean {
  const { remoteAddress } = session.transport;
  const colon = remoteAddress.lastIndexOf(':');
  return colon < 0 || remoteAddress.startsWith('/') || isLoopback(remoteAddress.slice(0, colon));
}
