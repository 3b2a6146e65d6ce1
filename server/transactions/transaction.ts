/** What a session has queued since MULTI: copies of the arguments, packed. */
import type { ArgumentSource } from '../../protocol/resp-request.ts';
import type { CommandOf } from '../definitions/command-definition.ts';

/** A command with its arguments. */
export interface Invocation extends ArgumentSource {
  command: CommandOf<never>;
}

/** Commands that run at once also after MULTI. */
export const NOT_QUEUED: ReadonlySet<string> = new Set(['exec', 'discard', 'multi', 'watch', 'quit', 'reset']);

export class QueuedCommands {
  readonly commands: CommandOf<never>[] = [];
  /** A command was refused while queueing: EXEC will answer EXECABORT. */
  aborted = false;
  /** Bytes held, arguments and their bookkeeping. */
  bytes = 0;
  /** One of them may write: CLIENT PAUSE WRITE puts off EXEC then. */
  mayWrite = false;
  readonly #arguments: Buffer[] = [];
  readonly #starts: Int32Array[] = [];
  readonly #lengths: Int32Array[] = [];

  push(call: Invocation, mayWrite = false): void {
    this.mayWrite ||= mayWrite;
    let total = 0;
    for (let index = 0; index < call.argc; index++) total += call.lengths[index];
    const packed = Buffer.allocUnsafe(total);
    const starts = new Int32Array(call.argc);
    const lengths = new Int32Array(call.argc);
    for (let index = 0, at = 0; index < call.argc; index++) {
      const start = call.starts[index];
      const length = call.lengths[index];
      call.buffer.copy(packed, at, start, start + length);
      starts[index] = at;
      lengths[index] = length;
      at += length;
    }
    this.commands.push(call.command);
    this.#arguments.push(packed);
    this.#starts.push(starts);
    this.#lengths.push(lengths);
    this.bytes += total + call.argc * 8 + 300;
  }

  /** Lets go of everything queued; the transaction can only be aborted then. */
  clear(): void {
    this.commands.length = 0;
    this.#arguments.length = 0;
    this.#starts.length = 0;
    this.#lengths.length = 0;
    this.bytes = 0;
    this.aborted = true;
  }

  /** Makes the call that of the queued command at `index`. */
  load(index: number, call: Invocation): void {
    call.command = this.commands[index]!;
    call.buffer = this.#arguments[index]!;
    call.starts = this.#starts[index]!;
    call.lengths = this.#lengths[index]!;
    call.argc = call.starts.length;
  }
}
