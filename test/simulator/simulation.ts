/** One simulation from its schedule: runs it, heals everything, and looks whether all that was promised holds. */
import { createHash } from 'node:crypto';
import { PEER_VERSION_ELEMENTS, PEER_VERSION_HIGHEST } from '../../protocol/peer-frame.ts';
import { formatNodeId, parseNodeId } from '../../protocol/stamp.ts';
import type { Stamp } from '../../replication/replica.ts';
import { contentDigest } from '../../server/peers/content-digest.ts';
import { VirtualWorld } from '../replication/virtual-world.ts';
import { checkRest, databaseProblem, diskProblem, rememberedOf } from './checks.ts';
import { differenceOf } from './content.ts';
import { FaultBoard, type FaultCounts } from './faults.ts';
import { Ledger } from './ledger.ts';
import { Losses, rowsOf } from './losses.ts';
import { Promises, type Whole } from './promises.ts';
import { describeRecords, dumpAll, dumpKey, type Holder } from './reference.ts';
import { Requests } from './requests.ts';
import { RunningChecks } from './running-checks.ts';
import { clockAheadMsMax, type Schedule } from './schedule.ts';
import { SimulatedDatabase } from './simulated-database.ts';
import { epochMs, NODE_ID_HI, peerPort, SimulatedNode } from './simulated-node.ts';
import { Violation } from './violation.ts';
import { Vows } from './vows.ts';

export interface Outcome {
  readonly seed: number;
  /** What is wrong; null when nothing is. */
  readonly violation: string | null;
  /** Requests that were run. */
  readonly operations: number;
  readonly events: number;
  readonly fired: FaultCounts;
  /** Records that crashes took away, as they may. */
  readonly lost: number;
  readonly simulatedMs: number;
  /** SHA-256 of the trace; empty without one. */
  readonly traceHash: string;
}

export interface SimulationOptions {
  /** Told of every event. */
  trace?: (line: string) => void;
  /** A key of database 0 whose registers are traced whenever they have changed. */
  watch?: string;
  /** Whether the trace is hashed. */
  hashes?: boolean;
}

const CHECK_MS = 500;
/** The same where nodes have come back a moment ago. */
const RETURN_CHECK_MS = 25;
/** What was written before that has come to its disk long ago when a node crashes. */
const LATELY_MS = 6000;
const SETTLE_MS = 120_000;
/** At least so long is everything left alone after the healing. */
const CALM_MS = 2000;

/** So far are stamps ahead of the clock after a start, and some milliseconds that a node's own writes need. */
const START_AHEAD_MS = 11_000;

/** Lets everything that waits on promises go on; only where no promise's callback is running. */
const runMicrotasks = (process as unknown as { _tickCallback(): void })._tickCallback.bind(process);

export class Simulation {
  readonly schedule: Schedule;
  readonly world: VirtualWorld;
  readonly nodes: SimulatedNode[] = [];
  readonly database: SimulatedDatabase;
  readonly ledger = new Ledger();
  readonly promises = new Promises();
  readonly faults: FaultBoard;
  readonly vows: Vows;
  readonly #losses: Losses;
  readonly #checks: RunningChecks;
  readonly #requests: Requests;
  readonly #options: SimulationOptions;
  readonly #hash = createHash('sha256');
  readonly #watched = new Map<string, string>();
  #failure: string | null = null;
  #nextCheckMs = CHECK_MS;

  constructor(schedule: Schedule, options: SimulationOptions = {}) {
    this.schedule = schedule;
    this.#options = options;
    this.world = new VirtualWorld(schedule.seed);
    this.world.maxDelayMs = schedule.maxDelayMs;
    this.world.time.afterEvent = runMicrotasks;
    this.database = new SimulatedDatabase(this.world.random);
    for (let number = 1; number <= schedule.nodes; number++) this.nodes.push(this.#makeNode(number));
    this.faults = new FaultBoard(this);
    this.vows = new Vows(this, this.ledger);
    this.#requests = new Requests(this);
    this.#losses = new Losses(this);
    this.#checks = new RunningChecks(this, clockAheadMsMax(schedule) + START_AHEAD_MS);
    this.database.onProgress = (id, stamp) => {
      const broken = this.vows.brokenAtProgress(this.nodes[parseNodeId(id)!.lo - 1], parseNodeId(stamp)!);
      if (broken !== null) this.fail(broken);
    };
    if (this.isTraced) this.#listen();
  }

  #makeNode(number: number): SimulatedNode {
    const { hasDisk, hasDatabase, durability, options, skewsMs, oldNode } = this.schedule;
    const { outboxBytesMax, repairElementsMin, longTurnElementsMin, longTurnRestMs } = this.schedule;
    const seeds = [1, 2, 3].filter((one) => one !== number);
    const node = new SimulatedNode(this.world, number, {
      hasDisk,
      outboxBytesMax,
      repairElementsMin,
      longTurns: { elementsMin: longTurnElementsMin, elementsAStep: 1, stepsATurn: 1, restMs: longTurnRestMs },
      peerVersionHighest: number === oldNode ? PEER_VERSION_ELEMENTS - 1 : PEER_VERSION_HIGHEST,
      database: hasDatabase ? this.database : null,
      options: {
        ...options,
        durability,
        peers: seeds.map((one) => `n${one}:${peerPort}`).join(' '),
        'node-id': formatNodeId(NODE_ID_HI, number),
        ...(hasDatabase ? { mysql: 'mysql://simulated/mantis' } : {}),
      },
    });
    node.clockOffsetMs = skewsMs[number - 1];
    node.onFailure = (text) => this.fail(text);
    node.onUp = () => this.#nodeIsUp(node);
    node.onDown = () => {
      this.crash(node);
      this.#losses.judge();
    };
    return node;
  }

  #listen(): void {
    this.world.onDelivered = (from, to, bytes) =>
      this.trace(`${from} → ${to} ${bytes.length} bytes ${createHash('sha1').update(bytes).digest('hex').slice(0, 8)}`);
    this.database.onEvent = (text) => this.trace(`database: ${text}`);
    for (const node of this.nodes) {
      node.disk.onEvent = (text) => this.trace(`${node.host} disk: ${text}`);
      node.onLog = (text) => this.trace(`${node.host} log: ${text}`);
    }
  }

  get isTraced(): boolean {
    return this.#options.trace !== undefined || this.#options.hashes === true;
  }

  trace(text: string): void {
    if (!this.isTraced) return;
    const line = `${this.world.time.monotonicMs().toFixed(3)} ${text}`;
    this.#hash.update(line);
    this.#options.trace?.(line);
  }

  fail(text: string): void {
    this.#failure ??= text;
  }

  /** Must be called where no promise's callback is running. */
  run(): Outcome {
    const { schedule } = this;
    try {
      this.#runSchedule();
      this.#settle();
      checkRest(this);
      if (schedule.hasDatabase) this.#checkDatabase();
      if (schedule.restartsAtEnd) this.#restartAll();
      else if (schedule.hasDisk) this.#checkDisks();
    } catch (error) {
      const text = error instanceof Violation ? error.message : String((error as Error).stack ?? error);
      this.fail(text);
    }
    const { fired } = this.faults;
    return {
      seed: schedule.seed,
      violation: this.#failure,
      operations: this.#requests.count,
      events: this.world.time.eventCount,
      fired,
      lost: this.ledger.lostCount,
      simulatedMs: this.world.time.monotonicMs(),
      traceHash: this.#options.hashes === true ? this.#hash.digest('hex') : '',
    };
  }

  #advance(toMs: number): void {
    const { time } = this.world;
    while (time.monotonicMs() < toMs) {
      const nextMs = !this.#checks.isAnyReturning ? toMs : Math.min(toMs, time.monotonicMs() + RETURN_CHECK_MS);
      time.run(Math.min(nextMs, this.#nextCheckMs) - time.monotonicMs());
      if (this.#failure !== null) throw new Violation(this.#failure);
      this.#checks.checkReturning();
      if (time.monotonicMs() < this.#nextCheckMs) continue;
      this.#nextCheckMs += CHECK_MS;
      this.#watch();
      if (this.schedule.packsSoon) this.#pack();
      this.#checks.check();
    }
  }

  /** What was not used since the last time is packed. */
  #pack(): void {
    for (const { serving } of this.nodes) serving?.keyspace.objects.packSome(Infinity);
  }

  #runSchedule(): void {
    const { schedule } = this;
    const joins = schedule.events.some((event) => event.type === 'fault' && event.kind === 'join' && event.node > 0);
    const late = schedule.events.find((event) => event.type === 'fault' && event.kind === 'join');
    for (const node of this.nodes) {
      if (joins && late?.node === node.number - 1) continue;
      node.start();
    }
    runMicrotasks();
    for (const event of schedule.events) {
      this.#advance(event.atMs);
      if (event.type === 'burst') this.#requests.ask(event);
      else {
        this.trace(`fault ${event.kind} at ${this.nodes[event.node].host}`);
        this.faults.apply(event);
        this.#losses.judge();
      }
      runMicrotasks();
    }
    this.#advance(schedule.durationMs);
  }

  // ---- what nodes do ----

  #nodeIsUp(node: SimulatedNode): void {
    this.#losses.isUp(node);
    this.trace(`${node.host} is up`);
    this.#checks.noteUp(node);
    const { replicator } = node.runtime!;
    if (replicator === null) return;
    const publish = replicator.publish.bind(replicator);
    replicator.publish = (records: Buffer, hi: number, lo: number): Stamp => {
      const copy = Buffer.from(records);
      const stamp = publish(records, hi, lo);
      const turn = this.ledger.note(node.number - 1, node.starts, this.world.time.monotonicMs(), stamp, copy);
      const torn = this.promises.published(node.number - 1, turn);
      if (torn !== null) this.fail(torn);
      return stamp;
    };
  }

  crash(node: SimulatedNode): void {
    const wasUp = node.runtime !== null;
    node.crash();
    this.trace(`${node.host} has crashed`);
    this.promises.crashed(node.number - 1);
    const broken = this.vows.brokenAtCrash(node) ?? this.vows.tornAtCrash(node, this.#lastWholes(node));
    if (broken !== null) this.fail(broken);
    if (!wasUp) return;
    this.#losses.ended(node);
    this.#checks.noteCrash(node);
  }

  /** What a node has run as one lately; of a disk that is in trouble nothing is asked: its flushes are many batches. */
  #lastWholes({ number, starts }: SimulatedNode): Whole[] {
    const nowMs = this.world.time.monotonicMs();
    if (nowMs < this.faults.storesTroubledUntilMs) return [];
    return this.promises.lastWholes(number - 1, starts, nowMs - LATELY_MS);
  }

  leave(node: SimulatedNode): void {
    this.#losses.left(node);
    node.leave();
    this.trace(`${node.host} has left`);
    this.promises.crashed(node.number - 1);
  }

  /** A node has stopped in order. */
  stopped(node: SimulatedNode): void {
    this.trace(`${node.host} has stopped`);
    this.#losses.ended(node);
    this.#losses.judge();
  }

  #watch(): void {
    if (this.#options.watch === undefined) return;
    const key = Buffer.from(this.#options.watch, 'latin1');
    const look = (host: string, records: Buffer): void => {
      const text = describeRecords(records).join('\n    ');
      if ((this.#watched.get(host) ?? '') === text) return;
      this.#watched.set(host, text);
      this.trace(`${host} has\n    ${text}`);
    };
    for (const { host, runtime } of this.nodes) if (runtime !== null) look(host, dumpKey(runtime.keyspace, 0, key));
    if (this.schedule.hasDatabase) look('the database', rowsOf(this).dump(0, key));
  }

  // ---- the end ----

  get living(): SimulatedNode[] {
    return this.nodes.filter((node) => node.state !== 'gone');
  }

  #isSettled(): boolean {
    const { living } = this;
    for (const node of living) {
      const runtime = node.serving;
      if (runtime === null || runtime.loading !== null || runtime.replicator === null) return false;
      if (runtime.replicator.linkedPeers !== living.length - 1) return false;
    }
    const first = contentDigest(living[0].runtime!);
    return living.every(
      (node) =>
        contentDigest(node.runtime!) === first &&
        node
          .runtime!.replicator!.status()
          .peers.every(
            (peer) => peer.state === 'down' || (peer.state !== 'quarantined' && peer.lagBytes === 0 && !peer.hasGap),
          ),
    );
  }

  #settle(): void {
    this.trace('everything is healed');
    this.faults.healAll();
    runMicrotasks();
    const { time } = this.world;
    this.#advance(Math.max(this.schedule.lapsedByMs, time.monotonicMs() + CALM_MS));
    this.#untilSettled('');
    if (this.#isInDatabaseOnly()) this.#startOne();
  }

  #untilSettled(after: string): void {
    const { time } = this.world;
    const endMs = time.monotonicMs() + SETTLE_MS;
    while (!this.#isSettled()) {
      if (time.monotonicMs() > endMs) throw new Violation(`not settled${after}:\n${this.#describe()}`);
      this.#advance(time.monotonicMs() + 250);
    }
  }

  /** Whether a member that is gone for good has brought to the database what no other node has heard of. */
  #isInDatabaseOnly(): boolean {
    const gone = this.nodes.find((node) => node.state === 'gone');
    if (gone === undefined || !this.schedule.hasDatabase) return false;
    const { keyspace } = this.living[0].runtime!;
    const living: Holder = { dump: (database, key) => dumpKey(keyspace, database, key) };
    return this.ledger.hasMore(gone.number - 1, rowsOf(this), living);
  }

  /** One node starts again, reads the database, and the others have it from there: that much is promised. */
  #startOne(): void {
    const [node] = this.living;
    this.trace(`${node.host} is to read what only the database has`);
    node.stop(() => node.start());
    runMicrotasks();
    this.#advance(this.world.time.monotonicMs() + 5000);
    this.#untilSettled(' after a start');
  }

  #describe(): string {
    return this.living
      .map((node) => {
        const { runtime } = node;
        if (runtime === null || runtime.replicator === null) return `${node.host} ${node.state}`;
        const peers = runtime.replicator
          .status()
          .peers.map(
            (peer) => `${peer.address} ${peer.state} gap ${peer.hasGap} lag ${peer.lagBytes} ${peer.lastError ?? ''}`,
          );
        return `${node.host} ${node.state} ${contentDigest(runtime)} ${peers.join('; ')}`;
      })
      .join('\n');
  }

  get clockAheadMs(): number {
    return clockAheadMsMax(this.schedule);
  }

  /** Milliseconds since 1970, as clocks without fault show. */
  get trueMs(): number {
    return Math.floor(epochMs + this.world.time.monotonicMs());
  }

  /** Once all is flushed and brought, the database alone has what the nodes show. */
  #checkDatabase(): void {
    const { time } = this.world;
    const endMs = time.monotonicMs() + SETTLE_MS;
    const isBrought = ({ runtime }: SimulatedNode): boolean => {
      const flusher = runtime!.flusher!;
      const { mysql } = flusher.status();
      return flusher.isClean && mysql !== null && mysql.queuedCount === 0 && mysql.heldGenerations === 0;
    };
    while (!this.living.every(isBrought)) {
      if (time.monotonicMs() > endMs)
        throw new Violation('the database has not got everything long after everything was healed');
      this.#advance(time.monotonicMs() + 250);
    }
    const problem = databaseProblem(this.database, rememberedOf(this.living[0]), this.trueMs);
    if (problem !== null) throw new Violation(problem);
  }

  /** Once all is flushed, each disk alone has what its node shows. */
  #checkDisks(): void {
    const { time } = this.world;
    const endMs = time.monotonicMs() + SETTLE_MS;
    const isFlushed = ({ runtime }: SimulatedNode): boolean => {
      const flusher = runtime!.flusher!;
      return flusher.isClean && flusher.canRemove && flusher.status().writeError === null;
    };
    while (!this.living.every(isFlushed)) {
      if (time.monotonicMs() > endMs) throw new Violation('not everything is flushed long after everything was healed');
      this.#advance(time.monotonicMs() + 250);
    }
    for (const node of this.living) {
      const problem = diskProblem(node, rememberedOf(node), this.trueMs);
      if (problem !== null) throw new Violation(problem);
    }
  }

  /** What was flushed is all that there is: a node that starts from its stores shows the same. */
  #restartAll(): void {
    const digest = contentDigest(this.living[0].runtime!);
    const before = dumpAll(this.living[0].runtime!.keyspace);
    this.trace('all nodes are restarted');
    for (const node of this.living) {
      const remembered = rememberedOf(node);
      node.stop(() => {
        const problem = diskProblem(node, remembered, this.trueMs);
        if (problem !== null) this.fail(problem);
        node.start();
      });
    }
    runMicrotasks();
    this.#advance(this.world.time.monotonicMs() + 5000);
    this.#untilSettled(' after a restart');
    const after = contentDigest(this.living[0].runtime!);
    if (after === digest) return;
    const difference = differenceOf(before, dumpAll(this.living[0].runtime!.keyspace));
    throw new Violation(`before (-) and after (+) a restart of all nodes, ${digest} and ${after}:\n${difference}`);
  }
}
