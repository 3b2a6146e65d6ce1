/** The keyspace as replication sees it. */
import type { RecordWriter } from '../protocol/change-record.ts';
import type { KeySelection, Replica, ReplicaScan, Stamp, StreamTurn, SummarySink } from '../replication/replica.ts';
import { listedKeys, skipBucket } from '../replication/replica.ts';
import type { MergeSource } from '../storage/conflicts.ts';
import type { Keyspace } from '../storage/keyspace.ts';
import { applyRecords } from '../storage/merge.ts';
import { RegisterScan } from '../storage/register-scan.ts';
import type { RelayedTurns } from '../storage/relayed-turns.ts';

/** How long one slice of a scan may hold the event loop. */
const SLICE_MS = 2;

export class ReplicaAdapter implements Replica {
  readonly #keyspace: Keyspace;
  readonly #relayed: RelayedTurns;
  readonly #monotonicMs: () => number;

  constructor(keyspace: Keyspace, relayed: RelayedTurns, monotonicMs: () => number) {
    this.#keyspace = keyspace;
    this.#relayed = relayed;
    this.#monotonicMs = monotonicMs;
  }

  /** What a peer streams it brings to MySQL itself; of a repair nobody knows. */
  applyRecords(records: Buffer, start: number, end: number, turn: StreamTurn | null, source: MergeSource): void {
    const keyspace = this.#keyspace;
    if (turn !== null) this.#relayed.note(turn.incarnation, turn.stamp);
    keyspace.relaying = turn !== null;
    try {
      applyRecords(keyspace, records, start, end, source);
    } finally {
      keyspace.relaying = false;
    }
  }

  observeStamp(hi: number, lo: number): void {
    this.#keyspace.clock.observe(hi, lo);
  }

  currentStamp(): Stamp {
    return { hi: this.#keyspace.clock.hi, lo: this.#keyspace.clock.lo };
  }

  nowMs(): number {
    return this.#keyspace.clock.refresh();
  }

  get digests(): Uint32Array {
    return this.#keyspace.digests.words;
  }

  keyCount(): number {
    let count = 0;
    for (const database of this.#keyspace.databases) count += database.index.count;
    return count;
  }

  startScan(): ReplicaScan {
    return new AdapterScan(new RegisterScan(this.#keyspace), this.#monotonicMs);
  }
}

class AdapterScan implements ReplicaScan {
  readonly #scan: RegisterScan;
  readonly #monotonicMs: () => number;

  constructor(scan: RegisterScan, monotonicMs: () => number) {
    this.#scan = scan;
    this.#monotonicMs = monotonicMs;
  }

  summaries(buckets: Uint8Array, sink: SummarySink, maxKeys: number): boolean {
    const endMs = this.#monotonicMs() + SLICE_MS;
    const scan = this.#scan;
    let left = maxKeys;
    let more = true;
    while (more && left > 0 && this.#monotonicMs() < endMs) {
      more = scan.step((database, ref, hi, lo) => {
        if (buckets[hi >>> 16] === 0) return;
        scan.digestKey(database, ref);
        left--;
        sink.key(hi, lo, scan.digestHi, scan.digestLo);
      });
    }
    return more;
  }

  records(selection: KeySelection, writer: RecordWriter, maxBytes: number): boolean {
    const endMs = this.#monotonicMs() + SLICE_MS;
    const scan = this.#scan;
    scan.floors(writer);
    let more = true;
    while ((more || scan.hasUnfinished) && writer.length < maxBytes && this.#monotonicMs() < endMs) {
      if (scan.hasUnfinished) {
        scan.encodeUnfinished(writer, maxBytes, () => this.#monotonicMs() >= endMs);
        continue;
      }
      more = scan.step((database, ref, hi, lo) => {
        const wanted = selection.buckets[hi >>> 16];
        if (wanted === skipBucket) return;
        if (wanted === listedKeys && !selection.has(hi, lo)) return;
        scan.encode(database, ref, writer);
      });
    }
    return more || scan.hasUnfinished;
  }

  close(): void {}
}
