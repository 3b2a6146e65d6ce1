import { afterEach, describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StoreError } from '../../../storage/backends/backend.ts';
import type { TornTail } from '../../../storage/backends/torn-tail.ts';
import { Journal, type JournalFile, type JournalFolder } from '../../../storage/journal/journal.ts';
import { journalFolder } from '../../../storage/journal/journal-folder.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

/** A folder whose writes the test ends. */
class HeldFolder implements JournalFolder {
  readonly path = '/held';
  readonly files = new Map<string, Buffer[]>();
  waiting: { bytes: Buffer; done: (error?: Error) => void }[] = [];
  isHolding = false;

  list = (): Promise<string[]> => Promise.resolve([...this.files.keys()]);
  read = (name: string): Promise<Buffer> => Promise.resolve(Buffer.concat(this.files.get(name)!));
  remove = (name: string): Promise<void> => Promise.resolve(void this.files.delete(name));

  create = (name: string): Promise<JournalFile> => {
    const parts: Buffer[] = [];
    this.files.set(name, parts);
    const append = (pieces: readonly Buffer[]): Promise<void> =>
      new Promise((resolve, reject) => {
        const bytes = Buffer.concat(pieces);
        const done = (error?: Error): void => {
          if (error !== undefined) return reject(error);
          parts.push(bytes);
          resolve();
        };
        if (this.isHolding) this.waiting.push({ bytes, done });
        else done();
      });
    return Promise.resolve({ append, close: () => Promise.resolve() });
  };
}

async function turns(): Promise<void> {
  for (let left = 5; left > 0; left--) await new Promise((resolve) => setImmediate(resolve));
}

async function read(folder: JournalFolder): Promise<{ frames: string[]; tornTails: TornTail[] }> {
  const frames: string[] = [];
  const journal = new Journal(folder);
  await journal.replay((records) => frames.push(records.toString('latin1')));
  return { frames, tornTails: journal.tornTails };
}

async function replayed(folder: JournalFolder): Promise<string[]> {
  return (await read(folder)).frames;
}

const opened: Journal[] = [];

afterEach(async () => {
  for (const journal of opened.splice(0)) await journal.close();
});

/** A journal of frames in a folder of its own. */
async function write(...frames: string[]): Promise<{ path: string; file: string; journal: Journal }> {
  const path = join(temporaryFolder('journal'), 'journal');
  const journal = new Journal(journalFolder(path));
  opened.push(journal);
  for (const frame of frames) {
    journal.append(Buffer.from(frame, 'latin1'));
    await journal.sync();
  }
  return { path, file: frames.length === 0 ? '' : join(path, readdirSync(path)[0]), journal };
}

describe('the journal', () => {
  it('gives back what was synced, in order, a sync a frame', async () => {
    const { path, journal } = await write('one', 'two');
    journal.append(Buffer.from('thr'));
    journal.append(Buffer.from('ee'));
    journal.append(Buffer.alloc(700_000, 'x'));
    await journal.sync();
    expect(await replayed(journalFolder(path))).toEqual(['one', 'two', `three${'x'.repeat(700_000)}`]);
  });

  it('takes buffers that it is given as they are, between others, in one frame', async () => {
    const { path, journal } = await write();
    const given = ['given', 'y'.repeat(300_000)].map((text) => Buffer.from(text));
    journal.append(Buffer.from('one,'));
    for (const buffer of given) journal.append(buffer, true);
    journal.append(Buffer.from(',two'));
    await journal.sync();
    journal.append(Buffer.from('alone'), true);
    await journal.sync();
    journal.append(Buffer.from('after'));
    await journal.sync();
    expect(await replayed(journalFolder(path))).toEqual([`one,given${'y'.repeat(300_000)},two`, 'alone', 'after']);
  });

  it('writes the bytes of its format', async () => {
    const { file } = await write('\x01\x02\x03\x04');
    expect(readFileSync(file).toString('hex')).toBe(
      `${Buffer.from('mantis-journal 1\n').toString('hex')}014d4a4604000000f48c3029f59a2f8e01020304`,
    );
  });

  it('gathers what comes during a write into the next one, and resolves each when it is there', async () => {
    const folder = new HeldFolder();
    const journal = new Journal(folder);
    folder.isHolding = true;
    const ends: string[] = [];
    const sync = (name: string): void => void journal.sync().then(() => ends.push(name));
    journal.append(Buffer.from('a'));
    sync('a');
    await turns();
    folder.waiting.shift()!.done();
    await turns();
    journal.append(Buffer.from('b'));
    sync('b');
    journal.append(Buffer.from('c'));
    sync('c');
    await turns();
    expect(folder.waiting.map(({ bytes }) => bytes.toString('latin1').slice(16))).toEqual(['a']);
    expect(ends).toEqual([]);
    folder.waiting.shift()!.done();
    await turns();
    expect(ends).toEqual(['a']);
    expect(folder.waiting.map(({ bytes }) => bytes.toString('latin1').slice(16))).toEqual(['bc']);
    folder.waiting.shift()!.done();
    await turns();
    expect(ends).toEqual(['a', 'b', 'c']);
  });

  it('removes at the end of a flush what was there at its begin, and nothing else', async () => {
    const { path, journal } = await write('before');
    const first = journal.beginFlush();
    journal.append(Buffer.from('after'));
    await journal.sync();
    const second = journal.beginFlush();
    expect(await replayed(journalFolder(path))).toEqual(['before', 'after']);
    first();
    await journal.close();
    expect(await replayed(journalFolder(path))).toEqual(['after']);
    second();
    await journal.close();
    expect(readdirSync(path)).toEqual([]);
    expect(journal.bytes).toBe(0);
  });

  it('goes on after the files of an earlier run, which a flush removes', async () => {
    const { path } = await write('of the first run');
    const again = new Journal(journalFolder(path));
    opened.push(again);
    expect(await again.replay(() => undefined)).toBe(1);
    again.append(Buffer.from('of the second'));
    await again.sync();
    expect(await replayed(journalFolder(path))).toEqual(['of the first run', 'of the second']);
    again.beginFlush()();
    await again.close();
    expect(readdirSync(path)).toEqual([]);
  });

  it('keeps all that is whole of a torn tail, at whatever byte it was torn', async () => {
    const { path, file } = await write('first', 'second', 'third');
    const whole = readFileSync(file);
    const frameBytes = ['third', 'second', 'first'].map((text) => 16 + text.length);
    for (let cut = 1; cut < whole.length; cut++) {
      truncateSync(file, whole.length - cut);
      let left = 3;
      for (let bytes = 0, at = 0; at < 3 && bytes < cut; at++, left--) bytes += frameBytes[at];
      const frames = ['first', 'second', 'third'].slice(0, left);
      const headBytes = Math.min(17, whole.length - cut);
      const wholeBytes = headBytes + frames.reduce((sum, text) => sum + 16 + text.length, 0);
      const bytes = whole.length - cut - (headBytes < 17 ? 0 : wholeBytes);
      expect({ cut, ...(await read(journalFolder(path))) }).toEqual({
        cut,
        frames,
        tornTails: bytes === 0 ? [] : [{ path: file, bytes, isDoubtful: false }],
      });
      writeFileSync(file, whole);
    }
  });

  it('refuses a flipped bit anywhere', async () => {
    const { path, file } = await write('first', 'second', 'third');
    const whole = readFileSync(file);
    for (let bit = 0; bit < 8 * whole.length; bit++) {
      const bytes = Buffer.from(whole);
      bytes[bit >> 3] ^= 1 << (bit & 7);
      writeFileSync(file, bytes);
      const reading = replayed(journalFolder(path));
      await expect(reading).rejects.toThrow(/journal(\/[0-9a-f]{16}\.journal)? (is damaged|was written in format)/);
    }
  });

  it('refuses a flipped bit in a long last frame', async () => {
    const { path, file } = await write('first', 'x'.repeat(1 << 20));
    const whole = readFileSync(file);
    for (const at of [33, 38, 39, 40, 5000, 500_000, whole.length - 1]) {
      const bytes = Buffer.from(whole);
      bytes[at] ^= 0x40;
      writeFileSync(file, bytes);
      await expect(replayed(journalFolder(path))).rejects.toThrow(/is damaged/);
    }
  });

  it('leaves out a last frame that is whole in length and wrong, and says whether it was cut short or may not have been', async () => {
    const { path, file } = await write('first', 'x'.repeat(5000));
    const whole = readFileSync(file);
    const ends = [
      { from: 2000, to: 2002, byte: 'y', isDoubtful: true },
      { from: 40, to: 44, byte: 'y', isDoubtful: true },
      { from: 1536, to: 2048, byte: '\0', isDoubtful: false },
      { from: 4096, to: whole.length, byte: '\0', isDoubtful: false },
      { from: 1540, to: 2048, byte: '\0', isDoubtful: true },
    ];
    for (const { from, to, byte, isDoubtful } of ends) {
      writeFileSync(file, Buffer.from(whole).fill(byte, from, to));
      const { frames, tornTails } = await read(journalFolder(path));
      expect(frames).toEqual(['first']);
      expect(tornTails).toEqual([{ path: file, bytes: 5016, isDoubtful }]);
    }
  });

  it('takes a file of nothing but zeros for one whose first write was cut short', async () => {
    const { path, file } = await write('first');
    writeFileSync(file, Buffer.alloc(17));
    expect(await read(journalFolder(path))).toEqual({
      frames: [],
      tornTails: [{ path: file, bytes: 17, isDoubtful: false }],
    });
  });

  it('refuses a file of a newer release', async () => {
    const { path, file } = await write('frame');
    writeFileSync(
      file,
      readFileSync(file).toString('latin1').replace('mantis-journal 1', 'mantis-journal 2'),
      'latin1',
    );
    await expect(replayed(journalFolder(path))).rejects.toThrow(/format 2 by a newer release/);
  });

  it('goes on in another file after a write that failed, whose torn frame does no harm', async () => {
    const folder = new HeldFolder();
    const journal = new Journal(folder);
    journal.append(Buffer.from('kept'));
    await journal.sync();
    folder.isHolding = true;
    journal.append(Buffer.from('torn'));
    const failing = journal.sync();
    await turns();
    const { bytes, done } = folder.waiting.shift()!;
    [...folder.files.values()][0].push(bytes.subarray(0, 18));
    done(new StoreError('full', 'no space left'));
    await expect(failing).rejects.toThrow('no space left');
    folder.isHolding = false;
    journal.append(Buffer.from('next'));
    await journal.sync();
    expect(folder.files.size).toBe(2);
    expect(await replayed(folder)).toEqual(['kept', 'next']);
  });
});
