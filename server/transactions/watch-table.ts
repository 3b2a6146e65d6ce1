/** Which keys are watched, by WATCH and by MIGRATE. A key is known by its database's number and its bytes. */

/** Keys that one session may watch: what it costs is bounded. */
export const WATCHED_KEYS_MAX = 1_000_000;

export function watchName(database: number, key: Buffer, start: number, length: number): string {
  return `${database}:${key.toString('latin1', start, start + length)}`;
}

/** Whoever wants to know whether one of some keys has changed: a session, for WATCH. */
export interface Watcher {
  /** What it watches, as `watchName` names it. */
  watched: Set<string> | null;
  /** One of these has changed. */
  watchBroken: boolean;
}

export class WatchTable {
  readonly #watchers = new Map<string, Set<Watcher>>();
  /** Called when the first key is watched, and when the last one no longer is. */
  onActive: (active: boolean) => void = () => {};

  get size(): number {
    return this.#watchers.size;
  }

  watch(watcher: Watcher, name: string): void {
    watcher.watched ??= new Set();
    if (watcher.watched.has(name)) return;
    watcher.watched.add(name);
    let watching = this.#watchers.get(name);
    if (watching === undefined) this.#watchers.set(name, (watching = new Set()));
    watching.add(watcher);
    if (this.#watchers.size === 1) this.onActive(true);
  }

  /** UNWATCH, and what EXEC, DISCARD and a disconnection imply. */
  forget(watcher: Watcher): void {
    watcher.watchBroken = false;
    if (watcher.watched === null) return;
    for (const name of watcher.watched) {
      const watching = this.#watchers.get(name)!;
      watching.delete(watcher);
      if (watching.size === 0) this.#watchers.delete(name);
    }
    watcher.watched = null;
    if (this.#watchers.size === 0) this.onActive(false);
  }

  /** A key was changed, by whomever, or has expired. */
  touch(database: number, key: Buffer, start: number, length: number): void {
    if (this.#watchers.size === 0) return;
    const watching = this.#watchers.get(watchName(database, key, start, length));
    if (watching === undefined) return;
    for (const watcher of watching) watcher.watchBroken = true;
  }
}
