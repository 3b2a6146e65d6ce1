import { Connection } from './connection.ts';
import { MeasuredServer, type Contender } from './measured-server.ts';
import { median, table } from './statistics.ts';

const valueBytes = 200;
/** Requests of the trace that are on their way at a time. */
const batch = 200;

/** Uniform in [0, 1), the same sequence for the same seed (Bryc's mulberry32). */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x100000000;
  };
}

/** Numbers below `count` by Zipf's law, the popular ones scattered. */
function zipfian(count: number, exponent: number, random: () => number): () => number {
  const cumulated = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) cumulated[rank] = sum += 1 / (rank + 1) ** exponent;
  return () => {
    const wanted = random() * sum;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (cumulated[middle] < wanted) low = middle + 1;
      else high = middle;
    }
    // A prime beyond every count here: ranks go all over the keys.
    return (low * 15_485_863) % count;
  };
}

interface Trace {
  keys: number;
  requests: number;
}

/** GETs by the trace, and a SET after each miss, as a cache is used. Gives the share of hits in the trace's second half. */
async function hitRatio(server: MeasuredServer, { keys, requests }: Trace, seed: number): Promise<number> {
  const next = zipfian(keys, 0.99, generator(seed));
  const connection = await Connection.open(server.port);
  const value = 'x'.repeat(valueBytes);
  let hits = 0;
  for (let done = 0; done < requests; done += batch) {
    const wanted = Array.from({ length: batch }, () => `key:${String(next()).padStart(10, '0')}`);
    const replies = await Promise.all(wanted.map((key) => connection.command('GET', key)));
    const isMiss = (at: number): boolean => !replies[at].startsWith('+x');
    if (done >= requests / 2) hits += replies.filter((_, at) => !isMiss(at)).length;
    const missed = new Set(wanted.filter((_, at) => isMiss(at)));
    await Promise.all([...missed].map((key) => connection.command('SET', key, value)));
  }
  connection.close();
  return hits / (requests / 2);
}

function bounded(contender: Contender, bytesMax: number, policy: string): Contender {
  const extra = ['--maxmemory', String(bytesMax), '--maxmemory-policy', policy];
  return { ...contender, args: (...ports) => [...contender.args(...ports), ...extra] };
}

/**
 * The hit ratio of each policy on the same Zipfian traces, of which about a tenth of the keys fits into memory.
 */
export async function compareEviction(
  ours: Contender,
  theirs: Contender,
  { rounds, log }: { rounds: number; log: (line: string) => void },
): Promise<string> {
  const trace = { keys: 100_000, requests: 400_000 };
  // What 10,000 such keys take of each: the same number of keys competes for the places, not the same number of bytes.
  const boundOf = async (contender: Contender): Promise<number> => {
    const server = await MeasuredServer.start(contender);
    const connection = await Connection.open(server.port);
    await connection.fill(10_000, valueBytes);
    connection.close();
    const bytes = await server.usedMemoryBytes();
    await server.stop();
    return bytes;
  };
  const bounds = [await boundOf(ours), await boundOf(theirs)];
  const rows: string[][] = [];
  for (const policy of ['allkeys-lru', 'allkeys-lfu', 'allkeys-random']) {
    const ratios: number[][] = [[], []];
    for (let round = 0; round < rounds; round++) {
      log(`${policy}, round ${round + 1} of ${rounds}`);
      for (const [at, contender] of [ours, theirs].entries()) {
        const server = await MeasuredServer.start(bounded(contender, bounds[at], policy));
        ratios[at].push(await hitRatio(server, trace, round + 1));
        await server.stop();
      }
    }
    const [mine, other] = ratios.map((list) => median(list) * 100);
    rows.push([policy, `${mine.toFixed(2)} %`, `${other.toFixed(2)} %`, (mine - other).toFixed(2)]);
  }
  return table(['hit ratio, Zipf 0.99, a tenth fits', ours.name, theirs.name, 'points'], rows);
}
