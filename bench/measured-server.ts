import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from './connection.ts';

const startDeadlineMs = 20_000;
const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** A port of 127.0.0.1 on which nothing listens at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** What is measured: how to start it on a port. */
export interface Contender {
  name: string;
  program: string;
  args: (port: number, freePort: number) => string[];
  /** It runs with turn-probe.mjs. */
  hasProbe?: boolean;
  /** Milliseconds until it must answer PING; 20 seconds unless it is given. */
  startDeadlineMs?: number;
}

/**
 * When a turn began (milliseconds since 1970), how long it took by the clock and in CPU time, how much of that was garbage collection, and
 * how many pages the process was given meanwhile and how often its threads had to leave their cores to others.
 */
export interface DescribedTurn {
  atMs: number;
  wallMs: number;
  cpuMs: number;
  collectedMs: number;
  faults: number;
  preemptions: number;
}

/**
 * CPU milliseconds of the longest turn of the event loop without garbage collection, and of the longest with it; of how many
 * milliseconds 99 % and 99.9 % of all turns are at most; and the share of the time in which the event loop worked.
 */
export interface LongestTurn {
  workMs: number;
  totalMs: number;
  /** The longest without garbage collection; null where none took more than a few milliseconds. */
  longest: DescribedTurn | null;
  p99Ms: number;
  p999Ms: number;
  busyShare: number;
}

/** A running contender, and what the kernel says of its process. Linux only: it reads /proc. */
export class MeasuredServer {
  readonly name: string;
  readonly port: number;
  private readonly child: ChildProcess;
  private output = '';

  private constructor(name: string, port: number, child: ChildProcess) {
    this.name = name;
    this.port = port;
    this.child = child;
    const keep = (data: Buffer): void => {
      this.output = (this.output + data.toString()).slice(-10_000);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.on('error', (error) => keep(Buffer.from(error.message)));
    process.once('exit', () => child.kill('SIGKILL')).setMaxListeners(0);
  }

  /** Starts it fresh and waits until it answers PING. */
  static async start(contender: Contender): Promise<MeasuredServer> {
    const port = await freePort();
    const args = contender.args(port, await freePort());
    const channel = contender.hasProbe === true ? 'ipc' : 'ignore';
    const child = spawn(contender.program, args, { stdio: ['ignore', 'pipe', 'pipe', channel] });
    const server = new MeasuredServer(contender.name, port, child);
    const startedAt = performance.now();
    while (!(await server.answersPing())) {
      if (child.exitCode !== null || performance.now() - startedAt > (contender.startDeadlineMs ?? startDeadlineMs)) {
        child.kill('SIGKILL');
        throw new Error(`${contender.name} did not start:\n${server.output}`);
      }
      await delay(20);
    }
    return server;
  }

  private async answersPing(): Promise<boolean> {
    try {
      const connection = await Connection.open(this.port);
      const reply = await connection.command('PING');
      connection.close();
      return reply.startsWith('+PONG');
    } catch {
      return false;
    }
  }

  /** Microseconds of CPU time, user and system, that the process (all its threads) has used since its start. */
  cpuMicroseconds(): number {
    const stat = readFileSync(`/proc/${this.child.pid}/stat`, 'utf8');
    // Behind the program's name, which is in brackets and may hold anything, field 3 of proc(5) comes first.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1e6;
  }

  /** Bytes of resident memory. */
  residentBytes(): number {
    return this.residentMemory().allBytes;
  }

  /** Resident memory, and what of it are no pages of files, which the kernel takes away when it needs them. */
  residentMemory(): { allBytes: number; ownBytes: number } {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8');
    const bytesOf = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
    return { allBytes: bytesOf('VmRSS'), ownBytes: bytesOf('VmRSS') - bytesOf('RssFile') };
  }

  /** Bytes that the server itself says its data takes: used_memory of INFO. */
  async usedMemoryBytes(): Promise<number> {
    const connection = await Connection.open(this.port);
    const info = await connection.command('INFO', 'memory');
    connection.close();
    return Number(/^used_memory:(\d+)/m.exec(info)?.[1]);
  }

  /** Of the time since the last call, or since the start. */
  async longestTurn(): Promise<LongestTurn> {
    const answered = once(this.child, 'message');
    this.child.send('take');
    const [turn] = (await answered) as [LongestTurn];
    return turn;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    const insist = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(insist);
  }
}
