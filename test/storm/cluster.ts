/** Nodes in processes of their own, each behind a fault proxy, and the clients' way to them. */
import { Redis } from 'ioredis';
import { type MantisProcess, startMantis } from '../support/mantis-process.ts';
import { freePort } from '../support/free-port.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { FaultProxy, type Weather } from './fault-proxy.ts';

const flushIntervalMs = 1000;
/** What a killed node may forget of what it acknowledged; a busy machine makes its flushes late. */
export const windowMs = 3 * flushIntervalMs;

/** How a node of a storm is run; by default the first three with `always`, the others with `interval`. */
export interface StormNodeOptions {
  readonly durability?: StormNode['durability'];
  /** More of the command line. */
  readonly args?: readonly string[];
  readonly dataDir?: string;
}

export class StormNode {
  readonly number: number;
  readonly id: string;
  /** `always` and `mysql` forget nothing that they have acknowledged, `interval` what is younger than its flush-interval. */
  readonly durability: 'always' | 'interval' | 'mysql';
  process: MantisProcess | null = null;
  isPaused = false;
  kills = 0;
  readonly port: number;
  readonly peerPort: number;
  readonly #dataDir: string;
  readonly #args: readonly string[];
  readonly #advertised: number;
  readonly #seeds: readonly string[];

  constructor(number: number, ports: readonly number[], advertised: readonly number[], options: StormNodeOptions) {
    this.number = number;
    this.id = idOf(number);
    this.durability = options.durability ?? (number < 3 ? 'always' : 'interval');
    this.#dataDir = options.dataDir ?? temporaryFolder('storm');
    this.#args = options.args ?? [];
    this.port = ports[number * 2];
    this.peerPort = ports[number * 2 + 1];
    this.#advertised = advertised[number];
    this.#seeds = advertised.filter((_, other) => other !== number).map((port) => `127.0.0.1:${port}`);
  }

  get isRunning(): boolean {
    return this.process?.server.isRunning === true;
  }

  get windowMs(): number {
    return this.durability === 'interval' ? windowMs : 0;
  }

  async start(): Promise<void> {
    const options = {
      '--node-id': this.id,
      '--peers': this.#seeds.join(' '),
      '--peer-advertise': `127.0.0.1:${this.#advertised}`,
      '--cluster-secret': 'storm-secret',
      '--durability': this.durability,
      '--flush-interval': `${flushIntervalMs}ms`,
      '--enable-debug-command': 'local',
      '--peer-timeout': '3s',
      '--peer-reconnect-delay-max': '500ms',
      '--repair-interval': '5s',
    };
    this.process = await startMantis({
      port: this.port,
      peerPort: this.peerPort,
      dataDir: this.#dataDir,
      args: [...Object.entries(options).flat(), ...this.#args],
      readyDeadlineMs: 60_000,
    });
  }

  /** A client that tries everything once: what is not answered is not sent again. */
  connect(): Redis {
    const client = new Redis({
      port: this.port,
      host: '127.0.0.1',
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      enableOfflineQueue: false,
      retryStrategy: () => 100,
      commandTimeout: 20_000,
    });
    client.on('error', () => undefined);
    return client;
  }

  async kill(): Promise<void> {
    this.kills++;
    await this.process!.server.kill('SIGKILL');
  }
}

function idOf(number: number): string {
  return `00000000000000a${number}`;
}

export class StormCluster {
  readonly nodes: StormNode[];
  readonly proxies: FaultProxy[] = [];
  readonly weather: Weather[][];

  private constructor(nodes: StormNode[]) {
    this.nodes = nodes;
    this.weather = nodes.map(() => nodes.map(() => ({ isBlocked: false, delayMs: 0 })));
  }

  static async start(
    count: number,
    optionsOf: (number: number) => StormNodeOptions = () => ({}),
  ): Promise<StormCluster> {
    const ports: number[] = [];
    for (let index = 0; index < count * 3; index++) ports.push(await freePort());
    const advertised = ports.splice(count * 2);
    const nodes = advertised.map((_, number) => new StormNode(number, ports, advertised, optionsOf(number)));
    const cluster = new StormCluster(nodes);
    const numbers = new Map(nodes.map((node) => [node.id, node.number]));
    for (const { number, peerPort } of nodes) {
      const between = (from: number, to: number): Weather => cluster.weather[from][to];
      cluster.proxies.push(await FaultProxy.start(advertised[number], number, peerPort, numbers, between));
    }
    await Promise.all(nodes.map((node) => node.start()));
    return cluster;
  }

  /** Fair weather everywhere. */
  clear(): void {
    for (const row of this.weather) for (const way of row) Object.assign(way, { isBlocked: false, delayMs: 0 });
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) if (node.isRunning) await node.process!.server.stop();
    for (const proxy of this.proxies) proxy.stop();
  }
}
