/** What the parts of a runtime use of it, beside what commands see (node.ts). */
import type { RelayedTurns } from '../../storage/flush/relayed-turns.ts';
import type { Node } from '../node.ts';

export interface Runtime extends Node {
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
