/**
 * Three nodes that share one MariaDB, clients on all of them, and everything that can go wrong with the nodes and with the
 * database; then: do memory, the embedded stores and the table agree, and does the table alone have all that was promised?
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Connection, createConnection } from 'mysql2/promise';
import { runMantis } from '../integration/command-line.ts';
import { type MantisProcess, startMantis } from '../support/mantis-process.ts';
import { MariadbProcess } from '../support/mariadb-process.ts';
import { RespClient } from '../support/resp-client.ts';
import { SeededRandom } from '../support/seed.ts';
import { waitFor } from '../support/wait-for.ts';
import { ask, Checked, untilAgreed, untilMeshed, valuesOf } from './checks.ts';
import { type Anomalies, Resident } from './clients.ts';
import { StormCluster, type StormNode, type StormNodeOptions } from './cluster.ts';
import { Ballast, Flusher } from './database-clients.ts';
import { NodeFaults } from './node-faults.ts';

const NODES = 3;
const RESIDENTS_A_NODE = 2;
const HEALING_MS = 180_000;

export interface DatabaseStormReport {
  readonly seconds: number;
  readonly acknowledged: number;
  readonly unanswered: number;
  readonly flushes: number;
  readonly faults: Record<string, number>;
  readonly agreedAfterMs: number;
  readonly anomalies: Anomalies;
}

/** One keeps everything itself, one reads back what it has evicted, one has nothing but the table. */
function optionsOf(number: number, url: string): StormNodeOptions {
  const args = ['--mysql', url, '--takeover-after', '2s', '--tombstone-horizon', '1h'];
  if (number === 0) return { durability: 'always', args };
  if (number === 1) {
    const memory = ['--maxmemory', '2mb', '--maxmemory-policy', 'allkeys-random', '--read-through', 'yes'];
    return { durability: 'interval', args: [...args, ...memory] };
  }
  return { durability: 'mysql', dataDir: 'none', args };
}

export class DatabaseStorm {
  readonly #mariadb: MariadbProcess;
  readonly #url: string;
  readonly #cluster: StormCluster;
  readonly #random: SeededRandom;
  readonly #anomalies: Anomalies = [];
  readonly #residents: Resident[] = [];
  readonly #flushers: Flusher[];
  readonly #ballast: Ballast;
  readonly #faults: NodeFaults;
  readonly #log: (line: string) => void;
  #isDatabaseBusy = false;

  private constructor(
    mariadb: MariadbProcess,
    url: string,
    cluster: StormCluster,
    random: SeededRandom,
    log: (line: string) => void,
  ) {
    this.#mariadb = mariadb;
    this.#url = url;
    this.#cluster = cluster;
    this.#random = random;
    this.#log = log;
    this.#faults = new NodeFaults(cluster, random, log);
    const { nodes } = cluster;
    for (const node of nodes) {
      for (let index = 0; index < RESIDENTS_A_NODE; index++)
        this.#residents.push(new Resident(node, `${node.number}.${index}`, new SeededRandom(random.uint32())));
    }
    this.#flushers = [0, 2].map((at) => new Flusher(nodes[at], at + 1, new SeededRandom(random.uint32())));
    this.#ballast = new Ballast(nodes[1], new SeededRandom(random.uint32()));
  }

  static async run(
    seconds: number,
    seed: number,
    log: (line: string) => void = () => undefined,
  ): Promise<DatabaseStormReport> {
    const mariadb = await MariadbProcess.create();
    try {
      const { url } = await mariadb.createMigratedDatabase('storm');
      const cluster = await StormCluster.start(NODES, (number) => optionsOf(number, url));
      try {
        return await new DatabaseStorm(mariadb, url, cluster, new SeededRandom(seed), log).#run(seconds);
      } finally {
        await cluster.stop();
      }
    } finally {
      await mariadb.stop();
    }
  }

  get #clients(): { run(): Promise<void>; stop(): void; crash(atMs: number): void; readonly node: StormNode }[] {
    return [...this.#residents, ...this.#flushers, this.#ballast];
  }

  async #run(seconds: number): Promise<DatabaseStormReport> {
    const { nodes } = this.#cluster;
    await untilMeshed(nodes, HEALING_MS);
    const running = this.#clients.map((client) => client.run());
    const endAtMs = performance.now() + seconds * 1000;
    while (performance.now() < endAtMs && this.#anomalies.length === 0) {
      await delay(200 + this.#random.below(1500));
      await this.#fault();
      this.#faults.watch(this.#anomalies);
    }
    await this.#faults.heal();
    await untilMeshed(nodes, HEALING_MS);
    for (const client of this.#clients) client.stop();
    await Promise.all(running);
    this.#log('healed');
    const agreedAfterMs = await untilAgreed(nodes, HEALING_MS);
    await this.#checkStores();
    for (const node of nodes) await this.#checkNode(`node ${node.number}`, node.port);
    await this.#checkTableAlone();
    return this.#report(seconds, agreedAfterMs);
  }

  #report(seconds: number, agreedAfterMs: number): DatabaseStormReport {
    const sum = (of: (resident: Resident) => number): number => this.#residents.reduce((all, one) => all + of(one), 0);
    return {
      seconds,
      acknowledged: sum((one) => one.acknowledged) + this.#ballast.acknowledged,
      unanswered: sum((one) => one.refused) + this.#ballast.refused,
      flushes: this.#flushers.reduce((all, one) => all + one.flushes, 0),
      faults: this.#faults.counts,
      agreedAfterMs: Math.round(agreedAfterMs),
      anomalies: [...this.#anomalies, ...this.#ballast.anomalies],
    };
  }

  // What goes wrong.

  async #fault(): Promise<void> {
    switch (this.#random.below(9)) {
      case 0:
      case 1:
        return this.#faults.kill(this.#clients);
      case 2:
        return this.#faults.pause();
      case 3:
        return this.#faults.partition();
      case 4:
        return this.#killDatabase();
      case 5:
        return this.#pauseDatabase();
      case 6:
        return this.#cutConnections();
      case 7:
        return this.#lockTable();
      default:
        return this.#faults.clear();
    }
  }

  /** One thing at a time happens to the database. */
  #toDatabase(name: string, begin: () => Promise<void> | void, end: () => Promise<void> | void): void {
    if (this.#isDatabaseBusy) return;
    this.#isDatabaseBusy = true;
    this.#faults.count(name, 'the database');
    const work = async (): Promise<void> => {
      await begin();
      await delay(this.#random.below(5000));
      await end();
      this.#isDatabaseBusy = false;
    };
    this.#faults.begin(work());
  }

  #killDatabase(): void {
    this.#toDatabase(
      'database killed',
      () => this.#mariadb.kill(),
      () => this.#mariadb.start(),
    );
  }

  #pauseDatabase(): void {
    this.#toDatabase(
      'database paused',
      () => this.#mariadb.pause(),
      () => this.#mariadb.resume(),
    );
  }

  #cutConnections(): void {
    const cut = async (): Promise<void> => {
      const rows = await this.#mariadb.query(
        'SELECT id FROM information_schema.processlist WHERE id<>CONNECTION_ID() AND user=SUBSTRING_INDEX(USER(),"@",1)',
      );
      for (const { id } of rows) await this.#mariadb.query(`KILL ${String(id)}`).catch(() => undefined);
    };
    this.#toDatabase('connections cut', cut, cut);
  }

  /** Somebody else, such as a backup, keeps the table for itself. */
  #lockTable(): void {
    let holder: Connection | null = null;
    const begin = async (): Promise<void> => {
      holder = await createConnection({ uri: this.#url });
      holder.on('error', () => undefined);
      await holder.query('LOCK TABLES mantis_registers WRITE');
    };
    this.#toDatabase('table locked', begin, () => holder?.destroy());
  }

  // What must be, in the end.

  /** Brings everything to the table, and lets each node compare itself with its stores. */
  async #checkStores(): Promise<void> {
    for (const { number, port } of this.#cluster.nodes) {
      const brought = await ask(port, 'MANTIS', 'WAITDB', String(HEALING_MS));
      if (brought !== 1)
        this.#anomalies.push(`node ${number} does not bring everything to the database: ${String(brought)}`);
    }
    for (const { number, port } of this.#cluster.nodes) {
      await waitFor(
        `what node ${number} holds for others`,
        async () => /store_mysql_held_generations: 0\b/.test(String(await ask(port, 'MANTIS', 'STATUS'))),
        { deadlineMs: HEALING_MS, intervalMs: 100 },
      );
      const { code, output } = await runMantis('verify', '--port', String(port));
      if (code !== 0) this.#anomalies.push(`node ${number} is not like its stores:\n${output}`);
    }
  }

  /** All folders are lost. */
  async #checkTableAlone(): Promise<void> {
    const [first] = this.#cluster.nodes;
    const before = await ask(first.port, 'MANTIS', 'DIGEST');
    for (const node of this.#cluster.nodes) await node.kill();
    const alone: MantisProcess = await startMantis({
      dataDir: 'none',
      args: ['--mysql', this.#url, '--peer-port', 'none'],
      readyDeadlineMs: HEALING_MS,
    });
    try {
      const after = await ask(alone.port, 'MANTIS', 'DIGEST');
      if (after !== before) this.#anomalies.push(`the table alone has ${String(after)}, not ${String(before)}`);
      await this.#checkNode('the table alone', alone.port);
    } finally {
      await alone.server.stop();
    }
  }

  async #checkNode(name: string, port: number): Promise<void> {
    const client = await RespClient.connect(port);
    const checked = new Checked(name, client, this.#anomalies);
    try {
      await checked.residents(this.#residents);
      for (const flusher of this.#flushers) {
        await client.command('SELECT', String(flusher.database));
        checked.compare(flusher.keys, await valuesOf(client, [...flusher.keys.keys()]));
      }
      await client.command('SELECT', '0');
      checked.compare(this.#ballast.keys, await valuesOf(client, [...this.#ballast.keys.keys()]));
    } finally {
      await client.close();
    }
  }
}
