/**
 * What this node has of each writer: everything that the writer wrote up to a stamp. It comes from three sources: the node's own
 * clock, the streams of the peers that are linked, and what peers say they have themselves once a repair with them is done.
 * A writer is a node until it crashes; after that it is another one (docs/decisions/0006), so what a crash has taken away is
 * never taken for present.
 */
import { compareStamp, formatNodeId } from '../../protocol/stamp.ts';
import { WRITERS_MAX, type Written } from '../../protocol/written.ts';
import type { Stamp } from '../replica.ts';

interface Waiter {
  readonly asked: readonly Written[];
  readonly resolve: () => void;
}

function idOf({ writerHi, writerLo }: Written): string {
  return formatNodeId(writerHi, writerLo);
}

function isBelow(one: Written, other: Written): boolean {
  return compareStamp(one.stampHi, one.stampLo, other.stampHi, other.stampLo) < 0;
}

/** For each writer that either names, the greater stamp. */
export function mergeWritten(first: readonly Written[], second: readonly Written[]): Written[] {
  const merged = new Map<string, Written>();
  for (const entry of [...first, ...second]) {
    const known = merged.get(idOf(entry));
    if (known === undefined || isBelow(known, entry)) merged.set(idOf(entry), entry);
  }
  return [...merged.values()];
}

export class Applied {
  /** How far the peers' own streams have been applied. */
  streams: () => Iterable<Written> = () => [];
  /** Called when somebody begins to wait: a peer may have already what is missing here. */
  onWait: () => void = () => undefined;
  readonly #writer: Stamp;
  readonly #now: () => Stamp;
  readonly #known = new Map<string, Written>();
  readonly #waiters = new Set<Waiter>();

  /**
   * @param writer whose writes are made here
   * @param now the clock's reading: everything stamped up to it by this node is in its memory
   */
  constructor(writer: Stamp, now: () => Stamp) {
    this.#writer = writer;
    this.#now = now;
  }

  get isAwaited(): boolean {
    return this.#waiters.size > 0;
  }

  /** This node's own writes up to a stamp. */
  own({ hi, lo }: Stamp = this.#now()): Written {
    return { writerHi: this.#writer.hi, writerLo: this.#writer.lo, stampHi: hi, stampLo: lo };
  }

  /** All that is known, this node's own writes first. */
  all(): Written[] {
    this.#fold();
    return [this.own(), ...this.#known.values()];
  }

  /** All of this is here. */
  note(entries: Iterable<Written>): void {
    for (const entry of entries) this.#note(entry);
    while (this.#known.size > WRITERS_MAX - 1) this.#dropOldest();
    this.advanced();
  }

  #note(entry: Written): void {
    if (entry.writerHi === this.#writer.hi && entry.writerLo === this.#writer.lo) return;
    const id = idOf(entry);
    const known = this.#known.get(id);
    if (known === undefined || isBelow(known, entry)) this.#known.set(id, entry);
  }

  /** Writers end when their nodes crash, and nobody says so: of too many, the one that was last heard of longest ago goes. */
  #dropOldest(): void {
    let oldest: Written | null = null;
    for (const entry of this.#known.values()) if (oldest === null || isBelow(entry, oldest)) oldest = entry;
    if (oldest !== null) this.#known.delete(idOf(oldest));
  }

  #fold(): void {
    for (const entry of this.streams()) this.#note(entry);
    while (this.#known.size > WRITERS_MAX - 1) this.#dropOldest();
  }

  /** Whether everything that the entries name is here. */
  covers(entries: readonly Written[]): boolean {
    this.#fold();
    return entries.every((entry) => this.#has(entry));
  }

  /** The same for one writer, by what was noted last: no stream is looked at. */
  #has(entry: Written): boolean {
    const isOwn = entry.writerHi === this.#writer.hi && entry.writerLo === this.#writer.lo;
    const known = isOwn ? this.own() : this.#known.get(idOf(entry));
    return known !== undefined && !isBelow(known, entry);
  }

  /** Writers of which somebody waits for more than is here, and `seen` has it. */
  missingFrom(seen: readonly Written[]): Written[] {
    const missing: Written[] = [];
    for (const { asked } of this.#waiters) {
      for (const entry of asked) {
        if (this.#has(entry)) continue;
        if (seen.some((other) => idOf(other) === idOf(entry) && !isBelow(other, entry))) missing.push(entry);
      }
    }
    return missing;
  }

  /** Resolves, in a later turn, when all of this is here; `cancel` when nobody cares any more. */
  wait(asked: readonly Written[]): { done: Promise<void>; cancel: () => void } {
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const waiter: Waiter = { asked, resolve };
    this.#waiters.add(waiter);
    this.onWait();
    this.advanced();
    return { done, cancel: () => void this.#waiters.delete(waiter) };
  }

  /** More has been applied. */
  advanced(): void {
    if (this.#waiters.size === 0) return;
    this.#fold();
    for (const waiter of this.#waiters) {
      if (!waiter.asked.every((entry) => this.#has(entry))) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }
}
