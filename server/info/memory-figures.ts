/** What the data costs, as INFO memory, MEMORY STATS and MEMORY DOCTOR tell it. All in bytes. */
import { indexBytes } from '../../storage/arena/memory-usage.ts';
import type { Node } from '../node.ts';

export interface MemoryFigures {
  /** What is counted of the data. */
  readonly usedBytes: number;
  /** The most that it has been since the start. */
  readonly peakBytes: number;
  /** The indexes of all databases, which are a part of it. */
  readonly overheadBytes: number;
  /** The pages of the arena that hold blocks, and what is counted beside the arena. */
  readonly activeBytes: number;
  /** The same with the pages that hold none. */
  readonly residentBytes: number;
}

export function memoryFigures({ keyspace, statistics }: Node): MemoryFigures {
  const { arena, usedBytes } = keyspace;
  const residentBytes = arena.residentBytes + usedBytes - arena.usedBytes;
  return {
    usedBytes,
    peakBytes: Math.max(statistics.usedMemoryPeakBytes, usedBytes),
    overheadBytes: keyspace.databases.reduce((total, database) => total + indexBytes(database), 0),
    activeBytes: residentBytes - arena.emptyBytes,
    residentBytes,
  };
}
