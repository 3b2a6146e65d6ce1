/** Who is told of changed keys: those that WATCH, those that wait, caches of clients, subscribers of events, and the library's user. */
import type { KeyObserver } from '../../storage/changes/change-tracker.ts';
import type { Node } from '../node.ts';

/** A key changed, or has expired; the bytes are valid during the call. */
export type KeyListener = (database: number, key: Buffer, start: number, length: number) => void;

/** What the keyspace is to tell of its keys; null while nobody wants to know, as it costs something on every write. */
export function observerFor(
  {
    watches,
    keyWaiters,
    keyspaceEvents,
    tracking,
  }: Pick<Node, 'watches' | 'keyWaiters' | 'keyspaceEvents' | 'tracking'>,
  listener: KeyListener | null,
): KeyObserver | null {
  const tracks = tracking.clientCount > 0;
  if (watches.size === 0 && keyWaiters.size === 0 && listener === null && !keyspaceEvents.isOn && !tracks) return null;
  const touched: KeyListener = (database, key, start, length) => {
    watches.touch(database, key, start, length);
    keyWaiters.touch(database, key, start, length);
    listener?.(database, key, start, length);
  };
  const observer: KeyObserver = keyspaceEvents.isOn
    ? keyspaceEvents.observing(touched)
    : { changed: touched, expired: touched };
  if (!tracks) return observer;
  return {
    ...observer,
    changed: (database, key, start, length, cause) => {
      if (cause === 'write') tracking.changed(key, start, length);
      // Of a flush it knows as a whole.
      else if (cause !== 'flush') tracking.lost(key, start, length);
      observer.changed(database, key, start, length, cause);
    },
    expired: (database, key, start, length) => {
      tracking.lost(key, start, length);
      observer.expired(database, key, start, length);
    },
    flushed: () => tracking.flushed(),
    setAside: (_database, key, start, length) => tracking.lost(key, start, length),
  };
}
