/** What must hold once everything is healed and at rest. */
import { contentDigest } from '../../server/content-digest.ts';
import { dirtyCount } from '../../storage/outflow.ts';
import { Content, differenceOf } from './content.ts';
import { dumpAll } from './reference.ts';
import type { Ledger } from './ledger.ts';
import type { Promises } from './promises.ts';
import { epochMs, type SimulatedNode } from './simulated-node.ts';
import { Violation } from './violation.ts';

function contentOf(node: SimulatedNode): Content {
  return new Content((command) => node.askRaw(command));
}

/** A simulation that is over. */
export interface Rested {
  readonly living: readonly SimulatedNode[];
  readonly ledger: Ledger;
  readonly promises: Promises;
  readonly trueMs: number;
}

/** @throws Violation */
export function checkRest(simulation: Rested): void {
  const { living, ledger, promises } = simulation;
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
  const broken = promises.broken(contents[0]);
  if (broken !== null) throw new Violation(`a promise is broken: ${broken}`);
  const merged = ledger.merged(epochMs);
  const expected = merged.digestAt(simulation.trueMs);
  const reference = new Content((command) => merged.askRaw(command));
  const difference = differenceOf(reference.lines(), lines[0]);
  if (difference !== '') throw new Violation(`what was written (-) and what is there (+):\n${difference}`);
  const digest = contentDigest(living[0].runtime!);
  if (digest !== expected) {
    const there = dumpAll(living[0].runtime!.keyspace);
    throw new Violation(
      `all nodes show what was written, but by other versions: ${expected}, ${digest}\n${differenceOf(dumpAll(merged.keyspace), there)}`,
    );
  }
  for (const node of living) checkBounds(node);
}

function checkBounds(node: SimulatedNode): void {
  const { keyspace } = node.runtime!;
  const feed = keyspace.databases.reduce((sum, { feedRing }) => sum + feedRing.length, 0);
  if (feed > 0) throw new Violation(`${node.host} has ${feed} changes that it has not told its peers`);
  const dirty = dirtyCount(keyspace);
  if (dirty > 100_000) throw new Violation(`${node.host} has ${dirty} registers that its stores lack`);
}
