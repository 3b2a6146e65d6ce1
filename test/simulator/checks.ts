/** What must hold once everything is healed and at rest. */
import { contentDigest } from '../../server/peers/content-digest.ts';
import { dirtyCount } from '../../storage/changes/outflow.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { Content, differenceOf } from './content.ts';
import { digestOfKey, dumpAll, Reference } from './reference.ts';
import type { Ledger } from './ledger.ts';
import type { Promises } from './promises.ts';
import { LAPSE_MS } from './schedule.ts';
import type { SimulatedDatabase } from './simulated-database.ts';
import { epochMs, type SimulatedNode } from './simulated-node.ts';
import { Violation } from './violation.ts';
import { lapsingKeys } from './workload.ts';

function contentOf(node: SimulatedNode): Content {
  return new Content((command) => node.askRaw(command));
}

/** A simulation that is over. */
export interface Rested {
  readonly living: readonly SimulatedNode[];
  readonly ledger: Ledger;
  readonly promises: Promises;
  readonly trueMs: number;
  /** How far the fastest clock was ever ahead. */
  readonly clockAheadMs: number;
}

/** @throws Violation */
export function checkRest(simulation: Rested): void {
  const { living, promises } = simulation;
  const contents = living.map((node) => contentOf(node));
  const lines = contents.map((content) => content.lines());
  for (let index = 1; index < living.length; index++) {
    const difference = differenceOf(lines[0], lines[index]);
    if (difference !== '') {
      throw new Violation(
        `${living[0].host} (-) and ${living[index].host} (+) have equal digests and show:\n${difference}`,
      );
    }
  }
  const broken = promises.broken(contents[0], estimate);
  if (broken !== null) throw new Violation(`a promise is broken: ${broken}`);
  checkWritten(simulation, lines[0]);
  for (const node of living) checkBounds(node);
}

let counting: Content | null = null;

function makeCounting(): Content {
  const reference = new Reference(true);
  return new Content((command) => reference.askRaw(command));
}

/** What a HyperLogLog that has seen these counts. */
function estimate(elements: string[]): number {
  counting ??= makeCounting();
  counting.ask('DEL', 'seen');
  if (elements.length > 0) counting.ask('PFADD', 'seen', ...elements);
  return counting.count(['seen']);
}

/**
 * What lapsed, and was written again by a node whose clock was behind, or that had never seen it, may have come to one thing or
 * the other. These are how late keys lapse in replicas without faults that it may have come to: as late as by any clock, late, at once,
 * early, and as early as by the fastest clock.
 */
function lapsesOf({ clockAheadMs }: Rested): number[] {
  return [LAPSE_MS, 0, LAPSE_MS / 2, -LAPSE_MS / 2, -clockAheadMs];
}

/** What is there is what was written: each key shows the same, by the same versions. */
function checkWritten(rested: Rested, lines: readonly string[]): void {
  const { living, ledger, trueMs } = rested;
  const { keyspace } = living[0].runtime!;
  const merged = ledger.merged(epochMs);
  const expected = merged.digestAt(trueMs);
  const written = new Content((command) => merged.askRaw(command)).lines();
  const there = keyedLines(lines);
  let left = unlike(keyspace, there, merged.keyspace, keyedLines(written));
  if (left.length === 0) {
    const digest = contentDigest(living[0].runtime!);
    if (digest === expected) return;
    throw new Violation(`all keys are as they were written, and their digests differ: ${expected}, ${digest}`);
  }
  // They are forgotten in the end, or not.
  const ways = lapsesOf(rested).flatMap((lapseMs) => [true, false].map((isForgetful) => ({ lapseMs, isForgetful })));
  for (const { lapseMs, isForgetful } of ways) {
    if (!left.every((name) => lapsingKeys.test(name.slice(2)))) break;
    const other = ledger.merged(epochMs, lapseMs, isForgetful);
    other.lapse(trueMs);
    const otherLines = keyedLines(new Content((command) => other.askRaw(command)).lines());
    const stillLeft = new Set(unlike(keyspace, there, other.keyspace, otherLines));
    left = left.filter((name) => stillLeft.has(name));
    if (left.length === 0) return;
  }
  if (left.every((name) => lapsingKeys.test(name.slice(2)))) {
    left = left.filter((name) => !isLateBeginning(name, { keyspace, line: there.get(name) }, rested));
    if (left.length === 0) return;
  }
  const isLeft = (line: string): boolean => left.includes(nameOf(line));
  const difference = differenceOf(written.filter(isLeft), lines.filter(isLeft));
  if (difference !== '') throw new Violation(`what was written (-) and what is there (+):\n${difference}`);
  throw new Violation(
    `all nodes show what was written, but by other versions: ${left.join(', ')}\n` +
      differenceOf(dumpAll(merged.keyspace), dumpAll(keyspace)),
  );
}

/**
 * Whether a key came to what it is because a node that was cut off wrote to it, and the others heard of that when the key had lapsed
 * with them: the others' elements are buried then, and would not have been had they heard in time.
 */
function isLateBeginning(
  name: string,
  { keyspace, line }: { keyspace: Keyspace; line: string | undefined },
  rested: Rested,
): boolean {
  const { ledger, trueMs } = rested;
  const lateLapses = lapsesOf(rested).slice(1);
  const names = new Set([name]);
  const there = new Map(line === undefined ? [] : [[name, line]]);
  return ledger.cutOff(names).some((node) =>
    lateLapses.some((lapseMs) => {
      const late = ledger.mergedLate(names, node, epochMs, lapseMs);
      late.lapse(trueMs);
      const lines = keyedLines(new Content((command) => late.askRaw(command)).lines());
      return unlike(keyspace, there, late.keyspace, lines).length === 0;
    }),
  );
}

function nameOf(line: string): string {
  return line.slice(0, line.indexOf(' '));
}

function keyedLines(lines: readonly string[]): Map<string, string> {
  return new Map(lines.map((line) => [nameOf(line), line]));
}

/** What a node shows, to be compared with what its disk would bring back. */
export interface Remembered {
  readonly keyspace: Keyspace;
  readonly lines: ReadonlyMap<string, string>;
}

export function rememberedOf(node: SimulatedNode): Remembered {
  return { keyspace: node.runtime!.keyspace, lines: keyedLines(contentOf(node).lines()) };
}

/** How a node that starts with its disk as it is, and nobody else, would differ: everything that it had is flushed. Null when not. */
export function diskProblem(node: SimulatedNode, remembered: Remembered, trueMs: number): string | null {
  return storeProblem(node.disk.durableRecords(), `the disk of ${node.host}`, remembered, trueMs);
}

/** The same of all nodes that lose their disks and start with the database alone: everything that they had was brought there. */
export function databaseProblem(database: SimulatedDatabase, remembered: Remembered, trueMs: number): string | null {
  return storeProblem(database.rows.values(), 'the database', remembered, trueMs);
}

function storeProblem(
  records: Iterable<Buffer>,
  store: string,
  { keyspace, lines }: Remembered,
  trueMs: number,
): string | null {
  const stored = new Reference(true);
  stored.lapse(trueMs);
  stored.apply(Buffer.concat([...records]));
  stored.lapse(trueMs);
  const storedLines = new Content((command) => stored.askRaw(command)).lines();
  const names = unlike(keyspace, lines, stored.keyspace, keyedLines(storedLines));
  if (names.length === 0) return null;
  const isLeft = (line: string): boolean => names.includes(nameOf(line));
  return (
    `what is shown (-) and what ${store} alone would bring back (+), ${names.join(', ')}:\n` +
    differenceOf([...lines.values()].filter(isLeft), storedLines.filter(isLeft))
  );
}

/** The keys, with their database, that show something else, or the same by other versions. */
function unlike(
  keyspace: Keyspace,
  lines: ReadonlyMap<string, string>,
  otherKeyspace: Keyspace,
  otherLines: ReadonlyMap<string, string>,
): string[] {
  const names = new Set([...lines.keys(), ...otherLines.keys()]);
  return [...names].filter((name) => {
    if (lines.get(name) !== otherLines.get(name)) return true;
    const key = Buffer.from(name.slice(2), 'latin1');
    const number = Number(name[0]);
    return digestOfKey(keyspace, number, key) !== digestOfKey(otherKeyspace, number, key);
  });
}

function checkBounds(node: SimulatedNode): void {
  const { keyspace } = node.runtime!;
  const feed = keyspace.databases.reduce((sum, { feedRing }) => sum + feedRing.length, 0);
  if (feed > 0) throw new Violation(`${node.host} has ${feed} changes that it has not told its peers`);
  const dirty = dirtyCount(keyspace);
  if (dirty > 100_000) throw new Violation(`${node.host} has ${dirty} registers that its stores lack`);
  const queued = node.runtime!.flusher?.status().mysql?.queuedCount ?? 0;
  if (queued < 0) throw new Violation(`${node.host} says that ${queued} registers wait for MySQL`);
}
