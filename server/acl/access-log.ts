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
/** Of keys, channels, names of users and of clients, which may all be large, an entry keeps so much. */
const TEXT_LENGTH_MAX = 1024;
const CLIENT_LENGTH_MAX = 4096;

/** A text of its own: a part of a longer one would keep that. */
function shortened(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : Buffer.from(text.slice(0, lengthMax)).toString();
}

export class AccessLog {
  /** The latest first. */
  #entries: AccessEntry[] = [];
  #nextId = 0;

  get entries(): readonly AccessEntry[] {
    return this.#entries;
  }

  add({ reason, context, ...texts }: AccessEvent, nowMs: number, lengthMax: number): void {
    const object = shortened(texts.object, TEXT_LENGTH_MAX);
    const userName = shortened(texts.userName, TEXT_LENGTH_MAX);
    const clientLine = shortened(texts.clientLine, CLIENT_LENGTH_MAX);
    const known = this.#entries.slice(0, COMPARED).find((entry) => {
      const isAlike = entry.reason === reason && entry.context === context && entry.object === object;
      return isAlike && entry.userName === userName && nowMs - entry.updatedAtMs <= TOGETHER_MS;
    });
    if (known === undefined) {
      const event = { reason, context, object, userName, clientLine };
      this.#entries.unshift({ ...event, id: this.#nextId++, count: 1, createdAtMs: nowMs, updatedAtMs: nowMs });
    } else {
      const others = this.#entries.filter((entry) => entry !== known);
      this.#entries = [{ ...known, clientLine, count: known.count + 1, updatedAtMs: nowMs }, ...others];
    }
    if (this.#entries.length > lengthMax) this.#entries.length = lengthMax;
  }

  clear(): void {
    this.#entries = [];
  }
}
