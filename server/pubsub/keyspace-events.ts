/**
 * Keyspace events: messages on channels of this node that tell of changed keys, `notify-keyspace-events`. The keyspace tells which
 * keys a command has changed; when it is done the events follow from what the command is and whether the keys are still there.
 * For keys that others change, peers that is, they follow from what the key holds afterwards.
 */
import {
  TYPE_HASH,
  TYPE_LIST,
  TYPE_SET,
  TYPE_SORTED_SET,
  TYPE_STREAM,
  TYPE_STRING,
} from '../../storage/arena/block.ts';
import type { ChangeCause, KeyObserver } from '../../storage/changes/change-tracker.ts';
import type { Keyspace } from '../../storage/keyspace.ts';
import { KEYSPACE_EVENT } from '../config/composite-types.ts';
import type { Config } from '../config/config.ts';
import { type EventSource, eventsOf, MAY_DELETE, type NamedEvent } from './keyspace-event-names.ts';
import type { PubSub } from './pubsub.ts';

/** What a merged change is told of as, by the type that the key then holds. */
const MERGED: NamedEvent[] = [];
MERGED[TYPE_STRING] = { eventClass: KEYSPACE_EVENT.string, name: 'set' };
MERGED[TYPE_LIST] = { eventClass: KEYSPACE_EVENT.list, name: 'rpush' };
MERGED[TYPE_SET] = { eventClass: KEYSPACE_EVENT.set, name: 'sadd' };
MERGED[TYPE_SORTED_SET] = { eventClass: KEYSPACE_EVENT.sortedSet, name: 'zadd' };
MERGED[TYPE_HASH] = { eventClass: KEYSPACE_EVENT.hash, name: 'hset' };
MERGED[TYPE_STREAM] = { eventClass: KEYSPACE_EVENT.stream, name: 'xadd' };

const CHANNELS = KEYSPACE_EVENT.keyspaceChannel | KEYSPACE_EVENT.keyeventChannel;

interface Touched {
  readonly database: number;
  readonly key: Buffer;
  /** It was not there before. */
  isNew: boolean;
}

export class KeyspaceEvents {
  /** Whether any event is wanted. Off, nothing else here is called. */
  isOn = false;
  #bits = 0;
  /** A command is being run. */
  #isRunning = false;
  /** Keys changed since the last command was told of, by database and name. */
  readonly #touched = new Map<string, Touched>();
  readonly #keyspace: Keyspace;
  /** Hashes of which fields have lapsed at that time, in milliseconds since 1970. */
  readonly #lapsed = new Set<string>();
  #lapsedAtMs = 0;
  readonly #pubsub: PubSub;

  constructor(keyspace: Keyspace, pubsub: PubSub) {
    this.#keyspace = keyspace;
    this.#pubsub = pubsub;
  }

  /** Goes by the option from now on, and tells whoever observes the keyspace. */
  follow(config: Config, observe: () => void): void {
    const apply = (): void => {
      this.configure(config.values['notify-keyspace-events']);
      observe();
    };
    config.onChange('notify-keyspace-events', apply);
    apply();
  }

  /** @param bits KEYSPACE_EVENT's */
  configure(bits: number): void {
    this.#bits = bits;
    this.isOn = (bits & CHANNELS) !== 0 && (bits & ~CHANNELS) !== 0;
    if (!this.isOn) this.#touched.clear();
  }

  /** A key that was read is not there. */
  missed(database: number, key: Buffer, start: number, length: number): void {
    if ((this.#bits & KEYSPACE_EVENT.missed) === 0) return;
    this.#notify(KEYSPACE_EVENT.missed, 'keymiss', database, Buffer.from(key.subarray(start, start + length)));
  }

  /** A key has become visible; `changed` follows. */
  appeared(database: number, key: Buffer, start: number, length: number): void {
    this.#touch(database, key, start, length).isNew = true;
  }

  changed(database: number, key: Buffer, start: number, length: number, cause: ChangeCause): void {
    if (cause === 'write' || cause === 'flush') {
      this.#touch(database, key, start, length);
      return;
    }
    const bytes = Buffer.from(key.subarray(start, start + length));
    if (cause === 'evict') {
      this.#notify(KEYSPACE_EVENT.evicted, 'evicted', database, bytes);
      return;
    }
    if (this.#isFirstLapse(database, bytes)) this.#notify(KEYSPACE_EVENT.hash, 'hexpired', database, bytes);
    if (this.#find(database, bytes) === 0) this.#notify(KEYSPACE_EVENT.generic, 'del', database, bytes);
  }

  /** Whether no field of the hash was told of as lapsed now: those that go together are one event, as in Redis. */
  #isFirstLapse(database: number, key: Buffer): boolean {
    const { nowMs } = this.#keyspace.clock;
    if (nowMs !== this.#lapsedAtMs) this.#lapsed.clear();
    this.#lapsedAtMs = nowMs;
    const name = `${database}:${key.toString('latin1')}`;
    if (this.#lapsed.has(name)) return false;
    this.#lapsed.add(name);
    return true;
  }

  /** A consumer was made by a command that is about something else. */
  consumerMade(database: number, key: Buffer): void {
    this.#notify(KEYSPACE_EVENT.stream, 'xgroup-createconsumer', database, Buffer.from(key));
  }

  expired(database: number, key: Buffer, start: number, length: number): void {
    this.#notify(KEYSPACE_EVENT.expired, 'expired', database, Buffer.from(key.subarray(start, start + length)));
  }

  /** An observer for the keyspace that tells `touched` too. */
  observing(touched: (database: number, key: Buffer, start: number, length: number) => void): KeyObserver {
    return {
      changed: (database, key, start, length, cause) => {
        touched(database, key, start, length);
        this.changed(database, key, start, length, cause);
      },
      appeared: (database, key, start, length) => this.appeared(database, key, start, length),
      expired: (database, key, start, length) => {
        touched(database, key, start, length);
        this.expired(database, key, start, length);
      },
    };
  }

  #touch(database: number, key: Buffer, start: number, length: number): Touched {
    const name = `${database}:${key.toString('latin1', start, start + length)}`;
    let touched = this.#touched.get(name);
    if (touched === undefined) {
      touched = { database, key: Buffer.from(key.subarray(start, start + length)), isNew: false };
      this.#touched.set(name, touched);
    }
    return touched;
  }

  /** A command begins; what was changed before it was not its doing. Returns whether another one is being run around it. */
  begin(): boolean {
    if (!this.#isRunning) this.raiseMerged();
    const isNested = this.#isRunning;
    this.#isRunning = true;
    return isNested;
  }

  /** The command is done: tells what it has changed. `isNested` is what `begin` has given. */
  end(source: EventSource, isNested: boolean): void {
    this.#isRunning = isNested;
    if (this.#touched.size === 0) return;
    const touched = [...this.#touched.values()];
    this.#touched.clear();
    const events = eventsOf(source, this.#keyspace.clock.nowMs);
    const mayDelete = MAY_DELETE.has(source.name);
    if (events.length === 0 && !mayDelete && source.name !== 'move') return;
    if (source.name === 'move') this.#moved(touched);
    else if (events.some(({ argument }) => argument !== undefined)) this.#raiseByArgument(source, events, touched);
    else for (const each of touched) this.#raiseAll(events, each);
  }

  #raiseNew(touched: Touched): void {
    if (touched.isNew) this.#raise(KEYSPACE_EVENT.newKey, 'new', touched);
    touched.isNew = false;
  }

  #raiseAll(events: readonly NamedEvent[], touched: Touched): void {
    this.#raiseNew(touched);
    const isThere = this.#find(touched.database, touched.key) !== 0;
    for (const { eventClass, name, removes } of events) {
      if (isThere || removes === true) this.#raise(eventClass, name, touched);
    }
    if (!isThere) this.#raise(KEYSPACE_EVENT.generic, 'del', touched);
  }

  /** Events that are each of one argument's key, in their order. */
  #raiseByArgument(source: EventSource, events: readonly NamedEvent[], touched: readonly Touched[]): void {
    // Redis makes the new key of a RENAME before it tells of the old one.
    if (events[0].name === 'rename_from') for (const each of touched) this.#raiseNew(each);
    for (const event of events) {
      const name = source.bytes(event.argument!);
      const each = touched.find(({ key }) => key.equals(name));
      if (each === undefined) continue;
      this.#raiseNew(each);
      this.#raise(event.eventClass, event.name, each);
      const isGone = event.removes === true && this.#find(each.database, each.key) === 0;
      if (isGone && event.name !== 'rename_from') this.#raise(KEYSPACE_EVENT.generic, 'del', each);
    }
  }

  #moved(touched: readonly Touched[]): void {
    const gone = touched.find(({ database, key }) => this.#find(database, key) === 0);
    const here = touched.find((each) => each !== gone);
    if (here !== undefined) this.#raiseNew(here);
    if (gone !== undefined) this.#raise(KEYSPACE_EVENT.generic, 'move_from', gone);
    if (here !== undefined) this.#raise(KEYSPACE_EVENT.generic, 'move_to', here);
  }

  /** What was changed is not told of. */
  forget(): void {
    this.#touched.clear();
  }

  /** Tells of keys that peers have changed. */
  raiseMerged(): void {
    if (this.#touched.size === 0) return;
    const touched = [...this.#touched.values()];
    this.#touched.clear();
    for (const each of touched) {
      const ref = this.#find(each.database, each.key);
      if (ref === 0) this.#raise(KEYSPACE_EVENT.generic, 'del', each);
      else this.#raiseAll([MERGED[this.#keyspace.typeOf(ref)]], each);
    }
  }

  #find(database: number, key: Buffer): number {
    return this.#keyspace.lookup(this.#keyspace.databases[database], key, 0, key.length);
  }

  #raise(eventClass: number, event: string, { database, key }: Touched): void {
    this.#notify(eventClass, event, database, key);
  }

  #notify(eventClass: number, event: string, database: number, key: Buffer): void {
    if ((this.#bits & eventClass) === 0 || !this.#pubsub.hasListeners) return;
    if ((this.#bits & KEYSPACE_EVENT.keyspaceChannel) !== 0) {
      const channel = Buffer.concat([Buffer.from(`__keyspace@${database}__:`), key]);
      this.#pubsub.deliver(channel, Buffer.from(event), false);
    }
    if ((this.#bits & KEYSPACE_EVENT.keyeventChannel) !== 0) {
      this.#pubsub.deliver(Buffer.from(`__keyevent@${database}__:${event}`), key, false);
    }
  }
}
