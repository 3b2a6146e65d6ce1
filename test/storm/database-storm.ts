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
import type { Reply } from '../support/resp3-parser.ts';
import { SeededRandom } from '../support/seed.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Anomalies, Resident } from './clients.ts';
import { StormCluster, type StormNode, type StormNodeOptions, windowMs } from './cluster.ts';
import { Ballast, Flusher } from './database-clients.ts';
import type { Register } from './ledger.ts';

const NODES = 3;
const RESIDENTS_A_NODE = 2;
const HEALING_MS = 180_000;
/** More of the ballast would not fit into memory together. */
const SHOWN_AT_ONCE = 20;

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
  readonly #faults: Record<string, number> = {};
  readonly #pausedAtMs = new Map<number, number>();
  readonly #log: (line: string) => void;
  #underWay: Promise<unknown>[] = [];
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
    await this.#untilMeshed();
    const running = this.#clients.map((client) => client.run());
    const endAtMs = performance.now() + seconds * 1000;
    while (performance.now() < endAtMs && this.#anomalies.length === 0) {
      await delay(200 + this.#random.below(1500));
      await this.#fault();
      this.#watch();
    }
    await this.#heal();
    for (const client of this.#clients) client.stop();
    await Promise.all(running);
    this.#log('healed');
    await this.#readBack();
    const agreedAfterMs = await this.#untilAgreed();
    await this.#checkStores();
    for (const node of this.#cluster.nodes) await this.#checkNode(`node ${node.number}`, node.port);
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
      faults: this.#faults,
      agreedAfterMs: Math.round(agreedAfterMs),
      anomalies: [...this.#anomalies, ...this.#ballast.anomalies],
    };
  }

  // What goes wrong.

  #count(name: string, detail: string): void {
    this.#faults[name] = (this.#faults[name] ?? 0) + 1;
    this.#log(`${name}: ${detail}`);
  }

  async #fault(): Promise<void> {
    switch (this.#random.below(9)) {
      case 0:
      case 1:
        return this.#killNode();
      case 2:
        return this.#pauseNode();
      case 3:
        return this.#partition();
      case 4:
        return this.#killDatabase();
      case 5:
        return this.#pauseDatabase();
      case 6:
        return this.#cutConnections();
      case 7:
        return this.#lockTable();
      default:
        this.#cluster.clear();
        this.#count('clear', 'all ways are open');
    }
  }

  async #killNode(): Promise<void> {
    const node = this.#random.pick(this.#cluster.nodes);
    const pausedAgoMs = performance.now() - (this.#pausedAtMs.get(node.number) ?? -Infinity);
    if (!node.isRunning || node.isPaused || pausedAgoMs < 2 * windowMs) return;
    this.#count('kill', String(node.number));
    const atMs = performance.now();
    await node.kill();
    for (const client of this.#clients) if (client.node === node) client.crash(atMs);
    // One that has nothing but the table answers when the database does.
    this.#underWay.push(delay(this.#random.below(4000)).then(() => node.start()));
  }

  #pauseNode(): void {
    const node = this.#random.pick(this.#cluster.nodes);
    if (!node.isRunning || node.isPaused) return;
    this.#count('pause', String(node.number));
    node.isPaused = true;
    const { server } = node.process!;
    server.pause();
    const resume = (): void => {
      server.resume();
      node.isPaused = false;
      this.#pausedAtMs.set(node.number, performance.now());
    };
    this.#underWay.push(delay(this.#random.below(6000)).then(resume));
  }

  #partition(): void {
    const side = this.#cluster.nodes.map(() => this.#random.chance(0.5));
    this.#cluster.weather.forEach((row, from) => row.forEach((way, to) => (way.isBlocked = side[from] !== side[to])));
    this.#count('partition', side.map(Number).join(''));
  }

  /** One thing at a time happens to the database. */
  #toDatabase(name: string, begin: () => Promise<void> | void, end: () => Promise<void> | void): void {
    if (this.#isDatabaseBusy) return;
    this.#isDatabaseBusy = true;
    this.#count(name, 'the database');
    const work = async (): Promise<void> => {
      await begin();
      await delay(this.#random.below(5000));
      await end();
      this.#isDatabaseBusy = false;
    };
    this.#underWay.push(work());
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

  #watch(): void {
    for (const node of this.#cluster.nodes) {
      const logs = node.process?.server.logs ?? '';
      if (/assert|uncaught|unhandled|"level":60/i.test(logs))
        this.#anomalies.push(`node ${node.number} says:\n${logs.slice(-3000)}`);
    }
  }

  // What must be, in the end.

  async #heal(): Promise<void> {
    this.#cluster.clear();
    await Promise.all(this.#underWay);
    this.#underWay = [];
    for (const node of this.#cluster.nodes) if (!node.isRunning) await node.start();
    await this.#untilMeshed();
  }

  #untilMeshed(): Promise<unknown> {
    return waitFor(
      'every node to be linked with every other one',
      async () => {
        const texts = await Promise.all(this.#cluster.nodes.map(({ port }) => ask(port, 'INFO', 'mantis')));
        return texts.every((text) => String(text).includes(`peers_linked:${NODES - 1}\r\n`));
      },
      { deadlineMs: HEALING_MS, intervalMs: 100 },
    );
  }

  /**
   * What was evicted a node has in its store alone. Where a crash took what it had still to send, its peers get that when a command
   * names the key, see decision 19.
   */
  async #readBack(): Promise<void> {
    const { port } = this.#ballast.node;
    await ask(port, 'CONFIG', 'SET', 'maxmemory', '0');
    const owned = this.#residents.flatMap(({ keys }) => [...keys.keys()]);
    const shared = ['fields', 'members', 'pushed', ...this.#residents[0].sums.map((_, at) => `counter:${at}`)];
    const client = await RespClient.connect(port);
    try {
      for (const name of [...this.#ballast.keys.keys(), ...owned, ...shared]) await client.command('EXISTS', name);
    } finally {
      await client.close();
    }
  }

  async #untilAgreed(): Promise<number> {
    const startedAtMs = performance.now();
    await waitFor(
      'equal digests',
      async () => {
        const digests = await Promise.all(this.#cluster.nodes.map(({ port }) => ask(port, 'MANTIS', 'DIGEST')));
        return digests.every((digest) => typeof digest === 'string' && digest === digests[0]);
      },
      { deadlineMs: HEALING_MS, intervalMs: 50 },
    );
    return performance.now() - startedAtMs;
  }

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
    try {
      await this.#checkResidents(name, client);
      for (const flusher of this.#flushers) {
        await client.command('SELECT', String(flusher.database));
        this.#compare(name, flusher.keys, await valuesOf(client, [...flusher.keys.keys()]));
      }
      await client.command('SELECT', '0');
      this.#compare(name, this.#ballast.keys, await valuesOf(client, [...this.#ballast.keys.keys()]));
    } finally {
      await client.close();
    }
  }

  async #checkResidents(name: string, client: RespClient): Promise<void> {
    const fields = pairs(await client.command('HGETALL', 'fields'));
    const members = new Set((await client.command('SMEMBERS', 'members')) as string[]);
    const pushed = (await client.command('LRANGE', 'pushed', '0', '-1')) as string[];
    const once = new Set(pushed);
    if (once.size !== pushed.length) this.#anomalies.push(`${name}: an element was pushed twice`);
    for (const resident of this.#residents) {
      this.#compare(name, resident.keys, await valuesOf(client, [...resident.keys.keys()]));
      this.#compare(name, resident.fields, fields);
      this.#compare(name, resident.members, new Map([...members].map((member) => [member, 'member'])));
      this.#compare(name, resident.pushed, new Map([...once].map((element) => [element, '1'])));
    }
    for (let counter = 0; counter < this.#residents[0].sums.length; counter++) {
      const value = Number(await client.command('GET', `counter:${counter}`));
      const least = this.#residents.reduce((sum, { sums }) => sum + sums[counter].least, 0);
      const most = this.#residents.reduce((sum, { sums }) => sum + sums[counter].most, 0);
      if (value < least || value > most)
        this.#anomalies.push(`${name}: counter ${counter} is ${value}, not ${least} to ${most}`);
    }
    const lent = (await client.command('KEYS', 'lent:*')) as string[];
    if (lent.length > 0) this.#anomalies.push(`${name} shows past their deadline: ${lent.join(' ')}`);
  }

  #compare(node: string, registers: ReadonlyMap<string, Register>, found: ReadonlyMap<string, string>): void {
    for (const [name, register] of registers) {
      const value = found.get(name) ?? null;
      if (!register.allows(value))
        this.#anomalies.push(`${node}: ${name} is ${shortened(value ?? 'nothing')}, not ${shortened(register.states)}`);
    }
  }
}

function shortened(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}…`;
}

async function ask(port: number, ...words: string[]): Promise<Reply> {
  const client = await RespClient.connect(port);
  try {
    return await client.command(...words);
  } finally {
    await client.close();
  }
}

async function valuesOf(client: RespClient, names: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (let at = 0; at < names.length; at += SHOWN_AT_ONCE) {
    const some = names.slice(at, at + SHOWN_AT_ONCE);
    const values = (await client.command('MGET', ...some)) as (string | null)[];
    for (const [index, value] of values.entries()) if (value !== null) found.set(some[index], value);
  }
  return found;
}

function pairs(flat: Reply): Map<string, string> {
  const words = flat as string[];
  const found = new Map<string, string>();
  for (let index = 0; index < words.length; index += 2) found.set(words[index], words[index + 1]);
  return found;
}
