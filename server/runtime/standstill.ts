/**
 * The world of a node, which can be made to stand still: no timer fires, nothing that was put off is called, and nothing comes from
 * another server, until it goes on. A script that was taken out of its turn runs then, and sees nothing but what it does itself.
 */
import type { Connection, ConnectionEvents, Environment, Network, Time, Timer } from '../../replication/environment.ts';

type Outward = Pick<Network, 'resolve' | 'connect'>;

export class Standstill {
  readonly time: Time;
  readonly network: Network;
  readonly #time: Time;
  readonly #connections = new Set<HeldConnection>();
  #isHeld = false;
  /** What should have been called meanwhile; no more than there were timers, as what they call makes the others. */
  #late: (() => void)[] = [];

  constructor({ time, network }: Pick<Environment, 'time' | 'network'>) {
    this.#time = time;
    this.time = {
      monotonicMs: () => time.monotonicMs(),
      setTimer: (delayMs, callback) => this.#setTimer(delayMs, callback),
      defer: (callback) => time.defer(() => this.#call(callback)),
    };
    this.network = { listen: this.#listen(network), ...this.around(network) };
  }

  /** The environment with a world that can stand still. */
  within<E extends Environment & { readonly outbound?: Outward }>(world: E): E & { outbound: Outward } {
    const { time, network } = this;
    const outbound = world.outbound === undefined ? network : this.around(world.outbound);
    return { ...world, time, network, outbound };
  }

  hold(): void {
    if (this.#isHeld) return;
    this.#isHeld = true;
    for (const connection of this.#connections) connection.stand();
  }

  goOn(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    // Each in a turn of its own, as it would have been: one of them may have everything stand still again.
    for (const connection of this.#connections) {
      this.#time.defer(() => {
        if (!this.#isHeld) connection.goOn();
      });
    }
    for (const callback of this.#late.splice(0)) this.#time.defer(() => this.#call(callback));
  }

  #call(callback: () => void): void {
    if (this.#isHeld) this.#late.push(callback);
    else callback();
  }

  #setTimer(delayMs: number, callback: () => void): Timer {
    let isCancelled = false;
    const fire = (): void => {
      if (!isCancelled) callback();
    };
    const timer = this.#time.setTimer(delayMs, () => this.#call(fire));
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  #take(connection: Connection): Connection {
    const held = new HeldConnection(connection, (gone) => this.#connections.delete(gone));
    this.#connections.add(held);
    if (this.#isHeld) held.stand();
    return held;
  }

  /** A way to other servers whose connections stand still with the rest. */
  around(network: Outward): Outward {
    return {
      resolve: (host, callback) =>
        network.resolve(host, (problem, addresses) => this.#call(() => callback(problem, addresses))),
      connect: (address, port, host) => this.#take(network.connect(address, port, host)),
    };
  }

  #listen(network: Network): Network['listen'] {
    return (host, port, accept, failed) =>
      network.listen(
        host,
        port,
        (connection, problem) => {
          // Whoever comes now tries again: connections would pile up.
          if (this.#isHeld) connection.close();
          else accept(this.#take(connection), problem);
        },
        failed,
      );
  }
}

/** A connection that reports nothing while the world stands still; what happens to it meanwhile it reports afterwards. */
class HeldConnection implements Connection {
  readonly #inner: Connection;
  readonly #forget: (connection: HeldConnection) => void;
  #events: ConnectionEvents | null = null;
  #isStanding = false;
  /** Held by whoever uses it. */
  #isHeld = false;
  #isOpened = false;
  #isWritable = false;
  #closedBy: string | null = null;

  constructor(inner: Connection, forget: (connection: HeldConnection) => void) {
    this.#inner = inner;
    this.#forget = forget;
  }

  get remoteHost(): string {
    return this.#inner.remoteHost;
  }

  get events(): ConnectionEvents | null {
    return this.#events;
  }

  set events(events: ConnectionEvents | null) {
    this.#events = events;
    this.#inner.events = events === null ? null : this.#around(events);
  }

  #around(events: ConnectionEvents): ConnectionEvents {
    return {
      opened: () => {
        if (this.#isStanding) this.#isOpened = true;
        else events.opened();
      },
      received: (buffer, start, end) => events.received(buffer, start, end),
      writable: () => {
        if (this.#isStanding) this.#isWritable = true;
        else events.writable();
      },
      closed: (reason) => {
        if (this.#isStanding) {
          this.#closedBy = reason;
          return;
        }
        this.#forget(this);
        events.closed(reason);
      },
    };
  }

  stand(): void {
    this.#isStanding = true;
    this.#inner.hold();
  }

  goOn(): void {
    this.#isStanding = false;
    const events = this.#events;
    if (this.#isOpened) events?.opened();
    if (this.#isWritable) events?.writable();
    this.#isOpened = false;
    this.#isWritable = false;
    if (this.#closedBy !== null) {
      this.#forget(this);
      events?.closed(this.#closedBy);
    } else if (!this.#isHeld) {
      this.#inner.release();
    }
  }

  write(buffers: readonly Buffer[]): void {
    this.#inner.write(buffers);
  }

  rest(durationMs: number): void {
    this.#inner.rest(durationMs);
  }

  hold(): void {
    this.#isHeld = true;
    this.#inner.hold();
  }

  release(): void {
    this.#isHeld = false;
    if (!this.#isStanding) this.#inner.release();
  }

  queuedBytes(): number {
    return this.#inner.queuedBytes();
  }

  close(): void {
    this.#inner.close();
  }
}
