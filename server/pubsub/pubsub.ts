/**
 * Who listens to which channels, and the delivery of messages to them. Sharded channels are a space of their own, as in Redis.
 * Channels and patterns are kept by their bytes as latin1 text.
 */
import { GlobPattern } from '../../protocol/glob.ts';
import type { ReplyWriter } from '../../protocol/resp-reply.ts';
import type { Session } from '../clients/session.ts';
import { Subscriptions } from './subscriptions.ts';

export type Space = 'channels' | 'patterns' | 'shards';

interface Listeners {
  readonly sessions: Set<Session>;
  /** Of a pattern. */
  readonly pattern: GlobPattern | null;
}

/** Writes to a session outside of its own requests. */
type Send = (session: Session, write: (reply: ReplyWriter) => void) => void;

/** Told of each message that a client publishes here: channel, message, and whether the channel is a sharded one. */
export type PublishListener = (channel: Buffer, message: Buffer, isSharded: boolean) => void;

export class PubSub {
  readonly channels = new Map<string, Listeners>();
  readonly patterns = new Map<string, Listeners>();
  readonly shards = new Map<string, Listeners>();
  /** Messages that came from other nodes. */
  received = 0;
  onPublish: PublishListener | null = null;
  readonly #send: Send;

  constructor(send: Send) {
    this.#send = send;
  }

  /** Sessions with a subscription. */
  clientCount(sessions: Iterable<Session>): number {
    let count = 0;
    for (const session of sessions) if (session.subscriptions !== null) count++;
    return count;
  }

  subscribe(session: Session, space: Space, name: string): Subscriptions {
    const own = (session.subscriptions ??= new Subscriptions());
    if (own[space].has(name)) return own;
    own[space].add(name);
    let listeners = this[space].get(name);
    if (listeners === undefined) {
      const bytes = Buffer.from(name, 'latin1');
      const pattern = space === 'patterns' ? new GlobPattern(bytes, 0, bytes.length) : null;
      this[space].set(name, (listeners = { sessions: new Set(), pattern }));
    }
    listeners.sessions.add(session);
    return own;
  }

  unsubscribe(session: Session, space: Space, name: string): void {
    const own = session.subscriptions;
    if (own === null || !own[space].delete(name)) return;
    const listeners = this[space].get(name)!;
    listeners.sessions.delete(session);
    if (listeners.sessions.size === 0) this[space].delete(name);
    if (own.isEmpty) session.subscriptions = null;
  }

  /** The client is gone, or wants to hear nothing any more. */
  forget(session: Session): void {
    const own = session.subscriptions;
    if (own === null) return;
    for (const space of ['channels', 'patterns', 'shards'] as const) {
      for (const name of [...own[space]]) this.unsubscribe(session, space, name);
    }
  }

  /** Publishes for a client of this node: its own subscribers, then the other nodes. Returns how many heard it here. */
  publish(channel: Buffer, message: Buffer, isSharded: boolean): number {
    const count = this.deliver(channel, message, isSharded);
    if (this.onPublish !== null) this.onPublish(channel, message, isSharded);
    return count;
  }

  /** Whether anybody here listens to anything but sharded channels. */
  get hasListeners(): boolean {
    return this.channels.size > 0 || this.patterns.size > 0;
  }

  /** Delivers to the subscribers of this node; returns how many deliveries that was. The bytes may be kept. */
  deliver(channel: Buffer, message: Buffer, isSharded: boolean): number {
    const name = channel.toString('latin1');
    const listeners = (isSharded ? this.shards : this.channels).get(name);
    let count = 0;
    if (listeners !== undefined) {
      const kind = isSharded ? 'smessage' : 'message';
      // A delivery may close the session, which takes it out.
      for (const session of [...listeners.sessions]) {
        this.#send(session, (reply) => {
          reply.push(3);
          reply.bulkString(kind);
          reply.bulk(channel, 0, channel.length);
          reply.bulk(message, 0, message.length);
        });
        count++;
      }
    }
    if (isSharded || this.patterns.size === 0) return count;
    for (const [text, { pattern, sessions }] of [...this.patterns]) {
      if (!pattern!.matches(channel, 0, channel.length)) continue;
      const bytes = Buffer.from(text, 'latin1');
      for (const session of [...sessions]) {
        this.#send(session, (reply) => {
          reply.push(4);
          reply.bulkString('pmessage');
          reply.bulk(bytes, 0, bytes.length);
          reply.bulk(channel, 0, channel.length);
          reply.bulk(message, 0, message.length);
        });
        count++;
      }
    }
    return count;
  }
}
