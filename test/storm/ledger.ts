/**
 * What clients were told, and so what may be found in the end. A write that was sent and never answered may have happened or not.
 * When a node is killed, what it had acknowledged within its durability's window may be gone, or may be found elsewhere.
 */

interface Step {
  readonly value: string | null;
  readonly atMs: number;
}

/** A key, field or member that one client alone writes, one write after the other; null = not there. */
export class Register {
  /** The states that it may be in, the last acknowledged one first. */
  #possible: Step[] = [{ value: null, atMs: -Infinity }];
  /** What was acknowledged lately, the newest last. */
  #recent: Step[] = [];

  /** A write was acknowledged: nothing before it can be seen any more, but for a crash within the window. */
  acknowledge(value: string | null, atMs: number, windowMs: number): void {
    const before = this.#possible;
    this.#possible = [{ value, atMs }];
    if (windowMs === 0) return;
    this.#recent.push(...before, { value, atMs });
    // What stood when the window began may be found again too.
    const start = this.#recent.findLastIndex((step) => step.atMs < atMs - windowMs);
    this.#recent.splice(0, Math.max(0, start));
  }

  /** A write was sent, and nobody knows. */
  doubt(value: string | null, atMs: number): void {
    this.#possible.push({ value, atMs });
  }

  /** The node that took the writes was killed. */
  crash(): void {
    this.#possible.push(...this.#recent);
    this.#recent = [];
  }

  allows(value: string | null): boolean {
    return this.#possible.some((step) => step.value === value);
  }

  get states(): string {
    return this.#possible.map(({ value }) => value ?? 'nothing').join(' or ');
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
