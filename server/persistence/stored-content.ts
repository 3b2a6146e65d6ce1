/** The node's content as the flusher reads it. The flusher is made before the keyspace, because the stores know the node's identity. */
import type { RecordWriter } from '../../protocol/change-record.ts';
import { formatNodeId } from '../../protocol/stamp.ts';
import type { NodeProgress } from '../../storage/backends/mysql-progress.ts';
import type { FlushSource } from '../../storage/flush/flusher.ts';
import { dirtyCount, drainDirty, markEverything, noteDirty } from '../../storage/changes/outflow.ts';
import type { RelayedTurns } from '../../storage/flush/relayed-turns.ts';
import type { Runtime } from '../runtime/runtime-view.ts';

export class StoredContent implements FlushSource {
  runtime: Runtime | null = null;

  get dirtyCount(): number {
    return this.runtime === null ? 0 : dirtyCount(this.runtime.keyspace);
  }

  get untilWhole(): Promise<void> | null {
    return this.runtime?.untilWhole ?? null;
  }

  drainDirty(writer: RecordWriter, maxBytes: number, relayed?: RecordWriter): number {
    if (this.runtime === null) return 0;
    const { keyspace } = this.runtime;
    keyspace.drainedOutdated = false;
    return drainDirty(keyspace, writer, maxBytes, relayed);
  }

  get drainedOutdated(): boolean {
    return this.runtime?.keyspace.drainedOutdated ?? false;
  }

  noteDirty(): () => boolean {
    return this.runtime === null ? () => true : noteDirty(this.runtime.keyspace);
  }

  markEverything(): void {
    if (this.runtime !== null) markEverything(this.runtime.keyspace);
  }

  /** A node that reads evicted keys back from MySQL alone brings everything there itself: it must find what it let go of. */
  get relayed(): RelayedTurns | null {
    const runtime = this.runtime;
    if (runtime === null || (runtime.keyspace.readsThrough && runtime.config.values['data-dir'] === null)) return null;
    return runtime.relayed;
  }

  published(): NodeProgress | null {
    const runtime = this.runtime;
    const replicator = runtime?.replicator ?? null;
    if (runtime === null || replicator === null) return null;
    const { incarnation } = replicator.settings;
    const { hi, lo } = replicator.lastPublished;
    return {
      incarnation: formatNodeId(incarnation.hi, incarnation.lo),
      node: formatNodeId(runtime.nodeHi, runtime.nodeLo),
      stamp: formatNodeId(hi, lo),
    };
  }
}
