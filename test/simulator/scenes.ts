/**
 * Scenes: sequences of a few seconds in which something may go wrong that hardly ever comes about by chance. They are played in
 * few seeds, besides what these draw; their draws are their own, so that what all others draw stays what it was.
 */
import { Draw } from './draw.ts';
import type { Command } from './workload.ts';

/** Events of a schedule. */
type SceneEvent =
  | { type: 'burst'; atMs: number; node: number; client: number; commands: readonly Command[] }
  | { type: 'fault'; atMs: number; kind: SceneFault; node: number; other: number; durationMs: number; amount: number };
type SceneFault = 'restart' | 'crash' | 'isolate' | 'clock-step' | 'database-slow';

interface Stage {
  readonly nodes: number;
  readonly hasDisk: boolean;
  readonly hasDatabase: boolean;
  readonly durationMs: number;
}

type Scene = (draw: Draw, stage: Stage) => SceneEvent[];

/** One seed of so many plays a scene; which one, its remainder tells. */
const PERIOD = 32;
const scenes = new Map<number, Scene>([
  [22, lapsesWhereTheClockIsFast],
  [11, countsOnAfterACrash],
  [12, writesLateWhereTheClockIsSlow],
  [14, givesALaterDeadline],
  [31, stopsWhileTheDatabaseIsSlow],
]);
const FIRST_MS = 3000;

export function drawScenes(seed: number, stage: Stage): SceneEvent[] {
  const scene = scenes.get(seed % PERIOD);
  return scene === undefined ? [] : scene(new Draw(Math.imul(seed, 0x85ebca6b)), stage);
}

function burst(atMs: number, node: number, commands: Command[]): SceneEvent {
  return { type: 'burst', atMs, node, client: 0, commands };
}

function fault(atMs: number, kind: SceneFault, node: number, durationMs: number, amount = 0): SceneEvent {
  return { type: 'fault', atMs, kind, node, other: node, durationMs, amount };
}

/**
 * A node that was stopped in order counts, crashes before its store has all of it, and counts on as soon as it is back, before
 * its peers have given it back what it had counted.
 */
function countsOnAfterACrash(draw: Draw, { nodes, hasDisk, durationMs }: Stage): SceneEvent[] {
  const events: SceneEvent[] = [];
  if (!hasDisk) return events;
  for (let atMs = FIRST_MS; atMs + 5000 < durationMs; atMs += 5000) {
    const node = draw.below(nodes);
    const key = `count:${draw.below(4)}`;
    const count = (): Command[] => [['INCRBY', key, `${1 + draw.below(9)}`]];
    const crashMs = atMs + 2500 + draw.between(10, 200);
    const backMs = crashMs + 300 + draw.between(0, 300);
    events.push(
      fault(atMs, 'restart', node, 200),
      burst(atMs + 1200, node, count()),
      burst(atMs + 2500, node, count()),
    );
    events.push(fault(crashMs, 'crash', node, backMs - crashMs));
    for (const afterMs of [2, 10, 40]) events.push(burst(backMs + draw.between(0.5, 1) * afterMs, node, count()));
  }
  return events;
}

/**
 * A key lapses on a node whose clock is ahead, and is made anew there before it has lapsed anywhere else; everybody has known the
 * key for so long that what is deleted could be forgotten.
 */
function lapsesWhereTheClockIsFast(draw: Draw, { nodes, durationMs }: Stage): SceneEvent[] {
  const node = draw.below(nodes);
  const events: SceneEvent[] = [fault(FIRST_MS, 'clock-step', node, 0, draw.between(0.9, 1))];
  let number = 100;
  for (let atMs = FIRST_MS + 500; atMs + 18_000 < durationMs; atMs += draw.between(1500, 3000)) {
    const key = `tide:${number++}`;
    const lapseMs = Math.floor(draw.between(11_000, 14_000));
    events.push(
      burst(atMs, node, [
        ['HSET', key, 'old', 'v'],
        ['PEXPIRE', key, `${lapseMs}`],
      ]),
    );
    const againMs = atMs + lapseMs + draw.between(300, 3500);
    events.push(burst(againMs, node, [['MULTI'], ['HEXISTS', key, 'old'], ['HSET', key, 'new', 'v'], ['EXEC']]));
  }
  return number === 100 ? [] : events;
}

/** A node writes and writes, and is stopped in order, while the database is slow: of two batches there the later one is often done first. */
function stopsWhileTheDatabaseIsSlow(draw: Draw, { nodes, hasDatabase, durationMs }: Stage): SceneEvent[] {
  const events: SceneEvent[] = [];
  if (!hasDatabase) return events;
  let number = 0;
  for (let atMs = FIRST_MS; atMs + 4000 < durationMs; atMs += 2500) {
    const node = draw.below(nodes);
    const stopMs = atMs + draw.between(1000, 1400);
    events.push(fault(atMs, 'database-slow', node, 2400, draw.between(0.2, 0.6)));
    for (let nextMs = atMs; nextMs < stopMs; nextMs += draw.between(10, 80)) {
      const writes = Array.from({ length: 3 + draw.below(6) }, (): Command => ['SET', `s:x${number++}`, 'v']);
      events.push(burst(nextMs, node, writes));
    }
    // What comes last weighs less than what was done before its turn.
    events.push(burst(stopMs - 3, node, [['SET', `s:x${number++}`, 'v']]));
    events.push(fault(stopMs, 'restart', node, 300));
  }
  return events;
}

/**
 * A node whose clock is behind writes to a key that has lapsed elsewhere, under a stamp above the deadline: stamps follow the others'. Later
 * the key is made anew where the write came too late.
 */
function writesLateWhereTheClockIsSlow(draw: Draw, { nodes, durationMs }: Stage): SceneEvent[] {
  const node = draw.below(nodes);
  const slow = (node + 1 + draw.below(nodes - 1)) % nodes;
  const events: SceneEvent[] = [fault(FIRST_MS, 'clock-step', slow, 0, draw.between(0, 0.2))];
  let number = 100;
  for (let atMs = FIRST_MS + 500; atMs + 13_000 < durationMs; atMs += draw.between(800, 1500)) {
    const key = `eh:${number++}`;
    const made: Command[] = [
      ['HSET', key, 'old', 'v'],
      ['PEXPIRE', key, '2000'],
    ];
    events.push(burst(atMs, node, made));
    events.push(burst(atMs + draw.between(2300, 5000), slow, [['HSET', key, 'late', 'v']]));
    events.push(burst(atMs + draw.between(7000, 12_500), node, [['HSET', key, 'new', 'v']]));
  }
  return number === 100 ? [] : events;
}

/**
 * A key lapses while the news of its later deadline is on the way: it is back then, without what it had. After that deadline, too, it
 * is made anew.
 */
function givesALaterDeadline(draw: Draw, { nodes, durationMs }: Stage): SceneEvent[] {
  const events: SceneEvent[] = [];
  let number = 100;
  for (let atMs = FIRST_MS; atMs + 6000 < durationMs; atMs += draw.between(2000, 3000)) {
    const key = `eh:${number++}`;
    const node = draw.below(nodes);
    const other = (node + 1 + draw.below(nodes - 1)) % nodes;
    const lapseMs = atMs + 2500;
    events.push(burst(atMs, node, [['HSET', key, 'old', 'v']]));
    events.push(burst(atMs + 1500, other, [['PEXPIRE', key, '1000']]));
    events.push(fault(lapseMs - 200, 'isolate', node, 500));
    events.push(burst(lapseMs - 150, node, [['PEXPIRE', key, '1500']]));
    events.push(burst(lapseMs + 1400 + draw.between(0, 300), other, [['HSET', key, 'new', 'v']]));
  }
  return events;
}
