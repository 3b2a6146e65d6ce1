/** What `durability` promises of a write before it is answered, and how the promise is kept. */
import { join } from 'node:path';
import { LENT_BYTES_MAX } from '../../protocol/change-record.ts';
import type { Replicator } from '../../replication/replicator.ts';
import { StoreError } from '../../storage/backends/backend.ts';
import type { Flusher } from '../../storage/flush/flusher.ts';
import type { TornTail } from '../../storage/backends/torn-tail.ts';
import { Journal, type JournalFolder } from '../../storage/journal/journal.ts';
import { JOURNAL_FOLDER } from '../../storage/journal/journal-folder.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { applyRecords } from '../../storage/merging/merge.ts';
import { CommitGate } from './commit-gate.ts';
import type { Config } from '../config/config.ts';
import type { Logger } from 'pino';
import type { SaveState } from '../node.ts';
import type { Session } from '../clients/session.ts';

/** So much of a journal is brought to the embedded store before its time. */
const FLUSHED_BYTES = 96 << 20;
const JOURNAL_FLUSH_MS = 4000;
const TORN = 'a file ends in a write that was cut short, and that is left out: nobody was told that it is on the disk';
const DOUBTFUL =
  'the end of a file is not as it was written, and is left out. When the power was cut, that write was under way and nobody was told ' +
  'that it is on the disk; otherwise the disk has changed what was acknowledged: peers and MySQL have what they were sent, a backup the rest';

export interface JournalEnvironment {
  /** Opens a folder for the journal; without it `durability always` waits for flushes. */
  readonly journalFolder?: ((path: string) => JournalFolder) | undefined;
}

/** The node whose writes these are. */
export interface CommittingNode {
  readonly config: Config;
  readonly keyspace: Keyspace;
  readonly log: Logger;
  readonly save: SaveState;
  readonly flusher: Flusher | null;
  readonly replicator: Replicator | null;
  /** Sends this turn's changes to the peers, and gives them to `append`. */
  publish(): void;
  /** Resolves when what is being written is whole; null while it is. */
  readonly untilWhole: Promise<void> | null;
  /** The stores must not be relied upon any more. */
  onStoreError(error: Error): void;
}

/** The journal of a data directory; null where there is none. */
export function openJournal(dataDir: string | null, environment: JournalEnvironment): Journal | null {
  const { journalFolder } = environment;
  return dataDir === null || journalFolder === undefined
    ? null
    : new Journal(journalFolder(join(dataDir, JOURNAL_FOLDER)));
}

export class Commits {
  readonly #node: CommittingNode;
  readonly #journal: Journal | null;
  #isWriting = false;
  #hasFallenBack = false;
  #isFlushing = false;

  /** @param journal null where there is no data directory */
  constructor(node: CommittingNode, journal: Journal | null) {
    this.#node = node;
    this.#journal = journal;
    if (journal === null) return;
    journal.onLeftOver = (error) => node.log.error({ err: error }, 'a file of the journal cannot be removed');
  }

  /** The gate that holds replies until the mode's promise is kept; null for a mode that promises nothing first. */
  makeGate(
    release: (session: Session, replies: Buffer) => void,
    defer: (callback: () => void) => void,
  ): CommitGate | null {
    const { mode } = this.#node.config.values.durability;
    if (mode === 'memory' || mode === 'interval') return null;
    return new CommitGate(
      () => this.commit(),
      release,
      (session, reason) => this.#refuse(session, reason),
      defer,
    );
  }

  #refuse(session: Session, reason: unknown): void {
    this.#node.log.error(
      { err: reason },
      'a write could not be made as durable as durability asks; its client is disconnected',
    );
    session.transport.destroy();
  }

  /** Merges what an earlier run has acknowledged and not flushed, and begins to write the journal where the mode asks for it. */
  async start(): Promise<void> {
    const journal = this.#journal;
    if (journal === null) return;
    const { config, keyspace, log } = this.#node;
    const frames = await journal.replay((records) => applyRecords(keyspace, records, 0, records.length));
    if (frames > 0) log.info({ frames, bytes: journal.bytes }, 'the journal of the last run is merged');
    for (const tail of [...(this.#node.flusher?.tornTails ?? []), ...journal.tornTails]) this.#noteTornTail(tail);
    this.#isWriting = config.values.durability.mode === 'always';
    keyspace.feeding ||= this.#isWriting;
    const { flusher } = this.#node;
    if (flusher !== null) flusher.flushIntervalMs = this.flushIntervalMs(config.values['flush-interval']);
  }

  #noteTornTail(tail: TornTail): void {
    const { log, save } = this.#node;
    if (tail.isDoubtful) {
      save.doubtfulBytes += tail.bytes;
      log.warn(tail, DOUBTFUL);
    } else {
      save.tornBytes += tail.bytes;
      log.warn(tail, TORN);
    }
  }

  /** What start() has merged is brought to the embedded store, and its files are gone then. */
  settle(): void {
    if (this.journalBytes === 0) return;
    // A failure was told to onError already.
    this.#node.flusher?.flushNow().catch(() => undefined);
  }

  /** Takes the changes of a turn, as RecordWriter.lend() gives them. */
  append(records: Buffer): void {
    if (this.#isWriting) this.#journal?.append(records, records.length > LENT_BYTES_MAX);
  }

  /** A flush begins; what it gives back is to be called when it is done. */
  beginFlush(): () => void {
    const end = this.#journal?.beginFlush();
    return () => {
      end?.();
      this.#dropWhenFlushed();
    };
  }

  /** Nothing follows that would flush again what a flush has overtaken on its way to the journal. */
  #dropWhenFlushed(): void {
    if (this.#node.flusher?.isClean === true && this.journalBytes > 0) this.#journal?.beginFlush()();
  }

  /** Bytes of acknowledged changes that the next flush has yet to bring to the embedded store; 0 without a journal. */
  get journalBytes(): number {
    return this.#journal?.bytes ?? 0;
  }

  /** Resolves when everything written so far is as durable as the mode promises; rejects when that cannot be. */
  async commit(): Promise<void> {
    const { config, flusher } = this.#node;
    const { durability } = config.values;
    if (this.#node.untilWhole !== null) await this.#node.untilWhole;
    this.#node.publish();
    if (durability.mode === 'always') await this.#sync();
    else if (durability.mode === 'mysql') await flusher?.flushMysqlNow();
    else if (durability.mode === 'replicas') await this.#awaitReplicas(durability.replicas);
  }

  async #sync(): Promise<void> {
    const { flusher, log } = this.#node;
    const journal = this.#isWriting ? this.#journal : null;
    if (journal === null || journal.isFull) {
      await flusher?.flushNow();
      return;
    }
    if (journal.bytes > FLUSHED_BYTES && !this.#isFlushing) this.#flushBeside();
    try {
      await journal.sync();
      this.#hasFallenBack = false;
      this.#dropWhenFlushed();
    } catch (error) {
      if (!(error instanceof StoreError) || error.kind === 'damaged') {
        this.#node.onStoreError(error as Error);
        throw error;
      }
      if (!this.#hasFallenBack)
        log.warn({ err: error }, 'the journal cannot be written; commits wait for a flush instead');
      this.#hasFallenBack = true;
      await flusher?.flushNow();
    }
  }

  /** Before the journal is full, and without anybody waiting for it. */
  #flushBeside(): void {
    this.#isFlushing = true;
    const done = (): void => void (this.#isFlushing = false);
    this.#node.flusher?.flushNow().then(done, done);
  }

  /**
   * How often to flush. Where the journal keeps the promise and no database is read by others, a flush less often writes a register
   * that changes again and again less often.
   */
  flushIntervalMs(configuredMs: number): number {
    const isEnough = this.#isWriting && this.#node.flusher?.hasDatabase === false;
    return isEnough ? Math.max(configuredMs, JOURNAL_FLUSH_MS) : configuredMs;
  }

  async #awaitReplicas(count: number): Promise<void> {
    const { replicator, config } = this.#node;
    const stamp = replicator?.lastPublished ?? { hi: 0, lo: 0 };
    const timeoutMs = config.values['peer-timeout'];
    const reached = (await replicator?.waitForAcks(stamp, count, timeoutMs)) ?? 0;
    if (reached < count) throw new Error(`${reached} of ${count} peers have acknowledged within ${timeoutMs} ms`);
  }

  /** After the last flush. */
  async close(): Promise<void> {
    await this.#journal?.close();
  }
}
