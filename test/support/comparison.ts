/** The same requests to redis-server and to commands run in this process; replies compared byte for byte. */
import { afterAll, beforeAll, expect } from '@jest/globals';
import type { CommandDefinition } from '../../server/definitions/command.ts';
import { CommandHarness, type HarnessOptions } from './command-harness.ts';
import { startRedis, type RedisProcess } from './redis-process.ts';
import { type Argument, encodeRequest, RawClient } from './resp-client.ts';

export type Request = readonly Argument[];

/** The offset after the reply that begins at `start`, or −1 when its bytes are not all there. */
function replyEnd(bytes: Buffer, start: number): number {
  const lineEnd = bytes.indexOf('\r\n', start);
  if (lineEnd < 0) return -1;
  const after = lineEnd + 2;
  const type = String.fromCharCode(bytes[start]);
  if (!'$=*%~>|'.includes(type)) return after;
  const count = Number(bytes.toString('latin1', start + 1, lineEnd));
  if (type === '$' || type === '=') {
    const end = count < 0 ? after : after + count + 2;
    return end <= bytes.length ? end : -1;
  }
  // An attribute comes before the reply that it is about.
  const parts = type === '%' ? count * 2 : type === '|' ? count * 2 + 1 : count;
  let end = after;
  for (let left = parts; left > 0 && end >= 0; left--) end = replyEnd(bytes, end);
  return end;
}

/** The replies in these bytes, each as latin1 text. */
export function splitReplies(bytes: Buffer): string[] {
  const replies: string[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = replyEnd(bytes, start);
    if (end < 0) break;
    replies.push(bytes.toString('latin1', start, end));
    start = end;
  }
  return replies;
}

/** A request as a person would type it, cut short. */
function show(request: Request): string {
  const words = request.map((word) => (Buffer.isBuffer(word) ? JSON.stringify(word.toString('latin1')) : String(word)));
  const text = words.map((word) => (word === '' ? '""' : word)).join(' ');
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

export class Comparison {
  readonly redis: RedisProcess;
  readonly #client: RawClient;
  readonly #definitions: readonly CommandDefinition[];

  private constructor(redis: RedisProcess, client: RawClient, definitions: readonly CommandDefinition[]) {
    this.redis = redis;
    this.#client = client;
    this.#definitions = definitions;
  }

  static async start(definitions: readonly CommandDefinition[]): Promise<Comparison> {
    const redis = await startRedis();
    return new Comparison(redis, await RawClient.connect(redis.port), definitions);
  }

  async stop(): Promise<void> {
    await this.#client.close();
    await this.redis.server.stop();
  }

  async redisReplies(requests: readonly Request[]): Promise<string[]> {
    this.#client.write(Buffer.concat(requests.map(encodeRequest)));
    const bytes = await this.#client.until((received) => splitReplies(received).length >= requests.length);
    return splitReplies(bytes);
  }

  /**
   * Runs the requests on both, from an empty database.
   * @param prepare readies the harness; `prepareRedis` are requests that ready redis-server alone
   */
  async check(
    requests: readonly Request[],
    options: HarnessOptions & { prepare?: (harness: CommandHarness) => void; prepareRedis?: readonly Request[] } = {},
  ): Promise<CommandHarness> {
    const harness = new CommandHarness(this.#definitions, options);
    options.prepare?.(harness);
    const before: Request[] = [['FLUSHALL'], ...(options.prepareRedis ?? [])];
    const expected = (await this.redisReplies([...before, ...requests])).slice(before.length);
    const got = requests.map((request) => harness.run(...request).toString('latin1'));
    const pair = (replies: readonly string[]): string[] =>
      requests.map((request, index) => `${show(request)} → ${JSON.stringify(replies[index])}`);
    expect(pair(got)).toEqual(pair(expected));
    return harness;
  }
}

/** One comparison for all tests of the file that calls this: it is there while they run. */
export function shareComparison(definitions: readonly CommandDefinition[]): () => Comparison {
  let comparison: Comparison | undefined;
  beforeAll(async () => {
    comparison = await Comparison.start(definitions);
  });
  afterAll(() => comparison?.stop());
  return () => comparison!;
}
