/** What clients' buffers take: `client-query-buffer-limit` for one of them, `maxmemory-clients` for all together. */
import type { Node } from './node.ts';
import type { Session } from './session.ts';

/** What a watched key, a subscription or a tracked prefix takes, about. */
const NAME_BYTES = 100;

/** What the client takes besides the connection itself, as CLIENT LIST tells it. */
export function clientBytes({ decoder, transport, queued, watched, subscriptions, tracking }: Session): number {
  const channels = subscriptions === null ? 0 : subscriptions.count + subscriptions.shards.size;
  const names = channels + (watched?.size ?? 0) + (tracking?.prefixes.size ?? 0);
  return decoder.pendingBytes + transport.pendingBytes + (queued?.bytes ?? 0) + names * NAME_BYTES;
}

/** Bytes that all clients may take together; 0 for no limit. */
function bytesMax({ config }: Node): number {
  const { bytes, percent } = config.values['maxmemory-clients'];
  return percent > 0 ? (Number(config.values.maxmemory) * percent) / 100 : bytes;
}

function close(node: Node, session: Session, bytes: number, why: string): void {
  node.log.warn({ client: session.transport.remoteAddress, bytes }, `closed: ${why}`);
  session.closing = true;
  session.transport.destroy();
}

/** Closes the clients that take most while all together take more than `maxmemory-clients`; not those of CLIENT NO-EVICT. */
export function evictClients(node: Node): void {
  const most = bytesMax(node);
  if (most === 0) return;
  let sum = 0;
  const found: { session: Session; bytes: number }[] = [];
  for (const session of node.sessions.values()) {
    const bytes = session.closing ? 0 : clientBytes(session);
    if (bytes === 0) continue;
    sum += bytes;
    if (!session.noEvict) found.push({ session, bytes });
  }
  if (sum <= most) return;
  found.sort((left, right) => right.bytes - left.bytes);
  for (const { session, bytes } of found) {
    if (sum <= most) return;
    sum -= bytes;
    node.statistics.evictedClients++;
    close(node, session, bytes, 'all clients together are over maxmemory-clients, and it takes most');
  }
}

/** Whether the client is to send no more, as it has sent too much of a request that is not complete yet: it is closed then. */
export function isOverQueryLimit(node: Node, session: Session, bytes: number): boolean {
  const gathered = session.decoder.gatheredBytes + bytes;
  if (gathered > node.config.values['client-query-buffer-limit']) {
    node.statistics.queryLimitDisconnections++;
    close(node, session, gathered, 'over client-query-buffer-limit');
  } else {
    evictClients(node);
  }
  return session.closing;
}
