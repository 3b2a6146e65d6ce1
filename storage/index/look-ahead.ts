/**
 * Fetches what a run of pipelined requests will need into the processor's caches before the first of them runs.
 *
 * A key's index slot and its block lie anywhere in memory, so a command waits for main memory twice or thrice, one wait
 * after the other. Here the same reads are made for all requests of a run in loops that do little else, and the processor
 * makes many of them at once. Nothing of what was read is used but the hashes, which depend on the keys' bytes alone:
 * whatever an earlier command of the run does, the later ones do what they would have done.
 */
import { viewOf } from '../../protocol/byte-view.ts';
import type { ArgumentSource } from '../../protocol/resp-request.ts';
import { REQUESTS_AHEAD_MAX, RequestsAhead } from '../../protocol/requests-ahead.ts';
import type { Database } from '../database.ts';
import { DigestsAhead } from '../digests/digests-ahead.ts';
import type { Keyspace } from '../keyspace.ts';

/** Longer first arguments are hardly keys. */
const KEY_LENGTH_MAX = 256;
const SEGMENT_WORD_MASK = (1 << 21) - 1;
/** Words of a block that are read: in the header, and where a key of 16 bytes ends and a value of 64. */
const FIRST_WORD = 4;
const SECOND_WORD = 24;

export class LookAhead {
  /** For the decoders of all sessions. */
  readonly requests = new RequestsAhead();
  /** The sum of all that was read, so that the reads are not found to be useless and left out. */
  sum = 0;
  readonly #hashes = new Int32Array(REQUESTS_AHEAD_MAX);
  readonly #refs = new Int32Array(REQUESTS_AHEAD_MAX);
  #count = 0;
  /** The hashes of the keys for the digests, of this database; -1 when they were not computed. */
  #digestedDatabase = -1;
  readonly #digests = new DigestsAhead(REQUESTS_AHEAD_MAX);
  /** Changes to the keyspace until the last run. */
  #changes = 0;

  /** The decoder's request is run next: looks at the keys of the run that it begins, if it begins one. */
  prepare(keyspace: Keyspace, database: Database, decoder: ArgumentSource): void {
    if (this.requests.owner !== decoder) return;
    const { buffer } = decoder;
    const index = this.requests.taken - 1;
    if (index === 0) this.#fetch(keyspace, database, buffer, this.requests);
    if (index >= this.#count || this.requests.argc[index] < 2) return;
    const length = this.requests.lengths[index][1];
    if (length > KEY_LENGTH_MAX) return;
    // The hashes of its key need not be computed again.
    const start = this.requests.starts[index][1];
    keyspace.hasher.know(buffer, start, length, this.#hashes[index]);
    if (this.#digestedDatabase < 0) return;
    this.#digests.know(keyspace.digests, index, this.#digestedDatabase, buffer, start, length);
  }

  /** The bytes of the requests are about to change. */
  forget({ hasher, digests }: Keyspace): void {
    hasher.forget();
    digests.forget();
  }

  #fetch(keyspace: Keyspace, database: Database, buffer: Buffer, run: RequestsAhead): void {
    const { count } = run;
    const lastCount = this.#count;
    const changes = keyspace.changes - this.#changes;
    this.#changes = keyspace.changes;
    this.#count = 0;
    this.#digestedDatabase = -1;
    // One request would only wait here instead of there.
    if (count < 2) return;
    this.#count = count;
    this.#hashKeys(keyspace, buffer, run);
    // Commands that read need no digests: where the last run wrote, this one is likely to.
    if (keyspace.digesting && 2 * changes > lastCount) this.#hashForDigests(keyspace, database, buffer, run);
    const hashes = this.#hashes;
    const refs = this.#refs;
    const { index } = database;
    refs[0] = index.probe(hashes[0]);
    // What the last one needs is being read.
    for (let at = 1; at < count; at++) refs[at] = hashes[at] === hashes[at - 1] ? 0 : index.probe(hashes[at]);
    const { words } = keyspace.arena;
    let sum = 0;
    for (let at = 0; at < count; at++) {
      const ref = refs[at];
      if (ref === 0) continue;
      const segment = words[ref >>> 20];
      const word = (ref & 0xfffff) << 1;
      sum ^= segment[word + FIRST_WORD] ^ segment[(word + SECOND_WORD) & SEGMENT_WORD_MASK];
    }
    this.sum = sum;
  }

  #hashKeys(keyspace: Keyspace, buffer: Buffer, run: RequestsAhead): void {
    const { hasher } = keyspace;
    let lastStart = 0;
    let lastLength = -1;
    let hash = 0;
    for (let at = 0; at < run.count; at++) {
      const length = run.argc[at] > 1 ? run.lengths[at][1] : 0;
      const start = run.starts[at][1];
      // Requests in a row often go to one key, and bytes are compared faster than hashed.
      if (length !== lastLength || !isSame(buffer, start, lastStart, length)) {
        hash = length > KEY_LENGTH_MAX ? 0 : hasher.hash(buffer, start, length);
        lastStart = start;
        lastLength = length;
      }
      this.#hashes[at] = hash;
    }
  }

  #hashForDigests({ digests }: Keyspace, database: Database, buffer: Buffer, run: RequestsAhead): void {
    const view = viewOf(buffer);
    for (let at = 0; at < run.count; at++) {
      const length = run.argc[at] > 1 ? run.lengths[at][1] : 0;
      if (length > KEY_LENGTH_MAX) continue;
      this.#digests.hash(digests, at, database.number, view, run.starts[at][1], length);
    }
    this.#digestedDatabase = database.number;
    this.#digests.fetch(digests, run.count);
  }
}

/** From behind, where the keys of one application differ. */
function isSame(buffer: Buffer, start: number, other: number, length: number): boolean {
  for (let at = length - 1; at >= 0; at--) if (buffer[start + at] !== buffer[other + at]) return false;
  return true;
}
