/**
 * Who waits for which keys: BLPOP, BLMOVE, BZPOPMIN, XREAD BLOCK and their kin. A key that changes, by a command, a merge or a
 * deadline, becomes ready; those that wait for it are then tried in the order in which they came, at the end of the command or
 * transaction that changed it.
 */
import { ReplyWriter } from '../../protocol/resp-reply.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import type { Blocking } from './blocking.ts';
import type { KeyspaceEvents } from '../pubsub/keyspace-events.ts';
import type { Session } from '../clients/session.ts';

/** What a waiting command would take. When one that waits for a list finds nothing at a key, no other one will. */
export type WaitKind = 'list' | 'sorted set' | 'stream';

export interface KeyWait {
  readonly kind: WaitKind;
  readonly commandName: string;
  /** Milliseconds; 0 waits for ever. */
  readonly timeoutMs: number;
  /** The number of the database that the keys are in. */
  readonly database: number;
  /** The command's arguments, for keyspace events. */
  readonly words: readonly Buffer[];
  /** Copies of the keys' names. */
  readonly keys: readonly Buffer[];
  /** The wait ends, with an error, also when a key goes: XREADGROUP. */
  readonly endsWithoutKey?: boolean;
  /**
   * One of the keys has changed. When there is something for the command at it: does what the command does, writes the reply
   * and returns true. Otherwise leaves everything as it is and returns false.
   */
  attempt(key: Buffer, reply: ReplyWriter): boolean;
  /** Writes the reply for when the time is over. */
  onTimeout(reply: ReplyWriter): void;
}

interface Waiter {
  readonly session: Session;
  readonly wait: KeyWait;
}

type Queues = Map<WaitKind, Set<Waiter>>;

function nameOf(database: number, key: Buffer, start: number, length: number): string {
  return `${database}:${key.toString('latin1', start, start + length)}`;
}

export class KeyWaiters {
  readonly #keyspace: Keyspace;
  readonly #blocking: Blocking;
  readonly #queues = new Map<string, Queues>();
  /** Changed keys that somebody waits for, in the order in which they changed. */
  readonly #ready = new Set<string>();
  readonly #reply = new ReplyWriter();
  #isServing = false;
  events: KeyspaceEvents | null = null;
  /** Asked whether a session may still do what it waits for; the error reply when it may not. */
  refusal: (session: Session, wait: KeyWait) => string | null = () => null;
  /** Called when the first key is waited for, and when the last one no longer is. */
  onActive: () => void = () => {};
  /** Called when a key has become ready: `serve` has to be called in this turn of the event loop or the next one. */
  onReady: () => void = () => {};

  constructor(keyspace: Keyspace, blocking: Blocking) {
    this.#keyspace = keyspace;
    this.#blocking = blocking;
  }

  /** Keys that are waited for. */
  get size(): number {
    return this.#queues.size;
  }

  /** Keys that somebody waits for whose wait ends when they go. */
  get sizeEndingWithoutKey(): number {
    let count = 0;
    for (const queues of this.#queues.values()) {
      const waiters = [...queues.values()].flatMap((queue) => [...queue]);
      if (waiters.some(({ wait }) => wait.endsWithoutKey === true)) count++;
    }
    return count;
  }

  get hasReady(): boolean {
    return this.#ready.size > 0;
  }

  /** Makes the session wait until `attempt` succeeds at one of the keys. The caller has found that it does not now. */
  wait(session: Session, wait: KeyWait): void {
    const waiter = { session, wait };
    this.#blocking.block(session, wait.timeoutMs, {
      commandName: wait.commandName,
      onTimeout: (reply) => wait.onTimeout(reply),
      onCancel: () => this.#forget(waiter),
    });
    const wasIdle = this.#queues.size === 0;
    for (const key of wait.keys) {
      const name = nameOf(wait.database, key, 0, key.length);
      let queues = this.#queues.get(name);
      if (queues === undefined) this.#queues.set(name, (queues = new Map()));
      let queue = queues.get(wait.kind);
      if (queue === undefined) queues.set(wait.kind, (queue = new Set()));
      queue.add(waiter);
    }
    if (wasIdle) this.onActive();
  }

  #forget(waiter: Waiter): void {
    const { wait } = waiter;
    for (const key of wait.keys) {
      const name = nameOf(wait.database, key, 0, key.length);
      const queues = this.#queues.get(name);
      const queue = queues?.get(wait.kind);
      if (queues === undefined || queue === undefined) continue;
      queue.delete(waiter);
      if (queue.size === 0) queues.delete(wait.kind);
      if (queues.size === 0) this.#queues.delete(name);
    }
    if (this.#queues.size === 0) this.onActive();
  }

  /** A key was changed, by whomever, or has expired. */
  touch(database: number, key: Buffer, start: number, length: number): void {
    if (this.#queues.size === 0) return;
    const name = nameOf(database, key, start, length);
    if (!this.#queues.has(name)) return;
    if (this.#ready.size === 0 && !this.#isServing) this.onReady();
    this.#ready.add(name);
  }

  /** Serves those that wait for keys that are ready; what they do may make more keys ready. */
  serve(): void {
    if (this.#isServing || this.#ready.size === 0) return;
    this.#isServing = true;
    try {
      // A Set's iterator sees what is added on the way.
      for (const name of this.#ready) {
        this.#ready.delete(name);
        this.#serveKey(name);
      }
    } finally {
      this.#isServing = false;
    }
  }

  #serveKey(name: string): void {
    const queues = this.#queues.get(name);
    if (queues === undefined) return;
    const key = Buffer.from(name.slice(name.indexOf(':') + 1), 'latin1');
    for (const [kind, queue] of queues) {
      // Those that come to wait while others are served have looked for themselves.
      let left = queue.size;
      for (const waiter of queue) {
        if (left-- === 0) break;
        if (!this.#tryOne(waiter, key) && kind !== 'stream') break;
      }
    }
  }

  #attemptWithEvents(events: KeyspaceEvents, wait: KeyWait, key: Buffer): boolean {
    const isNested = events.begin();
    try {
      return wait.attempt(key, this.#reply);
    } finally {
      const { commandName, words } = wait;
      events.end({ name: commandName, argc: words.length, bytes: (index) => words[index] }, isNested);
    }
  }

  #tryOne(waiter: Waiter, key: Buffer): boolean {
    const { session, wait } = waiter;
    const keyspace = this.#keyspace;
    const reply = this.#reply;
    reply.reset();
    reply.protocol = session.protocol;
    const refusal = session.isUnrestricted ? null : this.refusal(session, wait);
    if (refusal !== null) {
      this.#forget(waiter);
      this.#blocking.wake(session, (late) => late.error(refusal));
      return true;
    }
    const { changes } = keyspace;
    const isDone =
      this.events?.isOn === true ? this.#attemptWithEvents(this.events, wait, key) : wait.attempt(key, reply);
    if (!isDone) return false;
    const hasWritten = keyspace.changes !== changes;
    if (hasWritten) {
      session.lastWriteHi = keyspace.clock.hi;
      session.lastWriteLo = keyspace.clock.lo;
    }
    this.#forget(waiter);
    this.#blocking.wake(session, (late) => late.raw(reply.buffer.subarray(0, reply.length)), hasWritten);
    return true;
  }
}
