import { afterEach, describe, expect, it } from '@jest/globals';
import { freeBuffersAtOnce } from '../../../protocol/free-buffer.ts';
import { MemoryGuard } from '../../../server/memory/memory-guard.ts';
import type { Node } from '../../../server/node.ts';
import type { ProcessMemory } from '../../../server/memory/process-memory.ts';
import { Replica } from '../../storage/replica.ts';
import { withSeed } from '../../support/seed.ts';

const FILE = 'test/server/memory/memory-guard.test.ts';
const MEBIBYTE = 1 << 20;
const BYTES_MAX = 48 * MEBIBYTE;
/** What passes between two looks at the clock: a few evictions, or some tens of blocks that are moved. */
const LOOK_MS = 0.05;
const TURN_MS = 10;

/** A guard of a process that is nothing but its data, in time that passes only by its looks at the clock. */
class Guarded {
  readonly replica = new Replica({ storing: false, feeding: false, digesting: false });
  readonly guard: MemoryGuard;
  monotonicMs = 0;
  draws = 0;
  readonly #values = {
    maxmemory: BYTES_MAX,
    'maxmemory-policy': 'allkeys-lru',
    'maxmemory-samples': 5,
    'maxmemory-eviction-tenacity': 10,
  };
  #lower: () => void = () => {};
  #deferred: (() => void)[] = [];

  constructor(random: () => number) {
    let bytes = (): number => 0;
    const process: ProcessMemory = {
      growthBytes: () => bytes(),
      noteEmpty: () => {},
      collect: () => {},
      limitNewSpace: () => {},
    };
    const node = {
      keyspace: this.replica.keyspace,
      random: () => {
        this.draws++;
        return random();
      },
      monotonicMs: () => (this.monotonicMs += LOOK_MS),
      config: { values: this.#values, onChange: (_: string, changed: () => void) => (this.#lower = changed) },
      statistics: { evictedKeys: 0 },
      flusher: null,
    };
    this.guard = new MemoryGuard(node as unknown as Node, (work) => void this.#deferred.push(work), process);
    bytes = () => this.residentBytes;
  }

  get residentBytes(): number {
    return this.guard.bound.residentBytes;
  }

  /** What comes after the commands of a turn. */
  endTurn(): void {
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const work of deferred) work();
    this.monotonicMs += TURN_MS;
    this.replica.pass(TURN_MS);
  }

  lower(bytesMax: number): void {
    this.#values.maxmemory = bytesMax;
    this.#lower();
  }

  set(index: number, bytes: number): void {
    if (!this.guard.hasRoom()) throw new Error('there is no room');
    this.replica.set(`key:${index}`, 'x'.repeat(bytes));
  }

  fill(bytes: number): number {
    let index = 0;
    while (this.replica.keyspace.usedBytes < bytes) this.set(index++, 100);
    this.endTurn();
    return index;
  }
}

describe('the guard of memory', () => {
  afterEach(() => freeBuffersAtOnce(false));

  it('keeps the process within its bound while values grow, turn by turn', async () => {
    await withSeed(FILE, (random) => {
      const guarded = new Guarded(() => random.fraction());
      let most = 0;
      for (let index = 0; index < 80_000;) {
        for (let count = 0; count < 2000; count++, index++) {
          guarded.set(index, 100 + Math.min(1900, Math.floor(index / 33)));
        }
        guarded.endTurn();
        most = Math.max(most, guarded.residentBytes);
      }
      expect(most / BYTES_MAX).toBeLessThan(1.04);
      // Not by keeping next to nothing.
      expect(guarded.replica.keyspace.usedBytes / BYTES_MAX).toBeGreaterThan(0.75);
    });
  }, 120_000);

  it('evicts what a lowered bound has no room for before it moves blocks, and gives their memory back', async () => {
    await withSeed(FILE, (random) => {
      const guarded = new Guarded(() => random.fraction());
      guarded.fill(BYTES_MAX * 0.85);
      const { bound } = guarded.guard;
      const lowered = BYTES_MAX * 0.65;
      guarded.lower(lowered);
      const startMs = guarded.monotonicMs;
      while (guarded.replica.keyspace.usedBytes > bound.evictAtBytes + lowered * 0.21) {
        expect(bound.compaction.moved).toBe(0);
        guarded.endTurn();
      }
      while (guarded.residentBytes > lowered * 1.05) {
        guarded.guard.relieveSoon();
        guarded.endTurn();
        expect(guarded.monotonicMs - startMs).toBeLessThan(5000);
      }
      // What blocks are moved for costs no keys: 3 % of the bound stays for pages that are not full, 2 % for what comes and goes.
      expect(guarded.replica.keyspace.usedBytes / lowered).toBeGreaterThan(0.93);
    });
  }, 120_000);

  it('looks at as many keys for each that it evicts as there are for each that has to go', async () => {
    await withSeed(FILE, (random) => {
      const guarded = new Guarded(() => random.fraction());
      guarded.fill(BYTES_MAX * 0.85);
      const { keyspace } = guarded.replica;
      const drawsForOne = (share: number): number => {
        guarded.lower(Math.floor(keyspace.usedBytes * share));
        const [draws, evicted] = [guarded.draws, keyspace.evictedKeys];
        guarded.endTurn();
        return (guarded.draws - draws) / (keyspace.evictedKeys - evicted);
      };
      const mostGo = drawsForOne(0.4);
      const fewGo = drawsForOne(0.98);
      expect(fewGo).toBeGreaterThan(mostGo * 1.6);
    });
  }, 120_000);

  it('takes a few milliseconds of a turn for making room, however many commands the turn has', async () => {
    await withSeed(FILE, (random) => {
      const guarded = new Guarded(() => random.fraction());
      const count = guarded.fill(BYTES_MAX * 0.85);
      guarded.lower(BYTES_MAX * 0.65);
      guarded.endTurn();
      const { keyspace } = guarded.replica;
      const startMs = guarded.monotonicMs;
      const usedBytes = keyspace.usedBytes;
      const commands = 1000;
      for (let index = 0; index < commands; index++) guarded.set(count + index, 100);
      expect(guarded.monotonicMs - startMs).toBeGreaterThan(5);
      // Each still makes room for what the one before has written, which may take two looks at the clock.
      expect(guarded.monotonicMs - startMs).toBeLessThan(12 + commands * 2 * LOOK_MS);
      expect(keyspace.usedBytes).toBeLessThan(usedBytes);
      // The next turn has its own time.
      guarded.endTurn();
      const nextBytes = keyspace.usedBytes;
      for (let index = 0; index < commands; index++) guarded.set(count + commands + index, 100);
      expect(keyspace.usedBytes).toBeLessThan(nextBytes);
    });
  }, 120_000);
});
