import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import RedisParser from 'redis-parser';
import { Resp3Parser, RespError, type Reply } from './resp3-parser.ts';

export type Argument = string | number | Buffer;

const replyDeadlineMs = 10_000;

/** The request as clients send it: an array of bulk strings. */
export function encodeRequest(args: readonly Argument[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const argument of args) {
    const bytes = Buffer.isBuffer(argument) ? argument : Buffer.from(String(argument));
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

/** @param host an address, or the path of a Unix socket */
async function open(port: number, host: string): Promise<Socket> {
  const socket = connect(host.startsWith('/') ? { path: host } : { port, host, noDelay: true });
  await once(socket, 'connect');
  return socket;
}

/** Rejects when the promise is not settled in time, so that a missing reply fails its own test with a reason. */
async function within<T>(promise: Promise<T>, what: string, deadlineMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

export interface RespClientOptions {
  host?: string;
  /** 2 reads replies with redis-parser; 3 with this folder's own parser. The client sends no HELLO by itself. */
  protocol?: 2 | 3;
  /** Strings as Buffers instead of UTF-8 text. */
  buffers?: boolean;
}

/** A connection that sends what it is told and hands out the replies in order. Error replies are values (RespError), not throws. */
export class RespClient {
  readonly socket: Socket;
  /** Resolves when the server, or close(), ended the connection. */
  readonly closed: Promise<void>;
  private readonly replies: Reply[] = [];
  private readonly waiting: { resolve: (reply: Reply) => void; reject: (error: Error) => void }[] = [];
  private readonly buffers: boolean;
  private parse: (data: Buffer) => void;
  private ended = false;

  private constructor(socket: Socket, options: RespClientOptions) {
    this.socket = socket;
    this.buffers = options.buffers ?? false;
    this.parse = this.parserOf(options.protocol ?? 2);
    socket.on('data', (data) => this.parse(data));
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.ended = true;
        for (const waiter of this.waiting.splice(0)) waiter.reject(new Error('the connection was closed'));
        resolve();
      });
    });
  }

  static async connect(port: number, options: RespClientOptions = {}): Promise<RespClient> {
    return new RespClient(await open(port, options.host ?? '127.0.0.1'), options);
  }

  private parserOf(protocol: 2 | 3): (data: Buffer) => void {
    const deliver = (reply: Reply): void => {
      const waiter = this.waiting.shift();
      if (waiter) waiter.resolve(reply);
      else this.replies.push(reply);
    };
    const giveUp = (error: Error): void => {
      this.socket.destroy();
      for (const waiter of this.waiting.splice(0)) waiter.reject(error);
    };
    if (protocol === 3) {
      const parser = new Resp3Parser({ buffers: this.buffers, onReply: deliver });
      return (data) => {
        try {
          parser.push(data);
        } catch (error) {
          giveUp(error as Error);
        }
      };
    }
    const parser = new RedisParser<Reply>({
      returnBuffers: this.buffers,
      returnReply: deliver,
      returnError: (error) => deliver(new RespError(error.message)),
      returnFatalError: giveUp,
    });
    return (data) => parser.execute(data);
  }

  /** Sends HELLO and reads replies as that protocol says from then on. */
  async hello(protocol: 2 | 3, ...rest: Argument[]): Promise<Reply> {
    this.write(encodeRequest(['HELLO', protocol, ...rest]));
    this.parse = this.parserOf(protocol);
    return this.read();
  }

  write(bytes: Buffer | string): void {
    this.socket.write(bytes);
  }

  /** Sends one request and gives its reply. */
  async command(...args: Argument[]): Promise<Reply> {
    this.write(encodeRequest(args));
    return this.read();
  }

  /** Sends all requests in one write and gives their replies. */
  async pipeline(requests: readonly (readonly Argument[])[]): Promise<Reply[]> {
    this.write(Buffer.concat(requests.map(encodeRequest)));
    const replies: Reply[] = [];
    while (replies.length < requests.length) replies.push(await this.read());
    return replies;
  }

  /** The next reply (or push) that was not yet handed out. */
  async read(deadlineMs = replyDeadlineMs): Promise<Reply> {
    if (this.replies.length > 0) return this.replies.shift() as Reply;
    if (this.ended) throw new Error('the connection was closed');
    const waiter = Promise.withResolvers<Reply>();
    this.waiting.push(waiter);
    return within(waiter.promise, 'reply', deadlineMs);
  }

  /** Replies that came and were not read. */
  get unread(): number {
    return this.replies.length;
  }

  async close(): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }
}

/** A connection that only sends and collects bytes. */
export class RawClient {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  private chunks: Buffer[] = [];
  private wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data) => {
      this.chunks.push(data);
      this.wake();
    });
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.wake();
        resolve();
      });
    });
  }

  static async connect(port: number, host = '127.0.0.1'): Promise<RawClient> {
    return new RawClient(await open(port, host));
  }

  write(bytes: Buffer | string): void {
    this.socket.write(bytes);
  }

  /** All bytes since the connection was made, or since the last take(). */
  get received(): Buffer {
    if (this.chunks.length > 1) this.chunks = [Buffer.concat(this.chunks)];
    return this.chunks[0] ?? Buffer.alloc(0);
  }

  take(): Buffer {
    const bytes = this.received;
    this.chunks = [];
    return bytes;
  }

  /** Waits until the bytes received satisfy the condition, and takes them. */
  async until(condition: (bytes: Buffer) => boolean, deadlineMs = replyDeadlineMs): Promise<Buffer> {
    const look = async (): Promise<Buffer> => {
      while (!condition(this.received)) {
        if (this.socket.destroyed) throw new Error(`the connection was closed after ${this.received.length} bytes`);
        await new Promise<void>((resolve) => (this.wake = resolve));
      }
      return this.take();
    };
    return within(look(), 'expected bytes', deadlineMs);
  }

  async bytes(count: number, deadlineMs = replyDeadlineMs): Promise<Buffer> {
    return this.until((received) => received.length >= count, deadlineMs);
  }

  async close(): Promise<void> {
    this.socket.destroy();
    await this.closed;
  }
}

/** Whether a server on this port answers PING: with PONG, or with an error that is not about loading. */
export async function answersPing(port: number, host = '127.0.0.1'): Promise<boolean> {
  const client = await RespClient.connect(port, { host });
  try {
    const reply = await client.command('PING');
    return !(reply instanceof RespError && reply.message.startsWith('LOADING'));
  } finally {
    await client.close();
  }
}
