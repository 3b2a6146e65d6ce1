/** What a node knows of one client, whichever way it is connected. */
import type { Written } from '../../protocol/written.ts';
import type { RequestDecoder } from '../../protocol/resp-request.ts';
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import { type User, unrestrictedUser } from '../acl/user.ts';
import type { ClientTracking } from '../tracking/client-tracking.ts';
import type { Subscriptions } from '../pubsub/subscriptions.ts';
import type { QueuedCommands } from '../transactions/transaction.ts';

/** How a session's replies leave; sockets implement it, and so do scripts and the library. */
export interface Transport {
  /**
   * Sends `source.buffer[start, end)`. When not all of it could be sent at once the transport keeps that buffer and
   * gives the source another one; otherwise the source may go on using it.
   * @param canWait it may be sent later in the same turn of the event loop
   */
  send(source: { buffer: Buffer }, start: number, end: number, canWait?: boolean): void;
  /** Bytes that the client has yet to take. */
  readonly pendingBytes: number;
  /** Sends what is pending, then closes. */
  close(): void;
  /** Closes at once. */
  destroy(): void;
  /** Stops reading from the client, for as long as it is paused. */
  pause(): void;
  resume(): void;
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly fileDescriptor: number;
}

/** CLIENT REPLY. 'skip' drops the replies to the next command. */
export type ReplyMode = 'on' | 'off' | 'skip-next' | 'skip';

/**
 * A command that waits, and what becomes of it: a reply; for a timeout `onCancel`, then `onTimeout`; or `onCancel` alone when
 * the client is gone.
 */
export interface Blocked {
  /** The command's name, for CLIENT LIST. */
  readonly commandName: string;
  /** Monotonic milliseconds; Infinity for no timeout. */
  readonly deadlineMs: number;
  /** Writes the reply for a timeout, or for CLIENT UNBLOCK. */
  onTimeout(reply: ReplyWriter): void;
  /** Lets go of whatever would wake it: the client is gone, or was unblocked. */
  onCancel(): void;
  /** Called when it has its reply: for the slow log, which tells of the command then. */
  onServed: (() => void) | null;
}

/** Whom a session belongs to until somebody says otherwise; a server's clients begin as its default user. */
const ANYBODY = unrestrictedUser('default', 0);

export class Session {
  readonly id: number;
  readonly transport: Transport;
  readonly decoder: RequestDecoder;
  /** Milliseconds since 1970. */
  readonly connectedAtMs: number;
  name = '';
  libraryName = '';
  libraryVersion = '';
  #user = ANYBODY;
  #authenticated = false;
  /** It has authenticated as one who may do everything: there is nothing to ask before its commands. */
  isUnrestricted = false;
  protocol: 2 | 3 = 2;
  /** The number of the selected database. */
  database = 0;
  replyMode: ReplyMode = 'on';
  /** Milliseconds since 1970 at its last command. */
  activeAtMs: number;
  lastCommand = '';
  commandCount = 0;
  /** Commands that its scripts have called. */
  scriptCommandCount = 0;
  bytesIn = 0;
  bytesOut = 0;
  noEvict = false;
  noTouch = false;
  /** No more commands are read: QUIT, or an error in the protocol. */
  closing = false;
  blocked: Blocked | null = null;
  /** Commands wait for another reason than a blocked one: CLIENT PAUSE, or replies that the client does not take. */
  held = false;
  /** The command that CLIENT PAUSE has put off. */
  deferred: QueuedCommands | null = null;

  /** What it listens to; null while that is nothing. */
  subscriptions: Subscriptions | null = null;
  /** How its reads are tracked for its cache; null while they are not. */
  tracking: ClientTracking | null = null;
  /** Since when (milliseconds since 1970) it leaves more unread than its soft limit; 0 while it does not. */
  overSoftLimitSinceMs = 0;

  /** Set between MULTI and EXEC. */
  queued: QueuedCommands | null = null;
  /** What WATCH watches: `database:key` as latin1 text. */
  watched: Set<string> | null = null;
  /** A watched key has changed: EXEC will answer nil. */
  watchBroken = false;

  /** The stamp of its last write, for WAIT. */
  lastWriteHi = 0;
  lastWriteLo = 0;
  /** What it has waited for with MANTIS AWAIT: its later tokens cover that too. */
  awaited: readonly Written[] = [];

  constructor(id: number, transport: Transport, decoder: RequestDecoder, nowMs: number) {
    this.id = id;
    this.transport = transport;
    this.decoder = decoder;
    this.connectedAtMs = nowMs;
    this.activeAtMs = nowMs;
  }

  get user(): User {
    return this.#user;
  }

  /** Has to be set again when the user has changed. */
  set user(user: User) {
    this.#user = user;
    this.isUnrestricted = this.#authenticated && user.isUnrestricted;
  }

  get authenticated(): boolean {
    return this.#authenticated;
  }

  set authenticated(isSo: boolean) {
    this.#authenticated = isSo;
    this.isUnrestricted = isSo && this.#user.isUnrestricted;
  }
}
