/**
 * Reads back, without a command that asks for it, evicted keys of which a merge has put a part into memory. The stores may have what no
 * peer was told of before a crash, and a part that is what the peers have makes the digests equal: nobody would look for the rest.
 */
import { RecordError } from '../../protocol/change-record.ts';
import { StoreError } from '../backends/backend.ts';
import type { KeyName } from '../backends/key-names.ts';
import { PARTIAL } from '../arena/block.ts';
import type { Keyspace } from '../keyspace.ts';
import { HASH_END } from '../index/key-index.ts';

/** Parts whose keys are on their way; commands may have more of theirs. */
const READ_MOST = 10_000;
/** Keys looked at in one go for parts that were left. */
const KEYS_A_LOOK = 2_000;

/** What fetches keys, as ReadThrough does. */
interface KeyFetcher {
  readonly pendingCount: number;
  fetch(keys: readonly KeyName[]): Promise<unknown>;
}

export class PartReader {
  readonly #keyspace: Keyspace;
  readonly #fetcher: KeyFetcher;
  #database = 0;
  #at = 0;
  /** Since the walk for parts that were left began, others were. */
  #isLeftAgain = false;

  constructor(keyspace: Keyspace, fetcher: KeyFetcher) {
    this.#keyspace = keyspace;
    this.#fetcher = fetcher;
  }

  /** A merge has made a part of an evicted key. */
  read(name: KeyName): void {
    // At a start nobody has any use for it yet, see `hydrateRows`.
    if (this.#keyspace.hydrating) return;
    if (this.#fetcher.pendingCount >= READ_MOST) this.#leave();
    else this.#begin(name);
  }

  #begin(name: KeyName): void {
    this.#fetcher.fetch([name]).catch((error: unknown) => {
      if (!(error instanceof StoreError || error instanceof RecordError)) throw error;
      this.#leave();
    });
  }

  /** A part stays as it is for now, and is found again by a walk over the keys. */
  #leave(): void {
    this.#isLeftAgain = true;
    this.#keyspace.hasUnreadParts = true;
  }

  /** Goes on with parts that were left. Called by the node's timer. */
  tick(): void {
    const keyspace = this.#keyspace;
    if (!keyspace.hasUnreadParts || this.#fetcher.pendingCount >= READ_MOST / 2) return;
    const database = keyspace.databases[this.#database];
    const names: KeyName[] = [];
    this.#at = database.index.visitRange(this.#at, KEYS_A_LOOK, (ref) => {
      if ((keyspace.flagsOf(ref) & PARTIAL) === 0) return;
      keyspace.readKey(ref);
      const { keyBuffer, keyStart, keyLength } = keyspace;
      names.push({ database: database.number, key: Buffer.from(keyBuffer.subarray(keyStart, keyStart + keyLength)) });
    });
    for (const name of names) this.#begin(name);
    if (this.#at < HASH_END) return;
    this.#at = 0;
    this.#database++;
    if (this.#database < keyspace.databases.length) return;
    this.#database = 0;
    // Those that are on their way and fail are left again.
    keyspace.hasUnreadParts = this.#isLeftAgain;
    this.#isLeftAgain = false;
  }
}
