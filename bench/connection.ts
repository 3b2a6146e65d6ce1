import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import RedisParser from 'redis-parser';

/** A connection of the bench's own: single commands, and writing many keys quickly. Replies are read by redis-parser. */
export class Connection {
  private readonly socket: Socket;
  private readonly waiting: ((reply: string) => void)[] = [];
  private failure: Error | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    const parser = new RedisParser({
      returnReply: (reply) => this.waiting.shift()?.(typeof reply === 'string' ? `+${reply}` : String(reply)),
      returnError: (error) => {
        this.failure = error;
        this.waiting.shift()?.(`-${error.message}`);
      },
    });
    socket.on('data', (data) => parser.execute(data));
    socket.on('error', (error) => (this.failure = error));
    socket.on('close', () => {
      for (const resolve of this.waiting.splice(0)) resolve('-the connection was closed');
    });
  }

  static async open(port: number): Promise<Connection> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new Connection(socket);
  }

  /** The reply as text; strings begin with '+', errors with '-'. */
  command(...args: string[]): Promise<string> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.socket.write(request(args));
    });
  }

  /** Sends commands at once; their replies are read and dropped. */
  send(commands: readonly (readonly string[])[]): void {
    for (let index = 0; index < commands.length; index++) this.waiting.push(() => {});
    this.socket.write(commands.map(request).join(''));
  }

  /** SETs `count` keys of 16 bytes, the `first`th and on, to values of `valueLength` bytes, a thousand commands on their way at a time. */
  async fill(count: number, valueLength: number, first = 0): Promise<void> {
    const value = 'x'.repeat(valueLength);
    const batch = 1000;
    for (let start = first; start < first + count; start += batch) {
      const size = Math.min(batch, first + count - start);
      let requests = '';
      for (let index = start; index < start + size; index++) {
        requests += request(['SET', `key:${String(index).padStart(12, '0')}`, value]);
      }
      await new Promise<void>((resolve) => {
        for (let index = 1; index < size; index++) this.waiting.push(() => {});
        this.waiting.push(() => resolve());
        this.socket.write(requests);
      });
      if (this.failure) throw this.failure;
    }
  }

  close(): void {
    this.socket.destroy();
  }
}

function request(args: readonly string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`;
}
