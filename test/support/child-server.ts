import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { stopAtEnd } from './temporary-folder.ts';
import { waitFor } from './wait-for.ts';

const running = new Set<ChildServer>();
/** Of what a server prints, the newest this much is kept. */
const logBytesMax = 1 << 20;

/** The path of a program in PATH or in the folders for system programs. */
export function programPath(name: string): string {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  const path = folders.map((folder) => join(folder, name)).find((candidate) => existsSync(candidate));
  if (path === undefined) throw new Error(`${name} is not installed; npm test installs it through apt-get on Debian`);
  return path;
}

export interface ChildServerOptions {
  program: string;
  args: string[];
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** Resolves to true once the server serves. A rejection counts as not yet. */
  isReady: () => Promise<boolean>;
  readyDeadlineMs?: number;
}

/** A server in a process of its own, which ends with the test file at the latest, whatever becomes of the test. */
export class ChildServer {
  private readonly child: ChildProcess;
  private readonly program: string;
  private output = '';
  /** Resolves with the exit code, or the name of the signal that ended the process. */
  readonly exited: Promise<number | NodeJS.Signals>;
  private exitStatus: number | NodeJS.Signals | undefined;

  protected constructor(options: ChildServerOptions) {
    this.program = options.program;
    // Where Linux can do it, the kernel ends the server even if the process that runs the test is itself killed.
    const guard = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path));
    const [program, args] = guard
      ? [guard, ['--pdeathsig', 'KILL', options.program, ...options.args]]
      : [options.program, options.args];
    this.child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const keep = (data: Buffer): void => {
      this.output = (this.output + data.toString('utf8')).slice(-logBytesMax);
    };
    this.child.stdout?.on('data', keep);
    this.child.stderr?.on('data', keep);
    this.exited = new Promise((resolve) => {
      const settle = (status: number | NodeJS.Signals): void => {
        this.exitStatus = status;
        running.delete(this);
        resolve(status);
      };
      this.child.once('close', (code, signal) => settle(signal ?? code ?? 1));
      this.child.once('error', (error) => {
        this.output += error.message;
        settle(1);
      });
    });
    running.add(this);
  }

  /** Starts the process and waits until it serves; fails with the process's output when it does not. */
  static async start(options: ChildServerOptions): Promise<ChildServer> {
    const server = new ChildServer(options);
    try {
      await waitFor(
        `${options.program} to serve`,
        async () => server.exitStatus !== undefined || (await options.isReady()),
        { deadlineMs: options.readyDeadlineMs ?? 20_000 },
      );
    } catch (error) {
      await server.kill('SIGKILL');
      throw new Error(`${String(error)}\n${server.logs}`, { cause: error });
    }
    if (server.exitStatus !== undefined) {
      throw new Error(`${options.program} ended with ${server.exitStatus} before it served:\n${server.logs}`);
    }
    return server;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.exitStatus === undefined;
  }

  /** What the process printed so far, on both streams. */
  get logs(): string {
    return this.output;
  }

  /** Sends a signal and waits for the end of the process. */
  async kill(signal: NodeJS.Signals): Promise<number | NodeJS.Signals> {
    this.child.kill(signal);
    return this.exited;
  }

  /** Asks with SIGTERM, and insists with SIGKILL when the process is still there after the deadline. */
  async stop(deadlineMs = 15_000): Promise<number | NodeJS.Signals> {
    if (!this.isRunning) return this.exited;
    this.resume();
    const insist = setTimeout(() => this.child.kill('SIGKILL'), deadlineMs);
    try {
      return await this.kill('SIGTERM');
    } finally {
      clearTimeout(insist);
    }
  }

  /** Stops the process in its tracks: connections stay open and nothing is answered. Returns when no thread runs any more. */
  pause(): void {
    this.child.kill('SIGSTOP');
    const deadlineAtMs = performance.now() + 10_000;
    // The signal is only asked for: on a busy machine a thread may answer one more request before it stops.
    while (this.isRunning && !isStopped(this.pid)) {
      if (performance.now() > deadlineAtMs) throw new Error(`${String(this)} does not stop`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }

  resume(): void {
    this.child.kill('SIGCONT');
  }

  killNow(): void {
    this.child.kill('SIGKILL');
  }

  toString(): string {
    return `${this.program} (process ${this.pid})`;
  }
}

/** Whether each thread of the process is stopped or gone. */
function isStopped(processId: number): boolean {
  const folder = `/proc/${processId}/task`;
  return readdirSync(folder).every((thread) => {
    const stat = readIfThere(join(folder, thread, 'stat'));
    // The name is in brackets and may hold anything; the state is the letter behind it.
    return stat === null || /\) [TtZX] [^)]*$/.test(stat);
  });
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

stopAtEnd(async () => {
  const ended = [...running].map((server) => {
    server.killNow();
    return server.exited;
  });
  await Promise.all(ended);
});

process.once('exit', () => {
  for (const server of running) server.killNow();
});
