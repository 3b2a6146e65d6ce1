/** The network of a real node: TCP, with TLS on top when it is configured. */
import { strict as assert } from 'node:assert';
import { lookup } from 'node:dns';
import { connect as connectTcp, createServer as createTcpServer, isIP, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Connection, ConnectionEvents, Listener, Network } from './environment.ts';
import { SLICE_MS } from './pace.ts';

/** PEM texts of the options peer-tls-cert-file, peer-tls-key-file, peer-tls-ca-cert-file, and peer-tls-auth-clients. */
export interface PeerTls {
  readonly certificate: string | Buffer;
  readonly key: string | Buffer;
  /** Who signs the peers' certificates; the system's authorities when absent. */
  readonly authority?: string | Buffer;
  /** True = both sides must show a certificate that `authority` has signed. */
  readonly isMutual: boolean;
  /** Name that the peers' certificates carry when it is not the host that is dialed. */
  readonly serverName?: string;
}

/** What is queued when a connection closes has this long to leave. */
const LINGER_MS = 2000;
/** Node.js reads so much at a time. Where it comes short of that, nothing is left for now. */
const READ_BYTES = 64 * 1024;
const READ_TLS_BYTES = 16 * 1024;
/**
 * What a peer has sent is dealt with in pieces of so much, until it has taken this long; the rest waits for the next turn of the event
 * loop. libuv alone reads a socket up to 32 times in one turn: two megabytes of a repair's records would hold up clients for 100 ms.
 */
const PIECE_BYTES = 4 * 1024;
const TURN_MS = SLICE_MS;
/** The kernel is given at most this much in one turn: it takes a millisecond for a few megabytes. */
const WRITTEN_BYTES_A_TURN = 128 * 1024;

class TcpConnection implements Connection {
  readonly remoteHost: string;
  events: ConnectionEvents | null = null;
  #socket: Socket;
  #reason = 'the peer closed the connection';
  /** What has been read and not been dealt with, and how far that is. The socket is paused meanwhile. */
  #chunk: Buffer | null = null;
  #chunkStart = 0;
  #workedMs = 0;
  #isResting = false;
  readonly #readBytes: number;
  /** What the socket has yet to be given, the first of it from `#outgoingStart` on. */
  #outgoing: Buffer[] = [];
  #outgoingStart = 0;
  #outgoingBytes = 0;
  /** The queue goes on when the kernel has taken what it has, or in the next turn. */
  #isSending = false;

  constructor(socket: Socket, remoteHost: string, openEvent: 'connect' | 'secureConnect' | null, readBytes: number) {
    this.#socket = socket;
    this.#readBytes = readBytes;
    this.remoteHost = remoteHost;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    if (openEvent !== null) socket.once(openEvent, () => this.events?.opened());
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    socket.on('drain', () => setImmediate(() => this.#goOn()));
    socket.on('error', (problem: Error) => (this.#reason = problem.message));
    socket.on('close', () => {
      this.events?.closed(this.#reason);
      this.events = null;
    });
  }

  #received(chunk: Buffer): void {
    assert(this.#chunk === null, 'a paused socket has read on');
    this.#chunk = chunk;
    this.#chunkStart = 0;
    this.#handOver();
    // There may be more: it is for the next turn.
    if (chunk.length >= this.#readBytes) this.rest(0);
  }

  /** Deals with what has been read, for as long as it may take in this turn. */
  #handOver(): void {
    while (this.#chunk !== null && !this.#isResting) {
      const chunk = this.#chunk;
      const start = this.#chunkStart;
      const end = Math.min(start + PIECE_BYTES, chunk.length);
      this.#chunkStart = end;
      if (end === chunk.length) this.#chunk = null;
      const beganMs = performance.now();
      this.events?.received(chunk, start, end);
      this.#workedMs += performance.now() - beganMs;
      if (this.#workedMs >= TURN_MS) this.rest(0);
    }
    this.#workedMs = 0;
  }

  /** 0 = until the next turn of the event loop. */
  rest(durationMs: number): void {
    if (this.#isResting) return;
    this.#isResting = true;
    this.#socket.pause();
    if (durationMs === 0) setImmediate(() => this.#wake());
    else setTimeout(() => this.#wake(), durationMs);
  }

  #wake(): void {
    this.#isResting = false;
    this.#handOver();
    if (this.#chunk === null && !this.#hasRested()) this.#socket.resume();
  }

  /** A call, because the compiler does not see that dealing with what came may have this rest again. */
  #hasRested(): boolean {
    return this.#isResting;
  }

  write(buffers: readonly Buffer[]): void {
    if (!this.#socket.writable) return;
    for (const buffer of buffers) {
      this.#outgoing.push(buffer);
      this.#outgoingBytes += buffer.length;
    }
    if (!this.#isSending) this.#send(WRITTEN_BYTES_A_TURN);
  }

  /** Gives the socket so many bytes of the queue; the others follow. */
  #send(bytesMax: number): void {
    this.#isSending = false;
    const socket = this.#socket;
    let sent = 0;
    let count = 0;
    socket.cork();
    while (count < this.#outgoing.length && sent < bytesMax) {
      const buffer = this.#outgoing[count];
      const start = this.#outgoingStart;
      const end = Math.min(start + bytesMax - sent, buffer.length);
      socket.write(start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end));
      sent += end - start;
      this.#outgoingStart = end === buffer.length ? 0 : end;
      if (end === buffer.length) count++;
    }
    this.#outgoing.splice(0, count);
    this.#outgoingBytes -= sent;
    socket.uncork();
    if (socket.writableNeedDrain) {
      this.#isSending = true;
    } else if (this.#outgoing.length > 0) {
      this.#isSending = true;
      setImmediate(() => this.#goOn());
    }
  }

  #goOn(): void {
    if (!this.#socket.writable) return;
    this.#send(WRITTEN_BYTES_A_TURN);
    if (this.#outgoing.length === 0) this.events?.writable();
  }

  queuedBytes(): number {
    return this.#outgoingBytes + this.#socket.writableLength;
  }

  close(): void {
    this.#reason = 'closed here';
    const socket = this.#socket;
    if (socket.destroyed) return;
    if (socket.connecting) {
      socket.destroy();
      return;
    }
    if (socket.writable) this.#send(Infinity);
    socket.end();
    // What still comes is not dealt with any more, but the end of it is to be seen.
    this.#chunk = null;
    socket.removeAllListeners('data');
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('close', () => clearTimeout(timer));
  }
}

function listenOn(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (problem: NodeJS.ErrnoException) => {
      const reason =
        problem.code === 'EADDRINUSE' ? 'the port is taken; choose another with peer-port' : problem.message;
      reject(new Error(`cannot listen for peers on ${host} port ${port}: ${reason}`));
    });
    server.listen({ host, port }, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

/** @param tls absent = plain TCP */
export function tcpNetwork(tls?: PeerTls): Network {
  const tlsOptions =
    tls === undefined
      ? null
      : {
          cert: tls.certificate,
          key: tls.key,
          minVersion: 'TLSv1.2' as const,
          ...(tls.authority === undefined ? {} : { ca: tls.authority }),
        };

  const readBytes = tlsOptions === null ? READ_BYTES : READ_TLS_BYTES;

  async function listen(host: string, port: number, accept: (connection: Connection) => void): Promise<Listener> {
    const open = new Set<Socket>();
    const onSocket = (socket: Socket): void => {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
      accept(new TcpConnection(socket, socket.remoteAddress ?? 'unknown', null, readBytes));
    };
    const server =
      tlsOptions === null
        ? createTcpServer(onSocket)
        : createTlsServer({ ...tlsOptions, requestCert: tls!.isMutual, rejectUnauthorized: tls!.isMutual }, onSocket);
    const bound = await listenOn(server, host, port);
    server.removeAllListeners('error');
    // A handshake that fails concerns one peer, not the server.
    server.on('error', () => undefined);
    return {
      port: bound,
      close: () =>
        new Promise((resolve) => {
          server.close(() => resolve());
          const timer = setTimeout(() => open.forEach((socket) => socket.destroy()), LINGER_MS);
          server.once('close', () => clearTimeout(timer));
        }),
    };
  }

  function connect(address: string, port: number): Connection {
    if (tlsOptions === null) {
      return new TcpConnection(connectTcp({ host: address, port }), address, 'connect', readBytes);
    }
    const name = tls!.serverName ?? address;
    const socket: TLSSocket = connectTls({
      ...tlsOptions,
      host: address,
      port,
      ...(isIP(name) === 0 ? { servername: name } : {}),
    });
    return new TcpConnection(socket, address, 'secureConnect', readBytes);
  }

  return {
    listen,
    connect,
    resolve(host, callback) {
      if (isIP(host) !== 0) {
        setImmediate(callback, null, [host]);
        return;
      }
      lookup(host, { all: true }, (problem, addresses) => {
        if (problem !== null) callback(problem.message, []);
        else callback(null, [...new Set(addresses.map((entry) => entry.address))]);
      });
    },
  };
}
