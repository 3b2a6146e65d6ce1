import { describe, expect, it } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StoreError } from '../../../storage/backends/backend.ts';
import { endOfLog } from '../../../storage/backends/level-logs.ts';
import type { TornTail } from '../../../storage/backends/torn-tail.ts';
import { LevelStore } from '../../../storage/backends/level.ts';
import { withSeed, type SeededRandom } from '../../support/seed.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait-for.ts';
import { fill, startNode, storedIn } from '../flushed-node.ts';
import { pack, RegisterModel } from '../registers.ts';

const testFile = 'test/storage/flush/bad-disk.test.ts';

interface Reading {
  /** What was given, as hex. */
  records: string[];
  /** How the store said that something is wrong; null when it did not. */
  said: string | null;
  /** What it left out at the ends of its logs. */
  tornTails: readonly TornTail[];
}

async function read(directory: string): Promise<Reading> {
  const store = new LevelStore({ directory });
  const model = new RegisterModel();
  try {
    await store.open();
    await store.load((records) => void model.merge(records, 'store'));
    const { tornTails } = store;
    const { count, samples } = store.quarantine;
    return { records: model.contents(), said: count > 0 ? `set aside: ${samples[0]?.reason}` : null, tornTails };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { records: model.contents(), said: error.message, tornTails: [] };
  } finally {
    await store.close();
  }
}

/** A store with some content in its tables and some in its log. */
async function makeStore(): Promise<{ directory: string; records: Set<string> }> {
  const directory = join(temporaryFolder('disk'), 'registers');
  const model = new RegisterModel();
  const store = new LevelStore({ directory });
  await store.open();
  for (const part of ['table', 'log']) {
    for (let index = 0; index < 40; index++) {
      const records = pack({ key: `${part}:${index}`, value: Buffer.alloc(100, index) });
      model.merge(records);
      await store.write(records);
    }
    if (part === 'table') await store.database.compactRange(Buffer.alloc(0), Buffer.alloc(1, 0xff));
  }
  await store.close();
  return { directory, records: new Set(model.contents()) };
}

/** Flips one bit of a file, if it has any. */
function flip(path: string, random: SeededRandom): void {
  const bytes = readFileSync(path);
  if (bytes.length === 0) return;
  bytes[random.below(bytes.length)] ^= 1 << random.below(8);
  writeFileSync(path, bytes);
}

const readerScript = (): string => `
  import { LevelStore } from ${JSON.stringify(join(process.cwd(), 'storage/backends/level.ts'))};
  import { RegisterModel } from ${JSON.stringify(join(process.cwd(), 'test/storage/registers.ts'))};
  for (const directory of process.argv.slice(1)) {
    const store = new LevelStore({ directory });
    const model = new RegisterModel();
    let said = '';
    try {
      await store.open();
      await store.load((records) => void model.merge(records, 'store'));
      if (store.quarantine.count > 0) said = store.quarantine.samples[0].reason;
    } catch (error) {
      if (error.name !== 'StoreError') throw error;
      said = error.message;
    }
    await store.close();
    console.log(JSON.stringify({ records: model.contents(), said }));
  }`;

/** Everything that damaged stores give. They are read by another process, which must not be ended by what it finds. */
function readElsewhere(directories: readonly string[], onSaid: (said: string) => void = () => undefined): Set<string> {
  const records = new Set<string>();
  const args = ['--input-type=module-typescript', '-e', readerScript(), ...directories];
  const reader = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect({ status: reader.status, signal: reader.signal, stderr: reader.stderr }).toMatchObject({
    status: 0,
    signal: null,
  });
  for (const line of reader.stdout.split('\n').filter((line) => line !== '')) {
    const reading = JSON.parse(line) as { records: string[]; said: string };
    for (const record of reading.records) records.add(record);
    onSaid(reading.said);
  }
  return records;
}

describe('the embedded store with', () => {
  it('a flipped bit anywhere never gives a wrong value', async () => {
    const { directory, records } = await makeStore();
    await withSeed(testFile, (random) => {
      const names = readdirSync(directory).filter((name) => /\.(ldb|log)$|^MANIFEST|^CURRENT/.test(name));
      expect(names.length).toBeGreaterThan(3);
      const copies: string[] = [];
      for (let round = 0; round < 40; round++) {
        const copy = `${directory}-${round}`;
        cpSync(directory, copy, { recursive: true });
        flip(join(copy, names[round % names.length]), random);
        copies.push(copy);
      }
      for (const record of readElsewhere(copies)) expect(records.has(record)).toBe(true);
      return Promise.resolve();
    });
  }, 60_000);

  it('a flipped bit anywhere in a table names the table and what to do', async () => {
    const { directory } = await makeStore();
    const tables = readdirSync(directory).filter((name) => name.endsWith('.ldb'));
    expect(tables.length).toBeGreaterThan(0);
    for (const name of tables) {
      const path = join(directory, name);
      const bytes = readFileSync(path);
      for (let at = 0; at < bytes.length; at += Math.max(1, Math.floor(bytes.length / 200))) {
        bytes[at] ^= 1;
        writeFileSync(path, bytes);
        const { said, records } = await read(directory);
        expect({ at, said }).toEqual({
          at,
          said: expect.stringMatching(`${path} is damaged .*restore a backup, or move`),
        });
        expect(records).toEqual([]);
        bytes[at] ^= 1;
      }
      writeFileSync(path, bytes);
    }
    expect((await read(directory)).said).toBeNull();
  }, 60_000);

  it('a flipped bit anywhere in the log names the log and what to do', async () => {
    const { directory, records } = await makeStore();
    const name = readdirSync(directory).find((one) => one.endsWith('.log') && statSync(join(directory, one)).size > 0)!;
    const path = join(directory, name);
    const bytes = readFileSync(path);
    const lastAt = bytes.lastIndexOf('log:39') - 100;
    expect(lastAt).toBeGreaterThan(1000);
    for (let at = 0; at < bytes.length; at += at < lastAt ? Math.floor(lastAt / 100) : 1) {
      bytes[at] ^= 1 << (at % 8);
      writeFileSync(path, bytes);
      const { said, records: given } = await read(directory);
      expect({ at, said }).toEqual({
        at,
        said: expect.stringMatching(`${path} is damaged .*restore a backup, or move`),
      });
      expect(given).toEqual([]);
      bytes[at] ^= 1 << (at % 8);
    }
    // What else is wrong at the end cannot be told from what was being written.
    const ends: [Buffer, Pick<TornTail, 'isDoubtful'>][] = [
      [Buffer.concat([bytes.subarray(0, -9), Buffer.alloc(9, 'x')]), { isDoubtful: true }],
      [Buffer.concat([bytes.subarray(0, -9), Buffer.alloc(9)]), { isDoubtful: bytes.length % 512 !== 9 }],
      [bytes.subarray(0, -9), { isDoubtful: false }],
    ];
    for (const [index, [end, told]] of ends.entries()) {
      const copy = `${directory}-last-${index}`;
      cpSync(directory, copy, { recursive: true });
      writeFileSync(join(copy, name), end);
      const { said, records: given, tornTails } = await read(copy);
      expect(said).toBeNull();
      expect(given).toHaveLength(records.size - 1);
      expect(tornTails).toEqual([{ path: join(copy, name), bytes: expect.any(Number), ...told }]);
      expect(tornTails[0].bytes).toBeGreaterThan(100);
      expect(tornTails[0].bytes).toBeLessThan(220);
    }
  }, 60_000);

  it('a log of long records is read up to where it is torn, and named where it is damaged', async () => {
    const directory = join(temporaryFolder('disk'), 'registers');
    const store = new LevelStore({ directory });
    await store.open();
    // Each goes over several blocks; what is left of a block has no room for another head now and then.
    for (let index = 0; index < 24; index++)
      await store.write(pack({ key: `long:${index}`, value: Buffer.alloc(32_700 + index * 3_000, index) }));
    await store.close();
    expect((await read(`${directory}`)).said).toBeNull();
    const again = new LevelStore({ directory });
    await again.open();
    for (let index = 0; index < 24; index++)
      await again.write(pack({ key: `long:${index}`, value: Buffer.alloc(32_700 + index * 3_001, index), step: 2 }));
    await again.close();
    const name = readdirSync(directory).find((one) => one.endsWith('.log') && statSync(join(directory, one)).size > 0)!;
    const path = join(directory, name);
    const whole = readFileSync(path);
    expect(endOfLog(whole)).toEqual({ damagedAt: null, tornBytes: 0, isDoubtful: false });
    for (const share of [0.1, 0.35, 0.6, 0.85]) {
      const at = Math.floor(whole.length * share);
      const cut = endOfLog(whole.subarray(0, at));
      expect(cut).toMatchObject({ damagedAt: null, isDoubtful: false });
      expect(cut.tornBytes).toBeGreaterThan(0);
      // A disk that lost its power may have none of some pages of what it was writing.
      const holed = Buffer.from(whole.subarray(0, at));
      holed.fill(0, at - 5000);
      expect(endOfLog(holed)).toMatchObject({ damagedAt: null, isDoubtful: false });
      const flipped = Buffer.from(whole);
      flipped[at] ^= 16;
      expect(endOfLog(flipped).damagedAt).not.toBeNull();
      // Or none of one page in the middle: what was not synced, and followed by more.
      const page = at - (at % 4096);
      const torn = Buffer.from(whole).fill(0, page, page + 4096);
      expect(endOfLog(torn).damagedAt).toBeNull();
    }
  }, 60_000);

  it('tables of many blocks, compressed and not, passes', async () => {
    await withSeed(testFile, async (random) => {
      const directory = join(temporaryFolder('disk'), 'registers');
      const store = new LevelStore({ directory });
      await store.open();
      const model = new RegisterModel();
      for (let round = 0; round < 4; round++) {
        const records = Buffer.concat(
          Array.from({ length: 2000 }, (_, index) =>
            pack({
              key: `key:${random.below(1 << 30)}:${index}`,
              value: round % 2 === 0 ? random.bytes(random.below(300)) : Buffer.alloc(random.below(300), 'v'),
            }),
          ),
        );
        model.merge(records);
        await store.write(records);
        await store.database.compactRange(Buffer.alloc(0), Buffer.alloc(1, 0xff));
      }
      await store.close();
      const { records, said } = await read(directory);
      expect(said).toBeNull();
      expect(records).toEqual(model.contents());
    });
  }, 60_000);

  it('a file that is missing says so, and touches nothing of the others', async () => {
    const { directory } = await makeStore();
    const log = readdirSync(directory).find((one) => one.endsWith('.log'))!;
    for (const [name, reason] of [
      ['CURRENT', /its file CURRENT is missing, and \d+\.ldb is there/],
      [log, new RegExp(`its log of number ${Number.parseInt(log, 10)} is missing`)],
    ] as const) {
      const copy = `${directory}-without-${name}`;
      cpSync(directory, copy, { recursive: true });
      rmSync(join(copy, name));
      const before = readdirSync(copy);
      expect((await read(copy)).said).toMatch(reason);
      expect(readdirSync(copy)).toEqual(before);
    }
    expect((await read(directory)).said).toBeNull();
  });

  it('a table that no manifest names is left alone', async () => {
    const { directory, records } = await makeStore();
    writeFileSync(join(directory, '999999.ldb'), 'cut short');
    const reading = await read(directory);
    expect(reading.said).toBeNull();
    expect(reading.records).toHaveLength(records.size);
  });

  it('a flipped bit in a value that was compacted says so', async () => {
    const { directory, records } = await makeStore();
    const table = readdirSync(directory)
      .filter((name) => name.endsWith('.ldb'))
      .sort((a, b) => statSync(join(directory, b)).size - statSync(join(directory, a)).size)[0];
    const bytes = readFileSync(join(directory, table));
    // The first entry's record: its head is not compressed, there is nothing yet that it repeats.
    bytes[bytes.indexOf('table:') + 8] ^= 4;
    writeFileSync(join(directory, table), bytes);
    const given = readElsewhere([directory], (said) => expect(said).not.toBe(''));
    expect(given.size).toBeLessThan(records.size);
    for (const record of given) expect(records.has(record)).toBe(true);
  }, 30_000);

  it('a torn tail keeps all that is whole, at whatever byte it was torn', async () => {
    const { directory, records } = await makeStore();
    const log = readdirSync(directory).find(
      (name) => name.endsWith('.log') && statSync(join(directory, name)).size > 0,
    )!;
    const { size } = statSync(join(directory, log));
    for (let cut = 1; cut < size; cut += Math.ceil(size / 12)) {
      const copy = `${directory}-torn`;
      cpSync(directory, copy, { recursive: true });
      truncateSync(join(copy, log), size - cut);
      const { records: given, said } = await read(copy);
      expect(said).toBeNull();
      expect(given.length).toBeGreaterThanOrEqual(40);
      for (const record of given) expect(records.has(record)).toBe(true);
      rmSync(copy, { recursive: true });
    }
  });

  it('a full disk waits with its writes, says so, and loses nothing', async () => {
    const directory = temporaryFolder('full');
    if (!mountSmall(directory)) {
      process.stderr.write(
        'no tmpfs can be mounted here: the full disk is tested with a stand-in in level-engine.test.ts\n',
      );
      return;
    }
    try {
      const node = await startNode({ dataDir: directory });
      fill(node.model, 2000);
      await node.flusher.flushNow();
      const filler = join(directory, 'filler');
      spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=64k'], { stdio: 'ignore' });
      fill(node.model, 2000, undefined, 400);
      const flushing = node.flusher.flushNow();
      await waitFor('the error', () => node.flusher.status().writeError);
      expect(node.flusher.status().writeError).toMatch(/no space left .* make room/);
      rmSync(filler);
      await flushing;
      await waitFor('the end of the error', () => node.flusher.status().writeError === null);
      expect(node.errors).toEqual([]);
      expect(await node.flusher.close(5000)).toBe(true);
      expect(await storedIn(directory)).toEqual(node.model.contents());
    } finally {
      execFileSync('umount', ['--lazy', directory]);
    }
  });
});

/** Mounts a disk of a few megabytes; false where that is not allowed. */
function mountSmall(directory: string): boolean {
  mkdirSync(directory, { recursive: true });
  return spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', directory], { stdio: 'ignore' }).status === 0;
}
