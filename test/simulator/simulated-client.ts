/** A client of a simulated node: one request under way at a time, replies read as values. */
import { RequestDecoder } from '../../protocol/resp-request.ts';
import { Session, type Transport } from '../../server/clients/session.ts';
import type { Runtime } from '../../server/runtime.ts';

/** A reply of RESP 2; an error is its text behind a minus. */
export type Reply = string | number | null | Reply[];

const CR = 13;

/** Reads the replies that follow one another in these bytes. */
export function readReplies(bytes: Buffer): Reply[] {
  let at = 0;
  const line = (): string => {
    const end = bytes.indexOf(CR, at);
    const text = bytes.toString('latin1', at, end);
    at = end + 2;
    return text;
  };
  const next = (): Reply => {
    const text = line();
    const rest = text.slice(1);
    switch (text[0]) {
      case '+':
        return rest;
      case ':':
        return Number(rest);
      case '-':
        return text;
      case '$': {
        const length = Number(rest);
        if (length < 0) return null;
        const value = bytes.toString('latin1', at, at + length);
        at += length + 2;
        return value;
      }
      default: {
        const count = Number(rest);
        return count < 0 ? null : Array.from({ length: count }, next);
      }
    }
  };
  const replies: Reply[] = [];
  while (at < bytes.length) replies.push(next());
  return replies;
}

/** The request as clients send it. */
export function encodeCommand(args: readonly string[]): string {
  let text = `*${args.length}\r\n`;
  for (const argument of args) text += `$${argument.length}\r\n${argument}\r\n`;
  return text;
}

export class SimulatedClient implements Transport {
  readonly remoteAddress = 'client:1';
  readonly localAddress = 'node:1';
  readonly fileDescriptor = -1;
  readonly pendingBytes = 0;
  readonly session: Session;
  /** The node has closed the connection. */
  isClosed = false;
  readonly runtime: Runtime;
  #replies: Buffer[] = [];
  #onReplies: ((replies: Reply[]) => void) | null = null;
  #expected = 0;

  constructor(runtime: Runtime, id: number) {
    this.runtime = runtime;
    const decoder = new RequestDecoder({ bulkLengthMax: 1 << 20, inlineLengthMax: 65536, argumentsMax: 1 << 16 });
    this.session = new Session(id, this, decoder, runtime.keyspace.clock.refresh());
    this.session.authenticated = true;
    decoder.authenticated = true;
    runtime.sessions.set(id, this.session);
  }

  get isBusy(): boolean {
    return this.#onReplies !== null;
  }

  /** Sends requests together; calls back when all their replies are there, perhaps at once. */
  send(commands: readonly (readonly string[])[], onReplies: (replies: Reply[]) => void): void;
  send(source: { buffer: Buffer }, start: number, end: number): void;
  send(
    first: readonly (readonly string[])[] | { buffer: Buffer },
    second: number | ((replies: Reply[]) => void),
    end?: number,
  ): void {
    if (typeof second === 'number') {
      this.#receive(Buffer.from((first as { buffer: Buffer }).buffer.subarray(second, end)));
      return;
    }
    const commands = first as readonly (readonly string[])[];
    this.#onReplies = second;
    this.#expected = commands.length;
    const bytes = Buffer.from(commands.map(encodeCommand).join(''), 'latin1');
    this.runtime.dispatcher.receive(this.session, bytes, 0, bytes.length);
  }

  /** Runs a request that only reads, and gives the reply as it is sent. */
  askRaw(request: string): Buffer {
    const bytes = Buffer.from(request, 'latin1');
    this.#expected = Infinity;
    this.runtime.dispatcher.receive(this.session, bytes, 0, bytes.length);
    return Buffer.concat(this.#replies.splice(0));
  }

  #receive(bytes: Buffer): void {
    this.#replies.push(bytes);
    if (this.#expected === Infinity) return;
    const replies = readReplies(Buffer.concat(this.#replies));
    if (replies.length < this.#expected) return;
    this.#replies = [];
    const onReplies = this.#onReplies;
    this.#onReplies = null;
    onReplies?.(replies);
  }

  close(): void {
    this.isClosed = true;
  }

  destroy(): void {
    this.isClosed = true;
    this.runtime.sessions.delete(this.session.id);
  }

  pause(): void {}

  resume(): void {}
}
