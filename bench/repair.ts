/**
 * What it costs to catch a node up: bytes between two nodes that differ in nothing, in 1,000 keys, in all, in one field of a large hash, and
 * in what one has written during a short cut, the time until they are equal, the longest turns of the event loops, and what clients wait
 * meanwhile.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from './connection.ts';
import { type LongestTurn, MeasuredServer, freePort } from './measured-server.ts';
import type { ProbedNode } from './pauses.ts';
import { StandstillWatch } from './standstill.ts';
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
const POLL_MS = 50;
/** What is written during a cut, of `--keys`: a tenth and half of what the outbox holds by default. Each several times, for it does not take long. */
const MISSED_SHARES = [0.05, 0.3];
const CUTS = 5;
/** So many are written each millisecond, in turns of the event loop as several clients have them. */
const MISSED_A_TURN = 100;
/** Turns of more CPU time are told of. */
const LONG_TURN_MS = 10;

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

async function start(probed: ProbedNode, outbox: string, peerPort: number, upstream: number | null): Promise<Node> {
  const contender = probed('none', peerPort, upstream);
  const options = ['--outbox-bytes-max', outbox, '--repair-interval', '1h', '--enable-debug-command', 'local'];
  const server = await MeasuredServer.start({
    ...contender,
    args: (...ports) => [...contender.args(...ports), ...options],
  });
  return { server, connection: await Connection.open(server.port) };
}

function turnsOf(nodes: readonly Node[]): Promise<LongestTurn[]> {
  return Promise.all(nodes.map(({ server }) => server.longestTurn()));
}

/** Digests are asked for when both say that they have nothing left to do: it takes a node half a millisecond to add them up. */
async function areEqual(nodes: readonly Node[]): Promise<boolean> {
  const peers = await Promise.all(nodes.map(({ connection }) => connection.command('MANTIS', 'PEERS')));
  if (!peers.every((peer) => peer.includes('state,streaming') && peer.includes(',lag-bytes,0,'))) return false;
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

/** Asks a node again and again until stopped; gives what each answer took, in milliseconds. */
async function askUntil(node: Node, isOver: () => boolean): Promise<number[]> {
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
  return tookMs;
}

function p99Of(tookMs: readonly number[]): number {
  return tookMs.toSorted((a, b) => a - b)[Math.floor(0.99 * (tookMs.length - 1))] ?? 0;
}

async function links(nodes: readonly Node[], to: 'UP' | 'DOWN'): Promise<void> {
  for (const { connection } of nodes) await connection.command('MANTIS', 'LINKS', to);
  if (to === 'UP') return;
  for (const { connection } of nodes) {
    const peers = await connection.command('MANTIS', 'PEERS');
    if (!peers.includes('state,down')) throw new Error(`the links were to be cut: ${peers}`);
  }
}

/** Lets the two see each other again and waits until they are equal; what took how long, and what clients waited at each. */
async function reunite(title: string, nodes: readonly Node[]): Promise<{ milliseconds: number; tookMs: number[][] }> {
  let isOver = false;
  const asked = Promise.all(nodes.map((node) => askUntil(node, () => isOver)));
  const startedAtMs = performance.now();
  await links(nodes, 'UP');
  while (!(await areEqual(nodes))) {
    if (performance.now() - startedAtMs > DEADLINE_MS) throw new Error(`${title}: not equal in ${DEADLINE_MS} ms`);
    await delay(POLL_MS);
  }
  const milliseconds = performance.now() - startedAtMs;
  isOver = true;
  return { milliseconds, tookMs: await asked };
}

async function measureRepair(title: string, nodes: readonly Node[]): Promise<Result> {
  const bytesBefore = await linkBytes(nodes[0]);
  await turnsOf(nodes);
  const { milliseconds, tookMs } = await reunite(title, nodes);
  const bytes = (await linkBytes(nodes[0])) - bytesBefore;
  const result = { title, bytes, milliseconds, turns: await turnsOf(nodes), p99Ms: tookMs.map(p99Of) };
  // Before the next one each has to hear in a PING that the other has everything.
  await delay(PINGS_MS);
  return result;
}

async function repairsOf({ connection }: Node): Promise<number> {
  return Number(/repairs,(\d+)/.exec(await connection.command('MANTIS', 'PEERS'))?.[1]);
}

/** Cuts the links several times, so that `missed` changes are resumed from the outbox each time. The turns are those of the last time. */
async function measureResumption(nodes: readonly Node[], missed: number): Promise<Result> {
  const title = `${missed.toLocaleString('en')} changes missed`;
  const tookMs: number[][] = nodes.map(() => []);
  const bytesBefore = await linkBytes(nodes[0]);
  const repairsBefore = await repairsOf(nodes[0]);
  let milliseconds = 0;
  for (let cut = 0; cut < CUTS; cut++) {
    await links(nodes, 'DOWN');
    for (let first = 0; first < missed; first += MISSED_A_TURN) {
      await nodes[0].connection.fill(Math.min(MISSED_A_TURN, missed - first), VALUE_BYTES, first);
      await delay(1);
    }
    await turnsOf(nodes);
    const result = await reunite(title, nodes);
    milliseconds += result.milliseconds / CUTS;
    result.tookMs.forEach((times, node) => tookMs[node].push(...times));
  }
  const turns = await turnsOf(nodes);
  const repairs = (await repairsOf(nodes[0])) - repairsBefore;
  const bytes = Math.round(((await linkBytes(nodes[0])) - bytesBefore) / CUTS);
  return {
    title: repairs === 0 ? title : `${title}, and ${repairs} repairs`,
    bytes,
    milliseconds,
    turns,
    p99Ms: tookMs.map(p99Of),
  };
}

async function measureQuiet(title: string, nodes: readonly Node[]): Promise<Result> {
  await turnsOf(nodes);
  const endMs = performance.now() + BASELINE_MS;
  const tookMs = await Promise.all(nodes.map((node) => askUntil(node, () => performance.now() > endMs)));
  return { title, bytes: 0, milliseconds: 0, turns: await turnsOf(nodes), p99Ms: tookMs.map(p99Of) };
}

/** Two linked nodes, and their links cut. */
async function withNodes(
  probed: ProbedNode,
  outbox: string,
  work: (nodes: readonly Node[]) => Promise<void>,
): Promise<void> {
  const [firstPort, secondPort] = [await freePort(), await freePort()];
  const nodes = [await start(probed, outbox, firstPort, null), await start(probed, outbox, secondPort, firstPort)];
  try {
    // A node that has never had a peer computes its digests when the first one comes.
    await untilLinked(nodes[0]);
    // Cut before the first PINGs, each would not know that the other has all of nothing: both would tell all at the next link.
    await delay(PINGS_MS);
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
  keep(await measureQuiet('no repair', nodes));
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

async function measureCuts(nodes: readonly Node[], keys: number, keep: (result: Result) => void): Promise<void> {
  await links(nodes, 'UP');
  await reunite('before the cuts', nodes);
  keep(await measureQuiet('nothing missed', nodes));
  for (const share of MISSED_SHARES) keep(await measureResumption(nodes, Math.round(share * keys)));
}

/** Tells of turns that took long, and whether that was while the machine stood still. */
function logLongTurns({ title, turns }: Result, watch: StandstillWatch, log: (line: string) => void): void {
  const standstills = watch.take();
  for (const [node, { longest }] of turns.entries()) {
    if (longest === null || longest.cpuMs < LONG_TURN_MS) continue;
    const { atMs, wallMs, cpuMs, faults, preemptions } = longest;
    const stood = standstills.filter((one) => one.atMs < atMs + wallMs && one.atMs + one.durationMs > atMs);
    const stoodMs = stood.reduce((sum, { durationMs }) => sum + durationMs, 0);
    log(
      `${title}: a turn of ${cpuMs.toFixed(1)} ms at the ${node === 0 ? 'first' : 'second'} node at ${atMs.toFixed(0)}, ${wallMs.toFixed(1)} ms by ` +
        `the clock, ${faults} page faults, ${preemptions} times preempted; the machine stood still for ${stoodMs.toFixed(1)} ms meanwhile`,
    );
  }
}

/** Measures with so many keys, and fields of a hash, and gives the table. */
export async function measureRepairs(probed: ProbedNode, keys: number, log: (line: string) => void): Promise<string> {
  const results: Result[] = [];
  const watch = new StandstillWatch();
  const keep = (result: Result): void => {
    results.push(result);
    log(`${result.title}: ${(result.milliseconds / 1000).toFixed(1)} s, ${result.bytes} bytes`);
    logLongTurns(result, watch, log);
  };
  log(`writing ${keys} keys`);
  await withNodes(probed, '1mb', (nodes) => measureKeys(nodes, keys, keep));
  const keyRows = results.length;
  log(`writing a hash of ${keys} fields`);
  await withNodes(probed, '1mb', (nodes) => measureFields(nodes, keys, keep));
  const repairRows = results.length;
  log('cutting links for short');
  await withNodes(probed, '64mb', (nodes) => measureCuts(nodes, keys, keep));
  return tableOf(results, keyRows, repairRows);
}

/** Of the results those before `keyRows` are of keys, those before `repairRows` of a hash, and the others of cuts. */
function tableOf(results: readonly Result[], keyRows: number, repairRows: number): string {
  const shareOf = (row: number): string => {
    if (row >= repairRows) return '';
    return `${((100 * results[row].bytes) / results[row < keyRows ? 1 : keyRows].bytes).toFixed(2)} %`;
  };
  const both = (values: readonly number[], digits = 1): string =>
    values.map((value) => value.toFixed(digits)).join(' / ');
  return table(
    ['', 'bytes', 'of a full copy', 's', 'longest turn, ms', '… with GC', 'p99', 'p99.9', 'busy', 'GET p99, ms'],
    results.map(({ title, bytes, milliseconds, turns, p99Ms }, row) => [
      title,
      bytes.toLocaleString('en'),
      shareOf(row),
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
