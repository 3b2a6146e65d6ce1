/** Which clients have read which keys, for the invalidation of their caches. Keys are known by their bytes as latin1 text. */

/** What a client costs at a key, about. */
const READER_BYTES = 16;
/** What a key costs besides its name, about. */
const KEY_BYTES = 112;

/** Ids of clients: one alone in most cases. */
export type Readers = number | ReadonlySet<number>;

export interface TrackedKey {
  readonly name: string;
  readonly readers: Readers;
}

interface Entry {
  readonly name: string;
  readers: number | Set<number>;
  slot: number;
}

function countOf(readers: Readers): number {
  return typeof readers === 'number' ? 1 : readers.size;
}

export class TrackingTable {
  readonly #entries = new Map<string, Entry>();
  /** All entries, without gaps and in no order: one is drawn from them. */
  readonly #slots: Entry[] = [];
  #nameBytes = 0;
  /** Pairs of a key and a client. */
  items = 0;

  /** Keys. */
  get size(): number {
    return this.#slots.length;
  }

  /** What the table takes, about. */
  get bytes(): number {
    return this.#nameBytes + this.size * KEY_BYTES + this.items * READER_BYTES;
  }

  add(name: string, id: number): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      const added = { name, readers: id, slot: this.#slots.length };
      this.#entries.set(name, added);
      this.#slots.push(added);
      this.#nameBytes += name.length;
      this.items++;
      return;
    }
    const { readers } = entry;
    if (readers === id) return;
    if (typeof readers === 'number') {
      entry.readers = new Set([readers, id]);
      this.items++;
    } else if (!readers.has(id)) {
      readers.add(id);
      this.items++;
    }
  }

  /** Takes the key out; who has read it, or undefined when that is nobody. */
  take(name: string): Readers | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    this.#entries.delete(name);
    const last = this.#slots.pop()!;
    if (last !== entry) {
      this.#slots[entry.slot] = last;
      last.slot = entry.slot;
    }
    this.#nameBytes -= name.length;
    this.items -= countOf(entry.readers);
    return entry.readers;
  }

  /** Takes one of the keys out, of which there are some. `fraction`, in [0, 1), says which. */
  takeOne(fraction: number): TrackedKey {
    const { name } = this.#slots[Math.floor(fraction * this.size)];
    return { name, readers: this.take(name)! };
  }

  clear(): void {
    this.#entries.clear();
    this.#slots.length = 0;
    this.#nameBytes = 0;
    this.items = 0;
  }
}
