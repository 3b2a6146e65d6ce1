/**
 * Looks through the tables and logs of a LevelDB folder before it is opened. LevelDB checks its manifest, but reads a table's
 * blocks on trust, and asserts what it finds there: a flipped bit would end the process. Of a log it leaves out what does not match
 * (level-logs.ts). Each block carries a checksum; this pass compares them all, at some hundred MB a second, a small part of what loading
 * the content takes.
 *
 * The format, as LevelDB's doc/table_format.md draws it:
 *
 *   table     block … | filter block | metaindex block | index block | footer of 48 bytes, which ends in 57 fb 80 8b 24 75 47 db
 *   block     contents | u8 compression: 0 none, 1 Snappy | u32le masked CRC-32C of both
 *   footer    varint offset, size of the metaindex block | the same of the index block | padding | magic
 *   index     entries: varint shared, unshared, value length | key | varint offset, size of a block; then restarts, u32le count
 *   manifest  records of a log
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isNativeError } from 'node:util/types';
import { crc32c } from '../../protocol/crc32c.ts';
import { StoreError } from './backend.ts';
import { endOfLog, recordsOfLog, unmasked } from './level-logs.ts';
import type { TornTail } from './torn-tail.ts';

const FOOTER_BYTES = 48;
const MAGIC = Buffer.from('57fb808b247547db', 'hex');
const BLOCK_TRAILER_BYTES = 5;
const SNAPPY = 1;
/** An index block is a few bytes for each 4 KiB of a table. */
const INDEX_BYTES_MAX = 64 << 20;

/** What is wrong with a file's bytes. */
class Damage extends Error {}

class Bytes {
  readonly buffer: Buffer;
  at: number;
  readonly end: number;

  constructor(buffer: Buffer, at = 0, end = buffer.length) {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; scale < Number.MAX_SAFE_INTEGER; scale *= 128) {
      if (this.at >= this.end) break;
      const byte = this.buffer[this.at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new Damage('a number that does not end');
  }

  skip(count: number): void {
    this.at += count;
    if (this.at > this.end) throw new Damage('a length beyond the end');
  }
}

/** Snappy's raw format; the length comes first. */
function uncompress(buffer: Buffer, start: number, end: number): Buffer {
  const from = new Bytes(buffer, start, end);
  const length = from.varint();
  if (length > INDEX_BYTES_MAX) throw new Damage('an index that is too long');
  const to = Buffer.alloc(length);
  let at = 0;
  while (from.at < end) {
    const tag = buffer[from.at++];
    let count = tag >>> 2;
    if ((tag & 3) === 0) {
      if (count >= 60) {
        const bytes = count - 59;
        from.skip(bytes);
        count = buffer.readUIntLE(from.at - bytes, bytes);
      }
      count++;
      from.skip(count);
      if (at + count > length) throw new Damage('a compressed index that is too long');
      buffer.copy(to, at, from.at - count, from.at);
      at += count;
      continue;
    }
    const offsetBytes = (tag & 3) === 3 ? 4 : tag & 3;
    from.skip(offsetBytes);
    let offset = buffer.readUIntLE(from.at - offsetBytes, offsetBytes);
    count++;
    if ((tag & 3) === 1) {
      offset += (tag >>> 5) << 8;
      count = ((tag >>> 2) & 7) + 4;
    }
    if (offset === 0 || offset > at || at + count > length) throw new Damage('a compressed index that refers nowhere');
    for (let index = 0; index < count; index++, at++) to[at] = to[at - offset];
  }
  if (at !== length) throw new Damage('a compressed index that is too short');
  return to;
}

/** Where a block lies in its table, its trailer not counted. */
interface Handle {
  offset: number;
  size: number;
}

function readHandle(bytes: Bytes): Handle {
  return { offset: bytes.varint(), size: bytes.varint() };
}

function checkBlock(table: Buffer, { offset, size }: Handle): void {
  const end = offset + size + 1;
  if (end + 4 > table.length - FOOTER_BYTES) throw new Damage(`a block beyond the end at byte ${offset}`);
  if (unmasked(table.readUInt32LE(end)) !== crc32c(table, offset, end)) {
    throw new Damage(`the block at byte ${offset} does not match its checksum`);
  }
}

/** Compares the checksums of all blocks of a table. @throws Damage */
function checkTable(table: Buffer): void {
  if (table.length < FOOTER_BYTES || !table.subarray(-MAGIC.length).equals(MAGIC))
    throw new Damage('it does not end as a table');
  const footer = new Bytes(table, table.length - FOOTER_BYTES, table.length - MAGIC.length);
  const metaindex = readHandle(footer);
  const index = readHandle(footer);
  if (table.subarray(footer.at, footer.end).some((byte) => byte !== 0))
    throw new Damage('its end is not that of a table');
  let covered = 0;
  for (const handle of [...handlesIn(table, index), ...handlesIn(table, metaindex), metaindex, index]) {
    if (handle.offset !== covered) throw new Damage(`bytes that belong to no block at byte ${covered}`);
    checkBlock(table, handle);
    covered = handle.offset + handle.size + BLOCK_TRAILER_BYTES;
  }
  if (covered !== table.length - FOOTER_BYTES) throw new Damage(`bytes that belong to no block at byte ${covered}`);
}

/** The blocks that an index names: the data's in their order, or the filter's. */
function handlesIn(table: Buffer, index: Handle): Handle[] {
  checkBlock(table, index);
  const { offset, size } = index;
  const isCompressed = table[offset + size] === SNAPPY;
  const contents = isCompressed ? uncompress(table, offset, offset + size) : table.subarray(offset, offset + size);
  if (contents.length < 4) throw new Damage('an index without an end');
  const restarts = contents.readUInt32LE(contents.length - 4);
  const entries = new Bytes(contents, 0, contents.length - 4 - 4 * restarts);
  const handles: Handle[] = [];
  while (entries.at < entries.end) {
    entries.varint();
    const unshared = entries.varint();
    entries.varint();
    entries.skip(unshared);
    handles.push(readHandle(entries));
  }
  return handles;
}

/** What a manifest says of the files that belong to the database; others are left over from work that was cut short. */
interface LiveFiles {
  readonly tables: Set<number>;
  /** Logs from this one on are read. */
  log: number;
  /** This one, too. */
  previousLog: number;
}

/** Adds a record's tables to the live ones, takes those away that it says are gone, and notes which logs are read. */
function applyEdit(record: Buffer, live: LiveFiles): void {
  const bytes = new Bytes(record);
  const skipText = (): void => bytes.skip(bytes.varint());
  while (bytes.at < bytes.end) {
    const tag = bytes.varint();
    if (tag === 1) skipText();
    else if (tag === 2) live.log = bytes.varint();
    else if (tag === 9) live.previousLog = bytes.varint();
    else if (tag === 3 || tag === 4) bytes.varint();
    else if (tag === 5) {
      bytes.varint();
      skipText();
    } else if (tag === 6) {
      bytes.varint();
      live.tables.delete(bytes.varint());
    } else if (tag === 7) {
      bytes.varint();
      live.tables.add(bytes.varint());
      bytes.varint();
      skipText();
      skipText();
    } else {
      throw new Damage('a manifest of another release');
    }
  }
}

async function liveFiles(directory: string): Promise<LiveFiles> {
  const live: LiveFiles = { tables: new Set(), log: 0, previousLog: 0 };
  try {
    const current = (await readFile(join(directory, 'CURRENT'), 'latin1')).trim();
    // A damaged name is LevelDB's to refuse.
    if (!/^MANIFEST-\d+$/.test(current)) return live;
    // It ends where one is torn, as LevelDB has it, and the rest is LevelDB's to judge.
    for (const record of recordsOfLog(await readFile(join(directory, current)))) applyEdit(record, live);
  } catch (error) {
    // What cannot be read is absent, or LevelDB's to refuse.
    const isUnreadable = isNativeError(error) && 'code' in error;
    if (!isUnreadable && !(error instanceof Damage)) throw error;
  }
  return live;
}

/** The names in a folder; none when it is missing. */
async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isNativeError(error) && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

/** What is left out at its end; null when it is whole. @throws Damage */
function tailOfLog(log: Buffer, path: string): TornTail | null {
  const { damagedAt, tornBytes, isDoubtful } = endOfLog(log);
  if (damagedAt !== null) throw new Damage(`the record at byte ${damagedAt} does not match its checksum`);
  return tornBytes === 0 ? null : { path, bytes: tornBytes, isDoubtful };
}

/**
 * LevelDB takes a folder without CURRENT for a new one, and deletes the tables in it. A manifest names a log only once the log is there; one
 * that is missing LevelDB does not miss.
 */
function checkNames(names: readonly string[], { log }: LiveFiles): void {
  if (!names.includes('CURRENT')) {
    const table = names.find((name) => /^\d+\.(ldb|sst)$/.test(name));
    if (table !== undefined) throw new Damage(`its file CURRENT is missing, and ${table} is there`);
  }
  const missing = log > 0 && !names.some((name) => name.endsWith('.log') && Number.parseInt(name, 10) === log);
  if (missing) throw new Damage(`its log of number ${log} is missing`);
}

async function checkFile(path: string): Promise<TornTail | null> {
  const bytes = await readFile(path);
  if (path.endsWith('.log')) return tailOfLog(bytes, path);
  checkTable(bytes);
  return null;
}

/**
 * Throws a StoreError (damaged) that names the first file whose bytes are not what was written, or is missing. A missing folder is
 * fine. Resolves to what LevelDB will leave out of its logs.
 */
export async function checkFiles(directory: string): Promise<TornTail[]> {
  const tails: TornTail[] = [];
  const live = await liveFiles(directory);
  const names = await namesIn(directory);
  let path = directory;
  try {
    checkNames(names, live);
    for (const name of names) {
      const [, digits, kind] = /^(\d+)\.(ldb|sst|log)$/.exec(name) ?? [];
      if (digits === undefined) continue;
      const number = Number(digits);
      const isLive = kind === 'log' ? number >= live.log || number === live.previousLog : live.tables.has(number);
      path = join(directory, name);
      const tail = isLive ? await checkFile(path) : null;
      if (tail !== null) tails.push(tail);
    }
    return tails;
  } catch (error) {
    if (!(error instanceof Damage)) throw error;
    throw new StoreError(
      'damaged',
      `${path} is damaged (${error.message}): restore a backup, ` +
        `or move ${directory} away so that MySQL or the peers fill a new one`,
      error,
    );
  }
}
