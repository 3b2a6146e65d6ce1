/** Connections that write as fast as they are answered, and know afterwards what had been acknowledged when. */
import { expect } from '@jest/globals';
import { RespError } from '../support/resp3-parser.ts';
import { RespClient } from '../support/resp-client.ts';

/** Keys of one connection: it writes them in turn, each time with the next number. */
const slots = 100;

export interface LoadOptions {
  port: number;
  /** Begins the names of the keys; no other load may use it. */
  prefix: string;
  connections: number;
  /** Requests that are sent at once. */
  batch: number;
}

interface Acknowledgement {
  readonly atMs: number;
  readonly through: number;
}

class Writer {
  readonly #client: RespClient;
  readonly #prefix: string;
  readonly #batch: number;
  readonly #acknowledged: Acknowledgement[] = [];
  sent = 0;
  readonly errors: string[] = [];
  readonly ended: Promise<void>;
  isStopping = false;
  wasDisconnected = false;

  constructor(client: RespClient, prefix: string, batch: number) {
    this.#client = client;
    this.#prefix = prefix;
    this.#batch = batch;
    this.ended = this.#run();
  }

  async #run(): Promise<void> {
    try {
      while (!this.isStopping) {
        const requests = Array.from({ length: this.#batch }, (_, index) => {
          const number = this.sent + 1 + index;
          return ['SET', this.key(number), number];
        });
        requests.push(['INCRBY', `${this.#prefix}:sum`, String(this.#batch)]);
        this.sent += this.#batch;
        const replies = await this.#client.pipeline(requests);
        this.#acknowledged.push({ atMs: performance.now(), through: this.sent });
        for (const reply of replies) if (reply instanceof RespError) this.errors.push(reply.message);
      }
    } catch {
      this.wasDisconnected = true;
    }
    await this.#client.close();
  }

  key(number: number): string {
    return `${this.#prefix}:${number % slots}`;
  }

  /** The greatest number that had been acknowledged by then. */
  through(atMs: number): number {
    return this.#acknowledged.findLast((each) => each.atMs <= atMs)?.through ?? 0;
  }

  /** What each key must hold at least when everything acknowledged by `atMs` was kept, and what it may hold at most. */
  bounds(atMs: number): Map<string, { least: number; most: number }> {
    const through = this.through(atMs);
    const bounds = new Map([[`${this.#prefix}:sum`, { least: through, most: this.sent }]]);
    for (let slot = 0; slot < slots; slot++) {
      const newest = (limit: number): number => Math.max(0, limit - ((((limit - slot) % slots) + slots) % slots));
      bounds.set(`${this.#prefix}:${slot}`, { least: newest(through), most: newest(this.sent) });
    }
    return bounds;
  }
}

export class Load {
  readonly #writers: Writer[];

  private constructor(writers: Writer[]) {
    this.#writers = writers;
  }

  static async start({ port, prefix, connections, batch }: LoadOptions): Promise<Load> {
    const clients = await Promise.all(Array.from({ length: connections }, () => RespClient.connect(port)));
    return new Load(clients.map((client, index) => new Writer(client, `${prefix}:${index}`, batch)));
  }

  /** Lets every connection finish what it has sent. */
  async stop(): Promise<void> {
    for (const writer of this.#writers) writer.isStopping = true;
    await this.ended();
  }

  /** Resolves when all connections have ended, be it by the server's end. */
  async ended(): Promise<void> {
    await Promise.all(this.#writers.map((writer) => writer.ended));
  }

  get acknowledged(): number {
    return this.#writers.reduce((sum, writer) => sum + writer.through(Infinity), 0);
  }

  /** What went wrong for the clients so far. */
  get troubles(): string[] {
    return this.#writers.flatMap((writer) => [...writer.errors, ...(writer.wasDisconnected ? ['disconnected'] : [])]);
  }

  /**
   * Compares with what there is now, null for a key that is not there, that everything acknowledged by `atMs` was kept.
   * @returns how many keys hold something, and what was lost
   */
  compare(values: ReadonlyMap<string, string | null>, atMs: number): { present: number; lost: string[] } {
    const lost: string[] = [];
    let present = 0;
    for (const writer of this.#writers) {
      for (const [key, { least, most }] of writer.bounds(atMs)) {
        const value = values.get(key) ?? null;
        if (value !== null) present++;
        const number = Number(value ?? 0);
        if (!(number >= least && number <= most)) lost.push(`${key} is ${value}, not ${least} to ${most}`);
      }
    }
    return { present, lost };
  }

  /** The same where nothing may be lost. */
  check(values: ReadonlyMap<string, string | null>, atMs: number): number {
    const { present, lost } = this.compare(values, atMs);
    expect(lost).toEqual([]);
    return present;
  }

  get keys(): string[] {
    return this.#writers.flatMap((writer) => [...writer.bounds(0).keys()]);
  }
}

/** The strings at these keys. */
export async function valuesOf(port: number, keys: readonly string[]): Promise<Map<string, string | null>> {
  const client = await RespClient.connect(port);
  const values = new Map<string, string | null>();
  for (let at = 0; at < keys.length; at += 1000) {
    const some = keys.slice(at, at + 1000);
    const replies = (await client.command('MGET', ...some)) as (string | null)[];
    for (const [index, key] of some.entries()) values.set(key, replies[index]);
  }
  await client.close();
  return values;
}
