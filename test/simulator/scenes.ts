/**
 * Scenes: sequences of a few seconds in which something may go wrong that hardly ever comes about by chance. They are played in
 * few seeds, besides what these draw; their draws are their own, so that what all others draw stays what it was.
 */
import { Draw } from './draw.ts';
import { carrying, loadingOf, manyInOne, type Way } from './scripted.ts';
import { type Command, familyNames, Workload } from './workload.ts';

/** Events of a schedule. */
type SceneEvent =
  | { type: 'burst'; atMs: number; node: number; client: number; commands: readonly Command[] }
  | { type: 'fault'; atMs: number; kind: SceneFault; node: number; other: number; durationMs: number; amount: number };
type SceneFault =
  'restart' | 'crash' | 'leave' | 'isolate' | 'cut' | 'reset' | 'clock-step' | 'database-slow' | 'database-down';

interface Stage {
  readonly nodes: number;
  readonly hasDisk: boolean;
  readonly hasDatabase: boolean;
  readonly durationMs: number;
}

type Scene = (draw: Draw, stage: Stage) => SceneEvent[];

/** What a scene cannot be without, whatever its seed has drawn. */
export interface SceneNeeds {
  readonly nodesMin?: number;
  readonly hasDisk?: true;
  readonly hasDatabase?: true;
  readonly durability?: 'interval';
  readonly durationMs?: number;
  /** Nothing goes wrong besides. */
  readonly isQuiet?: true;
  readonly options?: Readonly<Record<string, string>>;
}

/** One seed of so many plays a scene; which one, its remainder tells. */
const PERIOD = 32;
const scenes = new Map<number, Scene>([
  [22, lapsesWhereTheClockIsFast],
  [11, countsOnAfterACrash],
  [12, writesLateWhereTheClockIsSlow],
  [14, givesALaterDeadline],
  [31, stopsWhileTheDatabaseIsSlow],
  [17, startsBesideOldRows],
  [6, setsAndLapsesWhatWasCounted],
  [5, lapsesWhileOneIsAway],
  [30, deletesForOneAndCrashes],
  [28, deletesForOneAndCrashes],
  [21, leavesWhatOnlyTheDatabaseHas],
  [27, runsScripts],
  [25, bringsWhatOthersHaveForgotten],
  [29, deletesWhileTheDatabaseIsAway],
]);
/** Flushes are seldom, and comparisons hardly ever: what only some nodes know stays so. */
const SELDOM_COMPARED: SceneNeeds = {
  hasDisk: true,
  durability: 'interval',
  durationMs: 45_000,
  options: { 'flush-interval': '1s', 'repair-interval': '60s', 'tombstone-horizon': '3600000ms', 'peer-timeout': '3s' },
};
/** Scenes that hardly any seed would have the stores and the time for. */
const needs = new Map<number, SceneNeeds>([
  [30, SELDOM_COMPARED],
  // The same with so short a horizon that the deletions are beyond it before digests are compared at this interval.
  [28, { ...SELDOM_COMPARED, options: { ...SELDOM_COMPARED.options, 'tombstone-horizon': '25000ms' } }],
  [
    21,
    {
      nodesMin: 4,
      hasDisk: true,
      hasDatabase: true,
      durationMs: 45_000,
      options: { 'flush-interval': '200ms', 'max-clock-drift': '20000ms', 'repair-interval': '4s' },
    },
  ],
  [
    25,
    {
      nodesMin: 4,
      hasDisk: true,
      hasDatabase: true,
      durability: 'interval',
      durationMs: 35_000,
      isQuiet: true,
      options: {
        'flush-interval': '200ms',
        'repair-interval': '4s',
        'tombstone-horizon': '3600000ms',
        'peer-timeout': '3s',
      },
    },
  ],
  [
    29,
    {
      nodesMin: 4,
      hasDisk: true,
      hasDatabase: true,
      durability: 'interval',
      durationMs: 60_000,
      isQuiet: true,
      options: {
        'flush-interval': '200ms',
        'repair-interval': '4s',
        'tombstone-horizon': '25000ms',
        'peer-timeout': '3s',
      },
    },
  ],
]);
const FIRST_MS = 3000;

export function sceneNeeds(seed: number): SceneNeeds {
  return needs.get(seed % PERIOD) ?? {};
}

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

function between(kind: SceneFault, atMs: number, node: number, other: number, durationMs: number): SceneEvent {
  return { type: 'fault', atMs, kind, node, other, durationMs, amount: 0 };
}

function made(keys: readonly string[], value: string): Command[] {
  return keys.map((key) => ['SET', key, value]);
}

function gone(keys: readonly string[]): Command[] {
  return keys.map((key) => ['DEL', key]);
}

/**
 * The database is down, a node writes what it has an older row of, and crashes before it can bring it there. Meanwhile another node,
 * which has stored the newer version, starts again: it reads the older rows.
 */
function startsBesideOldRows(draw: Draw, { nodes, hasDisk, hasDatabase, durationMs }: Stage): SceneEvent[] {
  const events: SceneEvent[] = [];
  if (!hasDisk || !hasDatabase) return events;
  let number = 0;
  for (let atMs = FIRST_MS; atMs + 6500 < durationMs; atMs += 7000) {
    const writer = draw.below(nodes);
    const reader = (writer + 1 + draw.below(nodes - 1)) % nodes;
    const keys = Array.from({ length: 8 }, () => `s:y${number++}`);
    const downMs = atMs + 2500;
    events.push(burst(atMs, writer, made(keys, 'old')));
    events.push(fault(downMs, 'database-down', writer, 2100));
    events.push(burst(downMs + 100, writer, made(keys, 'new')));
    events.push(fault(downMs + 1600, 'crash', writer, 2400));
    events.push(fault(downMs + 1900, 'crash', reader, 300 + draw.between(0, 300)));
  }
  return events;
}

/**
 * A node deletes keys, which one peer hears of, and crashes before its store has that; the peer has no links from that moment on, over
 * which it would soon tell the others. The node comes back to the others first, and then hears of its deletions again from the
 * peer: the two of them know of something to forget, and all others say that they have everything. Comparisons come seldom: each
 * would heal it.
 */
function deletesForOneAndCrashes(draw: Draw, { nodes, durationMs }: Stage): SceneEvent[] {
  const events: SceneEvent[] = [];
  let number = 0;
  for (let atMs = FIRST_MS; atMs + 2500 < durationMs; atMs += 4500) {
    const node = draw.below(nodes);
    const peer = (node + 1 + draw.below(nodes - 1)) % nodes;
    const keys = Array.from({ length: 4 }, () => `gone:y${number++}`);
    const deleteMs = atMs + 1500;
    const crashMs = deleteMs + draw.between(10, 60);
    const backMs = crashMs + 300;
    const heardMs = backMs + draw.between(50, 300);
    events.push(burst(atMs, node, made(keys, 'v')), burst(deleteMs, node, gone(keys)));
    for (let other = 0; other < nodes; other++) {
      if (other === node || other === peer) continue;
      events.push(between('cut', deleteMs - 100, node, other, 250));
      events.push(between('cut', crashMs - 1, peer, other, heardMs - crashMs));
      events.push(between('reset', crashMs - 1, peer, other, 0));
    }
    events.push(between('cut', crashMs - 0.5, node, peer, heardMs - crashMs));
    events.push(fault(crashMs, 'crash', node, backMs - crashMs));
  }
  return events;
}

/**
 * A node that is cut off brings keys to the database that lapse before the others hear of them. It is back for long enough that all know
 * that all have heard of everything, and leaves for good. The others forget the keys, and read the database again.
 */
function leavesWhatOnlyTheDatabaseHas(draw: Draw, { nodes, hasDisk, hasDatabase, durationMs }: Stage): SceneEvent[] {
  const events: SceneEvent[] = [];
  if (!hasDisk || !hasDatabase || nodes < 4) return events;
  const leaving = draw.below(nodes);
  let number = 100;
  for (let atMs = FIRST_MS; atMs < FIRST_MS + 8000; atMs += draw.between(2500, 4000)) {
    events.push(fault(atMs - 200, 'isolate', leaving, 1500));
    for (let count = 0; count < 4; count++) {
      const key = `tide:${number++}`;
      const lapsing: Command[] = [
        ['HSET', key, 'old', 'v'],
        ['PEXPIRE', key, '600'],
      ];
      events.push(burst(atMs + count, leaving, lapsing));
    }
  }
  events.push(fault(FIRST_MS + 16_000, 'leave', leaving, 0));
  for (let node = 0; node < nodes; node++)
    if (node !== leaving) events.push(fault(durationMs - 4000 + node * 600, 'restart', node, 200));
  return events;
}

/**
 * A node crashes with collections in its store that a peer brings to the database a moment later; they are deleted before it is back. It hears of
 * that, and so does everybody that it has; their rows are taken out. The node itself forgets nothing, because one link of it is cut, and
 * still has its list of what that peer was to bring: having waited for the peer's word for long, it brings the collections again. Then it
 * leaves for good, and nobody takes them out of the database any more.
 */
function bringsWhatOthersHaveForgotten(draw: Draw, { nodes, hasDisk, hasDatabase, durationMs }: Stage): SceneEvent[] {
  const crashMs = FIRST_MS + 1000;
  const backMs = crashMs + 2500;
  const leaveMs = backMs + 25_000;
  if (!hasDisk || !hasDatabase || nodes < 4 || leaveMs > durationMs) return [];
  const holding = draw.below(nodes);
  const writing = (holding + 1 + draw.below(nodes - 1)) % nodes;
  const others = [...Array(nodes).keys()].filter((node) => node !== holding && node !== writing);
  const cutMs = backMs + draw.between(1500, 2500);
  const keys = Array.from({ length: 8 }, (_unused, number) => `h:y${number}`);
  const written = keys.map((key, number) => {
    return burst(crashMs - 150 - number * 50, writing, [['HSET', key, 'field', 'v']]);
  });
  return [
    ...written,
    fault(crashMs, 'crash', holding, backMs - crashMs),
    burst(crashMs + 1000, writing, gone(keys)),
    between('cut', cutMs, holding, draw.pick(others), durationMs),
    // Those that are linked to it link again: what it says first is what it has, and not what it has brought.
    ...others.map((other) => between('reset', cutMs + draw.between(3000, 8000), holding, other, 0)),
    between('reset', cutMs + draw.between(3000, 8000), holding, writing, 0),
    fault(leaveMs, 'leave', holding, 0),
  ];
}

/**
 * The database goes when it has rows of some keys, and they are deleted. It is away for longer than tombstones are kept; one node was
 * down meanwhile. When it is back, all bring there what they hold, the older rows among it.
 */
function deletesWhileTheDatabaseIsAway(draw: Draw, { nodes, hasDisk, hasDatabase, durationMs }: Stage): SceneEvent[] {
  const downMs = FIRST_MS + 100;
  const awayMs = 40_000 + draw.below(5_000);
  if (!hasDisk || !hasDatabase || downMs + awayMs + 5_000 > durationMs) return [];
  const events: SceneEvent[] = [fault(downMs, 'database-down', 0, awayMs)];
  const crashing = draw.below(nodes);
  const crashMs = downMs + 900;
  events.push(fault(crashMs, 'crash', crashing, 2500));
  const other = (crashing + 1 + draw.below(nodes - 1)) % nodes;
  events.push(between('cut', crashMs + 4500, crashing, other, durationMs));
  for (let number = 0; number < 16; number++) {
    const key = `h:y${number}`;
    const writing = (crashing + 1 + draw.below(nodes - 1)) % nodes;
    const deleting = (crashing + 1 + draw.below(nodes - 1)) % nodes;
    events.push(burst(FIRST_MS - 1000, writing, [['HSET', key, 'first', 'v']]));
    events.push(burst(crashMs - draw.below(600), writing, [['HSET', key, 'field', 'v']]));
    events.push(burst(crashMs + 500 + draw.below(1500), deleting, [['DEL', key]]));
  }
  return events;
}

/** A field is counted up, which the stores have, is then set, lapses, and is forgotten. */
function setsAndLapsesWhatWasCounted(draw: Draw, { nodes, hasDisk, durationMs }: Stage): SceneEvent[] {
  const events: SceneEvent[] = [];
  if (!hasDisk) return events;
  for (let atMs = FIRST_MS; atMs < durationMs / 2; atMs += 1500) {
    const node = draw.below(nodes);
    const field = `y${events.length}`;
    const set: Command[] = [
      ['HSET', 'ef:y', field, 'v'],
      ['HPEXPIRE', 'ef:y', '300', 'FIELDS', '1', field],
    ];
    events.push(burst(atMs, node, [['HINCRBY', 'ef:y', field, '1']]), burst(atMs + 1200, node, set));
  }
  return events;
}

/** Keys are given a deadline while a node is down; the others are restarted meanwhile, and have time to forget the keys. */
function lapsesWhileOneIsAway(draw: Draw, { nodes, hasDisk, durationMs }: Stage): SceneEvent[] {
  const events: SceneEvent[] = [];
  if (!hasDisk) return events;
  const away = draw.below(nodes);
  const node = (away + 1 + draw.below(nodes - 1)) % nodes;
  events.push(fault(FIRST_MS + 2000, 'crash', away, durationMs - FIRST_MS - 4000));
  for (let number = 100; number < 108; number++) {
    const key = `tide:${number}`;
    events.push(burst(FIRST_MS, node, [['HSET', key, 'old', 'v']]));
    events.push(burst(FIRST_MS + 2500, node, [['PEXPIRE', key, '500']]));
  }
  for (let other = 0; other < nodes; other++)
    if (other !== away) events.push(fault(FIRST_MS + 5000 + other * 1500, 'restart', other, 300));
  return events;
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
 * A key lapses on a node whose clock is ahead, and is made anew there before it has lapsed anywhere else, where clocks are behind; so
 * long after that what everybody knows of could be forgotten.
 */
function lapsesWhereTheClockIsFast(draw: Draw, { nodes, durationMs }: Stage): SceneEvent[] {
  const fast = draw.below(nodes);
  const events: SceneEvent[] = [];
  for (let node = 0; node < nodes; node++) {
    const amount = node === fast ? draw.between(0.9, 1) : draw.between(0, 0.1);
    events.push(fault(FIRST_MS, 'clock-step', node, 0, amount));
  }
  let number = 100;
  for (let atMs = FIRST_MS + 500; ; atMs += draw.between(100, 300)) {
    const key = `tide:${number++}`;
    const lapseMs = Math.floor(draw.between(300, 1500));
    const againMs = atMs + lapseMs + draw.between(8000, 14_000);
    if (againMs > durationMs - 100) break;
    const old: Command[] = [
      ['HSET', key, 'old', 'v'],
      ['PEXPIRE', key, `${lapseMs}`],
    ];
    events.push(burst(atMs, fast, old));
    events.push(burst(againMs, fast, [['MULTI'], ['HEXISTS', key, 'old'], ['HSET', key, 'new', 'v'], ['EXEC']]));
  }
  return number === 101 ? [] : events;
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

/** Numbers of what scripts write once begin above those of all other requests. */
const SCRIPTED_FROM = 1_000_000;
const SCRIPTED_BURSTS = 40;
const ways: readonly Way[] = ['eval', 'evalsha', 'fcall'];

/**
 * Scripts that run several commands, or read one key and write another; and crashes shortly after some. Two nodes are asked: with
 * the 64 MiB of each Lua that begins comes a whole collection of garbage.
 */
function runsScripts(draw: Draw, { nodes, durationMs }: Stage): SceneEvent[] {
  const families = draw.some(familyNames, 3);
  const workload = new Workload(draw, { families, promiseShare: 0.7, flushes: false, numberedFrom: SCRIPTED_FROM });
  const events: SceneEvent[] = [];
  const everyMs = (durationMs - 2000) / SCRIPTED_BURSTS;
  const first = draw.below(nodes);
  const asked = [first, (first + 1 + draw.below(nodes - 1)) % nodes];
  let crashMs = FIRST_MS;
  for (let number = 0, atMs = 2000; atMs < durationMs; atMs += draw.between(0.5, 1.5) * everyMs, number++) {
    const node = draw.pick(asked);
    const way = draw.pick(ways);
    const scripts = Array.from({ length: 1 + draw.below(3) }, (_unused, place) => {
      if (draw.chance(0.2))
        return carrying(`count:${draw.below(4)}`, 1 + draw.below(9), `carried:${number}:${place}`, way);
      return manyInOne(workload.keyed(2 + draw.below(5)), way, draw.chance(0.1));
    });
    const commands = [...loadingOf[way], ...scripts];
    const isTransaction = way !== 'fcall' && draw.chance(0.1);
    events.push(burst(atMs, node, isTransaction ? [['MULTI'], ...commands, ['EXEC']] : commands));
    if (atMs < crashMs || !draw.chance(0.1)) continue;
    const cutMs = draw.chance(0.5) ? 100 : 0;
    if (cutMs > 0) events.push(fault(atMs - 1, 'isolate', node, cutMs));
    events.push(fault(atMs + draw.between(0, 120), 'crash', node, 300 + draw.between(0, 900)));
    crashMs = atMs + 3000;
  }
  return events;
}
