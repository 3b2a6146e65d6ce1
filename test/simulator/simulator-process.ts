/** Runs the simulator as its command line does: in a process of its own, because it needs no jest and is faster without. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** Most processes run for a few seconds, of which compiling is one. Planted faults load hundreds of sources once each. */
function compileCacheFor(args: readonly string[]): Record<string, string> {
  if (args.some((arg) => arg.startsWith('--fault'))) return {};
  return { NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/simulator') };
}

export interface SimulatorRun {
  exitCode: number | null;
  output: string;
}

/** @param args as behind `npm run simulate --` */
export function runSimulator(...args: string[]): Promise<SimulatorRun> {
  return new Promise((resolve, reject) => {
    const flags = ['--disable-warning=ExperimentalWarning', join(root, 'test/simulator/main.ts')];
    const child = spawn(process.execPath, [...flags, ...args], {
      cwd: root,
      env: { ...process.env, NODE_OPTIONS: '', ...compileCacheFor(args) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.on('error', reject);
    child.on('close', (exitCode) => resolve({ exitCode, output: Buffer.concat(chunks).toString() }));
  });
}
