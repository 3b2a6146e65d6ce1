/**
 * What repair costs: bytes between two nodes that differ in nothing, in 1,000 keys, in all, and in one field of a large hash, the time
 * until they are equal, the longest turns of the event loops, and what clients wait meanwhile.
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
const FIELDS_A_COMMAND = 1000;
/** More than the outbox holds. */
const OUTBOX_BYTES = 1 << 20;

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

/** Two linked nodes, and their links cut. */
async function withNodes(probed: ProbedNode, work: (nodes: readonly Node[]) => Promise<void>): Promise<void> {
  const [firstPort, secondPort] = [await freePort(), await freePort()];
  const nodes = [await start(probed, firstPort, null), await start(probed, secondPort, firstPort)];
  try {
    // A node that has never had a peer computes its digests when the first one comes.
    await untilLinked(nodes[0]);
    await links(nodes, 'DOWN');
    await work(nodes);
  } finally {
    for (const { connection, server } of nodes) {
      connection.close();
      await server.stop();
    }
  }
}

async function measureKeys(nodes: readonly Node[], keys: number, keep: (result: Result) => void): Promise<void> {
  await nodes[0].connection.fill(keys, VALUE_BYTES);
  keep(await measureQuiet(nodes));
  keep(await measureRepair('a full copy, to an empty node', nodes));
  await links(nodes, 'DOWN');
  for (let time = 0; time < TIMES; time++) await nodes[0].connection.fill(SOME, VALUE_BYTES);
  keep(await measureRepair(`${SOME.toLocaleString('en')} keys differ`, nodes));
  await links(nodes, 'DOWN');
  await nodes[0].connection.fill(keys, VALUE_BYTES);
  keep(await measureRepair('all keys differ', nodes));
}

async function measureFields(nodes: readonly Node[], fields: number, keep: (result: Result) => void): Promise<void> {
  const { connection } = nodes[0];
  const value = 'x'.repeat(VALUE_BYTES);
  for (let first = 0; first < fields; first += FIELDS_A_COMMAND) {
    const pairs: string[] = [];
    for (let field = first; field < Math.min(fields, first + FIELDS_A_COMMAND); field++) {
      pairs.push(`field:${String(field).padStart(10, '0')}`, value);
    }
    await connection.command('HSET', 'hash', ...pairs);
  }
  const count = fields.toLocaleString('en');
  keep(await measureRepair(`a full copy of a hash of ${count} fields`, nodes));
  await links(nodes, 'DOWN');
  await connection.command('HSET', 'hash', 'field:0000000007', 'another value');
  await connection.command('SET', 'filler', 'x'.repeat(OUTBOX_BYTES + 1));
  await connection.command('DEL', 'filler');
  keep(await measureRepair('1 field of it differs', nodes));
}

/** Measures with so many keys, and fields of a hash, and gives the table. */
export async function measureRepairs(probed: ProbedNode, keys: number, log: (line: string) => void): Promise<string> {
  const results: Result[] = [];
  const keep = (result: Result): void => {
    results.push(result);
    log(`${result.title}: ${(result.milliseconds / 1000).toFixed(1)} s, ${result.bytes} bytes`);
  };
  log(`writing ${keys} keys`);
  await withNodes(probed, (nodes) => measureKeys(nodes, keys, keep));
  const keyRows = results.length;
  log(`writing a hash of ${keys} fields`);
  await withNodes(probed, (nodes) => measureFields(nodes, keys, keep));
  const fullOf = (row: number): number => results[row < keyRows ? 1 : keyRows].bytes;
  const both = (values: readonly number[], digits = 1): string =>
    values.map((value) => value.toFixed(digits)).join(' / ');
  return table(
    ['', 'bytes', 'of a full copy', 's', 'longest turn, ms', '… with GC', 'p99', 'p99.9', 'busy', 'GET p99, ms'],
    results.map(({ title, bytes, milliseconds, turns, p99Ms }, row) => [
      title,
      bytes.toLocaleString('en'),
      `${((100 * bytes) / fullOf(row)).toFixed(2)} %`,
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
