/** LevelDB itself: how it is opened, and what memory it may use. */
import { ClassicLevel } from 'classic-level';
import { checkFiles } from './level-files.ts';
import { makeFolder } from './make-folder.ts';
import type { TornTail } from './torn-tail.ts';

export type LevelDatabase = ClassicLevel<Buffer, Buffer>;

/**
 * LevelDB gathers so much before it writes a table, up to two of it, and keeps as much of what it has read. Measured with one
 * queue marker per register: 16 MiB writes 2 times as fast as LevelDB's 4 MiB, 64 MiB no faster.
 */
export const BUFFER_BYTES = 16 << 20;
const BUFFER_BYTES_LEAST = 2 << 20;
/** What two such buffers and the cache may take of `maxmemory` is three times this. */
const BUFFER_SHARE = 1 / 16;
/** A compaction maps about ten tables: smaller ones where memory is short. */
const TABLE_FILE_BYTES = 8 << 20;

/** The size of LevelDB's buffers on a node with this `maxmemory`, 0 for none. */
export function levelBufferBytes(bytesMax: number): number {
  if (bytesMax === 0) return BUFFER_BYTES;
  return Math.floor(Math.min(BUFFER_BYTES, Math.max(BUFFER_BYTES_LEAST, bytesMax * BUFFER_SHARE)));
}

/** Opens the database of a directory, after looking through its tables and logs; `onTorn` is given what is left out of those. */
export async function openLevelDatabase(
  directory: string,
  bufferBytes: number,
  onTorn: (tails: readonly TornTail[]) => void = () => undefined,
): Promise<LevelDatabase> {
  // LevelDB's binding would make it with Node.js's `recursive`.
  makeFolder(directory);
  onTorn(await checkFiles(directory));
  const database = new ClassicLevel<Buffer, Buffer>(directory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    writeBufferSize: bufferBytes,
    maxFileSize: bufferBytes < BUFFER_BYTES ? Math.floor(bufferBytes / 4) : TABLE_FILE_BYTES,
    cacheSize: bufferBytes,
  });
  await database.open();
  return database;
}
