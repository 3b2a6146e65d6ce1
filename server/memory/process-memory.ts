/** The process's memory as the kernel sees it, and V8's part of it. For a process that is nothing but this node. */
import { openSync, readSync } from 'node:fs';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What the bound of the node's memory asks of the process. */
export interface ProcessMemory {
  /** Resident bytes beyond those of the process when it was empty; without the pages of files. */
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
/** What the thread of the durable stores takes as soon as it runs. */
const STORES_BYTES = 16 << 20;

/** Bytes for the numbers of /proc/self/statm. */
const STATM_BYTES = 128;

/**
 * The memory of this process that is its own: of its resident pages those of files are the kernel's, which takes them away when it needs
 * them. LevelDB reads its tables as mapped files, so that tens of megabytes of them come and go.
 */
class OwnPages {
  readonly #file: number | null = OwnPages.#open();
  readonly #text = Buffer.alloc(STATM_BYTES);
  readonly #pageBytes: number;

  constructor() {
    const [residentPages] = this.#read();
    // The one power of two that makes both about the same.
    this.#pageBytes = 2 ** Math.round(Math.log2(process.memoryUsage.rss() / residentPages));
  }

  /** Null where the system does not say. */
  static #open(): number | null {
    try {
      return openSync('/proc/self/statm', 'r');
    } catch {
      return null;
    }
  }

  /** Resident pages, and those of them that others share: files. */
  #read(): [number, number] {
    if (this.#file === null) return [NaN, NaN];
    const length = readSync(this.#file, this.#text, 0, STATM_BYTES, 0);
    const [, resident, shared] = this.#text.toString('latin1', 0, length).split(' ', 3);
    return [Number(resident), Number(shared)];
  }

  /** In bytes. */
  get resident(): number {
    const [resident, shared] = this.#read();
    return Number.isNaN(shared) ? process.memoryUsage.rss() : (resident - shared) * this.#pageBytes;
  }
}

export class SystemMemory implements ProcessMemory {
  readonly #pages = new OwnPages();
  readonly #startedBytes = this.#pages.resident;
  #emptyBytes: number;
  #collect: (() => void) | null = null;
  /** As small-heap.ts has set it. */
  #mayGrow = false;

  /** @param hasStores durable stores are about to be opened */
  constructor(hasStores: boolean) {
    this.#emptyBytes = this.#startedBytes + WARMED_UP_BYTES_LEAST + (hasStores ? STORES_BYTES : 0);
  }

  growthBytes(): number {
    return this.#pages.resident - this.#emptyBytes;
  }

  noteEmpty(keptBytes: number): void {
    const bytes = this.#pages.resident - keptBytes;
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
