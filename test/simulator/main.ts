/** `npm run simulate`: runs seeds under the simulator; see docs/simulator.md. */
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { addFaults, missingKinds } from './coverage.ts';
import { noFaults } from './faults.ts';
import { type PlantedFault, plantedFaults, plantedOperations } from './planted-faults.ts';
import { preparePlanting, simulationWith, type Simulator } from './planting.ts';
import { defaultOperations, drawSchedule, type Schedule } from './schedule.ts';
import { formatNumbers, parseNumbers, shrink, withEvents } from './shrink.ts';
import { type Outcome, Simulation } from './simulation.ts';

const usage = `npm run simulate -- [options]
  --seed N          the seed, or the first of --seeds; 1
  --seeds COUNT     how many, one after the other; 1
  --operations N    requests a seed; ${defaultOperations}
  --nodes N         as many nodes, whatever the seed draws
  --keep 3-9,40     only these events of the schedule
  --trace           all that happens, and the seed is run twice and compared
  --watch KEY       with --trace: the registers of a key whenever they have changed
  --no-shrink       leave a failing schedule as it is
  --fault A,B       are these planted faults found?
  --faults          are all of them?
docs/simulator.md tells more.`;

function readOptions() {
  const text = { type: 'string' } as const;
  const choice = { type: 'boolean' } as const;
  const names = { seed: text, seeds: text, nodes: text, operations: text, keep: text, fault: text, watch: text };
  const choices = { faults: choice, trace: choice, 'no-shrink': choice, help: choice };
  try {
    const { values } = parseArgs({ options: { ...names, ...choices } });
    if (values.help !== true) return values;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    process.exit(1);
  }
  console.log(usage);
  process.exit(0);
}

const values = readOptions();

/** One seed in this many is run twice, and must take the same way. */
const TWICE_ONE_IN = 10;
/** With fewer seeds than this, a kind of fault may well not have come up. */
const COVERED_SEEDS_MIN = 60;
const SHRINK_RUNS_MAX = 120;
const FIND_SEEDS_MAX = 500;
const RECORDED_SEEDS_MAX = 40;

const plain: Simulator = { Simulation };

/** A turn of the event loop in which no promise's callback is running: the simulation runs those itself. */
function inOwnTurn<T>(work: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(work());
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });
}

function scheduleOf(seed: number, operations: number): Schedule {
  const nodes = values.nodes === undefined ? {} : { nodes: Number(values.nodes) };
  const schedule = drawSchedule(seed, { operations, ...nodes });
  return values.keep === undefined ? schedule : withEvents(schedule, parseNumbers(values.keep));
}

function replayCommand(seed: number, operations: number, kept: string | undefined): string {
  const parts = [`npm run simulate -- --seed ${seed}`];
  if (operations !== defaultOperations) parts.push(`--operations ${operations}`);
  for (const name of ['nodes', 'fault'] as const)
    if (values[name] !== undefined) parts.push(`--${name} ${values[name]}`);
  if (kept !== undefined) parts.push(`--keep ${kept}`);
  return parts.join(' ');
}

function describe({ seed, nodes, durability, hasDisk, hasDatabase, durationMs }: Schedule): string {
  const stores = [hasDisk ? 'disk' : '', hasDatabase ? 'database' : ''].filter((name) => name !== '').join(' and ');
  return `seed ${seed}: ${nodes} nodes, durability ${durability}, ${stores || 'no stores'}, ${durationMs / 1000} s`;
}

async function reportFailure(
  simulator: Simulator,
  schedule: Schedule,
  operations: number,
  violation: string,
): Promise<void> {
  console.log(`FAILED ${describe(schedule)}\n${violation}`);
  console.log(`replay: ${replayCommand(schedule.seed, operations, values.keep)} --trace`);
  if (values['no-shrink'] === true || values.trace === true || values.keep !== undefined) return;
  const fails = (smaller: Schedule): boolean => new simulator.Simulation(smaller).run().violation !== null;
  const kept = await inOwnTurn(() => shrink(schedule, fails, SHRINK_RUNS_MAX));
  const shrunk = `${kept.length} of ${schedule.events.length} events are enough`;
  console.log(`${shrunk}: ${replayCommand(schedule.seed, operations, formatNumbers(kept))} --trace`);
}

/** @returns whether all seeds were well */
async function runSeeds(simulator: Simulator, from: number, count: number, operations: number): Promise<boolean> {
  const total = { operations: 0, events: 0, failures: 0, repeated: 0, simulatedMs: 0, lost: 0, fired: noFaults() };
  const cpuAtStart = process.cpuUsage();
  for (let seed = from; seed < from + count; seed++) {
    const schedule = scheduleOf(seed, operations);
    const isTwice = seed % TWICE_ONE_IN === 0 || values.trace === true;
    const tracing = values.trace === true ? { trace: console.log } : {};
    const watching = values.watch === undefined ? {} : { watch: values.watch };
    const options = { hashes: isTwice, ...tracing, ...watching };
    const outcome = await inOwnTurn(() => new simulator.Simulation(schedule, options).run());
    total.operations += outcome.operations;
    total.events += outcome.events;
    total.simulatedMs += outcome.simulatedMs;
    total.lost += outcome.lost;
    addFaults(total.fired, outcome.fired);
    let { violation } = outcome;
    if (isTwice && violation === null) {
      const again = await inOwnTurn(() => new simulator.Simulation(schedule, { ...watching, hashes: true }).run());
      total.repeated++;
      if (again.traceHash !== outcome.traceHash) violation = 'the seed took another way when it was run again';
    }
    if (violation === null) continue;
    total.failures++;
    await reportFailure(simulator, schedule, operations, violation);
  }
  const { user, system } = process.cpuUsage(cpuAtStart);
  const seconds = (user + system) / 1e6;
  console.log(
    `${count} seeds, ${total.failures} failed; ${total.repeated} run twice; ${total.operations} requests, ` +
      `${total.events} events in ${Math.round(total.simulatedMs / 1000)} simulated seconds; ${seconds.toFixed(1)} s of CPU, ` +
      `${Math.round((60 * (count + total.repeated)) / seconds)} seeds a minute`,
  );
  const fired = Object.entries(total.fired).map(([kind, times]) => `${kind} ${times}`);
  console.log(`faults: ${fired.join(', ')}`);
  const missing = count < COVERED_SEEDS_MIN ? [] : missingKinds(total.fired);
  if (missing.length > 0) console.log(`FAILED these kinds of fault never had an effect: ${missing.join(', ')}`);
  return total.failures === 0 && missing.length === 0;
}

/** The seeds to look with: the one that the table names, and a few more, because any change of the product changes the ways of all. */
function seedsFor(fault: PlantedFault, isRecorded: boolean): number[] {
  const first = Number(values.seed ?? 1);
  const count = isRecorded ? RECORDED_SEEDS_MAX : Number(values.seeds ?? FIND_SEEDS_MAX);
  const range = Array.from({ length: count }, (_unused, index) => first + index);
  return isRecorded ? [fault.seed, ...range.filter((seed) => seed !== fault.seed)] : range;
}

/** Looks for planted faults; a seed that finds one must be well without it. */
async function findFaults(names: readonly string[], isRecorded: boolean): Promise<boolean> {
  let isWell = true;
  for (const fault of plantedFaults.filter(({ name }) => names.includes(name))) {
    const simulator = await simulationWith(fault.name);
    let found: string | null = null;
    for (const seed of seedsFor(fault, isRecorded)) {
      const run = ({ Simulation }: Simulator): Promise<Outcome> =>
        inOwnTurn(() => new Simulation(scheduleOf(seed, plantedOperations)).run());
      const { violation } = await run(simulator);
      if (violation === null) continue;
      if ((await run(plain)).violation !== null) continue;
      found = `found ${fault.name} by seed ${seed}: ${violation.split('\n')[0].slice(0, 160)}`;
      break;
    }
    isWell &&= found !== null;
    console.log(found ?? `NOT FOUND ${fault.name}`);
  }
  return isWell;
}

// Each node that starts takes 8 MiB outside of V8's heap, of which it touches little, and V8 would collect all garbage for every few.
setFlagsFromString('--external-memory-accounted-in-global-limit');
preparePlanting(plantedFaults);
const operations = Number(values.operations ?? defaultOperations);
const names = values.fault?.split(',') ?? [];
const unknown = names.filter((name) => !plantedFaults.some((fault) => fault.name === name));
let isWell = unknown.length === 0;
if (!isWell) console.log(`no such planted fault: ${unknown.join(', ')}`);
else if (values.faults === true)
  isWell = await findFaults(
    plantedFaults.map(({ name }) => name),
    false,
  );
else if (names.length === 1 && values.trace === true) {
  isWell = await runSeeds(
    await simulationWith(names[0]),
    Number(values.seed ?? 1),
    1,
    Number(values.operations ?? plantedOperations),
  );
} else if (names.length > 0) isWell = await findFaults(names, values.seed === undefined && values.seeds === undefined);
else isWell = await runSeeds(plain, Number(values.seed ?? 1), Number(values.seeds ?? 1), operations);
process.exit(isWell ? 0 : 1);
