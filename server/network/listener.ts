/** Where clients come in: TCP and Unix sockets, TLS, and the limits on who may. */
import net from 'node:net';
import { chmodSync, existsSync, unlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import tls from 'node:tls';
import { RequestDecoder, type RequestLimits } from '../../protocol/resp-request.ts';
import { isLoopback } from '../../replication/links/address.ts';
import { resetAuthentication } from '../acl/authentication.ts';
import { listenProblem } from '../config/checks.ts';
import { ValueError } from '../config/option-type.ts';
import { Connection, READ_BUFFER_BYTES, withSharedBuffer } from './connection.ts';
import { directWriteAvailable } from './direct-write.ts';
import type { Dispatcher } from '../dispatch/dispatcher.ts';
import { isMonitor } from '../monitoring/monitors.ts';
import type { Node } from '../node.ts';
import { clientsMost, openFilesMost } from './open-files.ts';
import { Session } from '../clients/session.ts';
import { clientDemands, TLS_CONTEXT_OPTIONS, tlsContextOptions } from './tls-options.ts';
import { TurnReplies } from './turn-replies.ts';
import { reasonOf } from '../../storage/backends/reason.ts';

const PROTECTED =
  '-DENIED Mantis is running in protected mode because protected mode is enabled and no password is set for the default ' +
  'user. In this mode connections are only accepted from the loopback interface. To connect from other computers set a ' +
  'password with requirepass, or bind only to addresses that nobody else reaches, or set protected-mode to no.\r\n';
const TOO_MANY = '-ERR max number of clients reached\r\n';

export class Listener {
  readonly #node: Node;
  readonly #dispatcher: Dispatcher;
  readonly #servers: net.Server[] = [];
  readonly #tlsServers: tls.Server[] = [];
  readonly #shared = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  readonly #turn = new TurnReplies();
  readonly #limits: RequestLimits;
  #nextId = 1;
  #accepting = true;
  /** The TCP port that clients reach, once it listens. */
  port = 0;

  constructor(node: Node, dispatcher: Dispatcher) {
    this.#node = node;
    this.#dispatcher = dispatcher;
    const { values } = node.config;
    this.#limits = {
      get bulkLengthMax() {
        return values['proto-max-bulk-len'];
      },
      inlineLengthMax: 64 * 1024,
      argumentsMax: 2 ** 31 - 1,
    };
  }

  /** @throws Error that names the address and the option to change, when one cannot be listened on */
  async start(): Promise<void> {
    const { values } = this.#node.config;
    this.#boundClients(openFilesMost());
    for (const entry of values.port === 0 ? [] : values.bind) await this.#listen(entry, values.port, false);
    for (const entry of values['tls-port'] === 0 ? [] : values.bind)
      await this.#listen(entry, values['tls-port'], true);
    if (values['tls-port'] !== 0) this.#followTlsOptions();
    if (values.unixsocket !== '') await this.#listenUnix(values.unixsocket, values.unixsocketperm);
  }

  /** As in Redis: beyond that, clients would take the files that the stores need, and writes would be refused. */
  #boundClients(openFiles: number): void {
    const { config, log } = this.#node;
    const most = clientsMost(openFiles);
    const asked = config.values.maxclients;
    if (asked > most) {
      config.keep('maxclients', most);
      log.warn(
        `maxclients is ${most} instead of ${asked}: this process may open ${openFiles} files (ulimit -n, LimitNOFILE)`,
      );
    }
    config.onChange('maxclients', (count) => {
      if (count > most)
        throw new ValueError(
          `the operating system allows ${most} clients with ${openFiles} open files (ulimit -n, LimitNOFILE)`,
        );
    });
  }

  #server(secure: boolean, unixSocket: string | null = null): net.Server {
    const accept = (socket: net.Socket, shared: boolean): void => this.#accept(socket, shared, unixSocket);
    if (secure) {
      const { values } = this.#node.config;
      const options = { ...tlsContextOptions(values), ...clientDemands(values) };
      const server = tls.createServer(options, (socket) => accept(socket, false));
      // Node.js leaves one open with which the handshake took too long.
      server.on('tlsClientError', (_problem, socket) => socket.destroy());
      this.#tlsServers.push(server);
      return server;
    }
    const server = net.createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true }, (socket) =>
      accept(socket, true),
    );
    return server;
  }

  /** New connections go by what CONFIG SET says, with the files as they are then. */
  #followTlsOptions(): void {
    const { config } = this.#node;
    const apply = (): void => {
      try {
        const options = tlsContextOptions(config.values);
        for (const server of this.#tlsServers) {
          server.setSecureContext(options);
          Object.assign(server, clientDemands(config.values));
        }
      } catch (error) {
        throw new ValueError(reasonOf(error));
      }
    };
    for (const name of TLS_CONTEXT_OPTIONS) config.onChange(name, apply);
  }

  async #listen(entry: string, port: number, secure: boolean): Promise<void> {
    const optional = entry.startsWith('-');
    const address = optional ? entry.slice(1) : entry;
    const host = address === '*' ? '0.0.0.0' : address === '::*' ? '::' : address;
    const server = this.#server(secure);
    const backlog = this.#node.config.values['tcp-backlog'];
    try {
      await listening(server, { host, port, backlog, ipv6Only: host.includes(':') });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (optional && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) return;
      throw new Error(listenProblem(secure ? 'tls-port' : 'port', host, port, code), { cause: error });
    }
    this.#servers.push(server);
    if (!secure) this.port = port;
  }

  async #listenUnix(path: string, permissions: number): Promise<void> {
    // Clients are told apart from those of ports by a path that begins with /.
    const server = this.#server(false, resolve(path));
    try {
      if (existsSync(path)) unlinkSync(path);
      await listening(server, { path });
      if (permissions !== 0) chmodSync(path, permissions);
    } catch (error) {
      const why = reasonOf(error);
      throw new Error(`cannot listen on ${path}: make its folder, or choose another path with --unixsocket (${why})`, {
        cause: error,
      });
    }
    this.#servers.push(server);
  }

  #accept(socket: net.Socket, shared: boolean, unixSocket: string | null): void {
    const { config, statistics, sessions } = this.#node;
    const refusal = this.#refusal(socket);
    if (refusal !== null) {
      statistics.connectionsRejected++;
      socket.on('error', () => socket.destroy());
      socket.end(refusal);
      socket.resume();
      return;
    }
    statistics.connectionsReceived++;
    const decoder = new RequestDecoder(this.#limits, this.#dispatcher.lookAhead.requests);
    const buffer = this.#shared;
    let onData = (_bytes: number): void => {};
    const own = shared ? withSharedBuffer(socket, buffer, (bytes) => onData(bytes)) : socket;
    const direct = shared && directWriteAvailable && config.values['tcp-direct-write'] !== 'no';
    const onBytes = direct ? (bytes: number): void => onData(bytes) : null;
    const connection = new Connection(own, this.#events(), this.#turn, onBytes, unixSocket);
    const session = new Session(this.#nextId++, connection, decoder, this.#node.keyspace.clock.refresh());
    connection.session = session;
    resetAuthentication(this.#node, session);
    sessions.set(session.id, session);
    const keepaliveMs = config.values['tcp-keepalive'];
    if (keepaliveMs > 0) own.setKeepAlive(true, keepaliveMs);
    onData = (bytes) => this.#dispatcher.receive(session, buffer, 0, bytes);
    if (!shared) own.on('data', (data: Buffer) => this.#dispatcher.receive(session, data, 0, data.length));
    // The handle is paused since it was accepted.
    own.resume();
  }

  #refusal(socket: net.Socket): string | null {
    const { config, sessions, users } = this.#node;
    if (!this.#accepting) return '-ERR Mantis is shutting down\r\n';
    if (sessions.size >= config.values.maxclients) return TOO_MANY;
    const remote = socket.remoteAddress;
    const open = config.values['protected-mode'] && users.default.needsNoPassword;
    return open && remote !== undefined && !isLoopback(remote) ? PROTECTED : null;
  }

  #events(): ConstructorParameters<typeof Connection>[1] {
    return {
      data: (session, buffer, start, end) => this.#dispatcher.receive(session, buffer, start, end),
      drained: (session) => this.#dispatcher.drained(session),
      overLimit: (session, bytes) => this.#checkOutputLimit(session, bytes),
      closed: (session) => this.#forget(session),
      counts: this.#node.statistics,
    };
  }

  #checkOutputLimit(session: Session, bytes: number): void {
    const limits = this.#node.config.values['client-output-buffer-limit'];
    const { hardBytes, softBytes, softSeconds } = session.subscriptions === null ? limits.normal : limits.pubsub;
    const { nowMs } = this.#node.keyspace.clock;
    const isOverSoft = softBytes !== 0 && bytes > softBytes;
    if (!isOverSoft) session.overSoftLimitSinceMs = 0;
    else if (session.overSoftLimitSinceMs === 0) session.overSoftLimitSinceMs = nowMs;
    const isOver = isOverSoft && nowMs - session.overSoftLimitSinceMs > softSeconds * 1000;
    if (!isOver && (hardBytes === 0 || bytes <= hardBytes)) {
      this.#node.clientMemory.evict();
      return;
    }
    this.#node.statistics.outputLimitDisconnections++;
    this.#node.log.warn({ client: session.transport.remoteAddress, bytes }, 'closed: over client-output-buffer-limit');
    session.closing = true;
    session.transport.destroy();
  }

  #forget(session: Session): void {
    if (!this.#node.sessions.delete(session.id)) return;
    session.closing = true;
    this.#node.blocking.cancel(session);
    this.#node.watches.forget(session);
    this.#node.pubsub.forget(session);
    this.#node.tracking.disable(session);
    this.#dispatcher.forget(session);
  }

  /** Closes clients that have been over their soft limit for too long, also when they are sent nothing more, and what takes too much. */
  checkBuffers(): void {
    for (const session of this.#node.sessions.values()) {
      if (session.overSoftLimitSinceMs !== 0) this.#checkOutputLimit(session, session.transport.pendingBytes);
    }
    this.#node.clientMemory.evict();
  }

  /** Closes clients that have been idle for longer than `timeout` allows. */
  closeIdle(nowMs: number): void {
    const timeoutMs = this.#node.config.values.timeout;
    if (timeoutMs === 0) return;
    for (const session of this.#node.sessions.values()) {
      if (session.blocked !== null || session.subscriptions !== null || isMonitor(this.#node, session)) continue;
      if (nowMs - session.activeAtMs > timeoutMs) session.transport.close();
    }
  }

  /** Takes no more clients. */
  stopAccepting(): void {
    this.#accepting = false;
    for (const server of this.#servers) server.close();
  }

  /** Closes every client. */
  closeClients(): void {
    for (const session of this.#node.sessions.values()) session.transport.destroy();
  }
}

function listening(server: net.Server, options: net.ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
