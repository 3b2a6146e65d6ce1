import { describe, expect, it } from '@jest/globals';
import { ClassicLevel } from 'classic-level';
import { StoreError } from '../../../storage/backends/backend.ts';
import type { LevelDatabase } from '../../../storage/backends/level-database.ts';
import { LevelStore } from '../../../storage/backends/level.ts';
import { LevelEngine } from '../../../storage/flush/level-engine.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait-for.ts';
import { contentsOf } from '../backend-contract.ts';
import { pack, split } from '../registers.ts';
import { storeEnvironment } from '../../support/store-environment.ts';

/** A disk whose writes can be made to fail, as LevelDB says it. */
class FailingDisk {
  message: string | null = null;
  opens = 0;
  readonly directory = temporaryFolder('disk');

  readonly openDatabase = async (directory: string): Promise<LevelDatabase> => {
    this.opens++;
    const database: LevelDatabase = new ClassicLevel(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer' });
    await database.open();
    const batchOf = database.batch.bind(database) as () => ReturnType<LevelDatabase['batch']>;
    Object.defineProperty(database, 'batch', {
      value: () => {
        // By what every batch is written with, also one that is used again.
        const batch = batchOf() as ReturnType<LevelDatabase['batch']> & { _write(options: object): Promise<void> };
        const write = batch._write.bind(batch);
        batch._write = async (options) => {
          if (this.message !== null) throw Object.assign(new Error(this.message), { code: 'LEVEL_IO_ERROR' });
          return write(options);
        };
        return batch;
      },
    });
    return database;
  };
}

async function openEngine(disk: FailingDisk, isQueueing = false) {
  const store = new LevelStore({ directory: disk.directory, openDatabase: disk.openDatabase });
  const fatal: Error[] = [];
  let queued = 0;
  const engine = new LevelEngine(
    store,
    isQueueing,
    { ...storeEnvironment, random: () => 0.5 },
    {
      onChange: () => undefined,
      onQueued: () => queued++,
      onFatal: (error) => fatal.push(error),
    },
  );
  await engine.open();
  return { engine, store, fatal, queued: () => queued };
}

describe('level engine', () => {
  it('waits while the disk is full, says so, and writes everything when there is room', async () => {
    const disk = new FailingDisk();
    const { engine, store, fatal, queued } = await openEngine(disk, true);
    await engine.write(pack({ key: 'before' }));
    disk.message = 'IO error: 000003.log: No space left on device';
    const states: string[] = [];
    const writes = ['a', 'b', 'c'].map((key) => engine.write(pack({ key })).then(() => states.push(key)));
    await waitFor('the error', () => engine.status.writeError !== null && disk.opens > 2);
    expect(engine.status.writeError).toMatch(/no space left/);
    expect(states).toEqual([]);
    disk.message = null;
    await Promise.all(writes);
    expect(states).toEqual(['a', 'b', 'c']);
    expect(engine.status.writeError).toBeNull();
    expect(fatal).toEqual([]);
    expect(queued()).toBeGreaterThan(1);
    expect(await contentsOf(store)).toHaveLength(4);
    // Every one of them is still marked for MySQL.
    const keys = new Set<string>();
    for (let batch = await engine.take(100, 1 << 20); batch !== null; batch = await engine.take(100, 1 << 20)) {
      for (const record of split(batch.records)) keys.add(record.subarray(32, 33).toString());
    }
    expect([...keys].sort()).toEqual(['a', 'b', 'c']);
    await engine.close();
  });

  it('never tries again after the disk has failed', async () => {
    const disk = new FailingDisk();
    const { engine, fatal } = await openEngine(disk);
    disk.message = 'IO error: 000003.log: Input/output error';
    const failures = await Promise.allSettled([engine.write(pack({ key: 'a' })), engine.write(pack({ key: 'b' }))]);
    expect(failures.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(fatal).toHaveLength(1);
    expect((fatal[0] as StoreError).kind).toBe('damaged');
    expect(disk.opens).toBe(1);
    await engine.close();
  });

  it('closes while the disk is full, and says that the rest was not written', async () => {
    const disk = new FailingDisk();
    const { engine, fatal } = await openEngine(disk);
    disk.message = 'IO error: 000003.log: No space left on device';
    const failure = engine.write(pack({ key: 'a' })).catch((error: unknown) => error);
    await waitFor('the error', () => engine.status.writeError !== null);
    await engine.close();
    expect(await failure).toBeInstanceOf(StoreError);
    await expect(engine.write(pack({ key: 'b' }))).rejects.toThrow(/closed/);
    expect(fatal).toEqual([]);
  });

  it('merges what MySQL gave without putting back what is newer', async () => {
    const { engine, store } = await openEngine(new FailingDisk());
    expect(await engine.merge(pack({ key: 'from mysql', step: 1 }, { key: 'both', step: 1 }))).toBeNull();
    expect(await engine.merge(pack({ key: 'another', step: 1 }))).toBeNull();
    await engine.write(pack({ key: 'both', step: 3, value: 'newest' }));
    const newer = await engine.merge(pack({ key: 'both', step: 2, value: 'stale' }, { key: 'later', step: 1 }));
    expect(newer).toEqual(pack({ key: 'later', step: 1 }));
    const contents = await contentsOf(store);
    expect(contents).toHaveLength(4);
    expect(contents).toContain(pack({ key: 'both', step: 3, value: 'newest' }).toString('hex'));
    await engine.close();
  });
});
