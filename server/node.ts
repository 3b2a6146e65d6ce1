/** A running node as its commands see it. `server/runtime.ts` builds it. */
import type { Logger } from 'pino';
import type { ReplyWriter } from '../protocol/resp-reply.ts';
import type { ArgumentSource } from '../protocol/resp-request.ts';
import type { Applied } from '../replication/stream/applied.ts';
import type { Replicator } from '../replication/replicator.ts';
import type { Flusher } from '../storage/flush/flusher.ts';
import type { Verification } from '../storage/verification/verification.ts';
import type { Keyspace } from '../storage/keyspace.ts';
import type { ReadThrough } from '../storage/eviction/read-through.ts';
import type { Blocking } from './waiting/blocking.ts';
import type { CommandTable } from './definitions/command-table.ts';
import type { ClientMemory } from './clients/client-memory.ts';
import type { Config } from './config/config.ts';
import type { KeyWaiters } from './waiting/key-waiters.ts';
import type { KeyspaceEvents } from './pubsub/keyspace-events.ts';
import type { MemoryBound } from './memory/memory-bound.ts';
import type { ScriptControl } from './scripts/script-control.ts';
import type { Users } from './acl/users.ts';
import type { PubSub } from './pubsub/pubsub.ts';
import type { Session } from './clients/session.ts';
import type { Statistics } from './monitoring/statistics.ts';
import type { Outbound } from './migration/target-connection.ts';
import type { Tracking } from './tracking/tracking.ts';
import type { QueuedCommands } from './transactions/transaction.ts';
import type { WatchTable } from './transactions/watch-table.ts';

/** How far the durable stores are loaded; `done` of `total` registers, total 0 while unknown. */
export interface Loading {
  startedAtMs: number;
  done: number;
  total: number;
}

/** When and how well the content was last made durable. */
export interface SaveState {
  lastSaveAtMs: number;
  lastSaveOk: boolean;
  /** How long the last one took; −1 before there was one. */
  lastSaveSeconds: number;
  saving: boolean;
  changesAtLastSave: number;
  /** Bytes that this start has left out at the ends of logs: of writes that were cut short, and those that may not have been. */
  tornBytes: number;
  doubtfulBytes: number;
}

export interface ShutdownRequest {
  /** Flush before stopping: SHUTDOWN NOSAVE does not. */
  save: boolean;
  force: boolean;
  now: boolean;
}

export type PauseMode = 'all' | 'write';

export interface Room {
  /**
   * Frees some when it can.
   * @param isHolding nothing may be evicted before the command has run
   */
  hasRoom(isHolding?: boolean): boolean;
  /** Frees some before commands that need none, where the data is beyond its bound. */
  makeRoom(): void;
  /** Frees some between commands, where the data is beyond its bound. */
  relieveSoon(): void;
  /** What the process takes besides what is counted, and where eviction begins because of it. */
  readonly bound: MemoryBound;
  /** Nothing is evicted for the moment: a transaction or a script counts on the keys that it has. */
  isHolding: boolean;
}

/** What commands ask of the dispatcher. */
export interface CommandControl {
  /** Runs queued commands for EXEC, whose checks the caller has made, and writes their replies as an array. */
  executeQueued(session: Session, queued: QueuedCommands, reply: ReplyWriter): void;
  /** Writes to a session outside its own requests: a wait that has ended, a message. */
  sendTo(session: Session, write: (reply: ReplyWriter) => void): void;
  /** Whose command is being run. */
  readonly currentSession: Session | null;
  /** Runs what a session has sent since its wait began. */
  resume(session: Session): void;
  /** CLIENT PAUSE: puts off commands until then (milliseconds since 1970), all or those that write. */
  pauseClients(untilMs: number, mode: PauseMode): void;
  unpauseClients(): void;
  readonly isPausing: boolean;
  readonly pauseMode: PauseMode;
  /** Clients with a command that CLIENT PAUSE has put off. */
  readonly pausedCount: number;
  /** Every command is timed, and not only some of those that are never slow. */
  readonly timesAll: boolean;
  /** Asked whether there is room for a command that may need memory. */
  memory: Room | null;
  /** Sees every command before it runs, for MONITOR. */
  monitor: ((session: Session, call: ArgumentSource) => void) | null;
}

export interface Node {
  readonly config: Config;
  readonly keyspace: Keyspace;
  readonly commands: CommandTable;
  /** Who may connect, and what they may do. */
  readonly users: Users;
  readonly dispatcher: CommandControl;
  /** Connected clients by id. */
  readonly sessions: Map<number, Session>;
  readonly clientMemory: ClientMemory;
  readonly statistics: Statistics;
  readonly watches: WatchTable;
  readonly blocking: Blocking;
  readonly keyWaiters: KeyWaiters;
  readonly scripting: ScriptControl;
  readonly pubsub: PubSub;
  readonly keyspaceEvents: KeyspaceEvents;
  readonly tracking: Tracking;
  /** How commands reach other servers. */
  readonly outbound: Outbound;
  readonly log: Logger;
  /** This node's 64-bit id, as two halves. */
  readonly nodeHi: number;
  readonly nodeLo: number;
  /** 40 hexadecimal digits, new at every start. */
  readonly runId: string;
  readonly startedAtMs: number;
  readonly save: SaveState;
  /** What this node has of each writer. */
  readonly applied: Applied;
  /** Null on a node without a peer port. */
  readonly replicator: Replicator | null;
  /** Null on a node without durable stores. */
  readonly flusher: Flusher | null;
  /** Reads evicted keys back; null when `read-through` is off. */
  readonly readThrough?: ReadThrough | null;
  /** Null once everything local is loaded. */
  loading: Loading | null;
  /** Why writes are refused at the moment, as an error reply `MISCONF …`; null when they are not. */
  writeRefusal: string | null;
  /** Peers that must be linked for writes to be taken: `min-replicas-to-write`. */
  peersToWrite: number;
  /** Keys are taken away at their deadline also when nobody looks at them; DEBUG SET-ACTIVE-EXPIRE 0 turns it off. */
  activeExpiry: boolean;
  /** Uniform in [0, 1). */
  random(): number;
  /** Milliseconds that never go back, with fractions. */
  monotonicMs(): number;
  /** Makes everything written so far durable; rejects when it cannot. Resolves at once without durable stores. */
  saveNow(): Promise<void>;
  /** As saveNow, and copies the embedded store to `backup-dir`, over the copy before. */
  saveCopy(): Promise<void>;
  /** Copies the embedded store into a new data directory while the node serves; resolves to the number of entries. */
  backUp(directory: string): Promise<number>;
  /** Compares memory with the durable stores; with `isRepairing`, each of them gets what it lacks. */
  verify(isRepairing: boolean): Promise<Verification>;
  /** Stops the node; resolves when it has stopped. Rejects, and goes on, when saving failed and `force` is not set. */
  shutdown(request: ShutdownRequest): Promise<void>;
}
