/** Histories of three nodes that hear from each other only where a step says so. */
import { Replica } from './replicas.ts';

export const NODES = 3;

/** What a node does; `send` gives another node all that it has not heard yet. */
export interface NodeStep {
  readonly do: string;
  readonly node: number;
  readonly to?: number;
}

export interface History {
  readonly replicas: Replica[];
  /** What each node has sent, a part for each step. */
  readonly sent: Buffer[][];
  /** How many of the parts of another node each has heard. */
  readonly heard: number[][];
  /** A further replica, which is released with the others. */
  fresh(id: number): Replica;
  release(): void;
}

interface HistoryOptions {
  /** Packs the collections of all nodes before each step. */
  packs?: boolean;
  beforeStep?: (first: Replica, index: number) => void;
  afterStep?: (first: Replica) => void;
}

/** @param run does what a step says, other than `send` */
export function history<S extends NodeStep>(
  steps: readonly S[],
  run: (replica: Replica, step: S, world: { nowMs: number }) => void,
  { packs = false, beforeStep, afterStep }: HistoryOptions = {},
): History {
  const world = { nowMs: 1_700_000_000_000 };
  const now = (): number => world.nowMs;
  const replicas = Array.from({ length: NODES }, (_, index) => Replica.take(index + 1, now));
  // What has yet to be stored is not packed.
  for (const { keyspace } of replicas) keyspace.storing = !packs;
  const past = { replicas, sent: replicas.map((): Buffer[] => []), heard: replicas.map(() => replicas.map(() => 0)) };
  for (const [index, step] of steps.entries()) {
    beforeStep?.(replicas[0], index);
    const replica = replicas[step.node];
    if (packs) for (const each of replicas) each.pack();
    replica.keyspace.clock.refresh();
    if (step.do === 'send') {
      deliver(past, step.node, step.to!);
    } else {
      run(replica, step, world);
      past.sent[step.node].push(Buffer.from(replica.takeFeed()));
    }
    afterStep?.(replicas[0]);
  }
  const taken = [...replicas];
  const fresh = (id: number): Replica => {
    const replica = Replica.take(id, now);
    taken.push(replica);
    return replica;
  };
  return { ...past, fresh, release: () => taken.forEach((replica) => replica.release()) };
}

function deliver({ replicas, sent, heard }: Pick<History, 'replicas' | 'sent' | 'heard'>, from: number, to: number) {
  if (from === to) return;
  while (heard[to][from] < sent[from].length) replicas[to].apply(sent[from][heard[to][from]++]);
}

/** Every node hears all that the others have sent. */
export function deliverAll(past: History): void {
  for (let to = 0; to < NODES; to++) for (let from = 0; from < NODES; from++) deliver(past, from, to);
}
