import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MeasuredServer, type Contender } from './measured-server.ts';
import { median, medianRatio, table } from './statistics.ts';

interface Measurement {
  commandsPerSecond: number;
  p99Ms: number;
}

interface Row {
  title: string;
  /** The two that are compared, the one whose ratio is given first. */
  pair: readonly [MeasuredServer, MeasuredServer];
  command: 'set' | 'get';
  pipeline: number;
  requests: number;
  /** Writes that the measured commands have for company. */
  writesBeside: boolean;
}

async function benchmark(server: MeasuredServer, command: string, pipeline: number, requests: number) {
  const options = ['-p', server.port, '-c', 50, '-n', requests, '-P', pipeline, '-r', 100_000, '-d', 64];
  const { stdout } = await promisify(execFile)('redis-benchmark', [...options, '-t', command, '--csv'].map(String));
  const fields = /^"(?:SET|GET)",(.*)$/m.exec(stdout)?.[1]?.replaceAll('"', '').split(',').map(Number);
  if (fields === undefined) throw new Error(`redis-benchmark on ${server.name} printed no result:\n${stdout}`);
  // Requests a second, then milliseconds: average, least, median, 95 %, 99 %, most.
  return { commandsPerSecond: fields[0], p99Ms: fields[5] };
}

async function measure(server: MeasuredServer, row: Row): Promise<Measurement> {
  if (!row.writesBeside) return benchmark(server, row.command, row.pipeline, row.requests);
  const beside = benchmark(server, 'set', 1, row.requests);
  const result = await benchmark(server, row.command, row.pipeline, row.requests);
  await beside;
  return result;
}

/** Runs each row in each round; gives for each row what was measured of both of its pair. */
async function measureRows(
  rows: readonly Row[],
  rounds: number,
  log: (line: string) => void,
): Promise<[Measurement[], Measurement[]][]> {
  const results = rows.map((): [Measurement[], Measurement[]] => [[], []]);
  for (let round = 0; round < rounds; round++) {
    for (const [index, row] of rows.entries()) {
      log(`round ${round + 1} of ${rounds}: ${row.title}`);
      // Who goes first changes from round to round.
      for (const at of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
        results[index][at].push(await measure(row.pair[at], row));
      }
    }
  }
  return results;
}

function cellsOf(row: Row, measured: readonly [Measurement[], Measurement[]]): string[] {
  const rates = measured.map((list) => list.map(({ commandsPerSecond }) => commandsPerSecond));
  const delays = measured.map((list) => list.map(({ p99Ms }) => p99Ms));
  return [
    row.title,
    row.pair[1].name,
    ...rates.map((list) => Math.round(median(list)).toLocaleString('en')),
    medianRatio(rates[0], rates[1]).toFixed(2),
    ...delays.map((list) => median(list).toFixed(2)),
    medianRatio(delays[0], delays[1]).toFixed(2),
  ];
}

function redis(fsync: string, folder: string): Contender {
  return {
    name: `Redis, appendfsync ${fsync}`,
    program: 'redis-server',
    args: (port) => {
      const own = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'yes'];
      return [...own, '--appendfsync', fsync, '--dir', folder, '--appenddirname', `${fsync}-${port}`];
    },
  };
}

/** Writes in each durability mode beside Redis with the appendfsync that promises the same, and reads beside a running flush. */
export async function compareDurability(
  mantis: (args: string[]) => Contender,
  { rounds, requests, log }: { rounds: number; requests: number; log: (line: string) => void },
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'mantis-bench-'));
  const startPair = async (mode: string, fsync: string): Promise<[MeasuredServer, MeasuredServer]> => {
    const args = ['--data-dir', join(folder, mode), '--durability', mode];
    const ours = await MeasuredServer.start({ ...mantis(args), name: `Mantis, durability ${mode}` });
    return [ours, await MeasuredServer.start(redis(fsync, folder))];
  };
  try {
    const always = await startPair('always', 'always');
    const interval = await startPair('interval', 'everysec');
    const without = await MeasuredServer.start({ ...mantis(['--data-dir', 'none']), name: 'Mantis without a store' });
    const set = { command: 'set', writesBeside: false } as const;
    const rows: Row[] = [
      { title: 'SET P=1, always', pair: always, pipeline: 1, requests: requests / 4, ...set },
      { title: 'SET P=16, always', pair: always, pipeline: 16, requests, ...set },
      { title: 'SET P=1, interval', pair: interval, pipeline: 1, requests, ...set },
      { title: 'SET P=16, interval', pair: interval, pipeline: 16, requests: requests * 5, ...set },
      {
        title: 'GET beside SETs, with and without a flush',
        pair: [interval[0], without],
        command: 'get',
        pipeline: 1,
        requests,
        writesBeside: true,
      },
    ];
    const results = await measureRows(rows, rounds, log);
    await Promise.all([...always, ...interval, without].map((server) => server.stop()));
    const header = ['', 'beside', 'Mantis /s', 'other /s', 'ratio', 'Mantis p99 ms', 'other p99 ms', 'ratio'];
    return table(
      header,
      rows.map((row, index) => cellsOf(row, results[index])),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
