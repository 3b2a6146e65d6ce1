/**
 * The folder of a node's journal. A crash keeps what was synced, and of what was being written some of the first bytes, or none.
 */
import { StoreError } from '../../storage/backends/backend.ts';
import { framesOf, type JournalFile, type JournalFolder } from '../../storage/journal/journal.ts';
import type { SeededRandom } from '../replication/virtual-world.ts';

/** How an incarnation of a node reaches its disk. */
interface JournalUser {
  isAlive(): boolean;
  setTimer(delayMs: number, callback: () => void): void;
}

export class SimulatedJournal {
  readonly #files = new Map<string, Buffer>();
  /** What is being written where. */
  #underWay: { name: string; bytes: Buffer } | null = null;
  readonly #random: SeededRandom;
  readonly #disk: { readonly isFull: boolean; readonly syncMsMax: number };

  constructor(disk: { readonly isFull: boolean; readonly syncMsMax: number }, random: SeededRandom) {
    this.#disk = disk;
    this.#random = random;
  }

  crash(): void {
    if (this.#underWay === null) return;
    const { name, bytes } = this.#underWay;
    this.#add(name, bytes.subarray(0, this.#random.below(bytes.length + 1)));
    this.#underWay = null;
  }

  erase(): void {
    this.#files.clear();
    this.#underWay = null;
  }

  /** What would be read after a crash now: packed records, oldest first. */
  records(): Buffer[] {
    return [...this.#files].flatMap(([name, bytes]) => [...framesOf(bytes, name, () => undefined)]);
  }

  open(path: string, user: JournalUser): JournalFolder {
    return {
      path,
      list: () => Promise.resolve([...this.#files.keys()]),
      read: (name) => Promise.resolve(this.#files.get(name)!),
      create: (name) => {
        if (this.#disk.isFull) return Promise.reject(full(path));
        this.#files.set(name, Buffer.alloc(0));
        return Promise.resolve(this.#file(path, name, user));
      },
      remove: (name) => {
        if (user.isAlive()) this.#files.delete(name);
        return Promise.resolve();
      },
    };
  }

  #file(path: string, name: string, user: JournalUser): JournalFile {
    return {
      append: (pieces) =>
        new Promise((resolve, reject) => {
          if (!user.isAlive()) return;
          const copy = Buffer.concat(pieces);
          this.#underWay = { name, bytes: copy };
          const isFull = this.#disk.isFull;
          user.setTimer(0.1 + this.#random.fraction() * this.#disk.syncMsMax, () => {
            this.#underWay = null;
            // The part that fitted stays.
            this.#add(name, isFull ? copy.subarray(0, this.#random.below(copy.length)) : copy);
            if (isFull) reject(full(path));
            else resolve();
          });
        }),
      close: () => Promise.resolve(),
    };
  }

  #add(name: string, bytes: Buffer): void {
    const before = this.#files.get(name);
    if (before !== undefined) this.#files.set(name, Buffer.concat([before, bytes]));
  }
}

function full(path: string): StoreError {
  return new StoreError('full', `no space left for ${path}: make room on that disk`);
}
