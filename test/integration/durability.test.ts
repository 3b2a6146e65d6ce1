/**
 * Nodes are killed at random instants under load; what they had promised must be there after the restart.
 * MANTIS_TEST_ROUNDS sets how often each mode is killed, MANTIS_TEST_SEED the instants. With MANTIS_TEST_REPORT each round is
 * appended to that file, a line of JSON, and the rounds go on after a loss: `npm run soak`.
 */
import { appendFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type MantisProcess, startMantis } from '../support/mantis-process.ts';
import { MariadbProcess } from '../support/mariadb-process.ts';
import { RespClient } from '../support/resp-client.ts';
import { type SeededRandom, withSeed } from '../support/seed.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { migrateByCli } from './command-line.ts';
import { Load, valuesOf } from './load.ts';

const testFile = 'test/integration/durability.test.ts';
const roundsAsked = Number(process.env['MANTIS_TEST_ROUNDS'] ?? 0);
const reportPath = process.env['MANTIS_TEST_REPORT'] ?? '';
const flushIntervalMs = 1000;
/** A soak may run beside other work, on a machine that is as good as its only one. */
const readyDeadlineMs = reportPath === '' ? 20_000 : 120_000;
/** What was lost though it was older than this is not looked into further. */
const ageShownMsMax = 30_000;

function rounds(usual: number): number {
  return roundsAsked > 0 ? roundsAsked : usual;
}

function deadlineMs(usual: number): number {
  return 20_000 + rounds(usual) * (reportPath === '' ? 5_000 : 30_000);
}

interface Plan {
  mode: string;
  usualRounds: number;
  /** What was acknowledged this long before the kill must be there. */
  allowanceMs: number;
  start(): Promise<MantisProcess>;
  /** The node that must have everything after the kill; it is asked for all keys. */
  survivor(killed: MantisProcess): Promise<MantisProcess>;
  /** Another node, whose log may explain what went wrong. */
  other?(): MantisProcess;
}

/** How long before the kill the oldest of what was lost had been acknowledged, in steps of 50 ms; 0 when nothing was. */
function ageOfLoss(load: Load, values: ReadonlyMap<string, string | null>, killedAtMs: number): number {
  let ageMs = 0;
  while (ageMs < ageShownMsMax && load.compare(values, killedAtMs - ageMs).lost.length > 0) ageMs += 50;
  return ageMs;
}

/** Adds to an error what the nodes say of themselves. */
async function explain(error: unknown, node: MantisProcess, other?: MantisProcess): Promise<never> {
  const client = await RespClient.connect(node.port);
  const info = await client.command('INFO', 'replication', 'persistence', 'clients');
  await client.close();
  throw new Error(`${String(error)}\n${String(info)}\n${node.server.logs}\n${other?.server.logs ?? ''}`, {
    cause: error,
  });
}

/** Kills and restarts; what one round found must still be there, unchanged, in all later ones. */
async function killRepeatedly(plan: Plan, random: SeededRandom): Promise<void> {
  const found = new Map<string, string | null>();
  const lost: string[] = [];
  let node = await plan.start();
  for (let round = 0; round < rounds(plan.usualRounds); round++) {
    const load = await Load.start({
      port: node.port,
      prefix: `round ${round}`,
      connections: 4,
      batch: 1 + random.below(64),
    });
    await waitFor('the first acknowledgements', () => load.acknowledged > 0).catch((error: unknown) =>
      explain(error, node),
    );
    const endAtMs = performance.now() + 2 * flushIntervalMs * random.fraction() + plan.allowanceMs;
    await waitFor('the instant of the kill', () => performance.now() >= endAtMs, { intervalMs: 1 });
    const killedAtMs = performance.now();
    await node.server.kill('SIGKILL');
    await load.ended();
    node = await plan.survivor(node);
    const values = await valuesOf(node.port, [...found.keys(), ...load.keys]);
    const result = load.compare(values, killedAtMs - plan.allowanceMs);
    expect(result.present).toBeGreaterThan(0);
    for (const [key, value] of found) {
      if (values.get(key) !== value) result.lost.push(`${key} was ${value} before, and is ${values.get(key)}`);
    }
    for (const key of load.keys) found.set(key, values.get(key)!);
    lost.push(...result.lost);
    if (reportPath === '') {
      expect(lost).toEqual([]);
      continue;
    }
    const { mode } = plan;
    const line = { mode, round, acknowledged: load.acknowledged, checked: values.size, lost: result.lost };
    const ageMs = ageOfLoss(load, values, killedAtMs);
    appendFileSync(reportPath, `${JSON.stringify({ ...line, promisedMs: plan.allowanceMs, lostAgeMs: ageMs })}\n`);
  }
  expect(lost).toEqual([]);
  await node.server.stop();
}

describe('after SIGKILL under load', () => {
  it(
    'durability always has kept everything acknowledged',
    async () => {
      const dataDir = temporaryFolder('always');
      const start = (): Promise<MantisProcess> =>
        startMantis({ dataDir, args: ['--durability', 'always'], readyDeadlineMs });
      const plan = { mode: 'always', usualRounds: 6, allowanceMs: 0, start, survivor: start };
      await withSeed(testFile, (random) => killRepeatedly(plan, random));
    },
    deadlineMs(6),
  );

  it(
    'durability interval has kept everything acknowledged longer ago than flush-interval',
    async () => {
      const dataDir = temporaryFolder('interval');
      const args = ['--flush-interval', `${flushIntervalMs}ms`];
      const start = (): Promise<MantisProcess> => startMantis({ dataDir, args, readyDeadlineMs });
      const plan = { mode: 'interval', usualRounds: 4, allowanceMs: flushIntervalMs, start, survivor: start };
      await withSeed(testFile, (random) => killRepeatedly(plan, random));
    },
    deadlineMs(6),
  );

  it(
    'durability replicas=1 has everything acknowledged at the peer',
    async () => {
      const args = ['--durability', 'replicas=1', '--data-dir', 'none', '--cluster-secret', 'shared-secret'];
      let other = await startMantis({ args, readyDeadlineMs });
      const start = (): Promise<MantisProcess> =>
        startMantis({ args: [...args, '--peers', `127.0.0.1:${other.peerPort}`], readyDeadlineMs });
      // The peer is written to and killed next, and a new node, which knows nothing, takes its place.
      const survivor = async (): Promise<MantisProcess> => {
        const next = other;
        other = await startMantis({ args: [...args, '--peers', `127.0.0.1:${next.peerPort}`], readyDeadlineMs });
        return next;
      };
      const plan = { mode: 'replicas', usualRounds: 4, allowanceMs: 0, start, survivor, other: () => other };
      await withSeed(testFile, (random) => killRepeatedly(plan, random));
      await other.server.stop();
    },
    deadlineMs(4),
  );
});

describe('after SIGKILL under load, with nothing but MySQL', () => {
  let mariadb: MariadbProcess;

  beforeAll(async () => {
    mariadb = await MariadbProcess.create();
    await migrateByCli(mariadb.url);
  }, 60_000);

  afterAll(() => mariadb?.stop());

  it(
    'durability mysql has kept everything acknowledged',
    async () => {
      const args = ['--durability', 'mysql', '--mysql', mariadb.url];
      const start = (): Promise<MantisProcess> => startMantis({ dataDir: 'none', args, readyDeadlineMs });
      const plan = { mode: 'mysql', usualRounds: 4, allowanceMs: 0, start, survivor: start };
      await withSeed(testFile, (random) => killRepeatedly(plan, random));
    },
    deadlineMs(4),
  );
});
