/** A server that takes requests and answers when and with what the test says. */
import { createServer, type Server, type Socket } from 'node:net';
import { argumentsOf, newDecoder } from './decode-requests.ts';
import { waitFor } from './wait-for.ts';

export class ScriptedTarget {
  readonly #server: Server;
  readonly #sockets: Socket[] = [];
  /** All requests so far, as latin1 text. */
  readonly requests: string[][] = [];
  port = 0;
  /** What is answered to a request at once; null leaves it unanswered. */
  onRequest: (words: readonly string[]) => string | null = (words) => (words[0] === 'RESTORE' ? null : '+OK\r\n');

  private constructor() {
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async start(): Promise<ScriptedTarget> {
    const target = new ScriptedTarget();
    await new Promise<void>((resolve) => target.#server.listen(0, '127.0.0.1', resolve));
    target.port = (target.#server.address() as { port: number }).port;
    return target;
  }

  #accept(socket: Socket): void {
    this.#sockets.push(socket);
    const decoder = newDecoder();
    socket.on('error', () => {});
    socket.on('data', (data) => {
      decoder.feed(data, 0, data.length);
      while (decoder.next() === 1) {
        const words = argumentsOf(decoder);
        this.requests.push(words);
        const answer = this.onRequest(words);
        if (answer !== null) socket.write(answer);
      }
      decoder.hold();
    });
  }

  /** Connections that are open. */
  get openCount(): number {
    return this.#sockets.filter(({ destroyed, readyState }) => !destroyed && readyState === 'open').length;
  }

  /** Sends to the connection that came last. */
  answer(text: string): void {
    this.#sockets.at(-1)!.write(text);
  }

  /** Waits for that many requests of the name, and gives the last of them. */
  async request(name: string, count = 1): Promise<string[]> {
    const named = (): string[][] => this.requests.filter(([word]) => word === name);
    await waitFor(`${count} of ${name}`, () => named().length >= count);
    return named().at(-1)!;
  }

  /** Closes its connections, and forgets what it was asked. */
  reset(): void {
    for (const socket of this.#sockets.splice(0)) socket.destroy();
    this.requests.length = 0;
  }

  async stop(): Promise<void> {
    this.reset();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
