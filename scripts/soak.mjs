/**
 * `npm run soak -- [--mode MODE] [--rounds N]`: kills nodes with SIGKILL at random instants under load, N times in each mode, and
 * tells after each round what was promised and what was there afterwards. The exit code is 1 when something was lost.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ensureBuilt } from './build.mjs';
import {
  ensureDebianPackages,
  ensureInstalled,
  fail,
  nodeModules,
  pinnedNode,
  readIfThere,
  readOptions,
} from './tools.mjs';
import { spawn } from 'node:child_process';

const modes = ['always', 'interval', 'replicas', 'mysql'];
const usage = `npm run soak -- [--mode ${modes.join(' | ')}] [--rounds 200]: kills nodes under load and compares; all modes unless one is named`;
const values = readOptions(usage, { mode: { type: 'string' }, rounds: { type: 'string', default: '200' } });
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) fail(`--rounds takes a whole number from 1 on, not ${values.rounds}`);
if (values.mode !== undefined && !modes.includes(values.mode)) fail(`--mode is one of ${modes.join(', ')}`);

ensureInstalled();
ensureDebianPackages();
ensureBuilt();

const scratch = mkdtempSync(join(tmpdir(), 'mantis-soak-'));
const reportPath = join(scratch, 'rounds.jsonl');

function report() {
  const lines = (readIfThere(reportPath) ?? '').split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line));
}

function summary(mode, done) {
  const sum = (pick) => done.reduce((total, round) => total + pick(round), 0);
  const lossy = done.filter(({ lost }) => lost.length > 0);
  const oldest = Math.max(0, ...done.map(({ lostAgeMs }) => lostAgeMs));
  return (
    `${mode}: ${done.length} rounds, ${sum(({ acknowledged }) => acknowledged).toLocaleString('en')} writes acknowledged, ` +
    `${sum(({ checked }) => checked).toLocaleString('en')} keys compared, ${lossy.length} rounds with a promise broken; ` +
    `the oldest write that was lost had been acknowledged ${oldest === 0 ? 'never' : `up to ${oldest} ms before the kill`}, ` +
    `promised: ${done[0]?.promisedMs ?? 0} ms`
  );
}

async function soak(mode) {
  const env = {
    ...process.env,
    MANTIS_TEST_ROUNDS: String(rounds),
    MANTIS_TEST_REPORT: reportPath,
    NODE_OPTIONS:
      `${process.env.NODE_OPTIONS ?? ''} --experimental-vm-modules --disable-warning=ExperimentalWarning`.trim(),
  };
  const jest = join(nodeModules, 'jest', 'bin', 'jest.js');
  const name = mode === 'replicas' ? 'durability replicas=1' : `durability ${mode}`;
  const args = [jest, 'test/integration/durability.test.ts', '-t', name];
  const child = spawn(pinnedNode, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  child.stderr.on('data', (data) => (output += data));
  const ended = new Promise((resolve) => child.on('close', resolve));
  let shown = 0;
  for (let exitCode; exitCode === undefined;) {
    exitCode = await Promise.race([ended, delay(1000)]);
    const done = report().filter((round) => round.mode === mode);
    for (const { round, acknowledged, lost, lostAgeMs } of done.slice(shown)) {
      const outcome = lost.length === 0 ? 'kept' : `LOST ${lost.length}: ${lost[0]}`;
      console.log(`${mode} ${round + 1}/${rounds}: ${acknowledged} acknowledged, ${outcome}, lost age ${lostAgeMs} ms`);
    }
    shown = done.length;
    if (exitCode === undefined) continue;
    if (exitCode !== 0) console.log(output);
    return { isGood: exitCode === 0 && done.length === rounds, text: summary(mode, done) };
  }
}

const results = [];
for (const mode of values.mode === undefined ? modes : [values.mode]) results.push(await soak(mode));
console.log(results.map(({ text }) => text).join('\n'));
rmSync(scratch, { recursive: true, force: true });
process.exit(results.every(({ isGood }) => isGood) ? 0 : 1);
