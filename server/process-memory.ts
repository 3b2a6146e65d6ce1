/** The process's memory as the kernel sees it, and V8's part of it. For a process that is nothing but this node. */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What the bound of the node's memory asks of the process. */
export interface ProcessMemory {
  /** Resident bytes beyond those of the process when it was empty. */
  growthBytes(): number;
  /** The node is empty, but for `keptBytes` that the data to come will use: what the process takes otherwise is none of the data's. */
  noteEmpty(keptBytes: number): void;
  /** Has V8 collect what is garbage, all of it. Takes tens of milliseconds. */
  collect(): void;
  /** V8 may have so much memory for new objects; what it has already stays. */
  limitNewSpace(bytesMost: number): void;
}

/**
 * A process that has just started grows until its code is compiled and its buffers have their sizes: by this at least, and by
 * no more. Measured.
 */
const WARMED_UP_BYTES_LEAST = 12 << 20;
const WARMED_UP_BYTES_MOST = 48 << 20;

export class SystemMemory implements ProcessMemory {
  readonly #startedBytes = process.memoryUsage.rss();
  #emptyBytes = this.#startedBytes + WARMED_UP_BYTES_LEAST;
  #collect: (() => void) | null = null;
  /** As small-heap.ts has set it. */
  #mayGrow = false;

  growthBytes(): number {
    return process.memoryUsage.rss() - this.#emptyBytes;
  }

  noteEmpty(keptBytes: number): void {
    const bytes = process.memoryUsage.rss() - keptBytes;
    this.#emptyBytes = Math.max(this.#emptyBytes, Math.min(bytes, this.#startedBytes + WARMED_UP_BYTES_MOST));
  }

  collect(): void {
    if (this.#collect === null) {
      setFlagsFromString('--expose-gc');
      this.#collect = runInNewContext('gc') as () => void;
    }
    this.#collect();
  }

  /** V8 doubles its space for new objects, up to 128 MiB, whenever as much as that has survived in it: most of it stays unused. */
  limitNewSpace(bytesMost: number): void {
    const space = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
    const mayGrow = space === undefined || space.space_size * 2 <= bytesMost;
    if (mayGrow === this.#mayGrow) return;
    this.#mayGrow = mayGrow;
    setFlagsFromString(`--semi-space-growth-factor=${mayGrow ? 2 : 1}`);
  }
}
