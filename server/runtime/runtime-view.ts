/** What the parts of a runtime use of it, beside what commands see (node.ts). */
import type { DurableStore } from '../../storage/backends/backend.ts';
import type { MysqlPool } from '../../storage/backends/mysql-connections.ts';
import type { RelayedTurns } from '../../storage/flush/relayed-turns.ts';
import type { ProcessMemory } from '../memory/process-memory.ts';
import type { Loading, Node } from '../node.ts';

export interface Runtime extends Node {
  /** Resolves when what is being written is whole: a script was taken out of its turn. Null while it is. */
  readonly untilWhole: Promise<void> | null;
  /** What peers have sent and bring to MySQL themselves. */
  readonly relayed: RelayedTurns;
  /** Moves the persisted bound of the clock ahead when it is near. */
  renewClockBound(): Promise<void>;
  /** Keeps over a restart who the members are, and how far tombstones may be dropped. */
  keepHorizon(nowMs: number): Promise<void>;
  /** Merges what a database that others write has of keys that this node would forget, as at the start. */
  takeRows(records: Buffer): Promise<void>;
  /** Tombstones up to here may be dropped. */
  readonly reapedStamp: { readonly hi: number; readonly lo: number };
}

export interface RuntimeOptions {
  /** Serve RESP clients; the library can do without. */
  listen: boolean;
  /** A mysql2 pool instead of the `mysql` option, or another durable store. */
  mysqlPool?: MysqlPool | DurableStore;
  /** Told how far loading is. */
  onLoading?: (loading: Loading) => void;
  /** Called once the node has stopped, whoever asked for it. */
  onStopped?: () => void;
  /** Given when the process is nothing but this node: then `maxmemory` bounds its growth. */
  processMemory?: ProcessMemory;
}
