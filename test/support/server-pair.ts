/** redis-server and the built server side by side: the same requests to both, their replies as bytes. */
import { splitReplies } from './comparison.ts';
import { type MantisProcess, startMantis } from './mantis-process.ts';
import { type RedisProcess, startRedis } from './redis-process.ts';
import { type Argument, encodeRequest, RawClient } from './resp-client.ts';

/** A request, or a line of words parted by spaces. */
export type PairRequest = string | readonly Argument[];

export interface PairOptions {
  /** Options that both understand. */
  args?: string[];
}

export function requestWords(request: PairRequest): readonly Argument[] {
  return typeof request === 'string' ? request.split(' ') : request;
}

/** The reply to one request, as latin1 text. */
export async function rawReply(client: RawClient, request: PairRequest): Promise<string> {
  client.write(encodeRequest(requestWords(request)));
  const bytes = await client.until((received) => splitReplies(received).length > 0);
  return bytes.toString('latin1');
}

/** What each of the two servers replied to a request. */
export interface PairReply {
  request: string;
  redis: string;
  mantis: string;
}

export class ServerPair {
  readonly redis: RedisProcess;
  readonly mantis: MantisProcess;

  private constructor(redis: RedisProcess, mantis: MantisProcess) {
    this.redis = redis;
    this.mantis = mantis;
  }

  static async start({ args = [] }: PairOptions = {}): Promise<ServerPair> {
    const [redis, mantis] = await Promise.all([startRedis({ args }), startMantis({ args, dataDir: 'none' })]);
    return new ServerPair(redis, mantis);
  }

  async stop(): Promise<void> {
    await Promise.all([this.redis.server.stop(), this.mantis.server.stop()]);
  }

  /** Sends the requests over one connection to each. */
  async replies(requests: readonly PairRequest[]): Promise<PairReply[]> {
    const clients = await Promise.all([RawClient.connect(this.redis.port), RawClient.connect(this.mantis.port)]);
    const found: PairReply[] = [];
    try {
      for (const request of requests) {
        const [redis = '', mantis = ''] = await Promise.all(clients.map((client) => rawReply(client, request)));
        found.push({ request: requestWords(request).join(' '), redis, mantis });
      }
    } finally {
      await Promise.all(clients.map((client) => client.close()));
    }
    return found;
  }
}
