/**
 * `npm run check`: types, lint, format, the import rule, unused files and exports, generated docs. Every step runs, also after one
 * failed; the end names those that did. `--fix` formats and repairs what the tools can repair, and checks nothing else.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensureInstalled, nodeModules, pinnedNode, rootDirectory, run } from './tools.mjs';

const tool = (...path) => join(nodeModules, ...path);
const typescript = tool('typescript', 'bin', 'tsc');
const eslint = tool('eslint', 'bin', 'eslint.js');
const prettier = tool('prettier', 'bin', 'prettier.cjs');
const knip = tool('knip', 'bin', 'knip.js');
const jest = tool('jest', 'bin', 'jest.js');
const moduleFlags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];

const steps = [
  { name: 'types', args: [typescript, '-p', 'tsconfig.json', '--noEmit'] },
  { name: 'lint', args: [eslint, '--max-warnings=0', '.'] },
  { name: 'format', args: [prettier, '--check', '--log-level=warn', '.'] },
  { name: 'import rule', args: [...moduleFlags, jest, '--silent', 'test/tidy'] },
  { name: 'unused files and exports', args: [knip, '--no-progress'] },
  { name: 'generated docs', args: [join(rootDirectory, 'scripts', 'generate-docs.mjs'), '--check'] },
];

/** Runs one step with its output held back, so that two at once do not mix. */
function runStep(step) {
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const child = spawn(pinnedNode, step.args, { cwd: rootDirectory, stdio: ['ignore', 'pipe', 'pipe'] });
    const output = [];
    child.stdout.on('data', (data) => output.push(data));
    child.stderr.on('data', (data) => output.push(data));
    child.on('error', (error) => output.push(Buffer.from(`${error.message}\n`)));
    child.on('close', (code) => {
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
      console.log(`${code === 0 ? 'ok    ' : 'FAILED'} ${step.name} (${seconds} s)`);
      if (code !== 0) process.stdout.write(Buffer.concat(output));
      resolve(code === 0);
    });
  });
}

ensureInstalled();
if (process.argv.includes('--fix')) {
  const fixed = run(pinnedNode, [eslint, '--fix', '.']);
  process.exit(run(pinnedNode, [prettier, '--write', '--log-level=warn', '.']) || fixed);
}
// The tests use the package by its own name, as an application would: its types are those of the build.
run(pinnedNode, [join(rootDirectory, 'scripts', 'build.mjs')]);
const waiting = [...steps];
const failed = [];
async function worker() {
  for (let step = waiting.shift(); step; step = waiting.shift()) {
    if (!(await runStep(step))) failed.push(step.name);
  }
}
await Promise.all([worker(), worker()]);

if (failed.length > 0) {
  console.log(`check failed: ${failed.join(', ')}`);
  process.exit(1);
}
console.log('check passed');
