import { execFile } from 'node:child_process';
import { environment, mantisProgram, pinnedNode } from '../support/mantis-process.ts';

export interface Ended {
  code: number;
  /** What the process printed on both streams. */
  output: string;
}

/** Runs the mantis program with arguments that it ends with by itself; it is killed after 20 s. */
export function runMantis(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      pinnedNode,
      [mantisProgram, ...args],
      { env: { ...process.env, ...environment() }, timeout: 20_000 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, output: stdout + stderr });
      },
    );
  });
}

/** Runs `mantis migrate` and gives what it prints. Rejects when it fails. */
export async function migrateByCli(url: string, ...args: string[]): Promise<string> {
  const { code, output } = await runMantis('migrate', '--mysql', url, ...args);
  if (code !== 0) throw new Error(`mantis migrate ended with ${code}: ${output}`);
  return output;
}
