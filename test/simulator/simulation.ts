/** One simulation from its schedule: runs it, heals everything, and looks whether all that was promised holds. */
import { createHash } from 'node:crypto';
import { PEER_VERSION_ELEMENTS } from '../../protocol/peer-frame.ts';
import { compareStamp, formatNodeId, parseNodeId, stampMs } from '../../protocol/stamp.ts';
import type { PeerStatus } from '../../replication/status.ts';
import type { Stamp } from '../../replication/replica.ts';
import type { Runtime } from '../../server/runtime.ts';
import { contentDigest } from '../../server/content-digest.ts';
import { VirtualWorld } from '../replication/virtual-world.ts';
import { checkRest, diskProblem, rememberedOf } from './checks.ts';
import { differenceOf } from './content.ts';
import { FaultBoard, type FaultCounts } from './faults.ts';
import { factsOf, Ledger, type Turn } from './ledger.ts';
import { Promises } from './promises.ts';
import { describeRecords, digestOfKey, dumpAll, dumpKey, type Holder, RecordHeap } from './reference.ts';
import { acknowledgedMarks, isDurable, problemOf, resultsOf } from './replies.ts';
import { type Burst, clockAheadMsMax, type Schedule } from './schedule.ts';
import { SimulatedClient } from './simulated-client.ts';
import { SimulatedDatabase } from './simulated-database.ts';
import { epochMs, peerPort, SimulatedNode } from './simulated-node.ts';
import { Violation } from './violation.ts';
import { Vows } from './vows.ts';
import { restlessKeys } from './workload.ts';

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

/** A node that has ended. */
interface Returning {
  /** What others had written lately by then. */
  readonly turns: readonly Turn[];
  /** Until when it is looked at more often; null while it is not back. */
  untilMs: number | null;
}

export interface SimulationOptions {
  /** Told of every event. */
  trace?: (line: string) => void;
  /** A key of database 0 whose registers are traced whenever they have changed. */
  watch?: string;
  /** Whether the trace is hashed. */
  hashes?: boolean;
}

/** The upper half of all node ids; the lower one is a node's number. */
const NODE_ID_HI = 0xabc00000;
const CHECK_MS = 500;
/** How often is looked whether those that are left have dealt with what had come from one that has ended. */
const HEARING_MS = 20;
/** Nodes that come back are looked at more often for a while. */
const RETURN_CHECK_MS = 25;
const RETURNING_MS = 1500;
/** What was written shortly before a crash may be lost to its node. */
const LATELY_MS = 3000;
const SETTLE_MS = 120_000;
/** At least so long is everything left alone after the healing. */
const CALM_MS = 2000;

/** So far are stamps ahead of the clock after a start, and some milliseconds that a node's own writes need. */
const START_AHEAD_MS = 11_000;

/** Lets everything that waits on promises go on; only where no promise's callback is running. */
const runMicrotasks = (process as unknown as { _tickCallback(): void })._tickCallback.bind(process);

/** From the text of a status. */
function stampOf(text: string): Stamp {
  const [ms, counter] = text.split('-').map(Number);
  return { hi: Math.floor(ms / 4096), lo: (ms % 4096) * 0x100000 + counter };
}

export class Simulation {
  readonly schedule: Schedule;
  readonly world: VirtualWorld;
  readonly nodes: SimulatedNode[] = [];
  readonly database: SimulatedDatabase;
  readonly ledger = new Ledger();
  readonly promises = new Promises();
  readonly faults: FaultBoard;
  readonly #vows: Vows;
  operations = 0;
  readonly #options: SimulationOptions;
  readonly #hash = createHash('sha256');
  /** What the disks of nodes that are down hold. */
  readonly #disks = new Map<SimulatedNode, Holder>();
  /** Nodes that have ended, or came back a moment ago, each with what it has to show again. */
  readonly #returning = new Map<SimulatedNode, Returning>();
  readonly #watched = new Map<SimulatedNode, string>();
  /** What has to be looked at after the crashes of this moment. */
  #judgement: 'crash' | 'loss' | null = null;
  /** The nodes that have ended meanwhile, and when. */
  #ended: { host: string; atMs: number }[] = [];
  #failure: string | null = null;
  #nextCheckMs = CHECK_MS;
  readonly #aheadMsMax: number;

  constructor(schedule: Schedule, options: SimulationOptions = {}) {
    this.schedule = schedule;
    this.#options = options;
    this.world = new VirtualWorld(schedule.seed);
    this.world.maxDelayMs = schedule.maxDelayMs;
    this.world.time.afterEvent = runMicrotasks;
    this.database = new SimulatedDatabase(this.world.random);
    for (let number = 1; number <= schedule.nodes; number++) this.nodes.push(this.#makeNode(number));
    this.faults = new FaultBoard(this);
    this.#vows = new Vows(this, this.ledger);
    this.database.onProgress = (id, stamp) => {
      const broken = this.#vows.brokenAtProgress(this.nodes[parseNodeId(id)!.lo - 1], parseNodeId(stamp)!);
      if (broken !== null) this.fail(broken);
    };
    this.#aheadMsMax = clockAheadMsMax(schedule) + START_AHEAD_MS;
    if (this.#isTraced) this.#listen();
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
      peerVersionHighest: number === oldNode ? PEER_VERSION_ELEMENTS - 1 : PEER_VERSION_ELEMENTS,
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
      this.#judge();
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

  get #isTraced(): boolean {
    return this.#options.trace !== undefined || this.#options.hashes === true;
  }

  trace(text: string): void {
    if (!this.#isTraced) return;
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
      operations: this.operations,
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
      const nextMs = this.#returning.size === 0 ? toMs : Math.min(toMs, time.monotonicMs() + RETURN_CHECK_MS);
      time.run(Math.min(nextMs, this.#nextCheckMs) - time.monotonicMs());
      if (this.#failure !== null) throw new Violation(this.#failure);
      this.#checkReturning();
      if (time.monotonicMs() < this.#nextCheckMs) continue;
      this.#nextCheckMs += CHECK_MS;
      this.#check();
    }
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
      if (event.type === 'burst') this.#ask(event);
      else {
        this.trace(`fault ${event.kind} at ${this.nodes[event.node].host}`);
        this.faults.apply(event);
        this.#judge();
      }
      runMicrotasks();
    }
    this.#advance(schedule.durationMs);
  }

  // ---- clients ----

  #ask({ node: index, client: number, commands }: Burst): void {
    const node = this.nodes[index];
    const runtime = node.serving;
    if (runtime === null || runtime.loading !== null) return;
    let client = node.clients[number];
    if (client.isClosed) client = node.clients[number] = new SimulatedClient(runtime, 10 + this.operations);
    if (client.isBusy) return;
    this.operations += commands.length;
    if (this.#isTraced) this.trace(`${node.host} is asked ${JSON.stringify(commands)}`);
    const isTransaction = commands[0][0] === 'MULTI';
    const run = node.starts;
    const noted = commands.map((command) => {
      const isHere = commands[0][0] !== 'SELECT' && Promises.covers(command);
      return isHere ? this.promises.note(index, command) : null;
    });
    client.send(commands, (replies) => {
      if (this.#isTraced) this.trace(`${node.host} answers ${JSON.stringify(replies)}`);
      const results = isTransaction ? resultsOf(replies) : replies;
      for (let at = 0; at < noted.length; at++) {
        const problem =
          problemOf(commands[at], results[at]) ?? this.promises.delivered(index, run, commands[at], results[at]);
        if (problem !== null) this.fail(problem);
        const promised = noted[at];
        if (promised !== null) this.promises.answer(promised, results[at]);
      }
      const broken = this.#vows.brokenAtReply(node, noted);
      if (broken !== null) this.fail(broken);
      for (const key of acknowledgedMarks(commands, replies)) {
        this.#vows.note(node, key);
        if (isDurable(this, node, key)) continue;
        const { durability } = this.schedule;
        this.fail(`${key} was acknowledged by ${node.host}, and does not hold as durability ${durability} promises`);
      }
    });
  }

  // ---- what nodes do ----

  #nodeIsUp(node: SimulatedNode): void {
    this.#disks.delete(node);
    this.trace(`${node.host} is up`);
    const returning = this.#returning.get(node);
    if (returning !== undefined) returning.untilMs = this.world.time.monotonicMs() + RETURNING_MS;
    const { replicator } = node.runtime!;
    if (replicator === null) return;
    const publish = replicator.publish.bind(replicator);
    replicator.publish = (records: Buffer, hi: number, lo: number): Stamp => {
      const copy = Buffer.from(records);
      const stamp = publish(records, hi, lo);
      const turn = this.ledger.note(node.number - 1, node.starts, this.world.time.monotonicMs(), stamp, copy);
      this.promises.published(node.number - 1, turn);
      return stamp;
    };
  }

  crash(node: SimulatedNode): void {
    const wasUp = node.runtime !== null;
    node.crash();
    this.trace(`${node.host} has crashed`);
    this.promises.crashed(node.number - 1);
    const broken = this.#vows.brokenAtCrash(node);
    if (broken !== null) this.fail(broken);
    if (!wasUp) return;
    this.#noteEnd(node);
    this.#disks.set(node, this.#readDisk(node));
    this.#judgement ??= 'crash';
    const sinceMs = this.world.time.monotonicMs() - LATELY_MS;
    const turns = this.ledger.turns.filter((turn) => turn.node !== node.number - 1 && turn.atMs > sinceMs);
    this.#returning.set(node, { turns, untilMs: null });
  }

  #noteEnd({ host }: SimulatedNode): void {
    this.#ended.push({ host, atMs: this.world.time.monotonicMs() });
  }

  leave(node: SimulatedNode): void {
    this.#noteEnd(node);
    node.leave();
    this.trace(`${node.host} has left`);
    this.promises.crashed(node.number - 1);
    this.#disks.delete(node);
    this.#judgement = 'loss';
  }

  /** A node has stopped in order; without stores that work, what it alone had is gone all the same. */
  stopped(node: SimulatedNode): void {
    this.#noteEnd(node);
    this.trace(`${node.host} has stopped`);
    this.#disks.set(node, this.#readDisk(node));
    this.#judgement ??= 'crash';
    this.#judge();
  }

  /** Notes what crashes took away, as far as they may, once nobody is busy any more with what had come from the nodes before. */
  #judge(): void {
    if (this.#judgement === null) return;
    const { time } = this.world;
    if (this.#ended.some(({ host }) => this.world.isBeingHeard(host))) {
      time.setTimer(HEARING_MS, () => this.#judge());
      return;
    }
    const isGone = this.#judgement === 'loss';
    const nowMs = Math.min(time.monotonicMs(), ...this.#ended.map(({ atMs }) => atMs));
    this.#judgement = null;
    this.#ended = [];
    const { durability, hasDisk, hasDatabase, options } = this.schedule;
    const hasStore = hasDisk || hasDatabase;
    const intervalMs = options['flush-interval'] === '1s' ? 1000 : 200;
    const isTroubled = nowMs < this.faults.storesTroubledUntilMs || !hasStore;
    const sinceMs = isGone || isTroubled ? 0 : nowMs - 5 * intervalMs - 4000;
    const isSynced = durability === 'always' || durability === 'mysql';
    const mayBeLost = (turn: Turn): boolean => {
      if (isGone) return true;
      if (isSynced && turn.unanswered === 0 && !isTroubled) return false;
      return turn.atMs >= sinceMs;
    };
    const hit = this.ledger.judge(mayBeLost, this.#holders());
    for (const turn of hit) this.trace(`lost of n${turn.node + 1}: ${[...turn.lostKeys].join(' ')}`);
  }

  #readDisk(node: SimulatedNode): Holder {
    const heap = new RecordHeap();
    for (const records of node.disk.durableRecords()) heap.add(records);
    return heap;
  }

  /** Everything that has a copy now. */
  #holders(): Holder[] {
    const holders: Holder[] = [];
    // Those that have the most come first.
    for (const { runtime } of this.nodes) {
      if (runtime !== null) holders.push({ dump: (database, key) => dumpKey(runtime.keyspace, database, key) });
    }
    holders.push(...this.#disks.values());
    if (this.schedule.hasDatabase) holders.push(this.#databaseHolder());
    return holders;
  }

  #databaseHolder(): Holder {
    const rows = new RecordHeap();
    for (const row of this.database.rows.values()) rows.add(row);
    return rows;
  }

  // ---- while it runs ----

  #check(): void {
    if (this.#options.watch !== undefined) this.#watch(Buffer.from(this.#options.watch, 'latin1'));
    for (const node of this.nodes) {
      const runtime = node.serving;
      if (runtime === null || runtime.replicator === null) continue;
      this.#checkClock(node);
      const { outboxBytes, outboxBytesMax, peers } = runtime.replicator.status();
      if (outboxBytes > outboxBytesMax) throw new Violation(`the outbox of ${node.host} holds ${outboxBytes} bytes`);
      for (const peer of peers) {
        const at = parseNodeId(peer.id)!;
        this.ledger.heard(node.number - 1, stampOf(peer.acknowledged), this.world.time.monotonicMs());
        const other = this.nodes[at.lo - 1];
        if (peer.state === 'down' || other.serving === null || other.serving.loading !== null) continue;
        const stamp = stampOf(peer.acknowledged);
        const turns = this.ledger.unchecked(node.number - 1, node.starts, stamp, other.number - 1);
        for (const turn of turns) {
          this.#checkAcknowledged(node, other, turn);
        }
      }
    }
  }

  /** Of a node that came back its peers may not believe that it still has what a crash has taken from it. */
  #checkReturning(): void {
    for (const [other, returning] of this.#returning) {
      const { turns, untilMs } = returning;
      if (other.state === 'gone' || (untilMs !== null && this.world.time.monotonicMs() > untilMs)) {
        this.#returning.delete(other);
        continue;
      }
      if (untilMs === null || other.serving === null) continue;
      for (const node of this.nodes) {
        const ofThisRun = turns.filter((turn) => turn.node === node.number - 1 && turn.run === node.starts);
        // What a peer says takes a while to put together, and this is asked many times.
        if (ofThisRun.length === 0) continue;
        const peer = node.serving === null ? undefined : peerOf(node.serving, other);
        if (node === other || peer === undefined || peer.state === 'down') continue;
        // A peer that is cut off has not heard yet that there was a crash.
        if ((peerOf(other.serving, node)?.direction ?? null) === null) continue;
        const { hi, lo } = stampOf(peer.acknowledged);
        for (const turn of ofThisRun) {
          if (compareStamp(turn.stamp.hi, turn.stamp.lo, hi, lo) <= 0) this.#checkAcknowledged(node, other, turn);
        }
      }
    }
  }

  /** No stamps are further ahead than the fastest clock, and what a start skips. */
  #checkClock(node: SimulatedNode): void {
    const { hi, lo } = node.runtime!.keyspace.clock;
    const aheadMs = stampMs(hi, lo) - this.trueMs;
    if (aheadMs > this.#aheadMsMax)
      throw new Violation(`the stamps of ${node.host} are ${aheadMs} ms ahead, and clocks are not`);
  }

  #watch(key: Buffer): void {
    for (const node of this.nodes) {
      if (node.runtime === null) continue;
      const text = describeRecords(dumpKey(node.runtime.keyspace, 0, key)).join('\n    ');
      if (this.#watched.get(node) === text) continue;
      this.#watched.set(node, text);
      this.trace(`${node.host} has\n    ${text}`);
    }
  }

  /** What a peer has acknowledged it holds, or something newer. */
  #checkAcknowledged(node: SimulatedNode, other: SimulatedNode, turn: Turn): void {
    const { keyspace } = other.runtime!;
    const holder: Holder = { dump: (database, key) => dumpKey(keyspace, database, key) };
    for (let index = 0; index < turn.records.length; index++) {
      if (turn.lost.has(index)) continue;
      const record = turn.records[index];
      const { key, deadlineMs, flags } = factsOf(record);
      const isRestless = deadlineMs > 0 || (flags & 1) !== 0 || restlessKeys.test(key.toString('latin1'));
      if (isRestless || this.ledger.isHeld(record, holder)) continue;
      // Digests say nothing of what was removed, so that a repair need not bring it.
      if (this.#showsAsAnother(other, record)) continue;
      throw new Violation(
        `${other.host} has acknowledged what ${node.host} wrote to ${key.toString('latin1')}, and does not have it:\n` +
          `written ${describeRecords(record).join()}\nthere ${describeRecords(holder.dump(factsOf(record).database, key)).join('\n')}`,
      );
    }
  }

  /** Whether a node shows the same at the record's key as some other node does. */
  #showsAsAnother(node: SimulatedNode, record: Buffer): boolean {
    const { database, key } = factsOf(record);
    const own = digestOfKey(node.runtime!.keyspace, database, key);
    return this.nodes.some(
      (other) => other !== node && other.runtime !== null && digestOfKey(other.runtime.keyspace, database, key) === own,
    );
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
    return this.ledger.hasMore(gone.number - 1, this.#databaseHolder(), living);
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

  /** Milliseconds since 1970, as clocks without fault show. */
  get trueMs(): number {
    return Math.floor(epochMs + this.world.time.monotonicMs());
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

/** A node, as another one sees it. */
function peerOf(runtime: Runtime, { number }: SimulatedNode): PeerStatus | undefined {
  const id = formatNodeId(NODE_ID_HI, number);
  return runtime.replicator?.status().peers.find((peer) => peer.id === id);
}
