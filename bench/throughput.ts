import { measureRun, type Measurement } from './benchmark.ts';
import type { MeasuredServer } from './measured-server.ts';
import { median, medianRatio, table } from './statistics.ts';

const keys = 100_000;
const valueBytes = 64;

export interface Case {
  name: string;
  command: 'set' | 'get';
  pipeline: number;
  /** How many times as many requests as at depth 1, so that each run takes about as long. */
  factor: number;
}

export const cases: Case[] = (['set', 'get'] as const).flatMap((command) => [
  { name: `${command}-p1`, command, pipeline: 1, factor: 1 },
  { name: `${command}-p16`, command, pipeline: 16, factor: 5 },
  { name: `${command}-p64`, command, pipeline: 64, factor: 10 },
]);

function measure(server: MeasuredServer, one: Case, requests: number): Promise<Measurement> {
  const what = ['-r', String(keys), '-d', String(valueBytes), '-t', one.command];
  return measureRun(server, requests, one.pipeline, what);
}

export interface ThroughputOptions {
  rounds: number;
  /** Requests of a run at pipeline depth 1. */
  requests: number;
  cases: Case[];
  log: (line: string) => void;
}

/** Measures each case on both servers in turn, `rounds` times, and gives the table. */
export async function compareThroughput(
  [ours, theirs]: readonly [MeasuredServer, MeasuredServer],
  options: ThroughputOptions,
): Promise<string> {
  const results = new Map<string, Measurement[]>();
  const resultsOf = (server: MeasuredServer, one: Case): Measurement[] => {
    const key = `${server.name} ${one.name}`;
    let list = results.get(key);
    if (!list) results.set(key, (list = []));
    return list;
  };

  options.log('warming up: every key written and read');
  for (const server of [ours, theirs]) {
    for (const command of ['set', 'get'] as const) {
      await measure(server, { name: 'warm-up', command, pipeline: 64, factor: 1 }, 10 * keys);
    }
  }
  for (let round = 0; round < options.rounds; round++) {
    options.log(`round ${round + 1} of ${options.rounds}`);
    for (const one of options.cases) {
      // Who goes first changes from round to round.
      const order = round % 2 === 0 ? [ours, theirs] : [theirs, ours];
      for (const server of order) {
        resultsOf(server, one).push(await measure(server, one, options.requests * one.factor));
      }
    }
  }

  const rows = options.cases.map((one) => {
    const [mine, other] = [resultsOf(ours, one), resultsOf(theirs, one)];
    const cpu = [mine, other].map((list) => list.map((result) => result.cpuMicrosecondsPerCommand));
    const rate = [mine, other].map((list) => list.map((result) => result.commandsPerSecond));
    return [
      `${one.command.toUpperCase()} P=${one.pipeline}`,
      ...cpu.map((list) => median(list).toFixed(2)),
      medianRatio(cpu[0], cpu[1]).toFixed(2),
      ...rate.map((list) => Math.round(median(list)).toLocaleString('en')),
      medianRatio(rate[0], rate[1]).toFixed(2),
    ];
  });
  const header = ['', `${ours.name} µs`, `${theirs.name} µs`, 'ratio', `${ours.name} /s`, `${theirs.name} /s`, 'ratio'];
  return table(header, rows);
}
