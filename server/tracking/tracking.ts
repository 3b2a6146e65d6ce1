/**
 * Client-side caching. Reads of clients that track are remembered; when such a key changes, whoever has changed it, expires or is
 * evicted, those clients are told to drop it. Clients that broadcast are told of all keys with their prefixes.
 *
 * What a command has changed is told behind its reply to the client itself, and before it to the others; what a peer has changed at the
 * end of the turn, as is all that is broadcast. Messages to a client leave together.
 */
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import type { ArgumentSource } from '../../protocol/resp-request.ts';
import { ClientTracking, type TrackingSettings } from './client-tracking.ts';
import type { CommandOf } from '../definitions/command-definition.ts';
import { KeyCountError, keysOf } from '../definitions/key-extraction.ts';
import type { Session } from '../clients/session.ts';
import { type PrefixGroup, TrackedPrefixes } from './tracked-prefixes.ts';
import { type Readers, TrackingTable } from './tracking-table.ts';

/** Messages to a client are sent when they have grown to this, also in the middle of a turn. */
const BATCH_BYTES = 64 * 1024;
/** What a client's own command may make its messages grow to, which wait for the reply. Past it the client is told to drop all. */
const OWN_BYTES_MAX = 1024 * 1024;
/** A client that has not taken so much is closed, and has to drop its cache then: what changes is more than it reads. */
const UNREAD_BYTES_MAX = 64 * 1024 * 1024;
/** What the table may take, whatever `tracking-table-max-keys` is. */
const TABLE_BYTES_MAX = 256 * 1024 * 1024;
/** Keys that are taken out of a table that is over its limit, before other work gets its turn. */
const SHRINK_SLICE_KEYS = 1000;
/** What a message costs besides the key's name, about. */
const MESSAGE_BYTES = 40;

const INVALIDATE = 'invalidate';
const CHANNEL = '__redis__:invalidate';

/** A command that has run: in a transaction or a script when its session has not gone on to the next one with it. */
interface RunCommand extends ArgumentSource {
  readonly inTransaction: boolean;
}

/** What tracking asks of the node. */
export interface TrackingControl {
  /** Connected clients by id. */
  readonly sessions: ReadonlyMap<number, Session>;
  /** The client whose command is being run. */
  currentSession(): Session | null;
  /** Has `write` called behind the reply of the command that is being run; false, and nothing, when none is. */
  afterCommand(write: (reply: ReplyWriter) => void): boolean;
  /** Writes to a session outside of its own requests. */
  send(session: Session, write: (reply: ReplyWriter) => void): void;
  /** Calls back at the end of this turn of the event loop. */
  defer(work: () => void): void;
  /** Uniform in [0, 1). */
  random(): number;
  /** Keys that may be remembered; 0 for any number. */
  keysMax(): number;
  /** A client is closed because it does not read what it is told. */
  onSlow(session: Session): void;
}

/** What is to be told to one client: names of keys as latin1 text, and lists of keys that are encoded already. */
interface Pending {
  messages: (string | Buffer)[];
  bytes: number;
  /** All keys are to be dropped, and nothing needs to be said of single ones. */
  isAll: boolean;
}

/** Keys as one array of bulk strings. */
function encodeKeys(names: readonly string[]): Buffer {
  const parts: string[] = [`*${names.length}\r\n`];
  for (const name of names) parts.push(`$${name.length}\r\n${name}\r\n`);
  return Buffer.from(parts.join(''), 'latin1');
}

function writeInvalidation(reply: ReplyWriter, keys: string | Buffer | null): void {
  reply.push(reply.protocol === 3 ? 2 : 3);
  if (reply.protocol === 2) reply.bulkString('message');
  reply.bulkString(reply.protocol === 3 ? INVALIDATE : CHANNEL);
  if (keys === null) reply.nil();
  else reply.raw(typeof keys === 'string' ? encodeKeys([keys]) : keys);
}

export class Tracking {
  readonly #control: TrackingControl;
  readonly #clients = new Set<Session>();
  readonly #table = new TrackingTable();
  readonly #prefixes = new TrackedPrefixes();
  readonly #pending = new Map<Session, Pending>();
  #isFlushAwaited = false;
  #isBroadcastAwaited = false;
  #isShrinking = false;
  /** Called when the first client tracks, and when the last one no longer does. */
  onActive: () => void = () => {};

  constructor(control: TrackingControl) {
    this.#control = control;
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  get keyCount(): number {
    return this.#table.size;
  }

  /** Pairs of a key and a client. */
  get itemCount(): number {
    return this.#table.items;
  }

  get prefixCount(): number {
    return this.#prefixes.size;
  }

  /** What the table of keys takes, about. */
  get bytes(): number {
    return this.#table.bytes;
  }

  // ---- who tracks ----

  /** @param prefixes as latin1 text, none of which is a part of another one or of those that the client has */
  enable(session: Session, settings: TrackingSettings, prefixes: readonly string[]): void {
    const tracking = (session.tracking ??= new ClientTracking(settings));
    tracking.settings = settings;
    tracking.isRedirectBroken = false;
    tracking.isExcepted = false;
    const added = settings.broadcasts && prefixes.length === 0 ? [''] : prefixes;
    for (const prefix of added) {
      tracking.prefixes.add(prefix);
      this.#prefixes.add(session, prefix);
    }
    this.#clients.add(session);
    if (this.#clients.size === 1) this.onActive();
  }

  /** The client no longer tracks, or is gone. What is remembered of its reads goes with the keys. */
  disable(session: Session): void {
    const { tracking } = session;
    if (tracking === null) return;
    for (const prefix of tracking.prefixes) this.#prefixes.remove(session, prefix);
    session.tracking = null;
    this.#clients.delete(session);
    this.#pending.delete(session);
    if (this.#clients.size > 0) return;
    this.#table.clear();
    this.onActive();
  }

  // ---- reads ----

  /** A command of a session that tracks has run, by itself, in a transaction or in a script. */
  ran(call: RunCommand, command: CommandOf<never>, session: Session): void {
    const tracking = session.tracking!;
    // What a script reads is read by its commands.
    if (tracking.remembers && command.flags.includes('readonly') && command.group !== 'scripting') {
      this.#remember(call, command, session.id);
    }
    if (call.inTransaction || session.queued !== null || command.parent?.name === 'client') return;
    tracking.isExcepted = false;
  }

  #remember(call: RunCommand, command: CommandOf<never>, id: number): void {
    try {
      for (const { index } of keysOf(command, call)) {
        const start = call.starts[index];
        this.#table.add(call.buffer.toString('latin1', start, start + call.lengths[index]), id);
      }
    } catch (error) {
      // The command itself has said what is wrong with its arguments.
      if (!(error instanceof KeyCountError)) throw error;
    }
    this.shrink();
  }

  get #isOver(): boolean {
    const most = this.#control.keysMax();
    return (most > 0 && this.#table.size > most) || this.#table.bytes > TABLE_BYTES_MAX;
  }

  /** Forgets keys, whichever, while there are too many: their readers are told to drop them. */
  shrink(): void {
    for (let left = SHRINK_SLICE_KEYS; left > 0 && this.#isOver; left--) {
      const { name, readers } = this.#table.takeOne(this.#control.random());
      this.#invalidate(name, readers, null);
    }
    if (!this.#isOver || this.#isShrinking) return;
    this.#isShrinking = true;
    this.#control.defer(() => {
      this.#isShrinking = false;
      this.shrink();
    });
  }

  // ---- changes ----

  /** A key was changed, by whomever. */
  changed(key: Buffer, start: number, length: number): void {
    this.#note(key, start, length, this.#control.currentSession());
  }

  /** A key or a part of it has gone at its deadline, or has left memory: nobody's doing, also in the middle of a command. */
  lost(key: Buffer, start: number, length: number): void {
    this.#note(key, start, length, null);
  }

  #note(key: Buffer, start: number, length: number, writer: Session | null): void {
    if (this.#prefixes.size === 0 && this.#table.size === 0) return;
    const name = key.toString('latin1', start, start + length);
    if (this.#prefixes.size > 0) this.#prefixes.note(name, writer, (group) => this.#noted(group));
    const readers = this.#table.take(name);
    if (readers !== undefined) this.#invalidate(name, readers, writer);
  }

  #invalidate(name: string, readers: Readers, writer: Session | null): void {
    if (typeof readers === 'number') this.#invalidateAt(readers, name, writer);
    else for (const id of readers) this.#invalidateAt(id, name, writer);
  }

  #invalidateAt(id: number, name: string, writer: Session | null): void {
    const session = this.#control.sessions.get(id);
    const settings = session?.tracking?.settings;
    if (session === undefined || settings === undefined || settings.broadcasts) return;
    if (settings.noLoop && session === writer) return;
    this.#tell(session, name);
  }

  /** A database is emptied: clients know keys without their databases, and drop all. */
  flushed(): void {
    this.#table.clear();
    this.#prefixes.forgetChanges();
    for (const session of this.#clients) this.#tell(session, null);
  }

  // ---- what is broadcast ----

  #noted(group: PrefixGroup): void {
    if (group.bytes + group.changed.size * MESSAGE_BYTES > BATCH_BYTES) {
      this.#broadcast(group);
    } else if (!this.#isBroadcastAwaited) {
      this.#isBroadcastAwaited = true;
      this.#control.defer(() => {
        this.#isBroadcastAwaited = false;
        for (const each of this.#prefixes.groups) this.#broadcast(each);
        this.#flush(null);
      });
    }
  }

  #broadcast(group: PrefixGroup): void {
    const { changed } = group;
    if (changed.size === 0) return;
    const all = encodeKeys([...changed.keys()]);
    const writers = new Set(changed.values());
    for (const session of group.sessions) {
      if (session.tracking?.settings.noLoop !== true || !writers.has(session)) {
        this.#tell(session, all);
        continue;
      }
      const others: string[] = [];
      for (const [name, writer] of changed) if (writer !== session) others.push(name);
      if (others.length > 0) this.#tell(session, encodeKeys(others));
    }
    changed.clear();
    group.bytes = 0;
  }

  // ---- messages ----

  /** @param keys null for all that there are */
  #tell(session: Session, keys: string | Buffer | null): void {
    let pending = this.#pending.get(session);
    if (pending === undefined) {
      this.#pending.set(session, (pending = { messages: [], bytes: 0, isAll: false }));
      this.#flushSoon();
    }
    if (pending.isAll) return;
    if (keys === null || pending.bytes > OWN_BYTES_MAX) {
      pending.isAll = true;
      pending.messages = [];
      return;
    }
    pending.messages.push(keys);
    pending.bytes += keys.length + MESSAGE_BYTES;
    // A client's messages wait for the reply to its own command.
    if (pending.bytes > BATCH_BYTES && this.#targetOf(session) !== this.#control.currentSession()) {
      this.#pending.delete(session);
      this.#send(session, pending, null);
    }
  }

  /** Sends what is known to be invalid before anything else is answered. No command may be running. */
  tellNow(): void {
    if (this.#pending.size > 0) this.#flush(null);
  }

  #flushSoon(): void {
    if (this.#isFlushAwaited) return;
    this.#isFlushAwaited = true;
    if (!this.#control.afterCommand((reply) => this.#flush(reply))) this.#control.defer(() => this.#flush(null));
  }

  /** @param reply that of the command that has just run, behind which its client's messages are written; null when none has */
  #flush(reply: ReplyWriter | null): void {
    this.#isFlushAwaited = false;
    const pending = [...this.#pending];
    this.#pending.clear();
    for (const [session, messages] of pending) this.#send(session, messages, reply);
  }

  /** Who is told of what the client tracks; null when it has gone. */
  #targetOf(session: Session): Session | null {
    const redirect = session.tracking?.settings.redirect ?? 0;
    if (redirect === 0) return session;
    const target = this.#control.sessions.get(redirect);
    return target === undefined || target.closing ? null : target;
  }

  #send(session: Session, { messages, isAll }: Pending, reply: ReplyWriter | null): void {
    const { tracking } = session;
    if (tracking === null) return;
    const target = this.#targetOf(session);
    if (target === null) {
      tracking.isRedirectBroken = true;
      if (session.protocol === 3) this.#write(session, reply, (late) => writeBroken(late, tracking.settings.redirect));
      return;
    }
    // With RESP2 there is no telling what is no reply, but for a client that listens to channels.
    const isListening = tracking.settings.redirect !== 0 && target.subscriptions !== null;
    if (target.protocol === 2 && !isListening) return;
    this.#write(target, reply, (late) => {
      late.protocol = target.protocol;
      if (isAll) writeInvalidation(late, null);
      for (const keys of messages) writeInvalidation(late, keys);
    });
  }

  #write(target: Session, reply: ReplyWriter | null, write: (reply: ReplyWriter) => void): void {
    if (reply !== null && target === this.#control.currentSession()) {
      write(reply);
    } else if (target.transport.pendingBytes > UNREAD_BYTES_MAX) {
      this.#control.onSlow(target);
      target.closing = true;
      target.transport.destroy();
    } else {
      this.#control.send(target, write);
    }
  }
}

function writeBroken(reply: ReplyWriter, id: number): void {
  reply.push(2);
  reply.bulkString('tracking-redir-broken');
  reply.integer(id);
}
