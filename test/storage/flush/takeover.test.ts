import { afterEach, describe, expect, it } from '@jest/globals';
import { LevelHeld } from '../../../storage/backends/level-held.ts';
import type { HeldQueue } from '../../../storage/backends/held-queue.ts';
import { LevelStore } from '../../../storage/backends/level.ts';
import type { NodeProgress, PeerProgress } from '../../../storage/backends/mysql-progress.ts';
import { HeldSlices } from '../../../storage/flush/held-slices.ts';
import { RelayedTurns, type RelayedTurn } from '../../../storage/flush/relayed-turns.ts';
import { Takeover } from '../../../storage/flush/takeover.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait-for.ts';
import { pack, split } from '../registers.ts';
import { storeEnvironment } from '../../support/store-environment.ts';

const hex = (value: number): string => value.toString(16).padStart(16, '0');
const turn = (incarnation: number, stamp: number): RelayedTurn => ({
  incarnation: hex(incarnation),
  stamp: hex(stamp),
});
const record = (key: string, step = 1): Buffer => pack({ key, value: key, step });

interface Holder {
  queue: HeldQueue;
  hold(records: Buffer, seen: RelayedTurn[]): Promise<void>;
}

async function levelHolder(directory = temporaryFolder('held')): Promise<Holder & { store: LevelStore }> {
  const store = new LevelStore({ directory });
  await store.open();
  const held = new LevelHeld(store, storeEnvironment.monotonicMs);
  await held.open();
  const hold = async (records: Buffer, seen: RelayedTurn[]): Promise<void> => {
    await store.putNewest([records], null, { slices: new Set([records]), begin: () => held.beginBatch(seen) });
  };
  return { queue: held, hold, store };
}

function memoryHolder(): Promise<Holder & { slices: HeldSlices }> {
  const slices = new HeldSlices(storeEnvironment.monotonicMs, 1000);
  return Promise.resolve({ queue: slices, hold: (records, seen) => slices.hold(records, seen), slices });
}

async function keysOf(queue: HeldQueue, generation: number): Promise<string[]> {
  const keys: string[] = [];
  let from: Buffer | null = null;
  do {
    const { records, next } = await queue.readHeld(generation, from);
    for (const part of split(records)) keys.push(part.toString('latin1').slice(-1));
    from = next;
  } while (from !== null);
  return keys.sort();
}

/** A database that remembers only what it was told to write, and what nodes have noted. */
class FakeTarget {
  readonly written: string[] = [];
  readonly noted: NodeProgress[] = [];
  readonly progress = new Map<string, PeerProgress>();

  writeMissing(records: Buffer): Promise<{ refused: []; missingCount: number }> {
    const parts = split(records);
    for (const part of parts) this.written.push(part.toString('latin1').slice(-1));
    return Promise.resolve({ refused: [], missingCount: parts.length });
  }

  noteProgress(progress: NodeProgress): Promise<void> {
    this.noted.push(progress);
    return Promise.resolve();
  }

  progressOf(): Promise<Map<string, PeerProgress>> {
    return Promise.resolve(this.progress);
  }

  forgetOldProgress(): Promise<void> {
    return Promise.resolve();
  }
}

const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

function lookAfter(queue: HeldQueue, target: FakeTarget, afterMs: number, isFull = () => false): Takeover {
  const takeover = new Takeover(target, queue, {
    environment: { ...storeEnvironment, random: () => 0 },
    afterMs,
    isUp: () => true,
    isFull,
    onChange: () => undefined,
    onFatal: (error) => {
      throw error;
    },
  });
  takeover.start();
  closing.push(() => takeover.close());
  return takeover;
}

describe.each([
  ['the embedded store', levelHolder],
  ['memory', memoryHolder],
])('what is held in %s', (_where, makeHolder: () => Promise<Holder>) => {
  it('is in few generations, each with what it may have of whom', async () => {
    const { queue, hold } = await makeHolder();
    expect(await queue.heldGenerations()).toEqual([]);
    await hold(record('a'), [turn(1, 5)]);
    expect(await queue.heldGenerations()).toMatchObject([{ generation: 1, seen: [turn(1, 5)] }]);
    await hold(record('b'), [turn(1, 7), turn(2, 1)]);
    await queue.heldGenerations();
    await hold(record('c'), []);
    await queue.heldGenerations();
    await hold(record('d'), [turn(3, 1)]);
    await hold(record('e'), [turn(3, 2)]);
    const all = await queue.heldGenerations();
    expect(all.map(({ seen }) => seen)).toEqual([[turn(1, 5)], [turn(1, 7), turn(2, 1)], []]);
    expect(await keysOf(queue, 2)).toEqual(['b']);
    await queue.releaseHeld(2, []);
    expect((await queue.heldGenerations()).map(({ seen }) => seen)).toEqual([[turn(1, 5)], [], [turn(3, 2)]]);
    expect(await keysOf(queue, 4)).toEqual(['d', 'e']);
  });

  it('is written when its origin is silent, and not when the origin has noted it', async () => {
    const { queue, hold } = await makeHolder();
    const target = new FakeTarget();
    target.progress.set(hex(1), { stamp: hex(9), silentMs: 0 });
    target.progress.set(hex(2), { stamp: hex(3), silentMs: 60_000 });
    await hold(record('a'), [turn(1, 9)]);
    await queue.heldGenerations();
    await hold(record('b'), [turn(2, 4)]);
    await queue.heldGenerations();
    await hold(record('c'), [turn(3, 1)]);
    const takeover = lookAfter(queue, target, 10);
    await waitFor('the end of it', async () => (await queue.heldGenerations()).length === 0);
    expect(target.written).toEqual(['b', 'c']);
    expect(takeover.rowsTakenOver).toBe(2);
  });

  it('waits for an origin that is alive and behind', async () => {
    const { queue, hold } = await makeHolder();
    const target = new FakeTarget();
    target.progress.set(hex(1), { stamp: hex(1), silentMs: 0 });
    await hold(record('a'), [turn(1, 2)]);
    const takeover = lookAfter(queue, target, 10);
    takeover.report({ incarnation: hex(7), node: hex(8), stamp: hex(9) });
    await waitFor('a round', () => target.noted.length > 0 && takeover.heldGenerations === 1);
    expect(target.noted[0]).toEqual({ incarnation: hex(7), node: hex(8), stamp: hex(9) });
    expect(target.written).toEqual([]);
    target.progress.set(hex(1), { stamp: hex(2), silentMs: 0 });
    await waitFor('the end of it', () => takeover.heldGenerations === 0);
    expect(target.written).toEqual([]);
  });
});

describe('what is held in the embedded store', () => {
  it('is there after a restart, of nobody in particular, and gives the newest version', async () => {
    const directory = temporaryFolder('held');
    const first = await levelHolder(directory);
    await first.hold(record('a'), [turn(1, 5)]);
    await first.store.putNewest([record('a', 3)], null);
    await first.store.close();
    const again = await levelHolder(directory);
    expect(await again.queue.heldGenerations()).toMatchObject([{ generation: 1, seen: null }]);
    expect((await again.queue.readHeld(1, null)).records).toEqual(record('a', 3));
    await again.hold(record('b'), [turn(1, 6)]);
    expect((await again.queue.heldGenerations()).map(({ seen }) => seen)).toEqual([null, [turn(1, 6)]]);
    await again.store.close();
  });
});

describe('what is held in memory', () => {
  it('is bounded: what has no room waits, and is no longer waited for by whom it is full of', async () => {
    const { slices, hold, queue } = await memoryHolder();
    const target = new FakeTarget();
    target.progress.set(hex(1), { stamp: hex(0), silentMs: 0 });
    await hold(pack({ key: 'k', value: Buffer.alloc(900) }), [turn(1, 1)]);
    const second = hold(record('b'), [turn(1, 2)]);
    const third = hold(pack({ key: 'k', value: Buffer.alloc(950) }), [turn(1, 2)]);
    expect(slices.isFull).toBe(true);
    lookAfter(queue, target, 3_600_000, () => slices.isFull);
    await Promise.all([second, third]);
    expect(target.written).toHaveLength(2);
  });

  it('can be waited for, and is written at once by a node that stops', async () => {
    const { slices, hold, queue } = await memoryHolder();
    const target = new FakeTarget();
    await hold(record('a'), [turn(1, 1)]);
    let isSettled = false;
    const settled = slices.settled().then(() => (isSettled = true));
    const takeover = lookAfter(queue, target, 3_600_000);
    await new Promise(setImmediate);
    expect(isSettled).toBe(false);
    await takeover.takeAll();
    await settled;
    expect(target.written).toEqual(['a']);
  });
});

describe('the turns of peers', () => {
  it('are seen until what came before a round has left memory', () => {
    const turns = new RelayedTurns();
    const note = (incarnation: number, stamp: number): void =>
      turns.note({ hi: 0, lo: incarnation }, { hi: 0, lo: stamp });
    note(1, 1);
    turns.beginRound();
    note(1, 2);
    note(2, 3);
    expect(turns.seen()).toEqual([turn(1, 2), turn(2, 3)]);
    turns.beginRound();
    expect(turns.seen()).toEqual([turn(1, 2), turn(2, 3)]);
    turns.beginRound();
    expect(turns.seen()).toEqual([]);
  });
});
