/**
 * One whole node: the server's own Runtime, with its dispatcher, keyspace, replicator, flusher and store engine, on a virtual
 * clock, network, disk and database. It can be ended at any moment and started again on what its disk has kept.
 */
import pino from 'pino';
import type { Log, Network, Time, Timer } from '../../replication/environment.ts';
import { StoreError } from '../../storage/backends/backend.ts';
import { LevelStore } from '../../storage/backends/level.ts';
import { FlushEngine } from '../../storage/flush/flush-engine.ts';
import type { LongTurns } from '../../replication/settings.ts';
import { Config } from '../../server/config/config.ts';
import { Runtime, type RuntimeEnvironment } from '../../server/runtime.ts';
import { SeededRandom, type VirtualWorld } from '../replication/virtual-world.ts';
import { SimulatedClient } from './simulated-client.ts';
import type { SimulatedDatabase } from './simulated-database.ts';
import { type DiskUser, SimulatedDisk } from './simulated-disk.ts';

export const peerPort = 7000;
/** The upper half of all node ids; the lower one is a node's number. */
export const NODE_ID_HI = 0xabc00000;
/** A moment in 2023; simulated time begins here. */
export const epochMs = 1_700_000_000_000;
/** How long after a start that failed comes the next. */
const START_AGAIN_MS = 500;
const silent = pino({ level: 'silent' });

export interface NodeSettings {
  /** Options by name, as in a configuration file. */
  options: Record<string, string>;
  outboxBytesMax: number;
  /** Less than any release has: collections are never large here. */
  repairElementsMin: number;
  /** The same of turns that are merged in steps. */
  longTurns: LongTurns;
  /** The highest version of the peer protocol that it speaks. */
  peerVersionHighest: number;
  hasDisk: boolean;
  database: SimulatedDatabase | null;
}

export type NodeState = 'down' | 'starting' | 'up' | 'stopping' | 'gone';

/** One run of a node, from its start to its end. */
class Incarnation implements DiskUser, Time {
  readonly #node: SimulatedNode;
  runtime: Runtime | null = null;

  constructor(node: SimulatedNode) {
    this.#node = node;
  }

  isAlive(): boolean {
    return this.#node.incarnation === this;
  }

  monotonicMs(): number {
    return this.#node.world.time.monotonicMs();
  }

  /** What is due while the process is stopped waits until it goes on. */
  setTimer(delayMs: number, callback: () => void): Timer {
    let isCancelled = false;
    const run = (): void => {
      if (isCancelled || !this.isAlive()) return;
      if (this.#node.isPaused) this.#node.held.push(run);
      else callback();
    };
    const timer = this.#node.world.time.setTimer(delayMs, run);
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  defer(callback: () => void): void {
    this.setTimer(0.01, callback);
  }
}

export class SimulatedNode {
  readonly number: number;
  readonly host: string;
  readonly world: VirtualWorld;
  readonly disk: SimulatedDisk;
  readonly settings: NodeSettings;
  state: NodeState = 'down';
  /** Wall clock minus true time. */
  clockOffsetMs = 0;
  /** The wall clock stands still at this reading. */
  frozenAtMs: number | null = null;
  isPaused = false;
  held: (() => void)[] = [];
  incarnation: Incarnation | null = null;
  clients: SimulatedClient[] = [];
  /** Times that it was started. */
  starts = 0;
  /** Told when a start is over. */
  onUp: () => void = () => undefined;
  /** Told when a start has failed for want of something. */
  onDown: () => void = () => undefined;
  /** Told of what a node does of its own accord that it should not. */
  onFailure: (text: string) => void = () => undefined;
  onLog: (text: string) => void = () => undefined;
  #asking: SimulatedClient | null = null;
  readonly #random: SeededRandom;
  readonly #config: Config;

  constructor(world: VirtualWorld, number: number, settings: NodeSettings) {
    this.world = world;
    this.number = number;
    this.host = `n${number}`;
    this.settings = settings;
    this.#random = new SeededRandom(world.random.below(2 ** 32));
    this.disk = new SimulatedDisk(new SeededRandom(world.random.below(2 ** 32)));
    const base = {
      port: '0',
      databases: '2',
      'http-port': '0',
      bind: '127.0.0.1',
      'peer-port': String(peerPort),
      'peer-bind': '0.0.0.0',
      'peer-advertise': `${this.host}:${peerPort}`,
      'cluster-secret': 'simulated-secret',
      'data-dir': settings.hasDisk ? '/simulated' : 'none',
      ...settings.options,
    };
    this.#config = Config.fromSources({ settings: base, env: {}, argv: [] });
    // Less than an operator may set: so little is soon too little.
    Object.assign(this.#config.values, { 'outbox-bytes-max': settings.outboxBytesMax });
  }

  get runtime(): Runtime | null {
    return this.incarnation?.runtime ?? null;
  }

  /** The runtime of a node that serves. */
  get serving(): Runtime | null {
    return this.state === 'up' && !this.isPaused ? this.runtime : null;
  }

  wallClockMs(): number {
    return Math.floor(this.frozenAtMs ?? epochMs + this.world.time.monotonicMs() + this.clockOffsetMs);
  }

  start(): void {
    if (this.state !== 'down') return;
    this.state = 'starting';
    this.starts++;
    const incarnation = new Incarnation(this);
    this.incarnation = incarnation;
    this.#run(incarnation).then(
      () => {
        if (!incarnation.isAlive()) return;
        this.state = 'up';
        this.clients = [1, 2].map((id) => new SimulatedClient(incarnation.runtime!, id));
        this.onUp();
      },
      (error: unknown) => {
        if (!incarnation.isAlive()) return;
        if (!(error instanceof StoreError)) {
          this.onFailure(`${this.host} does not start: ${String((error as Error).stack)}`);
          return;
        }
        // Whoever watches over it starts it again.
        this.onLog(`does not start: ${error.message}`);
        this.onDown();
        this.world.time.setTimer(START_AGAIN_MS, () => this.start());
      },
    );
  }

  async #run(incarnation: Incarnation): Promise<void> {
    const runtime = await Runtime.create(this.#config, this.#environmentOf(incarnation), { listen: false });
    incarnation.runtime = runtime;
    await runtime.start();
  }

  #environmentOf(incarnation: Incarnation): RuntimeEnvironment {
    const { database, repairElementsMin, longTurns, peerVersionHighest } = this.settings;
    const log = this.#logOf(incarnation);
    return {
      time: incarnation,
      random: this.#random,
      network: this.#networkOf(incarnation),
      log,
      logger: silent,
      replication: { repairElementsMin, longTurns, peerVersionHighest },
      wallClockMs: () => this.wallClockMs(),
      exit: () => {
        if (incarnation.isAlive()) this.onFailure(`${this.host} has given up its stores`);
      },
      journalFolder: (path) => this.disk.journal.open(path, incarnation),
      makeEngine: (options, events, environment) =>
        new FlushEngine(options, database === null ? null : options.mysqlUrl, null, events, environment, {
          level: (directory) => new LevelStore({ directory, openDatabase: () => this.disk.open(incarnation) }),
          mysql: () => database!.connect(incarnation),
        }),
    };
  }

  #networkOf(incarnation: Incarnation): Network {
    const network = this.world.networkOf(this.host);
    return {
      ...network,
      resolve: (host, callback) =>
        network.resolve(host, (problem, addresses) => {
          incarnation.setTimer(0, () => callback(problem, addresses));
        }),
    };
  }

  #logOf(incarnation: Incarnation): Log {
    const say =
      (level: string) =>
      (message: string): void => {
        if (incarnation.isAlive()) this.onLog(`${level} ${message}`);
      };
    return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
  }

  /** Ends without a word; the disk keeps what was synced, and perhaps a little more. */
  crash(): void {
    if (this.state === 'down' || this.state === 'gone') return;
    this.#end();
    this.world.crash(this.host);
    this.disk.crash();
  }

  /** Stops in order; `done` is called when it has. */
  stop(done: () => void): void {
    const { incarnation } = this;
    if (this.state !== 'up' || this.isPaused || incarnation === null || incarnation.runtime === null) return;
    this.state = 'stopping';
    incarnation.runtime.shutdown({ save: true, force: true, now: false }).then(
      () => {
        if (!incarnation.isAlive()) return;
        this.#end();
        this.world.crash(this.host);
        done();
      },
      (error: unknown) => this.onFailure(`${this.host} does not stop: ${String(error)}`),
    );
  }

  #end(): void {
    this.state = 'down';
    this.incarnation = null;
    this.clients = [];
    this.isPaused = false;
    this.held = [];
    this.world.unstallHost(this.host);
  }

  /** It does not come back, and neither does its disk. */
  leave(): void {
    this.crash();
    this.disk.erase();
    this.state = 'gone';
  }

  /** The process is stopped, as by SIGSTOP. */
  pause(): void {
    if (this.state !== 'up') return;
    this.isPaused = true;
    this.world.stall(this.host);
  }

  goOn(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.world.unstallHost(this.host);
    for (const run of this.held.splice(0)) this.world.time.setTimer(0, run);
  }

  /** Runs one request on a connection of its own, and gives its reply as it is sent. */
  askRaw(request: string): Buffer {
    this.#asking ??= new SimulatedClient(this.runtime!, 1000);
    if (this.#asking.runtime !== this.runtime) this.#asking = new SimulatedClient(this.runtime!, 1000);
    return this.#asking.askRaw(request);
  }
}
