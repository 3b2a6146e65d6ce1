/** What a durable store is to the rest of the node. test/storage/backend-contract.ts is the same thing as a test. */

/** Takes packed change records (about 1 MiB at most, unless one record alone is larger); rowsTotal may be an estimate. */
export type OnRecords = (records: Buffer, rowsDone: number, rowsTotal: number) => Promise<void> | void;

/** A durable copy of registers, keyed by (database, key, kind, element), that keeps each register's newest version. */
export interface DurableStore {
  /** For messages: `level`, `mysql`. */
  readonly name: string;
  /** Makes the store ready. Rejects with a StoreError that says what to do. */
  open(): Promise<void>;
  /**
   * Merges packed change records, in any order and as often as wanted; resolves when they are durable.
   * A record that is not newer than the stored version changes nothing.
   */
  write(records: Buffer): Promise<void>;
  /** Gives every register once, in packed records without batch flags; awaits the callback. Damaged rows are put into `quarantine`. */
  load(onRecords: OnRecords): Promise<void>;
  /**
   * Gives every register of these keys (key-names.ts) that is stored, in packed records of bounded size; awaits the callback.
   * A store without it cannot give evicted keys back.
   */
  fetch?(keys: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void>;
  /**
   * Gives every register that is stored and whose id (see splitRecords) begins with one of these, as fetch does: of deleted fields and members
   * those that count, of whichever node. Without it a store beside an embedded one keeps such sums when the deletion is forgotten.
   */
  fetchSums?:
    ((idPrefixes: readonly string[], onRecords: (records: Buffer) => Promise<void>) => Promise<void>) | undefined;
  /** Forgets registers whose stored version, going by stamps and origins, is not newer than the record given here (vacuum). */
  remove?(registers: Buffer): Promise<void>;
  close(): Promise<void>;
}

/**
 * What to do about a store's failure:
 * - `unavailable`: the store does not answer or does not accept now; try again later.
 * - `full`: no space left; try again later, and take no more writes meanwhile.
 * - `damaged`: an fsync, read or checksum failed; what the store said before cannot be relied upon. Never retried.
 * - `refused`: this configuration cannot work (in use, newer format, schema behind); the operator has to act.
 */
export type StoreErrorKind = 'unavailable' | 'full' | 'damaged' | 'refused';

/** A failure of a durable store, with a message for the operator. */
export class StoreError extends Error {
  override name = 'StoreError';
  readonly kind: StoreErrorKind;

  constructor(kind: StoreErrorKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

/** One row or record that a store set aside instead of using it. */
export interface QuarantinedRow {
  store: string;
  /** The key's first bytes, printable. */
  key: string;
  reason: string;
}

/** How many rows a quarantine can name; past it they are only counted. */
const QUARANTINE_SAMPLES_MAX = 100;
const KEY_SHOWN_BYTES = 64;

/** Counts what was set aside, and keeps the first ones to show. */
export class Quarantine {
  readonly store: string;
  readonly samples: QuarantinedRow[] = [];
  count = 0;

  constructor(store: string) {
    this.store = store;
  }

  add(key: Uint8Array, reason: string): void {
    this.count++;
    if (this.samples.length < QUARANTINE_SAMPLES_MAX) {
      this.samples.push({ store: this.store, key: printableKey(key), reason });
    }
  }

  clear(): void {
    this.count = 0;
    this.samples.length = 0;
  }
}

/** A key for a message: printable ASCII as it is, other bytes as \xNN, cut at 64 bytes. */
export function printableKey(key: Uint8Array): string {
  let text = '';
  for (const byte of key.subarray(0, KEY_SHOWN_BYTES)) {
    const isPrintable = byte >= 0x20 && byte < 0x7f && byte !== 0x5c;
    text += isPrintable ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return key.length > KEY_SHOWN_BYTES ? `${text}… (${key.length} bytes)` : text;
}
