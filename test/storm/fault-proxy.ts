/**
 * A TCP proxy in front of one node's peer port. It reads from the first bytes of a connection which node has dialed, and then lets
 * bytes through in each direction as the weather between the two says.
 */
import { type Server, type Socket, connect, createServer } from 'node:net';

/** `MNTS`, the frame's header, versions and padding come before the node id in what a dialing node says first. */
const NODE_ID_AT = 4 + 12 + 4;
const HEAD_BYTES = NODE_ID_AT + 8;
/** Bytes held back for one direction before its sender is no longer read from. */
const HELD_BYTES_MAX = 1 << 20;

/** What becomes of bytes on their way from one node to another. */
export interface Weather {
  /** Nothing arrives, and nobody is told. */
  isBlocked: boolean;
  delayMs: number;
}

/** The weather from each node to each other one, by their numbers. */
export type WeatherBetween = (from: number, to: number) => Weather;

class Direction {
  readonly #source: Socket;
  readonly #target: Socket;
  readonly #weather: () => Weather;
  #held: { bytes: Buffer; dueAtMs: number }[] = [];
  #heldBytes = 0;

  constructor(source: Socket, target: Socket, weather: () => Weather) {
    this.#source = source;
    this.#target = target;
    this.#weather = weather;
    source.on('data', (bytes: Buffer) => this.take(bytes));
  }

  take(bytes: Buffer): void {
    this.#held.push({ bytes, dueAtMs: performance.now() + this.#weather().delayMs });
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > HELD_BYTES_MAX) this.#source.pause();
    this.move();
  }

  /** Passes on what is due. */
  move(): void {
    if (this.#weather().isBlocked) return;
    while (this.#held.length > 0 && this.#held[0].dueAtMs <= performance.now()) {
      const { bytes } = this.#held.shift()!;
      this.#heldBytes -= bytes.length;
      if (!this.#target.destroyed) this.#target.write(bytes);
    }
    if (this.#heldBytes <= HELD_BYTES_MAX) this.#source.resume();
  }

  /** Passes on a part of what is held: a frame may end in its middle. */
  tear(): void {
    const first = this.#held.shift();
    if (first !== undefined) this.#target.write(first.bytes.subarray(0, Math.ceil(first.bytes.length / 2)));
  }
}

interface Pipe {
  readonly from: number;
  readonly directions: readonly Direction[];
  end(): void;
}

export class FaultProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #pipes = new Set<Pipe>();
  readonly #timer: NodeJS.Timeout;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
    this.#timer = setInterval(() => {
      for (const pipe of this.#pipes) for (const direction of pipe.directions) direction.move();
    }, 2);
  }

  /** @param numbers the nodes' numbers by their ids */
  static async start(
    port: number,
    node: number,
    targetPort: number,
    numbers: ReadonlyMap<string, number>,
    weather: WeatherBetween,
  ): Promise<FaultProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    const proxy = new FaultProxy(server, port);
    server.on('connection', (client) => proxy.#meet(client, node, targetPort, numbers, weather));
    return proxy;
  }

  /** Reads who it is. */
  #meet(
    client: Socket,
    node: number,
    targetPort: number,
    numbers: ReadonlyMap<string, number>,
    weather: WeatherBetween,
  ): void {
    client.on('error', () => client.destroy());
    let head = Buffer.alloc(0);
    const read = (bytes: Buffer): void => {
      head = Buffer.concat([head, bytes]);
      if (head.length < HEAD_BYTES) return;
      client.off('data', read);
      const from = numbers.get(head.toString('hex', NODE_ID_AT, HEAD_BYTES));
      if (from === undefined) client.destroy();
      else this.#join(client, head, from, node, targetPort, weather);
    };
    client.on('data', read);
  }

  #join(client: Socket, head: Buffer, from: number, node: number, port: number, weather: WeatherBetween): void {
    const target = connect({ port, host: '127.0.0.1', noDelay: true });
    client.setNoDelay(true);
    const outward = new Direction(client, target, () => weather(from, node));
    const inward = new Direction(target, client, () => weather(node, from));
    const pipe: Pipe = {
      from,
      directions: [outward, inward],
      end: () => {
        this.#pipes.delete(pipe);
        client.destroy();
        target.destroy();
      },
    };
    this.#pipes.add(pipe);
    for (const socket of [client, target]) {
      socket.on('error', () => pipe.end());
      socket.on('close', () => pipe.end());
    }
    outward.take(head);
  }

  /** Resets the connections with a node, in the middle of what is on its way. */
  reset(from: number): void {
    for (const pipe of this.#pipes) {
      if (pipe.from !== from) continue;
      for (const direction of pipe.directions) direction.tear();
      pipe.end();
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#server.close();
    for (const pipe of this.#pipes) pipe.end();
  }
}
