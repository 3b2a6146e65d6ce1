/** Commands run in this process: the real dispatcher, decoder and keyspace, with nothing around them. */
import pino from 'pino';
import { RequestDecoder } from '../../protocol/resp-request.ts';
import { Users } from '../../server/acl/users.ts';
import { attachUsers } from '../../server/acl/attach-users.ts';
import { Blocking } from '../../server/waiting/blocking.ts';
import type { CommandDefinition } from '../../server/definitions/command.ts';
import { CommandTable } from '../../server/definitions/command-table.ts';
import { ClientMemory } from '../../server/clients/client-memory.ts';
import { Config } from '../../server/config/config.ts';
import { Dispatcher } from '../../server/dispatch/dispatcher.ts';
import { KeyWaiters } from '../../server/waiting/key-waiters.ts';
import { KeyspaceEvents } from '../../server/pubsub/keyspace-events.ts';
import type { Node } from '../../server/node.ts';
import { newSaveState } from '../../server/persistence/saving.ts';
import { observerFor } from '../../server/runtime/observing.ts';
import { PubSub } from '../../server/pubsub/pubsub.ts';
import { Scripting } from '../../server/scripts/scripting.ts';
import { Session, type Transport } from '../../server/clients/session.ts';
import { Statistics } from '../../server/monitoring/statistics.ts';
import type { Tracking } from '../../server/tracking/tracking.ts';
import { trackingFor } from '../../server/tracking/tracking-start.ts';
import { WatchTable } from '../../server/transactions/watch-table.ts';
import { Applied } from '../../replication/stream/applied.ts';
import { systemTime } from '../../replication/system.ts';
import { tcpNetwork } from '../../replication/tcp.ts';
import { Clock } from '../../storage/clock.ts';
import { Keyspace } from '../../storage/keyspace.ts';
import { type Argument, encodeRequest } from './resp-client.ts';

export interface HarnessOptions {
  /** Options by name, such as `{ 'proto-max-bulk-len': '1mb' }`. */
  settings?: Record<string, string>;
  /** Milliseconds since 1970; the machine's clock unless it is given. */
  wallClockMs?: () => number;
  /** Milliseconds that never go back; the machine's unless they are given. */
  monotonicMs?: () => number;
  /** The node's id; 1 unless it is given. */
  nodeId?: number;
  /** How many databases; 16 unless it is given. */
  databases?: number;
  /** The table of the definitions, where several harnesses share one. */
  commands?: CommandTable;
}

/** Collects what a session is sent. */
class CollectingTransport implements Transport {
  readonly remoteAddress = '127.0.0.1:1';
  readonly localAddress = '127.0.0.1:2';
  readonly fileDescriptor = -1;
  readonly pendingBytes = 0;
  closed = false;
  #sent: Buffer[] = [];

  send(source: { buffer: Buffer }, start: number, end: number): void {
    this.#sent.push(Buffer.from(source.buffer.subarray(start, end)));
  }

  take(): Buffer {
    return Buffer.concat(this.#sent.splice(0));
  }

  close(): void {
    this.closed = true;
  }

  destroy(): void {
    this.closed = true;
  }

  pause(): void {}

  resume(): void {}
}

/** A client of a harness. */
export class HarnessClient {
  readonly session: Session;
  readonly transport = new CollectingTransport();
  readonly #dispatcher: Dispatcher;

  constructor(id: number, dispatcher: Dispatcher, nowMs: number) {
    const decoder = new RequestDecoder({ bulkLengthMax: 1 << 29, inlineLengthMax: 65536, argumentsMax: 1 << 20 });
    this.session = new Session(id, this.transport, decoder, nowMs);
    this.session.authenticated = true;
    decoder.authenticated = true;
    this.#dispatcher = dispatcher;
  }

  /** The reply's bytes. */
  run(...args: Argument[]): Buffer {
    return this.send(encodeRequest(args));
  }

  /** The replies' bytes to whatever requests these bytes are. */
  send(bytes: Buffer): Buffer {
    this.#dispatcher.receive(this.session, bytes, 0, bytes.length);
    return this.transport.take();
  }
}

/** A node without network, peers and stores, that knows the commands it is given. */
export class CommandHarness {
  readonly node: Node;
  readonly keyspace: Keyspace;
  readonly dispatcher: Dispatcher;
  readonly client: HarnessClient;
  #sessions = 0;
  readonly #deferred: (() => void)[] = [];

  constructor(definitions: readonly CommandDefinition[], options: HarnessOptions = {}) {
    const clock = new Clock(options.wallClockMs ?? Date.now);
    this.keyspace = new Keyspace({
      databases: options.databases ?? 16,
      clock,
      nodeHi: 1,
      nodeLo: options.nodeId ?? 1,
      hashKey0: 1,
      hashKey1: 2,
    });
    const config = Config.fromSources({ settings: options.settings ?? {} });
    const commands = options.commands ?? new CommandTable(definitions);
    const node = {
      config,
      keyspace: this.keyspace,
      commands,
      users: new Users(config, commands),
      sessions: new Map<number, Session>(),
      statistics: new Statistics(),
      watches: new WatchTable(),
      outbound: { time: systemTime, network: tcpNetwork() },
      log: pino({ level: 'silent' }),
      nodeHi: 1,
      nodeLo: options.nodeId ?? 1,
      runId: '0'.repeat(40),
      startedAtMs: clock.nowMs,
      save: newSaveState(clock.nowMs),
      applied: new Applied({ hi: 1, lo: options.nodeId ?? 1 }, () => ({ hi: clock.hi, lo: clock.lo })),
      replicator: null,
      flusher: null,
      loading: null,
      writeRefusal: null,
      peersToWrite: 0,
      activeExpiry: true,
      random: () => 0.5,
      monotonicMs: options.monotonicMs ?? (() => performance.now()),
      saveNow: () => Promise.resolve(),
      saveCopy: () => Promise.resolve(),
      backUp: () => Promise.resolve(0),
      verify: () => Promise.reject(new Error('there are no stores')),
      shutdown: () => Promise.resolve(),
    };
    // The dispatcher and the node refer to each other.
    const built = node as typeof node & {
      dispatcher: Dispatcher;
      blocking: Blocking;
      keyWaiters: KeyWaiters;
      pubsub: PubSub;
      scripting: Scripting;
      keyspaceEvents: KeyspaceEvents;
      tracking: Tracking;
      clientMemory: ClientMemory;
    };
    built.clientMemory = new ClientMemory(built);
    built.dispatcher = new Dispatcher(built);
    built.pubsub = new PubSub((session, write) => built.dispatcher.sendMessage(session, write));
    built.keyspaceEvents = new KeyspaceEvents(this.keyspace, built.pubsub);
    built.blocking = new Blocking(built.dispatcher, built.monotonicMs);
    built.keyWaiters = new KeyWaiters(this.keyspace, built.blocking);
    built.scripting = new Scripting(built);
    built.keyWaiters.events = built.keyspaceEvents;
    built.keyWaiters.onActive = () => this.#observe();
    built.tracking = trackingFor(built, built.dispatcher, (work) => this.#deferred.push(work));
    built.tracking.onActive = () => this.#observe();
    this.node = built;
    attachUsers(built);
    this.dispatcher = built.dispatcher;
    this.client = this.connect();
  }

  #observe(): void {
    this.keyspace.observer = observerFor(this.node, null);
  }

  /** Does what was put off to the end of the turn. */
  endTurn(): void {
    for (const work of this.#deferred.splice(0)) work();
  }

  /** Another client. */
  connect(): HarnessClient {
    const client = new HarnessClient(++this.#sessions, this.dispatcher, this.keyspace.clock.nowMs);
    this.node.sessions.set(client.session.id, client.session);
    client.session.user = this.node.users.default;
    return client;
  }

  /** The first client's reply, as bytes. */
  run(...args: Argument[]): Buffer {
    return this.client.run(...args);
  }

  /** Makes a key look as if it held another type; only commands that refuse it may be run on it. */
  disguise(key: string, type: number): void {
    const bytes = Buffer.from(key);
    const ref = this.keyspace.lookup(this.keyspace.databases[0], bytes, 0, bytes.length);
    this.keyspace.arena.bytes[ref >>> 20][(ref & 0xfffff) << 3] = type;
  }
}
