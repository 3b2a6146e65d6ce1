/**
 * What replication needs of the world. A real node gets system.ts and tcp.ts; a simulated one gets virtual time, a virtual
 * network and a seeded generator. All callbacks come from the event loop, never from inside the call that asked for them.
 */

/** A timer that has not fired. */
export interface Timer {
  cancel(): void;
}

export interface Time {
  /** Milliseconds that only go forward; their zero means nothing. */
  monotonicMs(): number;
  setTimer(delayMs: number, callback: () => void): Timer;
  /** Calls back in a later turn of the event loop, after what is waiting there. */
  defer(callback: () => void): void;
}

export interface Random {
  /** 0 ≤ x < 1. */
  fraction(): number;
  /** Unpredictable bytes, for nonces. */
  bytes(length: number): Buffer;
}

export interface Log {
  debug(message: string, fields?: Record<string, unknown>): void;
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/** What a connection reports. `closed` is the last call, once, also after `close`. */
export interface ConnectionEvents {
  opened(): void;
  /** buffer[start, end) is only valid during the call. */
  received(buffer: Buffer, start: number, end: number): void;
  /** Some of what was queued has left. */
  writable(): void;
  closed(reason: string): void;
}

/** One byte stream to a peer. */
export interface Connection {
  /** Address of the other side, for people and as its host when it advertises none. */
  readonly remoteHost: string;
  /** Must be set before the present turn of the event loop ends. */
  events: ConnectionEvents | null;
  /** Queues the bytes of buffers in order, copied: the buffers may be used again when this returns. */
  write(buffers: readonly Buffer[]): void;
  /** Reports nothing more that has come for so long, and leaves it where it is, so that the other side comes to wait as well. */
  rest(durationMs: number): void;
  /** The same until `release`; that the connection is closed is reported after it, too. */
  hold(): void;
  release(): void;
  /** Bytes queued that the network has not taken yet. */
  queuedBytes(): number;
  /** Sends what is queued, for a while, then closes. */
  close(): void;
}

export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Takes a connection, which is open already.
 * @param problem why the other side may not be spoken with; it can be told
 */
type Accept = (connection: Connection, problem?: string | null) => void;

export interface Network {
  /**
   * Rejects with a message that names address and port.
   * @param failed told of those who did not come as far as a connection
   */
  listen(
    host: string,
    port: number,
    accept: Accept,
    failed?: (remoteHost: string, why: string) => void,
  ): Promise<Listener>;
  /** Addresses of a name; an address resolves to itself. */
  resolve(host: string, callback: (problem: string | null, addresses: readonly string[]) => void): void;
  /** @param host the name that the address is of, or the address: what answers has to prove to be one of the two */
  connect(address: string, port: number, host?: string): Connection;
}

export interface Environment {
  readonly time: Time;
  readonly random: Random;
  readonly network: Network;
  readonly log: Log;
}
