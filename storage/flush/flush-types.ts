/** What the parts of the flusher say to each other, in one thread or across two. */
import type { RecordWriter } from '../../protocol/change-record.ts';
import type { OnRecords, QuarantinedRow } from '../backends/backend.ts';
import type { HeldQueue } from '../backends/held-queue.ts';
import type { SearchStep } from '../backends/key-search.ts';
import type { QueueBatch } from '../backends/level-queue.ts';
import type { NodeProgress } from '../backends/mysql-progress.ts';
import type { RefusedRow } from '../backends/mysql.ts';
import type { TornTail } from '../backends/torn-tail.ts';
import type { RelayedTurn, RelayedTurns } from './relayed-turns.ts';
import type { TakeRecords } from '../tombstones/removals.ts';

/** The keyspace as the flusher sees it. */
export interface FlushSource {
  /** Registers that the stores lack. */
  readonly dirtyCount: number;
  /** Appends dirty registers to the writer, oldest first, until it holds about maxBytes; returns how many, 0 = none is left. */
  drainDirty(writer: RecordWriter, maxBytes: number, relayed?: RecordWriter): number;
  /** Resolves when what is being written is whole and may be drained; null while it is. */
  readonly untilWhole?: Promise<void> | null;
  /** Whether the stores may have newer versions of what was drained last: of keys that were evicted and came back by a merge. */
  readonly drainedOutdated?: boolean;
  /** Asks, from the call on, whether all that is dirty at the call has been drained. */
  noteDirty(): () => boolean;
  /** Makes everything dirty: a store has lost what it had. */
  markEverything?(): void;
  /** What peers have sent and bring to MySQL themselves; null when they are not known to. */
  readonly relayed?: RelayedTurns | null;
  /** This node's run, and the last stamp that it has published; null when it publishes nothing. */
  published?(): NodeProgress | null;
}

export interface LevelStatus {
  directory: string;
  registersWritten: number;
  /** Why nothing can be written at the moment (a full disk); null when it can. */
  writeError: string | null;
  quarantinedCount: number;
  quarantined: QuarantinedRow[];
}

export interface MysqlStatus {
  server: string;
  state: 'connecting' | 'up' | 'down';
  /** Registers that wait for MySQL, about. */
  queuedCount: number;
  rowsWritten: number;
  lastError: string | null;
  /** Milliseconds since 1970; null when nothing has failed. */
  lastErrorAtMs: number | null;
  /** Milliseconds since 1970 when the oldest rows were taken that MySQL has not answered for; null when there are none. */
  waitingSinceMs: number | null;
  /** Rows that MySQL does not take; they stay in memory and in the embedded store. */
  refusedCount: number;
  refused: QuarantinedRow[];
  /** Lists of what peers are to bring to MySQL, and have not said to be there. */
  heldGenerations: number;
  /** Rows of peers that had gone, written by this node. */
  rowsTakenOver: number;
  /** Rows that could not be used when they were loaded. */
  quarantinedCount: number;
  quarantined: QuarantinedRow[];
}

export interface EngineStatus {
  level: LevelStatus | null;
  mysql: MysqlStatus | null;
}

/** Where the drainer gets registers for MySQL from; batches come oldest first. */
export interface DrainQueue {
  /** Null when nothing waits. */
  take(rowsMax: number, bytesMax: number): Promise<QueueBatch | null>;
  /** The batch is in MySQL, except for what it refused. */
  done(ticket: number, refused: RefusedRow[]): Promise<void>;
  /** How many registers wait or are taken and not done; rather too many than too few. */
  count(): Promise<number>;
}

/** The durable stores behind the flusher: in this thread, or in a worker. Failures are StoreErrors. */
export interface StoreEngine extends DrainQueue, HeldQueue {
  /** Resolves to what is left out at the end of the embedded store's logs. */
  open(): Promise<readonly TornTail[]>;
  /**
   * Gives a store's registers.
   * @param stampMsMax rows stamped later (ms since 1970) are quarantined
   */
  load(store: 'level' | 'mysql', stampMsMax: number, onRecords: OnRecords): Promise<void>;
  /**
   * Resolves when the records are durable: in the embedded store, or in MySQL when there is no embedded one. Keeps them and
   * retries as long as that can help; rejects when it cannot, or when the engine is closed first.
   * @param seen of records that peers bring to MySQL: up to where their streams may be in them. They are durable when they are
   * in the embedded store, or held in memory.
   * @param isGuarded the stores may have newer versions, which stay
   */
  write(records: Buffer, seen?: readonly RelayedTurn[] | null, isGuarded?: boolean): Promise<void>;
  /** Gives all registers of keys, as of all writes before the call (see DurableStore). */
  fetch(keys: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void>;
  /**
   * A step of a search for keys by their hashes (KeyHashes.bytes), in the store that `fetch` asks, as of all writes before the call; see
   * key-search.ts. Rejects with a StoreError, `refused` where the store cannot be searched.
   * @param from `next` of the step before, null for the first
   */
  search(hashes: Buffer, from: Buffer | null): Promise<SearchStep>;
  /** MySQL has what this node published up to there; others are told. */
  report(progress: NodeProgress): Promise<void>;
  /** Before close(): notes the progress in MySQL, and brings there what is held for peers in memory only. */
  leave(progress: NodeProgress | null): Promise<void>;
  /**
   * Takes what another store gave into the embedded store: newer versions only, and not marked for MySQL. Resolves to those; to null
   * when all of them were, or there is no embedded store.
   */
  merge(records: Buffer): Promise<Buffer | null>;
  /**
   * Takes registers, whose writes are durable, out of the stores, and with them what they have outlived: all that a store has
   * of their keys up to the newest version given of the key, or of a database up to its FLOOR, which itself stays. Waits until
   * MySQL has what was written before: otherwise an older row that comes late would stay. Not atomic: when it was interrupted
   * the registers given are still there, and it is to be repeated. Resolves to the keys (key-names.ts) that stay as they are: a
   * database that others write has newer rows of them, which would show without these.
   * @param stampMsMax rows stamped later (ms since 1970) are left out
   * @param onNewer takes the rows of the keys that stay; the next are read when it resolves
   */
  remove(registers: Buffer, stampMsMax: number, onNewer: TakeRecords): Promise<Buffer>;
  /** One part of remove(): gives what was outlived in the embedded store, in bounded pieces, and waits until each is dealt with. */
  outlived(registers: Buffer, onRecords: (records: Buffer) => Promise<void>): Promise<void>;
  /** The other part: takes out these registers alone. */
  removeExactly(registers: Buffer): Promise<void>;
  /** Marks all that the embedded store has for MySQL, which has lost it. Goes on at the next start when it was interrupted. */
  refill(): Promise<void>;
  /** Resolves when MySQL has everything that was written before the call. */
  drained(): Promise<void>;
  /** Copies the embedded store into a new data directory; resolves to the number of entries. */
  backUp(request: BackupRequest): Promise<number>;
  readMeta(name: string): Promise<Buffer | null>;
  writeMeta(name: string, bytes: Buffer): Promise<void>;
  /** Stops what is under way and closes the stores. */
  close(): Promise<void>;
}

/** Small facts that survive a restart in the embedded store. */
export interface SmallFacts {
  get(name: string): Promise<Buffer | null>;
  set(name: string, bytes: Buffer): Promise<void>;
}

export interface BackupRequest {
  directory: string;
  /** A copy that is there already is replaced. */
  isReplacing: boolean;
  /** Small facts that the copy is not to have. */
  withoutMeta: readonly string[];
}

export interface EngineEvents {
  onStatus(status: EngineStatus): void;
  /** MySQL has no row at all, and there is no embedded store to fill it from. */
  onEmptied(): void;
  /** The stores cannot be relied upon any more. */
  onFatal(error: Error): void;
}

/**
 * Takes rows of MySQL into memory. `keep` writes what it is given into the embedded store, newer versions only, and resolves to those as
 * StoreEngine.merge() does; it need not be awaited, and the records must stay as they are.
 */
export type TakeRows = (
  records: Buffer,
  keep: (records: Buffer) => Promise<Buffer | null>,
  rowsDone: number,
  rowsTotal: number,
) => Promise<void> | void;

/** Everything that can be sent to a worker. */
export interface EngineOptions {
  /** Directory of the embedded store; null for none. */
  directory: string | null;
  /** See LevelStoreOptions. */
  bufferBytes?: number | undefined;
  mysqlUrl: string | null;
  /** Mark registers for a MySQL that another thread writes. */
  isQueueing: boolean;
  connectTimeoutMs: number;
  queryTimeoutMs: number;
  /** Longest pause between two attempts to reach MySQL. */
  backoffMsMax: number;
  /** A peer that has noted nothing in MySQL for so long is taken for gone. */
  takeoverMs: number;
}

/** Time as the flusher needs it; a composition root may inject its own. */
export interface FlushTime {
  monotonicMs(): number;
  setTimer(delayMs: number, callback: () => void): { cancel(): void };
  /** Calls back in a later turn of the event loop. */
  defer(callback: () => void): void;
}

export interface FlusherStatus {
  dirtyCount: number;
  /** Registers handed to the stores and not durable yet. */
  registersInFlight: number;
  registersFlushed: number;
  flushesCompleted: number;
  /** Milliseconds since 1970 when all that had been dirty was durable; null before the first time. */
  lastFlushAtMs: number | null;
  lastFlushDurationMs: number;
  /** Why writes must be refused (a full disk); null when they need not. */
  writeError: string | null;
  level: LevelStatus | null;
  mysql: MysqlStatus | null;
  /** MySQL did not answer when the node started; its rows are merged when it does. */
  isMysqlLoadPending: boolean;
}
