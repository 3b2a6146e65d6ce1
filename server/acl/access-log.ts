/** ACL LOG: what users tried and may not, and wrong passwords; like ones that come soon after one another are counted together. */
import type { DenialReason } from './check.ts';

export type AccessContext = 'toplevel' | 'multi' | 'lua';

export interface AccessEvent {
  readonly reason: DenialReason | 'auth';
  readonly context: AccessContext;
  /** The command, the key, the channel, or the command that was to authenticate; latin1. */
  readonly object: string;
  readonly userName: string;
  /** As in CLIENT LIST. */
  readonly clientLine: string;
}

export interface AccessEntry extends AccessEvent {
  /** Counted from 0 since the start. */
  readonly id: number;
  readonly count: number;
  /** Milliseconds since 1970. */
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** So far apart, like events are told of one by one. */
const TOGETHER_MS = 60_000;
/** How many of the latest entries are looked at for a like one. */
const COMPARED = 10;
/** Objects are keys and channels, which may be large. */
const OBJECT_LENGTH_MAX = 1024;

export class AccessLog {
  /** The latest first. */
  #entries: AccessEntry[] = [];
  #nextId = 0;

  get entries(): readonly AccessEntry[] {
    return this.#entries;
  }

  add(event: AccessEvent, nowMs: number, lengthMax: number): void {
    const object = event.object.slice(0, OBJECT_LENGTH_MAX);
    const known = this.#entries.slice(0, COMPARED).find((entry) => {
      const isAlike = entry.reason === event.reason && entry.context === event.context && entry.object === object;
      return isAlike && entry.userName === event.userName && nowMs - entry.updatedAtMs <= TOGETHER_MS;
    });
    if (known === undefined) {
      this.#entries.unshift({ ...event, object, id: this.#nextId++, count: 1, createdAtMs: nowMs, updatedAtMs: nowMs });
    } else {
      const others = this.#entries.filter((entry) => entry !== known);
      const { clientLine } = event;
      this.#entries = [{ ...known, clientLine, count: known.count + 1, updatedAtMs: nowMs }, ...others];
    }
    if (this.#entries.length > lengthMax) this.#entries.length = lengthMax;
  }

  clear(): void {
    this.#entries = [];
  }
}
