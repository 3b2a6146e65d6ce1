/** What happens in a simulation, drawn from its seed before it begins: its nodes, what is asked of them, and what goes wrong. */
import { Draw } from './draw.ts';
import { drawScenes, sceneNeeds } from './scenes.ts';
import { effectsOf } from './scripted.ts';
import { type Command, DEADLINE_MS_MAX, familyNames, Workload } from './workload.ts';

export const faultKinds = [
  'delay',
  'torn',
  'replay',
  'pieces',
  'reset',
  'cut',
  'one-way',
  'isolate',
  'pause',
  'clock-step',
  'clock-freeze',
  'crash',
  'restart',
  'mass-restart',
  'leave',
  'join',
  'disk-slow',
  'disk-full',
  'database-down',
  'database-slow',
  'database-deadlock',
  'database-commit',
] as const;

export type FaultKind = (typeof faultKinds)[number];

export type Durability = 'memory' | 'interval' | 'always' | 'mysql' | 'replicas=1';

export interface Burst {
  readonly atMs: number;
  readonly node: number;
  readonly client: number;
  readonly commands: readonly Command[];
}

export interface Fault {
  readonly atMs: number;
  readonly kind: FaultKind;
  readonly node: number;
  readonly other: number;
  readonly durationMs: number;
  /** 0 ≤ x < 1, for whatever the kind needs. */
  readonly amount: number;
}

export type ScheduledEvent = ({ type: 'burst' } & Burst) | ({ type: 'fault' } & Fault);

export interface Schedule {
  readonly seed: number;
  readonly nodes: number;
  readonly durability: Durability;
  readonly hasDisk: boolean;
  readonly hasDatabase: boolean;
  readonly options: Record<string, string>;
  readonly outboxBytesMax: number;
  /** Collections of more elements than this are compared by their elements. */
  readonly repairElementsMin: number;
  /** Turns of peers with more new elements of a key than this are merged in steps, so far apart. */
  readonly longTurnElementsMin: number;
  readonly longTurnRestMs: number;
  /** Collections are packed wherever they are not used for a moment, as where memory is short, and not after seconds. */
  readonly packsSoon: boolean;
  /** The number of a node whose release compares whole keys only; 0 = none. */
  readonly oldNode: number;
  /** Wall clocks minus true time at the beginning. */
  readonly skewsMs: readonly number[];
  readonly maxDelayMs: number;
  readonly durationMs: number;
  /** By then every clock has passed every deadline, but those far away. */
  readonly lapsedByMs: number;
  /** All nodes are stopped and started at the end, and must show the same as before. */
  readonly restartsAtEnd: boolean;
  readonly events: readonly ScheduledEvent[];
}

export interface ScheduleOptions {
  nodes?: number;
  operations?: number;
}

export const defaultOperations = 2000;

function drawNodes(draw: Draw): number {
  const roll = draw.fraction();
  if (roll < 0.92) return 3 + draw.below(3);
  if (roll < 0.99) return 6 + draw.below(3);
  return draw.chance(0.5) ? 12 : 32;
}

/** Most faults last no longer than this: tombstones are kept for longer. In some seeds some last far longer. */
const FAULT_MS_MAX = 8_000;
const LONG_FAULT_MS_MAX = 30_000;
const CLOCK_MS_MAX = 8_000;
/** More than two clocks may be apart. */
const DRIFTS_MS = [20_000, 40_000];
/** In a replica without fault keys lapse this much late: later than on any clock, and before any node forgets the key. */
export const LAPSE_MS = 10_000;

export function drawSchedule(seed: number, given: ScheduleOptions = {}): Schedule {
  const draw = new Draw(Math.imul(seed, 0x9e3779b1));
  const needs = sceneNeeds(seed);
  const nodes = given.nodes ?? Math.max(drawNodes(draw), needs.nodesMin ?? 0);
  const operations = given.operations ?? defaultOperations;
  const hasDatabase = draw.chance(0.3) || needs.hasDatabase === true;
  const hasDisk = draw.chance(hasDatabase ? 0.8 : 0.9) || needs.hasDisk === true;
  const durations = operations < 1000 ? [10_000, 16_000, 45_000] : [25_000, 40_000, 70_000];
  const durationMs = needs.durationMs ?? (nodes > 8 ? durations[0] : draw.pick(durations));
  const horizonMs = draw.pick([25_000, 40_000, 3_600_000]);
  const options: Record<string, string> = {
    'flush-interval': draw.pick(['200ms', '1s']),
    'repair-interval': draw.pick(['4s', '12s']),
    'tombstone-horizon': `${horizonMs}ms`,
    'max-clock-drift': `${draw.pick(DRIFTS_MS)}ms`,
    'peer-timeout': draw.pick(['3s', '3s', '9s']),
    'peer-reconnect-delay-max': '2s',
    ...needs.options,
  };
  const durability = needs.durability ?? drawDurability(draw, hasDisk, hasDatabase);
  const skewMs = draw.chance(0.4) ? CLOCK_MS_MAX : 0;
  const skewsMs = Array.from({ length: nodes }, () => Math.floor(draw.between(-skewMs, skewMs) / 2));
  const outboxBytesMax = draw.chance(0.45) ? draw.pick([2 << 10, 6 << 10, 16 << 10]) : 64 << 20;
  const settings = { seed, nodes, durability, hasDisk, hasDatabase, options, outboxBytesMax, skewsMs };
  const maxDelayMs = draw.pick([2, 10, 60]);
  const restartsAtEnd = hasDisk && draw.chance(0.45);
  const bursts = drawBursts(draw, nodes, operations, durationMs);
  const faults = drawFaults(draw, nodes, durationMs, hasDisk, hasDatabase);
  const tides = drawTides(draw, nodes, durationMs);
  const scenes = drawScenes(seed, { nodes, hasDisk, hasDatabase, durationMs });
  const drawn = needs.isQuiet === true ? bursts : [...bursts, ...tides, ...faults];
  const events = [...drawn, ...scenes].sort((a, b) => a.atMs - b.atMs);
  // Drawn last: what was drawn before them stays what it was.
  const repairs = { repairElementsMin: draw.pick([1, 2, 8]), oldNode: draw.chance(0.15) ? 1 + draw.below(nodes) : 0 };
  const longTurns = { longTurnElementsMin: draw.pick([1, 2, 4]), longTurnRestMs: draw.pick([0, 3, 40]) };
  const packsSoon = draw.chance(0.25);
  return {
    ...settings,
    ...repairs,
    ...longTurns,
    packsSoon,
    maxDelayMs,
    durationMs,
    lapsedByMs: lapsedBy(events),
    restartsAtEnd,
    events,
  };
}

const deadlineCommands = ['PEXPIRE', 'HPEXPIRE'];

function lapsedBy(events: readonly ScheduledEvent[]): number {
  let lapsedByMs = 0;
  for (const event of events) {
    if (event.type !== 'burst') continue;
    for (const command of event.commands.flatMap((one) => effectsOf(one) ?? [one])) {
      const text = deadlineCommands.includes(command[0]) ? command[2] : command[3] === 'PX' ? command[4] : '0';
      lapsedByMs = Math.max(lapsedByMs, event.atMs + Number(text) + CLOCK_MS_MAX + 1000);
    }
  }
  return lapsedByMs;
}

function drawDurability(draw: Draw, hasDisk: boolean, hasDatabase: boolean): Durability {
  const choices: Durability[] = ['replicas=1'];
  if (hasDisk) choices.push('interval', 'interval', 'interval', 'always', 'always');
  else choices.push(hasDatabase ? 'interval' : 'memory');
  if (hasDatabase) choices.push('mysql');
  return draw.pick(choices);
}

function drawBursts(draw: Draw, nodes: number, operations: number, durationMs: number): ScheduledEvent[] {
  const workload = new Workload(draw, {
    families: draw.some(familyNames, 2 + draw.below(familyNames.length - 1)),
    promiseShare: draw.pick([0.2, 0.4, 0.6]),
    flushes: draw.chance(0.5),
  });
  const burstMax = draw.pick([2, 8, 16]);
  const events: ScheduledEvent[] = [];
  const averageMs = (durationMs * (1 + burstMax)) / 2 / Math.max(1, operations);
  let atMs = 2000;
  for (let left = operations; left > 0;) {
    const commands = workload.burst(Math.min(left, 1 + draw.below(burstMax)));
    left -= commands.length;
    atMs += draw.fraction() * 2 * averageMs;
    if (draw.chance(0.05)) left -= drawRace(draw, nodes, atMs, events);
    events.push({ type: 'burst', atMs, node: draw.below(nodes), client: draw.below(2), commands });
  }
  return events;
}

/** All nodes write the same key at the same moment; where a clock that is ahead leads them all, with the same stamp. */
function drawRace(draw: Draw, nodes: number, atMs: number, events: ScheduledEvent[]): number {
  const key = `race:${draw.below(3)}`;
  const commands = draw.pick<(node: number) => Command>([
    (node) => ['SET', key, `${node}`],
    (node) => ['HSET', `h${key}`, 'field', `${node}`],
  ]);
  for (let node = 0; node < nodes; node++) {
    events.push({ type: 'burst', atMs, node, client: draw.below(2), commands: [commands(node)] });
  }
  return nodes;
}

/** Keys that lapse, of which some are made anew soon after: by the same node, or by one that was away all the time. */
function drawTides(draw: Draw, nodes: number, durationMs: number): ScheduledEvent[] {
  const events: ScheduledEvent[] = [];
  for (let number = draw.below(12); number > 0; number--) {
    const key = `tide:${number}`;
    const node = draw.below(nodes);
    const client = draw.below(2);
    const atMs = 2000 + draw.fraction() * Math.max(0, durationMs - 4000);
    const lapseMs = Math.floor(draw.between(300, DEADLINE_MS_MAX));
    const made: Command[] = [
      ['HSET', key, 'old', 'v'],
      ['PEXPIRE', key, `${lapseMs}`],
    ];
    events.push({ type: 'burst', atMs, node, client, commands: made });
    const againMs = atMs + lapseMs + draw.between(5, draw.chance(0.5) ? 500 : 8000);
    if (againMs > durationMs - 100 || draw.chance(0.2)) continue;
    const again: Command[] = [['MULTI'], ['HEXISTS', key, 'old'], ['HSET', key, 'new', 'v'], ['EXEC']];
    if (draw.chance(0.65)) {
      events.push({ type: 'burst', atMs: againMs, node, client, commands: again });
      continue;
    }
    const other = (node + 1 + draw.below(nodes - 1)) % nodes;
    const away = { kind: 'isolate', node: other, other: node, durationMs: lapseMs + 100, amount: 0 } as const;
    events.push({ type: 'fault', atMs: atMs - 50, ...away });
    events.push({ type: 'burst', atMs: againMs, node: other, client, commands: again });
  }
  return events;
}

function drawFaults(
  draw: Draw,
  nodes: number,
  durationMs: number,
  hasDisk: boolean,
  hasDatabase: boolean,
): ScheduledEvent[] {
  const possible = faultKinds.filter(
    (kind) => (hasDisk || !kind.startsWith('disk')) && (hasDatabase || !kind.startsWith('database')),
  );
  const kinds = draw.some(possible, 2 + draw.below(5));
  const events: ScheduledEvent[] = [];
  const everyMs = draw.pick([1500, 3000, 6000]);
  const longShare = draw.chance(0.3) ? 0.3 : 0;
  let hasLeft = false;
  for (let atMs = 3000; atMs < durationMs; atMs += draw.fraction() * 2 * everyMs) {
    const kind = draw.pick(kinds);
    if (kind === 'leave' && (hasLeft || nodes < 4)) continue;
    if (kind === 'leave') hasLeft = true;
    const node = draw.below(nodes);
    const other = (node + 1 + draw.below(nodes - 1)) % nodes;
    const shortMs = draw.chance(0.3) ? draw.between(100, 1000) : draw.between(1000, FAULT_MS_MAX);
    // A clock that stands still for long is further behind than clocks may be here.
    const isLong = draw.chance(longShare) && kind !== 'clock-freeze';
    const lastsMs = isLong ? draw.between(FAULT_MS_MAX, LONG_FAULT_MS_MAX) : shortMs;
    events.push({ type: 'fault', atMs, kind, node, other, durationMs: lastsMs, amount: draw.fraction() });
  }
  return events;
}

/** How far a clock that was stepped is off, from the fault's amount. */
export function clockStepMs(amount: number): number {
  return Math.floor((amount * 2 - 1) * CLOCK_MS_MAX);
}

/** How far the fastest clock is ever ahead. */
export function clockAheadMsMax({ skewsMs, events }: Schedule): number {
  const steps = events.map((event) =>
    event.type === 'fault' && event.kind === 'clock-step' ? clockStepMs(event.amount) : 0,
  );
  return Math.max(0, ...skewsMs, ...steps);
}
