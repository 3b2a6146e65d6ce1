import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { MeasuredServer } from './measured-server.ts';

const clients = 50;

export interface Measurement {
  cpuMicrosecondsPerCommand: number;
  commandsPerSecond: number;
}

/**
 * One run of redis-benchmark with 50 clients, between two looks at the server's CPU time.
 * @param what a test (`-t`, `set`) or a command and its arguments, behind options of redis-benchmark's
 */
export async function measureRun(
  server: MeasuredServer,
  requests: number,
  pipeline: number,
  what: readonly string[],
): Promise<Measurement> {
  const options = ['-h', '127.0.0.1', '-p', server.port, '-c', clients, '-n', requests, '-P', pipeline, '--csv'];
  const before = server.cpuMicroseconds();
  const { stdout } = await promisify(execFile)('redis-benchmark', [...options.map(String), ...what]);
  const after = server.cpuMicroseconds();
  // The line behind the header: a name in quotation marks, then the rate.
  const commandsPerSecond = Number(/^"[^"]*","([\d.]+)"/m.exec(stdout.slice(stdout.indexOf('\n') + 1))?.[1]);
  if (!(commandsPerSecond > 0)) throw new Error(`redis-benchmark on ${server.name} printed no result:\n${stdout}`);
  return { cpuMicrosecondsPerCommand: (after - before) / requests, commandsPerSecond };
}
