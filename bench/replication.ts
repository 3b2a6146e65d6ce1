/**
 * What replication costs: the writing server's CPU per command with no, one and two peers, the receiving one's per change, and how
 * long an acknowledged write takes to be seen at the peer; Mantis beside redis-server with replicas, in one run.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { measureRun } from './benchmark.ts';
import { Connection } from './connection.ts';
import { type Contender, MeasuredServer } from './measured-server.ts';
import { type Delays, measureDelays } from './paced-writer.ts';
import { median, table } from './statistics.ts';

const PIPELINE = 16;
const PEERS_MOST = 2;
const WHAT = ['-r', '100000', '-d', '64', '-t', 'set'];
const READY_DEADLINE_MS = 30_000;

/** How a server is told of another one that is to receive what it writes, and how it is seen that it does. */
export interface ReplicatedContender {
  readonly name: string;
  /** @param upstream ports of the first server, null for itself: clients' and peers' */
  contender(peerPort: number, upstream: { port: number; peerPort: number } | null): Contender;
  /** The INFO section and the pattern whose first group is the number of servers attached. */
  readonly info: string;
  readonly attached: RegExp;
  /** What that section has while a server still takes what was there before it was attached. */
  readonly catchingUp: RegExp;
}

export interface ReplicationOptions {
  readonly rounds: number;
  readonly requests: number;
  readonly rate: number;
  readonly log: (line: string) => void;
}

interface Figures {
  /** By the number of peers. */
  readonly senderMicroseconds: number[][];
  readonly commandsPerSecond: number[][];
  readonly receiverMicroseconds: number[];
  readonly delays: Delays[];
}

/** The writing server and those attached to it. */
class Group {
  readonly #kind: ReplicatedContender;
  readonly #ports: number[];
  readonly servers: MeasuredServer[] = [];

  constructor(kind: ReplicatedContender, ports: number[]) {
    this.#kind = kind;
    this.#ports = ports;
  }

  get writer(): MeasuredServer {
    return this.servers[0];
  }

  async grow(): Promise<void> {
    const peerPort = this.#ports[this.servers.length];
    const upstream = this.servers.length === 0 ? null : { port: this.writer.port, peerPort: this.#ports[0] };
    this.servers.push(await MeasuredServer.start(this.#kind.contender(peerPort, upstream)));
    await this.#until('to be attached', async () => (await this.#attached()) === this.servers.length - 1);
  }

  async #attached(): Promise<number> {
    const text = await this.#ask(this.writer, 'INFO', this.#kind.info);
    return Number(this.#kind.attached.exec(text)?.[1] ?? 0);
  }

  /** Waits until every server has the last write, and all that was there before it was attached. */
  async settle(): Promise<void> {
    const mark = String(performance.now());
    await this.#ask(this.writer, 'SET', 'mark', mark);
    for (const server of this.servers) {
      await this.#until('to have caught up', async () => {
        const text = await this.#ask(server, 'INFO', this.#kind.info);
        return !this.#kind.catchingUp.test(text) && (await this.#ask(server, 'GET', 'mark')) === `+${mark}`;
      });
    }
  }

  async #ask(server: MeasuredServer, ...words: string[]): Promise<string> {
    const connection = await Connection.open(server.port);
    const reply = await connection.command(...words);
    connection.close();
    return reply;
  }

  async #until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const startedAt = performance.now();
    while (!(await condition())) {
      if (performance.now() - startedAt > READY_DEADLINE_MS) throw new Error(`${this.writer.name}: no server ${what}`);
      await delay(20);
    }
  }

  async stop(): Promise<void> {
    for (const server of [...this.servers].reverse()) await server.stop();
  }
}

async function measureGroup(group: Group, peers: number, options: ReplicationOptions, figures: Figures): Promise<void> {
  await measureRun(group.writer, options.requests / 2, PIPELINE, WHAT);
  await group.settle();
  const receivers = group.servers.slice(1);
  const before = receivers.map((server) => server.cpuMicroseconds());
  const run = await measureRun(group.writer, options.requests, PIPELINE, WHAT);
  await group.settle();
  figures.senderMicroseconds[peers].push(run.cpuMicrosecondsPerCommand);
  figures.commandsPerSecond[peers].push(run.commandsPerSecond);
  for (const [index, server] of receivers.entries()) {
    figures.receiverMicroseconds.push((server.cpuMicroseconds() - before[index]) / options.requests);
  }
}

async function measureRound(kind: ReplicatedContender, ports: number[], options: ReplicationOptions, figures: Figures) {
  const group = new Group(kind, ports);
  try {
    for (let peers = 0; peers <= PEERS_MOST; peers++) {
      await group.grow();
      await measureGroup(group, peers, options, figures);
      if (peers === 1) {
        figures.delays.push(await measureDelays(group.writer, group.servers[1], options.rate, 500));
      }
    }
  } finally {
    await group.stop();
  }
}

/** Measures all of them in turn, `rounds` times, and gives the table. */
export async function compareReplication(
  kinds: readonly ReplicatedContender[],
  freePorts: (count: number) => Promise<number[]>,
  options: ReplicationOptions,
): Promise<string> {
  const all = kinds.map((): Figures => ({
    senderMicroseconds: [[], [], []],
    commandsPerSecond: [[], [], []],
    receiverMicroseconds: [],
    delays: [],
  }));
  for (let round = 0; round < options.rounds; round++) {
    options.log(`round ${round + 1} of ${options.rounds}`);
    for (const [index, kind] of kinds.entries()) {
      await measureRound(kind, await freePorts(PEERS_MOST + 1), options, all[index]);
    }
  }
  const row = (title: string, of: (figures: Figures) => number, digits = 2): string[] => [
    title,
    ...all.map((figures) => of(figures).toLocaleString('en', { maximumFractionDigits: digits })),
  ];
  const delays = (of: (one: Delays) => number) => (figures: Figures) => median(figures.delays.map(of));
  const peers = [0, 1, 2];
  return table(
    ['', ...kinds.map(({ name }) => name)],
    [
      ...peers.map((count) => row(`sender µs, ${count} attached`, (one) => median(one.senderMicroseconds[count]))),
      ...peers
        .slice(1)
        .map((count) =>
          row(`sender × of its own with none, ${count} attached`, ({ senderMicroseconds: cpu }) =>
            median(cpu[count].map((value, round) => value / cpu[0][round])),
          ),
        ),
      ...peers.map((count) => row(`SET /s, ${count} attached`, (one) => median(one.commandsPerSecond[count]), 0)),
      row('receiver µs a change', (one) => median(one.receiverMicroseconds)),
      row(
        'paced writes /s',
        delays((one) => one.writesPerSecond),
        0,
      ),
      row(
        'p50 delay, ms',
        delays((one) => one.p50Ms),
      ),
      row(
        'p99 delay, ms',
        delays((one) => one.p99Ms),
      ),
    ],
  );
}
