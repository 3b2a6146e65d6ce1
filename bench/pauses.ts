/**
 * For how long one large collection keeps the event loop: the longest turn of a node while a collection of each type is stored,
 * sent to a new peer, loaded, deleted, and so on.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from './connection.ts';
import { collectionTypes, fillCollections } from './collection-memory.ts';
import { type Contender, type LongestTurn, MeasuredServer } from './measured-server.ts';
import { table } from './statistics.ts';

const READY_DEADLINE_MS = 120_000;
const QUIET_MS = 400;
/** Commands of 500 elements that are on their way at a time: more would be many writes in one turn, not one large collection. */
const IN_FLIGHT = 2;
const FIRST_ELEMENTS = 5000;

/** A node with a probe, whose data are in a folder, or nowhere. */
export type ProbedNode = (directory: string, peerPort: number, upstreamPeerPort: number | null) => Contender;

async function ask(server: MeasuredServer, ...words: string[]): Promise<string> {
  const connection = await Connection.open(server.port);
  const reply = await connection.command(...words);
  connection.close();
  return reply;
}

/** Waits until the server answers one command as it should. */
async function until(server: MeasuredServer, words: string[], isRight: (reply: string) => boolean): Promise<void> {
  const startedAt = performance.now();
  for (;;) {
    const reply = await ask(server, ...words);
    if (isRight(reply)) return;
    if (performance.now() - startedAt > READY_DEADLINE_MS) throw new Error(`${words.join(' ')} still answers ${reply}`);
    await delay(50);
  }
}

/** Waits until everything is stored and freed. */
async function settle(server: MeasuredServer): Promise<void> {
  await until(server, ['INFO', 'mantis'], (info) => /^dirty_registers:0\r?$/m.test(info) || /^stores:none/m.test(info));
  await delay(QUIET_MS);
}

interface Step {
  name: string;
  /** What is done with a copy of the collection; the copy is made before, and does not count. */
  commands: string[][];
}

const steps: readonly Step[] = [
  { name: 'DEL', commands: [['DEL', 'copy']] },
  { name: 'UNLINK', commands: [['UNLINK', 'copy']] },
  { name: 'SET over it', commands: [['SET', 'copy', 'x']] },
  { name: 'expiry', commands: [['PEXPIRE', 'copy', '1']] },
  {
    name: 'PERSIST and EXPIRE',
    commands: [
      ['EXPIRE', 'copy', '1000'],
      ['PERSIST', 'copy'],
    ],
  },
  {
    name: 'RENAME',
    commands: [
      ['RENAME', 'copy', 'other'],
      ['DEL', 'other'],
    ],
  },
  { name: 'FLUSHALL', commands: [['FLUSHALL']] },
];

export interface PauseOptions {
  /** Elements of the collection. */
  readonly elements: number;
  readonly freePorts: (count: number) => Promise<number[]>;
  readonly log: (line: string) => void;
}

class Measurement {
  readonly #node: ProbedNode;
  readonly #type: (typeof collectionTypes)[number];
  readonly #options: PauseOptions;
  readonly #results = new Map<string, LongestTurn>();

  constructor(node: ProbedNode, type: (typeof collectionTypes)[number], options: PauseOptions) {
    this.#node = node;
    this.#type = type;
    this.#options = options;
  }

  async #note(name: string, server: MeasuredServer): Promise<void> {
    await settle(server);
    const turn = await server.longestTurn();
    this.#options.log(`${this.#type.name}, ${name}: ${turn.workMs.toFixed(1)} ms, ${turn.totalMs.toFixed(1)} with GC`);
    this.#results.set(name, turn);
  }

  async run(): Promise<Map<string, LongestTurn>> {
    const { elements, freePorts } = this.#options;
    const directory = mkdtempSync(join(tmpdir(), 'mantis-pauses-'));
    const [peerPort, secondPeerPort] = await freePorts(2);
    let server = await MeasuredServer.start(this.#node(directory, peerPort, null));
    try {
      // What a process does for the first time takes it far longer, whatever the collection's size.
      await fillCollections(server.port, this.#type, FIRST_ELEMENTS, FIRST_ELEMENTS, IN_FLIGHT);
      await ask(server, 'FLUSHALL');
      await settle(server);
      await server.longestTurn();
      await fillCollections(server.port, this.#type, elements, elements, this.#type.alone === true ? 200 : IN_FLIGHT);
      await this.#note('writing and storing', server);
      await server.stop();
      server = await MeasuredServer.start(this.#node(directory, peerPort, null));
      await until(server, ['DBSIZE'], (reply) => reply === '1');
      await this.#note('loading', server);
      await this.#withPeer(server, secondPeerPort, peerPort);
      await ask(server, 'COPY', 'key:00000000', 'saved');
      for (const { name, commands } of steps) {
        await ask(server, 'COPY', 'saved', 'copy');
        await settle(server);
        await server.longestTurn();
        for (const words of commands) await ask(server, ...words);
        await this.#note(name, server);
      }
    } finally {
      await server.stop();
      rmSync(directory, { recursive: true, force: true });
    }
    await this.#evict();
    return this.#results;
  }

  /** A peer that begins empty takes the collection, and then deletes it. */
  async #withPeer(server: MeasuredServer, peerPort: number, upstreamPeerPort: number): Promise<void> {
    const peer = await MeasuredServer.start(this.#node('none', peerPort, upstreamPeerPort));
    try {
      // A node without peers computes its digest when it is asked.
      await until(server, ['INFO', 'mantis'], (info) => /^peers_linked:1\r?$/m.test(info));
      await this.#note('meeting a first peer', server);
      const digest = await ask(server, 'MANTIS', 'DIGEST');
      await until(peer, ['MANTIS', 'DIGEST'], (reply) => reply === digest);
      await this.#note('a new peer: sending', server);
      await this.#note('a new peer: taking', peer);
      await ask(server, 'COPY', 'key:00000000', 'copy');
      await settle(server);
      const both = await ask(server, 'MANTIS', 'DIGEST');
      await until(peer, ['MANTIS', 'DIGEST'], (reply) => reply === both);
      await this.#note('COPY', server);
      await this.#note("a peer's COPY", peer);
      await ask(peer, 'DEL', 'copy');
      await until(server, ['EXISTS', 'copy'], (reply) => reply === '0');
      await this.#note("a peer's DEL", server);
    } finally {
      await peer.stop();
    }
    await server.longestTurn();
  }

  async #evict(): Promise<void> {
    const { elements, freePorts } = this.#options;
    const [peerPort] = await freePorts(1);
    const server = await MeasuredServer.start(this.#node('none', peerPort, null));
    try {
      await fillCollections(server.port, this.#type, elements, elements, this.#type.alone === true ? 200 : IN_FLIGHT);
      await ask(server, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
      await delay(QUIET_MS);
      await server.longestTurn();
      await ask(server, 'CONFIG', 'SET', 'maxmemory', '1mb');
      await until(server, ['DBSIZE'], (reply) => reply === '0');
      await this.#note('eviction', server);
    } finally {
      await server.stop();
    }
  }
}

/** @param isChosen whether a type, by its name, is measured */
export async function measurePauses(
  node: ProbedNode,
  isChosen: (name: string) => boolean,
  options: PauseOptions,
): Promise<string> {
  const types = collectionTypes.filter(({ name }) => isChosen(name));
  const results: Map<string, LongestTurn>[] = [];
  for (const type of types) results.push(await new Measurement(node, type, options).run());
  const rows = [...results[0].keys()].map((name) => [
    name,
    ...results.map((result) => {
      const { workMs, totalMs } = result.get(name)!;
      return `${workMs.toFixed(1)} (${totalMs.toFixed(1)})`;
    }),
  ]);
  return table(['longest turn in ms (with GC)', ...types.map(({ name }) => name)], rows);
}
