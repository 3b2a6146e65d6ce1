import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from './connection.ts';
import { Mariadb } from './mariadb.ts';
import { MeasuredServer, type Contender } from './measured-server.ts';
import { median, table } from './statistics.ts';

const valueBytes = 64;
const drainDeadlineMs = 600_000;

interface StoreTimes {
  /** Registers a second from the first write of a client until the store has the last. */
  drainedPerSecond: number;
  /** Seconds from the start of the process until it serves all of them. */
  hydrationSeconds: number;
}

/** Runs commands on a connection of their own; gives the last reply. */
async function ask(server: MeasuredServer, ...commands: string[][]): Promise<string> {
  const connection = await Connection.open(server.port);
  let reply = '';
  for (const command of commands) reply = await connection.command(...command);
  connection.close();
  if (reply.startsWith('-')) throw new Error(`${commands.at(-1)!.join(' ')}: ${reply}`);
  return reply;
}

/** Fills a node whose flushes wait, times how long the store takes for all, and how long another start takes to read them. */
async function measure(node: Contender, again: Contender, keys: number, drain: string[]): Promise<StoreTimes> {
  const server = await MeasuredServer.start(node);
  const connection = await Connection.open(server.port);
  // A flush begins by itself when very much is dirty, so that the time of the filling counts as well.
  const drainingAt = performance.now();
  await connection.fill(keys, valueBytes);
  connection.close();
  const reply = await ask(server, drain);
  if (reply === '0') throw new Error(`not everything was stored within ${drainDeadlineMs} ms`);
  const drainedPerSecond = keys / ((performance.now() - drainingAt) / 1000);
  await server.stop();
  const startedAt = performance.now();
  const reader = await MeasuredServer.start(again);
  const hydrationSeconds = (performance.now() - startedAt) / 1000;
  const size = Number(await ask(reader, ['DBSIZE']));
  await reader.stop();
  if (size !== keys) throw new Error(`${size} of ${keys} keys are there after the restart`);
  return { drainedPerSecond, hydrationSeconds };
}

/** How fast memory goes into each durable store, and comes back. MariaDB runs on the same machine. */
export async function measureStores(
  mantis: (args: string[]) => Contender,
  program: string,
  { rounds, keys, log }: { rounds: number; keys: number; log: (line: string) => void },
): Promise<string> {
  const names = ['embedded store', 'MariaDB'];
  const results = names.map((): StoreTimes[] => []);
  for (let round = 0; round < rounds; round++) {
    const folder = mkdtempSync(join(tmpdir(), 'mantis-bench-'));
    // Nothing is flushed while it is filled.
    const patient = ['--flush-interval', '1h', '--durability', 'memory', '--shutdown-timeout', '120'];
    const node = (...args: string[]): Contender => ({
      ...mantis([...patient, ...args]),
      startDeadlineMs: drainDeadlineMs,
    });
    try {
      log(`round ${round + 1} of ${rounds}: embedded store`);
      const embedded = node('--data-dir', join(folder, 'data'));
      results[0].push(await measure(embedded, embedded, keys, ['SAVE']));
      log(`round ${round + 1} of ${rounds}: MariaDB`);
      const mariadb = await Mariadb.start(folder);
      execFileSync(process.execPath, [program, 'migrate', '--mysql', mariadb.url], { stdio: 'ignore' });
      const both = node('--data-dir', join(folder, 'both'), '--mysql', mariadb.url);
      const alone = node('--data-dir', 'none', '--mysql', mariadb.url);
      results[1].push(await measure(both, alone, keys, ['MANTIS', 'WAITDB', String(drainDeadlineMs)]));
      await mariadb.stop();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const rows = names.map((name, at) => [
    name,
    Math.round(median(results[at].map(({ drainedPerSecond }) => drainedPerSecond))).toLocaleString('en'),
    median(results[at].map(({ hydrationSeconds }) => hydrationSeconds)).toFixed(1),
  ]);
  return table([`${keys.toLocaleString('en')} registers`, 'written and drained /s', 'hydration s'], rows);
}
