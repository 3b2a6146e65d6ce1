/**
 * What clients were told, and so what may be found in the end. A write that was sent and never answered may have happened or not.
 * When a node is killed, what it had acknowledged within its durability's window may be gone, or may be found elsewhere.
 */

type State = string | null;

/** A key, field or member that one client alone writes, one write after the other; null = not there. */
export class Register {
  /** The states that it may be in, the last acknowledged one first. */
  #possible: State[] = [null];
  /** What it may have been until a write of late was acknowledged. */
  #recent: { states: readonly State[]; untilMs: number }[] = [];

  /** A write was acknowledged: nothing before it can be seen any more, but for a crash within the window. */
  acknowledge(value: State, atMs: number, windowMs: number): void {
    const before = this.#possible;
    this.#possible = [value];
    if (windowMs === 0) return;
    // Of what stood when the window began all is kept: an earlier crash may have left any of it.
    this.#recent.push({ states: before, untilMs: atMs });
    while (this.#recent[0].untilMs < atMs - windowMs) this.#recent.shift();
  }

  /** A write was sent, and nobody knows. */
  doubt(value: State): void {
    this.#possible.push(value);
  }

  /** The node that took the writes was killed. */
  crash(): void {
    this.#possible.push(...this.#recent.flatMap(({ states }) => states));
    this.#recent = [];
  }

  allows(value: State): boolean {
    return this.#possible.includes(value);
  }

  get states(): string {
    return this.#possible.map((value) => value ?? 'nothing').join(' or ');
  }

  get isCertain(): boolean {
    return this.#possible.length === 1;
  }
}

/** What one node's clients have added to a counter. */
export class Sum {
  least = 0;
  most = 0;
  #recent: { by: number; atMs: number }[] = [];

  acknowledge(by: number, atMs: number, windowMs: number): void {
    this.least += by;
    this.most += by;
    if (windowMs === 0) return;
    this.#recent.push({ by, atMs });
    while (this.#recent[0].atMs < atMs - windowMs) this.#recent.shift();
  }

  doubt(by: number): void {
    this.most += by;
  }

  crash(atMs: number, windowMs: number): void {
    for (const one of this.#recent) if (one.atMs >= atMs - windowMs) this.least -= one.by;
    this.#recent = [];
  }
}
