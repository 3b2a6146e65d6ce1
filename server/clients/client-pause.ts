/** CLIENT PAUSE: until when which commands are put off, and of which clients. */
import type { Call } from '../dispatch/call.ts';
import type { CommandOf } from '../definitions/command-definition.ts';
import type { PauseMode } from '../node.ts';
import { putOff } from '../waiting/put-off.ts';
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

  /** Whether the call is to be put off while the pause is in force. `all` means CLIENT UNPAUSE too, as in Redis. */
  concerns(call: Call, session: Session): boolean {
    if (this.mode === 'all') return true;
    if (call.command.name === 'exec') return session.queued?.mayWrite ?? false;
    return session.queued === null && mayWrite(call);
  }

  /** Keeps the command until the pause has ended; null as `putOff` has it. */
  hold(call: Call, session: Session): null {
    this.held.add(session);
    return putOff(call, session);
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

/** Whether the call may change what other nodes see: keys, channels, or whatever a script does that does not rule it out. */
export function mayWrite(call: Call): boolean {
  const command = call.command as CommandOf<Call>;
  return command.isWrite || (command.mayReplicate && command.writesNothing?.(call) !== true);
}
