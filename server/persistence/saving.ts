/** SAVE, BGSAVE and backups: everything made durable now, and copies of it. */
import { resolve } from 'node:path';
import type { Flusher } from '../../storage/flush/flusher.ts';
import { type Verification, Verifier } from '../../storage/verification/verification.ts';
import type { ConfigValues } from '../config/option-table.ts';
import { FACTS_OF_A_CLEAN_STOP } from './identity.ts';
import type { Node, SaveState } from '../node.ts';

/** In Redis 0 is for a stop that waits for no replica: it saves all the same. */
const FLUSH_TIMEOUT_MS = 10_000;

/** Of a node that starts: as if all had just been saved. */
export function newSaveState(nowMs: number): SaveState {
  return {
    lastSaveAtMs: nowMs,
    lastSaveOk: true,
    lastSaveSeconds: -1,
    saving: false,
    changesAtLastSave: 0,
    tornBytes: 0,
    doubtfulBytes: 0,
  };
}

/** How long a stop may take with its flush. */
export function stopTimeoutMs(values: ConfigValues): number {
  return values['shutdown-timeout'] || FLUSH_TIMEOUT_MS;
}

export class Saving {
  readonly #node: Node;
  readonly #defer: (callback: () => void) => void;
  #isVerifying = false;

  /** @param defer calls back in a later turn of the event loop */
  constructor(node: Node, defer: (callback: () => void) => void) {
    this.#node = node;
    this.#defer = defer;
  }

  now(): Promise<void> {
    return this.#by(async () => this.#node.flusher?.flushNow());
  }

  /** To the folder of BGSAVE, over the copy before; without an embedded store, or with `backup-dir none`, only flushes. */
  copy(): Promise<void> {
    const { 'data-dir': dataDir, 'backup-dir': named } = this.#node.config.values;
    if (dataDir === null || named.toLowerCase() === 'none') return this.now();
    const directory = resolve(named === '' ? `${dataDir}-backup` : named);
    return this.#by(async () => void (await this.#copyTo(directory, true)));
  }

  /** Into a new data directory; resolves to the number of entries. */
  backUp(directory: string): Promise<number> {
    return this.#copyTo(directory, false);
  }

  async verify(isRepairing: boolean): Promise<Verification> {
    if (this.#isVerifying) throw new Error('a verification is under way');
    this.#isVerifying = true;
    try {
      const stores = storesOf(this.#node).verified();
      const onTaken = (records: Buffer): void => this.#node.replicator?.noteLoaded(records);
      return await new Verifier(this.#node.keyspace, stores, isRepairing ? onTaken : null, this.#defer).run();
    } finally {
      this.#isVerifying = false;
    }
  }

  async #copyTo(directory: string, isReplacing: boolean): Promise<number> {
    const node = this.#node;
    const startedMs = node.monotonicMs();
    const entries = await storesOf(node).backUp({ directory, isReplacing, withoutMeta: FACTS_OF_A_CLEAN_STOP });
    node.log.info(
      { directory, entries, ms: Math.round(node.monotonicMs() - startedMs) },
      'the embedded store is copied',
    );
    return entries;
  }

  async #by(work: () => Promise<void>): Promise<void> {
    const { save, keyspace, statistics } = this.#node;
    const startedMs = this.#node.monotonicMs();
    save.saving = true;
    const { changes } = keyspace;
    try {
      await work();
      save.lastSaveOk = true;
      save.lastSaveSeconds = Math.floor((this.#node.monotonicMs() - startedMs) / 1000);
      statistics.saves++;
      save.lastSaveAtMs = keyspace.clock.refresh();
      save.changesAtLastSave = changes;
    } catch (error) {
      save.lastSaveOk = false;
      throw error;
    } finally {
      save.saving = false;
    }
  }
}

function storesOf({ flusher }: Node): Flusher {
  if (flusher === null) throw new Error('there are no durable stores: data-dir is none and mysql is empty');
  return flusher;
}
