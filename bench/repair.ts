/**
 * What repair costs: bytes between two nodes that differ in nothing, in 1,000 keys and in all, the time until they are equal, the
 * longest turns of the event loops, and what clients wait meanwhile.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from './connection.ts';
import { type LongestTurn, MeasuredServer, freePort } from './measured-server.ts';
import type { ProbedNode } from './pauses.ts';
import { table } from './statistics.ts';

const VALUE_BYTES = 64;
const SOME = 1000;
/** So often the same keys are written that the outbox does not reach back to the first time. */
const TIMES = 30;
const DEADLINE_MS = 150_000;
const SAMPLE_EVERY_MS = 1;
const BASELINE_MS = 5000;
const PINGS_MS = 4000;

interface Node {
  server: MeasuredServer;
  connection: Connection;
}

interface Result {
  title: string;
  bytes: number;
  milliseconds: number;
  /** A row for each node: the one that was written to, and the other. */
  turns: LongestTurn[];
  p99Ms: number[];
}

async function start(probed: ProbedNode, peerPort: number, upstream: number | null): Promise<Node> {
  const contender = probed('none', peerPort, upstream);
  const options = ['--outbox-bytes-max', '1mb', '--repair-interval', '1h', '--enable-debug-command', 'local'];
  const server = await MeasuredServer.start({
    ...contender,
    args: (...ports) => [...contender.args(...ports), ...options],
  });
  return { server, connection: await Connection.open(server.port) };
}

function turnsOf(nodes: readonly Node[]): Promise<LongestTurn[]> {
  return Promise.all(nodes.map(({ server }) => server.longestTurn()));
}

async function areEqual(nodes: readonly Node[]): Promise<boolean> {
  const digests = await Promise.all(nodes.map(({ connection }) => connection.command('MANTIS', 'DIGEST')));
  return digests.every((digest) => digest === digests[0]);
}

/** Bytes between the two since they were started, both ways; none before they have met. */
async function linkBytes({ connection }: Node): Promise<number> {
  const found = /bytes-in,(\d+),bytes-out,(\d+)/.exec(await connection.command('MANTIS', 'PEERS'));
  return found === null ? 0 : Number(found[1]) + Number(found[2]);
}

async function untilLinked({ connection }: Node): Promise<void> {
  while (!(await connection.command('INFO', 'mantis')).includes('peers_linked:1')) await delay(20);
}

/** Asks a node again and again until stopped; the p99 of what it took, in milliseconds. */
async function p99Until(node: Node, isOver: () => boolean): Promise<number> {
  const connection = await Connection.open(node.server.port);
  const tookMs: number[] = [];
  while (!isOver()) {
    const sentAtMs = performance.now();
    const key = `key:${String(Math.floor(Math.random() * 1000)).padStart(12, '0')}`;
    await connection.command('GET', key);
    tookMs.push(performance.now() - sentAtMs);
    await delay(SAMPLE_EVERY_MS);
  }
  connection.close();
  tookMs.sort((a, b) => a - b);
  return tookMs[Math.floor(0.99 * (tookMs.length - 1))] ?? 0;
}

async function links(nodes: readonly Node[], to: 'UP' | 'DOWN'): Promise<void> {
  for (const { connection } of nodes) await connection.command('MANTIS', 'LINKS', to);
}

/** Lets the two see each other again, and measures until they are equal. */
async function measureRepair(title: string, nodes: readonly Node[]): Promise<Result> {
  const bytesBefore = await linkBytes(nodes[0]);
  await turnsOf(nodes);
  let isOver = false;
  const p99s = nodes.map((node) => p99Until(node, () => isOver));
  const startedAtMs = performance.now();
  await links(nodes, 'UP');
  while (!(await areEqual(nodes))) {
    if (performance.now() - startedAtMs > DEADLINE_MS) throw new Error(`${title}: not equal in ${DEADLINE_MS} ms`);
    await delay(50);
  }
  const milliseconds = performance.now() - startedAtMs;
  isOver = true;
  const bytes = (await linkBytes(nodes[0])) - bytesBefore;
  const result = { title, bytes, milliseconds, turns: await turnsOf(nodes) };
  // Before the next one each has to hear in a PING that the other has everything.
  await delay(PINGS_MS);
  return { ...result, p99Ms: await Promise.all(p99s) };
}

async function measureQuiet(nodes: readonly Node[]): Promise<Result> {
  await turnsOf(nodes);
  const endMs = performance.now() + BASELINE_MS;
  const p99Ms = await Promise.all(nodes.map((node) => p99Until(node, () => performance.now() > endMs)));
  return { title: 'no repair', bytes: 0, milliseconds: 0, turns: await turnsOf(nodes), p99Ms };
}

/** Measures with so many keys, and gives the table. */
export async function measureRepairs(probed: ProbedNode, keys: number, log: (line: string) => void): Promise<string> {
  const [firstPort, secondPort] = [await freePort(), await freePort()];
  const nodes = [await start(probed, firstPort, null), await start(probed, secondPort, firstPort)];
  const results: Result[] = [];
  const keep = (result: Result): void => {
    results.push(result);
    log(`${result.title}: ${(result.milliseconds / 1000).toFixed(1)} s, ${result.bytes} bytes`);
  };
  try {
    // A node that has never had a peer computes its digests when the first one comes.
    await untilLinked(nodes[0]);
    await links(nodes, 'DOWN');
    log(`writing ${keys} keys`);
    await nodes[0].connection.fill(keys, VALUE_BYTES);
    keep(await measureQuiet(nodes));
    keep(await measureRepair('a full copy, to an empty node', nodes));
    await links(nodes, 'DOWN');
    for (let time = 0; time < TIMES; time++) await nodes[0].connection.fill(SOME, VALUE_BYTES);
    keep(await measureRepair(`${SOME.toLocaleString('en')} keys differ`, nodes));
    await links(nodes, 'DOWN');
    await nodes[0].connection.fill(keys, VALUE_BYTES);
    keep(await measureRepair('all keys differ', nodes));
  } finally {
    for (const { connection, server } of nodes) {
      connection.close();
      await server.stop();
    }
  }
  const full = results[1].bytes;
  const both = (values: readonly number[], digits = 1): string =>
    values.map((value) => value.toFixed(digits)).join(' / ');
  return table(
    ['', 'bytes', 'of a full copy', 's', 'longest turn, ms', '… with GC', 'p99', 'p99.9', 'busy', 'GET p99, ms'],
    results.map(({ title, bytes, milliseconds, turns, p99Ms }) => [
      title,
      bytes.toLocaleString('en'),
      `${((100 * bytes) / full).toFixed(2)} %`,
      (milliseconds / 1000).toFixed(1),
      both(turns.map(({ workMs }) => workMs)),
      both(turns.map(({ totalMs }) => totalMs)),
      both(
        turns.map((turn) => turn.p99Ms),
        2,
      ),
      both(
        turns.map(({ p999Ms }) => p999Ms),
        2,
      ),
      both(
        turns.map(({ busyShare }) => busyShare),
        2,
      ),
      both(p99Ms, 2),
    ]),
  );
}
