/**
 * `npm run explore [-- rounds]`: runs the random tests with new seeds until one fails, or for so many rounds. `npm test` always
 * draws from the same seed; what is found here becomes a test of its own.
 */
import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './tools.mjs';

const RANDOM = /support\/(seed|properties)\.ts'/;
const files = readdirSync('test', { recursive: true })
  .map((name) => join('test', name))
  .filter((path) => path.endsWith('.test.ts') && RANDOM.test(readFileSync(path, 'utf8')));

const rounds = Number(process.argv[2] ?? Infinity);
for (let round = 1; round <= rounds; round++) {
  const seed = randomInt(2 ** 32);
  console.log(`round ${round}: MANTIS_TEST_SEED=${seed}`);
  const env = { ...process.env, MANTIS_TEST_SEED: String(seed) };
  const exitCode = run(process.execPath, ['scripts/test.mjs', ...files], { env });
  if (exitCode !== 0) process.exit(exitCode);
}
