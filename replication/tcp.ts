/** The network of a real node: TCP, with TLS on top when it is configured. */
import { strict as assert } from 'node:assert';
import { lookup } from 'node:dns';
import {
  connect as connectTcp,
  createServer as createTcpServer,
  isIP,
  type OnReadOpts,
  type Server,
  Socket,
  type SocketConstructorOpts,
} from 'node:net';
import {
  checkServerIdentity,
  connect as connectTls,
  createServer as createTlsServer,
  type PeerCertificate,
  type TlsOptions,
  TLSSocket,
} from 'node:tls';
import type { Connection, ConnectionEvents, Network } from './environment.ts';
import { SLICE_MS } from './repair/pace.ts';

/** PEM texts of the options peer-tls-cert-file, peer-tls-key-file, peer-tls-ca-cert-file, and peer-tls-auth-clients. */
export interface PeerTls {
  readonly certificate: string | Buffer;
  readonly key: string | Buffer;
  /** Of the key, where it has one. */
  readonly passphrase?: string;
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

const UNKNOWN_HOST = 'unknown';
const NO_BYTES = Buffer.alloc(0);
/** Parts of the queue that are kept to be used again. */
const SPARE_MAX = 3;

/** Connections of which TLS has yet to make out who is there: so many, for so long each. */
const GREETINGS_MAX = 128;
const GREETING_MS = 5000;

type OpenEvent = 'connect' | 'secureConnect';

class TcpConnection implements Connection {
  readonly remoteHost: string;
  events: ConnectionEvents | null = null;
  #socket: Socket;
  #reason = 'the peer closed the connection';
  /** What has been read and not been dealt with is `#chunk[#chunkStart, #chunkEnd)`. The socket is paused meanwhile. */
  #chunk: Buffer = NO_BYTES;
  #chunkStart = 0;
  #chunkEnd = 0;
  #workedMs = 0;
  #isResting = false;
  /** The rest has no end of its own. */
  #isHeld = false;
  #isClosing = false;
  /** The socket is closed. */
  #isOver = false;
  readonly #readBytes: number;
  /** What the socket has yet to be given, in parts of WRITTEN_BYTES_A_TURN; the last has `#lastBytes`, and room for more. */
  readonly #full: Buffer[] = [];
  #last: Buffer = NO_BYTES;
  #lastBytes = 0;
  /** Memory of which the socket has not sent all, and memory of which it has. */
  readonly #lent: Buffer[] = [];
  readonly #spare: Buffer[] = [];
  /** The queue goes on when the kernel has taken what it has, or in the next turn. */
  #isSending = false;

  /** @param makeSocket makes it so that it is read as is said to it, or by 'data' events */
  constructor(makeSocket: (onread: OnReadOpts) => Socket, remoteHost: string, openEvent: OpenEvent | null) {
    const callback = (bytes: number, buffer: Uint8Array): boolean => {
      this.#received(buffer as Buffer, bytes);
      return true;
    };
    const socket = makeSocket({ buffer: Buffer.allocUnsafeSlow(READ_BYTES), callback });
    const isSecure = socket instanceof TLSSocket;
    this.#socket = socket;
    this.#readBytes = isSecure ? READ_TLS_BYTES : READ_BYTES;
    this.remoteHost = remoteHost;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    if (openEvent !== null) socket.once(openEvent, () => this.events?.opened());
    if (isSecure) socket.on('data', (chunk: Buffer) => this.#received(chunk, chunk.length));
    else socket.resume();
    socket.on('drain', () => {
      this.#takeBack();
      setImmediate(() => this.#goOn());
    });
    socket.on('error', (problem: NodeJS.ErrnoException) => (this.#reason = problemOf(problem)));
    socket.on('close', () => {
      this.#isOver = true;
      this.#end();
    });
  }

  /** What has been read before the end is dealt with first: nobody may be there to send it again. */
  #end(): void {
    if (!this.#isClosing && (this.#isHeld || this.#chunkStart < this.#chunkEnd)) return;
    this.events?.closed(this.#reason);
    this.events = null;
  }

  #received(chunk: Buffer, bytes: number): void {
    if (this.#isClosing) return;
    assert(this.#chunkStart === this.#chunkEnd, 'a paused socket has read on');
    this.#chunk = chunk;
    this.#chunkStart = 0;
    this.#chunkEnd = bytes;
    this.#handOver();
    // There may be more: it is for the next turn.
    if (bytes >= this.#readBytes) this.rest(0);
  }

  /** Deals with what has been read, for as long as it may take in this turn. */
  #handOver(): void {
    while (this.#chunkStart < this.#chunkEnd && !this.#isResting) {
      const start = this.#chunkStart;
      const end = Math.min(start + PIECE_BYTES, this.#chunkEnd);
      this.#chunkStart = end;
      const beganMs = performance.now();
      this.events?.received(this.#chunk, start, end);
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

  hold(): void {
    this.#isHeld = true;
    this.#isResting = true;
    this.#socket.pause();
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    setImmediate(() => this.#wake());
  }

  #wake(): void {
    if (this.#isHeld || this.#isClosing) return;
    this.#isResting = false;
    this.#handOver();
    if (this.#isOver) this.#end();
    else if (this.#chunkStart === this.#chunkEnd && !this.#hasRested()) this.#socket.resume();
  }

  /** A call, because the compiler does not see that dealing with what came may have this rest again. */
  #hasRested(): boolean {
    return this.#isResting;
  }

  write(buffers: readonly Buffer[]): void {
    if (!this.#socket.writable) return;
    for (const buffer of buffers) this.#append(buffer);
    if (!this.#isSending) this.#send();
  }

  #append(buffer: Buffer): void {
    for (let at = 0; at < buffer.length;) {
      if (this.#lastBytes === this.#last.length) {
        if (this.#lastBytes > 0) this.#full.push(this.#last);
        this.#takeBack();
        this.#last = this.#spare.pop() ?? Buffer.allocUnsafeSlow(WRITTEN_BYTES_A_TURN);
        this.#lastBytes = 0;
      }
      const end = Math.min(buffer.length, at + this.#last.length - this.#lastBytes);
      buffer.copy(this.#last, this.#lastBytes, at, end);
      this.#lastBytes += end - at;
      at = end;
    }
  }

  /** The memory that the socket had to keep for a while can be used again when it has sent everything. */
  #takeBack(): void {
    if (this.#socket.writableLength > 0) return;
    for (const memory of this.#lent) if (this.#spare.length < SPARE_MAX) this.#spare.push(memory);
    this.#lent.length = 0;
  }

  /** Gives the socket the first part of the queue; the others follow. */
  #send(): void {
    this.#isSending = false;
    const socket = this.#socket;
    const full = this.#full.shift();
    if (full !== undefined) {
      socket.write(full);
      this.#lent.push(full);
    } else if (this.#lastBytes > 0) {
      socket.write(this.#last.subarray(0, this.#lastBytes));
      // What the kernel has not taken is left to the socket.
      if (socket.writableLength > 0) {
        this.#lent.push(this.#last);
        this.#last = NO_BYTES;
      }
      this.#lastBytes = 0;
    }
    if (socket.writableNeedDrain) {
      this.#isSending = true;
    } else if (this.#full.length > 0 || this.#lastBytes > 0) {
      this.#isSending = true;
      setImmediate(() => this.#goOn());
    }
  }

  #goOn(): void {
    if (!this.#socket.writable) return;
    this.#send();
    if (this.#queuedHere === 0) this.events?.writable();
  }

  get #queuedHere(): number {
    return this.#full.length * WRITTEN_BYTES_A_TURN + this.#lastBytes;
  }

  queuedBytes(): number {
    if (this.#isOver) return Infinity;
    return this.#queuedHere + this.#socket.writableLength;
  }

  close(): void {
    this.#reason = 'closed here';
    const socket = this.#socket;
    if (socket.destroyed) {
      this.#isClosing = true;
      // Where what was read kept the end waiting.
      if (this.#isOver) setImmediate(() => this.#end());
      return;
    }
    if (socket.connecting) {
      socket.destroy();
      return;
    }
    while (socket.writable && this.#queuedHere > 0) this.#send();
    socket.end();
    // What still comes is not dealt with any more, but the end of it is to be seen.
    this.#isClosing = true;
    this.#chunkStart = this.#chunkEnd;
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('close', () => clearTimeout(timer));
  }
}

/** Makes an accepted, paused socket anew, so that it is read as `onread` says. */
function rebuild(accepted: Socket, onread: OnReadOpts): Socket {
  const holder = accepted as unknown as { _handle: object | null };
  const handle = holder._handle;
  holder._handle = null;
  accepted.destroy();
  return new Socket({ handle, onread } as SocketConstructorOpts);
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

/** Resolves when the server and what it had accepted are closed; what takes longer than LINGER_MS is cut. */
async function closeAll(server: Server, open: ReadonlySet<Socket>): Promise<void> {
  const timer = setTimeout(() => open.forEach((socket) => socket.destroy()), LINGER_MS);
  const isClosed = new Promise<void>((resolve) => void server.close(() => resolve()));
  const areClosed = Array.from(open, (socket) => new Promise((resolve) => socket.once('close', resolve)));
  await Promise.all([isClosed, ...areClosed]);
  clearTimeout(timer);
}

/** What is to be done about a certificate that is refused with this code of Node.js. */
export function certificateHint(code: string): string {
  if (code === 'CERT_HAS_EXPIRED') return 'it is to be renewed, and its node started again';
  if (code === 'CERT_NOT_YET_VALID') return 'it is valid only later, by the clock of the node that refuses it';
  return 'it must be signed by an authority in peer-tls-ca-cert-file';
}

/** Why a certificate, or the want of one, keeps the other side out; null where it does not. */
function certificateProblem(accepted: Socket, tls: PeerTls | undefined): string | null {
  if (tls?.isMutual !== true || !(accepted instanceof TLSSocket) || accepted.authorized) return null;
  const code = String(accepted.authorizationError);
  return `its certificate is refused (${code}): ${certificateHint(code)}`;
}

const NOT_TLS = new Set(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_HTTP_REQUEST', 'ERR_SSL_PACKET_LENGTH_TOO_LONG']);

function problemOf({ code = '', message }: NodeJS.ErrnoException): string {
  return NOT_TLS.has(code) ? 'it does not speak TLS, which peer-tls wants on both sides' : message;
}

/** Why TLS could not be begun with who has come. */
function greetingProblem(problem: NodeJS.ErrnoException): string {
  const { code = '', message } = problem;
  if (NOT_TLS.has(code)) return problemOf(problem);
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'its TLS handshake took too long';
  return `its TLS handshake failed (${code || message}): both sides need a certificate that the other one's peer-tls-ca-cert-file has signed`;
}

/** A server, and what closes the connections that have not come as far as an accepted socket. */
interface Listening {
  readonly server: Server;
  readonly cut: () => void;
}

/** A TLS server that bounds what it has before it knows who is there, and tells of those with whom it did not come to that. */
function greetingServer(
  options: TlsOptions,
  onSocket: (socket: TLSSocket) => void,
  failed: (remoteHost: string, why: string) => void = () => undefined,
): Listening {
  // Who shows a wrong certificate is told so, and nothing else.
  const all = { ...options, rejectUnauthorized: false, handshakeTimeout: GREETING_MS };
  const greetings = new Map<string, Socket>();
  const nameOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;
  const server = createTlsServer(all, (socket) => {
    greetings.delete(nameOf(socket));
    onSocket(socket);
  });
  server.on('connection', (socket: Socket) => {
    if (greetings.size >= GREETINGS_MAX) {
      socket.destroy();
      return;
    }
    const name = nameOf(socket);
    greetings.set(name, socket);
    socket.once('close', () => greetings.delete(name));
  });
  server.on('tlsClientError', (problem, socket) => {
    greetings.delete(nameOf(socket));
    // Of those who went by themselves the address is not known any more.
    if (socket.remoteAddress !== undefined) failed(socket.remoteAddress, greetingProblem(problem));
    // Node.js leaves one open that took too long.
    socket.destroy();
  });
  const cut = (): void => greetings.forEach((socket) => socket.destroy());
  return { server, cut };
}

/** @param tls absent = plain TCP */
export function tcpNetwork(tls?: PeerTls): Network {
  const tlsOptions =
    tls === undefined
      ? null
      : {
          cert: tls.certificate,
          key: tls.key,
          ...(tls.passphrase === undefined ? {} : { passphrase: tls.passphrase }),
          minVersion: 'TLSv1.2' as const,
          ...(tls.authority === undefined ? {} : { ca: tls.authority }),
        };

  const listen: Network['listen'] = async (host, port, accept, failed) => {
    const open = new Set<Socket>();
    const onSocket = (accepted: Socket): void => {
      const remoteHost = accepted.remoteAddress ?? UNKNOWN_HOST;
      const make = (onread: OnReadOpts): Socket => {
        const socket = tlsOptions === null ? rebuild(accepted, onread) : accepted;
        open.add(socket);
        socket.on('close', () => open.delete(socket));
        return socket;
      };
      accept(new TcpConnection(make, remoteHost, null), certificateProblem(accepted, tls));
    };
    const { server, cut }: Listening =
      tlsOptions === null
        ? { server: createTcpServer({ pauseOnConnect: true }, onSocket), cut: () => undefined }
        : greetingServer({ ...tlsOptions, requestCert: tls!.isMutual }, onSocket, failed);
    const bound = await listenOn(server, host, port);
    server.removeAllListeners('error');
    // A handshake that fails concerns one peer, not the server.
    server.on('error', () => undefined);
    return { port: bound, close: () => (cut(), closeAll(server, open)) };
  };

  function connect(address: string, port: number, host = address): Connection {
    if (tlsOptions === null) {
      const make = (onread: OnReadOpts): Socket => connectTcp({ host: address, port, onread });
      return new TcpConnection(make, address, 'connect');
    }
    const name = tls!.serverName ?? host;
    const options = {
      ...tlsOptions,
      host: address,
      port,
      ...(isIP(name) === 0 ? { servername: name } : {}),
      checkServerIdentity: (_host: string, certificate: PeerCertificate): Error | undefined =>
        checkServerIdentity(address, certificate) && checkServerIdentity(name, certificate),
    };
    return new TcpConnection(() => connectTls(options), address, 'secureConnect');
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
