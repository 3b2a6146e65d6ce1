/** Prefixes of keys that clients broadcast, and the keys that have changed since these were last told. */
import type { Session } from '../clients/session.ts';

/** Who wants to know of keys with a prefix. */
export interface PrefixGroup {
  readonly sessions: Set<Session>;
  /** Changed keys, as latin1 text, and by whom last; null for a peer, and for a key that has expired or was evicted. */
  readonly changed: Map<string, Session | null>;
  /** The length of those keys. */
  bytes: number;
}

export class TrackedPrefixes {
  readonly #groups = new Map<string, PrefixGroup>();
  /** How long prefixes are: a key is looked up by its own first bytes. */
  #lengths: number[] = [];
  readonly #countsByLength = new Map<number, number>();

  get size(): number {
    return this.#groups.size;
  }

  get groups(): Iterable<PrefixGroup> {
    return this.#groups.values();
  }

  add(session: Session, prefix: string): void {
    let group = this.#groups.get(prefix);
    if (group === undefined) {
      this.#groups.set(prefix, (group = { sessions: new Set(), changed: new Map(), bytes: 0 }));
      this.#count(prefix.length, 1);
    }
    group.sessions.add(session);
  }

  remove(session: Session, prefix: string): void {
    const group = this.#groups.get(prefix);
    if (group === undefined) return;
    group.sessions.delete(session);
    if (group.sessions.size > 0) return;
    this.#groups.delete(prefix);
    this.#count(prefix.length, -1);
  }

  #count(length: number, change: 1 | -1): void {
    const count = (this.#countsByLength.get(length) ?? 0) + change;
    if (count === 0) this.#countsByLength.delete(length);
    else this.#countsByLength.set(length, count);
    if (this.#countsByLength.size === this.#lengths.length) return;
    this.#lengths = [...this.#countsByLength.keys()].sort((left, right) => left - right);
  }

  /** Takes note of a changed key for each prefix that it has; shows each group that there was something to be noted for. */
  note(name: string, writer: Session | null, noted: (group: PrefixGroup) => void): void {
    for (const length of this.#lengths) {
      if (length > name.length) return;
      const group = this.#groups.get(name.slice(0, length));
      if (group === undefined) continue;
      if (!group.changed.has(name)) group.bytes += name.length;
      group.changed.set(name, writer);
      noted(group);
    }
  }

  /** Nothing of what has changed is to be told any more. */
  forgetChanges(): void {
    for (const group of this.groups) {
      group.changed.clear();
      group.bytes = 0;
    }
  }
}
