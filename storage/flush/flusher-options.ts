/** What a flusher is built from. */
import type { DurableStore } from '../backends/backend.ts';
import type { MysqlPool } from '../backends/mysql-connections.ts';
import type { StoreEnvironment } from '../environment.ts';
import type { EngineEvents, EngineOptions, StoreEngine } from './flush-types.ts';

export interface FlusherOptions {
  /** Folder of the embedded store; null for none. */
  dataDir: string | null;
  /** See LevelStoreOptions. */
  bufferBytes?: number | undefined;
  /** A mysql:// URL, the application's own pool, or a store of its own; null for none. */
  mysql: string | MysqlPool | DurableStore | null;
  flushIntervalMs: number;
  /** Dirty registers that start a flush before its time. */
  dirtyCountMax?: number;
  connectTimeoutMs?: number;
  queryTimeoutMs?: number;
  /** Longest pause between two attempts to reach MySQL. */
  backoffMsMax?: number;
  /** After this silence of a peer in MySQL, its changes are brought there from here. */
  takeoverMs?: number;
  /** How far beyond the clock a row of MySQL may be stamped; later ones are quarantined. */
  futureMsMax?: () => number;
  /** The clock must not be before what the node itself has stamped. */
  environment: StoreEnvironment;
  /** Makes the stores; a worker thread with them unless it is given. */
  makeEngine?: MakeEngine | undefined;
}

/** Makes the engine behind a flusher, in whatever thread. */
export type MakeEngine = (options: EngineOptions, events: EngineEvents, environment: StoreEnvironment) => StoreEngine;
