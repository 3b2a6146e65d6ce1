/**
 * `npm test [-- jest's arguments]`: installs and builds what is missing, runs jest on the pinned Node.js, and ends with a line
 * `N passed, N failed`. The exit code is jest's.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuilt } from './build.mjs';
import { ensureDebianPackages, ensureInstalled, nodeModules, pinnedNode, readIfThere, run } from './tools.mjs';

ensureInstalled();
ensureDebianPackages();
ensureBuilt();

const scratch = mkdtempSync(join(tmpdir(), 'mantis-test-'));
const resultPath = join(scratch, 'result.json');
const jest = join(nodeModules, 'jest', 'bin', 'jest.js');
const args = ['--json', `--outputFile=${resultPath}`, ...process.argv.slice(2)];
// The flag travels in NODE_OPTIONS, so that jest's own workers run with it too.
const nodeOptions = `${process.env.NODE_OPTIONS ?? ''} --experimental-vm-modules --disable-warning=ExperimentalWarning`;
const env = { ...process.env, NODE_OPTIONS: nodeOptions.trim() };
// jest names the file it wrote on stdout; everything a reader wants is on stderr.
const exitCode = run(pinnedNode, [jest, ...args], { env, stdio: ['inherit', 'ignore', 'inherit'] });

const written = readIfThere(resultPath);
rmSync(scratch, { recursive: true, force: true });
if (written === undefined) {
  console.log(`0 passed, ${exitCode === 0 ? 0 : 1} failed`);
} else {
  const result = JSON.parse(written);
  // A file that could not even be loaded counts as one failed test.
  console.log(`${result.numPassedTests} passed, ${result.numFailedTests + result.numRuntimeErrorTestSuites} failed`);
}
process.exit(exitCode);
