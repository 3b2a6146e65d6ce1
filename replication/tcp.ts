/** The network of a real node: TCP, with TLS on top when it is configured. */
import { lookup } from 'node:dns';
import { connect as connectTcp, createServer as createTcpServer, isIP, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Connection, ConnectionEvents, Listener, Network } from './environment.ts';

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
/**
 * After so much of what one peer has sent, reading goes on in the next turn of the event loop. libuv reads a socket up to 32 times in
 * one turn: two megabytes of a repair's records would hold up clients for 100 ms.
 */
const READ_BYTES_A_TURN = 64 * 1024;
const TURN_MS = 1;

class TcpConnection implements Connection {
  readonly remoteHost: string;
  events: ConnectionEvents | null = null;
  #socket: Socket;
  #reason = 'the peer closed the connection';
  #readBytes = 0;
  #workedMs = 0;
  #isTurnNoted = false;

  constructor(socket: Socket, remoteHost: string, openEvent: 'connect' | 'secureConnect' | null) {
    this.#socket = socket;
    this.remoteHost = remoteHost;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    if (openEvent !== null) socket.once(openEvent, () => this.events?.opened());
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    socket.on('drain', () => this.events?.writable());
    socket.on('error', (problem: Error) => (this.#reason = problem.message));
    socket.on('close', () => {
      this.events?.closed(this.#reason);
      this.events = null;
    });
  }

  #received(chunk: Buffer): void {
    this.#noteTurn();
    const startedAtMs = performance.now();
    this.events?.received(chunk, 0, chunk.length);
    this.#workedMs += performance.now() - startedAtMs;
    this.#readBytes += chunk.length;
    if (this.#workedMs >= TURN_MS || this.#readBytes >= READ_BYTES_A_TURN) this.#socket.pause();
  }

  #noteTurn(): void {
    if (this.#isTurnNoted) return;
    this.#isTurnNoted = true;
    setImmediate(() => {
      this.#isTurnNoted = false;
      this.#readBytes = 0;
      this.#workedMs = 0;
      this.#socket.resume();
    });
  }

  write(buffers: readonly Buffer[]): void {
    if (!this.#socket.writable) return;
    this.#socket.cork();
    for (const buffer of buffers) this.#socket.write(buffer);
    this.#socket.uncork();
  }

  queuedBytes(): number {
    return this.#socket.writableLength;
  }

  close(): void {
    this.#reason = 'closed here';
    const socket = this.#socket;
    if (socket.destroyed) return;
    if (socket.connecting) {
      socket.destroy();
      return;
    }
    socket.end();
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

  async function listen(host: string, port: number, accept: (connection: Connection) => void): Promise<Listener> {
    const open = new Set<Socket>();
    const onSocket = (socket: Socket): void => {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
      accept(new TcpConnection(socket, socket.remoteAddress ?? 'unknown', null));
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
    if (tlsOptions === null) return new TcpConnection(connectTcp({ host: address, port }), address, 'connect');
    const name = tls!.serverName ?? address;
    const socket: TLSSocket = connectTls({
      ...tlsOptions,
      host: address,
      port,
      ...(isIP(name) === 0 ? { servername: name } : {}),
    });
    return new TcpConnection(socket, address, 'secureConnect');
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
