import { describe, expect, it } from '@jest/globals';
import { ClassicLevel } from 'classic-level';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StoreError } from '../../../storage/backends/backend.ts';
import { LevelQueue } from '../../../storage/backends/level-queue.ts';
import { LevelStore } from '../../../storage/backends/level.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { contentsOf, describeBackend } from '../backend-contract.ts';
import { pack, split } from '../registers.ts';

async function openStore(directory: string): Promise<LevelStore> {
  const store = new LevelStore({ directory });
  await store.open();
  return store;
}

describeBackend(
  'level',
  async () => {
    const directory = temporaryFolder('level');
    return { store: await openStore(directory), reopen: () => openStore(directory) };
  },
  'test/storage/backends/level.test.ts',
);

async function failureOf(work: Promise<unknown>): Promise<StoreError> {
  return work.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: StoreError) => error,
  );
}

describe('the queue for MySQL', () => {
  it('counts what is queued while it is looked through for something older', async () => {
    const store = await openStore(temporaryFolder('level'));
    const queue = new LevelQueue(store);
    await queue.open();
    // The look comes to its turn behind the write, which it did not know of when it was begun.
    const [count, taken] = await Promise.all([store.putNewest([pack({ key: 'a' })], queue), queue.take(1000, 1 << 20)]);
    expect([count, taken]).toEqual([1, null]);
    expect(queue.queuedCount).toBe(1);
    await store.close();
  });
});

describe('level store on its disk', () => {
  it('makes its directory, and keeps small facts', async () => {
    const directory = join(temporaryFolder('level'), 'a', 'b');
    const store = await openStore(directory);
    expect(await store.readMeta('node-id')).toBeNull();
    await store.writeMeta('node-id', Buffer.from('12'));
    await store.close();
    const again = await openStore(directory);
    expect(await again.readMeta('node-id')).toEqual(Buffer.from('12'));
    expect(await contentsOf(again)).toEqual([]);
    await again.close();
  });

  it('is for one process at a time', async () => {
    const directory = temporaryFolder('level');
    const store = await openStore(directory);
    const script =
      `import { LevelStore } from ${JSON.stringify(join(process.cwd(), 'storage/backends/level.ts'))};` +
      `new LevelStore({ directory: ${JSON.stringify(directory)} }).open().then(() => console.log('opened'), (e) => console.log(e.kind, e.message));`;
    const second = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', script], { encoding: 'utf8' });
    expect(second.stdout).toContain(`refused ${directory} is in use by another process`);
    const here = await failureOf(new LevelStore({ directory }).open());
    expect(here.kind).toBe('refused');
    expect(here.message).toContain('in use by another process');
    await store.write(pack({ key: 'still works' }));
    await store.close();
  });

  // A folder of /proc cannot be made, and making it with Node.js's `recursive` never ended.
  it('says where no folder can be made', async () => {
    const file = join(temporaryFolder('level'), 'file');
    writeFileSync(file, '');
    for (const directory of ['/proc/none/registers', join(file, 'registers')]) {
      const failure = await failureOf(new LevelStore({ directory }).open());
      expect(failure.kind).toBe('refused');
      expect(failure.message).toContain(`${directory} cannot be made: name another --data-dir`);
    }
  });

  it.each([
    ['f', 'mantis-level 2', 'newer release'],
    ['f', 'something', 'unreadable format marker'],
    ['other', 'value', 'did not write'],
  ])('refuses a directory with entry %s = %s', async (key, value, message) => {
    const directory = temporaryFolder('level');
    const database = new ClassicLevel(directory);
    await database.put(key, value);
    await database.close();
    const failure = await failureOf(new LevelStore({ directory }).open());
    expect(failure.kind).toBe('refused');
    expect(failure.message).toContain(message);
  });

  it('refuses a file in the place of its directory', async () => {
    const directory = join(temporaryFolder('level'), 'file');
    writeFileSync(directory, '');
    await expect(new LevelStore({ directory }).open()).rejects.toThrow(directory);
  });

  it('quarantines damaged entries and loads the rest', async () => {
    const directory = temporaryFolder('level');
    const store = await openStore(directory);
    const records = pack(
      { key: 'fine' },
      { key: 'flipped', value: 'value' },
      { key: 'short' },
      { key: 'swapped', value: '1' },
    );
    await store.write(records);
    const database = store.database;
    const entries = await database.iterator({ gte: Buffer.from('r'), lt: Buffer.from('s') }).all();
    const entryOf = (name: string) => entries.find(([key]) => key.includes(name))!;
    const [flippedKey, flipped] = entryOf('flipped');
    flipped[flipped.length - 1] ^= 1;
    await database.put(flippedKey, flipped);
    await database.put(entryOf('short')[0], Buffer.from('x'));
    await database.put(entryOf('swapped')[0], entryOf('fine')[1]);
    expect(await contentsOf(store)).toEqual([split(records)[0].toString('hex')]);
    expect(store.quarantine.count).toBe(3);
    expect(store.quarantine.samples.map(({ key }) => key).join()).toBe('short,flipped,swapped');
    // Any version repairs a damaged entry.
    await store.write(records);
    expect(await contentsOf(store)).toHaveLength(4);
    expect(store.quarantine.count).toBe(0);
    await store.close();
  });

  it('recovers from a torn tail of its log', async () => {
    const directory = temporaryFolder('level');
    const store = await openStore(directory);
    await store.write(pack({ key: 'first', value: 'kept' }));
    await store.write(pack({ key: 'second', value: Buffer.alloc(5000) }));
    await store.close();
    const log = readdirSync(directory).find((name) => name.endsWith('.log'))!;
    truncateSync(join(directory, log), readFileSync(join(directory, log)).length - 1000);
    const again = await openStore(directory);
    expect(await contentsOf(again)).toEqual([pack({ key: 'first', value: 'kept' }).toString('hex')]);
    await again.close();
  });

  it('says that its files are damaged', async () => {
    const directory = temporaryFolder('level');
    await (await openStore(directory)).close();
    for (const name of readdirSync(directory)) if (name.startsWith('MANIFEST')) truncateSync(join(directory, name), 3);
    const failure = await failureOf(new LevelStore({ directory }).open());
    expect(failure.kind).toBe('damaged');
    expect(failure.message).toContain('restore a backup');
  });

  it('is closed, and not damaged, for who reads on when it is closed meanwhile', async () => {
    const store = await openStore(temporaryFolder('level'));
    for (let index = 0; index < 4; index++) await store.write(pack({ key: `k${index}`, value: Buffer.alloc(900_000) }));
    let closing = Promise.resolve();
    const reading = store.load(() => {
      closing = store.close();
      return closing;
    });
    expect((await failureOf(reading)).kind).toBe('unavailable');
    await closing;
  });

  it('names a full disk', async () => {
    const directory = temporaryFolder('level');
    mkdirSync(directory, { recursive: true });
    const full = Object.assign(new Error(`IO error: ${directory}/000003.log: No space left on device`), {
      code: 'LEVEL_IO_ERROR',
    });
    const store = new LevelStore({ directory, openDatabase: () => Promise.reject(full) });
    expect((await failureOf(store.open())).kind).toBe('full');
  });
});

interface OpenQueue {
  store: LevelStore;
  queue: LevelQueue;
  write(...keys: string[]): Promise<void>;
}

async function openQueue(directory: string, laneBytesMax?: number): Promise<OpenQueue> {
  const store = await openStore(directory);
  const queue = new LevelQueue(store, laneBytesMax);
  await queue.open();
  const write = async (...keys: string[]): Promise<void> => {
    await store.putNewest([pack(...keys.map((key) => ({ key, value: key })))], queue);
  };
  return { store, queue, write };
}

async function takeKeys(queue: LevelQueue, rowsMax = 100): Promise<{ keys: string[]; ticket: number } | null> {
  const batch = await queue.take(rowsMax, 1 << 20);
  if (batch === null) return null;
  const keys = split(batch.records).map((record) => record.subarray(32, 32 + record.readUInt32LE(28)).toString());
  return { keys, ticket: batch.ticket };
}

describe('level queue of a MySQL that is behind', () => {
  it('gives the oldest first, each once, and nothing when all is done', async () => {
    const { store, queue, write } = await openQueue(temporaryFolder('queue'), 0);
    expect(await takeKeys(queue)).toBeNull();
    await write('b', 'd');
    const first = await takeKeys(queue);
    expect(first?.keys).toEqual(['b', 'd']);
    await write('a', 'b', 'c');
    expect(queue.queuedCount).toBe(5);
    const second = await takeKeys(queue, 2);
    expect(second?.keys).toEqual(['a', 'b']);
    await queue.done(first!.ticket, []);
    await write('a');
    expect((await takeKeys(queue, 2))?.keys).toEqual(['c']);
    expect((await takeKeys(queue, 2))?.keys).toEqual(['a']);
    expect(await takeKeys(queue)).toBeNull();
    await store.close();
  });

  it('keeps one waiting marker however often a register changes', async () => {
    const { store, queue, write } = await openQueue(temporaryFolder('queue'), 0);
    for (let round = 0; round < 50; round++) await write('hot', 'warm');
    expect((await takeKeys(queue))?.keys).toEqual(['hot', 'warm']);
    await store.close();
  });

  it('survives a restart with what was taken and not done', async () => {
    const directory = temporaryFolder('queue');
    const before = await openQueue(directory, 0);
    await before.write('a', 'b', 'c');
    const taken = await takeKeys(before.queue, 1);
    await before.queue.done(taken!.ticket, []);
    await takeKeys(before.queue, 1);
    await before.write('d');
    await before.store.close();
    const after = await openQueue(directory, 0);
    expect(after.queue.queuedCount).toBe(3);
    expect((await takeKeys(after.queue))?.keys).toEqual(['b', 'c']);
    expect((await takeKeys(after.queue))?.keys).toEqual(['d']);
    await after.store.close();
  });

  it('puts refused registers aside until the next open', async () => {
    const directory = temporaryFolder('queue');
    const before = await openQueue(directory, 0);
    await before.write('a', 'b');
    const taken = await takeKeys(before.queue);
    await before.queue.done(taken!.ticket, [{ records: pack({ key: 'b' }), reason: 'too large' }]);
    expect(await takeKeys(before.queue)).toBeNull();
    expect(before.queue.queuedCount).toBe(0);
    await before.store.close();
    const after = await openQueue(directory);
    expect((await takeKeys(after.queue))?.keys).toEqual(['b']);
    await after.store.close();
  });

  it('cuts batches by bytes', async () => {
    const { store, queue } = await openQueue(temporaryFolder('queue'), 0);
    const big = pack(
      ...Array.from({ length: 20 }, (_, index) => ({ key: `big:${index}`, value: Buffer.alloc(300_000) })),
    );
    await store.putNewest([big], queue);
    let rows = 0;
    for (let batch = await queue.take(1000, 1 << 20); batch !== null; batch = await queue.take(1000, 1 << 20)) {
      expect(batch.records.length).toBeLessThan(10 << 20);
      rows += split(batch.records).length;
    }
    expect(rows).toBe(20);
    await store.close();
  });
});

describe('level queue of a MySQL that keeps up', () => {
  it('hands slices over as they were written, and forgets a batch when all its slices are done', async () => {
    const directory = temporaryFolder('queue');
    const { store, queue, write } = await openQueue(directory);
    await store.putNewest(
      [pack({ key: 'a' }, { key: 'b' }), pack({ key: 'b', step: 2 }, { key: 'k'.repeat(9000) })],
      queue,
    );
    await write('c');
    const first = await takeKeys(queue);
    expect(first?.keys).toEqual(['a', 'b']);
    await queue.done(first!.ticket, []);
    // The second slice has a newer version of b: until it is done, b must be found after a crash.
    expect(queue.queuedCount).toBe(5);
    const second = await takeKeys(queue);
    await queue.done(second!.ticket, []);
    expect(queue.queuedCount).toBe(1);
    expect((await takeKeys(queue))?.keys).toEqual(['c']);
    expect(await takeKeys(queue)).toBeNull();
    await store.close();
    const after = await openQueue(directory);
    expect((await takeKeys(after.queue))?.keys).toEqual(['c']);
    await after.store.close();
  });

  it('falls back to the markers when MySQL does not keep up, and returns to slices', async () => {
    const { store, queue, write } = await openQueue(temporaryFolder('queue'), 150);
    const tickets: number[] = [];
    const take = async (): Promise<string[] | undefined> => {
      const taken = await takeKeys(queue);
      if (taken !== null) tickets.push(taken.ticket);
      return taken?.keys;
    };
    await write('b', 'a');
    await write('c', 'b', 'a');
    await write('d');
    await write('c');
    expect(await take()).toEqual(['b', 'a']);
    expect(await take()).toEqual(['a', 'b', 'c', 'd']);
    await write('e');
    expect(await take()).toEqual(['e']);
    expect(await take()).toBeUndefined();
    await write('z', 'y');
    expect(await take()).toEqual(['z', 'y']);
    for (const ticket of tickets) await queue.done(ticket, []);
    expect(await take()).toBeUndefined();
    expect(queue.queuedCount).toBe(0);
    await store.close();
  });
});
