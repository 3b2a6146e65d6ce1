/**
 * The composition root: builds a node from its configuration and injects time, randomness, network and disk. What a
 * write passes through is wired here: listener → dispatcher → keyspace → feed → peers and durable stores.
 */
import type { Logger } from 'pino';
import { RecordWriter } from '../protocol/change-record.ts';
import { packWritten, unpackWritten } from '../protocol/written.ts';
import { compareStamp, formatNodeId } from '../protocol/stamp.ts';
import { Applied } from '../replication/stream/applied.ts';
import type { Environment } from '../replication/environment.ts';
import { Replicator } from '../replication/replicator.ts';
import type { ReplicatorOptions } from '../replication/settings.ts';
import { Clock } from '../storage/clock.ts';
import { installPacking } from '../storage/collections/packing.ts';
import { Flusher } from '../storage/flush/flusher.ts';
import type { MakeEngine } from '../storage/flush/flusher-options.ts';
import { Keyspace } from '../storage/keyspace.ts';
import { compactStoreRing, drainFeed } from '../storage/changes/outflow.ts';
import { hydrateRows, hydrateWithin, ReadThrough } from '../storage/eviction/read-through.ts';
import { RelayedTurns } from '../storage/flush/relayed-turns.ts';
import type { Verification } from '../storage/verification/verification.ts';
import { startDigesting } from '../storage/digests/digest-start.ts';
import { Users } from './acl/users.ts';
import { followAccessSettings, followConflictSettings, followWriteSettings } from './runtime/access-settings.ts';
import { attachUsers } from './acl/attach-users.ts';
import { Blocking } from './waiting/blocking.ts';
import { ClientMemory } from './clients/client-memory.ts';
import { ClockBound } from './persistence/clock-bound.ts';
import { Commits, type JournalEnvironment, openJournal } from './persistence/commits.ts';
import { CommandTable } from './definitions/command-table.ts';
import { allCommands } from './commands/all.ts';
import type { Config } from './config/config.ts';
import { Dispatcher } from './dispatch/dispatcher.ts';
import { HorizonKeeper } from './persistence/horizon-keeper.ts';
import { Housekeeping } from './runtime/housekeeping.ts';
import { type Identity, identify, rememberWriter, type Seal } from './persistence/identity.ts';
import { KeyWaiters } from './waiting/key-waiters.ts';
import { KeyspaceEvents } from './pubsub/keyspace-events.ts';
import { gatherTurns } from './peers/gather-turns.ts';
import { HttpService } from './monitoring/http.ts';
import { Listener } from './network/listener.ts';
import { MemoryGuard } from './memory/memory-guard.ts';
import type { Loading, Node, SaveState, ShutdownRequest } from './node.ts';
import { type KeyListener, observerFor } from './runtime/observing.ts';
import type { RuntimeOptions } from './runtime/runtime-view.ts';
import { deliverMessages, relayMessages } from './peers/message-relay.ts';
import { PubSub } from './pubsub/pubsub.ts';
import { followPeerSettings } from './peers/peer-settings.ts';
import { flusherOptions, replicatorOptions } from './runtime/runtime-options.ts';
import { ReplicaAdapter } from './peers/replica-adapter.ts';
import { takeRowsOfOthers } from './persistence/rows-of-others.ts';
import { newSaveState, Saving, stopTimeoutMs } from './persistence/saving.ts';
import { Scripting } from './scripts/scripting.ts';
import { ScriptTurns } from './scripts/script-turns.ts';
import { Standstill } from './runtime/standstill.ts';
import type { Session } from './clients/session.ts';
import { StoredContent } from './persistence/stored-content.ts';
import { Statistics } from './monitoring/statistics.ts';
import type { Outbound } from './migration/target-connection.ts';
import type { Tracking } from './tracking/tracking.ts';
import { trackingFor } from './tracking/tracking-start.ts';
import { Waits } from './waiting/waits.ts';
import { WatchTable } from './transactions/watch-table.ts';

/** What a node needs of the world. */
export interface RuntimeEnvironment extends Environment, JournalEnvironment {
  wallClockMs(): number;
  readonly logger: Logger;
  /** Ends the process, because the node must not go on. */
  exit(code: number): void;
  /** Makes the durable stores; a worker thread with them unless it is given. */
  readonly makeEngine?: MakeEngine;
  /** How commands reach servers that are no peers; as peers are reached unless it is given. */
  readonly outbound?: Outbound['network'];
  /** What of replication no option sets. */
  readonly replication?: Partial<ReplicatorOptions>;
  /** Tells a data directory from a copy of it; without it there are no copies. */
  readonly folderSeal?: (dataDir: string) => Seal;
}

/** The fact under which the stores keep what this node has of each writer, and how often that is renewed at most. */
const APPLIED = 'applied';
const APPLIED_KEEP_MS = 500;
/** How much of `maxmemory` is filled at the start with what the stores have, when the rest can be read on demand. */
const HYDRATED_SHARE = 0.9;

export class Runtime implements Node {
  readonly config: Config;
  readonly keyspace: Keyspace;
  readonly commands: CommandTable;
  readonly users: Users;
  readonly dispatcher: Dispatcher;
  readonly sessions = new Map<number, Session>();
  readonly clientMemory = new ClientMemory(this);
  readonly statistics = new Statistics();
  readonly watches = new WatchTable();
  readonly blocking: Blocking;
  readonly keyWaiters: KeyWaiters;
  readonly scripting: Scripting;
  readonly pubsub: PubSub;
  readonly keyspaceEvents: KeyspaceEvents;
  readonly tracking: Tracking;
  readonly outbound: Outbound;
  readonly log: Logger;
  readonly runId: string;
  readonly startedAtMs: number;
  readonly save: SaveState;
  readonly nodeHi: number;
  readonly nodeLo: number;
  readonly applied: Applied;
  replicator: Replicator | null = null;
  readonly relayed = new RelayedTurns();
  flusher: Flusher | null;
  readThrough: ReadThrough | null = null;
  loading: Loading | null = { startedAtMs: 0, done: 0, total: 0 };
  writeRefusal: string | null = null;
  peersToWrite = 0;
  readonly listener: Listener;
  readonly #http: HttpService;
  readonly #environment: RuntimeEnvironment;
  readonly #options: RuntimeOptions;
  readonly #identity: Identity;
  readonly #housekeeping: Housekeeping;
  readonly #horizon: HorizonKeeper;
  readonly #feedWriter = new RecordWriter(64 * 1024);
  readonly #saving = new Saving(this, (callback) => this.#environment.time.defer(callback));
  readonly #clockBound: ClockBound;
  #appliedKeptAtMs = -Infinity;
  readonly #commits: Commits;
  #keyListener: KeyListener | null = null;
  #stopping: Promise<void> | null = null;
  #scriptTurns!: ScriptTurns;

  /** Opens the stores to learn who this node is, then builds it. @throws Error that says what to do */
  static async create(config: Config, world: RuntimeEnvironment, options: RuntimeOptions): Promise<Runtime> {
    const standstill = new Standstill(world);
    const environment = standstill.within(world);
    const commands = new CommandTable(allCommands);
    // First of all: what is wrong with them is no reason to open the stores.
    const users = new Users(config, commands);
    const source = new StoredContent();
    const stored = flusherOptions(config.values, options.mysqlPool, {
      nowMs: environment.wallClockMs,
      random: () => environment.random.fraction(),
      monotonicMs: () => environment.time.monotonicMs(),
      setTimer: (delayMs, callback) => environment.time.setTimer(delayMs, callback),
    });
    const { makeEngine, time } = environment;
    const flusher = stored === null ? null : new Flusher({ ...stored, makeEngine }, source, time);
    if (flusher === null && config.values['read-through']) {
      throw new Error(
        "'read-through yes' reads from the durable stores, and there are none: name a 'data-dir' or 'mysql'",
      );
    }
    await flusher?.open();
    const dataDir = config.values['data-dir'];
    const seal = (dataDir === null ? null : environment.folderSeal?.(dataDir)) ?? null;
    const identity = await identify(config.values['node-id'], environment.random, flusher?.meta ?? null, seal);
    const horizon = await HorizonKeeper.load(flusher, identity);
    const runtime = new Runtime(config, environment, options, flusher, identity, horizon, users);
    runtime.#scriptTurns = new ScriptTurns(runtime, standstill, world.time);
    horizon.attach(runtime);
    source.runtime = runtime;
    return runtime;
  }

  private constructor(
    config: Config,
    environment: RuntimeEnvironment,
    options: RuntimeOptions,
    flusher: Flusher | null,
    identity: Identity,
    horizon: HorizonKeeper,
    users: Users,
  ) {
    this.#horizon = horizon;
    this.config = config;
    this.#environment = environment;
    this.#options = options;
    this.outbound = { time: environment.time, network: environment.outbound ?? environment.network };
    this.log = environment.logger;
    this.flusher = flusher;
    this.runId = environment.random.bytes(20).toString('hex');
    this.nodeHi = identity.node.hi;
    this.nodeLo = identity.node.lo;
    this.#identity = identity;
    const clock = new Clock(environment.wallClockMs);
    const seed = environment.random.bytes(8);
    this.keyspace = new Keyspace({
      databases: config.values.databases,
      clock,
      nodeHi: identity.writer.hi,
      nodeLo: identity.writer.lo,
      hashKey0: seed.readUInt32LE(0),
      hashKey1: seed.readUInt32LE(4),
    });
    this.keyspace.nodes.owners = [identity.node, ...horizon.writers].map(({ hi, lo }) => formatNodeId(hi, lo));
    this.#clockBound = new ClockBound(clock);
    this.applied = new Applied(identity.writer, () => ({ hi: clock.hi, lo: clock.lo }));
    this.startedAtMs = clock.nowMs;
    this.save = newSaveState(clock.nowMs);
    this.commands = users.commands;
    this.users = users;
    this.dispatcher = new Dispatcher(this);
    this.blocking = new Blocking(this.dispatcher, () => this.monotonicMs());
    this.keyWaiters = new KeyWaiters(this.keyspace, this.blocking);
    this.scripting = new Scripting(this);
    this.pubsub = new PubSub((session, write) => this.dispatcher.sendMessage(session, write));
    this.keyspaceEvents = new KeyspaceEvents(this.keyspace, this.pubsub);
    this.keyWaiters.events = this.keyspaceEvents;
    attachUsers(this);
    this.tracking = trackingFor(this, this.dispatcher, (work) => environment.time.defer(work));
    this.listener = new Listener(this, this.dispatcher);
    this.#http = new HttpService(this);
    this.#housekeeping = new Housekeeping(this, this.dispatcher, this.listener, environment.time);
    this.#commits = new Commits(this, openJournal(config.values['data-dir'], environment));
    this.#wire();
  }

  #wire(): void {
    const { keyspace, keyWaiters, watches, tracking } = this;
    keyspace.storing = this.flusher !== null;
    keyspace.clock.onLeap = () => this.#housekeeping.watchWrites();
    followAccessSettings(this.config, keyspace);
    followConflictSettings(this.config, keyspace);
    followWriteSettings(this.config, this);
    keyspace.onFeed = gatherTurns(this.#environment.time, () => this.publish());
    installPacking(keyspace);
    keyspace.onRingFull = (database) => compactStoreRing(keyspace, database);
    watches.onActive = () => this.#observe();
    keyWaiters.onActive = () => this.#observe();
    tracking.onActive = () => this.#observe();
    keyWaiters.onReady = () => this.#environment.time.defer(() => this.#serveWaiters());
    this.#guardMemory();
    relayMessages(this, this.#environment.time, () => this.publish());
    this.dispatcher.gate = this.#commits.makeGate(
      (session, replies) => this.dispatcher.release(session, replies),
      (callback) => this.#environment.time.defer(callback),
    );
    const { flusher, config } = this;
    if (flusher !== null) {
      flusher.onError = (error) => this.onStoreError(error);
      flusher.onFlush = () => this.#onFlush();
      config.onChange(
        'flush-interval',
        () => (flusher.flushIntervalMs = this.#commits.flushIntervalMs(config.values['flush-interval'])),
      );
    }
  }

  #guardMemory(): void {
    const memory = new MemoryGuard(this, (work) => this.#environment.time.defer(work), this.#options.processMemory);
    if (this.flusher !== null && this.config.values['read-through']) {
      this.readThrough = new ReadThrough(this.keyspace, this.flusher);
      this.keyspace.readsThrough = true;
      const { readThrough } = this;
      readThrough.onFetched = () => memory.relieveSoon();
      memory.eviction.isPinned = (database, ref) => readThrough.isPinned(database, ref);
    }
    this.dispatcher.memory = memory;
    this.dispatcher.waits = new Waits(this, memory, this.readThrough, {
      time: this.#environment.time,
      wake: (session) => this.dispatcher.drained(session),
    });
  }

  /** Told of every key that changes, whoever changed it. Observing costs something on every write, so it is off when unused. */
  set onKeyChanged(listener: KeyListener | null) {
    this.#keyListener = listener;
    this.#observe();
  }

  /** For keys that became ready outside of a command: by a merge, or at their deadline. */
  #serveWaiters(): void {
    if (!this.keyWaiters.hasReady || this.#stopping !== null) return;
    this.keyspace.clock.refresh();
    this.keyWaiters.serve();
  }

  #observe(): void {
    this.keyspace.observer = observerFor(this, this.#keyListener);
  }

  // ---- start ----

  /** Serves: listens at once, answering -LOADING, loads what is stored, then joins its peers. */
  async start(): Promise<void> {
    this.loading = { startedAtMs: this.monotonicMs(), done: 0, total: 0 };
    if (this.#options.listen) await this.listener.start();
    await this.#http.start();
    this.#housekeeping.start();
    await this.#load();
    if (this.flusher !== null) await this.#clockBound.restore(this.flusher.meta);
    await this.#startReplication();
    this.flusher?.start();
    this.#commits.settle();
    this.loading = null;
    // What is loaded is no change.
    this.keyspaceEvents.follow(this.config, () => this.#observe());
  }

  async #load(): Promise<void> {
    const { flusher, loading } = this;
    if (flusher === null || loading === null) return;
    const bound = Number(this.config.values.maxmemory) * HYDRATED_SHARE || Infinity;
    const { time } = this.#environment;
    const isEmbedded = this.config.values['data-dir'] !== null;
    const stores = { isEmbedded, fetch: flusher.fetch.bind(flusher) };
    this.keyspace.storing = false;
    this.keyspace.hydrating = true;
    await flusher.hydrate(
      (records) => hydrateWithin(this.keyspace, records, bound, time),
      (done, total) => {
        loading.done = done;
        loading.total = total;
        this.#options.onLoading?.(loading);
      },
      async (records, keep) => {
        const rows = await this.#horizon.withoutForgotten(this.keyspace, records, time);
        await hydrateRows(this.keyspace, { rows, kept: keep(rows) }, bound, time, stores);
      },
    );
    this.applied.note(unpackWritten((await flusher.meta.get(APPLIED)) ?? Buffer.alloc(0)));
    this.keyspace.hydrating = false;
    this.keyspace.storing = true;
    await this.#commits.start();
  }

  /** Called by the node's timer. */
  async renewClockBound(): Promise<void> {
    if (this.flusher !== null) await this.#clockBound.renew(this.flusher.meta);
  }

  async #startReplication(): Promise<void> {
    const { members, facts: horizon, writers } = this.#horizon;
    const filled = replicatorOptions(this.config.values, { hi: this.nodeHi, lo: this.nodeLo }, members);
    if (filled === null) return;
    const { keyspace, flusher, relayed, keyspaceEvents: events, readThrough } = this;
    const hasEvicted = (): boolean =>
      keyspace.evictedKeys > 0 || keyspace.databases.some(({ evicted }) => evicted.count > 0);
    const commandCount = (): number => this.statistics.commandsProcessed;
    const stores = { isDurabilityTold: flusher !== null, isBroughtTold: flusher?.hasDatabase === true };
    const known = { horizon, writers, ...stores, hasEvicted, commandCount, ...this.#environment.replication };
    const adapter = new ReplicaAdapter(keyspace, relayed, () => this.monotonicMs(), events, readThrough);
    this.replicator = new Replicator({ ...filled, ...known }, adapter, this.#environment, this.applied);
    if (readThrough?.search) readThrough.search.onFound = () => this.replicator?.compare();
    followPeerSettings(this.config, this.replicator);
    this.replicator.onFirstMember(() => this.#joinCluster());
    this.replicator.onPublished((messages) => deliverMessages(this.pubsub, messages));
    // A node that nobody has joined yet need not digest and feed what it writes.
    if (keyspace.expectsPeers) this.#joinCluster();
    await this.replicator.start();
  }

  #joinCluster(): void {
    startDigesting(this.keyspace, this.loading === null ? this.#environment.time : null);
    this.keyspace.feeding = true;
    this.keyspace.isShared = true;
  }

  #onFlush(): () => void {
    const keepApplied = this.#onFlushOfApplied();
    const dropJournal = this.#commits.beginFlush();
    return () => {
      keepApplied?.();
      dropJournal();
    };
  }

  /** What this node has of each writer is kept with the data: it then holds for what a restart finds. */
  #onFlushOfApplied(): (() => void) | null {
    const nowMs = this.monotonicMs();
    if (nowMs - this.#appliedKeptAtMs < APPLIED_KEEP_MS) return null;
    this.#appliedKeptAtMs = nowMs;
    const bytes = packWritten(this.applied.all());
    return () => {
      const failed = (error: unknown): void => this.log.error({ err: error }, 'cannot keep what was applied');
      this.flusher?.meta.set(APPLIED, bytes).catch(failed);
    };
  }

  async takeRows(records: Buffer): Promise<void> {
    await this.untilWhole;
    return takeRowsOfOthers(this, this.#horizon, records, this.#environment.time, () => this.#stopping !== null);
  }

  get reapedStamp(): { readonly hi: number; readonly lo: number } {
    return this.#horizon.reaped;
  }

  keepHorizon(nowMs: number): Promise<void> {
    return this.#horizon.tick(nowMs);
  }

  // ---- the write's way out ----

  /** Resolves when what is being written is whole: a script was taken out of its turn. Null while it is. */
  get untilWhole(): Promise<void> | null {
    return this.#scriptTurns.untilEnd;
  }

  /** Sends this turn's changes to the peers. */
  publish(): void {
    if (this.untilWhole !== null) return;
    const writer = this.#feedWriter;
    if (drainFeed(this.keyspace, writer) === 0) return;
    const { clock } = this.keyspace;
    const last = this.replicator?.lastPublished ?? { hi: 0, lo: 0 };
    // A flush makes no stamp of its own: its floor is the last one seen. The turn needs one all the same.
    if (compareStamp(clock.hi, clock.lo, last.hi, last.lo) <= 0) clock.tick();
    const records = writer.lend();
    this.replicator?.publish(records, clock.hi, clock.lo);
    this.#commits.append(records);
    writer.reset();
    // What is written from now on is above this turn, also when it makes no stamp of its own: WAIT goes by that.
    clock.tick();
  }

  /** Resolves when what was written so far is as durable as the durability mode promises; for the library. */
  async committed(): Promise<void> {
    if (this.dispatcher.gate !== null) await this.#commits.commit();
  }

  saveNow(): Promise<void> {
    return this.#saving.now();
  }

  saveCopy(): Promise<void> {
    return this.#saving.copy();
  }

  verify(isRepairing: boolean): Promise<Verification> {
    return this.#saving.verify(isRepairing);
  }

  backUp(directory: string): Promise<number> {
    return this.#saving.backUp(directory);
  }

  onStoreError(error: Error): void {
    this.log.fatal({ err: error }, 'the durable store is damaged or cannot be trusted any more; stopping');
    void this.shutdown({ save: false, force: true, now: true }).finally(() => this.#environment.exit(1));
  }

  // ---- stop ----

  shutdown(request: ShutdownRequest): Promise<void> {
    this.#stopping ??= this.#stop(request).then(
      () => this.#options.onStopped?.(),
      (error: unknown) => {
        this.#stopping = null;
        throw error;
      },
    );
    return this.#stopping;
  }

  async #stop(request: ShutdownRequest): Promise<void> {
    const timeoutMs = this.config.values['shutdown-timeout'];
    await this.#scriptTurns.stop(request.save);
    if (request.save && !request.force) await this.saveNow();
    this.#http.isStopping = true;
    this.listener.stopAccepting();
    this.publish();
    await this.replicator?.drain(Math.min(timeoutMs / 4, 1000));
    await this.replicator?.stop();
    this.listener.closeClients();
    this.#housekeeping.stop();
    this.#http.stop();
    const isDurable = await this.flusher?.close(request.save ? stopTimeoutMs(this.config.values) : 0, async (facts) => {
      await facts.set(APPLIED, packWritten(this.applied.all()));
      await this.#clockBound.close(facts);
      await rememberWriter(this.#identity, facts);
    });
    if (request.save && isDurable === false) {
      const error = this.flusher?.status().mysql?.lastError ?? this.flusher?.status().writeError ?? null;
      this.log.error({ error }, 'the stores did not take everything within shutdown-timeout: what no peer has is lost');
    }
    await this.#commits.close();
  }

  get activeExpiry(): boolean {
    return this.#housekeeping.activeExpiry;
  }

  set activeExpiry(isOn: boolean) {
    this.#housekeeping.activeExpiry = isOn;
  }

  random(): number {
    return this.#environment.random.fraction();
  }

  monotonicMs(): number {
    return this.#environment.time.monotonicMs();
  }
}
