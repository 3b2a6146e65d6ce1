/** Which sessions WATCH which keys. A key is known by its database's number and its bytes. */
import type { Session } from './session.ts';

/** Keys that one session may watch: what it costs is bounded. */
export const WATCHED_KEYS_MAX = 1_000_000;

export function watchName(database: number, key: Buffer, start: number, length: number): string {
  return `${database}:${key.toString('latin1', start, start + length)}`;
}

export class WatchTable {
  readonly #sessions = new Map<string, Set<Session>>();
  /** Called when the first key is watched, and when the last one no longer is. */
  onActive: (active: boolean) => void = () => {};

  get size(): number {
    return this.#sessions.size;
  }

  watch(session: Session, name: string): void {
    session.watched ??= new Set();
    if (session.watched.has(name)) return;
    session.watched.add(name);
    let watching = this.#sessions.get(name);
    if (watching === undefined) this.#sessions.set(name, (watching = new Set()));
    watching.add(session);
    if (this.#sessions.size === 1) this.onActive(true);
  }

  /** UNWATCH, and what EXEC, DISCARD and a disconnection imply. */
  forget(session: Session): void {
    session.watchBroken = false;
    if (session.watched === null) return;
    for (const name of session.watched) {
      const watching = this.#sessions.get(name)!;
      watching.delete(session);
      if (watching.size === 0) this.#sessions.delete(name);
    }
    session.watched = null;
    if (this.#sessions.size === 0) this.onActive(false);
  }

  /** A key was changed, by whomever, or has expired. */
  touch(database: number, key: Buffer, start: number, length: number): void {
    if (this.#sessions.size === 0) return;
    const watching = this.#sessions.get(watchName(database, key, start, length));
    if (watching === undefined) return;
    for (const session of watching) session.watchBroken = true;
  }
}
