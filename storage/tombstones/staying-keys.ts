/**
 * Keys that had to stay in the stores, because the database that others write has something newer of them. The vacuum tries them again
 * when something about them has changed, or after an hour.
 */
import { hash } from 'node:crypto';

const AGAIN_MS = 3_600_000;
/** About 150 bytes each. The oldest goes first, and is tried again then. */
const KEYS_MAX = 10_000;

interface Tried {
  /** Of all that this node had of the key. */
  digest: string;
  atMs: number;
}

export class StayingKeys {
  readonly #tried = new Map<string, Tried>();

  /** @param name as keyId() gives it */
  note(name: string, records: Buffer, nowMs: number): void {
    this.#tried.delete(name);
    this.#tried.set(name, { digest: digestOf(records), atMs: nowMs });
    if (this.#tried.size > KEYS_MAX) this.#tried.delete(this.#tried.keys().next().value!);
  }

  /** Whether it was tried with the same records within the last hour. */
  has(name: () => string, records: Buffer, nowMs: number): boolean {
    if (this.#tried.size === 0) return false;
    const tried = this.#tried.get(name());
    if (tried === undefined || nowMs - tried.atMs >= AGAIN_MS) return false;
    return tried.digest === digestOf(records);
  }

  forget(name: string): void {
    this.#tried.delete(name);
  }
}

function digestOf(records: Buffer): string {
  return hash('sha256', records, 'base64');
}
