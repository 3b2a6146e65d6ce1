/** CLIENT PAUSE: until when which commands are put off, and of which clients. */
import type { CommandOf } from './command-definition.ts';
import type { PauseMode } from './node.ts';
import type { Session } from './session.ts';

export class ClientPause {
  /** Clients with a command that was put off. */
  readonly held = new Set<Session>();
  #untilMs = 0;
  mode: PauseMode = 'write';

  /** Whether a pause was begun and not ended, its time over or not. */
  get isBegun(): boolean {
    return this.#untilMs !== 0;
  }

  isInForce(nowMs: number): boolean {
    return this.#untilMs > nowMs;
  }

  /** Whether the command is to be put off while the pause is in force. */
  concerns(command: CommandOf<never>, session: Session): boolean {
    if (command.parent?.name === 'client' || command.name === 'client') return false;
    if (this.mode === 'all') return true;
    if (command.name === 'exec') return session.queued?.commands.some((queued) => queued.isWrite) ?? false;
    return session.queued === null && (command.isWrite || command.flags.includes('may_replicate'));
  }

  /** Puts off commands until then (milliseconds since 1970): all, or those that write. */
  begin(untilMs: number, mode: PauseMode, nowMs: number): void {
    const inForce = this.isInForce(nowMs);
    this.#untilMs = inForce ? Math.max(untilMs, this.#untilMs) : untilMs;
    this.mode = inForce && this.mode === 'all' ? 'all' : mode;
  }

  /** Ends the pause; returns the clients that go on. */
  end(): Session[] {
    this.#untilMs = 0;
    const held = [...this.held];
    this.held.clear();
    return held;
  }
}
