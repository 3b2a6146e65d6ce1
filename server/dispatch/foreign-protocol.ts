/** Clients that speak another protocol to the port for Redis clients. */
import type { Node } from '../node.ts';
import type { Session } from '../clients/session.ts';

/** No more of it is read, and it gets no answer. */
export function refuseForeign(node: Node, session: Session, protocol: string): null {
  const client = session.transport.remoteAddress;
  node.log.warn(
    { client },
    `closed: ${protocol} on a port for Redis clients; possibly an attack on this node through another program`,
  );
  session.closing = true;
  return null;
}
