/** What clients' buffers take: `client-query-buffer-limit` for one of them, `maxmemory-clients` for all together. */
import type { Config } from '../config/config.ts';
import type { Session } from './session.ts';
import type { Statistics } from '../monitoring/statistics.ts';

/** What a watched key, a subscription or a tracked prefix takes, about. */
const NAME_BYTES = 100;

/** What the client takes besides the connection itself, as CLIENT LIST tells it. */
export function clientBytes({ decoder, transport, queued, watched, subscriptions, tracking }: Session): number {
  const channels = subscriptions === null ? 0 : subscriptions.count + subscriptions.shards.size;
  const names = channels + (watched?.size ?? 0) + (tracking?.prefixes.size ?? 0);
  return decoder.pendingBytes + transport.pendingBytes + (queued?.bytes ?? 0) + names * NAME_BYTES;
}

/** Between two looks at all clients at the least: a look takes the longer the more there are, and whoever sends a little would cause one. */
const LOOK_EVERY_MS = 10;

/** What of a node the memory of its clients is about. */
interface Surroundings {
  readonly config: Config;
  readonly sessions: ReadonlyMap<number, Session>;
  readonly statistics: Statistics;
  readonly log: { warn(facts: object, message: string): void };
  monotonicMs(): number;
}

export class ClientMemory {
  readonly #node: Surroundings;
  #lookedAtMs = -Infinity;

  constructor(node: Surroundings) {
    this.#node = node;
  }

  /** Bytes that all clients may take together; 0 for no limit. */
  get #bytesMax(): number {
    const { values } = this.#node.config;
    const { bytes, percent } = values['maxmemory-clients'];
    return percent > 0 ? (Number(values.maxmemory) * percent) / 100 : bytes;
  }

  /** Closes the clients that take most while all together take more than `maxmemory-clients`; not those of CLIENT NO-EVICT. */
  evict(): void {
    const { sessions, statistics } = this.#node;
    const most = this.#bytesMax;
    if (most === 0) return;
    const nowMs = this.#node.monotonicMs();
    if (nowMs - this.#lookedAtMs < LOOK_EVERY_MS) return;
    this.#lookedAtMs = nowMs;
    let sum = 0;
    const found: { session: Session; bytes: number }[] = [];
    for (const session of sessions.values()) {
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
      statistics.evictedClients++;
      this.#close(session, bytes, 'all clients together are over maxmemory-clients, and it takes most');
    }
  }

  /** Whether the client is to send no more, as it has sent too much of a request that is not complete yet: it is closed then. */
  isOverQueryLimit(session: Session, bytes: number): boolean {
    const { config, statistics } = this.#node;
    const gathered = session.decoder.gatheredBytes + bytes;
    if (gathered > config.values['client-query-buffer-limit']) {
      statistics.queryLimitDisconnections++;
      this.#close(session, gathered, 'over client-query-buffer-limit');
    } else {
      this.evict();
    }
    return session.closing;
  }

  #close(session: Session, bytes: number, why: string): void {
    this.#node.log.warn({ client: session.transport.remoteAddress, bytes }, `closed: ${why}`);
    session.closing = true;
    session.transport.destroy();
  }
}
