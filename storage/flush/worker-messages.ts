/** The messages between the main thread (remote-engine.ts) and the flush worker (flush-worker.ts). */
import { isNativeError } from 'node:util/types';
import { StoreError, type StoreErrorKind } from '../backends/backend.ts';
import type { RefusedRow } from '../backends/mysql.ts';
import type { NodeProgress } from '../backends/mysql-progress.ts';
import type { BackupRequest, EngineStatus } from './flush-types.ts';
import type { RelayedTurn } from './relayed-turns.ts';

/** A call of a StoreEngine's method. Buffers arrive as Uint8Arrays. */
export type EngineMethod =
  | { name: 'open' | 'drained' | 'refill' | 'count' | 'close' }
  | { name: 'load'; store: 'level' | 'mysql'; stampMsMax: number }
  | { name: 'write'; records: Uint8Array; seen: readonly RelayedTurn[] | null; isGuarded: boolean }
  | { name: 'backUp'; request: BackupRequest }
  | { name: 'report'; progress: NodeProgress }
  | { name: 'leave'; progress: NodeProgress | null }
  | { name: 'heldGenerations' }
  | { name: 'readHeld'; generation: number; from: Uint8Array | null }
  | { name: 'releaseHeld'; generation: number; refused: RefusedRow[] }
  | { name: 'merge' | 'outlived' | 'removeExactly'; records: Uint8Array }
  | { name: 'remove'; records: Uint8Array; stampMsMax: number }
  | { name: 'fetch'; keys: Uint8Array }
  | { name: 'search'; hashes: Uint8Array; from: Uint8Array | null }
  | { name: 'readMeta'; key: string }
  | { name: 'writeMeta'; key: string; bytes: Uint8Array }
  | { name: 'take'; rowsMax: number; bytesMax: number }
  | { name: 'done'; ticket: number; refused: RefusedRow[] };

export type ToWorker =
  | { type: 'call'; id: number; call: EngineMethod }
  /** One slice of what a call gives in pieces, with this id was used up. */
  | { type: 'credit'; id: number };

export type FromWorker =
  | { type: 'result'; id: number; value: unknown }
  | { type: 'failed'; id: number; failure: Failure }
  | { type: 'records'; id: number; records: Uint8Array; rowsDone: number; rowsTotal: number }
  | { type: 'status'; status: EngineStatus }
  | { type: 'emptied' }
  | { type: 'fatal'; failure: Failure };

/** An error that can be sent: which kind of StoreError, or null for our own mistake. */
export interface Failure {
  kind: StoreErrorKind | null;
  message: string;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof StoreError) return { kind: error.kind, message: error.message };
  return { kind: null, message: isNativeError(error) ? (error.stack ?? error.message) : String(error) };
}

export function errorOf({ kind, message }: Failure): Error {
  return kind === null ? new Error(message) : new StoreError(kind, message);
}
