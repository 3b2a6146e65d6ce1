/** What one session listens to: names as latin1 text of their bytes. */
export class Subscriptions {
  readonly channels = new Set<string>();
  readonly patterns = new Set<string>();
  readonly shards = new Set<string>();

  /** What SUBSCRIBE and PSUBSCRIBE count. */
  get count(): number {
    return this.channels.size + this.patterns.size;
  }

  get isEmpty(): boolean {
    return this.count === 0 && this.shards.size === 0;
  }
}
